# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests as the module would parse them on a host of platform linux_amd64, and refusals of them. Runs on Python 3.6."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _argument_spec, _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._request import parse as parse_module


def params(**options):
    found = dict((key, spec.get("default")) for key, spec in _argument_spec.SPEC.items())
    found.update(version="1.13.4")
    found.update(options)
    return found


def parse(**options):
    return parse_module.parse_request(params(**options), lambda: "linux_amd64")


def refusal(**options):
    with pytest.raises(_errors.RequestError) as caught:
        parse(**options)
    message = "%s; %s" % (caught.value, caught.value.hint or "")
    assert "\n" not in message and len(message) <= _errors.MESSAGE_LIMIT
    return message
