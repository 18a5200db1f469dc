# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all, on disks that are full, read-only or lie."""

import contextlib
import errno
import hashlib
import os
import re
import resource
import stat
import subprocess
import time

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import InstallError
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.atomic_file import (
    PendingFile,
    check_mode,
    copy_file,
    list_temp_files,
    remove_file,
    remove_stale_temp_files,
    set_owner_and_mode,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.directory import (
    open_trusted_directory,
    trusted_owners,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.hashing import CHUNK
from support.system import (
    OTHER_UID,
    as_plain_user,
    in_child,
    mount,
    mounted_again,
    needs_root,
    open_descriptors,
    open_folder,
    small_disk,
    traced,
)

DATA = b"\x7fELF and then some\n" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def place():
    with open_folder() as folder:
        yield folder


@pytest.fixture
def directory(place):
    with open_trusted_directory(place, "base_dir", trusted_owners(), None) as opened:
        yield opened


def put(place, name, data=b"x", age=0):
    path = os.path.join(place, name)
    with open(path, "wb") as stream:
        stream.write(data)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def read(place, name):
    with open(os.path.join(place, name), "rb") as stream:
        return stream.read()


def publish(directory, name="terraform", data=DATA, mode=0o755, **settings):
    """The whole way of a file to its name; what finalize() saw."""
    with PendingFile(directory, "binary") as pending:
        pending.write(data)
        finalized = pending.finalize(mode, **settings)
        pending.publish(name)
    return finalized


def refusal(function, *arguments, **settings):
    with pytest.raises(InstallError) as caught:
        function(*arguments, **settings)
    return caught.value


def fail(monkeypatch, call, number):
    def failing(*arguments, **settings):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, failing)


# ------------------------------------------------------------------ from nothing to the name


def test_the_temporary_file_is_ours_alone_until_it_is_published(directory, place):
    with PendingFile(directory, "binary") as pending:
        (name,) = os.listdir(place)
        assert re.match(r"\.tmp\.binary\.[a-z0-9]{8}\Z", name)
        assert pending.path == os.path.join(place, name)
        assert stat.S_IMODE(os.stat(pending.path).st_mode) == 0o600
        assert not os.get_inheritable(pending.fd)
        pending.write(DATA)
        assert (pending.size, pending.sha256) == (len(DATA), SHA256)
        assert os.listdir(place) == [name]
        pending.finalize(0o755)
        pending.publish("terraform")
    assert os.listdir(place) == ["terraform"]
    assert read(place, "terraform") == DATA


def test_no_two_temporary_files_share_a_name(directory):
    with PendingFile(directory, "binary") as one, PendingFile(directory, "binary") as other:
        assert one.name != other.name


def test_nothing_that_is_there_is_opened_as_a_temporary_file(place, tmp_path):
    _result, calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import atomic_file, directory
        with directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), None) as directory:
            atomic_file.PendingFile(directory, "binary").discard()
        result = None
    """
        % place,
        ["openat"],
    )
    (opened,) = [line for line in calls if ".tmp.binary." in line or "O_CREAT" in line and place in line]
    assert {"O_RDWR", "O_CREAT", "O_EXCL", "O_NOFOLLOW", "O_CLOEXEC"} <= set(re.findall(r"O_\w+", opened))
    assert ", 0600)" in opened


@pytest.mark.parametrize("umask", [0o077, 0o777, 0o000])
@pytest.mark.parametrize("mode", [0o755, 0o500, 0o644])
def test_the_mode_is_the_one_asked_for_whatever_the_umask(directory, place, umask, mode):
    before = os.umask(umask)
    try:
        finalized = publish(directory, mode=mode)
    finally:
        os.umask(before)
    found = os.stat(os.path.join(place, "terraform"))
    assert stat.S_IMODE(found.st_mode) == stat.S_IMODE(finalized.st_mode) == mode
    assert (found.st_ino, found.st_mtime_ns, found.st_size) == (finalized.st_ino, finalized.st_mtime_ns, len(DATA))


def test_an_older_file_is_replaced_and_stays_whole_for_who_has_it_open(directory, place):
    put(place, "terraform", b"old")
    with open(os.path.join(place, "terraform"), "rb") as reader:
        publish(directory)
        assert reader.read() == b"old"
    assert read(place, "terraform") == DATA


def test_the_order_of_the_steps(place, tmp_path):
    """Owner, mode, then the sync, then the rename, then the sync of the directory."""
    _result, calls = traced(
        tmp_path,
        """
        import os
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import atomic_file, directory
        with directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), None) as directory:
            with atomic_file.PendingFile(directory, "binary") as pending:
                pending.write(b"x" * 10)
                pending.finalize(0o755, os.geteuid(), os.getegid(), lambda fd, path, restore: os.utime(fd))
                pending.publish("terraform")
        result = None
    """
        % place,
        ["write", "fchown", "fchmod", "utimensat", "fsync", "pread64", "close", "rename", "renameat", "renameat2"],
    )
    mine = [line for line in calls if place in line]
    steps = [(line.split("(")[0], ".tmp.binary." in line.split(">")[0]) for line in mine]
    steps = steps[steps.index(("write", True)) :]
    renamed = [number for number, (call, _temp) in enumerate(steps) if call.startswith("rename")]
    assert len(renamed) == 1
    assert steps[: renamed[0]] == [
        ("write", True),
        ("fchown", True),
        ("fchmod", True),
        ("utimensat", True),
        ("fsync", True),
        ("pread64", True),
        ("pread64", True),
        ("close", True),
    ]
    assert steps[renamed[0] + 1] == ("fsync", False)


def test_the_label_is_given_the_final_name(directory, place):
    seen = []
    publish(
        directory,
        set_context=lambda fd, path, restore: seen.append((os.fstat(fd).st_size, path, restore)),
        path="/final/name",
    )
    assert seen == [(len(DATA), "/final/name", True)]


def test_a_label_that_cannot_be_set(directory, place):
    def set_context(fd, path, restore):
        raise OSError(errno.ENOTSUP, "x")

    error = refusal(publish, directory, set_context=set_context)
    assert error.errno == errno.ENOTSUP and str(error).startswith("label %s/.tmp.binary." % place)
    assert os.listdir(place) == []


@needs_root
def test_the_owner_is_the_one_asked_for(directory, place):
    publish(directory, uid=OTHER_UID, gid=OTHER_UID + 1)
    found = os.stat(os.path.join(place, "terraform"))
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (OTHER_UID, OTHER_UID + 1, 0o755)
    publish(directory, uid=OTHER_UID)
    assert os.stat(os.path.join(place, "terraform")).st_gid == os.getegid()
    publish(directory, gid=OTHER_UID)
    found = os.stat(os.path.join(place, "terraform"))
    assert (found.st_uid, found.st_gid) == (0, OTHER_UID)


@pytest.mark.parametrize(
    "asked, words", [({"uid": OTHER_UID}, "%d:-" % OTHER_UID), ({"gid": OTHER_UID}, "-:%d" % OTHER_UID)]
)
def test_a_plain_user_cannot_give_files_away(place, asked, words):
    os.chmod(place, 0o777)

    def attempt():
        with open_trusted_directory(place, "base_dir", trusted_owners(), None) as opened:
            publish(opened, **asked)

    with pytest.raises(InstallError) as caught:
        as_plain_user(attempt)
    assert (caught.value.errno, os.listdir(place)) == (errno.EPERM, [])
    assert "set the owner %s of %s/.tmp.binary." % (words, place) in str(caught.value)
    assert "run as a user who may do this" in caught.value.hint


# ------------------------------------------------------------------ full, read-only, closed


def test_a_short_write_goes_on_where_it_ended(directory, place, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    publish(directory)
    assert read(place, "terraform") == DATA


def test_a_disk_that_writes_nothing_and_says_so_is_given_up(place, tmp_path):
    result, _calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import atomic_file, directory
        from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
        with directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), None) as directory:
            try:
                with atomic_file.PendingFile(directory, "binary") as pending:
                    pending.write(b"x" * 100)
                result = None
            except _errors.InstallError as exc:
                result = [exc.errno, str(exc)]
    """
        % place,
        ["write"],
        "write:retval=0:when=1",
    )
    assert result[0] == errno.EIO
    assert result[1].startswith("write %s/.tmp.binary." % place)
    assert os.listdir(place) == []


@needs_root
def test_a_full_disk(place):
    with small_disk(place, "size=64k"), open_trusted_directory(place, "base_dir", trusted_owners(), None) as directory:
        put(place, "terraform", b"old")
        error = refusal(publish, directory, data=b"x" * 200000)
        assert os.listdir(place) == ["terraform"]
        assert read(place, "terraform") == b"old"
    assert error.errno == errno.ENOSPC
    assert error.path.startswith("%s/.tmp.binary." % place) and error.path in str(error)
    assert str(error).startswith("write ") and "free some space" in error.hint


@needs_root
def test_a_disk_without_room_for_names(place):
    with small_disk(place, "nr_inodes=1"), open_trusted_directory(
        place, "base_dir", trusted_owners(), None
    ) as directory:
        error = refusal(publish, directory)
    assert error.errno == errno.ENOSPC and str(error).startswith("create %s/.tmp.binary." % place)


def test_a_limit_on_the_size_of_files(directory, place):
    """The write before the limit is a short one, the next fails."""

    def attempt():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        publish(directory)

    with pytest.raises(InstallError) as caught:
        in_child(attempt)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.path in str(caught.value)
    assert os.listdir(place) == []


def test_too_many_open_files(directory):
    def attempt():
        free = os.dup(directory.fd)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
        publish(directory)

    with pytest.raises(InstallError) as caught:
        in_child(attempt)
    assert caught.value.errno == errno.EMFILE and "ulimit" in caught.value.hint


@needs_root
def test_a_read_only_disk(place):
    with mounted_again(place, "ro"), open_trusted_directory(place, "base_dir", trusted_owners(), None) as directory:
        error = refusal(publish, directory)
    assert error.errno == errno.EROFS and "read-only" in error.hint


def test_a_directory_that_we_may_not_write_to(place):
    os.chmod(place, 0o555)

    def attempt():
        with open_trusted_directory(place, "base_dir", trusted_owners(), None) as directory:
            publish(directory)

    with pytest.raises(InstallError) as caught:
        as_plain_user(attempt)
    assert (caught.value.errno, caught.value.path.startswith(place)) == (errno.EACCES, True)


@needs_root
def test_what_cannot_fit_is_refused_early(place):
    with small_disk(place, "size=64k"), open_trusted_directory(place, "base_dir", trusted_owners(), None) as directory:
        with PendingFile(directory, "binary") as pending:
            pending.check_free_space(60000)
            error = refusal(pending.check_free_space, 70000)
    final = os.path.join(place, "binary")
    assert error.errno == errno.ENOSPC and error.path == final
    assert str(error) == "65 kB free on %s (tmpfs), 70 kB needed for %s" % (place, final)
    assert error.hint == "free some space (or inodes) on that file system, or choose another base_dir"


@needs_root
def test_the_file_that_room_is_needed_for_is_named(place):
    with small_disk(place), open_trusted_directory(place, "cache_dir", trusted_owners(), None) as directory:
        with PendingFile(directory, "binary", "/srv/1.11.4/terraform") as pending:
            error = refusal(pending.check_free_space, 90579096)
    assert str(error).endswith("91 MB needed for /srv/1.11.4/terraform") and "cache_dir" in error.hint


def test_no_disk_has_room_for_everything(directory):
    with PendingFile(directory, "binary") as pending:
        pending.check_free_space(1)
        error = refusal(pending.check_free_space, 1 << 60)
    assert error.errno == errno.ENOSPC and error.hint


def test_the_blocks_kept_for_root_are_for_root(place, monkeypatch):
    """Of 1000 bytes free, 900 are reserved (ext4)."""
    room = os.statvfs_result((1, 1, 5000, 1000, 100, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "fstatvfs", lambda fd: room)
    os.chmod(place, 0o777)

    def attempt():
        with open_trusted_directory(place, "base_dir", trusted_owners(), None) as opened, PendingFile(
            opened, "binary"
        ) as pending:
            fits = 100 if os.geteuid() else 1000
            pending.check_free_space(fits)
            return refusal(pending.check_free_space, fits + 1).errno

    assert as_plain_user(attempt) == errno.ENOSPC
    assert in_child(attempt) == errno.ENOSPC


@needs_root
@pytest.mark.parametrize("kind, options", [("tmpfs", "size=0"), ("ramfs", "mode=755")])
def test_a_disk_that_does_not_count_its_blocks_is_not_full(place, kind, options):
    """statvfs(3) says 0 blocks, of which 0 are free."""
    mount(["-t", kind, "-o", options, kind, place])
    try:
        with open_trusted_directory(place, "base_dir", trusted_owners(), None) as directory, PendingFile(
            directory, "binary"
        ) as pending:
            pending.check_free_space(1000)
            pending.write(DATA)
    finally:
        subprocess.check_call(["umount", "-l", place])


# ------------------------------------------------------------------ starting over, reading back


def test_starting_over_forgets_what_was_written(directory, place):
    with PendingFile(directory, "archive") as pending:
        pending.write(b"a longer text that is of no use")
        pending.restart()
        assert (pending.size, pending.sha256) == (0, hashlib.sha256().hexdigest())
        pending.write(b"short")
        pending.finalize(0o644)
        pending.publish("it")
    assert read(place, "it") == b"short"


def test_without_a_name_the_bytes_stay_readable(directory, place):
    with PendingFile(directory, "archive") as pending:
        pending.write(DATA)
        pending.unlink()
        assert os.listdir(place) == []
        with pending.reader() as stream:
            assert stream.read(4) == b"\x7fELF"
            stream.seek(0)
            assert stream.read() == DATA
        with pending.reader() as stream:
            assert stream.read() == DATA
    assert os.listdir(place) == []


def test_a_reader_outlives_its_file(directory):
    with PendingFile(directory, "archive") as pending:
        pending.write(DATA)
        stream = pending.reader()
    with stream:
        assert stream.read() == DATA


def damage(path, data):
    """Change a file behind the back of who has it open; ``data`` takes the place of its first bytes."""
    with open(path, "r+b") as stream:
        stream.write(data)
        if not data:
            stream.truncate(10)


@pytest.mark.parametrize("data", [b"X", b""])
def test_what_reads_back_differently_is_refused(directory, place, data):
    with pytest.raises(InstallError) as caught, PendingFile(directory, "binary") as pending:
        pending.write(DATA)
        damage(pending.path, data)
        pending.finalize(0o755)
    assert (caught.value.errno, caught.value.path) == (errno.EIO, pending.path)
    assert "%d bytes with sha256 %s were written" % (len(DATA), SHA256) in str(caught.value)
    assert "loses data" in caught.value.hint
    assert os.listdir(place) == []


def test_bytes_that_were_added_are_found(directory):
    with pytest.raises(InstallError, match="reads back as 3 bytes"), PendingFile(directory, "binary") as pending:
        pending.write(b"ab")
        with open(pending.path, "ab") as stream:
            stream.write(b"c")
        pending.finalize(0o755)


def test_a_disk_that_ignores_modes_is_found_out(place, tmp_path):
    result, _calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import atomic_file, directory
        from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
        with directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), None) as directory:
            try:
                with atomic_file.PendingFile(directory, "binary") as pending:
                    pending.finalize(0o755)
                result = None
            except _errors.InstallError as exc:
                result = [exc.errno, str(exc)]
    """
        % place,
        ["fchmod"],
        "fchmod:retval=0",
    )
    assert result[0] == errno.EPERM
    assert "is 0600 after it was set to 0755" in result[1]
    assert os.listdir(place) == []


def test_modes_are_compared_with_all_their_bits(directory, place):
    path = put(place, "a")
    os.chmod(path, 0o1755)
    check_mode(os.stat(path), 0o1755, path)
    error = refusal(check_mode, os.stat(path), 0o755, path)
    assert "mode of %s is 1755 after it was set to 0755" % path in str(error) and error.hint
    assert (error.errno, error.path) == (errno.EPERM, path)


def test_a_mode_that_cannot_be_set(directory, place, monkeypatch):
    fail(monkeypatch, "fchmod", errno.EROFS)
    error = refusal(publish, directory)
    assert error.errno == errno.EROFS and "set the mode 0755 of %s/.tmp.binary." % place in str(error)
    assert os.listdir(place) == []


def test_owner_and_mode_of_a_file_that_is_there(place):
    path = put(place, "a")
    fd = os.open(path, os.O_RDONLY)
    set_owner_and_mode(fd, path, 0o711, os.geteuid(), os.getegid())
    os.close(fd)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o711


# ------------------------------------------------------------------ faults on the way


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_failed_sync_gives_up_and_is_not_tried_again(place, tmp_path, number):
    result, calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import atomic_file, directory
        from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
        with directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), None) as directory:
            try:
                with atomic_file.PendingFile(directory, "binary") as pending:
                    pending.write(b"x")
                    pending.finalize(0o755)
                    pending.publish("terraform")
                result = None
            except _errors.InstallError as exc:
                result = [exc.errno, exc.changed, str(exc)]
    """
        % place,
        ["fsync"],
        "fsync:error=%s:when=1" % errno.errorcode[number],
    )
    assert result[:2] == [number, False]
    assert result[2].startswith("sync %s/.tmp.binary." % place)
    assert len(calls) == 1, calls
    assert os.listdir(place) == []


def test_when_the_directory_cannot_be_synced_the_file_is_there_and_the_error_says_so(place, tmp_path):
    result, _calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import atomic_file, directory
        from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
        with directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), None) as directory:
            try:
                with atomic_file.PendingFile(directory, "binary") as pending:
                    pending.write(b"x")
                    pending.finalize(0o755)
                    pending.publish("terraform")
                result = None
            except _errors.InstallError as exc:
                result = [exc.errno, exc.changed, str(exc)]
    """
        % place,
        ["fsync"],
        "fsync:error=EIO:when=2",
    )
    assert result[:2] == [errno.EIO, True]
    assert result[2].startswith("%s/terraform is in place, but it is not certain to survive a power cut" % place)
    assert os.listdir(place) == ["terraform"]


@pytest.mark.parametrize(
    "call, number, words",
    [
        ("close", errno.EIO, "close %s/.tmp.binary."),
        ("rename", errno.EIO, "rename %s/.tmp.binary."),
    ],
)
def test_a_fault_before_the_name_changes_nothing(directory, place, monkeypatch, call, number, words):
    put(place, "terraform", b"old")
    with pytest.raises(InstallError) as caught, PendingFile(directory, "binary") as pending:
        pending.write(DATA)
        pending.finalize(0o755)
        with monkeypatch.context() as faulty:
            fail(faulty, call, number)
            pending.publish("terraform")
    assert (caught.value.errno, caught.value.changed) == (number, False)
    assert words % place in str(caught.value)
    assert (os.listdir(place), read(place, "terraform")) == (["terraform"], b"old")


def test_a_rename_that_does_nothing_is_found_out(place, tmp_path):
    put(place, "terraform", b"old")
    result, _calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import atomic_file, directory
        from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
        with directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), None) as directory:
            try:
                with atomic_file.PendingFile(directory, "binary") as pending:
                    pending.publish("terraform")
                result = None
            except _errors.InstallError as exc:
                result = [exc.errno, exc.changed, exc.path, str(exc), bool(exc.hint)]
    """
        % place,
        ["rename", "renameat", "renameat2"],
        "rename,renameat,renameat2:retval=0",
    )
    path = os.path.join(place, "terraform")
    assert result == [errno.EIO, True, path, "%s is not the file that was renamed to it" % path, True]


def test_a_file_that_goes_at_once_is_missed(directory, place, monkeypatch):
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (real(fd), os.unlink(os.path.join(place, "terraform"))))
    with PendingFile(directory, "binary") as pending:
        error = refusal(pending.publish, "terraform")
    assert (error.errno, error.changed) == (errno.EIO, True)


@pytest.mark.parametrize(
    "call, act",
    [
        ("fstatvfs", lambda pending: pending.check_free_space(1)),
        ("lseek", lambda pending: pending.restart()),
        ("ftruncate", lambda pending: pending.restart()),
        ("unlink", lambda pending: pending.unlink()),
        ("lseek", lambda pending: pending.reader()),
        ("dup", lambda pending: pending.reader()),
        ("write", lambda pending: pending.write(b"x")),
        ("pread", lambda pending: pending.finalize(0o755)),
    ],
)
def test_whatever_the_system_refuses_is_an_error_with_a_path(directory, place, monkeypatch, call, act):
    with PendingFile(directory, "binary") as pending:
        with monkeypatch.context() as faulty:
            fail(faulty, call, errno.EIO)
            error = refusal(act, pending)
    assert (error.errno, error.path) == (errno.EIO, pending.final if call == "fstatvfs" else pending.path)
    assert os.listdir(place) == []


def test_the_owner_is_left_alone_where_none_was_asked_for(directory, monkeypatch):
    """Some file systems refuse even a chown(2) that changes nothing."""
    fail(monkeypatch, "fchown", errno.EPERM)
    publish(directory)


def test_a_directory_of_that_name_is_not_replaced(directory, place):
    os.mkdir(os.path.join(place, "terraform"))
    error = refusal(publish, directory)
    assert error.errno == errno.EISDIR
    assert "to %s/terraform" % place in str(error) and error.path == "%s/terraform" % place
    assert os.listdir(place) == ["terraform"]


def test_discarding_never_hides_an_error_in_flight(directory, place, monkeypatch):
    with pytest.raises(ValueError, match="the first one"), monkeypatch.context() as faulty:
        with PendingFile(directory, "binary"):
            fail(faulty, "close", errno.EIO)
            fail(faulty, "unlink", errno.EIO)
            raise ValueError("the first one")
    assert len(os.listdir(place)) == 1, "what cannot be removed stays for the next run"


def test_discarding_twice_and_after_publishing_is_harmless(directory, place):
    pending = PendingFile(directory, "binary")
    pending.discard()
    other = os.open(place, os.O_RDONLY)  # most likely the same number again
    pending.discard()
    os.fstat(other)
    os.close(other)
    pending = PendingFile(directory, "binary")
    pending.finalize(0o644)
    pending.publish("terraform")
    pending.discard()
    assert os.listdir(place) == ["terraform"]


def test_no_descriptor_is_left_open(directory, place):
    before = open_descriptors()
    publish(directory)
    with pytest.raises(ValueError), PendingFile(directory, "binary") as pending:
        pending.reader().close()
        raise ValueError()
    remove_file(directory, "terraform")
    tuple(remove_stale_temp_files(directory))
    assert open_descriptors() == before


def test_no_write_descriptor_is_open_when_the_name_appears(directory, place, monkeypatch):
    """Or a program that is started just then makes the new binary "text file busy"."""
    seen = []
    real = os.rename

    def rename(*arguments, **settings):
        links = (os.path.join("/proc/self/fd", number) for number in os.listdir("/proc/self/fd"))
        seen.extend(os.readlink(link) for link in links if os.path.islink(link))
        real(*arguments, **settings)

    monkeypatch.setattr(os, "rename", rename)
    publish(directory)
    assert seen and not [name for name in seen if name.startswith(place + "/.tmp.")]


# ------------------------------------------------------------------ copying


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
def test_a_copy_has_every_byte_wherever_the_offset_stands(directory, place, size):
    data = os.urandom(size)
    source = put(place, "source", data)
    fd = os.open(source, os.O_RDONLY)
    os.lseek(fd, 0, os.SEEK_END)
    with PendingFile(directory, "binary") as pending:
        copy_file(fd, source, pending)
        assert (pending.size, pending.sha256) == (size, hashlib.sha256(data).hexdigest())
    os.close(fd)


def test_a_source_that_cannot_be_read_is_named(directory, place):
    fd = os.open(place, os.O_RDONLY)
    with PendingFile(directory, "binary") as pending:
        error = refusal(copy_file, fd, "/the/source", pending)
    os.close(fd)
    assert (error.errno, error.path) == (errno.EISDIR, "/the/source")


# ------------------------------------------------------------------ stale temporary files


def test_only_our_temporary_files_are_stale_temporary_files(directory, place):
    put(place, ".tmp.binary.abcdefgh")
    put(place, "terraform")
    put(place, "x.tmp.")
    os.symlink("nowhere", os.path.join(place, ".tmp.link"))
    os.mkdir(os.path.join(place, ".tmp.folder"))
    assert list_temp_files(directory) == (".tmp.binary.abcdefgh", ".tmp.link")
    removed = [os.path.join(place, ".tmp.binary.abcdefgh"), os.path.join(place, ".tmp.link")]
    assert sorted(remove_stale_temp_files(directory)) == removed
    assert sorted(os.listdir(place)) == [".tmp.folder", "terraform", "x.tmp."]
    assert tuple(remove_stale_temp_files(directory)) == ()


def test_young_temporary_files_stay_where_asked(directory, place):
    old = put(place, ".tmp.binary.old", age=100000)
    put(place, ".tmp.binary.young")
    assert tuple(remove_stale_temp_files(directory, older_than=50000)) == (old,)
    assert os.listdir(place) == [".tmp.binary.young"]
    assert tuple(remove_stale_temp_files(directory)) == (os.path.join(place, ".tmp.binary.young"),)


def test_a_temporary_file_is_stale_from_that_second_on(directory, place, monkeypatch):
    path = put(place, ".tmp.binary.old")
    os.utime(path, (1000, 1000))
    monkeypatch.setattr(time, "time", lambda: 1049.0)
    assert tuple(remove_stale_temp_files(directory, older_than=50)) == ()
    monkeypatch.setattr(time, "time", lambda: 1050.0)
    assert tuple(remove_stale_temp_files(directory, older_than=50)) == (path,)


def test_a_stale_temporary_file_that_went_since_it_was_listed_is_none(directory, monkeypatch):
    monkeypatch.setattr(os, "listdir", lambda fd: [".tmp.binary.gone"])
    assert list_temp_files(directory) == tuple(remove_stale_temp_files(directory)) == ()


def test_stale_temporary_files_from_the_future_go_too(directory, place):
    """A host whose clock went back since."""
    put(place, ".tmp.binary.future", age=-100000)
    assert len(tuple(remove_stale_temp_files(directory))) == 1
    assert os.listdir(place) == []


def test_a_stale_temporary_file_that_goes_by_itself_is_no_error(directory, place, monkeypatch):
    path = put(place, ".tmp.binary.gone")
    real = os.unlink
    monkeypatch.setattr(os, "unlink", lambda name, **settings: (real(path), real(name, **settings)))
    assert tuple(remove_stale_temp_files(directory)) == ()


def test_a_published_file_that_cannot_be_looked_at_is_a_change(directory, monkeypatch):
    """The rename was done, the look after it failed, and the run said that nothing had changed."""

    def looked(name):
        raise InstallError("look at it", path=directory.at(name), errno=errno.EIO)

    with PendingFile(directory, "binary") as pending:
        pending.finalize(0o755)
        monkeypatch.setattr(directory, "stat", looked)
        error = refusal(pending.publish, "terraform")
    assert (error.errno, error.changed) == (errno.EIO, True)


def test_a_reader_keeps_the_errno_of_a_failed_seek(directory):
    """A buffered one said "File or stream is not seekable", and not why."""
    with PendingFile(directory, "archive") as pending:
        pending.write(b"x")
        with pending.reader() as stream:
            reading, writing = os.pipe()
            os.dup2(reading, stream.fileno())
            with pytest.raises(OSError) as caught:
                stream.seek(0, os.SEEK_END)
        os.close(reading)
        os.close(writing)
    assert caught.value.errno == errno.ESPIPE


def test_a_stale_temporary_file_that_cannot_be_removed_is_named(directory, place, monkeypatch):
    path = put(place, ".tmp.binary.stuck")
    fail(monkeypatch, "unlink", errno.EPERM)
    error = refusal(lambda: tuple(remove_stale_temp_files(directory)))
    assert (error.errno, error.path) == (errno.EPERM, path)


def test_what_was_removed_before_a_failure_is_reported(directory, place, monkeypatch):
    """A run that had removed one of two stale temporary files called itself unchanged."""
    first, second = put(place, ".tmp.binary.a"), put(place, ".tmp.binary.b")
    gone = []
    with pytest.raises(InstallError):
        for path in remove_stale_temp_files(directory):
            gone.append(path)
            fail(monkeypatch, "unlink", errno.EIO)
    assert gone == [first] and os.path.exists(second)


# ------------------------------------------------------------------ removing


def test_a_removed_file_is_gone_with_all_of_it(directory, place):
    put(place, "terraform")
    remove_file(directory, "terraform")
    assert os.listdir(place) == []


def test_the_name_goes_in_one_step_before_the_bytes(place, tmp_path):
    put(place, "terraform")
    _result, calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import atomic_file, directory
        with directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), None) as directory:
            atomic_file.remove_file(directory, "terraform")
        result = None
    """
        % place,
        ["rename", "renameat", "renameat2", "unlink", "unlinkat", "fsync"],
    )
    mine = [line.split("(")[0] for line in calls if place in line]
    assert [re.sub(r"at2?$", "", call) for call in mine] == ["unlink", "rename", "unlink", "fsync"]


def test_a_link_is_removed_and_not_what_it_leads_to(directory, place):
    put(place, "precious")
    os.symlink("precious", os.path.join(place, "terraform"))
    remove_file(directory, "terraform")
    assert os.listdir(place) == ["precious"]


def test_the_stale_file_of_a_killed_removal_is_in_nobodys_way(directory, place):
    """Even as another name of the same file: rename(2) then does nothing and says 0."""
    path = put(place, "terraform")
    os.link(path, os.path.join(place, ".tmp.removed.terraform"))
    remove_file(directory, "terraform")
    assert os.listdir(place) == []


def test_what_is_not_there_cannot_be_removed(directory, place):
    error = refusal(remove_file, directory, "terraform")
    assert (error.errno, error.path, error.changed) == (errno.ENOENT, os.path.join(place, "terraform"), False)


def test_a_stale_file_of_a_removal_that_cannot_go_is_named(directory, place):
    put(place, "terraform")
    aside = os.path.join(place, ".tmp.removed.terraform")
    os.mkdir(aside)
    error = refusal(remove_file, directory, "terraform")
    assert (error.errno, error.path, error.changed) == (errno.EISDIR, aside, False)
    assert sorted(os.listdir(place)) == [".tmp.removed.terraform", "terraform"]


def test_a_removal_that_was_begun_says_so(directory, place, monkeypatch):
    put(place, "terraform")
    real = os.unlink

    def unlink(name, **settings):
        if os.path.exists(os.path.join(place, name)):
            raise OSError(errno.EIO, "x")
        real(name, **settings)

    monkeypatch.setattr(os, "unlink", unlink)
    error = refusal(remove_file, directory, "terraform")
    assert (error.errno, error.changed) == (errno.EIO, True)
    assert os.listdir(place) == [".tmp.removed.terraform"]


def test_a_removal_whose_sync_fails_says_that_it_happened(directory, place, monkeypatch):
    put(place, "terraform")
    fail(monkeypatch, "fsync", errno.EIO)
    error = refusal(remove_file, directory, "terraform")
    assert (error.errno, error.changed) == (errno.EIO, True)
    assert str(error).startswith("%s/terraform is removed, but" % place)
    assert os.listdir(place) == []


def test_a_removal_refused_by_the_directory(place):
    put(place, "terraform")
    os.chmod(place, 0o555)

    def attempt():
        with open_trusted_directory(place, "base_dir", trusted_owners(os.stat(place).st_uid), None) as directory:
            remove_file(directory, "terraform")

    with pytest.raises(InstallError) as caught, contextlib.ExitStack() as stack:
        stack.callback(os.chmod, place, 0o755)
        as_plain_user(attempt)
    assert (caught.value.errno, caught.value.changed) == (errno.EACCES, False)
    assert os.listdir(place) == ["terraform"]
