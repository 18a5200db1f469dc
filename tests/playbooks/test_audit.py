# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped playbook audit by name: hosts of each kind, one that cannot be reached, and the report about them."""

import csv
import json
import os
import re

import pytest
from file_snapshots import look
from playbook_run import VERSION, task

JUDGE, FAIL = "Judge all hosts, and write the report", "Fail where something is wrong or would change"
FILES = ["terraform-audit.csv", "terraform-audit.html", "terraform-audit.json"]
HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMA = os.path.join(HERE, "..", "..", "roles", "terraform_binary", "files", "terraform-audit.schema.json")


@pytest.fixture(scope="module")
def fleet(play, tasks, module_site, folder):
    """The hosts, each with a store: dict of name and variables."""
    found = {}
    for name, version in (("good", VERSION), ("old", "1.13.3"), ("damaged", VERSION), ("odd", VERSION), ("new", None)):
        store, link = os.path.join(folder, name), os.path.join(folder, name + "-link")
        if version:
            run = tasks([task("install", module_site, store, version=version, link=link)])
            assert run["install"]["changed"], run.lines
        found[name] = {
            "terraform_binary_version": VERSION,
            "terraform_binary_base_dir": store,
            "terraform_binary_link": link,
            "terraform_binary_sites": [module_site.url],
            "terraform_binary_trusted_keys": [module_site.key.armored],
            "terraform_binary_retries": 1,
        }
    with open(os.path.join(folder, "damaged", VERSION, "terraform"), "r+b") as file:
        file.truncate(10)
    with open(os.path.join(folder, "good", "notes <b>.txt"), "w", encoding="ascii"):
        pass
    script = os.path.join(folder, "no-ssh")
    with open(script, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\necho '<script>alert(1)</script>' >&2\nexit 255\n")
    os.chmod(script, 0o755)
    found["dead"] = {
        "ansible_connection": "ansible.builtin.ssh",
        "ansible_ssh_executable": script,
        "ansible_ssh_retries": 0,
    }
    found["odd"]["terraform_binary_vresion"] = "x"  # no variable of the role
    return found


@pytest.fixture(scope="module")
def audited(play, fleet, folder):
    """The run with a report, and what the stores were before."""
    before = {name: look(os.path.join(folder, name)) for name in fleet}
    run = play(
        "iac_platform.terraform.audit",
        hosts=fleet,
        extra_vars={"terraform_binary_audit_dest": os.path.join(folder, "reports", "today")},
    )
    return run, before


@pytest.fixture(scope="module")
def report(audited, folder):
    with open(os.path.join(folder, "reports", "today", "terraform-audit.json"), encoding="utf-8") as file:
        return json.load(file)


def test_the_audit_changes_no_host(audited, fleet, folder):
    run, before = audited
    assert {name: look(os.path.join(folder, name)) for name in fleet} == before
    assert not [line for line in run.lines if line["result"]["changed"] and line["task"] != "See what would change"]


def test_every_host_is_a_row_also_one_that_cannot_be_reached(report):
    hosts = {each["host"]: each for each in report["hosts"]}
    assert {name: each["status"] for name, each in hosts.items()} == {
        "good": "notice",
        "old": "problem",
        "damaged": "problem",
        "odd": "problem",
        "new": "problem",
        "dead": "unreachable",
    }
    assert report["totals"] == {"hosts": 6, "ok": 0, "notice": 1, "problem": 4, "unreachable": 1}
    assert hosts["good"]["notices"] == ["1 entry is not managed"] and hosts["good"]["in_use"] == VERSION
    assert "would be installed" in hosts["old"]["problems"][0] and hosts["old"]["in_use"] == "1.13.3"
    assert any("has 10 bytes, expected" in line for line in hosts["damaged"]["problems"])
    assert "terraform_binary_vresion is no variable" in hosts["odd"]["problems"][0]
    assert hosts["dead"]["info"] is None and "<script>alert(1)</script>" in hosts["dead"]["problems"][0]
    assert [(each["version"], each["hosts"], each["not_intact"]) for each in report["versions"]] == [
        (VERSION, 3, 1),
        ("1.13.3", 1, 0),
    ]
    assert report["wanted"] == VERSION


def test_hosts_with_a_problem_fail_with_what_it_is(audited, report):
    run = audited[0]
    assert run.returncode == 2
    failed = {line["host"]: line["result"]["msg"] for line in run.lines if line["status"] == "failed"}
    assert failed == {
        each["host"]: "; ".join(each["problems"])
        for each in report["hosts"]
        if each["status"] in ("problem", "unreachable")
    }
    assert {line["task"] for line in run.lines if line["status"] == "failed"} == {FAIL}
    judged = run[JUDGE]
    assert judged["msg"].startswith("6 hosts: 0 ok, 1 with notices, 4 with problems, 1 unreachable; see /")
    assert "terraform_binary_audit: %s" % judged["msg"] in run.stderr
    assert sorted(map(os.path.basename, judged["paths"])) == FILES


def test_the_files_agree_and_the_json_has_the_form_that_is_published(report, folder):
    jsonschema = pytest.importorskip("jsonschema")
    with open(SCHEMA, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(report)
    place = os.path.join(folder, "reports", "today")
    assert sorted(os.listdir(place)) == FILES
    with open(os.path.join(place, "terraform-audit.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["host"], row["status"], row["version"]) for row in rows] == [
        (each["host"], each["status"], version["version"] if version else "")
        for each in report["hosts"]
        for version in (each["info"] or {}).get("versions") or [None]
    ]
    with open(os.path.join(place, "terraform-audit.html"), encoding="utf-8") as file:
        html = file.read()
    assert re.findall(r'<dd id="total-(\w+)">(\d+)</dd>', html) == [
        (name, str(report["totals"][name])) for name in ("hosts", "ok", "notice", "problem", "unreachable")
    ]
    assert "&lt;script&gt;alert(1)" in html and "<script>alert" not in html and "notes &lt;b&gt;.txt" in html


@pytest.fixture(scope="module", params=["no", False], ids=["survey", "playbook"])
def only_reported(request, play, fleet, folder):
    """Without a version, without failing, and without a directory for the report; blank answers count as none."""
    hosts = {name: dict(fleet[name], terraform_binary_version="") for name in ("old", "damaged", "dead")}
    return play(
        "iac_platform.terraform.audit",
        hosts=hosts,
        extra_vars={"terraform_binary_audit_dest": "", "terraform_binary_audit_fail": request.param},
    )


def test_without_a_version_only_what_is_there_counts(only_reported):
    judged = only_reported[JUDGE]
    assert set(judged["problems"]) == {"damaged", "dead"} and judged["paths"] == []
    assert only_reported.status("See what would change") == "skipped"


def test_an_audit_that_only_reports_fails_nobody(only_reported):
    assert only_reported.returncode == 0, only_reported.output
    assert not [line for line in only_reported.lines if line["status"] == "failed"]


def test_a_report_that_cannot_be_written_is_an_error(play, fleet, folder):
    blocked = os.path.join(folder, "blocked")
    with open(blocked, "w", encoding="ascii"):
        pass
    run = play(
        "iac_platform.terraform.audit",
        hosts={"old": fleet["old"]},
        extra_vars={"terraform_binary_audit_dest": blocked, "terraform_binary_version": ""},
    )
    result = run[JUDGE]
    assert result["failed"] and result["msg"].startswith("controller: write %s/terraform-audit.html: " % blocked)
    assert "terraform_binary_audit_dest" in result["error"]["hint"] and run.returncode == 2


def test_batches_cannot_be_judged_together(play, fleet):
    """With ``serial``, the last batch would say that the earlier ones could not be reached, and overwrite their report."""
    steps = [
        {"ansible.builtin.include_role": {"name": "iac_platform.terraform.terraform_binary", "tasks_from": "audit"}}
    ]
    hosts = {name: fleet[name] for name in ("good", "old", "damaged")}
    run = play(steps, hosts=hosts, keywords={"serial": 2})
    result = run[JUDGE]
    assert result["failed"] and "the play has serial, and this batch 2 of 3 hosts" in result["msg"], result
    assert run.returncode == 2 and "damaged" not in run.on_hosts(JUDGE)
    whole = play(steps, hosts=hosts, keywords={"serial": 3})
    assert not whole[JUDGE]["failed"] and set(whole[JUDGE]["problems"]) == {"old", "damaged"}
