# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What killed controllers left: real folders of real processes, of which some have ended."""

import multiprocessing
import os
import shutil
import sys
import time

import pytest

if sys.version_info < (3, 9):
    pytest.skip("controller code needs Python 3.9", allow_module_level=True)

from ansible_collections.iac_platform.terraform.plugins.plugin_utils._cache import run as run_module
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._cache import store
from support.system import OTHER_UID, needs_root, started

NAME = "terraform_binary"
LONG_AGO = time.time() - 3 * 86400


class Home:
    """Ansible's local temporary directory, with runs in it."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.said, self.warnings = [], []

    def run(self, pid, claimed=True, random="abcdefgh"):
        """The directory that core makes for a run, with our folder and an archive in it."""
        parent = os.path.join(self.folder, "ansible-local-%d%s" % (pid, random))
        os.mkdir(parent, 0o700)
        with store.open_run_dir(parent, NAME) as run:
            if claimed:
                assert run_module.claim_run_dir(run, parent)
            store.write_file(run, "archive.zip", b"an archive")
        return parent

    def remove_stale(self):
        """What is left of the other runs after the first task of one more."""
        parent = self.run(os.getpid(), random="myownrun")
        run_module.remove_stale_run_dirs(
            parent, NAME, lambda line, warning=False: (self.warnings if warning else self.said).append(line)
        )
        assert os.listdir(os.path.join(parent, NAME))
        return sorted(set(os.listdir(self.folder)) - {os.path.basename(parent)})


def _claim(start, parent, firsts):
    """Once all are there, and as often as there is room in ``firsts``: count in its place who says that it was the first."""
    for number in range(len(firsts)):
        start.wait()
        with store.open_run_dir(parent, NAME) as run:
            first = run_module.claim_run_dir(run, parent)
        with firsts.get_lock():
            firsts[number] += first
        if start.wait() == 0:
            os.unlink(os.path.join(parent, NAME, run_module.OWNER))


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def killed(home):
    """The run of a process that was killed."""
    with started(["sleep", "600"]) as process:
        parent = home.run(process.pid)
    return parent


def change_owner_file(parent, change):
    path = os.path.join(parent, NAME, run_module.OWNER)
    with open(path, encoding="utf-8") as file:
        machine, process = file.read().splitlines()
    with open(path, "w", encoding="utf-8") as file:
        file.write("%s\n%s\n" % change(machine, process))


def make_old(parent):
    for name in os.listdir(os.path.join(parent, NAME)):
        os.utime(os.path.join(parent, NAME, name), (LONG_AGO, LONG_AGO))


def test_what_a_killed_run_left_goes(home, killed):
    assert home.remove_stale() == []
    assert home.said == ["left by a run that was killed, removed: %s/%s" % (killed, NAME)] and not home.warnings


def test_only_the_first_task_of_a_run_looks_what_killed_runs_left(home, killed):
    own = os.path.join(home.folder, "ansible-local-%dmyownrun" % os.getpid())
    os.mkdir(own, 0o700)
    later = killed[:-8] + "latecome"
    shutil.copytree(killed, later)
    hidden = later + ".hidden"
    os.rename(later, hidden)
    for _task in range(2):
        with run_module.enter_run(own, lambda line, warning=False: home.said.append(line)) as run:
            assert run.path == os.path.join(os.path.realpath(own), NAME)
        if os.path.exists(hidden):
            os.rename(hidden, later)
    assert not os.path.exists(killed) and os.path.exists(later) and len(home.said) == 1


def test_what_is_not_ours_stays(home, killed):
    os.mkdir(os.path.join(killed, "of another plugin"))
    assert home.remove_stale() == [os.path.basename(killed)] and os.listdir(killed) == ["of another plugin"]


def test_links_in_it_are_removed_and_not_followed(home, killed, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "kept").mkdir()
    (other / "kept" / "file").write_text("x")
    os.makedirs(os.path.join(killed, NAME, "deep", "er"))
    for place, target in (
        ("to-dir", other),
        ("deep/to-dir", other / "kept"),
        ("deep/er/to-file", other / "kept" / "file"),
        ("nowhere", "/nowhere"),
    ):
        os.symlink(str(target), os.path.join(killed, NAME, place))
    assert home.remove_stale() == [] and (other / "kept" / "file").read_text() == "x"


@pytest.mark.parametrize("exchanged", ["the run", "our folder", "a folder in it"])
def test_what_is_exchanged_for_a_link_meanwhile_is_not_emptied(home, killed, monkeypatch, tmp_path_factory, exchanged):
    """Who may write where the runs are could else have any folder of ours with that name removed."""
    other = tmp_path_factory.mktemp("other")
    os.makedirs(str(other / NAME / "deep"))
    for place in (NAME, NAME + "/deep"):
        (other / place / "precious").write_text("x")
    os.mkdir(os.path.join(killed, NAME, "deep"))
    path, target = {
        "the run": (killed, other),
        "our folder": (os.path.join(killed, NAME), other / NAME),
        "a folder in it": (os.path.join(killed, NAME, "deep"), other / NAME / "deep"),
    }[exchanged]
    real = run_module._is_left

    def exchange(*about):
        found = real(*about)
        os.rename(path, path + ".away")
        os.symlink(str(target), path)
        return found

    monkeypatch.setattr(run_module, "_is_left", exchange)
    home.remove_stale()
    assert (other / NAME / "precious").exists() and (other / NAME / "deep" / "precious").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: os.chmod(path, 0o777),
        lambda path: os.chmod(os.path.join(path, NAME), 0o770),
        pytest.param(lambda path: os.chown(path, OTHER_UID, OTHER_UID), marks=needs_root),
    ],
)
def test_what_others_could_have_put_there_stays(home, killed, spoil):
    spoil(killed)
    assert home.remove_stale() == [os.path.basename(killed)] and not home.said and not home.warnings


def test_what_is_no_directory_stays_without_a_word(home, killed):
    os.rename(killed, killed + ".away")
    os.symlink(killed + ".away", killed)
    with open(os.path.join(home.folder, "ansible-local-12abcdefgh"), "w", encoding="ascii"):
        pass
    assert len(home.remove_stale()) == 3 and not home.said and not home.warnings


def test_a_run_that_goes_on_keeps_its_folder(home):
    with started(["sleep", "600"]) as process:
        parent = home.run(process.pid)
        make_old(parent)
        assert home.remove_stale() == [os.path.basename(parent)] and len(os.listdir(os.path.join(parent, NAME))) == 2


def test_the_number_of_a_process_that_was_given_anew_is_not_the_run(home):
    with started(["sleep", "600"]) as process:
        parent = home.run(process.pid)
        change_owner_file(parent, lambda machine, owner: (machine, "%s 1" % owner.split()[0]))
        assert home.remove_stale() == []


def test_a_run_of_another_machine_has_two_days(home, killed):
    change_owner_file(killed, lambda machine, owner: ("another", owner))
    assert home.remove_stale() == [os.path.basename(killed)]
    os.rename(os.path.join(home.folder, "ansible-local-%dmyownrun" % os.getpid()), os.path.join(home.folder, "gone"))
    make_old(killed)
    assert home.remove_stale() == ["gone"]


@pytest.mark.parametrize("said", ["", "%s", "%s\n", "%s\n12"])
def test_what_is_just_being_claimed_stays(said, home, killed):
    path = os.path.join(killed, NAME, run_module.OWNER)
    with open(path, encoding="utf-8") as file:
        machine = file.readline().rstrip("\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write(said.replace("%s", machine))
    assert home.remove_stale() == [os.path.basename(killed)]


def test_what_nobody_claimed_stays(home):
    with started(["sleep", "600"]) as process:
        parent = home.run(process.pid, claimed=False)
    make_old(parent)
    assert home.remove_stale() == [os.path.basename(parent)]


@pytest.mark.parametrize(
    "name", ["ansible-local-12", "ansible-local-xabcdefgh", "ansible-tmp-12abcdefgh", "12abcdefgh"]
)
def test_a_directory_of_another_name_is_neither_claimed_nor_removed(name, home, killed):
    parent = os.path.join(home.folder, name)
    os.rename(killed, parent)
    assert home.remove_stale() == [name] and not home.said
    with store.open_run_dir(parent, "other") as run:
        assert not run_module.claim_run_dir(run, parent)


def test_it_is_claimed_once(home):
    parent = home.run(os.getpid())
    with store.open_run_dir(parent, NAME) as run:
        assert not run_module.claim_run_dir(run, parent)


def test_of_many_at_once_one_claims_it(home):
    """As the first tasks of all hosts do."""
    parent, fork = home.run(os.getpid(), claimed=False), multiprocessing.get_context("fork")
    start, firsts = fork.Barrier(8), fork.Array("i", 20)
    processes = [fork.Process(target=_claim, args=(start, parent, firsts), daemon=True) for dummy in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    assert list(firsts) == [1] * 20


def test_a_link_in_its_place_stays(home, killed, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    os.rename(os.path.join(killed, NAME), str(other / NAME))
    os.symlink(str(other / NAME), os.path.join(killed, NAME))
    assert home.remove_stale() == [os.path.basename(killed)] and len(os.listdir(str(other / NAME))) == 2


@needs_root
def test_what_belongs_to_another_user_stays(home, killed):
    os.chown(os.path.join(killed, NAME), OTHER_UID, OTHER_UID)
    assert home.remove_stale() == [os.path.basename(killed)] and not home.said


def test_what_cannot_be_removed_is_a_warning(home, killed, monkeypatch):
    def refuse(outer, name):
        raise PermissionError(13, "Permission denied", os.path.join(killed, name))

    monkeypatch.setattr(run_module, "_remove", refuse)
    assert home.remove_stale() == [os.path.basename(killed)] and not home.said
    assert home.warnings == [
        "left by a run that was killed, cannot be removed: %s/%s ([Errno 13] Permission denied: '%s/%s')"
        % (killed, NAME, killed, NAME)
    ]
