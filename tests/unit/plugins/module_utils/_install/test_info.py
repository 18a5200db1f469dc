# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is below a base dir, as terraform_binary_info reports it: on real files, damaged in every way, also for plain readers."""

import errno
import fcntl
import json
import os
import shutil
import stat

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import info as info_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import installed as installed_module
from support.system import NOBODY, open_folder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def look(host, full=False, links=(), owner=None, **params):
    """The return values for a host's store."""
    usual = dict(base_dir=host.base_dir, links=list(links), owner=owner, verify="full" if full else "receipt")
    return info_module.read_info(info_module.parse_info_request(dict(usual, **params)))


@pytest.fixture
def host(host, monkeypatch):
    monkeypatch.setattr(installed_module, "RETRY_SECONDS", 0)  # seconds; nobody else is at work here
    return host


@pytest.fixture
def reachable(host):
    """The host is where every user may go, which pytest's own folders are not."""
    with open_folder() as folder:
        host.folder, host.base_dir = folder, os.path.join(folder, "store")
        yield


def as_nobody(function):
    """The result of a function in a process of another user: JSON."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writer, json.dumps(function()).encode("ascii"))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read()
    os.waitpid(pid, 0)
    return json.loads(data.decode("ascii"))


def reason_of(host, **how):
    (found,) = look(host, **how)["versions"]
    assert found["intact"] is False and found["reason"], found
    return found["reason"]


def test_an_intact_version_has_all_that_its_receipt_says(installed):
    before = installed.picture()
    for full in (False, True):
        (found,) = look(installed, full)["versions"]
        receipt, status = installed.read_receipt(), os.stat(installed.binary())
        assert (found["version"], found["path"], found["intact"], found["reason"]) == (
            "1.13.4",
            installed.binary(),
            True,
            None,
        )
        assert (found["sha256"], found["size"], found["mode"]) == (receipt["sha256"], status.st_size, "0755")
        assert (found["platform"], found["policy"], found["signer"], found["signed_at"]) == (
            installed.platform,
            "pinned",
            None,
            None,
        )
        for name in ("archive_sha256", "installed_at", "collection", "run_check"):
            assert found[name] == receipt[name], name
        assert found["site"] == receipt["origin"]
        assert found["receipt"] == {
            "path": installed.receipt(),
            "format": 1,
            "sha256": receipt["sha256"],
            "size": receipt["size"],
            "links": [],
            "base_dir_unsafe": [],
        }
    assert installed.picture() == before


def test_a_signed_version_says_by_whom_and_when(signed, site):
    (found,) = look(signed)["versions"]
    assert found["signer"] == site.key.fingerprint and found["policy"] == "signature"
    assert found["signed_at"].endswith("Z") and found["site"] == site.url


def test_versions_are_listed_from_the_newest(host):
    for version in ("1.9.8", "1.13.4", "1.14.0-rc1", "1.13.10"):
        host.run(**host.offer(version))
    found = look(host)
    assert [each["version"] for each in found["versions"]] == ["1.14.0-rc1", "1.13.10", "1.13.4", "1.9.8"]
    assert found["msg"].startswith("4 versions below %s, all intact: 1.14.0-rc1, " % host.base_dir)
    assert [(lock["version"], lock["held"]) for lock in found["locks"]] == [
        (version, False) for version in ("1.13.10", "1.13.4", "1.14.0-rc1", "1.9.8")
    ]


def test_a_missing_base_dir_is_an_empty_answer(host):
    found = look(host)
    assert (found["base_dir_state"], found["base_dir_safe"], found["versions"], found["locks"]) == (
        "absent",
        None,
        [],
        [],
    )
    assert found["base_dir_reason"] == "%s does not exist" % host.base_dir and found["base_dir_reason"] in found["msg"]
    assert os.listdir(host.folder) == []


def test_a_file_in_place_of_the_base_dir_is_a_reason(host):
    with open(host.base_dir, "w"):
        pass
    found = look(host)
    assert found["base_dir_state"] == "unreadable" and "is not a directory" in found["base_dir_reason"]


def write_other_receipt(host):
    with open(host.receipt(), "rb") as file:
        data = file.read()
    host.overwrite(host.receipt(), data.replace(b'"1.13.4"', b'"1.13.3"'))


DAMAGES = {
    "flipped": (lambda host: host.flip(host.binary()), "has sha256", True),
    "cut": (lambda host: os.truncate(host.binary(), 100), "has 100 bytes, expected 385", False),
    "gone": (lambda host: os.unlink(host.binary()), "is missing", False),
    "pipe": (lambda host: (os.unlink(host.binary()), os.mkfifo(host.binary())), "is not a regular file (p", False),
    "others may write": (lambda host: os.chmod(host.binary(), 0o777), "could be written by others", False),
    "broken receipt": (lambda host: host.overwrite(host.receipt(), b"{"), "is not JSON", False),
    "receipt others may write": (lambda host: os.chmod(host.receipt(), 0o666), "could be written by others", False),
    "other receipt": (write_other_receipt, "is about 'terraform' '1.13.3'", False),
    "directory others may write": (
        lambda host: os.chmod(os.path.dirname(host.binary()), 0o777),
        "can be written by others",
        False,
    ),
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_damage_is_a_reason(installed, damage):
    strike, words, only_hash = DAMAGES[damage]
    strike(installed)
    before = installed.picture()
    assert words in reason_of(installed, full=True) and installed.picture() == before
    if not only_hash:
        assert words in reason_of(installed)
    found = look(installed)
    assert found["msg"].startswith("1 version below %s, 1 not intact: 1.13.4 (" % installed.base_dir)


def test_bytes_changed_behind_the_receipts_back_need_the_hash(installed):
    times = os.stat(installed.binary())
    installed.flip(installed.binary())
    os.utime(installed.binary(), ns=(times.st_atime_ns, times.st_mtime_ns))
    assert look(installed)["versions"][0]["intact"] is True
    (found,) = look(installed, full=True)["versions"]
    assert found["intact"] is False and found["sha256"] not in (None, found["receipt"]["sha256"])


def test_a_restored_store_is_in_doubt_until_it_is_hashed(installed):
    os.utime(installed.binary(), (1, 1))
    assert reason_of(installed).endswith("(mtime, inode); verify: full hashes it")
    assert look(installed)["versions"][0]["sha256"] is None
    (found,) = look(installed, full=True)["versions"]
    assert found["intact"] is True and found["sha256"] == found["receipt"]["sha256"]


def test_a_look_between_the_two_renames_of_an_installer_is_taken_again(installed, monkeypatch):
    data = installed.published["1.13.4"]
    times = os.stat(installed.binary())
    installed.overwrite(installed.binary(), b"old")

    def finish(seconds):
        installed.overwrite(installed.binary(), data)
        os.utime(installed.binary(), ns=(times.st_atime_ns, times.st_mtime_ns))

    monkeypatch.setattr(info_module.time, "sleep", finish)
    assert look(installed)["versions"][0]["intact"] is True


def test_a_version_that_is_removed_meanwhile_is_not_listed(installed, monkeypatch):
    real = installed_module.read_receipt

    def remove(directory, version):
        shutil.rmtree(os.path.dirname(installed.binary()), ignore_errors=True)
        return real(directory, version)

    monkeypatch.setattr(installed_module, "read_receipt", remove)
    found = look(installed)
    assert found["versions"] == [] and found["unmanaged"] == []


def test_what_is_not_ours_is_named_with_what_it_is(installed):
    base = installed.base_dir
    os.mkdir(os.path.join(base, "1.9.8"))
    with open(os.path.join(base, "1.9.8", "terraform"), "w"):
        pass
    os.mkdir(os.path.join(base, "1.9.7"))
    os.mkdir(os.path.join(base, "backup"))
    os.symlink("1.13.4", os.path.join(base, "1.13.5"))
    os.symlink("1.13.4", os.path.join(base, "current"))
    with open(os.path.join(base, "notes.txt"), "w") as file:
        file.write("x")
    with open(os.path.join(base, "1.13.4", "LICENSE.txt"), "w") as file:
        file.write("xx")
    with open(os.path.join(base, ".terraform-x.lock"), "w"):
        pass
    found = look(installed)
    assert {os.path.relpath(each["path"], base): each["reason"] for each in found["unmanaged"]} == {
        "1.13.5": "a symbolic link",
        "1.9.8": "it has a binary without a receipt, which this module did not install",
        "1.9.7": "it has neither a binary nor a receipt: an installation runs, or was interrupted",
        "backup": "a directory",
        "current": "a symbolic link",
        "notes.txt": "a regular file of 1 bytes",
        "1.13.4/LICENSE.txt": "a regular file of 2 bytes",
        ".terraform-x.lock": "a regular file of 0 bytes",
    }
    assert [each["version"] for each in found["versions"]] == ["1.13.4"]


def test_temporary_files_are_stale_unless_their_lock_is_held(installed):
    path = os.path.join(installed.base_dir, "1.13.4", ".tmp.archive.abcdefgh")
    with open(path, "wb") as file:
        file.write(b"12345")
    found = look(installed)
    assert found["stale_files"] == [{"path": path, "size": 5, "held": False}] and found["unmanaged"] == []
    lock = os.path.join(installed.base_dir, ".terraform-1.13.4.lock")
    with open(lock, "r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = look(installed)
        assert found["stale_files"] == [] and found["unmanaged"] == []
        assert found["locks"] == [{"path": lock, "version": "1.13.4", "held": True}]


def test_lists_and_texts_have_an_end(host, monkeypatch):
    monkeypatch.setattr(info_module, "MANY", 3)
    monkeypatch.setattr(info_module, "LONG", 40)
    os.mkdir(host.base_dir)
    for number in range(5):
        os.mkdir(os.path.join(host.base_dir, "1.0.%d" % number))
        with open(os.path.join(host.base_dir, "1.0.%d" % number, "terraform.json"), "w"):
            pass
        os.mkdir(os.path.join(host.base_dir, "x%d" % number))
    found = look(host)
    assert [each["version"] for each in found["versions"]] == ["1.0.4", "1.0.3", "1.0.2"]
    assert (len(found["unmanaged"]), found["not_listed"]) == (3, 4)
    assert all(len(each["path"]) == 40 and each["path"].endswith("...") for each in found["unmanaged"])
    assert len(found["versions"][0]["reason"]) == 40


def test_a_receipt_that_says_much_is_cut(installed):
    installed.write_receipt(
        links=["/l%d" % number for number in range(100)],
        installed_at="yesterday",
        policy="p" * 2000,
        signed_at=2**32 - 1,
    )
    (found,) = look(installed)["versions"]
    assert len(found["receipt"]["links"]) == 10 and found["installed_at"] is None
    assert (len(found["policy"]), found["signed_at"]) == (1000, "2106-02-07T06:28:15Z")


def test_an_unsafe_ancestor_or_base_dir_is_named(installed):
    assert look(installed)["base_dir_safe"] is True and look(installed)["base_dir_reason"] is None
    for path in (installed.folder, installed.base_dir):
        mode = stat.S_IMODE(os.stat(path).st_mode)
        os.chmod(path, 0o777)
        found = look(installed)
        assert found["base_dir_safe"] is False and found["base_dir_state"] == "present"
        assert "%s can be written by others" % path in found["base_dir_reason"] and len(found["versions"]) == 1
        os.chmod(path, mode)


@as_root
def test_the_owner_asked_for_is_trusted(reachable, installed):
    installed.run(owner="12345")
    assert "belongs to 12345, who could rewrite it" in reason_of(installed)
    for owner in ("12345", " 12345 "):
        assert look(installed, owner=owner)["versions"][0]["intact"] is True
    for owner in ("no-such-user", "", None, "9" * 30):
        assert "belongs to 12345" in reason_of(installed, owner=owner)


@as_root
def test_a_plain_reader_sees_the_same_but_for_locks(reachable, installed):
    mine = look(installed, full=True)
    theirs = as_nobody(lambda: look(installed, full=True))
    assert [lock.pop("held") for lock in mine["locks"] + theirs["locks"]] == [False, None]
    assert theirs == mine


@as_root
@pytest.mark.parametrize("what", ["binary", "version directory", "receipt", "base dir"])
def test_what_a_plain_reader_may_not_read_is_a_null_with_the_reason(reachable, installed, what):
    path = {
        "binary": installed.binary(),
        "receipt": installed.receipt(),
        "version directory": os.path.dirname(installed.binary()),
        "base dir": installed.base_dir,
    }[what]
    os.chmod(path, 0o700)
    found = as_nobody(lambda: look(installed, full=True, links=[installed.at("store", "link")]))
    if what == "base dir":
        assert (found["base_dir_state"], found["base_dir_safe"], found["versions"]) == ("unreadable", None, [])
        assert "Permission denied (EACCES)" in found["base_dir_reason"]
        assert found["links"][0]["kind"] is None and "EACCES" in found["links"][0]["reason"]
        return
    (version,) = found["versions"]
    assert version["intact"] is None and "Permission denied (EACCES)" in version["reason"], version
    assert version["version"] == "1.13.4" and version["path"] == installed.binary()


def test_a_disk_that_cannot_be_read_is_a_null_with_the_reason(installed, monkeypatch):
    def broken(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(installed_module, "hash_of", broken)
    (found,) = look(installed, full=True)["versions"]
    assert found["intact"] is None and "(EIO)" in found["reason"]


# where a link points


def link_at(host, name, target):
    path = host.at(name)
    os.symlink(target, path)
    return path


def test_links_lead_to_versions_or_elsewhere(installed):
    paths = {
        "current": link_at(installed, "current", installed.binary()),
        "relative": link_at(installed, "relative", "store/1.13.4/terraform"),
        "chain": link_at(installed, "chain", "current"),
        "elsewhere": link_at(installed, "elsewhere", "/bin/sh"),
        "removed": link_at(installed, "removed", installed.binary("1.9.8")),
        "receipt": link_at(installed, "receipt", installed.receipt()),
        "loop": link_at(installed, "loop", "loop"),
        "directory": link_at(installed, "directory", "store"),
        "nothing": installed.at("nothing"),
        "far": installed.at("no", "such", "folder"),
        "file": installed.receipt(),
        "folder": installed.base_dir,
    }
    found = dict(zip(paths, look(installed, links=paths.values())["links"]))
    assert [each["path"] for each in found.values()] == list(paths.values())
    shown = {
        name: [each[key] for key in ("kind", "version", "below_base_dir", "dangling")] for name, each in found.items()
    }
    assert shown == {
        "current": ["link", "1.13.4", True, False],
        "relative": ["link", "1.13.4", True, False],
        "chain": ["link", "1.13.4", True, False],
        "elsewhere": ["link", None, False, False],
        "removed": ["link", "1.9.8", True, True],
        "receipt": ["link", None, True, False],
        "loop": ["link", None, False, None],
        "directory": ["link", None, False, False],
        "nothing": ["absent", None, None, None],
        "far": ["absent", None, None, None],
        "file": ["file", None, None, None],
        "folder": ["directory", None, None, None],
    }
    assert found["current"]["target"] == installed.binary() and found["current"]["safe"] is True
    assert "(ELOOP)" in found["loop"]["reason"] and found["removed"]["reason"] is None


@as_root
def test_a_link_that_others_can_switch_is_named(reachable, installed):
    path = link_at(installed, "current", installed.binary())
    os.lchown(path, 12345, 12345)
    (found,) = look(installed, links=[path])["links"]
    assert found["safe"] is False and found["reason"] == "the link belongs to 12345" and found["version"] == "1.13.4"
    os.lchown(path, 0, 0)
    os.chmod(installed.folder, 0o777)
    (found,) = look(installed, links=[path])["links"]
    assert found["safe"] is False and "can be written by others" in found["reason"]


# options


def test_options_are_checked_like_those_of_the_other_module(host):
    with pytest.raises(_errors.RequestError) as caught:
        look(host, base_dir="relative")
    assert str(caught.value).startswith("base_dir 'relative' is not an absolute path")
    with pytest.raises(_errors.RequestError) as caught:
        look(host, links=["/a/../b"])
    assert str(caught.value).startswith("links '/a/../b' is not an absolute path")
    with pytest.raises(_errors.RequestError, match="links has 101 paths, expected at most 100"):
        look(host, links=["/x"] * 101)
    assert look(host, base_dir=host.base_dir + "//.")["base_dir"] == host.base_dir
    assert look(host, links=[" ", ""])["links"] == []
