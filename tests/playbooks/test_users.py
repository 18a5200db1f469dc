# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users: what a plain one may and may not do, and which places root refuses because another user could change them.

Root runs these, and becomes the user ``nobody`` for the rest.
"""

import grp
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.accounts import account_text
from file_snapshots import look, names
from playbook_run import VERSION, task, task_args

USER = "nobody"
OTHER_GID = 54321


@pytest.fixture(scope="module")
def user():
    """The password entry of a plain user."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user, and give files away")
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        pytest.skip("there is no user %s" % USER)


@pytest.fixture(scope="module")
def as_user(user):
    """Variables of a host on which modules run as that user."""
    if not shutil.which("su"):
        pytest.skip("there is no su")
    wanted = "import sys; sys.exit(sys.version_info < (3, 9))"
    for python in (sys.executable, shutil.which("python3", path="/usr/bin:/bin") or sys.executable):
        try:
            tried = subprocess.run(
                [python, "-c", wanted], cwd="/", check=False, user=user.pw_uid, group=user.pw_gid, extra_groups=[]
            )
        except PermissionError:
            continue
        if tried.returncode == 0:
            return {
                "ansible_become": True,
                "ansible_become_method": "su",
                "ansible_become_user": USER,
                "ansible_become_flags": "-s /bin/sh",
                "ansible_python_interpreter": python,
            }
    pytest.skip("no Python 3.9 or later that %s may run" % USER)


@pytest.fixture(scope="module")
def place(user, module_site):
    """A folder that all can reach and only root can change, with the site in ``site``: a bare Python has no requests."""
    folder = tempfile.mkdtemp(prefix="terraform-binary-users-", dir="/tmp")
    os.chmod(folder, 0o755)
    module_site.write(os.path.join(folder, "site"))
    yield folder
    shutil.rmtree(folder)


def make(place, name, uid=0, gid=0, mode=0o755):
    """A directory with this owner and mode."""
    path = os.path.join(place, name)
    os.mkdir(path)
    os.chown(path, uid, gid)
    os.chmod(path, mode)
    return path


@pytest.fixture(scope="module")
def ask(play, module_site, place):
    """callable(dict of name and options, host variables for all, who runs them) -> dict of name and result."""

    def run(args_by_host, variables=None, runner=play):
        sites = ["file://%s/site" % place]
        asked = {
            name: task_args(module_site, **dict({"sites": sites}, **options)) for name, options in args_by_host.items()
        }
        return runner.each(asked, variables=dict.fromkeys(args_by_host, variables or {})).each

    return run


@pytest.fixture(scope="module")
def plain(ask, place, user, as_user):
    """What a plain user gets: results, and root's store as it was before and is after."""
    own, roots, hidden = make(place, "own", user.pw_uid, user.pw_gid), make(place, "roots"), make(place, "hidden")
    ask({"roots": {"store": roots}, "hidden": {"store": hidden, "mode": "0700"}})
    before = look(roots)
    results = ask(
        {
            "roots-in-order": {"store": roots},
            "roots-new-version": {"store": roots, "version": "1.13.3"},
            "roots-other-mode": {"store": roots, "mode": "0555"},
            "roots-remove": {"store": roots, "state": "absent"},
            "roots-link": {"store": roots, "link": os.path.join(roots, "terraform")},
            "new-store": {"store": os.path.join(place, "new", "store")},
            "unreadable": {"store": hidden, "mode": "0700"},
            "own": {"store": os.path.join(own, "store"), "link": os.path.join(own, "bin", "terraform")},
            "own-with-roots-link": {"store": os.path.join(own, "other"), "link": os.path.join(place, "terraform")},
            "give-away": {"store": os.path.join(own, "given"), "owner": "root"},
        },
        as_user,
    )
    return results, before == look(roots)


# Name, the path that is refused below the place, and what the message says was to be done there.
REFUSED = [
    ("roots-new-version", "roots/.terraform-1.13.3.lock", "cannot make the lock {0}: {1} may not write to "),
    ("roots-other-mode", "roots/.terraform-1.13.4.lock", "cannot open the lock {0}: {1} may not write to {0} (root:"),
    ("roots-remove", "roots/.terraform-1.13.4.lock", "cannot open the lock {0}: {1} may not write to {0} (root:"),
    ("roots-link", "roots/.terraform-1.13.4.lock", "cannot open the lock {0}: {1} may not write to {0} (root:"),
    ("new-store", "new/store/1.13.4/terraform", "cannot write {0}: {1} may not write to "),
    ("unreadable", "hidden/1.13.4/terraform", "open {0}: Permission denied (EACCES)"),
]


@pytest.mark.parametrize("name,path,words", REFUSED)
def test_the_error_of_a_plain_user_has_path_errno_and_hint(name, path, words, plain, place):
    result = plain[0][name]
    assert result["failed"] and not result["changed"], result
    error, where = result["error"], os.path.join(place, path)
    assert (error["step"], error["errno_name"], error["path"]) == ("install", "EACCES", where), result["msg"]
    assert result["msg"].startswith("%s: %s" % (name, words.format(where, USER)))
    assert "run as a user who may do this" in error["hint"] and error["hint"] in result["msg"]


def test_a_plain_user_changes_nothing_of_roots_store(plain):
    assert plain[1]


def test_a_plain_user_sees_that_roots_store_is_in_order(plain):
    result = plain[0]["roots-in-order"]
    assert not result["failed"] and not result["changed"], result
    assert result["intact_versions"] == [VERSION] and len(result["steps"]) <= 2


def test_a_plain_user_installs_into_an_own_directory(plain, place, user):
    result, store = plain[0]["own"], os.path.join(place, "own", "store")
    assert result["changed"] and not result["failed"], result
    owners = {entry.owner for entry in look(store).values()}
    assert owners == {user.pw_uid} and os.path.join(store, VERSION, "terraform") == result["path"]
    assert os.readlink(os.path.join(place, "own", "bin", "terraform")) == result["path"]


def test_a_link_that_cannot_be_made_is_refused_before_anything_is_installed(plain, place):
    result = plain[0]["own-with-roots-link"]
    assert result["failed"] and not result["changed"], result
    assert result["error"]["errno_name"] == "EACCES" and result["error"]["path"] == os.path.join(place, "terraform")
    assert result["error"]["path"] in result["msg"] and "another link" in result["error"]["hint"]
    assert not os.path.exists(os.path.join(place, "own", "other"))
    assert not [name for name in os.listdir(place) if "terraform" in name]


def test_only_root_gives_files_away(plain, place):
    result = plain[0]["give-away"]
    assert result["failed"] and not result["changed"], result
    assert (result["error"]["step"], result["error"]["errno_name"]) == ("install", "EPERM")
    assert "run as a user who may do this" in result["error"]["hint"]
    assert names(os.path.join(place, "own", "given")) == [".terraform-%s.lock" % VERSION, "%s/" % VERSION]


@pytest.fixture(scope="module")
def unsafe(ask, tasks, place, user):
    """What root gets to hear of places that other users could change."""
    theirs = make(place, "theirs", user.pw_uid, user.pw_gid)
    sticky = make(place, "sticky", mode=0o1777)
    for folder in (sticky, make(place, "ours")):
        os.symlink(place, os.path.join(folder, "their-link"))
        os.lchown(os.path.join(folder, "their-link"), user.pw_uid, user.pw_gid)
    for name in ("store", "version"):
        make(place, "weak-" + name)
    os.chmod(os.path.join(place, "weak-store"), 0o777)
    make(os.path.join(place, "weak-version"), VERSION, user.pw_uid)
    stores = {
        "their-directory": os.path.join(theirs, "store"),
        "group-writable": os.path.join(make(place, "group", 0, OTHER_GID, 0o775), "store"),
        "world-writable": os.path.join(make(place, "world", mode=0o777), "store"),
        "their-link": os.path.join(sticky, "their-link", "store-1"),
        "their-link-with-us": os.path.join(place, "ours", "their-link", "store-2"),
        "weak-store": os.path.join(place, "weak-store"),
        "weak-version": os.path.join(place, "weak-version"),
        "sticky": os.path.join(sticky, "store"),
    }
    args_by_host = {name: {"store": store} for name, store in stores.items()}
    args_by_host["link-in-theirs"] = {"store": os.path.join(place, "safe"), "link": os.path.join(theirs, "terraform")}
    refused = ask(args_by_host, runner=tasks)
    left = {name: names(store) for name, store in stores.items()}
    allowed = {
        name: dict(options, allow_unsafe_base_dir=True) for name, options in args_by_host.items() if name != "sticky"
    }
    return {
        "refused": refused,
        "left": left,
        "allowed": ask(allowed, runner=tasks),
        "again": ask(allowed, runner=tasks),
        "stores": stores,
    }


def mode_and_owner(path):
    return account_text(os.lstat(path))


# Name, what is weak, below the place, and whether allow_unsafe_base_dir lets it pass.
WEAK = [
    ("their-directory", "theirs", True),
    ("group-writable", "group", True),
    ("world-writable", "world", True),
    ("their-link", "sticky/their-link", True),
    ("their-link-with-us", "ours/their-link", True),
    ("link-in-theirs", "theirs", True),
    ("weak-store", "weak-store", False),
    ("weak-version", "weak-version/" + VERSION, False),
]


@pytest.mark.parametrize("name,weak,_overridable", WEAK)
def test_a_place_that_others_could_change_is_refused_by_name(name, weak, _overridable, unsafe, place):
    result, culprit = unsafe["refused"][name], os.path.join(place, weak)
    assert result["failed"] and not result["changed"], result
    assert (result["error"]["step"], result["error"]["errno_name"]) == ("install", "EPERM")
    assert culprit in result["msg"] and mode_and_owner(culprit) in result["msg"] and "not safe" in result["msg"]
    assert "directories that only root can write" in result["error"]["hint"]
    assert "\n" not in result["msg"] and len(result["msg"]) <= 400


@pytest.mark.parametrize("name,_weak,_overridable", [row for row in WEAK if row[0] != "link-in-theirs"])
def test_nothing_is_created_there(name, _weak, _overridable, unsafe):
    assert unsafe["left"][name] == (["%s/" % VERSION] if name == "weak-version" else [])


@pytest.mark.parametrize("name,weak,_overridable", [row for row in WEAK if row[2]])
def test_allow_unsafe_base_dir_warns_in_every_run_and_records_it(name, weak, _overridable, unsafe, place):
    culprit = os.path.join(place, weak)
    for run, changed in (("allowed", True), ("again", False)):
        result = unsafe[run][name]
        assert not result["failed"] and result["changed"] is changed, result
        assert [warning for warning in result["warnings"] if "allow_unsafe_base_dir" in warning and culprit in warning]
    with open(os.path.join(os.path.dirname(result["path"]), "terraform.json"), encoding="ascii") as file:
        recorded = json.load(file)["base_dir_unsafe"]
    assert [
        unsafe_reason
        for unsafe_reason in recorded
        if culprit in unsafe_reason and mode_and_owner(culprit) in unsafe_reason
    ], recorded


@pytest.mark.parametrize("name,weak,_overridable", [row for row in WEAK if not row[2]])
def test_the_rules_of_the_store_itself_stay(name, weak, _overridable, unsafe, place):
    for run in ("allowed", "again"):
        result = unsafe[run][name]
        assert result["failed"] and os.path.join(place, weak) in result["msg"], result


def test_a_sticky_directory_is_safe_for_what_is_our_own(unsafe):
    result = unsafe["refused"]["sticky"]
    assert result["changed"] and not result["failed"], result
    assert "warnings" not in result or not result["warnings"]


def test_owner_and_group_are_set_kept_and_taken_back(play, module_site, place, user):
    store, binary = os.path.join(place, "owned"), os.path.join(place, "owned", VERSION, "terraform")
    group = grp.getgrgid(user.pw_gid).gr_name

    def ask(name, **options):
        """A task, and one that notes who owns the binary after it."""
        return [
            task(name, module_site, store, **options),
            {"name": "after " + name, "ansible.builtin.command": {"argv": ["stat", "-c", "%u:%g", binary]}},
        ]

    run = play(
        ask("ours")
        + ask("given", owner=USER)
        + ask("kept", owner=USER)
        + ask("group", owner=USER, group=group)
        + ask("back", owner="0", group="0")
    )
    names = ("ours", "given", "kept", "group", "back")
    assert not [run[name] for name in names if run[name]["failed"]]
    assert [run[name]["changed"] for name in names] == [True, True, False, True, True]
    uid, gid = user.pw_uid, user.pw_gid
    owners = ["0:0", "%d:0" % uid, "%d:0" % uid, "%d:%d" % (uid, gid), "0:0"]
    assert [run["after " + name]["stdout"] for name in names] == owners
    # What a user owned that user may hold open for writing: taken back, it is another file.
    assert any("who could rewrite it" in step for step in run["back"]["steps"]), run["back"]["steps"]
