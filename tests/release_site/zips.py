# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A zip writer that writes honest archives and any lie about them.

``zipfile`` refuses or repairs what tests need (two members of one name, a NUL in a name, a wrong size). This one writes
what it is given, in the form HashiCorp's own archives have (Go's ``archive/zip``, streaming: sizes and CRC behind the
data): with the genuine compressed bytes it gives the genuine archive, bit for bit.
"""

import struct
import time
import zlib
from typing import NamedTuple, Optional

STORED, DEFLATED, DEFLATED64, BZIP2, LZMA = 0, 8, 9, 12, 14  # APPNOTE.TXT 4.4.5
FILE, DIRECTORY, SYMLINK, FIFO = 0o100000, 0o040000, 0o120000, 0o010000
ENCRYPTED, STREAMED = 0x1, 0x8  # APPNOTE.TXT 4.4.4
PUBLISHED = 1744203816  # 2025-04-09 13:03:36 UTC, every member's time
_UNIX = 3
_LARGE = 1 << 20


class Member(NamedTuple):
    """One entry. Fields left at None are written truthfully."""

    name: bytes
    data: bytes
    mode: int = FILE | 0o644  # type and permission bits, as in stat
    method: int = DEFLATED
    flags: int = STREAMED
    packed: Optional[bytes] = None  # compressed bytes; None: what ``method`` (stored or deflated) makes of data
    size: Optional[int] = None  # declared size of the data
    crc: Optional[int] = None  # declared CRC-32 of the data
    local_name: Optional[bytes] = None  # the name before the data, when it differs from the directory's


def deflate(data):
    """A raw deflate stream. Large data is wrapped and not squeezed: it is padding, and time is dear."""
    squeezer = zlib.compressobj(0 if len(data) > _LARGE else 9, zlib.DEFLATED, -15)
    return squeezer.compress(data) + squeezer.flush()


def pack(members, comment=b""):
    """The bytes of a zip file.

    :param members: iterable of Member, written in this order.
    :param comment: bytes, the comment at the end of the archive.
    """
    parts, directory, offset = [], [], 0
    for member in members:
        local, central = _entry(member, offset)
        parts.append(local)
        directory.append(central)
        offset += len(local)
    central = b"".join(directory)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(directory), len(directory), len(central), offset, len(comment))
    return b"".join(parts) + central + end + comment


def _entry(member, offset):
    """The local part (header, data, descriptor) and the directory's line of one member (APPNOTE.TXT 4.3)."""
    packed = member.packed
    if packed is None:
        packed = member.data if member.method == STORED else deflate(member.data)
    crc = zlib.crc32(member.data) if member.crc is None else member.crc
    size = len(member.data) if member.size is None else member.size
    sizes = struct.pack("<3I", crc, len(packed), size)
    moment = time.gmtime(PUBLISHED)
    dos_time = moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2
    dos_date = moment.tm_year - 1980 << 9 | moment.tm_mon << 5 | moment.tm_mday
    extra = struct.pack("<2sHBI", b"UT", 5, 1, PUBLISHED)
    common = struct.pack("<5H", 20, member.flags, member.method, dos_time, dos_date)
    streamed = member.flags & STREAMED
    local_name = member.name if member.local_name is None else member.local_name
    local = (
        b"PK\3\4"
        + common
        + (bytes(12) if streamed else sizes)
        + struct.pack("<2H", len(local_name), len(extra))
        + local_name
        + extra
        + packed
        + (b"PK\7\x08" + sizes if streamed else b"")
    )
    central = (
        b"PK\1\2"
        + struct.pack("<H", _UNIX << 8 | 20)
        + common
        + sizes
        + struct.pack("<5H2I", len(member.name), len(extra), 0, 0, 0, member.mode << 16, offset)
        + member.name
        + extra
    )
    return local, central
