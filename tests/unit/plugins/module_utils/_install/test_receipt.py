# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt: what counts as one, what does not, and why."""

import errno
import json
import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors, _records
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory as directory_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import receipt as receipt_module

FROZEN = {
    "format": 1,
    "product": "terraform",
    "version": "1.13.4",
    "platform": "linux_amd64",
    "sha256": "ab" * 32,
    "size": 385,
}
OPTIONAL = {
    "policy": "signature",
    "signer": "C874011F0AB405110D02105534365D9472D7468F",
    "signed_at": 1744203816,
    "archive_sha256": "cd" * 32,
    "origin": "https://releases.example",
    "run_check": "1.13.4",
    "links": ["/usr/local/bin/terraform"],
    "previous": {"/usr/local/bin/terraform": "1.13.3"},
    "went_back": ["/usr/local/bin/terraform"],
    "installed_at": "2026-11-23T12:00:00Z",
    "collection": "0.1.0",
    "mtime_ns": 1744203816123456789,
    "inode": 17,
    "base_dir_unsafe": ["/tmp can be written by others"],
}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def as_bytes(**fields):
    return json.dumps(dict(FROZEN, **fields)).encode("utf-8")


def complaint(data):
    receipt, found = receipt_module.parse_receipt(data)
    assert receipt is None and found
    return found


@pytest.fixture
def folder(tmp_path):
    """A version's directory, open."""
    (tmp_path / "1.13.4").mkdir(mode=0o755)
    with directory_module.open_trusted_directory(
        str(tmp_path / "1.13.4"), "base_dir", directory_module.trusted_owners(), None
    ) as directory:
        yield directory


def put(folder, data):
    with open(folder.at("terraform.json"), "wb") as file:
        file.write(data)
    os.chmod(file.name, 0o644)
    return file.name


# parse, to_bytes


def test_what_is_written_is_read():
    receipt, found = receipt_module.parse_receipt(as_bytes(**OPTIONAL))
    assert found is None and receipt.links == ("/usr/local/bin/terraform",)
    assert receipt_module.parse_receipt(receipt_module.receipt_bytes(receipt)) == (receipt, None)
    assert set(OPTIONAL) | set(FROZEN) == set(_records.Receipt._fields), "a field that is not tested"


def test_the_stored_form_is_lines_of_ascii():
    receipt = receipt_module.parse_receipt(as_bytes(origin="https://\xe9"))[0]
    lines = receipt_module.receipt_bytes(receipt).decode("ascii").splitlines()
    assert len(lines) == len(receipt) + 2 and '  "sha256": "%s",' % ("ab" * 32) in lines


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\0" * 100,
        b"\xff\xfe",
        b"null",
        b"[]",
        b"1",
        b'"x"',
        b"[" * 100000,
        as_bytes()[:-1],
        as_bytes() + b"x",
        b'{"format": ' + b"9" * 5000 + b"}",
    ],
)
def test_bytes_that_are_none(data):
    assert complaint(data) in ("is not JSON", "is not a receipt")


@pytest.mark.parametrize("number", [None, 0, -1, "1", 1.0, True, [1], 1 << 64])
def test_formats_that_are_none(number):
    assert complaint(as_bytes(format=number)) == "is not a receipt"


@pytest.mark.parametrize("number", [1, 2, 99])
@pytest.mark.parametrize("key", sorted(set(FROZEN) - {"format"}))
@pytest.mark.parametrize("value", [None, True, 1.5, [], {}])
def test_every_frozen_key_is_needed_in_every_format(number, key, value):
    assert key in complaint(as_bytes(format=number, **{key: value}))


@pytest.mark.parametrize(
    "fields",
    [
        {"sha256": "AB" * 32},
        {"sha256": "ab" * 31},
        {"sha256": "ab" * 32 + "\n"},
        {"sha256": "ab" * 33},
        {"sha256": 1},
        {"size": -1},
        {"size": "385"},
        {"size": 385.0},
        {"size": 1 << 64},
        {"version": 1},
        {"product": 1},
        {"platform": 1},
    ],
)
def test_frozen_values_that_are_none(fields):
    assert list(fields)[0] in complaint(as_bytes(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"policy": 1},
        {"signer": 1},
        {"signed_at": "x"},
        {"signed_at": -1},
        {"signed_at": 1 << 32},
        {"signed_at": 1.5},
        {"signed_at": True},
        {"archive_sha256": "x"},
        {"archive_sha256": "CD" * 32},
        {"origin": []},
        {"run_check": True},
        {"links": "x"},
        {"links": [1]},
        {"links": [None]},
        {"links": ["usr/local/bin/terraform"]},
        {"links": ["/x\0y"]},
        {"links": ["/\ud800"]},
        {"links": ["/" + "x" * 4095]},
        {"previous": {"/x\0y": "1.13.3"}},
        {"previous": ["1.13.3"]},
        {"previous": {"/tf": 1}},
        {"previous": {"/tf": "1.13"}},
        {"previous": {"/tf": "../1.13.3"}},
        {"went_back": "x"},
        {"installed_at": 1},
        {"collection": 1},
        {"mtime_ns": 1 << 63},
        {"mtime_ns": "1"},
        {"inode": -1},
        {"inode": 1 << 64},
        {"base_dir_unsafe": "x"},
        {"base_dir_unsafe": [[]]},
    ],
)
def test_optional_values_that_are_none(fields):
    (key,) = fields
    assert key in complaint(as_bytes(**dict(OPTIONAL, **fields)))
    newer, found = receipt_module.parse_receipt(as_bytes(format=2, **dict(OPTIONAL, **fields)))
    assert found is None and getattr(newer, key) in (None, ())  # it may have another meaning there


def test_what_is_not_there_is_not_known():
    receipt, found = receipt_module.parse_receipt(as_bytes(signer=None))
    assert found is None and receipt == _records.Receipt(1, "terraform", "1.13.4", "linux_amd64", "ab" * 32, 385)


def test_a_receipt_from_before_links_had_a_history_is_as_good():
    fields = dict((key, value) for key, value in OPTIONAL.items() if key not in ("previous", "went_back"))
    receipt, found = receipt_module.parse_receipt(as_bytes(**fields))
    assert found is None and (receipt.previous, receipt.went_back) == (None, ())


def test_unknown_keys_are_passed_over():
    receipt, found = receipt_module.parse_receipt(as_bytes(colour="red", depth={"x": [1, {"y": None}]}))
    assert found is None and receipt == receipt_module.parse_receipt(as_bytes())[0]


# read


def test_a_receipt_is_read(folder):
    put(folder, as_bytes(**OPTIONAL))
    receipt, found = receipt_module.read_receipt(folder, "1.13.4")
    assert found is None and receipt.signer == OPTIONAL["signer"]


def test_there_is_none(folder):
    assert receipt_module.read_receipt(folder, "1.13.4") == (None, "%s is missing" % folder.at("terraform.json"))


@pytest.mark.parametrize(
    "version, fields, words",
    [
        ("1.13.3", {}, "is about 'terraform' '1.13.4'"),
        ("1.13.4", {"version": "1.13.40"}, "is about 'terraform' '1.13.40'"),
        ("1.13.4", {"product": "tofu"}, "is about 'tofu' '1.13.4'"),
        ("1.13.4", {"version": "x\n" * 99}, "'x\\nx"),
    ],
)
def test_it_is_about_something_else(folder, version, fields, words):
    path = put(folder, as_bytes(**fields))
    receipt, found = receipt_module.read_receipt(folder, version)
    assert receipt is None and found.startswith(path) and words in found and len(found) < 300


def test_the_size_is_limited(folder):
    for size, counts in ((receipt_module.CAP, True), (receipt_module.CAP + 1, False)):
        put(folder, as_bytes().ljust(size))
        receipt, found = receipt_module.read_receipt(folder, "1.13.4")
        assert (receipt is not None) is counts
    assert "larger than 65536 bytes" in found


@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_it_is_not_a_file(folder, kind):
    path = folder.at("terraform.json")
    if kind == "link":
        os.rename(put(folder, as_bytes()), folder.at("elsewhere"))
        os.symlink("elsewhere", path)
    elif kind == "directory":
        os.mkdir(path)
    else:
        os.mkfifo(path)
    assert receipt_module.read_receipt(folder, "1.13.4") == (None, "%s is not a regular file" % path)


@pytest.mark.parametrize(
    "mode, counts",
    [
        (0o644, True),
        (0o600, True),
        (0o444, True),
        (0o664, False),
        (0o646, False),
        (0o622, False),
    ],
)
def test_nobody_else_can_have_written_it(folder, mode, counts):
    os.chmod(put(folder, as_bytes()), mode)
    receipt, found = receipt_module.read_receipt(folder, "1.13.4")
    assert (receipt is not None) is counts
    assert counts or "could be written by others" in found


def test_it_becomes_a_link_just_now(folder, monkeypatch):
    """Between the look and the open: what lies elsewhere is not read."""
    put(folder, as_bytes())
    real = folder.stat

    def stat_then_swap(name):
        found = real(name)
        os.rename(folder.at(name), folder.at("elsewhere"))
        os.symlink("elsewhere", folder.at(name))
        return found

    monkeypatch.setattr(folder, "stat", stat_then_swap)
    with pytest.raises(_errors.InstallError) as caught:
        receipt_module.read_receipt(folder, "1.13.4")
    assert (caught.value.errno, caught.value.path) == (errno.ELOOP, folder.at("terraform.json"))


@as_root
def test_it_belongs_to_someone_else(folder):
    os.chown(put(folder, as_bytes()), 12345, 0)
    receipt, found = receipt_module.read_receipt(folder, "1.13.4")
    assert receipt is None and "could be written by others (12345:0" in found


def test_what_cannot_be_read_is_an_error(folder, monkeypatch):
    put(folder, as_bytes())

    def fail(*args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(_errors.InstallError) as caught:
        receipt_module.read_receipt(folder, "1.13.4")
    assert caught.value.errno == errno.EIO and caught.value.path == folder.at("terraform.json")


@pytest.mark.parametrize("size, good", [(1 << 30, True), ((1 << 30) + 1, False), (1 << 43, False)])
def test_what_claims_more_than_a_binary_may_have_is_not_believed(size, good):
    """Else its owner lets root hash a sparse file of terabytes, in each run."""
    assert (receipt_module.parse_receipt(as_bytes(size=size))[0] is not None) is good


# find_links


def test_links_that_still_lead_to_the_binary(tmp_path):
    binary, other = str(tmp_path / "binary"), str(tmp_path / "other")
    for path in (binary, other):
        open(path, "w").close()
    os.symlink(str(tmp_path), str(tmp_path / "alias"))
    targets = {
        "straight": binary,
        "relative": "binary",
        "by-alias": str(tmp_path / "alias" / "binary"),
        "chained": "straight",
        "away": other,
        "dangling": str(tmp_path / "none"),
        "loop": "loop",
    }
    for name, target in targets.items():
        os.symlink(target, str(tmp_path / name))
    names = ["straight", "relative", "by-alias", "chained", "away", "dangling", "loop", "binary", "missing"]
    receipt = receipt_module.parse_receipt(as_bytes(links=[str(tmp_path / name) for name in names]))[0]
    leading = tuple(str(tmp_path / name) for name in names[:4])
    assert receipt_module.find_links(receipt, binary) == leading
    os.unlink(binary)
    assert receipt_module.find_links(receipt, binary) == leading, "dangling, and still in the way"
