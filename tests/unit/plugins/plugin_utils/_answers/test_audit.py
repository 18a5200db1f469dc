# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of many hosts: what is a problem and what a notice, hosts against each other, and totals."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers import audit
from support.fleet import BASE, damaged, fleet, info, link, right, version


def judge(answer, look=None, **others):
    """The HostAudit of one host, among others."""
    return {each.host: each for each in audit.audit_hosts(dict(others, web1=(answer, look)))}["web1"]


def test_a_host_that_is_right_is_ok():
    found = judge(info(version("1.13.4"), version("1.13.3"), links=[link("1.13.3")]), right())
    assert (found.status, found.problems, found.notices) == ("ok", (), ())
    assert (found.in_use, found.wanted) == ("1.13.3", "1.13.4")


def test_without_a_link_the_newest_intact_version_is_in_use():
    assert judge(info(damaged("1.14.0"), version("1.13.4"), version("1.9.8"))).in_use == "1.13.4"
    absent = link("1.9.8", kind="absent", target=None, version=None, dangling=None)
    assert judge(info(version("1.13.4"), links=[absent])).in_use == "1.13.4"
    elsewhere = link("1.9.8", target="/usr/bin/x", version=None, below_base_dir=False)
    assert judge(info(version("1.13.4"), links=[elsewhere])).in_use is None
    assert judge(info(base_dir_state="absent", base_dir_safe=None)).in_use is None


PROBLEMS = {
    "not intact": (info(damaged("1.13.4")), None, "1.13.4 is not intact: it is missing"),
    "unknown": (
        info(version("1.13.4", intact=None, reason="denied")),
        None,
        "1.13.4 is not known to be intact: denied",
    ),
    "base dir unsafe": (info(base_dir_safe=False, base_dir_reason="/opt can be written"), None, "/opt can be written"),
    "base dir unsafe, no reason": (info(base_dir_safe=False), None, BASE + " is not safe"),
    "base dir unreadable": (
        info(base_dir_state="unreadable", base_dir_safe=None, base_dir_reason="denied"),
        None,
        "denied",
    ),
    "dangling": (
        info(links=[link("1.9.8", dangling=True)]),
        None,
        "/usr/local/bin/terraform points to /opt/store/1.9.8/terraform, which does not exist",
    ),
    "link unsafe": (
        info(links=[link("1.9.8", safe=False, reason="it belongs to bob")]),
        None,
        "/usr/local/bin/terraform: it belongs to bob",
    ),
    "link unreadable": (
        info(links=[link("1.9.8", kind=None, safe=None, dangling=None, reason="denied")]),
        None,
        "/usr/local/bin/terraform: denied",
    ),
    "would change": (info(), dict(right(), changed=True, msg="would be installed"), "would be installed"),
    "look failed": (info(), {"failed": False, "error": {}, "msg": "refused"}, "refused"),
    "look failed by core": (info(), {"failed": True, "msg": "no python"}, "no python"),
    "look unreachable": (info(), {"unreachable": True, "msg": "gone now"}, "gone now"),
    "info failed": ({"failed": False, "error": {"step": "setup"}, "msg": "no python"}, None, "no python"),
    "info failed by core": ({"failed": True, "msg": "bad"}, None, "bad"),
    "a lie": (info(version("1.13.4", path="/evil")), None, "web1 answered what this module does not say"),
    "a lie about the rest": (info(), dict(right(), changed="no"), "web1 answered what this module does not say"),
    "no mapping": ("x", None, "web1 answered what this module does not say"),
}


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_what_is_wrong_is_a_problem(name):
    answer, look, words = PROBLEMS[name]
    found = judge(answer, look)
    assert found.status == "problem" and len(found.problems) == 1 and found.problems[0].startswith(words), found


@pytest.mark.parametrize("answer", [None, {"unreachable": True, "msg": "no\nroute \x1b"}, {"unreachable": True}])
def test_a_host_that_did_not_answer_is_a_row(answer):
    found = judge(answer, right())
    words = "no route ?" if answer and "msg" in answer else "it did not answer, or was not looked at"
    assert (found.status, found.problems, found.info) == ("unreachable", (words.strip(),), None)


NOTICES = {
    "unsigned": (
        info(version("1.13.4", policy="pinned", signer=None)),
        "1.13.4 was not verified by a signature, but by",
    ),
    "policy unknown": (info(version("1.13.4", policy=None)), "by policy unknown"),
    "not managed": (info(unmanaged=[{"path": "/x", "reason": "y"}]), "1 entry is not managed"),
    "stale": (info(stale_files=[{"path": "/x", "size": 1, "held": False}] * 2), "2 stale temporary files"),
    "cut": (info(not_listed=3), "3 entries are not listed"),
    "a file for a link": (
        info(links=[link("1.9.8", kind="file", target=None, version=None)]),
        "/usr/local/bin/terraform is no link to a version",
    ),
}


@pytest.mark.parametrize("name", sorted(NOTICES))
def test_what_deserves_a_look_is_a_notice(name):
    answer, words = NOTICES[name]
    found = judge(answer)
    assert found.status == "notice" and not found.problems and len(found.notices) == 1
    assert words in found.notices[0]


def test_a_binary_that_other_hosts_have_otherwise_is_a_problem():
    odd = info(version("1.13.4", sha256="f" * 64))
    others = {"web%d" % number: (info(version("1.13.4")), None) for number in (2, 3)}
    found = {each.host: each for each in audit.audit_hosts(dict(others, web1=(odd, None)))}
    assert found["web1"].problems == (
        "1.13.4 (linux_amd64) has sha256 ffffffffffff..., 2 other hosts have another one",
    )
    assert found["web2"].status == found["web3"].status == "ok"


def test_of_two_hosts_that_differ_none_is_right():
    odd = info(version("1.13.4", sha256="f" * 64))
    found = audit.audit_hosts({"a": (odd, None), "b": (info(version("1.13.4")), None)})
    assert [each.status for each in found] == ["problem", "problem"]
    assert found[1].problems[0].endswith("1 other host has another one")


def test_platforms_versions_and_what_is_not_intact_are_not_compared():
    other = info(version("1.13.4", platform="linux_arm64", sha256="f" * 64))
    broken = info(version("1.13.4", intact=False, reason="x", sha256="e" * 64))
    found = audit.audit_hosts({"a": (other, None), "b": (info(version("1.13.4")), None), "c": (broken, None)})
    assert [each.status for each in found] == ["ok", "ok", "problem"] and len(found[2].problems) == 1


def test_totals_are_those_of_the_hosts():
    answers = fleet(100)
    report = audit.make_report(audit.audit_hosts(answers), "2026-11-30T00:00:00Z", "0.1.0")
    assert report["totals"] == {"hosts": 100, "ok": 68, "notice": 10, "problem": 20, "unreachable": 2}
    statuses = [each["status"] for each in report["hosts"]]
    assert {name: statuses.count(name) for name in audit.STATUSES} == {
        name: report["totals"][name] for name in audit.STATUSES
    }
    assert [each["host"] for each in report["hosts"]] == sorted(answers)
    newest = report["versions"][0]
    assert newest == {"version": "1.13.4", "hosts": 98, "in_use": 73, "not_intact": 0, "unsigned": 0}
    assert [each["version"] for each in report["versions"]] == ["1.13.4", "1.12.2", "1.12.1", "1.12.0"]
    assert sum(each["not_intact"] for each in report["versions"]) == 10
    assert report["wanted"] == "1.13.4"


def test_a_fleet_that_differs_in_what_it_wants_wants_nothing_as_a_whole():
    found = audit.audit_hosts({"a": (info(), right("1.13.4")), "b": (info(), right("1.13.3"))})
    assert audit.make_report(found, "2026-11-30T00:00:00Z", "0.1.0")["wanted"] is None
