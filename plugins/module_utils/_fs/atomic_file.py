# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write files that appear whole or not at all: write a temporary file, sync it, read it back, rename it.

All names are relative to an open directory. Owner, mode and SELinux context are set through the descriptor *before*
the sync and the rename. btrfs loses a chmod that comes after the fsync. On ext4 and xfs, a rename without an fsync
can leave a 0-byte executable after a power cut. A failed fsync is never retried: the kernel has dropped the pages
that it could not write (fsync(2), NOTES).
"""

import contextlib
import errno
import hashlib
import os
import random
import stat
import string
import time
from typing import BinaryIO, ContextManager, Iterator, Optional

from .._errors import InstallError, after_change, os_error_context
from .._records import SetContext
from .accounts import group_name, user_name
from .directory import Directory
from .hashing import blocks_of, hash_of
from .mounts import check_free_space
from .temp_files import TEMP_PREFIX, list_temp_files

_ALPHABET = string.ascii_lowercase + string.digits
# Python makes every descriptor close-on-exec (PEP 446), so os.open() needs no O_CLOEXEC.
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class PendingFile:
    """A temporary file that publish() renames. As a context manager, it removes itself unless it was published.

    :param directory: the open directory in which it is created.
    :param kind: part of the temporary name: ``binary``, ``receipt``, ``archive``.
    :param final: path of the file that it is needed for, for messages; None: ``kind`` in that directory.
    Raises InstallError if it cannot be created.
    """

    def __init__(self, directory: Directory, kind: str, final: Optional[str] = None) -> None:
        self.directory = directory
        self.final: str = final or directory.at(kind)
        self.name = "%s%s.%s" % (TEMP_PREFIX, kind, "".join(random.SystemRandom().choice(_ALPHABET) for _i in range(8)))
        self.path: str = directory.at(self.name)
        self.size = 0
        self._hash = hashlib.sha256()
        with self._errors("create"):
            self.fd = os.open(self.name, _CREATE, 0o600, dir_fd=directory.fd)

    def __enter__(self) -> "PendingFile":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.discard()

    def _errors(self, doing: str) -> ContextManager[None]:
        return os_error_context(doing, self.path, place=self.directory.place)

    @property
    def sha256(self) -> str:
        """SHA-256 in lower-case hex of what has been written so far."""
        return self._hash.hexdigest()

    def check_free_space(self, size: int) -> None:
        """Raise InstallError early if the file does not fit: a friendlier ENOSPC, not a guarantee.

        :param size: bytes still to be written.
        """
        check_free_space(self.fd, size, self.final, self.directory.place)

    def write(self, data: bytes) -> None:
        """Append all of the data, however many write(2) calls that takes. Raises InstallError."""
        self._hash.update(data)
        view = memoryview(data)
        with self._errors("write"):
            while view:
                count = os.write(self.fd, view)
                if not count:  # no error, but no progress either: the storage is broken
                    raise OSError(errno.EIO, "nothing was written")
                self.size += count
                view = view[count:]

    def restart(self) -> None:
        """Discard what has been written, because the source starts over. Raises InstallError."""
        with self._errors("truncate"):
            os.lseek(self.fd, 0, os.SEEK_SET)
            os.ftruncate(self.fd, 0)
        self.size = 0
        self._hash = hashlib.sha256()

    def unlink(self) -> None:
        """Remove the name but keep the bytes, so that a killed run leaves no file. Raises InstallError."""
        with self._errors("unlink"):
            os.unlink(self.name, dir_fd=self.directory.fd)
        self.name = ""

    def reader(self) -> BinaryIO:
        """Return a binary file object over the same bytes, at their start; the caller closes it. No write() after that.

        It is unbuffered: the seek() of a buffered one drops the errno when lseek(2) fails. Raises InstallError.
        """
        with self._errors("read back"):
            os.lseek(self.fd, 0, os.SEEK_SET)  # dup(2) shares the offset
            return os.fdopen(os.dup(self.fd), "rb", 0)

    def finalize(
        self,
        mode: int,
        uid: Optional[int] = None,
        gid: Optional[int] = None,
        set_context: Optional[SetContext] = None,
        path: Optional[str] = None,
    ) -> os.stat_result:
        """Set owner, mode and SELinux context, sync the file, and read it all back.

        :param mode: permission bits.
        :param uid, gid: None: leave as it is.
        :param set_context: callable(fd, path, restore), or None.
        :param path: the path that the file will have, for set_context; None: its own.
        :returns: os.stat_result of the finished file.
        Raises InstallError, also if what is read back is not what was written.
        """
        set_owner_and_mode(self.fd, self.path, mode, uid, gid, self.directory.place)
        if set_context is not None:
            with self._errors("label"):
                set_context(self.fd, path or self.path, True)
        with self._errors("sync"):
            os.fsync(self.fd)
            found = os.fstat(self.fd)
            sha256 = hash_of(self.fd)
        if (found.st_size, sha256) != (self.size, self.sha256):
            raise InstallError(
                "%s reads back as %d bytes with sha256 %s, but %d bytes with sha256 %s were written"
                % (self.path, found.st_size, sha256, self.size, self.sha256),
                path=self.path,
                errno=errno.EIO,
                hint="the storage loses data",
            )
        check_mode(found, mode, self.path)
        return found

    def publish(self, name: str, alone: bool = True) -> os.stat_result:
        """Rename the file to its final name and sync the directory.

        :param alone: nobody else renames to that name at the moment, so afterwards it must be this file.
        :returns: os.stat_result from before the rename.
        Raises InstallError; its ``changed`` is set if the rename succeeded and a later step failed.
        """
        with self._errors("close"):
            found = os.fstat(self.fd)
            fd, self.fd = self.fd, -1
            os.close(fd)
        with os_error_context("rename %s to" % self.path, self.directory.at(name), place=self.directory.place):
            os.rename(self.name, name, src_dir_fd=self.directory.fd, dst_dir_fd=self.directory.fd)
        self.name = ""
        with after_change():
            self.directory.sync(done="%s is in place" % self.directory.at(name))
            there: Optional[os.stat_result] = self.directory.stat(name)
            if alone and (there is None or (there.st_dev, there.st_ino) != (found.st_dev, found.st_ino)):
                raise InstallError(
                    "%s is not the file that was renamed to it" % self.directory.at(name),
                    path=self.directory.at(name),
                    errno=errno.EIO,
                    hint="another process changes it, or the storage loses data",
                )
        return found

    def discard(self) -> None:
        """Close and remove the file without hiding an error in flight. If that fails, the next run removes the file."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with contextlib.suppress(OSError):
                os.close(fd)
        if self.name:
            name, self.name = self.name, ""
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self.directory.fd)


def set_owner_and_mode(
    fd: int,
    path: str,
    mode: int,
    uid: Optional[int] = None,
    gid: Optional[int] = None,
    place: Optional[str] = None,
) -> None:
    """Call fchown(2), then fchmod(2), because a chown clears bits of the mode. None for uid or gid: leave as it is.

    :param path: for messages.
    :param mode: permission bits.
    :param place: see hint_for().
    Raises InstallError.
    """
    if uid is not None or gid is not None:
        with os_error_context(
            "set the owner %s:%s of"
            % ("-" if uid is None else user_name(uid), "-" if gid is None else group_name(gid)),
            path,
            place=place,
        ):
            os.fchown(fd, -1 if uid is None else uid, -1 if gid is None else gid)
    with os_error_context("set the mode %04o of" % mode, path, place=place):
        os.fchmod(fd, mode)


def check_mode(found: os.stat_result, mode: int, path: str) -> None:
    """Raise InstallError if a stat result does not have the mode (permission bits) that was set."""
    if stat.S_IMODE(found.st_mode) != mode:
        raise InstallError(
            "the mode of %s is %04o after it was set to %04o" % (path, stat.S_IMODE(found.st_mode), mode),
            path=path,
            errno=errno.EPERM,
            hint="the file system ignores modes (mount options): use another one",
        )


def copy_file(fd: int, path: str, pending: PendingFile) -> None:
    """Append all bytes of an open file to a pending one. Raises InstallError."""
    blocks = blocks_of(fd)
    while True:
        with os_error_context("read", path):
            data = next(blocks, None)
        if data is None:
            return
        pending.write(data)


def remove_stale_temp_files(directory: Directory, older_than: float = 0) -> Iterator[str]:
    """Remove temporary files that killed runs left behind. Call it only under the version's lock.

    :param older_than: seconds; younger files stay, since another run may use them where locks do not work.
    :yields: the full path of each file, right after it is removed.
    Raises InstallError.
    """
    for name in list_temp_files(directory):
        path = directory.at(name)
        with os_error_context("remove the stale temporary file", path, place=directory.place), contextlib.suppress(
            FileNotFoundError
        ):
            age = time.time() - os.stat(name, dir_fd=directory.fd, follow_symlinks=False).st_mtime
            if older_than and age < older_than:  # 0 removes all: ages are negative after the clock was set back
                continue
            os.unlink(name, dir_fd=directory.fd)
            yield path


def remove_file(directory: Directory, name: str) -> None:
    """Remove a file in one step: rename it to a temporary name, then unlink that and sync.

    Raises InstallError; its ``changed`` is set if the name is gone and a later step failed.
    """
    path = directory.at(name)
    aside = "%sremoved.%s" % (TEMP_PREFIX, name)
    with os_error_context(
        "remove the stale temporary file", directory.at(aside), place=directory.place
    ), contextlib.suppress(FileNotFoundError):
        os.unlink(aside, dir_fd=directory.fd)  # rename(2) of one name of a file to another does nothing and succeeds
    with os_error_context("remove", path, place=directory.place):
        os.rename(name, aside, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
    with after_change(), os_error_context("unlink", directory.at(aside), place=directory.place):
        os.unlink(aside, dir_fd=directory.fd)
    directory.sync(done="%s is removed" % path)
