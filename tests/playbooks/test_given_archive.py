# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that is on the host already: verified by what lies beside it, and no site is asked."""

import json
import os
import shutil

import pytest
from file_snapshots import names
from playbook_run import VERSION, task_args

ORIGIN = "the depot in Linz"
SUMS = "terraform_%s_SHA256SUMS" % VERSION


@pytest.fixture(scope="module")
def archive_name(host_platform):
    return "terraform_%s_%s.zip" % (VERSION, host_platform)


@pytest.fixture(scope="module")
def given(tasks, module_site, folder, archive_name, host_platform):
    """Folders with an archive and more or less beside it: what comes of each, and of some in check mode."""

    def incoming(name, *beside, damage=False):
        target = os.path.join(folder, "incoming-" + name)
        os.mkdir(target)
        for part in (archive_name,) + beside:
            shutil.copy(os.path.join(folder, "site", "terraform", VERSION, part), target)
        if damage:
            with open(os.path.join(target, archive_name), "ab") as file:
                file.write(b"\0")
        return {"archive": os.path.join(target, archive_name)}

    module_site.write(os.path.join(folder, "site"))
    digest = module_site.release(VERSION).digest(host_platform)
    whole = incoming("whole", SUMS, SUMS + ".sig")
    cases = {
        "signature": dict(whole, origin=ORIGIN),
        "sums": dict(incoming("sums", SUMS), checksum_policy="sha256sums"),
        "pinned": dict(incoming("pinned"), checksum_policy="pinned", checksum=digest),
        "lacks-sums": incoming("lacks-sums", SUMS + ".sig"),
        "lacks-signature": incoming("lacks-signature", SUMS),
        "lacks-sums-2": dict(incoming("lacks-sums-2"), checksum_policy="sha256sums"),
        "other-pin": dict(whole, checksum_policy="pinned", checksum="2" * 64),
        "damaged": incoming("damaged", SUMS, SUMS + ".sig", damage=True),
        "not-there": {"archive": os.path.join(folder, "none.zip"), "checksum_policy": "pinned", "checksum": digest},
        "a-directory": {"archive": folder, "checksum_policy": "pinned", "checksum": digest},
        "relative": {"archive": archive_name},
    }
    args_by_host = {
        name: task_args(module_site, os.path.join(folder, "stores", name), **options) for name, options in cases.items()
    }
    os.mkdir(os.path.join(folder, "stores"))
    module_site.requests.clear()
    checked = ("signature", "lacks-sums", "lacks-signature", "damaged")
    check = tasks.each({name: args_by_host[name] for name in checked}, check=True).each
    left = names(os.path.join(folder, "stores"))
    results = tasks.each(args_by_host).each
    shutil.rmtree(os.path.join(folder, "incoming-whole"))
    again = tasks.each({"signature": args_by_host["signature"]}).each["signature"]
    return {
        "results": results,
        "check": check,
        "left": left,
        "again": again,
        "requests": module_site.counts().requests,
        "args": args_by_host,
    }


@pytest.mark.parametrize("name,policy", [("signature", "signature"), ("sums", "sha256sums"), ("pinned", "pinned")])
def test_it_is_installed_by_what_lies_beside_it(name, policy, given, module_site, host_platform):
    result = given["results"][name]
    assert result["changed"] and not result["failed"], result
    assert result["downloaded_bytes"] == 0 and result["needs_archive"]
    assert result["archive_sha256"] == module_site.release(VERSION).digest(host_platform)
    signer = module_site.key.fingerprint if policy == "signature" else None
    assert (result["verification"]["policy"], result["verification"]["signer"]) == (policy, signer)
    archive = given["args"][name]["archive"]
    assert any("from %s to " % archive in step for step in result["steps"]), result["steps"]


def test_the_origin_is_recorded(given):
    with open(given["results"]["signature"]["path"] + ".json", encoding="ascii") as file:
        assert json.load(file)["origin"] == ORIGIN
    assert given["results"]["signature"]["verification"]["site"] == ORIGIN
    assert given["results"]["sums"]["verification"]["site"] == given["args"]["sums"]["archive"]


def test_no_site_is_asked(given):
    assert given["requests"] == 0


def test_an_unchanged_run_does_not_need_the_archive_any_more(given):
    assert not given["again"]["changed"] and not given["again"]["failed"], given["again"]


@pytest.mark.parametrize(
    "name,missing", [("lacks-sums", SUMS), ("lacks-signature", SUMS + ".sig"), ("lacks-sums-2", SUMS)]
)
def test_what_is_missing_beside_it_is_named(name, missing, given):
    path = os.path.join(os.path.dirname(given["args"][name]["archive"]), missing)
    result = given["results"][name]
    assert result["failed"] and not result["changed"], result
    assert (result["error"]["step"], result["error"]["path"]) == ("request", path)
    assert path in result["msg"] and "ENOENT" in result["msg"] and "beside the archive" in result["error"]["hint"]
    if name in given["check"]:  # a task before this one may copy it
        predicted = given["check"][name]
        assert predicted["changed"] and not predicted["failed"] and predicted["verification"] is None, predicted
        assert any(path in warning for warning in predicted["warnings"]), predicted


@pytest.mark.parametrize(
    "name,step,words",
    [
        ("other-pin", "verify", "2" * 12),
        ("damaged", "verify", "expected"),
        ("not-there", "request", "none.zip"),
        ("a-directory", "request", "not a regular file"),
        ("relative", "request", "absolute"),
    ],
)
def test_a_wrong_archive_is_refused_by_its_path(name, step, words, given, folder):
    result = given["results"][name]
    assert result["failed"] and not result["changed"], result
    assert result["error"]["step"] == step and words in result["msg"]
    assert given["args"][name]["archive"] in result["msg"]
    left = set(names(os.path.join(folder, "stores", name)))
    assert left <= {".terraform-%s.lock" % VERSION, "%s/" % VERSION}


def test_check_mode_finds_a_damaged_archive_beside_good_verification_files(given):
    assert given["check"]["damaged"]["msg"] == given["results"]["damaged"]["msg"]


def test_check_mode_verifies_what_lies_beside_it_and_creates_nothing(given, module_site):
    result = given["check"]["signature"]
    assert result["changed"] and result["needs_archive"] and not result["failed"], result
    assert result["verification"]["signer"] == module_site.key.fingerprint
    assert given["left"] == []
