# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of options and variables: known ones are read, unknown ones refused with the one that was probably meant."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._argument_spec import SPEC
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import RequestError
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.variables import (
    check_options,
    check_types,
    read_role_variables,
    report_wanted,
)


def as_it_is(variable):
    return variable


def refusal(function, *arguments):
    with pytest.raises(RequestError) as caught:
        function(*arguments)
    return "%s; %s" % (caught.value, caught.value.hint)


@pytest.mark.parametrize(
    "written, meant",
    [
        ("basedir", "base_dir"),
        ("lnk", "link"),
        ("checksum_polcy", "checksum_policy"),
        ("Version", "version"),
        ("site", "sites"),
        ("trusted_key", "trusted_keys"),
    ],
)
def test_an_unknown_name_is_refused_with_a_near_one(written, meant):
    for words in (
        refusal(check_options, {"version": "1.13.4", written: "x"}),
        refusal(read_role_variables, {"terraform_binary_" + written: "x"}, as_it_is),
    ):
        assert written in words and (
            "did you mean %s?" % meant in words or "did you mean terraform_binary_%s?" % meant in words
        )


@pytest.mark.parametrize(
    "written, meant", [("audit_dset", "audit_dest"), ("host", "hosts"), ("headers", "url_headers")]
)
def test_a_near_one_may_be_a_variable_that_is_no_option_but_no_alias_of_an_option(written, meant):
    words = refusal(read_role_variables, {"terraform_binary_" + written: "x"}, as_it_is)
    assert "did you mean terraform_binary_%s?" % meant in words


def test_none_is_made_up():
    assert refusal(check_options, ["dest"]).endswith("; ansible-doc iac_platform.terraform.terraform_binary lists them")


def test_every_option_is_known():
    check_options(SPEC)
    check_options(["headers"])  # an alias
    given = {"terraform_binary_" + option: option for option in SPEC}
    assert read_role_variables(given, as_it_is) == {option: option for option in SPEC}


def test_a_name_may_be_anything():
    assert "'" not in refusal(check_options, ["x\n[WARNING]: y"]).partition(" is no")[0]
    assert "\\n" in refusal(check_options, ["x\ny"])


def test_other_variables_are_nobodys_business():
    given = {
        "terraform_version": "1",
        "terraform_binaries": 2,
        "terraform_binary": 3,
        "terraform_binary_hosts": "all",
        "terraform_binary_result": {},
        "terraform_binary_outcome": {},
        "omit": "__omit__",
    }
    assert read_role_variables(given, as_it_is) == {}


@pytest.mark.parametrize("option", ["sites", "download", "version", "anything"])
def test_a_host_sets_no_variable_of_the_role_by_a_fact(option):
    """Any module that a host runs may answer facts, and core makes variables of them."""
    given = {
        "terraform_binary_version": "1.13.4",
        "ansible_facts": {"terraform_binary_result": {}, "distribution": "Debian"},
    }
    assert read_role_variables(given, as_it_is) == {"version": "1.13.4"}
    given["ansible_facts"]["terraform_binary_" + option] = "x"
    assert refusal(read_role_variables, given, as_it_is).startswith(
        "terraform_binary_%s is among the facts of the host" % option
    )


@pytest.mark.parametrize("name", ["omit", "inventory_hostname"])
def test_a_host_sets_no_variable_of_core_by_a_fact(name):
    """From ansible-core 2.19 on, a fact of that name is what ``{{ omit }}`` gives: so it would be a path, or a site."""
    given = {"terraform_binary_link": "/x", "ansible_facts": {name: "/x"}}
    assert refusal(read_role_variables, given, as_it_is).startswith("%s is among the facts of the host" % name)


def test_the_report_of_another_job_is_not_evaluated():
    """It has what hosts said in it, and a template of theirs would run on the controller."""
    report = {"web1": {"error": "{{ lookup('pipe', 'id') }}"}}
    assert report_wanted({"terraform_binary_report": report}, lambda variable: pytest.fail("a template was evaluated"))


def test_what_is_omitted_is_not_set():
    given = {"terraform_binary_link": "__omit__", "terraform_binary_mode": "__omit", "omit": "__omit__"}
    assert read_role_variables(given, as_it_is) == {"mode": "__omit"}
    assert read_role_variables({"terraform_binary_link": "{{ omit }}"}, lambda variable: {}) == {}


def test_the_names_of_failed_templates_are_reported():
    def fail(variable):
        raise RequestError("no value: %s" % ", ".join(variable))

    assert refusal(read_role_variables, {"terraform_binary_link": "x"}, fail).startswith(
        "no value: terraform_binary_link"
    )


TEXTS = sorted(
    name for name, spec in SPEC.items() if spec["type"] in ("str", "path") and not name.startswith("version")
)
INTEGERS = sorted(name for name, spec in SPEC.items() if spec["type"] == "int")


@pytest.mark.parametrize("value", [True, False, 1.1, 30.0], ids=str)
@pytest.mark.parametrize("name", TEXTS + INTEGERS)
def test_what_a_survey_makes_of_an_answer_is_no_text_and_no_integer(name, value):
    """From ansible-core 2.19 on, yes arrives as true and 1.10 as 1.1: as a token, nobody would see why a site refuses it."""
    words = refusal(check_types, {"version": "1.13.4", name: value}, SPEC)
    assert words.startswith(
        "%s is a %s, as YAML" % (name, "boolean" if isinstance(value, bool) else "number with a fraction")
    )
    assert ("whole number" if name in INTEGERS else "in quotes") in words.partition(";")[2]
    assert str(value) not in words


@pytest.mark.parametrize(
    "given",
    [
        {"owner": 1000, "url_password": 12345678, "origin": 20261127},
        {"timeout": 30, "retries": "3"},
        {"mode": 493, "run_check": True},
        {"url_headers": {"X-Version": 1.1}},
        {"trusted_keys": ["/etc/key.asc"]},
        {"version": 1.1},
        {"version_file": True},
    ],
)
def test_the_rest_is_checked_elsewhere(given):
    check_types(given, SPEC)


def test_there_are_integers_and_texts():
    assert len(INTEGERS) == 5 and {"url_token", "url_username", "owner", "base_dir", "origin"} < set(TEXTS)


@pytest.mark.parametrize(
    "value, wanted",
    [
        (True, True),
        ("true", True),
        (" Yes ", True),
        (1, True),
        ("1", True),
        (False, False),
        ("false", False),
        ("no", False),
        (0, False),
        (None, False),
        ("", False),
        ("  ", False),
        ("__omit__", False),
        ({}, True),
        ({"web1": {"failed": False}}, True),
    ],
)
def test_a_report_is_wanted_where_it_is_said_or_where_the_job_before_left_one(value, wanted):
    given = {"terraform_binary_report": value, "omit": "__omit__"}
    assert report_wanted(given, as_it_is) is wanted
    assert read_role_variables(given, as_it_is) == {}


@pytest.mark.parametrize("value", ["maybe", 2, [True], "html"])
def test_a_report_is_wanted_or_not(value):
    assert "neither true nor false; write true or false" in refusal(
        report_wanted, {"terraform_binary_report": value}, as_it_is
    )


def test_no_report_is_wanted_where_nothing_is_said():
    assert not report_wanted({}, as_it_is) and not report_wanted(
        {"terraform_binary_report": "{{ omit }}"}, lambda variable: {}
    )
