# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are not what they should be, each correct in everything but one thing.

``REFUSED`` and ``HARMLESS`` map a name to a maker: ``REFUSED["symlink"](binary)`` gives the bytes of a zip. Publish it
with ``site.publish(version, archives={platform: ...})``: the digest and the signature are then right, and only the
archive is odd. From those in REFUSED nothing may be installed; those in HARMLESS are unusual and in order.
"""

import bz2
import lzma
import struct
import zlib

from .zips import (
    BZIP2,
    DEFLATED64,
    DIRECTORY,
    ENCRYPTED,
    FIFO,
    FILE,
    LZMA,
    STORED,
    STREAMED,
    SYMLINK,
    Member,
    deflate,
    pack,
)

_LICENSE = Member(b"LICENSE.txt", b"License text copyright (c) of a demo\n")
_BOMB_SIZE = 8 << 20
_LZMA_DICTIONARY = 1 << 16


def usual(binary, **odd):
    """The member ``terraform`` as a release has it; ``odd`` replaces fields of Member."""
    return Member(b"terraform", binary, FILE | 0o755)._replace(**odd)


def of(*members, comment=b""):
    """A zip of the licence and these members, for an oddity that is not listed here."""
    return pack((_LICENSE,) + members, comment)


def bomb(binary, size=_BOMB_SIZE):
    """The binary, then zero bytes up to ``size``: deflate makes that about a thousand times smaller."""
    data = binary + bytes(size - len(binary))
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return of(usual(data, packed=squeezer.compress(data) + squeezer.flush()))


def _lzma(binary):
    """LZMA in a zip: version and size of the properties, the properties, the raw stream (APPNOTE.TXT 5.8)."""
    filters = [{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": _LZMA_DICTIONARY}]
    stream = lzma.compress(binary, lzma.FORMAT_RAW, filters=filters)
    return struct.pack("<BBHBI", 9, 4, 5, 0x5D, _LZMA_DICTIONARY) + stream


def _overlapping(binary):
    """Two lines of the directory that lead to the same data: the second has the place of the first."""
    whole = of(usual(binary), usual(binary, name=b"terrafork", local_name=b"terraform"))
    first, second = whole.index(b"PK\3\4", 4), whole.rindex(b"PK\3\4")
    return whole.replace(struct.pack("<I", second) + b"terrafork", struct.pack("<I", first) + b"terrafork")


def _broken_stream(binary):
    packed = bytearray(deflate(binary))
    packed[0] |= 0b110  # the first block claims the reserved block type (RFC 1951, 3.2.3)
    return of(usual(binary, packed=bytes(packed)))


REFUSED = {
    "empty": lambda binary: pack(()),
    "no_terraform": lambda binary: of(),
    "other_case": lambda binary: of(usual(binary, name=b"Terraform")),
    "nested": lambda binary: of(usual(binary, name=b"bin/terraform")),
    "parent_directory": lambda binary: of(usual(binary), Member(b"../terraform", binary)),
    "absolute_name": lambda binary: of(usual(binary), Member(b"/terraform", binary)),
    "backslash_in_name": lambda binary: of(usual(binary), Member(b"..\\terraform", binary)),
    "nul_in_name": lambda binary: of(usual(binary), Member(b"terraform\0.txt", binary)),
    "nul_instead": lambda binary: of(usual(binary, name=b"terraform\0.txt")),
    "other_local_name": lambda binary: of(usual(binary, local_name=b"terrafork")),
    "duplicate": lambda binary: of(usual(binary), usual(binary)),
    "duplicate_other": lambda binary: of(usual(binary), _LICENSE),
    "symlink": lambda binary: of(usual(b"/bin/true", mode=SYMLINK | 0o777)),
    "symlink_other": lambda binary: of(Member(b"lib", b"/etc", SYMLINK | 0o777), usual(binary)),
    "directory": lambda binary: of(usual(b"", mode=DIRECTORY | 0o755)),
    "directory_slash": lambda binary: of(usual(b"", name=b"terraform/", mode=DIRECTORY | 0o755, method=STORED)),
    "fifo": lambda binary: of(usual(b"", mode=FIFO | 0o755)),
    "encrypted": lambda binary: of(usual(binary, flags=ENCRYPTED | STREAMED, packed=bytes(12) + deflate(binary))),
    "bzip2": lambda binary: of(usual(binary, method=BZIP2, packed=bz2.compress(binary))),
    "lzma": lambda binary: of(usual(binary, method=LZMA, packed=_lzma(binary))),
    "deflate64": lambda binary: of(usual(binary, method=DEFLATED64)),
    "bomb": bomb,
    "size_too_large": lambda binary: of(usual(binary, size=len(binary) + 1)),
    "size_too_small": lambda binary: of(usual(binary, size=len(binary) - 1)),
    "size_zero": lambda binary: of(usual(binary, size=0)),
    "stored_size_too_large": lambda binary: of(usual(binary, method=STORED, size=len(binary) + 1)),
    "bad_crc": lambda binary: of(usual(binary, crc=zlib.crc32(binary) ^ 1)),
    "broken_stream": _broken_stream,
    "cut_stream": lambda binary: of(usual(binary, packed=deflate(binary)[:-8])),
    "overlapping": _overlapping,
    "cut_archive": lambda binary: of(usual(binary))[:-30],
    "not_a_zip": lambda binary: b"<!DOCTYPE html><title>Not found</title>\n",
    "empty_binary": lambda binary: of(usual(b"")),
    "other_file": lambda binary: of(usual(b"#!/bin/sh\nexit 0\n")),
}

HARMLESS = {
    "no_license": lambda binary: pack([usual(binary)]),
    "terraform_first": lambda binary: pack([usual(binary), _LICENSE]),
    "extra_files": lambda binary: of(usual(binary), Member(b"NOTICE", b"notice\n"), Member(b"CHANGELOG.md", b"# 1\n")),
    "stored": lambda binary: of(usual(binary, method=STORED)),
    "sizes_in_front": lambda binary: of(usual(binary, flags=0)),
    "mode_0644": lambda binary: of(usual(binary, mode=FILE | 0o644)),
    "mode_setuid": lambda binary: of(usual(binary, mode=FILE | 0o4755)),
    "comment": lambda binary: of(usual(binary), comment=b"a comment"),
}
