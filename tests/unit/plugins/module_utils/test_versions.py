# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grammar and the order of versions, against what was really published and against what must not get through."""

import itertools
import os
import random

import pytest

from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors, _versions



def published(genuine):
    with open(os.path.join(genuine, "versions", "terraform_git_tags.txt")) as file:
        return file.read().split()


def test_every_published_version_is_accepted_unchanged(genuine):
    versions = published(genuine)
    assert len(versions) == 466
    assert [_versions.exact(version) for version in versions] == versions


def test_every_published_version_has_its_own_place(genuine):
    versions = published(genuine)
    assert len(set(_versions.order(version) for version in versions)) == len(versions)


@pytest.mark.parametrize("version", [
    "1.13.4", "0.1.0", "0.12.0-dev20190520H16", "1.2.0-alpha-20220328", "0.11.15-oci", "1.14.0-rc1", "0.12.0-alpha4",
    "1.0.0-0", "1.0.0-rc.1", "1.0.0-0a", "1.0.0--", "1.0.0-x-y.0.z9", "0.0.0", "10.20.30", "1.0.0-" + 58 * "x",
])
def test_exact_versions(version):
    assert _versions.exact(version) == version


def test_a_leading_v_is_dropped():
    assert _versions.exact("v1.13.4") == "1.13.4"
    assert _versions.exact("v1.14.0-rc1") == "1.14.0-rc1"


@pytest.mark.parametrize("text", [
    "../1.0.0", "1.0.0/..", "1.0.0/", "1.0.0\\x", "..", ".", "1.0.0-..", "1.0.0-a/../b", "1.0.0-a\\b",
    "1.0.0\0", "1.0.0-\0", "1.0.0\n", "\n1.0.0", "1.0.0-rc1\n", " 1.0.0", "1.0.0 ", "1. 0.0", "1.0.0 -rc1",
    "1.0.0-rc 1", "1.0.0\t",
    "01.0.0", "1.00.0", "1.0.01", "1.0.0-01", "1.0.0-rc.01", "00.0.0",
    "1.0.0-", "1.0.0-a.", "1.0.0-.a", "1.0.0-a..b", "1.0.0.0", "1..0", "1.0.", ".1.0.0", "-1.0.0", "1.0.-1",
    u"1\u0661.0.0", u"1.0.1\u0661", u"1.0.0-1\u0661", u"\u0661.0.0", u"1.0.\u0661", u"1.0.0-\u0661", u"1.0.0-rc\u0661",
    u"1.0.0-\xe9", u"\uff11.0.0",
    "vv1.0.0", "V1.0.0", "v", "v 1.0.0", "version", "True", "[1.0.0]", "1.0.0-rc_1", "1,0,0", "1e3", "0x1.0.0",
    "1.0.0-" + 59 * "x", 65 * "1" + ".0.0",
])
def test_refused(text):
    with pytest.raises(_errors.RequestError) as caught:
        _versions.exact(text)
    message = str(caught.value)
    assert caught.value.hint
    assert message.startswith("version ")
    assert "\n" not in message and "\0" not in message and all(" " <= character <= "~" for character in message)
    assert len(message) < 200


@pytest.mark.parametrize("text", ["", "   ", "\n", None])
def test_blank_is_not_given(text):
    with pytest.raises(_errors.RequestError, match="version is not given"):
        _versions.exact(text)


@pytest.mark.parametrize("text", ["1.1", "1.10", "v1.1", "1", "13", 1.1, 1, 1.13])
def test_partial_versions_may_have_been_another_one(text):
    with pytest.raises(_errors.RequestError) as caught:
        _versions.exact(text)
    assert "'%s'" % text in str(caught.value)
    assert "1.1 may have been 1.1 or 1.10" in str(caught.value)
    assert "'1.10.5'" in caught.value.hint


@pytest.mark.parametrize("text", [
    "latest", "~> 1.13.0", "~>1.13", ">= 1.9, < 2.0", "= 1.10", "=1.10.5", "!= 1.0.0", ">1", "<2.0.0", "^1.0.0",
    "1.0.0, 1.0.1", "1.13.x", "1.x", "1.13.*", "1.X.2",
])
def test_constraints_come_with_a_later_release(text):
    with pytest.raises(_errors.RequestError) as caught:
        _versions.exact(text)
    assert "constraint" in str(caught.value) or text == "latest"
    assert "this release of the collection takes exact versions" in caught.value.hint
    assert "X.Y.Z" in caught.value.hint


@pytest.mark.parametrize("text", ["1.0.0+build", "1.0.0-rc1+ent", "1.0.0+"])
def test_build_metadata_is_refused(text):
    with pytest.raises(_errors.RequestError, match="build metadata"):
        _versions.exact(text)


def test_a_long_text_is_shortened():
    with pytest.raises(_errors.RequestError, match=r"has 1000000 characters, more than 64"):
        _versions.exact("1" * 1000000)


# Semantic Versioning 2.0.0, item 11, and what Terraform published.
ORDERED = [
    ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
     "1.0.0"],
    ["0.9.11", "0.10.0-beta1", "0.10.0", "0.10.1", "0.11.0", "1.0.0", "1.9.8", "1.10.0-rc3", "1.10.0", "1.13.3",
     "1.13.4", "2.0.0"],
    ["1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-1a", "1.0.0-A", "1.0.0-a", "1.0.0-a-", "1.0.0-a1", "1.0.0"],
    ["1.2.0-alpha-20220328", "1.2.0-alpha20220413", "1.2.0-beta1", "1.2.0-rc1", "1.2.0-rc2", "1.2.0"],
    ["0.11.14", "0.11.15-oci", "0.11.15", "0.12.0-alpha4", "0.12.0-dev20190520H16", "0.12.0-rc1", "0.12.0"],
]


@pytest.mark.parametrize("versions", ORDERED)
def test_order(versions):
    shuffled = list(versions)
    random.Random(1).shuffle(shuffled)
    assert sorted(shuffled, key=_versions.order) == versions
    for smaller, larger in itertools.combinations(versions, 2):
        assert _versions.order(smaller) < _versions.order(larger)


def test_order_ignores_a_leading_v():
    assert _versions.order("v1.13.4") == _versions.order("1.13.4")


def test_order_takes_exact_versions_only():
    with pytest.raises(_errors.RequestError):
        _versions.order("1.13")


def test_property_accepted_versions_are_safe_names():
    hypothesis = pytest.importorskip("hypothesis")
    alphabet = hypothesis.strategies.text(u"0123456789.-v+ /\\\0\nrcAZ~>=\u0661", max_size=20)

    @hypothesis.given(hypothesis.strategies.one_of(
        alphabet, hypothesis.strategies.text(),
        hypothesis.strategies.from_regex(r"\Av?[0-9]{1,2}\.[0-9]\.[0-9](-[0-9a-z.-]*)?\n?\Z"),
    ))
    def check(text):
        try:
            version = _versions.exact(text)
        except _errors.RequestError as refusal:
            assert refusal.hint and str(refusal).isprintable()
            return
        assert version in (text, text[1:])
        assert set(version) <= set("0123456789.-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
        assert ".." not in version and version[0].isdigit() and len(version) <= 64
        assert _versions.order(version) == _versions.order(version)

    check()
