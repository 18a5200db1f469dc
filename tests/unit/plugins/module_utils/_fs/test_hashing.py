# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The digest of an open file: all of its bytes, wherever its offset stands."""

import errno
import hashlib
import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.hashing import CHUNK, blocks_of, hash_of


def opened(tmp_path, data):
    path = tmp_path / "data"
    path.write_bytes(data)
    return os.open(str(path), os.O_RDONLY)


def test_the_digest_of_nothing(tmp_path):
    fd = opened(tmp_path, b"")
    assert hash_of(fd) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    os.close(fd)


def test_the_digest_of_abc_as_in_fips_180(tmp_path):
    fd = opened(tmp_path, b"abc")
    assert hash_of(fd) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    os.close(fd)


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 7])
def test_every_chunk_counts(tmp_path, size):
    data = os.urandom(size)
    fd = opened(tmp_path, data)
    assert hash_of(fd) == hashlib.sha256(data).hexdigest()
    os.close(fd)


def test_the_offset_is_neither_used_nor_moved(tmp_path):
    fd = opened(tmp_path, b"0123456789")
    os.lseek(fd, 4, os.SEEK_SET)
    assert hash_of(fd) == hashlib.sha256(b"0123456789").hexdigest()
    assert os.lseek(fd, 0, os.SEEK_CUR) == 4
    os.close(fd)


def test_what_cannot_be_read_has_no_digest(tmp_path):
    fd = os.open(str(tmp_path), os.O_RDONLY)
    with pytest.raises(OSError) as caught:
        hash_of(fd)
    assert caught.value.errno == errno.EISDIR
    os.close(fd)


def test_a_file_that_grows_as_fast_as_it_is_read_has_an_end_and_another_digest(tmp_path, monkeypatch):
    """Its owner could hold a run of root for ever. What is appended must not be left out of the digest, either."""
    data = os.urandom(2 * CHUNK)
    fd = opened(tmp_path, data)
    read = os.pread

    def grow(fd, size, offset):
        os.truncate(str(tmp_path / "data"), offset + 2 * size)
        return read(fd, size, offset)

    monkeypatch.setattr(os, "pread", grow)
    assert hash_of(fd) == hashlib.sha256(data + bytes(CHUNK)).hexdigest()
    os.truncate(str(tmp_path / "data"), len(data))
    assert sum(map(len, blocks_of(fd))) <= 4 * CHUNK
    os.close(fd)
