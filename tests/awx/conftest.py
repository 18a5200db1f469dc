# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of AWX share. Their helpers are beside this file, and beside the tests of playbooks."""

import os
import shutil
import sys
import tempfile

import pytest

_HERE = os.path.dirname(os.path.abspath(__file__))

for _folder in (_HERE, os.path.join(os.path.dirname(_HERE), "playbooks")):
    if _folder not in sys.path:
        sys.path.insert(0, _folder)

_CHECKOUT = os.path.dirname(os.path.dirname(_HERE))
_PLACE = os.path.join("ansible_collections", "iac_platform", "terraform")


@pytest.fixture(scope="session")
def checkout_as_collection(tmp_path_factory):
    """A folder that presents this checkout as the collection: the one it lies in, else one with a link to it."""
    if _CHECKOUT.endswith(os.sep + _PLACE):
        return _CHECKOUT[: -len(_PLACE) - 1]
    folder = tmp_path_factory.mktemp("collections")
    link = folder / _PLACE
    link.parent.mkdir(parents=True)
    link.symlink_to(_CHECKOUT)
    return str(folder)


@pytest.fixture(scope="session")
def open_folder():
    """A folder that other users may look into, as text: pytest closes its own, and those of other runs, again and again."""
    made = tempfile.mkdtemp(prefix="awx-")
    os.chmod(made, 0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def jobs(open_folder):
    """The Jobs of this run: its project has been updated."""
    pytest.importorskip("ansible_runner")
    from jobs import Jobs

    return Jobs(os.path.join(open_folder, "jobs"), _CHECKOUT)


@pytest.fixture(scope="module")
def folder(open_folder):
    """A folder for a whole module, as text."""
    made = tempfile.mkdtemp(dir=open_folder)
    os.chmod(made, 0o755)
    return made
