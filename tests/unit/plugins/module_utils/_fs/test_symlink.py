# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stable link: switched in one step under the eyes of its readers, over nothing that is no link."""

import errno
import hashlib
import os
import re
import signal

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import InstallError
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import symlink as symlink_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.directory import (
    open_trusted_directory,
    trusted_owners,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.symlink import (
    LinkState,
    check_replaceable,
    read_link_state,
    remove_link,
    switch_link,
)
from support.system import (
    another_process,
    as_plain_user,
    mounted_again,
    needs_root,
    open_descriptors,
    open_folder,
    small_disk,
    traced,
)

ASIDE = ".iac-platform-link.94dc3ea57721d541"


@pytest.fixture
def place():
    with open_folder() as folder:
        yield folder


@pytest.fixture
def directory(place):
    with open_trusted_directory(place, "link", trusted_owners(), None) as opened:
        yield opened


@pytest.fixture
def path(place):
    return os.path.join(place, "terraform")


def refusal(function, *arguments, **settings):
    with pytest.raises(InstallError) as caught:
        function(*arguments, **settings)
    return caught.value


def fail(monkeypatch, call, number):
    def failing(*arguments, **settings):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, failing)


def put(path, data):
    with open(path, "wb") as stream:
        stream.write(data)


# ------------------------------------------------------------------ looking


def test_what_may_lie_there(directory, path):
    assert read_link_state(directory, "terraform") == LinkState("absent", None, None, None)
    os.symlink("/no/where", path)
    assert read_link_state(directory, "terraform", hashed=True) == LinkState("link", "/no/where", None, None)
    os.unlink(path)
    put(path, b"abc")
    assert read_link_state(directory, "terraform") == LinkState("file", None, 3, None)
    assert read_link_state(directory, "terraform", hashed=True) == LinkState(
        "file", None, 3, hashlib.sha256(b"abc").hexdigest()
    )
    os.unlink(path)
    os.mkdir(path)
    assert read_link_state(directory, "terraform", hashed=True) == LinkState("directory", None, None, None)
    os.rename(path, path + ".d")
    os.symlink("terraform.d", path)
    assert read_link_state(directory, "terraform") == LinkState("directory", "terraform.d", None, None)
    os.unlink(path)
    os.mkfifo(path)
    assert read_link_state(directory, "terraform", hashed=True) == LinkState("other", None, None, None)


def test_a_link_that_goes_while_it_is_looked_at_is_absent(directory, path, monkeypatch):
    os.symlink("/a", path)
    real = os.readlink
    monkeypatch.setattr(os, "readlink", lambda *args, **settings: (os.unlink(path), real(*args, **settings)))
    assert read_link_state(directory, "terraform").kind == "absent"


def test_a_link_that_cannot_be_read_is_an_error_and_not_absent(directory, path, monkeypatch):
    os.symlink("/a", path)
    fail(monkeypatch, "readlink", errno.EIO)
    error = refusal(read_link_state, directory, "terraform")
    assert (error.errno, error.path) == (errno.EIO, path)


def test_a_file_that_cannot_be_read_is_an_error_where_its_digest_is_wanted(place, path):
    put(path, b"abc")
    os.chmod(path, 0)

    def attempt():
        with open_trusted_directory(place, "link", trusted_owners(os.stat(place).st_uid), None) as directory:
            assert read_link_state(directory, "terraform").size == 3
            read_link_state(directory, "terraform", hashed=True)

    with pytest.raises(InstallError) as caught:
        as_plain_user(attempt)
    assert (caught.value.errno, caught.value.path) == (errno.EACCES, path)


def test_what_may_be_replaced(path):
    check_replaceable(LinkState("absent", None, None, None), path, False)
    check_replaceable(LinkState("link", "/a", None, None), path, False)
    check_replaceable(LinkState("file", None, 12, "00"), path, True)


@pytest.mark.parametrize(
    "link_state, force, words",
    [
        (LinkState("file", None, 12, None), False, "a regular file of 12 bytes"),
        (LinkState("other", None, None, None), False, "neither a link nor a file"),
        (LinkState("other", None, None, None), True, "neither a link nor a file"),
        (LinkState("directory", None, None, None), False, "is a directory, expected"),
        (LinkState("directory", "usr/bin", None, None), True, "is a directory (a link to usr/bin), expected"),
    ],
)
def test_what_may_not_be_replaced(path, link_state, force, words):
    error = refusal(check_replaceable, link_state, path, force)
    assert str(error).startswith("link %s" % path) and words in str(error) and "expected a symbolic link" in str(error)
    assert (error.errno, error.path) == (errno.EEXIST, path)
    assert ("link_force" in error.hint) == (link_state.kind == "file")


# ------------------------------------------------------------------ switching


def test_a_link_is_made_and_switched(directory, place, path):
    for target in ("/opt/1.13.3/terraform", "/opt/1.13.4/terraform", "/opt/1.13.4/terraform"):
        switch_link(directory, "terraform", target)
        assert os.readlink(path) == target
        assert os.listdir(place) == ["terraform"]


def test_a_file_gives_way_to_the_link(directory, place, path):
    put(path, b"an older installation")
    switch_link(directory, "terraform", "/opt/1.13.4/terraform")
    assert os.readlink(path) == "/opt/1.13.4/terraform"
    assert os.listdir(place) == ["terraform"]


@pytest.mark.parametrize("second_name", [True, False])
@pytest.mark.parametrize("call", ["rename", "fsync"])
def test_what_was_kept_for_a_switch_that_fails_is_put_back(directory, place, path, monkeypatch, call, second_name):
    put(path, b"abc")
    real = getattr(os, call)

    def failing(*arguments, **settings):
        if call == "rename" and not str(arguments[0]).startswith(".iac"):
            return real(*arguments, **settings)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, failing)
    if not second_name:
        fail(monkeypatch, "link", errno.ENOTSUP)
    error = refusal(switch_link, directory, "terraform", "/opt/new", backup=True)
    assert error.errno == errno.EIO and not error.changed
    assert os.listdir(place) == ["terraform"] and os.path.getsize(path) == 3


def test_what_is_kept_is_durable_before_it_is_replaced(directory, path, monkeypatch):
    put(path, b"abc")
    calls = []

    def watched(call, real):
        def seen(*arguments, **settings):
            calls.append(call)
            return real(*arguments, **settings)

        return seen

    for call in ("link", "fsync", "rename"):
        monkeypatch.setattr(os, call, watched(call, getattr(os, call)))
    kept = switch_link(directory, "terraform", "/opt/new", backup=True)
    assert calls == ["link", "fsync", "rename", "fsync"] and os.path.isfile(directory.at(kept))


def test_a_name_that_is_taken_is_not_replaced_by_what_is_kept(directory, place, path, monkeypatch):
    monkeypatch.setattr(symlink_module, "backup_name", lambda *names: "terraform.old~")
    put(path, b"abc")
    put(os.path.join(place, "terraform.old~"), b"older")
    for number in (None, errno.EPERM):
        if number:
            fail(monkeypatch, "link", number)
        error = refusal(switch_link, directory, "terraform", "/opt/new", backup=True)
        assert error.errno == errno.EEXIST and sorted(os.listdir(place)) == ["terraform", "terraform.old~"]
        assert os.path.getsize(path) == 3


def test_the_temporary_link_of_a_killed_switch_is_replaced(directory, place, path):
    os.symlink("/somewhere/else", os.path.join(place, ASIDE))
    switch_link(directory, "terraform", "/opt/1.13.4/terraform")
    assert os.readlink(path) == "/opt/1.13.4/terraform"
    assert os.listdir(place) == ["terraform"]


def test_a_switch_killed_before_the_rename_leaves_what_the_next_one_replaces(place, path):
    """The name beside it is one for all runs: stale temporary links do not pile up."""

    def killed(ready):
        os.rename = lambda *arguments, **settings: (ready(), signal.pause())
        with open_trusted_directory(place, "link", trusted_owners(), None) as opened:
            switch_link(opened, "terraform", "/opt/1.13.3/terraform")

    for _round in range(2):
        with another_process(killed):
            pass
        assert os.listdir(place) == [ASIDE]
    with open_trusted_directory(place, "link", trusted_owners(), None) as directory:
        switch_link(directory, "terraform", "/opt/1.13.4/terraform")
    assert (os.listdir(place), os.readlink(path)) == (["terraform"], "/opt/1.13.4/terraform")


def test_a_reader_never_misses_it(directory, place, path):
    """Another process reads the link without a pause, while it is switched many times."""
    targets = ["/opt/1.13.3/terraform", "/opt/1.13.4/terraform"]
    stop, seen = os.path.join(place, "stop"), os.path.join(place, "seen")
    switch_link(directory, "terraform", targets[0])

    def readers_work(ready):
        found = set()
        ready()
        reads = 0
        while reads % 64 or not os.path.exists(stop):
            try:
                found.add(os.readlink(path))
            except OSError as exc:
                found.add(errno.errorcode[exc.errno])
            reads += 1
        put(seen, "\n".join(sorted(found)).encode())

    with another_process(readers_work) as reader:
        for number in range(400):
            switch_link(directory, "terraform", targets[number % 2])
        put(stop, b"")
        assert os.waitpid(reader, 0)[1] == 0
    with open(seen) as stream:
        assert set(stream.read().split("\n")) <= set(targets)


def test_the_steps_of_a_switch(place, tmp_path):
    _result, calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory, symlink
        with directory.open_trusted_directory(%r, "link", directory.trusted_owners(), None) as directory:
            symlink.switch_link(directory, "terraform", "/opt/terraform")
        result = None
    """
        % place,
        ["symlink", "symlinkat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "fsync"],
    )
    mine = [line for line in calls if place in line]
    assert [re.match("[a-z]+?(?=at|2|[(])", line).group() for line in mine] == ["unlink", "symlink", "rename", "fsync"]


def test_a_directory_is_never_replaced(directory, place, path):
    os.mkdir(path)
    error = refusal(switch_link, directory, "terraform", "/opt/terraform")
    assert (error.errno, error.path, error.changed) == (errno.EISDIR, path, False)
    assert os.listdir(place) == ["terraform"]


@pytest.mark.parametrize("call, words", [("symlink", "prepare the link"), ("rename", "switch the link")])
def test_a_fault_before_the_switch_leaves_the_old_link_alone(directory, place, path, monkeypatch, call, words):
    switch_link(directory, "terraform", "/opt/old")
    fail(monkeypatch, call, errno.EIO)
    error = refusal(switch_link, directory, "terraform", "/opt/new")
    assert (error.errno, error.changed) == (errno.EIO, False)
    assert str(error).startswith(words)
    assert (os.listdir(place), os.readlink(path)) == (["terraform"], "/opt/old")


def test_a_file_that_becomes_a_link_just_now_is_not_read_through_it(directory, place, monkeypatch):
    real = directory.stat

    def stat_then_swap(name):
        found = real(name)
        os.rename(os.path.join(place, name), os.path.join(place, "elsewhere"))
        os.symlink("elsewhere", os.path.join(place, name))
        return found

    with open(os.path.join(place, "terraform"), "wb") as file:
        file.write(b"x")
    monkeypatch.setattr(directory, "stat", stat_then_swap)
    assert refusal(read_link_state, directory, "terraform", hashed=True).errno == errno.ELOOP


def test_a_stop_between_the_two_steps_leaves_nothing_behind(directory, place, monkeypatch):
    """A signal becomes an InstallError, wherever it strikes: here right after symlink(2)."""
    real = os.symlink

    def symlink(*arguments, **settings):
        real(*arguments, **settings)
        raise InstallError("stopped by SIGTERM", errno=errno.EINTR)

    monkeypatch.setattr(os, "symlink", symlink)
    assert refusal(switch_link, directory, "terraform", "/opt/new").errno == errno.EINTR
    assert os.listdir(place) == []


def test_what_lies_beside_it_and_cannot_go(directory, place):
    aside = os.path.join(place, ASIDE)
    os.mkdir(aside)
    error = refusal(switch_link, directory, "terraform", "/opt/new")
    assert (error.errno, error.path) == (errno.EISDIR, aside)


def test_a_switched_link_that_cannot_be_looked_at_is_a_change(directory, monkeypatch):
    """The rename was done, the look after it failed, and the run said that nothing had changed."""

    def looked(name):
        raise InstallError("look at it", path=directory.at(name), errno=errno.EIO)

    monkeypatch.setattr(directory, "stat", looked)
    error = refusal(switch_link, directory, "terraform", "/opt/new")
    assert (error.errno, error.changed) == (errno.EIO, True)


def test_a_switch_that_cannot_be_synced_says_that_it_happened(directory, path, monkeypatch):
    fail(monkeypatch, "fsync", errno.EIO)
    error = refusal(switch_link, directory, "terraform", "/opt/new")
    assert (error.errno, error.changed) == (errno.EIO, True)
    assert str(error).startswith("link %s points to /opt/new, but it is not certain" % path)
    assert os.readlink(path) == "/opt/new"


def test_a_rename_that_does_nothing_is_found_out(place, path, tmp_path):
    os.symlink("/opt/old", path)
    result, _calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory, symlink
        from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
        with directory.open_trusted_directory(%r, "link", directory.trusted_owners(), None) as directory:
            try:
                symlink.switch_link(directory, "terraform", "/opt/new")
                result = None
            except _errors.InstallError as exc:
                result = [exc.errno, exc.changed, exc.path, str(exc), bool(exc.hint)]
    """
        % place,
        ["rename", "renameat", "renameat2"],
        "rename,renameat,renameat2:retval=0",
    )
    words = "link %s points to /opt/old after it was switched to /opt/new" % path
    assert result == [errno.EIO, True, path, words, True]


def test_a_directory_that_we_may_not_write_to(place, path):
    os.symlink("/opt/old", path)
    os.chmod(place, 0o555)

    def attempt():
        with open_trusted_directory(place, "link", trusted_owners(os.stat(place).st_uid), None) as directory:
            switch_link(directory, "terraform", "/opt/new")

    with pytest.raises(InstallError) as caught:
        as_plain_user(attempt)
    assert (
        caught.value.errno == errno.EACCES
        and "run as a user who may do this" in caught.value.hint
        and "another link" in caught.value.hint
    )
    assert os.readlink(path) == "/opt/old"


@needs_root
def test_a_read_only_disk(place):
    with mounted_again(place, "ro"), open_trusted_directory(place, "link", trusted_owners(), None) as directory:
        error = refusal(switch_link, directory, "terraform", "/opt/new")
    assert error.errno == errno.EROFS and "read-only" in error.hint


@needs_root
def test_a_disk_without_room_for_names(place):
    with small_disk(place, "nr_inodes=2"), open_trusted_directory(place, "link", trusted_owners(), None) as directory:
        os.symlink("/opt/old", os.path.join(place, "terraform"))
        error = refusal(switch_link, directory, "terraform", "/opt/new")
        assert os.readlink(os.path.join(place, "terraform")) == "/opt/old"
    assert error.errno == errno.ENOSPC


# ------------------------------------------------------------------ removing


def test_a_link_is_removed(directory, place, path):
    os.symlink(place, path)
    remove_link(directory, "terraform")
    assert os.listdir(place) == []


def test_a_link_that_cannot_be_removed(directory, path):
    error = refusal(remove_link, directory, "terraform")
    assert (error.errno, error.path, error.changed) == (errno.ENOENT, path, False)


def test_a_removal_whose_sync_fails_says_that_it_happened(directory, place, path, monkeypatch):
    os.symlink("/a", path)
    fail(monkeypatch, "fsync", errno.EIO)
    error = refusal(remove_link, directory, "terraform")
    assert (error.errno, error.changed) == (errno.EIO, True)
    assert str(error).startswith("link %s is removed, but" % path)
    assert os.listdir(place) == []


def test_no_descriptor_is_left_open(directory, path):
    before = open_descriptors()
    put(path, b"abc")
    read_link_state(directory, "terraform", hashed=True)
    switch_link(directory, "terraform", "/a")
    remove_link(directory, "terraform")
    assert open_descriptors() == before


def test_a_link_with_the_longest_name_has_room_beside_it(directory, place):
    name = "t" * 255
    switch_link(directory, name, "/opt/1.13.4/terraform")
    assert os.readlink(os.path.join(place, name)) == "/opt/1.13.4/terraform"
