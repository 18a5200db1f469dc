# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip and the binary in it: genuine and made ones, odd ones, hostile ones, and random damage."""

import errno
import hashlib
import importlib
import io
import os
import struct
import sys
import types
import zlib

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import zip_archive
from ansible_collections.iac_platform.terraform.plugins.module_utils._release import layout

PATH = "/srv/terraform_1.13.4_linux_amd64.zip"
GENUINE_SIZE = 90579096
GENUINE_SHA256 = "268000fca5c61021c6396893d9483007ba589ad9d0aaccbd7dfa8c78bf7dbe23"

# The makers of archives need no more than Python 3.6; the package around them needs much.
_MAKERS = types.ModuleType("archive_makers")
_MAKERS.__path__ = [os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "..", "..", "release_site")]
sys.modules["archive_makers"] = _MAKERS
executables, odd_archives, zips = (
    importlib.import_module("archive_makers." + name) for name in ("executables", "odd_archives", "zips")
)

BINARY = executables.terraform("1.13.4", "linux_amd64")
SHA256 = hashlib.sha256(BINARY).hexdigest()
PLATFORMS = [
    "darwin_amd64",
    "darwin_arm64",
    "freebsd_386",
    "freebsd_amd64",
    "freebsd_arm",
    "linux_386",
    "linux_amd64",
    "linux_arm",
    "linux_arm64",
    "linux_ppc64le",
    "linux_s390x",
    "netbsd_amd64",
    "openbsd_386",
    "openbsd_amd64",
    "solaris_amd64",
    "windows_386",
    "windows_amd64",
    "windows_arm64",
]


def usual(**odd):
    return odd_archives.usual(BINARY, **odd)


def unpack(data, platform="linux_amd64"):
    """What the install half does with an archive: (binary, its bytes)."""
    binary = zip_archive.find_executable(io.BytesIO(data), platform, PATH)
    written = bytearray()
    zip_archive.extract(binary, written.extend)
    assert len(written) == binary.size
    zip_archive.check_magic(bytes(written[: zip_archive.HEAD_SIZE]), platform, PATH)
    return binary, bytes(written)


def refusal(data, platform="linux_amd64"):
    """The message about an archive that must not pass."""
    with pytest.raises(_errors.ArchiveError) as caught:
        unpack(data, platform)
    assert caught.value.path == PATH
    assert PATH in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300
    return str(caught.value)


def end_record(data, **changes):
    """An archive without comment whose end record (APPNOTE.TXT 4.3.16) says something else."""
    names = (
        "magic",
        "disk",
        "directory_disk",
        "members_here",
        "members",
        "directory_size",
        "directory_at",
        "comment_size",
    )
    fields = dict(zip(names, struct.unpack("<4s4H2LH", data[-22:])))
    fields.update(changes)
    return data[:-22] + struct.pack("<4s4H2LH", *(fields[name] for name in names))


def with_directory_changed(data, change):
    """An archive of one member whose central directory went through a function; the end record is put right."""
    at = data.index(b"PK\1\2")
    directory = change(data[at:-22])
    return end_record(data[:at] + directory + data[-22:], directory_size=len(directory))


def test_the_genuine_archive(genuine_site):
    path = os.path.join(genuine_site, "terraform", "1.11.4", "terraform_1.11.4_linux_amd64.zip")
    heads, chunks = [], []
    with open(path, "rb") as file:
        binary = zip_archive.find_executable(file, "linux_amd64", path)
        assert (binary.size, binary.others) == (GENUINE_SIZE, ("LICENSE.txt",))

        def write(block):
            heads.append(block[: zip_archive.HEAD_SIZE] if not heads else b"")
            chunks.append(len(block))
            digest.update(block)

        digest = hashlib.sha256()
        zip_archive.extract(binary, write)
    assert (sum(chunks), digest.hexdigest()) == (GENUINE_SIZE, GENUINE_SHA256)
    assert max(chunks) <= 1 << 20
    zip_archive.check_magic(heads[0], "linux_amd64", path)


@pytest.mark.parametrize("name", sorted(odd_archives.HARMLESS))
def test_harmless_oddities(name):
    binary, written = unpack(odd_archives.HARMLESS[name](BINARY))
    assert written == BINARY
    assert "terraform" not in binary.others


def test_other_members_are_passed_over_and_named():
    binary, dummy = unpack(odd_archives.HARMLESS["extra_files"](BINARY))
    assert binary.others == ("LICENSE.txt", "NOTICE", "CHANGELOG.md")


MESSAGES = {
    "absolute_name": "has a member '/terraform': bare file names were expected",
    "backslash_in_name": r"has a member '..\\terraform': bare",
    "bad_crc": "is damaged: its CRC-32 is %08x, where the archive declares %08x"
    % (zlib.crc32(BINARY), zlib.crc32(BINARY) ^ 1),
    "bomb": "would grow from",
    "broken_stream": "terraform is damaged: Error -3 while decompressing data: invalid block type",
    "bzip2": "is compressed by method 12",
    "cut_archive": "is not a whole zip archive",
    "cut_stream": "terraform is cut: its packed data have no end",
    "deflate64": "is compressed by method 9",
    "directory": "is not a regular file (mode 40755, attributes 0x00)",
    "directory_slash": "has a member 'terraform/': bare",
    "duplicate": "has two members 'terraform'",
    "duplicate_other": "has two members 'LICENSE.txt'",
    "empty": "has no member terraform: it has none",
    "empty_binary": "its member terraform is empty",
    "encrypted": "is encrypted",
    "fifo": "is not a regular file (mode 10755, attributes 0x00)",
    "lzma": "is compressed by method 14",
    "nested": "has a member 'bin/terraform': bare",
    "no_terraform": "has no member terraform: it has 'LICENSE.txt'",
    "not_a_zip": "is not a whole zip archive: 40 bytes that begin with '<!DOCTYPE html><titl'",
    "nul_in_name": r"has a member 'terraform\x00.txt': bare",
    "nul_instead": r"has a member 'terraform\x00.txt': bare",
    "other_case": "has no member terraform: it has 'LICENSE.txt', 'Terraform'",
    "other_file": "is not an executable for linux_amd64: it begins with '#!/bin/sh",
    "other_local_name": "name of the local header of 'terraform': found 'terrafork', expected 'terraform'",
    "overlapping": "local header of 'terrafork': found ",
    "parent_directory": "has a member '../terraform': bare",
    "size_too_large": "terraform has %d bytes, where the archive declares %d" % (len(BINARY), len(BINARY) + 1),
    "size_too_small": "terraform has more than the %d bytes that the archive declares" % (len(BINARY) - 1),
    "size_zero": "its member terraform is empty",
    "stored_size_too_large": "terraform has %d bytes, where the archive declares %d" % (len(BINARY), len(BINARY) + 1),
    "symlink": "is not a regular file (mode 120777, attributes 0x00)",
    "symlink_other": "its member 'lib' is not a regular file (mode 120777, attributes 0x00)",
}


@pytest.mark.parametrize("name", sorted(odd_archives.REFUSED))
def test_refused_oddities(name):
    assert MESSAGES[name] in refusal(odd_archives.REFUSED[name](BINARY))


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b".",
        b"..",
        b"terraform..",
        b"..terraform",
        b"a..b",
        b"a\n",
        b"a\x1b[31m",
        b"a\x7f",
        b"C:\\terraform",
        b"a/",
    ],
)
def test_names_that_are_not_bare(name):
    assert "bare file names were expected" in refusal(odd_archives.of(usual(), zips.Member(name, b"")))


def test_a_name_from_an_extra_field_is_refused():
    def rename(directory):
        # Info-ZIP Unicode Path (APPNOTE.TXT 4.6.9): zipfile follows it since Python 3.13, other readers always did.
        field = struct.pack("<BL", 1, zlib.crc32(b"terraform")) + b"LICENSE"
        extra = struct.pack("<2H", 0x7075, len(field)) + field
        old = directory[46 + len(b"terraform") :]
        return directory[:30] + struct.pack("<H", len(old) + len(extra)) + directory[32:46] + b"terraform" + old + extra

    data = with_directory_changed(zips.pack([usual()]), rename)
    assert "extra field of 'terraform': found 0x7075, expected times and owners only" in refusal(data)


def test_windows_has_another_name():
    binary = executables.terraform("1.13.4", "windows_amd64")
    data = odd_archives.of(zips.Member(b"terraform.exe", binary))
    assert unpack(data, "windows_amd64")[1] == binary
    assert "has no member terraform:" in refusal(data, "linux_amd64")
    assert "has no member terraform.exe:" in refusal(odd_archives.of(usual()), "windows_amd64")


# The end record and the directory, before zipfile reads them.


def test_a_hundred_members_and_no_more():
    def members(count):
        return zips.pack([usual()] + [zips.Member(b"%d" % number, b"") for number in range(count - 1)])

    assert len(unpack(members(100))[0].others) == 99
    assert "announces 101 members, more than 100" in refusal(members(101))


@pytest.mark.parametrize("announced", [1, 3])
def test_the_number_of_members_must_be_right(announced):
    data = end_record(odd_archives.of(usual()), members=announced, members_here=announced)
    assert "announces %d members and has 2" % announced in refusal(data)


def test_a_large_directory():
    def grow(comments):
        def change(directory):
            lines = [
                struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 4, 0, size, 0, 0, 0, 0)
                + b"%04d" % number
                + size * b"x"
                for number, size in enumerate(comments)
            ]
            return directory + b"".join(lines)

        # Members of no data, in the place of a local header each that nobody reads.
        return zips.pack([usual()]), change

    data, change = grow([0xFFFF] * 17)
    data = end_record(
        with_directory_changed(data, change),
        members=18,
        members_here=18,
        directory_size=len(change(data[data.index(b"PK\1\2") : -22])),
    )
    assert "announces a directory of 11" in refusal(data)
    assert "more than 1048576" in refusal(data)


def test_several_disks():
    data = odd_archives.of(usual())
    for changes in (dict(disk=1), dict(directory_disk=1), dict(members_here=1)):
        assert "is a part of an archive on several disks" in refusal(end_record(data, **changes))


@pytest.mark.parametrize("comment", [0, 0xFFFF])
def test_zip64_is_refused_where_only_its_locator_shows_it(comment):
    def hide_locator(directory):
        # In a member's comment: zipfile would believe the record it points to, and not the one that was checked.
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**9, 10**9, 10**9, 0)
        comment = record + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
        return directory[:32] + struct.pack("<H", len(comment)) + directory[34:] + comment

    data = with_directory_changed(zips.pack([usual()]), hide_locator)
    assert "is a ZIP64 archive" in refusal(end_record(data, comment_size=comment) + comment * b"x")


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_numbers_that_mean_zip64(size):
    data = odd_archives.of(usual())
    assert "announces a directory of %d bytes" % size in refusal(end_record(data, directory_size=size))
    assert "directory should end at byte" in refusal(end_record(data, directory_at=size))
    assert "announces 65535 members" in refusal(end_record(data, members=0xFFFF, members_here=0xFFFF))


@pytest.mark.parametrize("size", [1, 21, 22, 100, 70000])
def test_bytes_after_the_end(size):
    assert PATH in refusal(odd_archives.of(usual()) + size * b"x")


def test_a_second_archive_behind_the_first():
    first, second = odd_archives.of(usual()), zips.pack([odd_archives.usual(b"\x7fELF other")])
    assert "directory should end at byte" in refusal(first + second)
    hidden = end_record(first, comment_size=len(second)) + second
    assert "directory should end at byte" in refusal(hidden)


def test_an_end_record_in_the_comment():
    data = odd_archives.of(usual(), comment=b"PK\5\6" + 18 * b"\0" + b"more")
    assert "has bytes after the end of the archive" in refusal(data)


def test_the_longest_comment():
    assert unpack(odd_archives.of(usual(), comment=0xFFFF * b"x"))[1] == BINARY


@pytest.mark.parametrize("missing", [1, 10, 18])
def test_an_end_record_that_is_cut(missing):
    assert "is not a whole zip archive" in refusal(odd_archives.of(usual())[:-missing])


def test_bytes_in_front():
    assert "directory should end at byte" in refusal(b"#!/bin/sh\n" + odd_archives.of(usual()))


def test_data_that_reach_into_the_directory():
    def lengthen(directory):
        return directory[:20] + struct.pack("<L", 1 << 20) + directory[24:]

    data = with_directory_changed(zips.pack([usual()]), lengthen)
    assert "bytes before the end of the archive: found 0, expected 16" in refusal(data)


def test_an_offset_beyond_the_end():
    def move(directory):
        return directory[:42] + struct.pack("<L", 0xFFFFFFF0) + directory[46:]

    data = with_directory_changed(zips.pack([usual()]), move)
    assert "byte 0, local header of 'terraform': found 4294967280, expected 0" in refusal(data)


def test_a_dos_directory():
    def mark(directory):
        return directory[:38] + struct.pack("<L", 0x10) + directory[42:]

    assert "is not a regular file" in refusal(with_directory_changed(zips.pack([usual()]), mark))


def test_a_member_without_a_mode_is_a_file():
    assert unpack(zips.pack([usual(mode=0)]))[1] == BINARY
    assert unpack(zips.pack([usual(mode=0o600)]))[1] == BINARY  # as zipfile writes them


# Sizes.


def test_the_largest_binary(monkeypatch):
    assert zip_archive.BINARY_CAP == 1 << 30
    monkeypatch.setattr(zip_archive, "BINARY_CAP", len(BINARY))
    assert unpack(odd_archives.of(usual()))[1] == BINARY
    monkeypatch.setattr(zip_archive, "BINARY_CAP", len(BINARY) - 1)
    assert "has %d bytes: %d at most were expected" % (len(BINARY), len(BINARY) - 1) in refusal(
        odd_archives.of(usual())
    )


def test_the_largest_ratio(monkeypatch):
    assert zip_archive.RATIO_CAP == 100
    monkeypatch.setattr(zip_archive, "RATIO_CAP", 1)
    assert unpack(odd_archives.of(usual(method=zips.STORED)))[1] == BINARY
    assert "more than 1-fold" in refusal(odd_archives.of(usual()))


def test_the_other_members_are_held_to_it_together(monkeypatch):
    others = [zips.Member(b"%d" % number, b"%d" % number * 200, method=zips.STORED) for number in range(3)]
    data = odd_archives.of(usual(), *others)
    monkeypatch.setattr(zip_archive, "BINARY_CAP", 600 + 37)
    assert unpack(data)[1] == BINARY
    monkeypatch.setattr(zip_archive, "BINARY_CAP", 600 + 36)
    assert "has more than 636 bytes beside terraform" in refusal(data)


def test_another_member_that_grows_too_much():
    data = odd_archives.of(usual(), zips.Member(b"NOTICE", bytes(1 << 20)))
    assert "its member 'NOTICE' would grow from" in refusal(data)


def test_what_grows_much_comes_in_pieces(monkeypatch):
    monkeypatch.setattr(zip_archive, "RATIO_CAP", 5000)
    data, sizes = odd_archives.bomb(BINARY), []
    binary = zip_archive.find_executable(io.BytesIO(data), "linux_amd64", PATH)
    zip_archive.extract(binary, lambda block: sizes.append(len(block)))
    assert sum(sizes) == 8 << 20
    assert max(sizes) <= 1 << 20


@pytest.mark.parametrize("before", range(10))
def test_an_end_inside_stored_data_is_seen_wherever_a_block_ends(before):
    begin = executables.incompressible(zip_archive._CHUNK - before)
    data = begin + struct.pack("<4s3L", b"PK\7\10", zlib.crc32(begin), len(begin), len(begin)) + BINARY
    archive = zips.pack([usual(data=data, method=zips.STORED)])
    assert "byte %d, data of terraform: found a descriptor" % archive.index(b"PK\7\10") in refusal(archive)


def test_what_looks_like_an_end_is_none_without_the_crc():
    data = BINARY + b"".join(b"PK\7\10" + struct.pack("<L", number) for number in range(1 << 16))
    assert unpack(zips.pack([usual(data=data, method=zips.STORED)]))[1] == data


def test_nothing_is_written_beyond_the_declared_size():
    written = bytearray()
    binary = zip_archive.find_executable(
        io.BytesIO(odd_archives.REFUSED["size_too_small"](BINARY)), "linux_amd64", PATH
    )
    with pytest.raises(_errors.ArchiveError):
        zip_archive.extract(binary, written.extend)
    assert len(written) < len(BINARY)


def test_large_binaries_come_in_pieces():
    large = BINARY + executables.incompressible(3 << 20)
    sizes = []
    binary = zip_archive.find_executable(io.BytesIO(odd_archives.of(odd_archives.usual(large))), "linux_amd64", PATH)
    zip_archive.extract(binary, lambda block: sizes.append(len(block)))
    assert sum(sizes) == len(large) and max(sizes) <= 1 << 20


# Errors of others.


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        RuntimeError("no"),
        EOFError("no"),
        struct.error("no"),
        zlib.error("no"),
        KeyError("no"),
        TypeError("no"),
        OSError(errno.ENOSPC, "full"),
        _errors.InstallError("no", errno=errno.ENOSPC),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_errors_of_the_writer_pass_untouched(error):
    def write(block):
        raise error

    binary = zip_archive.find_executable(io.BytesIO(odd_archives.of(usual())), "linux_amd64", PATH)
    with pytest.raises(type(error)) as caught:
        zip_archive.extract(binary, write)
    assert caught.value is error


class FailingStorage(io.BytesIO):
    """A file whose reads fail from some offset on, as on a broken disk."""

    def __init__(self, data, offset):
        super().__init__(data)
        self.offset = offset

    def read(self, size=-1):
        if self.tell() >= self.offset:
            raise OSError(errno.EIO, "broken")
        return super().read(size)


def test_an_unreadable_archive_is_not_a_damaged_one():
    data = odd_archives.of(odd_archives.usual(BINARY + executables.incompressible(1 << 20)))
    with pytest.raises(_errors.InstallError) as caught:
        zip_archive.find_executable(FailingStorage(data, 0), "linux_amd64", PATH)
    assert (caught.value.errno, caught.value.path) == (errno.EIO, PATH)
    assert "read archive %s: Input/output error (EIO)" % PATH in str(caught.value)

    file = FailingStorage(data, len(data))
    binary = zip_archive.find_executable(file, "linux_amd64", PATH)
    file.offset = len(data) // 2
    with pytest.raises(_errors.InstallError) as caught:
        zip_archive.extract(binary, lambda block: None)
    assert caught.value.errno == errno.EIO


class FailingOnce(io.BytesIO):
    """Storage of which one call fails."""

    def __init__(self, data, number):
        super().__init__(data)
        self.left = number

    def _count(self):
        self.left -= 1
        if self.left == 0:
            raise OSError(errno.EIO, "broken")

    def read(self, size=-1):
        self._count()
        return super().read(size)

    def seek(self, offset, whence=io.SEEK_SET):
        self._count()
        return super().seek(offset, whence)


def test_no_error_of_the_storage_is_called_a_damaged_archive():
    """As zipfile does with an error that strikes while it looks for the end of the archive."""
    data = odd_archives.of(odd_archives.usual(BINARY))
    for number in range(1, 1000):
        file = FailingOnce(data, number)
        written = bytearray()
        try:
            zip_archive.extract(zip_archive.find_executable(file, "linux_amd64", PATH), written.extend)
        except _errors.InstallError as error:
            assert (error.errno, error.path) == (errno.EIO, PATH)
        else:
            assert written == BINARY
            break
    assert file.left > 0 and number > 10


def test_an_archive_that_shrinks_meanwhile():
    file = io.BytesIO(odd_archives.of(odd_archives.usual(BINARY + executables.incompressible(1 << 20))))
    binary = zip_archive.find_executable(file, "linux_amd64", PATH)
    file.truncate(5000)
    with pytest.raises(_errors.ArchiveError, match="bytes before the end of the archive: found 4"):
        zip_archive.extract(binary, lambda block: None)


def test_the_archive_is_read_through_its_file_alone(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(odd_archives.of(usual()))
    with open(str(path), "rb") as file:
        path.unlink()
        file.read(7)
        binary = zip_archive.find_executable(file, "linux_amd64", str(path))
        written = bytearray()
        zip_archive.extract(binary, written.extend)
        assert written == BINARY
        assert not file.closed


# Magic bytes.


@pytest.mark.parametrize("platform", PLATFORMS)
def test_magic_bytes_of_each_platform(platform):
    assert layout.check_platform(platform) == platform
    machine = platform.partition("_")[2]
    for other in PLATFORMS:
        head = executables.terraform("1.13.4", other)[: zip_archive.HEAD_SIZE]
        formats = [name.startswith("darwin_") or 2 * name.startswith("windows_") for name in (platform, other)]
        if formats[0] == formats[1] and other.partition("_")[2] == machine:
            zip_archive.check_magic(head, platform, PATH)
        else:
            with pytest.raises(_errors.ArchiveError, match="is not an executable for %s" % platform):
                zip_archive.check_magic(head, platform, PATH)


@pytest.mark.parametrize(
    "platform, head",
    [
        ("linux_amd64", b""),
        ("linux_amd64", b"\x7fELF"),
        ("linux_amd64", BINARY[:19]),
        ("linux_amd64", b"\x7fELG" + BINARY[4:64]),
        ("linux_amd64", BINARY[:4] + b"\x01" + BINARY[5:64]),
        ("linux_amd64", BINARY[:4] + b"\x03" + BINARY[5:64]),
        ("linux_amd64", BINARY[:5] + b"\x02" + BINARY[6:64]),
        ("linux_amd64", BINARY[:5] + b"\x00" + BINARY[6:64]),
        ("linux_amd64", b"#!/bin/sh\n" + BINARY),
        ("linux_amd64", 4096 * b"\0"),
        ("linux_mips", BINARY),
        ("linux_", BINARY),
        ("darwin_arm", b""),
        ("darwin_amd64", b"\xca\xfe\xba\xbe\0\0\0\2"),
        ("darwin_amd64", b"\xcf\xfa\xed\xfe"),
        ("darwin_s390x", b""),
        ("windows_amd64", b""),
        ("windows_amd64", b"MZ"),
        ("windows_amd64", b"MZ" + 58 * b"\0" + b"\xff\xff\xff\xff" + 100 * b"\0"),
        ("windows_s390x", b""),
        ("windows_s390x", b"MZ" + 100 * b"\0"),
        ("windows_amd64", b"PE\0\0\x64\x86" + 100 * b"\0"),
        ("windows_amd64", b"MZ" + 58 * b"\0" + b"\x80\0\0\0" + 64 * b"\0" + b"NE\0\0\x64\x86"),
        ("linux_s390x", b"\x7fELF\x02\0" + 12 * b"\0" + b"\0\x16"),
    ],
)
def test_wrong_magic_bytes(platform, head):
    with pytest.raises(_errors.ArchiveError) as caught:
        zip_archive.check_magic(head, platform, PATH)
    assert caught.value.path == PATH and caught.value.hint
    assert str(caught.value).isprintable()


def test_every_known_architecture_has_magic_bytes_on_linux():
    assert set(zip_archive._ELF) == set(layout.ARCHITECTURES.values())


def test_a_32_bit_mach_o_file():
    zip_archive.check_magic(b"\xce\xfa\xed\xfe\x07\0\0\0", "darwin_386", PATH)


def test_property_damage_is_seen_or_harmless():
    from support.properties import hypothesis

    strategies = hypothesis.strategies
    seeds = [
        zips.pack([usual()]),
        odd_archives.of(usual(), comment=b"a comment"),
        odd_archives.of(usual(method=zips.STORED)),
        odd_archives.of(usual(flags=0)),
        odd_archives.REFUSED["symlink"](BINARY),
    ]

    @hypothesis.given(
        strategies.sampled_from(seeds),
        strategies.lists(
            strategies.tuples(
                strategies.booleans(),
                strategies.integers(0, 1 << 20),
                strategies.one_of(
                    strategies.binary(min_size=1, max_size=4),
                    strategies.sampled_from(
                        [b"PK\5\6", b"PK\6\7", b"PK\1\2", b"PK\3\4", b"\xff\xff\xff\xff", b"\0\0\0\0"]
                    ),
                ),
            ),
            min_size=1,
            max_size=4,
        ),
        strategies.one_of(strategies.none(), strategies.integers(0, 2000)),
    )
    def check(seed, changes, length):
        data = bytearray(seed)
        for near_end, place, patch in changes:
            # Most of the structure is at the end.
            at = len(data) - 1 - place % 200 if near_end else place % len(data)
            data[at : at + len(patch)] = patch
        try:
            dummy, written = unpack(bytes(data[:length]))
        except _errors.ArchiveError as error:
            assert error.path == PATH and PATH in str(error) and str(error).isprintable()
        else:
            # Several changes may agree with each other: only the digest of the archive guards against intent.
            assert written == BINARY or len(changes) > 1

    check()
