# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grammar and the order of versions, against what was really published and against what must not get through."""

import datetime
import functools
import itertools
import os
import random

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions import version as version_module


def published(genuine):
    with open(os.path.join(genuine, "versions", "terraform_git_tags.txt")) as file:
        return file.read().split()


def test_every_published_version_is_accepted_unchanged(genuine):
    versions = published(genuine)
    assert len(versions) == 466
    assert [version_module.parse_exact(version) for version in versions] == versions


def test_every_published_version_has_its_own_place(genuine):
    versions = published(genuine)
    assert len(set(version_module.sort_key(version) for version in versions)) == len(versions)


@pytest.mark.parametrize(
    "version",
    [
        "1.13.4",
        "0.1.0",
        "0.12.0-dev20190520H16",
        "1.2.0-alpha-20220328",
        "0.11.15-oci",
        "1.14.0-rc1",
        "0.12.0-alpha4",
        "1.0.0-0",
        "1.0.0-rc.1",
        "1.0.0-0a",
        "1.0.0--",
        "1.0.0-x-y.0.z9",
        "0.0.0",
        "10.20.30",
        "1.0.0-" + 58 * "x",
    ],
)
def test_exact_versions(version):
    assert version_module.parse_exact(version) == version


def test_a_leading_v_is_dropped():
    assert version_module.parse_exact("v1.13.4") == "1.13.4"
    assert version_module.parse_exact("v1.14.0-rc1") == "1.14.0-rc1"


@pytest.mark.parametrize(
    "text",
    [
        "../1.0.0",
        "1.0.0/..",
        "1.0.0/",
        "1.0.0\\x",
        "..",
        ".",
        "1.0.0-..",
        "1.0.0-a/../b",
        "1.0.0-a\\b",
        "1.0.0\0",
        "1.0.0-\0",
        "1.0.0\n1",
        "1.\n0.0",
        "1. 0.0",
        "1.0.0 -rc1",
        "1.0.0-rc 1",
        "1.0\t.0",
        "01.0.0",
        "1.00.0",
        "1.0.01",
        "1.0.0-01",
        "1.0.0-rc.01",
        "00.0.0",
        "1.0.0-",
        "1.0.0-a.",
        "1.0.0-.a",
        "1.0.0-a..b",
        "1.0.0.0",
        "1..0",
        "1.0.",
        ".1.0.0",
        "-1.0.0",
        "1.0.-1",
        "1\u0661.0.0",
        "1.0.1\u0661",
        "1.0.0-1\u0661",
        "\u0661.0.0",
        "1.0.\u0661",
        "1.0.0-\u0661",
        "1.0.0-rc\u0661",
        "1.0.0-\xe9",
        "\uff11.0.0",
        "vv1.0.0",
        "V1.0.0",
        "v",
        "v 1.0.0",
        "version",
        "True",
        "[1.0.0]",
        "1.0.0-rc_1",
        "1,0,0",
        "1e3",
        "0x1.0.0",
        "1.0.0-" + 59 * "x",
        65 * "1" + ".0.0",
    ],
)
def test_refused(text):
    with pytest.raises(_errors.RequestError) as caught:
        version_module.parse_exact(text)
    message = str(caught.value)
    assert caught.value.hint
    assert message.startswith("version ")
    assert "\n" not in message and "\0" not in message and all(" " <= character <= "~" for character in message)
    assert len(message) < 200


@pytest.mark.parametrize("text", ["", "   ", "\n", None])
def test_blank_is_not_given(text):
    with pytest.raises(_errors.RequestError, match="version is not given"):
        version_module.parse_exact(text)


BLANKS = ["", " ", "\n", "\r\n", "\t", " \n \n", "\u00a0", "\u2003", "\f", "\v", "\u3000"]


@pytest.mark.parametrize("blank", BLANKS)
def test_blanks_around_a_version_mean_nothing(blank):
    assert version_module.parse_exact(blank + "v1.13.4" + blank) == "1.13.4"
    assert version_module.coerce_text(blank + "1.14.0-rc1" + blank) == "1.14.0-rc1"


@pytest.mark.parametrize("text", ["1.1", "1.10", "v1.1", "1", "13"])
def test_partial_versions_are_not_exact(text):
    with pytest.raises(_errors.RequestError, match="version '%s' is not exact" % text) as caught:
        version_module.parse_exact(text)
    assert "'1.10.5'" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "latest",
        "~> 1.13.0",
        "~>1.13",
        ">= 1.9, < 2.0",
        "= 1.10",
        "=1.10.5",
        "!= 1.0.0",
        ">1",
        "<2.0.0",
        "^1.0.0",
        "1.0.0, 1.0.1",
        "1.13.x",
        "1.x",
        "1.13.*",
        "1.X.2",
    ],
)
def test_what_is_not_one_version(text):
    with pytest.raises(_errors.RequestError, match="is not of the form X.Y.Z") as caught:
        version_module.parse_exact(text)
    assert "'~> 1.10.0'" in caught.value.hint
    assert not version_module.is_exact(text)


@pytest.mark.parametrize(
    "value, words",
    [
        (True, "is the boolean true"),
        (False, "is the boolean false"),
        (datetime.date(2026, 1, 1), "is the date 2026-01-01"),
        (datetime.datetime(2026, 1, 1), "is the date 2026-01-01"),
        (["1.0.0"], "is a list"),
        ({}, "is a mapping"),
        (b"1.0.0", "is a bytes"),
    ],
)
def test_what_yaml_may_make_of_a_version(value, words):
    with pytest.raises(_errors.RequestError) as caught:
        version_module.coerce_text(value)
    assert words in str(caught.value) and "in quotes" in caught.value.hint


@pytest.mark.parametrize("value, text", [("1.10", "1.10"), (1.10, "1.1"), (7, "7"), ("latest", "latest")])
def test_what_was_written(value, text):
    assert version_module.coerce_text(value) == text


def test_a_version_in_parts():
    assert version_module.components("v1.13.4") == ((1, 13, 4), "")
    assert version_module.components("0.12.0-dev20190520H16") == ((0, 12, 0), "dev20190520H16")


@pytest.mark.parametrize("text", ["1.0.0+build", "1.0.0-rc1+ent", "1.0.0+"])
def test_build_metadata_is_refused(text):
    with pytest.raises(_errors.RequestError, match="build metadata"):
        version_module.parse_exact(text)


def test_a_long_text_is_shortened():
    with pytest.raises(_errors.RequestError, match=r"has 1000000 characters, more than 64"):
        version_module.parse_exact("1" * 1000000)


# Semantic Versioning 2.0.0, item 11, and what Terraform published.
ORDERED = [
    [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
    ],
    [
        "0.9.11",
        "0.10.0-beta1",
        "0.10.0",
        "0.10.1",
        "0.11.0",
        "1.0.0",
        "1.9.8",
        "1.10.0-rc3",
        "1.10.0",
        "1.13.3",
        "1.13.4",
        "2.0.0",
    ],
    ["1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-1a", "1.0.0-A", "1.0.0-a", "1.0.0-a-", "1.0.0-a1", "1.0.0"],
    ["1.2.0-alpha-20220328", "1.2.0-alpha20220413", "1.2.0-beta1", "1.2.0-rc1", "1.2.0-rc2", "1.2.0"],
    ["0.11.14", "0.11.15-oci", "0.11.15", "0.12.0-alpha4", "0.12.0-dev20190520H16", "0.12.0-rc1", "0.12.0"],
]


@pytest.mark.parametrize("versions", ORDERED)
def test_order(versions):
    shuffled = list(versions)
    random.Random(1).shuffle(shuffled)
    assert sorted(shuffled, key=version_module.sort_key) == versions
    for smaller, larger in itertools.combinations(versions, 2):
        assert version_module.sort_key(smaller) < version_module.sort_key(larger)


def test_order_ignores_a_leading_v():
    assert version_module.sort_key("v1.13.4") == version_module.sort_key("1.13.4")


def test_order_takes_exact_versions_only():
    with pytest.raises(_errors.RequestError):
        version_module.sort_key("1.13")


def compare_by_the_book(left, right):
    """-1, 0 or 1: Semantic Versioning 2.0.0, item 11, sentence by sentence, on the texts."""

    def parts(version):
        core, _dash, pre_release = version.partition("-")
        return [int(number) for number in core.split(".")], pre_release

    (core, pre_release), (other_core, other_pre_release) = parts(left), parts(right)
    for number, other in zip(core, other_core):
        if number != other:
            return -1 if number < other else 1
    if pre_release == other_pre_release:
        return 0
    if "" in (pre_release, other_pre_release):
        return -1 if other_pre_release == "" else 1
    for one, other in itertools.zip_longest(pre_release.split("."), other_pre_release.split(".")):
        if one == other:
            continue
        if one is None or other is None:
            return -1 if one is None else 1
        if one.isdigit() and other.isdigit():
            return -1 if int(one) < int(other) else 1
        if one.isdigit() or other.isdigit():
            return -1 if one.isdigit() else 1
        return -1 if one.encode() < other.encode() else 1
    raise AssertionError("two different pre-releases without a difference")


def test_the_published_versions_in_order(genuine):
    versions = published(genuine)
    by_the_book = sorted(versions, key=functools.cmp_to_key(compare_by_the_book))
    assert sorted(reversed(versions), key=version_module.sort_key) == by_the_book


def test_property_order_is_that_of_the_book():
    from support.properties import hypothesis

    from_ = hypothesis.strategies
    identifier = from_.sampled_from(
        ["0", "1", "2", "10", "a", "A", "rc", "rc1", "1a", "-", "-1", "x-y", "alpha-20220328", "z"]
    )
    version = from_.builds(
        lambda numbers, identifiers: ".".join(map(str, numbers)) + ("-" + ".".join(identifiers) if identifiers else ""),
        from_.tuples(*[from_.integers(0, 2)] * 3),
        from_.lists(identifier, max_size=3),
    )

    @hypothesis.given(version, version)
    def check(left, right):
        key, other = version_module.sort_key(left), version_module.sort_key(right)
        assert (key > other) - (key < other) == compare_by_the_book(left, right)

    check()


def test_property_accepted_versions_are_safe_names():
    from support.properties import hypothesis

    alphabet = hypothesis.strategies.text("0123456789.-v+ /\\\0\nrcAZ~>=\u0661", max_size=20)

    @hypothesis.given(
        hypothesis.strategies.one_of(
            alphabet,
            hypothesis.strategies.text(),
            hypothesis.strategies.from_regex(r"\Av?[0-9]{1,2}\.[0-9]\.[0-9](-[0-9a-z.-]*)?\n?\Z"),
        )
    )
    def check(text):
        try:
            version = version_module.parse_exact(text)
        except _errors.RequestError as refusal:
            assert refusal.hint and str(refusal).isprintable()
            return
        assert version in (text.strip(), text.strip()[1:])
        assert set(version) <= set("0123456789.-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
        assert ".." not in version and version[0].isdigit() and len(version) <= 64
        assert version_module.sort_key(version) == version_module.sort_key(version)

    check()
