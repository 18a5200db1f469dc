# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Local files that stand for themselves: who could write them, or what is on the way to them, is looked at."""

import errno
import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory, trusted_file
from support.system import NOBODY, OTHER_UID, as_plain_user, needs_root, open_descriptors, open_folder


class Place:
    """A folder with ``deep/er/file`` in it."""

    def __init__(self, path):
        self.path = os.path.realpath(str(path))
        os.makedirs(self.at("deep", "er"))
        os.chmod(self.at("deep"), 0o755)
        os.chmod(self.at("deep", "er"), 0o755)
        self.file = self.at("deep", "er", "file")
        self.write(self.file)

    def at(self, *names):
        return os.path.join(self.path, *names)

    def write(self, path):
        with open(path, "wb") as stream:
            stream.write(b"content")
        os.chmod(path, 0o644)

    def read(self, path=None, owner=None):
        with os.fdopen(
            trusted_file.open_trusted_file(path or self.file, "archive", directory.trusted_owners(owner)), "rb"
        ) as stream:
            return stream.read()

    def refusal(self, path=None):
        before = open_descriptors()
        with pytest.raises(_errors.VerificationError) as caught:
            self.read(path)
        assert open_descriptors() == before
        error = caught.value
        assert error.path == (path or self.file) and str(error).startswith("archive %s is not safe: " % error.path)
        assert str(error).endswith("and checksum_policy sha256sums has nothing else to go by")
        for way_out in ("below directories that only root or you can write", "checksum", "signature"):
            assert way_out in error.hint
        return str(error)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o400, 0o755])
def test_what_is_ours_is_read(place, mode):
    os.chmod(place.file, mode)
    before = open_descriptors()
    assert place.read() == place.read(os.fsencode(place.file)) == b"content"
    assert open_descriptors() == before


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602, 0o1646, 0o1644])
def test_a_file_that_others_can_write(place, mode):
    os.chmod(place.file, mode)
    assert "%s " % place.file in place.refusal()


@pytest.mark.parametrize("names", [("deep",), ("deep", "er")])
def test_a_directory_on_the_way_that_others_can_write(place, names):
    os.chmod(place.at(*names), 0o777)
    assert "%s can be written by others" % place.at(*names) in place.refusal()
    os.chmod(place.at(*names), 0o1777)  # where only owners may replace what is theirs
    assert place.read() == b"content"


@needs_root
@pytest.mark.parametrize("names", [("deep",), ("deep", "er"), ("deep", "er", "file")])
def test_what_belongs_to_somebody_else(place, names):
    os.chown(place.at(*names), OTHER_UID, OTHER_UID)
    assert "%s belongs to %d:%d" % (place.at(*names), OTHER_UID, OTHER_UID) in place.refusal()
    assert place.read(owner=OTHER_UID) == b"content"  # whom the binary itself is going to belong to


@needs_root
@pytest.mark.parametrize("names", [("deep",), ("deep", "er"), ("deep", "er", "file")])
def test_what_another_group_can_write(place, names):
    os.chown(place.at(*names), -1, OTHER_UID)
    os.chmod(place.at(*names), 0o775)
    assert "%s can be written by others" % place.at(*names) in place.refusal()


@needs_root
def test_a_file_of_somebody_else_where_all_may_write(place):
    os.chmod(place.at("deep", "er"), 0o1777)
    os.chown(place.file, OTHER_UID, OTHER_UID)
    assert "the entry in it belongs to %d" % OTHER_UID in place.refusal()


@needs_root
def test_roots_file_is_good_for_a_plain_user():
    with open_folder() as folder:
        place = Place(folder)
        assert as_plain_user(place.read) == b"content"
        os.chown(place.file, NOBODY, NOBODY)
        assert as_plain_user(place.read) == b"content"


def test_links_are_followed(place):
    os.symlink("deep/er/file", place.at("near"))
    os.symlink(place.at("near"), place.at("far"))
    os.symlink("..", place.at("deep", "up"))
    assert place.read(place.at("far")) == place.read(place.at("deep", "up", "near")) == b"content"


def test_the_target_of_a_link_is_checked(place):
    os.symlink("deep/er/file", place.at("near"))
    os.chmod(place.at("deep"), 0o777)
    assert "%s can be written by others" % place.at("deep") in place.refusal(place.at("near"))


def test_the_directory_of_a_link_is_checked(place):
    os.mkdir(place.at("open"))
    os.chmod(place.at("open"), 0o777)
    os.symlink(place.file, place.at("open", "link"))
    assert "%s can be written by others" % place.at("open") in place.refusal(place.at("open", "link"))


@needs_root
def test_the_owner_of_a_link_is_checked(place):
    os.symlink(place.file, place.at("link"))
    os.lchown(place.at("link"), OTHER_UID, OTHER_UID)
    assert "the symbolic link %s belongs to" % place.at("link") in place.refusal(place.at("link"))


@pytest.mark.parametrize(
    "names, number",
    [
        (("none",), errno.ENOENT),
        (("none", "none"), errno.ENOENT),
        (("deep", "er", "file", "none"), errno.ENOTDIR),
        (("loop",), errno.ELOOP),
        (("dangling",), errno.ENOENT),
        (("loop", "none"), errno.ELOOP),
    ],
)
def test_what_cannot_be_opened_is_reported_as_open_does(place, names, number):
    os.symlink("loop", place.at("loop"))
    os.symlink("nowhere", place.at("dangling"))
    with pytest.raises(OSError) as caught:
        place.read(place.at(*names))
    assert caught.value.errno == number


def test_what_fails_without_a_number_is_an_error_of_the_system(place, monkeypatch):
    def walk(*given, **more):
        raise _errors.InstallError("odd")

    monkeypatch.setattr(trusted_file, "open_trusted_directory", walk)
    with pytest.raises(OSError) as caught:
        place.read()
    assert caught.value.errno == errno.EIO


def test_a_pipe_does_not_block(place):
    os.mkfifo(place.at("pipe"), 0o600)
    os.close(trusted_file.open_trusted_file(place.at("pipe"), "archive", directory.trusted_owners()))


def test_a_name_that_is_no_text(place):
    path = os.fsencode(place.at("deep")) + b"/\xff"
    os.rename(place.file, path)
    assert place.read(path) == b"content"
