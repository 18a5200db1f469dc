# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's zip and the one binary in it: check the layout, find the binary, decompress it and check its type.

Programs read zips in different ways: by the central directory or by the local headers, by the first end record or by
the last, with or without extra fields. This file accepts an archive only if all of these give the same files. From
byte 0 on, it must consist of local headers, each with its data and possibly a descriptor, then the central directory,
then one end record with its comment, without a byte between them. Values that occur twice must be equal.
Source of the layout: PKWARE's APPNOTE.TXT, 4.3 to 4.5. Sources of the differences: unzip 6.0 (process.c, extract.c),
libarchive 3.6 and later (archive_read_support_format_zip.c), Go's archive/zip, Python's zipfile.

Exactly one regular, top-level member must have the binary's name, and no other member may be mistaken for it or hide
it. The decompressed data must have the declared size and CRC, and must use the compressed data to the last byte.
Memory use stays small whatever the archive claims. Only the given file object is read: nothing is opened or extracted
by name.
"""

import os
import re
import stat
import struct
import zlib
from typing import IO, Callable, Dict, FrozenSet, Iterator, List, NamedTuple, Set, Tuple

from .._errors import ArchiveError, os_error_context, quoted
from .._records import BINARY_CAP, PRODUCT

MEMBERS_CAP = 100
DIRECTORY_CAP = 1 << 20  # bytes of the central directory
RATIO_CAP = 100  # decompressed to compressed size; genuine binaries are near 3
HEAD_SIZE = 4096  # bytes of a binary that check_magic() needs

_DESCRIPTOR = b"PK\7\10"  # signature of a data descriptor, 4.3.9.3
_STORED, _DEFLATED = 0, 8  # 4.4.5
_END = struct.Struct("<4s4H2LH")  # end of central directory record, 4.3.16
_END_MAGIC = b"PK\5\6"
_LINE = struct.Struct("<4s6H3L5H2L")  # central directory header, 4.3.12
_LOCAL = struct.Struct("<4s5H3L2H")  # local file header, 4.3.7
_FIELD = struct.Struct("<2H")  # header of an extra field, 4.5.1
_COMMENT_LIMIT = 0xFFFF
_ZIP64_LOCATOR_SIZE = 20
_IN_ZIP64 = 0xFFFFFFFF  # placeholder for a size that is in the ZIP64 field, 4.5.3
_ENCRYPTED, _STREAMED = 0x1, 0x8  # 4.4.4
_FLAGS = _STREAMED | 0x2 | 0x4 | 0x800  # and the deflate level (0x2, 0x4), and a name in UTF-8 (0x800)
_VERSION_CAP = 45  # version needed to extract, 4.4.3.2; unzip skips members that need more than 4.6
_ZIP64 = 0x0001
# Extra fields with times and owners: NTFS, and Info-ZIP's UT, UX, Ux and ux. Others give a file another name (0x7075),
# another type (0x6c78) or another method (0x9901) in some readers.
_HARMLESS = frozenset((0x000A, 0x5455, 0x5855, 0x7855, 0x7875))

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


class Entry(NamedTuple):
    """A member, as its central directory line and its local header describe it. Offsets count from byte 0."""

    name: str  # unchanged, one character per byte
    flags: int
    method: int  # _STORED or _DEFLATED
    crc: int
    packed_size: int  # bytes of compressed data
    size: int  # bytes, decompressed
    attributes: int  # external attributes, 4.4.15
    header_at: int
    data_at: int


class ArchiveFile:
    """An archive, read by offsets.

    :param file: binary file object, readable and seekable.
    :param path: where it is or came from, for messages.
    """

    def __init__(self, file: IO[bytes], path: str) -> None:
        self.path = path
        self._file = file

    def size(self) -> int:
        """Return its size in bytes. Raises InstallError."""
        with os_error_context("read archive", self.path):
            return self._file.seek(0, os.SEEK_END)

    def read(self, at: int, size: int) -> bytes:
        """Return exactly these bytes. Raises ArchiveError if the archive is too short, InstallError if unreadable."""
        parts, left = [], size
        with os_error_context("read archive", self.path):
            self._file.seek(at)
            while left:
                part = self._file.read(left)
                if not part:
                    break
                parts.append(part)
                left -= len(part)
        self.expect("bytes before the end of the archive", at, size - left, size)
        return b"".join(parts)

    def expect(self, what: str, at: int, found: object, expected: object) -> None:
        """Raise ArchiveError if what was found at an offset is not what was expected."""
        if found != expected:
            raise ArchiveError(
                "%s: byte %d, %s: found %s, expected %s" % (self.path, at, what, _shown(found), _shown(expected)),
                path=self.path,
                hint="programs would read different files from it: report it to whoever published it",
            )


def _shown(value: object) -> str:
    return quoted(value, 24) if isinstance(value, bytes) else str(value)


class Executable(NamedTuple):
    """The binary in an archive, found but not read yet."""

    size: int  # declared bytes; extract() enforces this
    others: Tuple[str, ...]  # names of the other members
    entry: Entry
    archive: ArchiveFile  # wraps the file given to find_executable(), which must stay open


def _read_entries(archive: ArchiveFile) -> List[Entry]:
    """Return the members of an archive, in the order of their data.

    :raises ArchiveError: not a complete zip, or one that can be read in more than one way.
    :raises InstallError: the file cannot be read.
    """
    directory_at, directory_size, announced = _find_directory(archive)
    lines = _read_directory(archive, directory_at, directory_size)
    if len(lines) != announced:
        raise ArchiveError(
            "%s announces %d members and has %d" % (archive.path, announced, len(lines)), path=archive.path
        )
    entries: List[Entry] = []
    at = 0
    for line in sorted(lines, key=lambda line: line.header_at):
        archive.expect("local header of %s" % quoted(line.name), at, line.header_at, at)
        entry, is_zip64 = _read_local_header(archive, line)
        entries.append(entry)
        at = entry.data_at + entry.packed_size
        if entry.flags & _STREAMED:
            at += _descriptor_size(archive, entry, at, is_zip64)
    archive.expect("central directory", at, directory_at, at)
    return entries


def _find_directory(archive: ArchiveFile) -> Tuple[int, int, int]:
    """Check the end record; return (offset of the central directory, its size, announced number of members)."""
    size, path = archive.size(), archive.path
    tail_size = min(size, _END.size + _COMMENT_LIMIT + _ZIP64_LOCATOR_SIZE)
    tail = archive.read(size - tail_size, tail_size)
    at = tail.rfind(_END_MAGIC)  # the last one; for all readers to agree, the comment must contain none
    if at < 0 or at + _END.size > len(tail):
        raise ArchiveError(
            "%s is not a whole zip archive: %d bytes that begin with %s"
            % (path, size, quoted(archive.read(0, min(size, 20)), 20)),
            path=path,
            hint="it was cut short, or it is something else",
        )
    (dummy, disk, directory_disk, members_here, members, directory_size, directory_at, comment_size) = _END.unpack_from(
        tail, at
    )
    end_at = size - tail_size + at
    if end_at + _END.size + comment_size != size:
        raise ArchiveError("%s has bytes after the end of the archive" % path, path=path)
    if disk or directory_disk or members_here != members:
        raise ArchiveError("%s is a part of an archive on several disks" % path, path=path)
    if tail[max(0, at - _ZIP64_LOCATOR_SIZE) : at].startswith(b"PK\6\7"):
        raise ArchiveError("%s is a ZIP64 archive, which releases are not" % path, path=path)
    if members > MEMBERS_CAP:
        raise ArchiveError("%s announces %d members, more than %d" % (path, members, MEMBERS_CAP), path=path)
    if directory_size > DIRECTORY_CAP:
        raise ArchiveError(
            "%s announces a directory of %d bytes, more than %d" % (path, directory_size, DIRECTORY_CAP), path=path
        )
    if directory_at + directory_size != end_at:
        raise ArchiveError(
            "%s: the archive's directory should end at byte %d, where its end record is, and not at %d"
            % (path, end_at, directory_at + directory_size),
            path=path,
        )
    return directory_at, directory_size, members


def _read_directory(archive: ArchiveFile, directory_at: int, size: int) -> List[Entry]:
    """Return the lines of the central directory, which must fill it; their data_at is still unknown."""
    data, begin = archive.read(directory_at, size), 0
    entries: List[Entry] = []
    archive.expect("end records in the central directory", directory_at, data.count(_END_MAGIC), 0)
    while begin < size:
        at = directory_at + begin
        fixed = data[begin : begin + _LINE.size]
        archive.expect("bytes of a line of the central directory", at, len(fixed), _LINE.size)
        (
            magic,
            dummy,
            needed,
            flags,
            method,
            dummy,
            dummy,
            crc,
            packed_size,
            unpacked_size,
            name_size,
            extra_size,
            comment_size,
            disk,
            dummy,
            attributes,
            header_at,
        ) = _LINE.unpack(fixed)
        archive.expect("line of the central directory", at, magic, b"PK\1\2")
        rest = data[begin + _LINE.size : begin + _LINE.size + name_size + extra_size + comment_size]
        archive.expect(
            "bytes of a line of the central directory",
            at + _LINE.size,
            len(rest),
            name_size + extra_size + comment_size,
        )
        begin += _LINE.size + len(rest)
        entry = Entry(
            rest[:name_size].decode("latin-1"), flags, method, crc, packed_size, unpacked_size, attributes, header_at, 0
        )
        _check_kind(archive, entry, needed, at)
        archive.expect("disk of %s" % quoted(entry.name), at, disk, 0)
        _read_extra(archive, entry, rest[name_size : name_size + extra_size], at, _HARMLESS)
        entries.append(entry)
    return entries


def _check_kind(archive: ArchiveFile, entry: Entry, needed: int, at: int) -> None:
    """Refuse members that some readers cannot read, or only with a password."""
    what = "%s: its member %s" % (archive.path, quoted(entry.name))
    if entry.flags & _ENCRYPTED:
        raise ArchiveError("%s is encrypted" % what, path=archive.path)
    archive.expect("flags of %s" % quoted(entry.name), at, entry.flags, entry.flags & _FLAGS)
    if entry.method not in (_STORED, _DEFLATED):
        raise ArchiveError(
            "%s is compressed by method %d: stored (0) or deflated (8) was expected" % (what, entry.method),
            path=archive.path,
        )
    archive.expect("version needed for %s, at most" % quoted(entry.name), at, needed, min(needed, _VERSION_CAP))


def _read_extra(archive: ArchiveFile, entry: Entry, data: bytes, at: int, known: FrozenSet[int]) -> Dict[int, bytes]:
    """Return the extra fields of a header by id. Each must be known and occur once, with nothing between them."""
    fields: Dict[int, bytes] = {}
    begin = 0
    while begin < len(data):
        what = "extra field of %s" % quoted(entry.name)
        archive.expect(what, at, len(data[begin : begin + _FIELD.size]), _FIELD.size)
        number, size = _FIELD.unpack_from(data, begin)
        begin += _FIELD.size
        if number not in known or number in fields:
            archive.expect(what, at, "0x%04x" % number, "times and owners only, each once")
        fields[number] = data[begin : begin + size]
        begin += size
        archive.expect("%s, bytes of 0x%04x" % (what, number), at, len(fields[number]), size or "some")
    return fields


def _read_local_header(archive: ArchiveFile, line: Entry) -> Tuple[Entry, bool]:
    """Compare a local header with its directory line; return (Entry, whether the descriptor has 64-bit sizes)."""
    at, of = line.header_at, "of the local header of %s" % quoted(line.name)
    (magic, dummy, flags, method, dummy, dummy, crc, packed_size, size, name_size, extra_size) = _LOCAL.unpack(
        archive.read(at, _LOCAL.size)
    )
    archive.expect("beginning %s" % of, at, magic, b"PK\3\4")
    rest = archive.read(at + _LOCAL.size, name_size + extra_size)
    archive.expect("name %s" % of, at, rest[:name_size], line.name.encode("latin-1"))
    archive.expect("flags %s" % of, at, flags, line.flags)
    archive.expect("method %s" % of, at, method, line.method)
    zip64 = _read_extra(archive, line, rest[name_size:], at, _HARMLESS | {_ZIP64}).get(_ZIP64)
    if zip64 is not None:
        archive.expect("sizes %s" % of, at, (packed_size, size, len(zip64)), (_IN_ZIP64, _IN_ZIP64, 16))
        size, packed_size = struct.unpack("<2Q", zip64)
    for what, found, expected in (
        ("CRC-32", crc, line.crc),
        ("packed size", packed_size, line.packed_size),
        ("size", size, line.size),
    ):
        if found or not flags & _STREAMED:  # a streamed member may have it after the data
            archive.expect("%s %s" % (what, of), at, found, expected)
    return line._replace(data_at=at + _LOCAL.size + name_size + extra_size), zip64 is not None


def _descriptor_size(archive: ArchiveFile, entry: Entry, at: int, is_zip64: bool) -> int:
    """Compare a data descriptor (4.3.9) with the directory; return its size in bytes."""
    facts = struct.pack("<L2Q" if is_zip64 else "<3L", entry.crc, entry.packed_size, entry.size)
    found = archive.read(at, len(_DESCRIPTOR + facts))
    # The signature may be missing, except after stored data, whose end a streaming reader finds only by it, or if the
    # CRC looks like the signature.
    if found.startswith(facts) and entry.method == _DEFLATED and not facts.startswith(_DESCRIPTOR):
        return len(facts)
    archive.expect("descriptor of %s" % quoted(entry.name), at, found, _DESCRIPTOR + facts)
    return len(found)


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
    entries = _read_entries(archive)
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
    for block in (_inflated if entry.method == _DEFLATED else _stored)(archive, entry):
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
        data = archive.read(at, size + len(_DESCRIPTOR) + 3)  # includes the CRC after a signature in this chunk
        begin = 0
        for found in re.finditer(re.escape(_DESCRIPTOR), data):
            if found.start() < size:
                crc = zlib.crc32(data[begin : found.start()], crc)
                begin = found.start()
                if data[begin + 4 : begin + 8] == struct.pack("<L", crc):
                    archive.expect("data of %s" % entry.name, at + begin, "a descriptor", "no end of the data")
        crc = zlib.crc32(data[begin:size], crc)
        yield data[:size]
        at += size
