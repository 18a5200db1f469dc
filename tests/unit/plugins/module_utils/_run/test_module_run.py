# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of the module, where it depends on who gets the archive."""

import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import leftovers
from ansible_collections.iac_platform.terraform.plugins.module_utils._run import module_run


def test_where_the_controller_brought_nothing_the_message_says_so(host):
    no_source = module_run.NoSource(host.parsed())
    for needed in (no_source.provenance, lambda: no_source.archive(None)):
        with pytest.raises(_errors.RequestError) as caught:
            needed()
        assert host.binary() in str(caught.value) and "run again" in caught.value.hint


@pytest.mark.parametrize("version", ["1.13.4", "~> 1.13.0", "all"])
def test_what_fails_after_a_removal_says_that_the_host_has_changed(host, monkeypatch, version):
    host.module(**host.offer())

    def fail(*arguments):
        raise _errors.InstallError("look at /", errno=5)

    for name in ("find_leftovers", "remove_leftovers"):
        monkeypatch.setattr(leftovers, name, fail)
    with pytest.raises(_errors.InstallError) as caught:
        host.module(state="absent", version=version)
    assert caught.value.changed and not os.path.exists(host.binary())
    with pytest.raises(_errors.InstallError) as caught:
        host.module(check=True, state="absent", version="all")
    assert not caught.value.changed
