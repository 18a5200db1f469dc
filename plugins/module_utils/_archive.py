# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's zip and the one binary in it: found, inflated and recognised, never extracted.

It promises that exactly one regular, top-level member has the binary's name, that no other member could be mistaken
for it or lie over it, and that what was inflated has the declared size and the recorded CRC. Memory stays small
whatever the archive claims. It reads through the file object it is given and opens nothing by name.
Source of the layout: PKWARE's APPNOTE.TXT, 4.3 and 4.4.
"""

import contextlib
import hashlib
import os
import re
import stat
import struct
import zipfile
import zlib
from typing import NamedTuple, Tuple

from ._errors import ArchiveError, escaped, os_errors
from ._model import PRODUCT

BINARY_CAP = 1 << 30            # bytes
RATIO_CAP = 100                 # inflated to packed; genuine binaries are near 3
MEMBERS_CAP = 100
DIRECTORY_CAP = 1 << 20         # bytes of the central directory
HEAD_SIZE = 4096                # bytes of a binary that check_magic wants to see

_CHUNK = 256 << 10
_END = struct.Struct("<4s4H2LH")    # end of central directory record, 4.3.16
_COMMENT_LIMIT = 0xFFFF
_ZIP64_LOCATOR_SIZE = 20
_LOCAL_HEADER_SIZE = 30             # without name and extra field, 4.3.7
_ENCRYPTED = 0x1
_DOS_DIRECTORY = 0x10

# What zipfile and zlib raise over a damaged archive; OSError is another matter.
_DAMAGE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError,
    LookupError, OverflowError,
)

# How each machine shows in the first bytes of a file: ELF's class, byte order and e_machine (elf(5)); the magic number
# and cputype of Mach-O (mach-o/loader.h); the machine of PE (Microsoft's "PE Format").
_ELF = {
    "386": (b"\x7fELF\x01\x01", b"\x03\x00"),
    "amd64": (b"\x7fELF\x02\x01", b"\x3e\x00"),
    "arm": (b"\x7fELF\x01\x01", b"\x28\x00"),
    "arm64": (b"\x7fELF\x02\x01", b"\xb7\x00"),
    "ppc64le": (b"\x7fELF\x02\x01", b"\x15\x00"),
    "s390x": (b"\x7fELF\x02\x02", b"\x00\x16"),
}
_MACH_O = {
    "386": b"\xce\xfa\xed\xfe\x07\x00\x00\x00",
    "amd64": b"\xcf\xfa\xed\xfe\x07\x00\x00\x01",
    "arm64": b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01",
}
_PE = {
    "386": (b"MZ", b"PE\0\0\x4c\x01"),
    "amd64": (b"MZ", b"PE\0\0\x64\x86"),
    "arm": (b"MZ", b"PE\0\0\xc4\x01"),
    "arm64": (b"MZ", b"PE\0\0\x64\xaa"),
}


class Binary(NamedTuple):
    """The binary in an archive, found and not yet read."""

    size: int                   # declared bytes; inflate holds it to that
    others: Tuple[str, ...]     # names of the members passed over
    archive: zipfile.ZipFile    # over the file that find_binary was given, which must stay open
    member: zipfile.ZipInfo
    path: str                   # of the archive, for messages
    file: "_Watched"


class _Watched:
    """The file below a ZipFile, which takes some errors of reading for a damaged archive and says no more."""

    def __init__(self, file):
        self._file = file
        self.error = None   # OSError

    def read(self, size=-1):
        return self._watch(self._file.read, size)

    def seek(self, offset, whence=os.SEEK_SET):
        return self._watch(self._file.seek, offset, whence)

    def tell(self):
        return self._watch(self._file.tell)

    def seekable(self):
        return True

    def _watch(self, method, *arguments):
        try:
            return method(*arguments)
        except OSError as exc:
            self.error = exc
            raise


def find_binary(file, platform, path):
    """The binary in an archive.

    :param file: binary file object, readable and seekable.
    :param platform: str, ``windows_*`` has ``terraform.exe``.
    :param path: str, where the archive is or came from, for messages.
    :returns: Binary.
    :raises ArchiveError: not the zip that releases are.
    :raises InstallError: the file cannot be read.
    """
    wanted = PRODUCT + (".exe" if platform.startswith("windows_") else "")
    file = _Watched(file)
    with _reading(file, path):
        directory_at, expected = _check_end(file, path)
        archive = zipfile.ZipFile(file)
    members = archive.infolist()
    if len(members) != expected:
        raise ArchiveError("%s announces %d members and has %d" % (path, expected, len(members)), path=path)
    _check_members(members, directory_at, path)
    others = tuple(member.filename for member in members if member.filename != wanted)
    ours = [member for member in members if member.filename == wanted]
    if not ours:
        raise ArchiveError(
            "%s has no member %s: it has %s" % (path, wanted, ", ".join(map(escaped, others[:5])) or "none"), path=path)
    _check_binary(ours[0], path)
    return Binary(ours[0].file_size, others, archive, ours[0], path, file)


def inflate(binary, write):
    """Inflate the binary, chunk by chunk.

    :param binary: Binary.
    :param write: callable that takes bytes; what it raises passes untouched.
    :returns: (bytes, sha256): how many there were, and 64 lower-case hex digits.
    :raises ArchiveError: damaged, or not of the declared size; some of it was written by then.
    :raises InstallError: the archive cannot be read.
    """
    digest = hashlib.sha256()
    size = 0
    with _reading(binary.file, binary.path):
        stream = binary.archive.open(binary.member)
    with stream:
        while True:
            # zipfile never delivers more than the declared size, which _check_binary has bounded, and compares
            # the CRC when that size or the end of the packed data is reached.
            with _reading(binary.file, binary.path):
                block = stream.read(_CHUNK)
            if not block:
                break
            write(block)
            digest.update(block)
            size += len(block)
    if size != binary.size:
        raise ArchiveError(
            "%s: %s has %d bytes, where the archive declares %d"
            % (binary.path, binary.member.filename, size, binary.size), path=binary.path)
    return size, digest.hexdigest()


def check_magic(head, platform, path):
    """Refuse a binary that is not an executable for the platform.

    :param head: bytes, the first HEAD_SIZE of the binary, or all of it.
    :param platform: str, os_arch.
    :param path: str, where the binary is, for messages.
    :raises ArchiveError: another format or another machine.
    """
    system, dummy, architecture = platform.partition("_")
    if system == "darwin":
        right = head[:8] == _MACH_O.get(architecture)
    elif system == "windows":
        at = int.from_bytes(head[0x3C:0x40], "little")
        right = (head[:2], head[at:at + 6]) == _PE.get(architecture)
    else:
        right = (head[:6], head[18:20]) == _ELF.get(architecture)
    if not right:
        raise ArchiveError(
            "%s is not an executable for %s: it begins with %s" % (path, platform, escaped(head, 20)), path=path,
            hint="the archive holds something else than its name says: report it to whoever published it")


def _check_end(file, path):
    """Judge the end record before zipfile reads what it announces: (offset of the directory, number of members)."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END.size - _COMMENT_LIMIT - _ZIP64_LOCATOR_SIZE))
    tail = file.read(_END.size + _COMMENT_LIMIT + _ZIP64_LOCATOR_SIZE)
    at = tail.rfind(b"PK\5\6")  # where zipfile looks too
    if at < 0 or at + _END.size > len(tail):
        raise _not_a_zip(file, size, path)
    (dummy, disk, directory_disk, members_here, members,
     directory_size, directory_at, comment_size) = _END.unpack_from(tail, at)
    end_at = size - len(tail) + at
    if end_at + _END.size + comment_size != size:
        raise ArchiveError("%s has bytes after the end of the archive" % path, path=path)
    if disk or directory_disk or members_here != members:
        raise ArchiveError("%s is a part of an archive on several disks" % path, path=path)
    if tail[max(0, at - _ZIP64_LOCATOR_SIZE):at].startswith(b"PK\6\7"):
        raise ArchiveError("%s is a ZIP64 archive, which releases are not" % path, path=path)
    if members > MEMBERS_CAP:
        raise ArchiveError("%s announces %d members, more than %d" % (path, members, MEMBERS_CAP), path=path)
    if directory_size > DIRECTORY_CAP:
        raise ArchiveError(
            "%s announces a directory of %d bytes, more than %d" % (path, directory_size, DIRECTORY_CAP), path=path)
    if directory_at + directory_size != end_at:
        raise ArchiveError(
            "%s: the archive's directory should end at byte %d, where its end record is, and not at %d"
            % (path, end_at, directory_at + directory_size), path=path)
    return directory_at, members


def _not_a_zip(file, size, path):
    """The error for a file without an end record."""
    file.seek(0)
    return ArchiveError(
        "%s is not a whole zip archive: %d bytes that begin with %s" % (path, size, escaped(file.read(20), 20)),
        path=path, hint="it was cut short, or it is something else")


def _check_members(members, directory_at, path):
    """Refuse names that could mean something else elsewhere, what is no regular file, and overlapping data."""
    seen = set()
    for member in members:
        name = member.orig_filename
        # zipfile cuts a name at NUL, and takes another one from an extra field since Python 3.13.
        if name != member.filename or not name or ".." in name or name == "." or re.search(r"[/\\\x00-\x1f\x7f]", name):
            raise ArchiveError(
                "%s has a member %s: bare file names were expected" % (path, escaped(name)), path=path)
        if name in seen:
            raise ArchiveError("%s has two members %s" % (path, escaped(name)), path=path)
        seen.add(name)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or member.external_attr & _DOS_DIRECTORY:
            raise ArchiveError(
                "%s: its member %s is not a regular file (mode %o)" % (path, escaped(name), member.external_attr >> 16),
                path=path)
    end = directory_at
    for member in sorted(members, key=lambda member: member.header_offset, reverse=True):
        if member.header_offset + _LOCAL_HEADER_SIZE + member.compress_size > end:
            raise ArchiveError(
                "%s: the data of its member %s runs into what follows it" % (path, escaped(member.filename)), path=path)
        end = member.header_offset


def _check_binary(member, path):
    """Refuse a binary that cannot be read here, and one that would fill the disk."""
    what = "%s: its member %s" % (path, member.filename)
    if member.flag_bits & _ENCRYPTED:
        raise ArchiveError("%s is encrypted" % what, path=path)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(
            "%s is compressed by method %d: stored (0) or deflated (8) was expected" % (what, member.compress_type),
            path=path)
    if not 0 < member.file_size <= BINARY_CAP:
        raise ArchiveError(
            "%s has %d bytes: 1 to %d were expected" % (what, member.file_size, BINARY_CAP), path=path)
    if member.file_size > RATIO_CAP * member.compress_size:
        raise ArchiveError(
            "%s would grow from %d to %d bytes, more than %d-fold"
            % (what, member.compress_size, member.file_size, RATIO_CAP), path=path)


@contextlib.contextmanager
def _reading(file, path):
    """Turn what zipfile and zlib raise into ArchiveError, and what the file system says into InstallError."""
    try:
        with os_errors("read archive", path):
            try:
                yield
            except _DAMAGE as exc:
                if file.error is not None:
                    raise file.error from exc
                raise
    except _DAMAGE as exc:
        raise ArchiveError(
            "%s is a damaged archive: %s" % (path, escaped(str(exc) or type(exc).__name__, 100)), path=path) from exc
