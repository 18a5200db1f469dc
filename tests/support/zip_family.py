# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Some hundred archives about which programs may disagree, the same ones in every run.

    for name, data in archives():       # "streamed: prefix", "plain: gap + comment", ...

Each is LICENSE.txt and terraform, written byte by byte, with one or two things that are odd (APPNOTE.TXT 4.3 to 4.5). Where
there is a second terraform for somebody to find, it has EVIL inside. An oddity is a callable(Spec).
"""

import random
import struct
import zlib

BINARY = b"\x7fELF\2\1\1" + b"".join(b"terraform %d\n" % number for number in range(60))
EVIL = b"\x7fELF\2\1\1" + b"".join(b"evil %d\n" % number for number in range(60))
LICENSE = b"License text\n"
STORED, DEFLATED = 0, 8
STREAMED, UTF8 = 0x8, 0x800
FILE, DIRECTORY, SYMLINK = 0o100755 << 16, 0o040755 << 16, 0o120777 << 16
SIGNATURE = b"PK\7\10"
ALL_ONES = 0xFFFFFFFF  # where a number is in a ZIP64 field
PAIRS = 120  # of any oddities, and as many of harmless ones
BASES = {"plain": (DEFLATED, 0), "streamed": (DEFLATED, STREAMED), "stored": (STORED, 0)}

_LOCAL = ("<4s5H3L2H", "magic needed flags method time date crc packed_size size name_size extra_size")
_LINE = (
    "<4s6H3L5H2L",
    "magic made_by needed flags method time date crc packed_size size name_size extra_size "
    "comment_size disk internal external offset",
)
_END = ("<4s4H2LH", "magic disk directory_disk members_here members directory_size directory_at comment_size")


# The writer.


class Item:
    """One member. ``local`` and ``line`` are the lies of its headers: field and value, or callable(truth) -> value."""

    def __init__(self, name=b"terraform", data=BINARY, method=DEFLATED, flags=0):
        self.name, self.data, self.method, self.flags = name, data, method, flags
        self.local_name = None  # bytes, where it is another one
        self.packed = None  # bytes, where they are not what the method makes of the data
        self.extra = b""
        self.line_extra = None  # bytes, where they are not those of the local header
        self.descriptor = None  # callable(facts) -> bytes
        self.comment = self.before = self.after = b""
        self.listed = 1  # lines of the directory
        self.local, self.line = {}, {}


class Spec:
    """An archive to be written. ``end`` are the lies of the end record."""

    def __init__(self, method, flags):
        self.items = [Item(b"LICENSE.txt", LICENSE, method, flags), Item(method=method, flags=flags)]
        self.prefix = self.before_directory = self.before_end = self.comment = self.suffix = b""
        self.shift = 0  # added to all offsets
        self.order = list  # callable(lines) -> lines
        self.zip64 = None  # callable(directory_at, directory_size, members, at) -> bytes before the end record
        self.end = {}


def _record(layout, facts, lies):
    claimed = dict(facts)
    for key, lie in lies.items():
        claimed[key] = lie(facts[key]) if callable(lie) else lie
    return struct.pack(layout[0], *(claimed[key] for key in layout[1].split()))


def deflate(data):
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeezer.compress(data) + squeezer.flush()


def descriptor(signature=SIGNATURE, numbers="3L", **lies):
    """What makes a data descriptor: callable(facts) -> bytes."""
    return lambda facts: signature + _record(("<" + numbers, "crc packed_size size"), facts, lies)


def _write_item(item, offset):
    """(local header with the data and what follows them, line of the directory)."""
    packed = item.packed
    if packed is None:
        packed = item.data if item.method == STORED else deflate(item.data)
    local_name = item.name if item.local_name is None else item.local_name
    line_extra = item.extra if item.line_extra is None else item.line_extra
    common = dict(
        needed=20,
        flags=item.flags,
        method=item.method,
        time=0x6872,
        date=0x5A89,
        crc=zlib.crc32(item.data),
        packed_size=len(packed),
        size=len(item.data),
    )
    local = dict(common, magic=b"PK\3\4", name_size=len(local_name), extra_size=len(item.extra))
    end = item.descriptor
    if item.flags & STREAMED:
        local.update(crc=0, packed_size=0, size=0)
        end = end or descriptor()
    line = dict(
        common,
        magic=b"PK\1\2",
        made_by=3 << 8 | 20,
        name_size=len(item.name),
        extra_size=len(line_extra),
        comment_size=len(item.comment),
        disk=0,
        internal=0,
        external=FILE,
        offset=offset,
    )
    return (
        _record(_LOCAL, local, item.local) + local_name + item.extra + packed + (end(common) if end else b""),
        _record(_LINE, line, item.line) + item.name + line_extra + item.comment,
    )


def write(spec):
    """The bytes of an archive."""
    body, lines = spec.prefix, []
    for item in spec.items:
        body += item.before
        local, line = _write_item(item, len(body) - len(spec.prefix) + spec.shift)
        body += local + item.after
        lines += [line] * item.listed
    body += spec.before_directory
    at, directory = len(body) - len(spec.prefix) + spec.shift, b"".join(spec.order(lines))
    body += directory + spec.before_end
    if spec.zip64:
        body += spec.zip64(at, len(directory), len(lines), len(body))
    facts = dict(
        magic=b"PK\5\6",
        disk=0,
        directory_disk=0,
        members_here=len(lines),
        members=len(lines),
        directory_size=len(directory),
        directory_at=at,
        comment_size=len(spec.comment),
    )
    return body + _record(_END, facts, spec.end) + spec.comment + spec.suffix


# Oddities of terraform's member, and how to say them.


def item(number=1, **changes):
    """Attributes of a member; a callable that is no descriptor gets the member."""

    def change(spec):
        for key, value in changes.items():
            setattr(
                spec.items[number], key, value(spec.items[number]) if callable(value) and key != "descriptor" else value
            )

    return change


def local(**lies):
    return lambda spec: spec.items[1].local.update(lies)


def line(**lies):
    return lambda spec: spec.items[1].line.update(lies)


def both(**lies):
    def change(spec):
        spec.items[1].local.update(lies)
        spec.items[1].line.update(lies)

    return change


def end(**lies):
    return lambda spec: spec.end.update(lies)


def archive(**changes):
    return lambda spec: spec.__dict__.update(changes)


def every(*oddities):
    def change(spec):
        for oddity in oddities:
            oddity(spec)

    return change


def plus(number):
    return lambda truth: truth + number


def flip(bits):
    return lambda truth: truth ^ bits


def field(number, data, size=None):
    """One extra field; ``size`` is what it says of its size."""
    return struct.pack("<2H", number, len(data) if size is None else size) + data


def unicode_path(name, of):
    return field(0x7075, struct.pack("<BL", 1, zlib.crc32(of)) + name)


def second(name=b"terraform", data=EVIL, listed=1, place=None, **changes):
    """One more member; ``place`` counts from the front."""

    def change(spec):
        more = Item(name, data, spec.items[1].method, spec.items[1].flags)
        more.listed = listed
        more.__dict__.update(changes)
        spec.items.insert(len(spec.items) if place is None else place, more)

    return change


def evil():
    """A whole second archive."""
    spec = Spec(DEFLATED, 0)
    spec.items[1].data = EVIL
    return write(spec)


def evil_local():
    return _write_item(Item(data=EVIL), 0)[0]


def evil_end(**lies):
    return _record(
        _END,
        dict(
            magic=b"PK\5\6",
            disk=0,
            directory_disk=0,
            members_here=1,
            members=1,
            directory_size=55,
            directory_at=0,
            comment_size=0,
        ),
        lies,
    )


def forged(data, crc):
    """The data and four bytes that give it a CRC."""
    table = [zlib.crc32(bytes([number])) ^ zlib.crc32(b"\0") for number in range(256)]
    state = crc ^ ALL_ONES
    for _byte in range(4):
        (index,) = [number for number in range(256) if table[number] >> 24 == state >> 24]
        state = (state ^ table[index]) << 8 & ALL_ONES | index
    return data + struct.pack("<L", state ^ zlib.crc32(data) ^ ALL_ONES)


def with_end(data, packed=None):
    """Data with an end behind that fits, for who reads from the front, and a second terraform."""
    packed = data if packed is None else packed
    return packed + descriptor()(dict(crc=zlib.crc32(data), packed_size=len(packed), size=len(data))) + evil_local()


def zip64_end(record_lies=(), locator_lies=()):
    """A ZIP64 end record (4.3.14) and its locator (4.3.15)."""
    record_layout = (
        "<4sQ2H2L4Q",
        "magic rest made_by needed disk directory_disk members_here members directory_size directory_at",
    )
    locator_layout = ("<4sLQL", "magic disk at disks")

    def make(directory_at, directory_size, members, at):
        facts = dict(
            magic=b"PK\6\6",
            rest=44,
            made_by=45,
            needed=45,
            disk=0,
            directory_disk=0,
            members_here=members,
            members=members,
            directory_size=directory_size,
            directory_at=directory_at,
        )
        return _record(record_layout, facts, dict(record_lies)) + _record(
            locator_layout, dict(magic=b"PK\6\7", disk=0, at=at, disks=1), dict(locator_lies)
        )

    return make


def zip64_field(layout="2Q", **lies):
    """The sizes of terraform in a ZIP64 field (4.5.3)."""

    def make(of):
        packed = of.data if of.method == STORED else deflate(of.data)
        facts = dict(size=len(of.data), packed_size=len(packed), offset=0, disk=0)
        names = {
            "Q": "size",
            "2Q": "size packed_size",
            "3Q": "size packed_size offset",
            "3QL": "size packed_size offset disk",
        }[layout]
        return field(1, _record(("<" + layout, names), facts, lies))

    return make


IN_ZIP64 = dict(size=ALL_ONES, packed_size=ALL_ONES)
UT = field(0x5455, b"\1\0\0\0\0")

ODDITIES = {
    # what lies before, between and behind
    "prefix": archive(prefix=b"#!/bin/sh\n"),
    "prefix, offsets right": archive(prefix=b"#!/bin/sh\n", shift=10),
    "prefix, offsets wrong by one": archive(prefix=b"#!/bin/sh\n", shift=9),
    "archive in front": archive(prefix=evil()),
    "archive in front, offsets right": archive(prefix=evil(), shift=len(evil())),
    "member in front": archive(prefix=evil_local()),
    "member in front, offsets right": archive(prefix=evil_local(), shift=len(evil_local())),
    "suffix of a byte": archive(suffix=b"\n"),
    "suffix of zeros": archive(suffix=bytes(512)),
    "archive behind": archive(suffix=evil()),
    "archive behind as a comment": every(archive(suffix=evil()), end(comment_size=len(evil()))),
    "gap": item(before=b"\0"),
    "gap in front": item(0, before=bytes(7)),
    "gap of an unlisted member": item(before=evil_local()),
    "gap behind": item(after=b"\0"),
    "gap of a descriptor": item(after=descriptor()(dict(crc=1, packed_size=2, size=3))),
    "gap before the directory": archive(before_directory=b"\0"),
    "unlisted member": second(listed=0),
    "unlisted member in front": second(listed=0, place=0),
    "unlisted member of another name": second(b"NOTICE", b"notice", listed=0),
    "gap before the end": archive(before_end=b"\0"),
    "unlisted line": archive(before_end=_write_item(Item(data=EVIL), 0)[1]),
    "line of an unlisted member": every(second(listed=0), archive(order=lambda lines: lines + lines[:1])),
    "second directory in front": archive(before_directory=_write_item(Item(data=EVIL), 0)[1] + evil_end()),
    "second end in front": archive(before_directory=evil_end()),
    "second end behind": archive(suffix=evil_end()),
    "two ends": archive(before_end=evil_end()),
    "two ends alike": lambda spec: spec.__dict__.update(suffix=write(spec)[-22:]),
    "end in the comment": archive(comment=evil_end()),
    "end in the comment, cut": archive(comment=b"PK\5\6"),
    "end in the comment that fits": archive(comment=evil_end() + b"x"),
    # the end record
    "disk": end(disk=1),
    "directory's disk": end(directory_disk=1),
    "members here": end(members_here=plus(-1)),
    "one member less": end(members=plus(-1), members_here=plus(-1)),
    "one member more": end(members=plus(1), members_here=plus(1)),
    "65535 members": end(members=0xFFFF, members_here=0xFFFF),
    "members and 65536": archive(order=lambda lines: lines[:1]),
    "directory shorter": end(directory_size=plus(-1)),
    "directory longer": end(directory_size=plus(1)),
    "directory elsewhere": end(directory_at=plus(-1)),
    "directory at once": end(directory_at=0),
    "directory's offset in ZIP64": end(directory_at=ALL_ONES),
    "comment longer": end(comment_size=plus(1)),
    "comment shorter": every(archive(comment=b"ab"), end(comment_size=plus(-1))),
    # the directory
    "line twice": item(listed=2),
    "two lines, one place": archive(
        order=lambda lines: [lines[0], lines[1], lines[1].replace(b"terraform", b"terrafork")]
    ),
    "order reversed": archive(order=lambda lines: lines[::-1]),
    "data reversed": lambda spec: spec.items.reverse(),
    "three in another order": every(second(b"NOTICE", b"notice"), archive(order=lambda lines: lines[1:] + lines[:1])),
    "many": lambda spec: [second(b"%d" % number, b"")(spec) for number in range(40)],
    "line cut": archive(order=lambda lines: lines + [b"PK\1\2"]),
    "line longer than the directory": line(comment_size=plus(5)),
    "offset before": line(offset=plus(-1)),
    "offset behind": line(offset=plus(1)),
    "offset of another": line(offset=0),
    "offset in ZIP64": line(offset=ALL_ONES),
    "line without signature": line(magic=b"PK\1\3"),
    # the headers, each field
    "local signature": local(magic=b"PK\3\5"),
    "local version": local(needed=63),
    "local flags: streamed": local(flags=flip(STREAMED)),
    "local flags: level": local(flags=flip(2)),
    "local flags: name": local(flags=flip(UTF8)),
    "local flags: encrypted": local(flags=flip(1)),
    "local method": local(method=flip(8)),
    "local method, unknown": local(method=12),
    "local time": local(time=0, date=0),
    "local CRC": local(crc=zlib.crc32(EVIL)),
    "local CRC missing": local(crc=0),
    "local packed size less": local(packed_size=20),
    "local packed size more": local(packed_size=2000),
    "local packed size missing": local(packed_size=0),
    "local size less": local(size=5),
    "local size more": local(size=3000),
    "local size missing": local(size=0),
    "local sizes in ZIP64": local(**IN_ZIP64),
    "local name": item(local_name=b"terrafork"),
    "local name in another case": item(local_name=b"Terraform"),
    "local name longer": item(local_name=b"terraform.old"),
    "local name shorter": item(local_name=b"terra"),
    "local name empty": item(local_name=b""),
    "name from elsewhere": item(name=b"terrafork", local_name=b"terraform"),
    "local name's size": local(name_size=plus(-1)),
    "local extra size less": every(item(extra=UT), local(extra_size=plus(-1))),
    "local extra size more": local(extra_size=plus(1)),
    "local extra size to the directory": local(extra_size=plus(400)),
    "made by FAT": line(made_by=20),
    "made by NTFS": line(made_by=10 << 8 | 63),
    "made by VMS": line(made_by=2 << 8 | 20),
    "made by nobody": line(made_by=0xFFFF),
    "version 4.5": both(needed=45),
    "version 6.3": both(needed=63),
    "version 9.9": line(needed=99),
    "version of VMS": both(needed=2 << 8 | 42),
    "line flags: streamed": line(flags=flip(STREAMED)),
    "line flags: level": line(flags=flip(4)),
    "line flags: encrypted": line(flags=flip(1)),
    "line method": line(method=flip(8)),
    "line CRC": line(crc=zlib.crc32(EVIL)),
    "line CRC missing": line(crc=0),
    "line packed size less": line(packed_size=plus(-1)),
    "line packed size more": line(packed_size=plus(1)),
    "line packed size missing": line(packed_size=0),
    "line size less": line(size=plus(-1)),
    "line size more": line(size=plus(1)),
    "line size missing": line(size=0),
    "line sizes in ZIP64": line(**IN_ZIP64),
    "line disk": line(disk=1),
    "line disk in ZIP64": line(disk=0xFFFF),
    "internal: text": line(internal=1),
    "internal: verification": line(internal=4, external=SYMLINK),
    "no attributes": line(external=0),
    "symlink": line(external=SYMLINK),
    "symlink from FAT": line(external=SYMLINK, made_by=20),
    "directory": line(external=DIRECTORY),
    "DOS directory": line(external=FILE | 0x10),
    "DOS directory from FAT": line(external=0x10, made_by=20),
    "DOS volume label from FAT": line(external=0x08, made_by=20),
    "DOS read-only from FAT": line(external=0x21, made_by=20),
    "flags: level": both(flags=flip(6)),
    "flags: name in UTF-8": both(flags=flip(UTF8)),
    "flags: encrypted": both(flags=flip(1)),
    "flags: bit 4": both(flags=flip(0x10)),
    "flags: patch": both(flags=flip(0x20)),
    "flags: strong encryption": both(flags=flip(0x40)),
    "flags: hidden headers": both(flags=flip(0x2000)),
    "flags: all others": both(flags=flip(0xD780)),
    "method 1": both(method=1),
    "method 9": both(method=9),
    "method 12": both(method=12),
    "method 93": both(method=93),
    "method 99": every(both(method=99), item(extra=field(0x9901, b"\2\0AE\3\0\0"))),
    "method 264": both(method=264),
    "wrong method": both(method=flip(8)),
    "wrong CRC": both(crc=zlib.crc32(EVIL)),
    "no CRC": both(crc=0),
    "wrong size": both(size=plus(1)),
    "smaller size": both(size=plus(-1)),
    "other sizes": both(size=3, packed_size=3),
    # data
    "stored": item(method=STORED),
    "deflated": item(method=DEFLATED),
    "empty": item(data=b""),
    "stored, sizes differ": every(item(method=STORED, packed=BINARY + b"more")),
    "stored, data cut": item(method=STORED, packed=BINARY[:-5]),
    "deflated, bytes behind": item(method=DEFLATED, packed=lambda of: deflate(of.data) + b"more"),
    "deflated, member behind": item(method=DEFLATED, packed=lambda of: deflate(of.data) + evil_local()),
    "deflated, second stream behind": item(method=DEFLATED, packed=lambda of: deflate(of.data) + deflate(EVIL)),
    "deflated, cut": item(method=DEFLATED, packed=lambda of: deflate(of.data)[:-3]),
    "deflated, empty": item(method=DEFLATED, packed=b""),
    "deflated, stored blocks": item(
        method=DEFLATED, packed=lambda of: b"\1" + struct.pack("<2H", len(of.data), len(of.data) ^ 0xFFFF) + of.data
    ),
    "license: member behind its stream": item(0, method=DEFLATED, packed=deflate(LICENSE) + evil_local()),
    "license: descriptor and member behind its stream": item(
        0, method=DEFLATED, flags=STREAMED, packed=with_end(LICENSE, deflate(LICENSE))
    ),
    "license: stored and streamed, an end inside": item(0, method=STORED, flags=STREAMED, data=with_end(LICENSE)),
    "license: stored, an end inside": item(0, method=STORED, data=with_end(LICENSE)),
    "stored and streamed, an end inside": item(method=STORED, flags=STREAMED, data=with_end(BINARY)),
    "stored and streamed, another end inside": item(
        method=STORED, flags=STREAMED, data=BINARY + SIGNATURE + b"abcd" + EVIL
    ),
    "stored and streamed": item(method=STORED, flags=STREAMED),
    "license: archive inside": item(0, method=STORED, data=evil()),
    "license: wrong CRC": lambda spec: [part.update(crc=5) for part in (spec.items[0].local, spec.items[0].line)],
    "license: method 12": lambda spec: [part.update(method=12) for part in (spec.items[0].local, spec.items[0].line)],
    "license: empty": item(0, data=b""),
    "license: empty, stored": item(0, data=b"", method=STORED),
    "license: empty, nothing deflated": item(0, data=b"", method=DEFLATED, packed=b""),
    # descriptors
    "streamed": item(flags=STREAMED),
    "descriptor of 12 bytes": item(flags=STREAMED, descriptor=descriptor(b"")),
    "descriptor of 24 bytes": item(flags=STREAMED, descriptor=descriptor(numbers="L2Q")),
    "descriptor of 20 bytes": item(flags=STREAMED, descriptor=descriptor(b"", "L2Q")),
    "descriptor missing": item(flags=STREAMED, descriptor=lambda facts: b""),
    "descriptor cut": item(flags=STREAMED, descriptor=lambda facts: descriptor()(facts)[:-4]),
    "descriptor twice": item(flags=STREAMED, descriptor=lambda facts: 2 * descriptor()(facts)),
    "descriptor of nothing": item(flags=STREAMED, descriptor=descriptor(crc=0, packed_size=0, size=0)),
    "descriptor's CRC": item(flags=STREAMED, descriptor=descriptor(crc=zlib.crc32(EVIL))),
    "descriptor's packed size": item(flags=STREAMED, descriptor=descriptor(packed_size=plus(1))),
    "descriptor's size": item(flags=STREAMED, descriptor=descriptor(size=plus(-1))),
    "descriptor's signature": item(flags=STREAMED, descriptor=descriptor(b"PK\7\7")),
    "descriptor unasked for": item(flags=0, descriptor=descriptor()),
    "descriptor and sizes": every(
        item(flags=STREAMED),
        lambda spec: spec.items[1].local.update(crc=zlib.crc32(spec.items[1].data), size=len(spec.items[1].data)),
    ),
    "descriptor and wrong CRC": every(item(flags=STREAMED), local(crc=1)),
    "descriptor and wrong packed size": every(item(flags=STREAMED), local(packed_size=9)),
    "descriptor and wrong size": every(item(flags=STREAMED), local(size=9)),
    "CRC like a signature": item(flags=STREAMED, data=forged(BINARY, 0x08074B50)),
    "CRC like a signature, 12 bytes": item(flags=STREAMED, data=forged(BINARY, 0x08074B50), descriptor=descriptor(b"")),
    "stored, descriptor of 12 bytes": item(method=STORED, flags=STREAMED, descriptor=descriptor(b"")),
    "license: descriptor of 12 bytes": item(0, flags=STREAMED, descriptor=descriptor(b"")),
    # ZIP64
    "ZIP64 sizes": every(item(extra=zip64_field(), line_extra=b""), local(**IN_ZIP64)),
    "ZIP64 sizes, streamed": every(
        item(flags=STREAMED, extra=field(1, bytes(16)), line_extra=b"", descriptor=descriptor(numbers="L2Q")),
        local(**IN_ZIP64),
    ),
    "ZIP64 sizes, streamed, descriptor of 20 bytes": every(
        item(flags=STREAMED, extra=field(1, bytes(16)), line_extra=b"", descriptor=descriptor(b"", "L2Q")),
        local(**IN_ZIP64),
    ),
    "ZIP64 sizes, streamed, descriptor of 16 bytes": every(
        item(flags=STREAMED, extra=field(1, bytes(16)), line_extra=b""), local(**IN_ZIP64)
    ),
    "ZIP64 sizes in both": every(item(extra=zip64_field()), both(**IN_ZIP64)),
    "ZIP64 sizes in the line": every(item(line_extra=zip64_field()), line(**IN_ZIP64)),
    "ZIP64 size less": every(item(extra=zip64_field(size=7), line_extra=b""), local(**IN_ZIP64)),
    "ZIP64 packed size less": every(item(extra=zip64_field(packed_size=7), line_extra=b""), local(**IN_ZIP64)),
    "ZIP64 sizes needless": item(extra=zip64_field(), line_extra=b""),
    "ZIP64 sizes needless in the line": item(line_extra=zip64_field()),
    "ZIP64 sizes needless and wrong": item(extra=zip64_field(size=7), line_extra=b""),
    "ZIP64 sizes needless and wrong in the line": item(line_extra=zip64_field(size=7, packed_size=8)),
    "ZIP64 one size": every(item(extra=zip64_field("Q"), line_extra=b""), local(size=ALL_ONES)),
    "ZIP64 one size missing": every(item(extra=zip64_field("Q"), line_extra=b""), local(**IN_ZIP64)),
    "ZIP64 with offset": every(item(extra=zip64_field("3Q"), line_extra=b""), local(**IN_ZIP64)),
    "ZIP64 with disk": every(item(extra=zip64_field("3QL"), line_extra=b""), local(**IN_ZIP64)),
    "ZIP64 offset in the line": every(item(line_extra=field(1, bytes(8))), line(offset=ALL_ONES)),
    "ZIP64 disk in the line": every(item(line_extra=field(1, bytes(4))), line(disk=0xFFFF)),
    "ZIP64 field twice": every(
        item(extra=lambda of: zip64_field()(of) + zip64_field(size=7)(of), line_extra=b""), local(**IN_ZIP64)
    ),
    "ZIP64 field empty": item(extra=field(1, b"")),
    "ZIP64 end": every(
        archive(zip64=zip64_end()),
        end(members=0xFFFF, members_here=0xFFFF, directory_size=ALL_ONES, directory_at=ALL_ONES),
    ),
    "ZIP64 end needless": archive(zip64=zip64_end()),
    "ZIP64 end with other members": archive(zip64=zip64_end(dict(members=1, members_here=1))),
    "ZIP64 end with another directory": archive(zip64=zip64_end(dict(directory_at=0))),
    "ZIP64 end with another size": archive(zip64=zip64_end(dict(directory_size=plus(-1)))),
    "ZIP64 end on a disk": archive(zip64=zip64_end(dict(disk=1))),
    "ZIP64 end of another length": archive(zip64=zip64_end(dict(rest=60))),
    "ZIP64 locator elsewhere": archive(zip64=zip64_end((), dict(at=0))),
    "ZIP64 locator on a disk": archive(zip64=zip64_end((), dict(disk=1, disks=2))),
    "ZIP64 locator without an end": archive(zip64=lambda *facts: struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)),
    # extra fields
    "times": item(extra=UT),
    "times, shorter in the line": item(
        extra=field(0x5455, b"\3" + bytes(8)), line_extra=field(0x5455, b"\3" + bytes(4))
    ),
    "times empty": item(extra=field(0x5455, b"")),
    "times empty in the line": item(line_extra=field(0x5455, b"")),
    "times cut": item(extra=field(0x5455, b"\7\0\0")),
    "times twice": item(extra=2 * UT),
    "owner": item(extra=UT + field(0x7875, b"\1\4\0\0\0\0\4\0\0\0\0")),
    "owner of no version": item(extra=field(0x7875, b"\2")),
    "old owner": item(extra=field(0x5855, bytes(12)) + field(0x7855, bytes(4))),
    "NTFS times": item(extra=field(0x000A, bytes(4) + struct.pack("<2H", 1, 24) + bytes(24))),
    "unknown field": item(extra=field(0xABCD, b"something")),
    "unknown field in the line": item(line_extra=field(0xABCD, b"something")),
    "Java's field": item(extra=field(0xCAFE, b"")),
    "AES field": item(extra=field(0x9901, b"\2\0AE\3\0\0")),
    "ASi field": item(extra=field(0x756E, struct.pack("<LHLHH", 0, 0o120777, 4, 0, 0) + b"/etc")),
    "attributes in a field: symlink": item(extra=field(0x6C78, b"\4" + struct.pack("<L", SYMLINK))),
    "attributes in a field: directory": item(extra=field(0x6C78, b"\4" + struct.pack("<L", DIRECTORY)), line_extra=b""),
    "other name in a field": item(extra=unicode_path(b"terrafork", b"terraform")),
    "other name in a field of the line": item(line_extra=unicode_path(b"terrafork", b"terraform")),
    "other name in a local field": item(extra=unicode_path(b"terrafork", b"terraform"), line_extra=b""),
    "same name in a field": item(extra=unicode_path(b"terraform", b"terraform")),
    "other name in a field, wrong CRC": item(extra=unicode_path(b"terrafork", b"something")),
    "license called terraform in a field": item(0, extra=unicode_path(b"terraform", b"LICENSE.txt")),
    "evil called terraform in a field": second(b"NOTICE", extra=unicode_path(b"terraform", b"NOTICE"), place=0),
    "comment in a field": item(extra=field(0x6375, struct.pack("<BL", 1, zlib.crc32(b"")) + b"text")),
    "field cut": item(extra=UT + b"\x55"),
    "field cut, zeros": item(extra=UT + bytes(3)),
    "field of zeros": item(extra=bytes(4)),
    "field too long": item(extra=field(0x5455, b"\1\0\0\0\0", 6)),
    "field too long in the line": item(line_extra=field(0x5455, b"\1\0\0\0\0", 60)),
    "field as long as can be": item(extra=field(0x5855, bytes(0xFFFB))),
    # comments
    "comment": archive(comment=b"a comment"),
    "comment beyond what libarchive looks at": archive(comment=20000 * b"x"),
    "longest comment": archive(comment=0xFFFF * b"x"),
    "comment with an archive": archive(comment=evil()),
    "comment of a member": item(comment=b"a comment"),
    "comment of a member with a line": item(comment=_write_item(Item(data=EVIL), 0)[1]),
    "comment of a member with an end": item(comment=evil_end(comment_size=22)),
    "comment of a member with a locator": item(comment=zip64_end()(0, 55, 1, 0)),
    # names
    "upper case": item(name=b"TERRAFORM"),
    "upper case besides": second(b"Terraform"),
    "same name": second(),
    "same name, same data": second(data=BINARY),
    "same name in front": second(place=0),
    "name and blank": second(b"terraform "),
    "name and dot": second(b"terraform."),
    "name and slash": second(b"terraform/", b""),
    "name and slash in place": item(name=b"terraform/"),
    "name and backslash": second(b"terraform\\"),
    "name and NUL": second(b"terraform\0"),
    "name, NUL and more": second(b"terraform\0.txt"),
    "name, NUL and more in place": item(name=b"terraform\0.txt"),
    "name and version of VMS": second(b"terraform;1"),
    "name and line end": second(b"terraform\n"),
    "here": second(b"./terraform"),
    "root": second(b"/terraform"),
    "parent": second(b"../terraform"),
    "folder": second(b"bin/terraform"),
    "backslash from FAT": every(second(b"bin\\terraform"), line(made_by=20)),
    "drive": second(b"C:terraform"),
    "letter of code page 437": second(b"terra\x9form", line=dict(made_by=20)),
    "letter of code page 437 in place": item(name=b"terra\x9form", line=dict(made_by=20)),
    "letter in UTF-8": second("terraf\u00f6rm".encode(), b"text"),
    "letter in UTF-8, flagged": second(
        "terraf\u00f6rm".encode(), b"text", local=dict(flags=flip(UTF8)), line=dict(flags=flip(UTF8))
    ),
    "full-width letters": second("\uff54erraform".encode(), local=dict(flags=flip(UTF8)), line=dict(flags=flip(UTF8))),
    "no UTF-8, flagged": second(b"terra\xff", b"text", local=dict(flags=flip(UTF8)), line=dict(flags=flip(UTF8))),
    "no name": second(b"", b"text"),
    "longest name": second(255 * b"a", b"text"),
    "wildcards": second(b"terra*", b"text"),
    "class of letters": second(b"[t]erraform"),
}


# Those that all programs read alike.
HARMLESS = (
    "order reversed",
    "data reversed",
    "three in another order",
    "many",
    "local version",
    "local time",
    "made by FAT",
    "made by NTFS",
    "made by VMS",
    "made by nobody",
    "version 4.5",
    "internal: text",
    "no attributes",
    "DOS read-only from FAT",
    "flags: level",
    "flags: name in UTF-8",
    "stored",
    "deflated",
    "deflated, stored blocks",
    "stored and streamed, another end inside",
    "stored and streamed",
    "license: archive inside",
    "license: empty",
    "license: empty, stored",
    "streamed",
    "descriptor and sizes",
    "CRC like a signature",
    "ZIP64 sizes, streamed",
    "times",
    "times, shorter in the line",
    "times cut",
    "owner",
    "owner of no version",
    "old owner",
    "NTFS times",
    "field as long as can be",
    "comment",
    "comment beyond what libarchive looks at",
    "longest comment",
    "comment of a member",
    "comment of a member with a line",
    "longest name",
)


def make(base, *oddities):
    """The bytes of one archive; None where a number has no place in its field."""
    spec = Spec(*BASES[base])
    for oddity in oddities:
        ODDITIES[oddity](spec)
    try:
        return write(spec)
    except struct.error:
        return None


def archives():
    """The whole family, each once: list of (name, bytes)."""
    names, family = sorted(ODDITIES), {}
    for base in BASES:
        family[base] = make(base)
        for name in names:
            family["%s: %s" % (base, name)] = make(base, name)
    chance = random.Random(7)
    for some in (names, HARMLESS):
        for _pair in range(PAIRS):
            base, pair = chance.choice(sorted(BASES)), chance.sample(some, 2)
            family["%s: %s + %s" % (base, pair[0], pair[1])] = make(base, *pair)
    different = {}
    for name, data in family.items():
        if data is not None:
            different.setdefault(data, name)
    return [(name, data) for data, name in different.items()]
