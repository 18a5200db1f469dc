# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice among what sites list and what is installed; and the words for it."""

from typing import NamedTuple

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._release import index, resolver
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions import constraint

OURS, OTHER = "linux_s390x", "linux_amd64"
BOTH = frozenset((OURS, OTHER))
LISTING = {"1.15.3": {OTHER}, "1.15.4": BOTH, "1.15.5": BOTH, "1.15.6": {OTHER}, "1.16.0": {OTHER}, "1.17.0-rc1": BOTH}


class Request(NamedTuple):
    """What resolve() reads of a request."""

    wanted: object
    sites: tuple = ("https://one.example",)
    platform: str = OURS
    offline_ok: bool = False


class Said:
    """The lines that were said, and those of them that are warnings."""

    def __init__(self):
        self.lines, self.warnings = [], []

    def __call__(self, line, warning=False):
        self.lines.append(line)
        if warning:
            self.warnings.append(line)


def choose(text, listing=None, installed=()):
    return resolver.choose_version(
        constraint.parse_version_spec(text), OURS, LISTING if listing is None else listing, installed
    )


def resolve(text, listings, installed=(), offline_ok=False):
    """(version, line, Said, the sites that were asked); a listing that is an error is raised."""
    asked, said = [], Said()
    sites = tuple("https://%d.example" % number for number in range(len(listings)))

    def listing_of(site):
        asked.append(site)
        found = listings[sites.index(site)]
        if isinstance(found, Exception):
            raise found
        return found

    parsed = Request(constraint.parse_version_spec(text), sites, offline_ok=offline_ok)
    version, line = resolver.resolve_version(parsed, installed, listing_of, said)
    assert said.lines[-1] == line
    return version, line, said, asked


def refusal(error, text, listings, **how):
    with pytest.raises(error) as caught:
        resolve(text, listings, **how)
    return caught.value


def down(number=0, status=None):
    return _errors.FetchError(
        "index from https://%d.example: ECONNREFUSED" % number,
        url="https://%d.example" % number,
        hint="look at the network",
        status=status,
    )


@pytest.mark.parametrize(
    "text, installed, expected",
    [
        ("latest", (), ("1.15.5", "1.15.5", None, ("1.16.0", "1.15.6"))),
        ("~> 1.15.0", (), ("1.15.5", "1.15.5", None, ("1.15.6",))),
        ("< 1.15.5", (), ("1.15.4", "1.15.4", None, ())),
        ("> 1.15.5", (), (None, None, None, ("1.16.0", "1.15.6"))),
        ("> 1.17.0-beta1", (), ("1.17.0-rc1", "1.17.0-rc1", None, ())),
        ("latest", ("1.15.4",), ("1.15.5", "1.15.5", "1.15.4", ("1.16.0", "1.15.6"))),
        ("latest", ("1.15.5",), ("1.15.5", "1.15.5", "1.15.5", ("1.16.0", "1.15.6"))),
        ("latest", ("1.15.9", "1.20.0-rc1"), ("1.15.9", "1.15.5", "1.15.9", ("1.16.0", "1.15.6"))),
        ("> 1.15.5, < 1.16", ("1.15.7", "1.15.8", "1.16.1"), ("1.15.8", None, "1.15.8", ("1.15.6",))),
        ("~> 2.0", ("1.15.5",), (None, None, None, ())),
        ("latest", ("not-a-version", ".hidden", "1.10"), ("1.15.5", "1.15.5", None, ("1.16.0", "1.15.6"))),
    ],
)
def test_the_choice(text, installed, expected):
    assert choose(text, installed=installed) == expected


def test_nothing_published_and_nothing_installed():
    assert choose("latest", {}) == (None, None, None, ())


def test_what_matches_comes_the_oldest_first():
    names = ["1.10.0", "1.9.8", ".terraform-1.9.8.lock", "1.9", "1.9.10", "2.0.0", "notes"]
    assert resolver.matching_versions(constraint.parse_version_spec("< 2"), names) == ["1.9.8", "1.9.10", "1.10.0"]


def test_the_newest_of_a_site():
    version, line, said, _asked = resolve("~> 1.15.0", [LISTING], installed=("1.15.4",))
    assert version == "1.15.5" and not said.warnings
    assert line == (
        "~> 1.15.0 is 1.15.5, the newest that matches on https://0.example; passed over, having no build for "
        "linux_s390x: 1.15.6"
    )


def test_many_that_are_passed_over_are_counted():
    listing = dict(("1.16.%d" % number, {OTHER}) for number in range(9))
    listing["1.15.0"] = BOTH
    assert resolve("latest", [listing])[1].endswith(": 1.16.8, 1.16.7, 1.16.6 and 6 more")


@pytest.mark.parametrize(
    "text, words",
    [
        ("latest", "https://0.example is behind, the newest that matches there is 1.15.5"),
        ("> 1.16", "https://0.example lists 6 versions, the newest for linux_s390x is 1.15.5"),
    ],
)
def test_an_installed_version_that_is_newer_stays(text, words):
    version, line, said, _asked = resolve(text, [LISTING], installed=("1.15.4", "1.16.9"))
    assert version == "1.16.9" and said.warnings == [line]
    assert "%s is 1.16.9, which is installed; " % text in line and words in line


def test_the_first_site_with_a_match_is_the_last_to_be_asked():
    for listings, expected, asked in (
        ([LISTING, {"1.15.9": BOTH}], "1.15.5", 1),
        ([{}, LISTING], "1.15.5", 2),
        ([down(), LISTING], "1.15.5", 2),
        ([{"1.15.9": {OTHER}}, LISTING, {"1.15.9": BOTH}], "1.15.5", 2),
    ):
        found = resolve("latest", listings)
        assert (found[0], len(found[3])) == (expected, asked)


@pytest.mark.parametrize("status, warns", [(None, False), (404, False), (500, False), (401, True), (403, True)])
def test_a_site_that_fails_is_reported_and_passed_over(status, warns):
    said = resolve("latest", [down(status=status), LISTING])[2]
    assert said.lines[0].startswith("site failed: https://0.example: ") and bool(said.warnings) is warns


def test_nothing_matches():
    error = refusal(_errors.RequestError, "~> 2.0", [LISTING, {}])
    assert (
        str(error)
        == (
            "no version matches ~> 2.0: https://0.example lists 6 versions, the newest for linux_s390x is "
            "1.15.5 | https://1.example lists nothing for linux_s390x"
        )
        and error.hint
    )


def test_nothing_that_matches_is_for_us():
    error = refusal(_errors.RequestError, "~> 1.16.0", [LISTING])
    assert "has no build for linux_s390x of 1.16.0; the first version with a build for linux_s390x is 1.15.4" in str(
        error
    )


@pytest.mark.parametrize(
    "make", [lambda: [down()], lambda: [down(), down(1)], lambda: [down(), {}], lambda: [{}, down(1)]]
)
def test_offline(make):
    installed = ("1.15.4", "1.15.5", "2.0.0")
    error = refusal(_errors.FetchError, "~> 1.15.0", make(), installed=installed)
    assert (
        "ECONNREFUSED" in str(error) and "1.15.5 is installed and matches: offline_ok: true would use it" in error.hint
    )
    version, line, said, _asked = resolve("~> 1.15.0", make(), installed=installed, offline_ok=True)
    assert version == "1.15.5" and said.warnings[-1] == line and "(offline_ok)" in line and "ECONNREFUSED" in line
    error = refusal(_errors.FetchError, "latest", make(), installed=installed, offline_ok=True)
    assert "2.0.0 is installed: ask for it" in error.hint
    assert (
        refusal(_errors.FetchError, "~> 3.0", make(), installed=installed, offline_ok=True).hint
        == "look at the network"
    )


@pytest.mark.parametrize("status, helps", [(404, True), (410, True), (403, False), (None, False)])
def test_a_site_without_an_index_needs_exact_versions(status, helps):
    """The errors stay as they are: the same ones are raised again when the next plan asks for the listing."""
    failure = down(status=status)
    for _times in range(2):
        hint = refusal(_errors.FetchError, "latest", [failure]).hint
        assert hint == "an exact version needs no index: write it, or " * helps + "look at the network"
    assert refusal(_errors.FetchError, "latest", [{}, failure]).hint == hint
    assert refusal(_errors.FetchError, "latest", [failure], installed=("1.15.4",)).hint.startswith("terraform 1.15.4")


def test_what_is_no_index_needs_exact_versions_too():
    with pytest.raises(_errors.FetchError) as caught:
        index.parse_index(b"<html>", "https://0.example/terraform/index.json")
    error = refusal(_errors.FetchError, "latest", [caught.value])
    assert error.hint == "an exact version needs no index: write it, or %s" % caught.value.hint


def test_the_only_failure_is_the_error_itself():
    failure = down(status=500)
    error = refusal(_errors.FetchError, "latest", [failure])
    assert str(error) == str(failure) and (error.url, error.status) == (failure.url, 500)
    error = refusal(_errors.FetchError, "latest", [down(), down(1)])
    assert (
        str(error).startswith("no site has latest: ")
        and "https://1.example" in str(error)
        and error.url == "https://1.example"
    )


def test_offline_is_not_needed_where_a_site_answers():
    version, _line, said, _asked = resolve("~> 1.15.0", [down(), LISTING], installed=("1.15.4",), offline_ok=True)
    assert version == "1.15.5" and not said.warnings


def offered(text, listings, platform=OURS):
    """(versions, Said); a listing that is an error is raised."""
    said = Said()
    sites = tuple("https://%d.example" % number for number in range(len(listings)))

    def listing_of(site):
        found = listings[sites.index(site)]
        if isinstance(found, Exception):
            raise found
        return found

    request = Request(constraint.parse_version_spec(text), sites, platform)
    return resolver.offered_versions(request, listing_of, said), said


@pytest.mark.parametrize(
    "text, platform, expected",
    [
        ("latest", OURS, ["1.15.5", "1.15.4"]),
        ("latest", None, ["1.16.0", "1.15.6", "1.15.5", "1.15.4", "1.15.3"]),
        ("~> 1.15.0", OTHER, ["1.15.6", "1.15.5", "1.15.4", "1.15.3"]),
        ("> 1.15.5", OURS, []),
        ("> 1.17.0-beta1", OURS, ["1.17.0-rc1"]),
        ("all", OURS, ["1.17.0-rc1", "1.15.5", "1.15.4"]),
        ("1.15.4", OURS, ["1.15.4"]),
        ("1.15.6", OURS, []),
    ],
)
def test_what_is_offered(text, platform, expected):
    assert offered(text, [LISTING], platform)[0] == expected


@pytest.mark.parametrize("text", ["latest", "~> 1.15.0", "> 1.17.0-beta1"])
def test_the_newest_that_is_offered_is_the_one_that_would_be_chosen(text):
    for listings in ([LISTING], [{}, LISTING], [down(), {"1.0.0": {OTHER}}, LISTING]):
        assert offered(text, listings)[0][0] == resolve(text, listings)[0]


def test_a_version_without_any_build_is_not_offered():
    assert offered("latest", [{"1.15.3": frozenset(), "1.15.2": BOTH}], None)[0] == ["1.15.2"]


def test_nothing_is_offered_only_where_all_sites_say_so():
    found, said = offered("~> 2.0", [{}, LISTING])
    assert found == [] and said.lines[1] == (
        "~> 2.0: https://1.example lists 6 versions, and none for linux_s390x that matches"
    )
    for listings in ([down()], [{}, down(1)], [down(), LISTING], [down(), down(1)]):
        with pytest.raises(_errors.FetchError) as caught:
            offered("~> 2.0", listings)
        assert "ECONNREFUSED" in str(caught.value) and caught.value.hint == "look at the network"
