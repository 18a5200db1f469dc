# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's zip and the one binary in it: find it, decompress it and check its type. Nothing is extracted by name.

Exactly one regular, top-level member must have the binary's name, and no other member may be mistaken for it or hide
it. The decompressed data must have the declared size and CRC, and must use the compressed data to the last byte.
Memory use stays small whatever the archive claims. Only the given file object is read; nothing is opened by name.
"""

import re
import stat
import struct
import zlib
from typing import IO, Callable, Iterator, List, NamedTuple, Set, Tuple

from .._errors import ArchiveError, quoted
from .._records import BINARY_CAP, PRODUCT
from .zip_layout import DEFLATED, DESCRIPTOR, ArchiveFile, Entry, read_entries

RATIO_CAP = 100  # decompressed to compressed size; genuine binaries are near 3
HEAD_SIZE = 4096  # bytes of a binary that check_magic() needs

_CHUNK = 256 << 10
_DOS_DIRECTORY, _DOS_VOLUME_LABEL = 0x10, 0x08  # for unzip, which ignores labels
_NAME = re.compile(r"[0-9A-Za-z._+~ -]*[0-9A-Za-z_+~-]\Z")  # programs read other characters in different ways

# The bytes that identify each machine: class, byte order and e_machine of ELF (elf(5)); magic number and cputype of
# Mach-O (mach-o/loader.h); machine of PE (Microsoft's "PE Format").
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


class Executable(NamedTuple):
    """The binary in an archive, found but not read yet."""

    size: int  # declared bytes; extract() enforces this
    others: Tuple[str, ...]  # names of the other members
    entry: Entry
    archive: ArchiveFile  # wraps the file given to find_executable(), which must stay open


def find_executable(file: IO[bytes], platform: str, path: str) -> Executable:
    """Find the binary in an archive.

    :param file: binary file object, readable and seekable.
    :param platform: os_arch; for ``windows_*`` the binary is ``terraform.exe``.
    :param path: where the archive is or came from, for messages.
    :raises ArchiveError: not a zip as releases have it.
    :raises InstallError: the file cannot be read.
    """
    wanted = PRODUCT + (".exe" if platform.startswith("windows_") else "")
    archive = ArchiveFile(file, path)
    entries = read_entries(archive)
    _check_members(entries, path)
    others = [entry for entry in entries if entry.name != wanted]
    ours = [entry for entry in entries if entry.name == wanted]
    if not ours:
        names = ", ".join(quoted(entry.name) for entry in others[:5])
        raise ArchiveError("%s has no member %s: it has %s" % (path, wanted, names or "none"), path=path)
    if not ours[0].size:
        raise ArchiveError("%s: its member %s is empty" % (path, wanted), path=path)
    if sum(entry.size for entry in others) > BINARY_CAP:
        raise ArchiveError("%s has more than %d bytes beside %s" % (path, BINARY_CAP, wanted), path=path)
    for entry in others:  # if one ended too early, a program that reads from the front could find another binary
        for _block in _blocks(archive, entry):
            pass
    return Executable(ours[0].size, tuple(entry.name for entry in others), ours[0], archive)


def extract(binary: Executable, write: Callable[[bytes], object]) -> None:
    """Decompress the binary, chunk by chunk.

    :param write: called with bytes; its exceptions pass through.
    :raises ArchiveError: damaged, or not of the declared size. Some of it has been written by then.
    :raises InstallError: the archive cannot be read.
    """
    for block in _blocks(binary.archive, binary.entry):
        write(block)


def check_magic(head: bytes, platform: str, path: str) -> None:
    """Refuse a binary that is not an executable for the platform.

    :param head: the first HEAD_SIZE bytes of the binary, or all of it.
    :param platform: os_arch.
    :param path: where the binary is, for messages.
    :raises ArchiveError: another format or another machine.
    """
    system, dummy, architecture = platform.partition("_")
    if system == "darwin":
        right = head[:8] == _MACH_O.get(architecture)
    elif system == "windows":
        at = int.from_bytes(head[0x3C:0x40], "little")
        right = (head[:2], head[at : at + 6]) == _PE.get(architecture)
    else:
        right = (head[:6], head[18:20]) == _ELF.get(architecture)
    if not right:
        raise ArchiveError(
            "%s is not an executable for %s: it begins with %s" % (path, platform, quoted(head, 20)),
            path=path,
            hint="the archive holds something else than its name says: report it to whoever published it",
        )


def _check_members(entries: List[Entry], path: str) -> None:
    """Refuse names that mean something else on other systems, members that are not regular files, and zip bombs."""
    seen: Set[str] = set()
    for entry in entries:
        name, mode = entry.name, entry.attributes >> 16
        what = "%s: its member %s" % (path, quoted(name))
        if not _NAME.match(name) or ".." in name:
            raise ArchiveError("%s has a member %s: bare file names were expected" % (path, quoted(name)), path=path)
        if name.lower() in seen:  # some file systems ignore case
            raise ArchiveError("%s has two members %s, whatever the case" % (path, quoted(name)), path=path)
        seen.add(name.lower())
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or entry.attributes & (_DOS_DIRECTORY | _DOS_VOLUME_LABEL):
            raise ArchiveError(
                "%s is not a regular file (mode %o, attributes 0x%02x)" % (what, mode, entry.attributes & 0xFF),
                path=path,
            )
        if entry.size > BINARY_CAP:
            raise ArchiveError("%s has %d bytes: %d at most were expected" % (what, entry.size, BINARY_CAP), path=path)
        if entry.size > RATIO_CAP * entry.packed_size:
            raise ArchiveError(
                "%s would grow from %d to %d bytes, more than %d-fold"
                % (what, entry.packed_size, entry.size, RATIO_CAP),
                path=path,
            )


def _blocks(archive: ArchiveFile, entry: Entry) -> Iterator[bytes]:
    """Yield a member's data block by block, and check size and CRC. Raises ArchiveError, InstallError."""
    what = "%s: %s" % (archive.path, entry.name)
    size = crc = 0
    for block in (_inflated if entry.method == DEFLATED else _stored)(archive, entry):
        size += len(block)
        if size > entry.size:
            raise ArchiveError(
                "%s has more than the %d bytes that the archive declares" % (what, entry.size), path=archive.path
            )
        crc = zlib.crc32(block, crc)
        yield block
    if size != entry.size:
        raise ArchiveError(
            "%s has %d bytes, where the archive declares %d" % (what, size, entry.size), path=archive.path
        )
    if crc != entry.crc:
        raise ArchiveError(
            "%s is damaged: its CRC-32 is %08x, where the archive declares %08x" % (what, crc, entry.crc),
            path=archive.path,
        )


def _inflated(archive: ArchiveFile, entry: Entry) -> Iterator[bytes]:
    """Yield the blocks of a deflated member, whose stream must end where its compressed data end."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    at, end = entry.data_at, entry.data_at + entry.packed_size
    while not inflater.eof:
        packed = inflater.unconsumed_tail
        if not packed and at < end:
            packed = archive.read(at, min(_CHUNK, end - at))
            at += len(packed)
        try:
            block = inflater.decompress(packed, _CHUNK)
        except zlib.error as exc:
            raise ArchiveError("%s: %s is damaged: %s" % (archive.path, entry.name, exc), path=archive.path) from exc
        if not block and not packed:
            raise ArchiveError(
                "%s: %s is cut: its packed data have no end" % (archive.path, entry.name), path=archive.path
            )
        if block:
            yield block
    left = end - at + len(inflater.unused_data)
    archive.expect("bytes after the packed data of %s" % entry.name, end - left, left, 0)


def _stored(archive: ArchiveFile, entry: Entry) -> Iterator[bytes]:
    """Yield the blocks of a stored member. Refuse data in which a streaming reader would see a valid descriptor."""
    at, end, crc = entry.data_at, entry.data_at + entry.packed_size, 0
    while at < end:
        size = min(_CHUNK, end - at)
        data = archive.read(at, size + len(DESCRIPTOR) + 3)  # includes the CRC after a signature in this chunk
        begin = 0
        for found in re.finditer(re.escape(DESCRIPTOR), data):
            if found.start() < size:
                crc = zlib.crc32(data[begin : found.start()], crc)
                begin = found.start()
                if data[begin + 4 : begin + 8] == struct.pack("<L", crc):
                    archive.expect("data of %s" % entry.name, at + begin, "a descriptor", "no end of the data")
        crc = zlib.crc32(data[begin:size], crc)
        yield data[:size]
        at += size
