# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests with the real ansible-playbook share: see playbook_run, and file_snapshots.

What is slow is done once a module: most modules run their tasks in a fixture, and the tests look at the results.
"""

import os
import platform
import sys

import pytest

_HERE = os.path.dirname(os.path.abspath(__file__))
_CHECKOUT = os.path.dirname(os.path.dirname(_HERE))
_PLACE = os.path.join("ansible_collections", "iac_platform", "terraform")
_PLATFORMS = {"x86_64": "linux_amd64", "aarch64": "linux_arm64"}

if _HERE not in sys.path:
    sys.path.insert(0, _HERE)
pytest.register_assert_rewrite("assertions")  # or its assertions would not show what they saw


@pytest.fixture(scope="session")
def host_platform():
    """The platform of this machine; the site's stand-ins for Terraform have to run on it."""
    if platform.system() != "Linux" or platform.machine() not in _PLATFORMS:
        pytest.skip("the stand-in for Terraform runs on Linux on x86_64 or aarch64 only")
    return _PLATFORMS[platform.machine()]


@pytest.fixture(scope="session")
def play(tmp_path_factory, host_platform):
    """The Player: ``play(tasks, ...)`` runs them, ``play.start(tasks, ...)`` lets them run."""
    from playbook_run import Player

    player = Player(str(tmp_path_factory.mktemp("ansible")), _find_collections(tmp_path_factory))
    if not os.path.exists(player.program):
        pytest.skip("there is no %s" % player.program)
    yield player
    player.end()


@pytest.fixture(scope="session")
def tasks(tmp_path_factory, host_platform):
    """The TaskRunner: as ``play``, for what is not about Ansible, at a hundredth of the price."""
    pytest.importorskip("ansible.plugins.action")
    from task_run import TaskRunner

    with TaskRunner(str(tmp_path_factory.mktemp("tasks"))) as runner:
        yield runner


def _find_collections(tmp_path_factory):
    """A folder that presents this checkout as the collection: the one it lies in, else one with a link to it."""
    if _CHECKOUT.endswith(os.sep + _PLACE):
        return _CHECKOUT[: -len(_PLACE) - 1]
    folder = tmp_path_factory.mktemp("collections")
    link = folder / _PLACE
    link.parent.mkdir(parents=True)
    link.symlink_to(_CHECKOUT)
    return str(folder)


@pytest.fixture(scope="module")
def module_site(signing_key):
    """A running site for a whole module: 1.9.8, 1.13.3 and 1.13.4."""
    from release_site import Site

    with Site(versions=("1.9.8", "1.13.3", "1.13.4"), key=signing_key) as running:
        yield running


@pytest.fixture
def world(request, worlds):
    """What became of a table's cases with one runner on one side: see both_runners."""
    return worlds(request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    """A folder for a whole module, as text."""
    return str(tmp_path_factory.mktemp(request.module.__name__.rpartition(".")[2]))
