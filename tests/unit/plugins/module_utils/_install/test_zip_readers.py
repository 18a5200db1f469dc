# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What passes here is the same archive to unzip, bsdtar and Python: the same bytes by the name of terraform.

Each of zip_family's archives is tried. A reader that this machine does not have is skipped.
"""

import io
import os
import shutil
import subprocess
import zipfile

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import zip_archive
from support import tiers, zip_family

PATH = "/srv/a.zip"
SECONDS = 60  # for one call of a reader, which takes some milliseconds
EACH = 10 if tiers.QUICK else 6  # of the refused ones, so many are passed over for each that the readers see
# Oddities that are in order with some kinds of members only.
SOMETIMES = {
    "plain": {
        "ZIP64 sizes",
        "ZIP64 sizes, streamed, descriptor of 20 bytes",
        "descriptor of 12 bytes",
        "license: descriptor of 12 bytes",
    },
    "streamed": {
        "ZIP64 sizes, streamed, descriptor of 20 bytes",
        "descriptor of 12 bytes",
        "license: descriptor of 12 bytes",
        "local CRC missing",
        "local packed size missing",
        "local size missing",
    },
    "stored": {"ZIP64 sizes"},
}


def ours(data):
    """The bytes of terraform and all names, or None for a refusal."""
    written = bytearray()
    try:
        binary = zip_archive.find_executable(io.BytesIO(data), "linux_amd64", PATH)
        zip_archive.extract(binary, written.extend)
    except _errors.ArchiveError as error:
        assert error.path == PATH and PATH in str(error) and str(error).isprintable() and len(str(error)) < 300
        return None
    return bytes(written), sorted(binary.others + ("terraform",))


def _answer(command, data=b""):
    """What a command prints; None when it fails."""
    environment = dict(os.environ, LC_ALL="C", UNZIP="")
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    ) as process:  # without a terminal to ask for a password
        output, _none = process.communicate(data, timeout=SECONDS)
    return output if process.returncode == 0 else None


def _zipfile(path, data):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read("terraform")
    except Exception:  # it has no end of ways to refuse
        return None


READERS = {  # callable(path, bytes of that file) -> bytes of terraform, or None
    "zipfile": _zipfile,
    "unzip": lambda path, data: _answer(["unzip", "-p", path, "terraform"]),
    "bsdtar": lambda path, data: _answer(["bsdtar", "-xOf", path, "terraform"]),
    "bsdtar, from the front": lambda path, data: _answer(["bsdtar", "-xOf", "-", "terraform"], data),
}


def is_there(reader):
    return reader == "zipfile" or shutil.which(reader.split(",")[0]) is not None


@pytest.fixture(scope="module")
def family():
    """What passes and what does not: ({name: (data, bytes of terraform, names)}, {name: data})."""
    passed, refused = {}, {}
    for name, data in zip_family.archives():
        answer = ours(data)
        if answer is None:
            refused[name] = data
        else:
            passed[name] = (data,) + answer
    return passed, refused


def test_the_family_is_large_and_of_both_kinds(family, proof):
    passed, refused = family
    proof(
        "%d odd archives: we accept %d, and %s read them alike"
        % (len(passed) + len(refused), len(passed), ", ".join(filter(is_there, sorted(READERS))))
    )
    assert len(passed) >= 200 and len(refused) >= 700, (len(passed), len(refused))


@pytest.mark.parametrize("base", sorted(zip_family.BASES))
def test_one_oddity_passes_or_not(base):
    passed = set()
    for name in zip_family.ODDITIES:
        data = zip_family.make(base, name)
        if data is not None and ours(data) is not None:
            passed.add(name)
    assert passed == set(zip_family.HARMLESS) | SOMETIMES[base]
    assert ours(zip_family.make(base))[0] == zip_family.BINARY


@pytest.mark.parametrize("reader", sorted(READERS))
def test_what_passes_is_read_alike(reader, family, tmp_path):
    if not is_there(reader):
        pytest.skip("no %s on this machine" % reader)
    path, otherwise = str(tmp_path / "a.zip"), []
    for name, (data, binary, _names) in list(family[0].items())[:: 20 if tiers.QUICK else 1]:
        with open(path, "wb") as file:
            file.write(data)
        found = READERS[reader](path, data)
        if found != binary:
            otherwise.append((name, found and found[:40]))
    assert not otherwise


def test_what_passes_has_the_same_names(family):
    for name, (data, _binary, names) in family[0].items():
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert sorted(archive.namelist()) == names, name


def test_there_is_something_to_refuse(family, tmp_path):
    """The readers that are there do not agree about refused ones: one finds the evil binary where another finds ours."""
    there = [reader for reader in sorted(READERS) if is_there(reader)]
    if len(there) < 2:
        pytest.skip("no reader on this machine but zipfile")
    path, different, misled = str(tmp_path / "a.zip"), 0, []
    sample = sorted(family[1].items())[::EACH]
    for name, data in sample:
        with open(path, "wb") as file:
            file.write(data)
        answers = set(READERS[reader](path, data) for reader in there)
        different += len(answers) > 1
        if {zip_family.BINARY, zip_family.EVIL} <= answers:
            misled.append(name)
    assert len(sample) >= 600 // EACH and different >= 120 // EACH and misled, (len(sample), different, misled)


@pytest.mark.parametrize(
    "oddity, message",
    [
        ("prefix, offsets right", "byte 0, local header of 'LICENSE.txt': found 10, expected 0"),
        ("gap", "byte 54, local header of 'terraform': found 55, expected 54"),
        ("gap behind", "byte 870, central directory: found 871, expected 870"),
        (
            "local name in another case",
            "byte 54, name of the local header of 'terraform': found 'Terraform', expected 'terraform'",
        ),
        ("local method", "byte 54, method of the local header of 'terraform': found 8, expected 0"),
        ("local size less", "byte 54, size of the local header of 'terraform': found 5, expected 777"),
        ("line disk", "byte 927, disk of 'terraform': found 1, expected 0"),
        ("flags: patch", "byte 927, flags of 'terraform': found 32, expected 0"),
        ("version 6.3", "byte 927, version needed for 'terraform', at most: found 63, expected 45"),
        (
            "other name in a local field",
            "byte 54, extra field of 'terraform': found 0x7075, expected times and owners only",
        ),
        ("field too long", "byte 936, extra field of 'terraform', bytes of 0x5455: found 5, expected 6"),
        ("descriptor missing", r"byte 870, descriptor of 'terraform': found 'PK\x01\x02"),
        ("comment of a member with an end", "byte 870, end records in the central directory: found 1, expected 0"),
    ],
)
def test_a_refusal_says_where_and_what(oddity, message):
    with pytest.raises(_errors.ArchiveError) as caught:
        zip_archive.find_executable(io.BytesIO(zip_family.make("stored", oddity)), "linux_amd64", PATH)
    assert str(caught.value).startswith("/srv/a.zip: " + message) and caught.value.hint
