# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of terraform_binary_info without AnsibleModule: see script.py. It needs a fraction of the files."""

import json
import platform
import sys

from .._argument_spec import INFO_SPEC
from .._errors import TerraformBinaryError, printable, to_result
from .._install.info import parse_info_request, read_info
from .._records import Params
from .basic import open_system_log, read_params


def run_script(arguments: bytes) -> None:
    """Run the module, and print its result as one line of JSON on standard output.

    :param arguments: as for run_script() in script.py.
    """
    given = json.loads(arguments.decode("utf-8"))
    params = read_params(given, INFO_SPEC)
    shown = " ".join("%s=%s" % item for item in params.items())
    open_system_log(given)(printable("Invoked with %s" % shown))
    sys.stdout.write(json.dumps(_run(params)) + "\n")


def _run(params: Params) -> Params:
    try:
        result: Params = printable(read_info(parse_info_request(params)))
        return dict(result, changed=False)
    except TerraformBinaryError as exc:
        return dict(to_result(exc, "target", platform.node()), failed=True)
