# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of the module, where it depends on who gets the archive."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._run import module_run


def test_where_the_controller_brought_nothing_the_message_says_so(host):
    no_source = module_run.NoSource(host.parsed())
    for needed in (no_source.provenance, lambda: no_source.archive(None)):
        with pytest.raises(_errors.RequestError) as caught:
            needed()
        assert host.binary() in str(caught.value) and "run again" in caught.value.hint
