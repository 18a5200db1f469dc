# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store that is in order for one request is checked anew for another: what was accepted once does not count for ever."""

import json
import os

import pytest
from file_snapshots import look
from playbook_run import VERSION, task_args


@pytest.fixture(scope="module")
def stores(tasks, module_site, folder, host_platform):
    """One store by the policy ``signature``, one by ``pinned`` and one by ``sha256sums``."""
    digest = module_site.release(VERSION).digest(host_platform)
    args_by_host = {"signature": {}, "pinned": {"checksum": digest}, "sha256sums": {}}
    stores = {policy: os.path.join(folder, policy) for policy in args_by_host}
    installed = tasks.each(
        {
            policy: task_args(module_site, stores[policy], checksum_policy=policy, **options)
            for policy, options in args_by_host.items()
        }
    ).each
    assert all(result["changed"] for result in installed.values()), installed
    return stores


@pytest.fixture(scope="module")
def checked(tasks, module_site, stores, untrusted_key, host_platform):
    """Other requests for these stores, in check mode: dict of name and result."""
    digest = module_site.release(VERSION).digest(host_platform)
    args_by_host = {
        "weaker-sha256sums": ("signature", {"checksum_policy": "sha256sums"}),
        "weaker-pinned": ("signature", {"checksum_policy": "pinned", "checksum": digest}),
        "same-pin": ("signature", {"checksum": "sha256:" + digest.upper()}),
        "same-pin-as-lines": ("signature", {"checksum": module_site.release(VERSION).sums.decode()}),
        "both-keys": ("signature", {"trusted_keys": [untrusted_key.armored, module_site.key.armored]}),
        "stronger-than-pinned": ("pinned", {"checksum_policy": "sha256sums"}),
        "stronger-than-sums": ("sha256sums", {}),
        "strongest": ("pinned", {}),
        "other-pin": ("signature", {"checksum": "1" * 64}),
        "other-pin-pinned": ("pinned", {"checksum_policy": "pinned", "checksum": "1" * 64}),
        "other-key": ("signature", {"trusted_keys": [untrusted_key.armored]}),
        "other-platform": ("signature", {"platform": "darwin_arm64"}),
        "other-mode": ("signature", {"mode": "0555"}),
        "without-run-check": ("signature", {"run_check": False}),
        "by-its-receipt": ("signature", {"verify": "receipt"}),
    }
    asked = {name: task_args(module_site, stores[store], **options) for name, (store, options) in args_by_host.items()}
    return tasks.each(asked, check=True).each


@pytest.mark.parametrize(
    "name",
    [
        "weaker-sha256sums",
        "weaker-pinned",
        "same-pin",
        "same-pin-as-lines",
        "both-keys",
        "without-run-check",
        "by-its-receipt",
    ],
)
def test_what_the_store_already_is_stays_unchanged(name, checked):
    assert not checked[name]["changed"] and not checked[name]["failed"], checked[name]


def test_how_it_was_checked_is_reported(checked):
    assert "(hashed)" in checked["same-pin"]["steps"][0]
    assert "(by its receipt)" in checked["by-its-receipt"]["steps"][0]


@pytest.mark.parametrize(
    "name,archive",
    [
        ("stronger-than-pinned", True),
        ("stronger-than-sums", True),
        ("strongest", True),
        ("other-mode", False),
        ("other-pin-pinned", True),
    ],
)
def test_a_stronger_request_would_change_it(name, archive, checked):
    assert checked[name]["changed"] and not checked[name]["failed"], checked[name]
    assert checked[name]["needs_archive"] is archive


@pytest.mark.parametrize(
    "name,step,words",
    [
        ("other-pin", "verify", "1" * 12),
        ("other-key", "verify", "signature"),
        ("other-platform", "request", "one base_dir holds one platform"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(name, step, words, checked):
    result = checked[name]
    assert result["failed"] and not result["changed"], result
    assert result["error"]["step"] == step and words in result["msg"]


@pytest.fixture(scope="module")
def done(tasks, module_site, stores, untrusted_key, folder, checked):
    """What cannot be met, what needs new verification files only, and a binary for another platform; the latter twice."""
    good = os.path.join(stores["signature"], VERSION)
    binary = os.path.join(stores["pinned"], VERSION, "terraform")
    args_by_host = {
        "strongest": task_args(module_site, stores["pinned"]),
        "windows": task_args(module_site, os.path.join(folder, "windows"), platform="windows_amd64"),
    }
    refused = {
        "other-pin": task_args(module_site, stores["signature"], checksum="1" * 64),
        "other-key": task_args(module_site, stores["signature"], trusted_keys=[untrusted_key.armored]),
        "other-platform": task_args(module_site, stores["signature"], platform="darwin_arm64"),
    }
    before = {name: entry for name, entry in look(good).items() if name != "."}
    file_before = os.stat(binary)
    module_site.requests.clear()
    first = tasks.each(dict(args_by_host, **refused)).each
    zips = module_site.counts("%s.zip" % first["strongest"]["platform"]).requests
    same = {name: entry for name, entry in look(good).items() if name != "."} == before
    return {
        "first": first,
        "second": tasks.each(args_by_host).each,
        "refused": refused,
        "same": same,
        "zips": zips,
        "binary": binary,
        "file": (file_before, os.stat(binary)),
    }


def test_a_refused_request_leaves_the_store_as_it_was(done):
    assert all(done["first"][name]["failed"] and not done["first"][name]["changed"] for name in done["refused"])
    assert done["same"]


def test_only_the_verification_files_are_fetched_when_only_they_are_missing(done, module_site):
    """The stronger policy is met without the archive: the receipt says so afterwards, the binary is the same file."""
    first, second = done["first"]["strongest"], done["second"]["strongest"]
    assert first["changed"] and not first["failed"], first
    assert not second["changed"] and not second["failed"], second
    assert first["verification"]["policy"] == "signature"
    assert first["verification"]["signer"] == module_site.key.fingerprint
    assert done["zips"] == 0
    with open(done["binary"] + ".json", encoding="ascii") as file:
        assert json.load(file)["policy"] == "signature"
    before, after = done["file"]
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_binary_for_another_platform_is_installed_and_not_run(done):
    first, second = done["first"]["windows"], done["second"]["windows"]
    assert first["changed"] and first["platform"] == "windows_amd64", first
    assert [step for step in first["steps"] if "run check" in step] == [
        "target: run check skipped: %s is for windows_amd64, another platform" % first["path"]
    ]
    assert not second["changed"] and not second["failed"], second
