# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published has the form of the genuine thing."""

import io
import json
import os
import re
import zipfile

import pytest

pytest.importorskip("release_site")

from release_site import releases

ALL_PLATFORMS = (
    "darwin_amd64",
    "darwin_arm64",
    "freebsd_386",
    "freebsd_amd64",
    "freebsd_arm",
    "linux_386",
    "linux_amd64",
    "linux_arm",
    "linux_arm64",
    "openbsd_386",
    "openbsd_amd64",
    "solaris_amd64",
    "windows_386",
    "windows_amd64",
)  # those of the genuine 1.11.4


def test_sums():
    release = releases.make_release("1.11.4", ALL_PLATFORMS)
    names = re.findall(r"^[0-9a-f]{64}  (\S+)$", release.sums.decode(), re.MULTILINE)
    assert names == ["terraform_1.11.4_%s.zip" % platform for platform in ALL_PLATFORMS]


def test_sums_list_what_the_genuine_ones_list(genuine):
    with open(os.path.join(genuine, "terraform", "terraform_1.11.4_SHA256SUMS"), encoding="ascii") as file:
        theirs = file.read()
    ours = releases.make_release("1.11.4", ALL_PLATFORMS).sums.decode()
    digest = re.compile("^[0-9a-f]{64}", re.MULTILINE)
    assert digest.sub("", ours) == digest.sub("", theirs)


def test_archive():
    archive = zipfile.ZipFile(io.BytesIO(releases.make_archive("1.13.4", "linux_amd64")))
    assert archive.testzip() is None
    assert [(entry.filename, entry.external_attr, entry.compress_type) for entry in archive.infolist()] == [
        ("LICENSE.txt", 0o100644 << 16, zipfile.ZIP_DEFLATED),
        ("terraform", 0o100755 << 16, zipfile.ZIP_DEFLATED),
    ]


def test_archive_for_windows():
    archive = zipfile.ZipFile(io.BytesIO(releases.make_archive("1.13.4", "windows_amd64")))
    assert archive.namelist() == ["LICENSE.txt", "terraform.exe"]


def test_a_large_archive():
    archive = releases.make_archive("1.13.4", "linux_amd64", padding=3 << 20)
    assert 3 << 20 < len(archive) < (3 << 20) + 5000
    assert zipfile.ZipFile(io.BytesIO(archive)).testzip() is None


def test_the_same_every_time():
    assert releases.make_archive("1.13.4", "linux_arm64") == releases.make_archive("1.13.4", "linux_arm64")
    assert releases.make_release("1.13.4") == releases.make_release("1.13.4")
    assert releases.make_release("1.13.4").sums != releases.make_release("1.13.3").sums


def shape_of(entry):
    return set(entry), set(entry["builds"][0])


@pytest.mark.parametrize(
    "shape, file, version",
    [
        ("current", "terraform_index_excerpt_tenv.json", "1.7.0"),
        ("old", "terraform_index_excerpt_setup-terraform.json", "0.1.0"),
    ],
)
def test_shapes_are_genuine(genuine, shape, file, version):
    with open(os.path.join(genuine, "index", file), encoding="utf-8") as text:
        theirs = json.load(text)["versions"][version]
    platforms = ["%s_%s" % (build["os"], build["arch"]) for build in theirs["builds"]]
    release = releases.make_release(version, platforms, shape=shape)
    release = releases.with_signature(release, b"signature", "72D7468F")
    ours = releases.describe(release)
    assert json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)


def test_shapes_in_one_index():
    made = [releases.make_release("1.%d.0" % number, shape=shape) for number, shape in enumerate(releases.SHAPES)]
    made = [releases.with_signature(release, b"signature", "72D7468F") for release in made]
    versions = json.loads(releases.make_index(made))["versions"]
    build = {"arch", "filename", "name", "os", "version"}
    assert shape_of(versions["1.0.0"]) == (
        {"builds", "name", "shasums", "shasums_signature", "shasums_signatures", "version"},
        build | {"url"},
    )
    assert shape_of(versions["1.1.0"]) == (
        {"builds", "name", "shasums", "shasums_signature", "version"},
        build | {"url"},
    )
    assert shape_of(versions["1.2.0"]) == ({"builds", "name", "version"}, build)


def test_unsigned():
    release = releases.with_signature(releases.make_release("1.13.4"), None, "72D7468F")
    assert releases.describe(release)["shasums_signatures"] == []
    assert not [path for path in releases.lay_out(release) if path.endswith(".sig")]
