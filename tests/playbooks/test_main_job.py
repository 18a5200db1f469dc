# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job: install, find all in order, notice damage, repair it."""

import os
import subprocess

import pytest
from file_snapshots import DAMAGES, hash_of, look, names
from playbook_run import VERSION, task, task_args

# What of a damage can be repaired without the archive.
WITHOUT_ARCHIVE = {"mode-changed"}
STORE = [".terraform-%s.lock" % VERSION, "%s/" % VERSION, "%s/terraform" % VERSION, "%s/terraform.json" % VERSION]


@pytest.fixture(scope="module")
def first(play, module_site, folder):
    """Check mode, then an install with a link, with what was asked of the site each time."""
    store, link = os.path.join(folder, "first", "store"), os.path.join(folder, "first", "bin", "terraform")
    result = {"store": store, "link": link}
    for name, check in (("check", True), ("install", False)):
        assert names(os.path.join(folder, "first")) == []
        module_site.requests.clear()
        result[name] = play([task(name, module_site, store, link=link)], check=check)[name]
        result["asked of " + name] = module_site.counts()
    return result


@pytest.fixture(scope="module")
def again(play, module_site, first):
    """Two more runs, the second with the site switched off."""
    before = look(os.path.dirname(first["store"]))
    asked = module_site.counts().requests
    on = play([task("again", module_site, first["store"], link=first["link"])])["again"]
    requests = module_site.counts().requests - asked
    module_site.stop()
    off = play([task("again", module_site, first["store"], link=first["link"])])["again"]
    module_site.start()
    return {"on": on, "off": off, "requests": requests, "same": look(os.path.dirname(first["store"])) == before}


def test_the_first_run_installs(first, module_site, host_platform):
    result, release = first["install"], module_site.release(VERSION)
    binary = os.path.join(first["store"], VERSION, "terraform")
    assert result["changed"] and not result["failed"]
    assert names(first["store"]) == [".terraform-%s.lock" % VERSION, ".terraform-link.lock"] + STORE[1:]
    assert (result["path"], result["version"], result["platform"]) == (binary, VERSION, host_platform)
    assert result["binary_sha256"] == hash_of(binary)
    assert result["archive_sha256"] == release.digest(host_platform)
    assert result["size"] == os.path.getsize(binary)
    assert (result["link"], os.readlink(first["link"]), result["previous_version"]) == (first["link"], binary, None)
    assert result["verification"] == {
        "policy": "signature",
        "signer": module_site.key.fingerprint,
        "signed_at": "2025-01-01T00:00:00Z",
        "site": module_site.url,
    }
    assert result["downloaded_bytes"] == first["asked of install"].bytes > len(release.archives[host_platform])
    assert os.access(binary, os.X_OK) and os.stat(binary).st_mode & 0o7777 == 0o755


def test_the_binary_runs_through_the_link(first):
    assert subprocess.check_output([first["link"], "version"]).startswith(b"Terraform v" + VERSION.encode())


def test_check_mode_foresaw_it(first):
    predicted, done = first["check"], first["install"]
    assert predicted["changed"] and predicted["needs_archive"] and not predicted["failed"]
    for key in (
        "version",
        "requested",
        "path",
        "link",
        "previous_version",
        "base_dir",
        "platform",
        "archive_sha256",
        "verification",
    ):
        assert predicted[key] == done[key], key
    assert predicted["binary_sha256"] is None and predicted["size"] is None  # what cannot be known
    assert all(
        "would" in step for step in predicted["steps"] if "received" not in step and "signature good" not in step
    )
    assert "would" in predicted["msg"] and "would" not in done["msg"]


def test_check_mode_fetches_sums_and_signature_and_the_install_one_archive_more(first):
    assert (first["asked of check"].requests, first["asked of install"].requests) == (2, 3)


@pytest.mark.parametrize("site_is", ["on", "off"])
def test_the_next_run_changes_nothing(again, first, site_is):
    result = again[site_is]
    assert not result["changed"] and not result["failed"], result
    assert 1 <= len(result["steps"]) <= 2, result["steps"]
    assert first["install"]["binary_sha256"] in result["steps"][0]
    assert result["downloaded_bytes"] == 0 and result["needs_archive"] is False
    for key in ("version", "path", "binary_sha256", "archive_sha256", "size", "verification"):
        assert result[key] == first["install"][key], key
    assert result["previous_version"] == VERSION


def test_the_next_run_asks_nobody_and_writes_nothing(again):
    assert again["requests"] == 0
    assert again["same"]


@pytest.fixture(scope="module")
def damaged(tasks, module_site, folder):
    """A store for each damage, installed, damaged, checked, repaired, and looked at again."""
    stores = {name: os.path.join(folder, name) for name in DAMAGES}
    args_by_host = {name: task_args(module_site, store) for name, store in stores.items()}
    installed = tasks.each(args_by_host).each
    for name, damage in DAMAGES.items():
        damage(os.path.join(stores[name], VERSION, "terraform"))
    before = {name: look(store) for name, store in stores.items()}
    asked = module_site.counts(".zip").requests
    check = tasks.each(args_by_host, check=True).each
    untouched = {name: look(store) == before[name] for name, store in stores.items()}
    checked = module_site.counts(".zip").requests - asked
    return {
        "stores": stores,
        "installed": installed,
        "check": check,
        "untouched": untouched,
        "zips_of_check": checked,
        "repair": tasks.each(args_by_host).each,
        "zips": module_site.counts(".zip").requests - asked,
        "again": tasks.each(args_by_host, check=True).each,
    }


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_check_mode_sees_the_damage_and_writes_nothing(name, damaged):
    result = damaged["check"][name]
    assert result["changed"] and not result["failed"], result
    assert result["needs_archive"] is (name not in WITHOUT_ARCHIVE)
    assert damaged["untouched"][name]


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_the_damage_is_repaired(name, damaged):
    result, binary = damaged["repair"][name], os.path.join(damaged["stores"][name], VERSION, "terraform")
    assert result["changed"] and not result["failed"], result
    assert result["binary_sha256"] == damaged["installed"][name]["binary_sha256"] == hash_of(binary)
    assert not os.path.islink(binary) and os.stat(binary).st_mode & 0o7777 == 0o755
    aside = ["%s/terraform.aside" % VERSION] if name == "replaced-by-a-link" else []
    assert names(damaged["stores"][name]) == sorted(STORE + aside)
    assert not damaged["again"][name]["changed"], damaged["again"][name]["msg"]


@pytest.mark.parametrize(
    "name,words",
    [
        ("bit-flipped", "has sha256"),
        ("truncated", "bytes, expected"),
        ("emptied", "has 0 bytes, expected"),
        ("mode-changed", "mode 0644, expected 0755"),
        ("deleted", "is missing"),
        ("receipt-broken", "is not JSON"),
        ("receipt-deleted", "terraform.json is missing"),
        ("replaced-by-a-link", "not a regular file (lrwxrwxrwx)"),
    ],
)
def test_the_reason_is_reported(name, words, damaged):
    binary = os.path.join(damaged["stores"][name], VERSION, "terraform")
    for when in ("check", "repair"):
        reported = [step for step in damaged[when][name]["steps"] if words in step and binary in step]
        assert reported, damaged[when][name]["steps"]


def test_what_can_be_repaired_without_the_archive_is(damaged):
    assert damaged["zips_of_check"] == 0
    assert damaged["zips"] == 1  # for all hosts whose binary could not be repaired without it
    assert [name for name, result in damaged["repair"].items() if not result["needs_archive"]] == sorted(
        WITHOUT_ARCHIVE
    )


def test_a_playbook_notices_a_damage_and_repairs_it(play, module_site, tmp_path):
    step = task("install", module_site, tmp_path)
    installed = play([step])["install"]
    DAMAGES["bit-flipped"](installed["path"])
    check = play([step], check=True)["install"]
    assert check["changed"] and hash_of(installed["path"]) != installed["binary_sha256"], check
    assert play([step])["install"]["changed"] and hash_of(installed["path"]) == installed["binary_sha256"]
