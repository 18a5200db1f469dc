# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip writer, and each odd archive: odd in the way it says."""

import glob
import io
import os
import stat
import struct
import zipfile
import zlib

import pytest

pytest.importorskip("release_site")

from release_site import executables, odd_archives, zips

BINARY = executables.terraform("1.13.4", "linux_amd64")


def opened(name):
    maker = odd_archives.REFUSED.get(name) or odd_archives.HARMLESS[name]
    return zipfile.ZipFile(io.BytesIO(maker(BINARY)))


def entry(name):
    return opened(name).getinfo("terraform")


def test_the_writer_gives_the_genuine_archive(genuine_site):
    (path,) = glob.glob(os.path.join(genuine_site, "terraform", "*", "*_linux_amd64.zip"))
    with open(path, "rb") as file:
        theirs = file.read()
    members = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name_size, extra_size = struct.unpack_from("<HH", theirs, info.header_offset + 26)
            start = info.header_offset + 30 + name_size + extra_size
            packed = theirs[start : start + info.compress_size]
            mode = info.external_attr >> 16
            members.append(zips.Member(info.filename.encode(), archive.read(info), mode, packed=packed))
    assert zips.pack(members) == theirs


@pytest.mark.parametrize("name", sorted(odd_archives.HARMLESS))
def test_harmless(name):
    archive = opened(name)
    assert archive.testzip() is None
    assert archive.read("terraform") == BINARY


def test_what_harmless_ones_are():
    assert opened("no_license").namelist() == ["terraform"]
    assert opened("terraform_first").namelist() == ["terraform", "LICENSE.txt"]
    assert len(opened("extra_files").namelist()) == 4
    assert entry("stored").compress_type == zipfile.ZIP_STORED
    assert entry("sizes_in_front").flag_bits == 0
    assert stat.S_IMODE(entry("mode_0644").external_attr >> 16) == 0o644
    assert stat.S_IMODE(entry("mode_setuid").external_attr >> 16) == 0o4755
    assert opened("comment").comment == b"a comment"


@pytest.mark.parametrize("name, in_front", [("sizes_in_front", True), ("comment", False)])
def test_where_the_sizes_are(name, in_front):
    info = entry(name)
    sizes = struct.unpack_from("<3I", odd_archives.HARMLESS[name](BINARY), info.header_offset + 14)
    assert sizes == ((info.CRC, info.compress_size, info.file_size) if in_front else (0, 0, 0))


@pytest.mark.parametrize(
    "name, names",
    [
        ("empty", []),
        ("no_terraform", ["LICENSE.txt"]),
        ("other_case", ["LICENSE.txt", "Terraform"]),
        ("nested", ["LICENSE.txt", "bin/terraform"]),
        ("directory_slash", ["LICENSE.txt", "terraform/"]),
        ("parent_directory", ["LICENSE.txt", "terraform", "../terraform"]),
        ("absolute_name", ["LICENSE.txt", "terraform", "/terraform"]),
        ("backslash_in_name", ["LICENSE.txt", "terraform", "..\\terraform"]),
        ("nul_in_name", ["LICENSE.txt", "terraform", "terraform\0.txt"]),
        ("nul_instead", ["LICENSE.txt", "terraform\0.txt"]),
        ("duplicate", ["LICENSE.txt", "terraform", "terraform"]),
        ("duplicate_other", ["LICENSE.txt", "terraform", "LICENSE.txt"]),
    ],
)
def test_names(name, names):
    assert [info.orig_filename for info in opened(name).infolist()] == names


@pytest.mark.parametrize(
    "name, member, kind",
    [
        ("symlink", "terraform", stat.S_ISLNK),
        ("symlink_other", "lib", stat.S_ISLNK),
        ("directory", "terraform", stat.S_ISDIR),
        ("fifo", "terraform", stat.S_ISFIFO),
    ],
)
def test_kinds(name, member, kind):
    assert kind(opened(name).getinfo(member).external_attr >> 16)


def test_methods():
    assert opened("bzip2").read("terraform") == BINARY and entry("bzip2").compress_type == zipfile.ZIP_BZIP2
    assert opened("lzma").read("terraform") == BINARY and entry("lzma").compress_type == zipfile.ZIP_LZMA
    assert entry("deflate64").compress_type == 9


@pytest.mark.parametrize(
    "name, error, words",
    [
        ("encrypted", RuntimeError, "password required"),
        ("bad_crc", zipfile.BadZipFile, "Bad CRC-32"),
        ("size_too_small", zipfile.BadZipFile, "Bad CRC-32"),
        ("size_zero", zipfile.BadZipFile, "Bad CRC-32"),
        ("cut_stream", zipfile.BadZipFile, "Bad CRC-32"),
        ("broken_stream", zlib.error, "invalid block type"),
        ("other_local_name", zipfile.BadZipFile, "differ"),
        ("deflate64", NotImplementedError, "not supported"),
    ],
)
def test_what_cannot_be_read(name, error, words):
    with pytest.raises(error, match=words):
        opened(name).read("terraform")


def test_declared_sizes():
    assert entry("size_too_large").file_size == len(BINARY) + 1
    assert opened("size_too_large").read("terraform") == BINARY, "zipfile lets it pass: that is the trap"
    assert entry("stored_size_too_large").file_size == len(BINARY) + 1
    assert entry("size_too_small").file_size == len(BINARY) - 1
    assert entry("size_zero").file_size == 0
    assert entry("empty_binary").file_size == 0
    assert entry("bad_crc").CRC != zlib.crc32(BINARY)


def test_bomb():
    info = entry("bomb")
    assert info.file_size / info.compress_size > 500
    assert opened("bomb").read("terraform").startswith(BINARY)
    assert entry("stored").file_size == len(BINARY)


def test_overlapping():
    offsets = [info.header_offset for info in opened("overlapping").infolist()]
    assert len(offsets) == 3 and offsets[1] == offsets[2]


def test_other_file():
    assert opened("other_file").read("terraform") == b"#!/bin/sh\nexit 0\n"


@pytest.mark.parametrize("name", ["cut_archive", "not_a_zip"])
def test_no_archives_at_all(name):
    with pytest.raises(zipfile.BadZipFile):
        opened(name)


def test_every_odd_archive_is_tested():
    with open(__file__, encoding="utf-8") as file:
        tests = file.read()
    makers = dict(odd_archives.REFUSED, **odd_archives.HARMLESS)
    assert [name for name in makers if '"%s"' % name not in tests] == []
    assert len({maker(BINARY) for maker in makers.values()}) == len(odd_archives.REFUSED) + len(odd_archives.HARMLESS)
