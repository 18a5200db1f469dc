# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The walk to a directory: every component checked, missing ones made, nothing created by a look or after a refusal."""

import contextlib
import errno
import grp
import os
import pwd
import re
import resource
import shutil
import socket
import stat
import struct
import subprocess

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import InstallError
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory as directory_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import mounts
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.accounts import (
    group_name,
    other_members,
    user_name,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.directory import (
    MAX_LINKS,
    Directory,
    TrustedOwners,
    check_entry,
    kind_text,
    open_trusted_directory,
    owner_text,
    trusted_owners,
)
from support.system import (
    NOBODY,
    OTHER_UID,
    ROOT,
    as_plain_user,
    in_child,
    lying_disk,
    mounted_again,
    needs_root,
    open_descriptors,
    open_folder,
    small_disk,
    traced,
)

ONLY_ROOT = TrustedOwners(frozenset({0}), frozenset({0}))


@pytest.fixture
def place():
    with open_folder() as folder:
        yield folder


@pytest.fixture
def alone(monkeypatch):
    """Nobody else is in any group, whatever this host's databases say."""
    monkeypatch.setattr(directory_module, "other_members", lambda gid, trusted: None)


@contextlib.contextmanager
def under_umask(umask):
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


def make(place, *names, **settings):
    """A folder below ``place``, made name by name; ``mode``, ``uid`` and ``gid`` are for the last."""
    path = place
    for name in names:
        path = os.path.join(path, name)
        if not os.path.isdir(path):
            os.mkdir(path)
            os.chmod(path, 0o755)
    if "uid" in settings or "gid" in settings:
        os.chown(path, settings.get("uid", -1), settings.get("gid", -1))
    os.chmod(path, settings.get("mode", 0o755))
    return path


def go(path, **settings):
    """walk() to a path; what it says is thrown away unless ``say`` is given."""
    settings.setdefault("owners", trusted_owners())
    settings.setdefault("log", lambda line: None)
    return open_trusted_directory(path, "base_dir", **settings)


def reach(path, **settings):
    """Where the walk arrives; the directory is closed again."""
    with go(path, **settings) as directory:
        return directory.path


def refusal(path, **settings):
    with pytest.raises(InstallError) as caught:
        reach(path, **settings)
    return caught.value


# ------------------------------------------------------------------ who is trusted


def test_root_and_the_effective_user_and_the_owner_asked_for_are_trusted():
    assert trusted_owners().uids == {0, os.geteuid()}
    assert trusted_owners(OTHER_UID).uids == {0, os.geteuid(), OTHER_UID}


def test_a_plain_user_trusts_its_primary_group():
    assert as_plain_user(lambda: trusted_owners().gids == {0, os.getegid()})


@needs_root
def test_root_trusts_no_group_but_its_own():
    def other_group():
        os.setegid(OTHER_UID)
        return trusted_owners().gids

    assert in_child(other_group) == {0}


# ------------------------------------------------------------------ looking and making


def test_a_directory_is_opened_under_its_path(place):
    made = make(place, "a", "b")
    with go(made) as directory:
        assert directory.path == made
        assert os.path.samestat(os.fstat(directory.fd), os.stat(made))


@pytest.mark.parametrize("spelled", ["%s//a///b/", "%s/a/./b", "%s/a/../a/b"])
def test_a_path_may_be_spelled_oddly(place, spelled):
    made = make(place, "a", "b")
    assert reach(spelled % place) == made


def test_the_root_itself_can_be_walked_to():
    assert reach("/") == "/"
    assert reach("/..") == "/"


def test_a_look_creates_nothing(place):
    assert go(os.path.join(place, "a", "b", "c")) is None
    assert os.listdir(place) == []


@pytest.mark.parametrize("umask", [0o077, 0o777, 0o000])
def test_missing_components_are_made_0755_whatever_the_umask(place, umask):
    lines = []
    path = os.path.join(place, "a", "b", "c")
    with under_umask(umask):
        assert reach(path, create=True, log=lines.append) == path
        assert os.umask(umask) == umask
    made = [os.path.join(place, "a"), os.path.join(place, "a", "b"), path]
    assert [stat.S_IMODE(os.stat(name).st_mode) for name in made] == [0o755] * 3
    assert lines == ["directory created and checked: %s (drwxr-xr-x)" % name for name in made]


def test_what_is_there_is_not_made_again(place):
    lines = []
    made = make(place, "a", mode=0o700)
    reach(made, create=True, log=lines.append)
    assert (lines, stat.S_IMODE(os.stat(made).st_mode)) == ([], 0o700)


def test_a_directory_is_born_with_its_mode_and_its_parent_is_synced(place, tmp_path):
    _result, calls = traced(
        tmp_path,
        """
        import os
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory
        os.umask(0o077)
        directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), print, create=True).close()
        result = None
    """
        % os.path.join(place, "new"),
        ["mkdir", "mkdirat", "umask", "fchmod", "fsync"],
    )
    new = os.path.join(place, "new")
    steps = [line for line in calls if not line.startswith("fchmod") or new in line]
    steps = steps[[number for number, line in enumerate(steps) if line.startswith("umask(077)")][0] :]
    found = [re.match(r"(\w+)\((?:\d+<([^>]*)>|(0\d+))?", line).groups() for line in steps]
    assert found == [
        ("umask", None, "077"),
        ("umask", None, "022"),
        ("mkdirat", place, None),
        ("umask", None, "077"),
        ("fsync", place, None),
    ]


@pytest.mark.parametrize(
    "put, words",
    [
        (lambda path: open(path, "w").close(), "a regular file of 0 bytes"),
        (os.mkfifo, "a named pipe"),
    ],
)
@pytest.mark.parametrize("below", [(), ("below", "it")])
@pytest.mark.parametrize("create", [True, False])
def test_a_component_that_is_no_directory_is_named(place, put, words, below, create):
    there = os.path.join(place, "there")
    put(there)
    error = refusal(os.path.join(there, *below), create=create)
    assert (error.errno, error.path) == (errno.ENOTDIR, there)
    assert "base_dir %s: %s is not a directory but %s" % (os.path.join(there, *below), there, words) in str(error)
    assert error.hint


def test_a_directory_that_goes_away_at_once_is_missed(place):
    new = os.path.join(place, "new")
    error = refusal(new, create=True, log=lambda line: os.rmdir(new))
    assert (error.errno, error.path) == (errno.ENOENT, new)
    assert "it is not there" in str(error) and "removes it" in error.hint


def test_a_disk_that_makes_no_directory_is_found_out(place, tmp_path):
    """mkdir(2) says yes and does nothing: what is there instead keeps its mode, and fchmod(2) does nothing either."""
    make(place, "old", mode=0o700)
    result, _calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory
        from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
        try:
            with directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), print) as directory:
                directory.make("old", print)
            result = None
        except _errors.InstallError as exc:
            result = [str(exc), exc.path, exc.errno, bool(exc.hint)]
    """
        % place,
        ["mkdirat", "fchmod"],
        "mkdirat:retval=0",
        "fchmod:retval=0",
    )
    old = os.path.join(place, "old")
    assert result[1:] == [old, errno.EIO, True]
    assert "created directory %s but found" % old in result[0] and "drwx------ there, expected drwxr-xr-x" in result[0]


def test_a_disk_that_makes_nothing_at_all_is_found_out(place, tmp_path):
    result, _calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory
        from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
        try:
            directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), print, create=True)
            result = None
        except _errors.InstallError as exc:
            result = [exc.path, exc.errno]
    """
        % os.path.join(place, "new"),
        ["mkdirat"],
        "mkdirat:retval=0",
    )
    assert result == [os.path.join(place, "new"), errno.ENOENT]


def test_a_directory_that_a_concurrent_run_made_first_is_fine_and_synced(place, monkeypatch):
    make(place, "there", mode=0o711)
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), fsync(fd)))
    with go(place) as directory:
        directory.make("there", lambda line: pytest.fail("it was not us"))
    assert synced == [os.stat(place).st_ino]
    assert stat.S_IMODE(os.stat(os.path.join(place, "there")).st_mode) == 0o711


def test_a_place_where_nothing_can_be_made(place):
    closed = make(place, "closed", mode=0o555)

    def attempt():
        reach(
            os.path.join(closed, "a"),
            create=True,
            owners=TrustedOwners(frozenset({0, os.geteuid(), os.stat(place).st_uid}), frozenset()),
        )

    with pytest.raises(InstallError) as caught:
        as_plain_user(attempt)
    assert (caught.value.errno, caught.value.path) == (errno.EACCES, os.path.join(closed, "a"))
    assert "create directory" in str(caught.value) and "run as a user who may do this" in caught.value.hint


@needs_root
def test_a_read_only_disk(place):
    with mounted_again(make(place, "ro"), "ro") as folder:
        error = refusal(os.path.join(folder, "a"), create=True)
    assert (error.errno, error.path) == (errno.EROFS, os.path.join(folder, "a"))


@needs_root
def test_a_disk_without_room_for_names(place):
    with small_disk(make(place, "small"), "nr_inodes=2") as folder:
        assert reach(os.path.join(folder, "a"), create=True)
        error = refusal(os.path.join(folder, "a", "b"), create=True)
    assert (error.errno, error.path) == (errno.ENOSPC, os.path.join(folder, "a", "b"))


# ------------------------------------------------------------------ passing through


def test_directories_that_cannot_be_listed_can_be_passed(place):
    inner = make(place, "outer", "inner")
    os.chmod(os.path.dirname(inner), 0o311)

    def attempt():
        owners = TrustedOwners(frozenset({0, os.stat(place).st_uid}), frozenset({0}))
        return reach(inner, owners=owners)

    assert as_plain_user(attempt) == inner
    os.chmod(os.path.dirname(inner), 0o755)


@needs_root
def test_roots_0711_directories_can_be_passed_by_a_plain_user(place):
    inner = make(place, "outer", "inner")
    make(place, "outer", mode=0o711)
    assert as_plain_user(lambda: reach(inner)) == inner


def test_a_directory_that_cannot_be_searched_is_named(place):
    inner = make(place, "outer", "inner")
    make(place, "outer", mode=0o600)

    def attempt():
        reach(inner, owners=TrustedOwners(frozenset({0, os.stat(place).st_uid}), frozenset({0})))

    with pytest.raises(InstallError) as caught:
        as_plain_user(attempt)
    make(place, "outer")
    assert (caught.value.errno, caught.value.path) == (errno.EACCES, inner)


# ------------------------------------------------------------------ symbolic links


def link(place, name, target):
    os.symlink(target, os.path.join(place, name))
    return os.path.join(place, name)


def test_links_are_followed_and_the_path_is_the_real_one(place):
    made = make(place, "real", "inner")
    assert reach(link(place, "absolute", made)) == made
    assert reach(link(place, "relative", "real/inner")) == made
    assert reach(link(place, "dotted", "./real/./inner/")) == made
    assert reach(link(place, "up", "real/inner/../../real/inner")) == made
    assert reach(os.path.join(link(place, "halfway", "real"), "inner")) == made
    assert reach(link(place, "chain", "halfway/inner")) == made


def test_up_from_a_link_is_up_from_where_it_leads(place):
    make(place, "far", "away", "inner")
    beside = make(place, "far", "beside")
    link(place, "near", "far/away/inner")
    assert reach(os.path.join(place, "near", "..", "..", "beside")) == beside


def test_a_link_that_leads_nowhere(place):
    dangling = link(place, "dangling", os.path.join(place, "not", "yet"))
    assert go(dangling) is None
    assert reach(dangling, create=True) == os.path.join(place, "not", "yet")


def test_forty_links_are_enough(place):
    made = make(place, "0")
    for number in range(1, MAX_LINKS + 2):
        link(place, str(number), str(number - 1))
    assert MAX_LINKS == 40
    assert reach(os.path.join(place, "40")) == made
    error = refusal(os.path.join(place, "41"))
    assert (error.errno, error.path) == (errno.ELOOP, os.path.join(place, "41"))
    assert "more than 40 symbolic links" in str(error) and error.hint


def test_a_loop_ends(place):
    link(place, "a", "b")
    assert refusal(link(place, "b", "a"), create=True).errno == errno.ELOOP


@needs_root
def test_the_link_of_another_user_is_refused_even_where_only_root_can_write(place):
    made = make(place, "real")
    foreign = link(place, "foreign", made)
    os.chown(foreign, OTHER_UID, OTHER_UID, follow_symlinks=False)
    error = refusal(foreign)
    assert "the symbolic link %s belongs to %d:%d, lrwxrwxrwx" % (foreign, OTHER_UID, OTHER_UID) in str(error)
    assert error.errno == errno.EPERM
    assert reach(foreign, owners=trusted_owners(OTHER_UID)) == made


def test_the_target_of_a_link_is_checked_too(place):
    """Neither the directory of the link nor the link is at fault."""
    unsafe = make(place, "unsafe", mode=0o777)
    make(place, "unsafe", "inner")
    make(place, "unsafe", mode=0o777)
    assert "%s can be written by others" % unsafe in str(refusal(link(place, "link", "unsafe/inner")))


# ------------------------------------------------------------------ who could exchange it


def unsafe_places(place):
    """Directories with something in them, and the words by which each is refused."""
    made = make(place, "anyone", "a")
    yield made, make(place, "anyone", mode=0o777), "can be written by others"
    if ROOT:
        made = make(place, "theirs", "a")
        yield made, make(place, "theirs", uid=OTHER_UID), "belongs to %d:" % OTHER_UID
        made = make(place, "group", "a")
        yield made, make(place, "group", gid=OTHER_UID, mode=0o775), "can be written by others"
        make(place, "sticky", "a", uid=OTHER_UID)
        yield os.path.join(place, "sticky", "a"), make(place, "sticky", mode=0o1777), "the entry in it belongs to"
        made = link(make(place, "linked"), "a", "/")
        os.chown(made, OTHER_UID, OTHER_UID, follow_symlinks=False)
        yield made, make(place, "linked", mode=0o1777), "the entry in it belongs to"


def test_what_others_could_exchange_is_refused_by_name(place):
    for path, weak, words in unsafe_places(place):
        error = refusal(path)
        found = os.stat(weak)
        assert (error.errno, error.path) == (errno.EPERM, path)
        assert "base_dir %s is not safe: %s %s" % (path, weak, words) in str(error).replace(
            " (%s) and" % owner_text(found), " and"
        ).replace("can be written by others and the", "the")
        assert owner_text(found) in str(error), "owner, group and mode have to be named"
        assert ("become_user: %s" % user_name(found.st_uid) in error.hint) == (
            "belongs to" in words and "entry" not in words
        )
        assert "allow_unsafe_base_dir: true, or use a base_dir below directories that only root" in error.hint
        assert "so others than %s could replace" % user_name(os.geteuid()) in str(error)
        plain = stat.S_IMODE(found.st_mode) in (0o777, 0o775)
        assert (
            error.hint.startswith("chmod %s %s, or " % ("go-w" if found.st_mode & stat.S_IWOTH else "g-w", weak))
            == plain
        )


def test_what_may_be_allowed_is_said_only_where_it_helps(place):
    """Not for the store's own directories, whose rules nothing relaxes, and not for the controller's."""
    unsafe = make(place, "unsafe", mode=0o777)
    for what, own, helps in (
        ("base_dir", False, True),
        ("link", False, True),
        ("base_dir", True, False),
        ("cache_dir", False, False),
    ):
        with open_trusted_directory(unsafe, what, trusted_owners(), None) as directory, pytest.raises(
            InstallError
        ) as caught:
            check_entry(directory, None, unsafe, what, own=own)
        assert ("allow_unsafe_base_dir" in caught.value.hint) == helps
        assert caught.value.hint.startswith("chmod go-w %s, or " % unsafe)


def test_allow_unsafe_collects_the_same_complaints_once(place):
    for path, _weak, _words in unsafe_places(place):
        complaint = str(refusal(path)).split(" is not safe: ")[1].split(", so others than")[0]
        safety_warnings = []
        target = os.path.realpath(path)
        assert reach(path, safety_warnings=safety_warnings) == target
        assert safety_warnings[0] == complaint
        reach(path, safety_warnings=safety_warnings)
        assert len(safety_warnings) == len(set(safety_warnings))


def test_allow_unsafe_says_nothing_about_a_safe_place(place):
    safety_warnings = []
    reach(make(place, "a"), safety_warnings=safety_warnings)
    assert safety_warnings == []


def test_nothing_is_made_where_others_could_exchange_it(place):
    unsafe = make(place, "unsafe", mode=0o777)
    assert "can be written by others" in str(refusal(os.path.join(unsafe, "a", "b"), create=True))
    assert os.listdir(unsafe) == []


def test_a_directory_that_is_not_ours_is_refused(place):
    """As a plain user sees it who trusts root alone: his own folder is another's."""
    if ROOT:
        os.chown(place, NOBODY, NOBODY)
    assert "belongs to %s:" % user_name(os.stat(place).st_uid) in str(refusal(make(place, "a"), owners=ONLY_ROOT))


def test_in_a_sticky_directory_what_is_ours_passes_and_can_be_made(place):
    sticky = make(place, "sticky", mode=0o1777)
    path = os.path.join(sticky, "a", "b")
    assert reach(path, create=True) == path
    assert reach(path) == path


@needs_root
def test_in_a_sticky_directory_what_another_user_put_there_first_is_refused(place):
    """A local user squats the name before the first install."""
    sticky = make(place, "sticky", mode=0o1777)
    squatted = os.path.join(sticky, "iac-platform")
    as_plain_user(lambda: os.mkdir(squatted))
    error = refusal(os.path.join(squatted, "terraform-binaries"), create=True)
    assert "the entry in it belongs to %s:" % user_name(NOBODY) in str(error)
    assert os.listdir(squatted) == []


@needs_root
def test_a_name_squatted_between_look_and_making_is_refused(place):
    sticky = make(place, "sticky", mode=0o1777)
    with go(sticky) as directory:
        assert directory.unsafe_reason(directory.stat("a")) is None
        as_plain_user(lambda: os.mkdir(os.path.join(sticky, "a")))
        directory.make("a", lambda line: pytest.fail("it was not us"))
        assert "belongs to %s:" % user_name(NOBODY) in directory.unsafe_reason(directory.stat("a")).reason


@needs_root
def test_a_sticky_directory_of_another_user_is_theirs(place):
    make(place, "sticky", "a")
    sticky = make(place, "sticky", uid=OTHER_UID, mode=0o1777)
    assert "%s belongs to" % sticky in str(refusal(os.path.join(sticky, "a")))


@needs_root
def test_roots_group_may_write(place):
    make(place, "group", "a")
    path = os.path.join(make(place, "group", gid=0, mode=0o775), "a")
    others = other_members(0, {0, NOBODY})
    if others:  # as on RHEL
        assert "in that group: %s)" % others in str(refusal(path))
        pytest.skip("here the group 0 is not root's alone")
    assert reach(path)
    assert as_plain_user(lambda: reach(path))


@needs_root
def test_a_plain_users_own_group_may_write_and_no_other(place):
    make(place, "group", "a")
    path = os.path.join(make(place, "group", gid=OTHER_UID, mode=0o775), "a")
    assert as_plain_user(lambda: reach(path), gid=OTHER_UID) == path
    with pytest.raises(InstallError, match="can be written by others"):
        as_plain_user(lambda: reach(path))


@needs_root
def test_a_plain_users_own_group_may_not_write_while_others_have_it_too(place):
    """A primary group that several accounts of this host share, as "users" or "nogroup"."""
    shared = [
        account for account in pwd.getpwall() if account.pw_uid and other_members(account.pw_gid, {0, account.pw_uid})
    ]
    if not shared:
        pytest.skip("no two accounts of this host have a primary group in common")
    me = shared[0]
    others = other_members(me.pw_gid, {0, me.pw_uid})
    make(place, "group", "a")
    path = os.path.join(make(place, "group", uid=me.pw_uid, gid=me.pw_gid, mode=0o775), "a")
    with pytest.raises(InstallError) as caught:
        as_plain_user(lambda: reach(path), uid=me.pw_uid, gid=me.pw_gid)
    found = "%s:%s, drwxrwxr-x" % (me.pw_name, grp.getgrgid(me.pw_gid).gr_name)
    assert "can be written by others (%s; in that group: %s), so" % (found, others) in str(caught.value)
    assert caught.value.hint.startswith(
        "chmod g-w %s, or allow_unsafe_base_dir: true, or use a" % os.path.dirname(path)
    )


def test_our_own_group_may_not_write_while_others_are_in_it(place, monkeypatch):
    make(place, "group", "a")
    path = os.path.join(make(place, "group", mode=0o775), "a")
    gid = os.stat(os.path.dirname(path)).st_gid
    mine = TrustedOwners(frozenset({0, os.geteuid()}), frozenset({gid}))
    asked = []

    def others_in(*arguments):
        asked.append(arguments)
        return "bob"

    monkeypatch.setattr(directory_module, "other_members", others_in)
    assert "; in that group: bob), so" in str(refusal(path, owners=mine))
    assert asked == [(gid, mine.uids)]
    os.chmod(os.path.dirname(path), 0o1775)
    assert reach(path, owners=mine) == path, "sticky, and what is in it is ours"


@needs_root
def test_the_remedy_of_the_refusal_is_one(place):
    make(place, "it's a group", "a")
    weak = make(place, "it's a group", gid=OTHER_UID, mode=0o775)
    command = refusal(os.path.join(weak, "a")).hint.partition(", or ")[0]
    subprocess.check_call(command, shell=True)
    assert reach(os.path.join(weak, "a"))


# ------------------------------------------------------------------ who mounted it


@needs_root
def test_a_users_file_system_may_say_that_it_is_roots(place):
    """Its owner answers what they like; in a directory like /tmp it would pass."""
    sticky = make(place, "tmp", mode=0o1777)
    mine = make(place, "tmp", "iac-platform", uid=OTHER_UID)
    os.chmod(sticky, 0o1777)
    with lying_disk(mine, OTHER_UID):
        path = os.path.join(mine, "terraform-binaries")
        assert os.stat(path).st_uid == 0 and stat.S_IMODE(os.stat(path).st_mode) == 0o755
        for create in (False, True):
            error = refusal(path, create=create)
            assert "base_dir %s is not safe: %s (root:root, drwxr-xr-x) is on a file system that user %d mounted" % (
                path,
                mine,
                OTHER_UID,
            ) in str(error)
        with go(mine) as directory, pytest.raises(InstallError, match="user %d mounted" % OTHER_UID):
            check_entry(directory, None, mine, "base_dir")
        safety_warnings = []
        assert reach(path, safety_warnings=safety_warnings) == path
        assert len(safety_warnings) == 1 and "mounted" in safety_warnings[0]
        assert reach(path, owners=trusted_owners(OTHER_UID)) == path
        with pytest.raises(InstallError, match="user %d mounted" % OTHER_UID):
            as_plain_user(lambda: reach(path))
        deep = os.path.join(path, "1.13.4")
        with go(deep, owners=trusted_owners(OTHER_UID)) as directory:
            directory.owners = trusted_owners()
            assert "user %d mounted" % OTHER_UID in directory.unsafe_reason(None).reason


@needs_root
def test_a_file_system_that_root_mounted_with_fuse_passes(place):
    with lying_disk(make(place, "disk"), 0) as disk:
        assert reach(os.path.join(disk, "a")) == os.path.join(disk, "a")


@needs_root
def test_below_a_users_file_system_another_of_roots_does_not_help(place):
    with lying_disk(make(place, "disk"), OTHER_UID) as disk:
        inner = os.path.join(disk, "inner")
        with small_disk(inner):
            os.mkdir(os.path.join(inner, "a"))
            assert "user %d mounted" % OTHER_UID in str(refusal(os.path.join(inner, "a")))


@needs_root
def test_a_users_file_system_bound_elsewhere_by_root_is_still_the_users(place):
    with lying_disk(make(place, "disk"), OTHER_UID) as disk:
        there = make(place, "there")
        subprocess.check_call(["mount", "--bind", os.path.join(disk, "sub"), there])
        try:
            assert "user %d mounted" % OTHER_UID in str(refusal(os.path.join(there, "a")))
        finally:
            subprocess.check_call(["umount", "-l", there])


@needs_root
def test_a_file_system_that_was_unmounted_under_us_is_not_believed(place):
    with small_disk(make(place, "disk")) as disk:
        directory = go(disk)
    with directory, pytest.raises(InstallError) as caught:
        directory.unsafe_reason(None)
    assert caught.value.errno == errno.ESTALE and caught.value.path == disk


def test_where_the_mounting_user_is_unknown_the_mode_decides(place, monkeypatch):
    """As on macOS."""
    monkeypatch.setattr(mounts, "_read", lambda path: None)
    assert reach(make(place, "a", "b")) == os.path.join(place, "a", "b")


def test_a_list_of_mounts_that_breaks_is_an_error(place, monkeypatch):
    path = make(place, "a", "b")

    def read(path):
        raise OSError(errno.EIO, "x")

    monkeypatch.setattr(mounts, "_read", read)
    error = refusal(path)
    assert (error.errno, error.path) == (errno.EIO, "/")


def test_our_own_group_may_write_when_we_are_no_root(alone, place):
    make(place, "group", "a")
    path = os.path.join(make(place, "group", mode=0o775), "a")
    gid = os.stat(os.path.dirname(path)).st_gid
    mine = TrustedOwners(frozenset({0, os.geteuid()}), frozenset({gid}))
    assert reach(path, owners=mine) == path
    assert "can be written by others" in str(refusal(path, owners=mine._replace(gids=frozenset({gid + 1}))))


def grant(path, uid):
    """Give a user all rights in a directory by an access control list (acl(5); layout: linux/posix_acl_xattr.h)."""
    nobody = 0xFFFFFFFF
    entries = [(0x01, 7, nobody), (0x02, 7, uid), (0x04, 5, nobody), (0x10, 7, nobody), (0x20, 5, nobody)]
    try:
        os.setxattr(
            path,
            "system.posix_acl_access",
            struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries),
        )
    except OSError as exc:
        if exc.errno != errno.ENOTSUP:
            raise
        pytest.skip("no access control lists on the file system of %s" % path)


def test_whom_an_access_control_list_lets_in_is_seen_in_the_group_bits_only(alone, place):
    granted = make(place, "granted")
    path = make(place, "granted", "a")
    trusting = TrustedOwners(frozenset({0, os.geteuid()}), frozenset({os.stat(granted).st_gid}))
    grant(granted, OTHER_UID)
    assert stat.S_IMODE(os.stat(granted).st_mode) == 0o775
    error = refusal(path, owners=trusting)
    assert "%s can be written by others" % granted in str(error) and "access control list" in str(error)
    assert error.hint.startswith("setfacl -b %s, or " % granted)
    os.removexattr(granted, "system.posix_acl_access")
    os.chmod(granted, 0o775)
    assert reach(path, owners=trusting) == path


@pytest.mark.parametrize(
    "number, safe",
    [
        (errno.ENODATA, True),
        (errno.ENOTSUP, True),
        (errno.ENOENT, True),
        (errno.EIO, False),
    ],
)
def test_an_access_control_list_that_cannot_be_read(alone, place, monkeypatch, number, safe):
    path = os.path.join(make(place, "group", mode=0o775), "a")
    os.mkdir(path)
    trusting = TrustedOwners(frozenset({0, os.geteuid()}), frozenset({os.stat(os.path.dirname(path)).st_gid}))

    def getxattr(*arguments):
        raise OSError(number, "x")

    monkeypatch.setattr(os, "getxattr", getxattr)
    if safe:
        assert reach(path, owners=trusting) == path
    else:
        assert refusal(path, owners=trusting).errno == number


def test_a_system_without_such_calls(alone, place, monkeypatch):
    path = make(place, "group", "a")
    make(place, "group", mode=0o775)
    monkeypatch.delattr(os, "getxattr")
    assert reach(path, owners=TrustedOwners(frozenset({0, os.geteuid()}), frozenset({os.stat(path).st_gid}))) == path


@needs_root
def test_the_owner_asked_for_is_trusted(place):
    make(place, "theirs", "a")
    path = os.path.join(make(place, "theirs", uid=OTHER_UID), "a")
    assert reach(path, owners=trusted_owners(OTHER_UID)) == path
    assert "belongs to %d" % OTHER_UID in str(refusal(path, owners=trusted_owners(OTHER_UID + 1)))


@needs_root
def test_another_users_directory_is_refused_for_a_plain_user_too(place):
    make(place, "theirs", "a")
    path = os.path.join(make(place, "theirs", uid=OTHER_UID), "a")
    with pytest.raises(InstallError, match="belongs to %d" % OTHER_UID):
        as_plain_user(lambda: reach(path))


def test_the_directory_itself_is_checked_with_what_is_put_into_it(place):
    unsafe = make(place, "unsafe", mode=0o777)
    open(os.path.join(unsafe, "terraform"), "w").close()
    with go(unsafe) as directory:
        for entry in (None, directory.stat("terraform")):
            with pytest.raises(InstallError, match="%s can be written by others" % unsafe):
                check_entry(directory, entry, unsafe, "base_dir")
        safety_warnings = []
        check_entry(directory, None, unsafe, "base_dir", safety_warnings)
        assert safety_warnings == [directory.unsafe_reason(None).reason]


# ------------------------------------------------------------------ an open directory


def test_names_are_relative_to_the_descriptor_and_not_to_the_path(place):
    with go(make(place, "a")) as directory:
        os.rename(os.path.join(place, "a"), os.path.join(place, "moved"))
        make(place, "a", "decoy")
        directory.make("inner", lambda line: None)
        assert directory.names() == ["inner"]
        directory.enter("inner").close()
        with pytest.raises(InstallError):
            directory.enter("decoy")
    assert os.listdir(os.path.join(place, "moved")) == ["inner"]


def test_an_entry_is_looked_at_and_not_followed(place):
    with go(place) as directory:
        assert directory.stat("missing") is None
        link(place, "link", "/")
        assert stat.S_ISLNK(directory.stat("link").st_mode)
        with pytest.raises(InstallError) as caught:
            directory.stat("x" * 300)
        assert caught.value.errno == errno.ENAMETOOLONG
        assert directory.at("x" * 300) == caught.value.path


def test_a_link_is_not_entered(place):
    link(place, "link", "/")
    with go(place) as directory:
        with pytest.raises(InstallError) as caught:
            directory.enter("link")
    assert (caught.value.errno, caught.value.path) == (errno.ENOTDIR, os.path.join(place, "link"))


def test_names_are_sorted_and_can_be_asked_for_twice(place):
    for name in ("b", "a", ".c"):
        os.mkdir(os.path.join(place, name))
    with go(place) as directory:
        assert directory.names() == directory.names() == [".c", "a", "b"]


def test_a_directory_that_cannot_be_listed_says_so(place):
    os.chmod(place, 0o311)

    def attempt():
        with go(place, owners=TrustedOwners(frozenset({0, os.stat(place).st_uid}), frozenset())) as directory:
            directory.names()

    with pytest.raises(InstallError) as caught:
        as_plain_user(attempt)
    assert (caught.value.errno, caught.value.path) == (errno.EACCES, place)


def failing_fsync(monkeypatch, number):
    def fsync(fd):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_directories_is_put_up_with(place, monkeypatch, number):
    with go(place) as directory:
        failing_fsync(monkeypatch, number)
        directory.sync()
        directory.sync(done="it")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_sync_that_fails_is_an_error(place, monkeypatch, number):
    with go(place) as directory:
        failing_fsync(monkeypatch, number)
        with pytest.raises(InstallError) as caught:
            directory.sync()
    assert (caught.value.errno, caught.value.path, caught.value.changed) == (number, place, False)


def test_a_sync_that_fails_after_the_deed_says_what_was_done(place, monkeypatch):
    with go(place) as directory:
        failing_fsync(monkeypatch, errno.EIO)
        with pytest.raises(InstallError) as caught:
            directory.sync(done="/a is in place")
    assert str(caught.value).startswith("/a is in place, but it is not certain to survive a power cut: sync directory")
    assert (caught.value.errno, caught.value.path, caught.value.changed) == (errno.EIO, place, True)
    assert caught.value.hint


def test_closing_never_hides_an_error_in_flight(place):
    directory = go(place)
    os.close(directory.fd)
    with pytest.raises(ValueError, match="the first one"), directory:
        raise ValueError("the first one")
    directory.close()


def test_whatever_the_system_refuses_is_an_error_with_a_path(place):
    closed = Directory(9999, place, trusted_owners())  # no such descriptor
    for act in (
        closed.described,
        closed.names,
        closed.sync,
        lambda: closed.unsafe_reason(None),
        lambda: closed.stat("a"),
        lambda: closed.enter("a"),
        lambda: closed.make("a", print),
    ):
        with pytest.raises(InstallError) as caught:
            act()
        assert caught.value.errno == errno.EBADF and place in caught.value.path


def test_too_many_open_files(place):
    def attempt():
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
        go(place)

    with pytest.raises(InstallError) as caught:
        in_child(attempt)
    assert (caught.value.errno, caught.value.path) == (errno.EMFILE, "/")


def test_a_link_that_cannot_be_read(place, monkeypatch):
    path = link(place, "link", "/")

    def readlink(*arguments, **settings):
        raise OSError(errno.EIO, "x")

    monkeypatch.setattr(os, "readlink", readlink)
    error = refusal(path)
    assert (error.errno, error.path) == (errno.EIO, path)


def test_directories_are_opened_as_the_protocol_says(place, tmp_path):
    """Without following, and without reading where that is not needed."""
    _result, calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory
        directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), print, create=True).close()
        result = None
    """
        % os.path.join(place, "new"),
        ["openat"],
    )
    new = [set(re.search(r"O_[A-Z_|]+", line).group().split("|")) for line in calls if '<%s>, "new"' % place in line]
    safe = {"O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC"}
    assert [found - {"O_LARGEFILE"} for found in new] == [safe | {"O_RDONLY"}, safe | {"O_RDONLY", "O_PATH"}]


def test_no_descriptor_is_left_open(place):
    make(place, "a", "b")
    open(os.path.join(place, "file"), "w").close()
    link(place, "loop", "loop")
    link(place, "good", os.path.join(place, "a"))
    make(place, "unsafe", mode=0o777)
    before = open_descriptors()
    reach(os.path.join(place, "good", "b"))
    reach(os.path.join(place, "new", "one"), create=True)
    go(os.path.join(place, "missing", "b"))
    for name in ("file", "loop", "unsafe/a"):
        refusal(os.path.join(place, name), create=True)
    with go(place) as directory:
        directory.sync()
        directory.names()
    assert open_descriptors() == before


def test_the_descriptor_is_not_inherited(place):
    with go(place) as directory:
        assert not os.get_inheritable(directory.fd)


def test_a_directory_describes_itself(place):
    with go(place) as directory:
        assert directory.described() == "%s (%s:%s, drwxr-xr-x)" % (
            place,
            user_name(os.geteuid()),
            group_name(os.stat(place).st_gid),
        )


def test_kinds_have_names(place):
    path = os.path.join(place, "x")
    with open(path, "w") as stream:
        stream.write("12 bytes, ok")
    os.symlink("x", path + "-link")
    os.mkfifo(path + "-fifo")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        here = os.open(place, os.O_RDONLY)
        try:
            listener.bind("/proc/self/fd/%d/x-socket" % here)  # a socket's path must be short
        finally:
            os.close(here)
    names = [path, path + "-link", place, path + "-fifo", path + "-socket", "/dev/null"]
    assert [kind_text(os.lstat(name)) for name in names] == [
        "a regular file of 12 bytes",
        "a symbolic link",
        "a directory",
        "a named pipe",
        "a socket",
        "a device",
    ]


def test_a_directory_is_closed_once(place):
    directory = Directory(os.open(place, os.O_RDONLY), place, trusted_owners())
    directory.close()
    other = os.open(place, os.O_RDONLY)  # most likely the same number again
    directory.close()
    os.fstat(other)
    os.close(other)


def test_a_look_refuses_already_what_nothing_could_be_put_into(place):
    """Or check mode would promise what the real run refuses."""
    os.chmod(place, 0o777)
    error = refusal(os.path.join(place, "store"), create=False)
    assert place in str(error) and "written by others" in str(error)


def test_a_default_access_control_list_takes_no_bits_away(place):
    if not shutil.which("setfacl"):
        pytest.skip("no setfacl on this machine")
    subprocess.check_call(["setfacl", "-d", "-m", "o::-,g::-", place])
    with open_trusted_directory(place, "base_dir", trusted_owners(), None) as directory:
        directory.make("new", lambda line, warning=False: None)
    assert stat.S_IMODE(os.stat(os.path.join(place, "new")).st_mode) == 0o755


@needs_root
def test_another_directory_in_place_of_a_new_one_keeps_its_mode(monkeypatch):
    """Its owner may exchange what root makes in a directory of theirs for what root has there besides."""
    real = os.mkdir

    def exchanged(name, mode, dir_fd):
        real(name, mode, dir_fd=dir_fd)
        os.rename(name, "aside", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        os.rename("secret", name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    with open_folder() as folder:
        os.mkdir(os.path.join(folder, "secret"), 0o700)
        os.chown(folder, NOBODY, NOBODY)
        monkeypatch.setattr(os, "mkdir", exchanged)
        with open_trusted_directory(folder, "base_dir", trusted_owners(NOBODY), None) as directory:
            with pytest.raises(InstallError, match="found root:root, drwx------ there, expected drwxr-xr-x"):
                directory.make("store", lambda line, warning=False: None)
        assert stat.S_IMODE(os.stat(os.path.join(folder, "store")).st_mode) == 0o700


def test_a_closed_directory_is_not_taken_for_the_working_directory(place):
    directory = go(place)
    directory.close()
    for call in (directory.names, lambda: directory.stat("."), lambda: directory.enter("."), directory.sync):
        with pytest.raises(InstallError) as caught:
            call()
        assert caught.value.errno == errno.EBADF
