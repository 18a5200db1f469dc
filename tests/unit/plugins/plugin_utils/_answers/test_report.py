# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's files: nothing that a host says becomes markup, script, or a formula, and they all say the same."""

import csv
import html.parser
import io
import json

import pytest

report_module = pytest.importorskip("ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers.report")

from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers import (  # noqa: E402  pylint: disable=wrong-import-position
    audit,
)
from support.fleet import BASE, fleet, info, link, right, version  # noqa: E402  pylint: disable=wrong-import-position

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload='x' {{ 7 * 7 }} <!--"


def make(answers):
    return audit.make_report(audit.audit_hosts(answers), "2026-11-30T00:00:00Z", "0.1.0")


class Elements(html.parser.HTMLParser):
    """The elements of a document with their attributes, its text, and its identifiers."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.ids, self.text = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.text.append(data)


def hostile():
    """Every text of a host is an attack."""
    texts = ("owner", "group", "platform", "policy", "signer", "site", "run_check", "collection", "mode")
    bad = version("1.13.4", intact=False, reason=EVIL, **dict.fromkeys(texts, EVIL))
    bad["receipt"]["links"] = ["/" + EVIL]
    return info(
        bad,
        msg=EVIL,
        base_dir_safe=False,
        base_dir_reason=EVIL,
        unmanaged=[{"path": BASE + "/" + EVIL, "reason": EVIL}],
        stale_files=[{"path": BASE + "/" + EVIL, "size": 1, "held": None}],
        locks=[{"path": BASE + "/" + EVIL, "version": EVIL, "held": None}],
        links=[link("1.13.4", target=EVIL, reason=EVIL, safe=False)],
        warnings=[EVIL],
    )


@pytest.mark.parametrize("there", [[], ["1.9.8"]])
def test_a_link_to_a_version_that_is_not_listed_is_no_end_of_the_report(there):
    """Its directory is gone, or its binary has no receipt: what an audit is for."""
    answers = {"web1": (info(*map(version, there), links=[link("1.13.4", dangling=True)]), None)}
    assert "1.13.4" in report_module.render_html(make(answers))


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@x",
        "\t=1",
        "gone;=1+1",
        "gone; =1+1",
        "a|=1",
        "a,@x",
        "\uff1d1",
        "a;\uff0b1",
        " =1",
        'x;"=1";y',
        "x|'@1'",
    ],
)
def test_no_cell_begins_like_a_formula_whatever_separates_cells(text):
    shown = report_module._cell(text)
    for separator in ",;|\t":
        for cell in shown.split(separator):
            begin = cell.strip(' "')[:1]
            assert not begin or begin not in "=+-@\uff1d\uff0b\uff0d\uff20", (separator, shown)


def test_no_text_of_a_host_becomes_markup():
    evil = Elements(
        report_module.render_html(
            make(
                {
                    "web1" + EVIL: (hostile(), dict(right(EVIL), changed=True, msg=EVIL)),
                    "web2": ({"unreachable": True, "msg": EVIL}, None),
                }
            )
        )
    )
    tame = Elements(
        report_module.render_html(
            make(
                {
                    "web1": (
                        json.loads(json.dumps(hostile()).replace(json.dumps(EVIL)[1:-1], "x")),
                        dict(right("x"), changed=True, msg="x"),
                    ),
                    "web2": ({"unreachable": True, "msg": "x"}, None),
                }
            )
        )
    )
    assert evil.tags.count("script") == 1 and "img" not in evil.tags
    assert [name for name, _value in evil.attributes if name.startswith("on")] == []
    assert set(evil.tags) == set(tame.tags)
    assert "".join(evil.text).count(EVIL) > 20 and "49" not in "".join(evil.text)


def test_the_policy_names_the_only_script_and_style():
    text = report_module.render_html(make(fleet(3)))
    (policy,) = [value for _name, value in Elements(text).attributes if value and value.startswith("default-src")]
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        content = text.partition("<%s>" % element)[2].partition("</%s>" % element)[0]
        assert "%s %s;" % (directive, report_module._source(content)) in policy
        assert "</" not in content
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    assert "http:" not in text.replace(policy, "").partition("<script>")[0]


def test_nothing_is_loaded_and_every_link_leads_to_an_element():
    found = Elements(report_module.render_html(make(fleet(30))))
    assert not {"link", "img", "iframe", "object"} & set(found.tags)
    assert [name for name, _value in found.attributes if name in ("src", "style", "srcset", "action")] == []
    targets = [value for name, value in found.attributes if name == "href"]
    assert len(targets) > 60 and all(value[:1] == "#" and value[1:] in found.ids for value in targets)
    assert len(set(found.ids)) == len(found.ids)


def test_a_fleet_of_no_versions_and_no_hosts_is_a_report_too():
    assert "No host has a version." in report_module.render_html(make({}))
    assert "No host has a version." in report_module.render_html(make({"a": (None, None)}))


def test_the_json_is_the_report():
    report = make(fleet(20))
    assert json.loads(report_module.render_json(report)) == report
    jsonschema = pytest.importorskip("jsonschema")
    with open(report_module.TEMPLATES + "/../files/terraform-audit.schema.json", encoding="utf-8") as file:
        validator = jsonschema.Draft202012Validator(json.load(file))
    validator.validate(report)
    validator.validate(make({"web1": (hostile(), right())}))
    for change in ({"format": 2}, {"hosts": [{}]}, {"generated_at": "now"}):
        assert list(validator.iter_errors(dict(report, **change)))


def rows_of(report):
    return list(csv.DictReader(io.StringIO(report_module.render_csv(report), newline="")))


def test_the_csv_has_a_row_for_each_version_and_each_host_without_one():
    rows = rows_of(
        make({"a": (info(version("1.13.4"), version("1.9.8")), right()), "b": (None, None), "c": (info(), None)})
    )
    assert [(row["host"], row["version"], row["status"]) for row in rows] == [
        ("a", "1.13.4", "ok"),
        ("a", "1.9.8", "ok"),
        ("b", "", "unreachable"),
        ("c", "", "ok"),
    ]
    assert rows[0]["intact"] == "true" and rows[0]["size"] == "90579096" and rows[2]["problems"]


def test_what_is_said_of_a_host_is_in_its_first_row_only():
    """A host may have hundreds of versions, each with a problem of its own."""
    rows = rows_of(
        make(
            {
                "a": (
                    info(*(version("1.13.%d" % number, intact=False, reason="damaged") for number in range(9))),
                    right("2.0.0"),
                )
            }
        )
    )
    assert [bool(row["problems"] or row["notices"]) for row in rows] == [True] + [False] * 8


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(begin):
    assert report_module._cell(begin + "cmd|' /C calc'!A0") == "'" + begin + "cmd|' /C calc'!A0"
    rows = rows_of(make({"=a": (info(version("1.13.4", owner="=1+1", platform='@x",\n"')), right("-1"))}))
    assert (rows[0]["host"], rows[0]["owner"], rows[0]["wanted"]) == ("'=a", "'=1+1", "'-1")
    assert rows[0]["platform"].startswith("'@x") and len(rows) == 1
