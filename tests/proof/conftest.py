# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that nothing is left half done: see docs/proof.md for what is promised, and tests/support/tiers.py for the tiers."""

import os
import sys

import pytest

_HERE = os.path.dirname(os.path.realpath(__file__))

if _HERE not in sys.path:
    sys.path.insert(0, _HERE)


@pytest.fixture(scope="session")
def strace():
    """The path of a strace that works here."""
    from support.system import find_strace

    path, reason = find_strace()
    if path is None:
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session", autouse=True)
def runnable():
    """The stand-in for Terraform has to run on this machine."""
    import scenarios

    platform = scenarios.install_host.Host("/").platform
    if platform not in scenarios.install_host.EXECUTABLES.RUNNABLE:
        pytest.skip("the stand-in for Terraform does not run on %s" % platform)
