# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's index: every shape that was published, entries that are odd, and bytes that are no index."""

import json
import os
import re

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._release import index as index_module

WHERE = "https://mirror.example/terraform/index.json"


def build(platform="linux_amd64", version="1.13.4", **changes):
    system, _score, arch = platform.partition("_")
    name = "terraform_%s_%s.zip" % (version, platform)
    made = dict(
        name="terraform", version=version, os=system, arch=arch, filename=name, url="https://elsewhere.example/" + name
    )
    made.update(changes)
    return dict((key, value) for key, value in made.items() if value is not ...)


def entry(version="1.13.4", builds=None, **changes):
    made = dict(name="terraform", version=version, builds=[build(version=version)] if builds is None else builds)
    made.update(changes)
    return dict((key, value) for key, value in made.items() if value is not ...)


def index(*entries, **changes):
    return dict(dict(name="terraform", versions=dict((one["version"], one) for one in entries)), **changes)


def listed(value):
    return index_module.parse_index(json.dumps(value).encode("utf-8"), WHERE)


def refusal(data):
    with pytest.raises(_errors.FetchError) as caught:
        index_module.parse_index(data if isinstance(data, bytes) else json.dumps(data).encode("ascii"), WHERE)
    error = caught.value
    message = str(error)
    assert WHERE in message and error.url == WHERE and error.hint and error.next_site and not error.retry
    assert message.isprintable() and len(message) < 300
    return message


# shapes


@pytest.mark.parametrize("shape", ["current", "old", "bare"])
def test_the_shapes_of_a_site(shape, site):
    from release_site import releases

    made = [
        releases.make_release(version, platforms, shape=shape)
        for version, platforms in (("1.9.8", ("linux_amd64",)), ("1.13.4", ("linux_amd64", "darwin_arm64")))
    ]
    found = index_module.parse_index(releases.make_index(made), WHERE)
    assert found == {"1.9.8": {"linux_amd64"}, "1.13.4": {"linux_amd64", "darwin_arm64"}}


def test_the_index_of_one_release():
    assert listed(entry("1.7.0", [build(version="1.7.0")])) == {"1.7.0": {"linux_amd64"}}


@pytest.mark.parametrize(
    "name, versions, some",
    [
        ("terraform_index_excerpt_setup-terraform.json", None, ("0.1.0", {"darwin_amd64", "linux_386", "linux_amd64"})),
        (
            "terraform_index_excerpt_tenv.json",
            None,
            ("1.6.6", {"darwin_arm64", "linux_arm64", "freebsd_386", "windows_amd64"}),
        ),
        ("terraform_1.7.0_index.json", ["1.7.0"], ("1.7.0", {"linux_arm64", "solaris_amd64", "openbsd_386"})),
        ("api_v1_terraform_0.12.26_hcdl.json", ["0.12.26"], ("0.12.26", {"freebsd_amd64", "linux_amd64"})),
    ],
)
def test_the_genuine_ones(name, versions, some, genuine):
    with open(os.path.join(genuine, "index", name), "rb") as file:
        data = file.read()
    found = index_module.parse_index(data, WHERE)
    described = json.loads(data.decode("utf-8"))
    assert sorted(found) == (versions or sorted(described["versions"]))
    assert some[1] <= found[some[0]]
    assert sum(map(len, found.values())) == sum(
        len(one["builds"]) for one in described.get("versions", {"": described}).values()
    ), "every build is understood"


def test_the_doubled_names_of_the_first_alphas():
    name = "terraform_0.12.0-alpha4_terraform_0.12.0-alpha4_linux_amd64.zip"
    assert listed(index(entry("0.12.0-alpha4", [build(version="0.12.0-alpha4", filename=name)]))) == {
        "0.12.0-alpha4": {"linux_amd64"}
    }


def test_an_empty_index_lists_nothing():
    assert listed({"versions": {}}) == {}


def test_a_byte_order_mark_is_no_harm():
    assert index_module.parse_index(b"\xef\xbb\xbf" + json.dumps(index(entry())).encode("ascii"), WHERE) == {
        "1.13.4": {"linux_amd64"}
    }


# what is odd in it


@pytest.mark.parametrize(
    "changed",
    [
        {"version": "1.13.3"},
        {"version": 5},
        {"name": "vault"},
        {"name": None},
    ],
)
def test_an_entry_about_something_else_is_passed_over(changed):
    other = index(entry("1.9.8"))
    other["versions"]["1.13.4"] = entry(**changed)
    assert listed(other) == {"1.9.8": {"linux_amd64"}}


@pytest.mark.parametrize(
    "version", ["../1.0.0", "1.10", "v1.10.0", "01.0.0", "latest", "", "1.0.0\n", "1.0.0/..", "1.0.0+ent", "x" * 999]
)
def test_a_name_that_is_no_version_is_passed_over(version):
    other = index(entry("1.9.8"))
    other["versions"][version] = entry(version=...)
    assert listed(other) == {"1.9.8": {"linux_amd64"}}


@pytest.mark.parametrize("value", [None, [], "x", 5, True])
def test_an_entry_of_another_type_is_passed_over(value):
    other = index(entry("1.9.8"))
    other["versions"]["1.13.4"] = value
    assert listed(other) == {"1.9.8": {"linux_amd64"}}


@pytest.mark.parametrize(
    "changed", [{"builds": None}, {"builds": {}}, {"builds": "x"}, {"builds": 5}, {"builds": [None, 5, "x", []]}, {}]
)
def test_an_entry_without_builds_is_there_for_no_platform(changed):
    assert listed(index(dict({"version": "1.13.4"}, **changed))) == {"1.13.4": frozenset()}


@pytest.mark.parametrize(
    "changed",
    [
        {"os": "../x"},
        {"os": "Linux"},
        {"os": ""},
        {"os": 5},
        {"os": None},
        {"os": ...},
        {"arch": "amd64/.."},
        {"arch": "x" * 21},
        {"version": "1.13.3"},
        {"name": "vault"},
        {"filename": "terraform_1.13.4_linux_amd64.deb"},
        {"filename": "../x.zip"},
        {"filename": "terraform_1.13.3_linux_amd64.zip"},
        {"filename": 5},
    ],
)
def test_a_build_that_is_not_ours_is_passed_over(changed):
    for names in ({}, {"filename": ...}) if set(changed) & {"os", "arch"} else ({},):
        builds = [build("darwin_arm64"), build(**dict(changed, **names))]
        assert listed(index(entry(builds=builds))) == {"1.13.4": {"darwin_arm64"}}


def test_places_are_not_read():
    """Neither a URL to another host nor a missing one matters: archives are asked for on the site itself."""
    assert listed(index(entry(builds=[build(url="file:///etc/shadow"), build("linux_arm64", url=...)]))) == {
        "1.13.4": {"linux_amd64", "linux_arm64"}
    }


def test_a_platform_that_this_collection_does_not_know_is_listed():
    assert listed(index(entry(builds=[build("plan9_riscv64")]))) == {"1.13.4": {"plan9_riscv64"}}


# what is no index


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "is not JSON"),
        (b"nonsense", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[1]", "JSON list"),
        (b"null", "JSON NoneType"),
        (b'"x"', "JSON str"),
        (b"5", "JSON int"),
        (b"{}", "has no versions"),
        (b'{"versions": []}', "has no versions"),
        (b'{"versions": null, "builds": []}', "has no versions"),
        (b'{"version": "../x", "builds": []}', "has no versions"),
        (b'{"name": "vault", "versions": {}}', "is about vault,"),
        (b'{"name": ["\\ud800"], "versions": {}}', "is about something else,"),
        (b'{"versions": {}, "x": NaN}', "NaN"),
        (b'{"versions": {}, "x": -Infinity}', "Infinity"),
        (b'{"versions": {}, "versions": {}}', "twice"),
        (b'{"versions": {"1.0.0": {"builds": [], "builds": []}}}', "twice"),
        (b'{"versions": {}} {}', "is not JSON"),
        (b"[" * 100000, "is not JSON"),
        (b'{"a":' * 100000, "is not JSON"),
        (b'{"versions": {}, "\xc3\x28": 1}', "is not JSON"),
        (b"<html>", "is not JSON"),
    ],
)
def test_bytes_that_are_no_index(data, words):
    assert words in refusal(data)


@pytest.mark.parametrize("number", [b"9", b"9.", b"1e", b"-9"])
def test_a_number_of_megabytes_costs_nothing(number):
    data = b'{"versions": {}, "x": %s%s}' % (number, b"9" * (4 << 20))
    assert index_module.parse_index(data, WHERE) == {}


@pytest.mark.parametrize("data", [b"[" + b"[]," * 1000000 + b"[]]", b"[" + b"1," * 3000000 + b"1]", b"{" * 3000000])
def test_more_parts_than_fit_into_memory_are_not_read(data):
    assert "has more than 2000000 parts" in refusal(data)


def test_property_no_value_is_more_than_an_index():
    from support.properties import hypothesis

    some = hypothesis.strategies
    plain = some.one_of(
        some.none(),
        some.booleans(),
        some.integers(),
        some.text(max_size=5),
        some.sampled_from(["terraform", "1.13.4", "linux", "amd64", "terraform_1.13.4_linux_amd64.zip"]),
    )
    known = some.sampled_from(["name", "versions", "version", "builds", "os", "arch", "filename", "1.13.4", "1.9.8"])
    keys = some.one_of(known, some.text(max_size=3))

    def nest(inner):
        return some.one_of(some.lists(inner, max_size=3), some.dictionaries(keys, inner, max_size=5))

    value = some.recursive(plain, nest, max_leaves=15)

    @hypothesis.given(some.one_of(value.map(lambda made: json.dumps(made).encode("ascii")), some.binary(max_size=40)))
    def check(data):
        try:
            found = index_module.parse_index(data, WHERE)
        except _errors.FetchError as refused:
            assert str(refused).isprintable() and refused.hint
            return
        assert all(re.match(r"[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.-]*\Z", version) for version in found)
        assert all(
            re.match("[a-z0-9]+_[a-z0-9]+\\Z", platform) for platforms in found.values() for platform in platforms
        )

    check()


# advice

LISTING = {
    "1.0.0": {"linux_amd64"},
    "1.0.1": {"linux_amd64"},
    "1.0.2-rc1": {"linux_amd64", "darwin_arm64"},
    "1.0.2": {"linux_amd64", "darwin_arm64"},
    "1.1.0": {"linux_amd64"},
    "1.2.0-alpha1": {"linux_amd64"},
    "2.0.0": set(),
}


@pytest.mark.parametrize(
    "version, platform, words",
    [
        (
            "1.1.0",
            "linux_amd64",
            "the index lists it, and the site lacks the file: copy it there; or it is being "
            "published, if the release is minutes old: try again then",
        ),
        (
            "1.0.0",
            "darwin_arm64",
            "choose another version or platform: the first version with a build for darwin_arm64 is 1.0.2",
        ),
        ("1.0.0", "linux_s390x", "choose another platform: no version has a build for linux_s390x"),
        ("1.0.9", "linux_amd64", "versions there: 1.0.2 (next lower, newest 1.0), 1.1.0 (next higher)"),
        ("1.1.9", "linux_amd64", "versions there: 1.1.0 (next lower, newest 1.1), 1.2.0-alpha1 (next higher)"),
        ("1.0.1-rc2", "linux_amd64", "versions there: 1.0.0 (next lower), 1.0.1 (next higher), 1.0.2 (newest 1.0)"),
        ("1.0.2-rc2", "linux_amd64", "versions there: 1.0.2-rc1 (next lower), 1.0.2 (next higher, newest 1.0)"),
        (
            "1.0.2-beta1",
            "linux_amd64",
            "versions there: 1.0.1 (next lower), 1.0.2-rc1 (next higher), 1.0.2 (newest 1.0)",
        ),
        ("1.2.0-alpha2", "linux_amd64", "versions there: 1.2.0-alpha1 (next lower)"),
        ("0.9.0", "linux_amd64", "versions there: 1.0.0 (next higher)"),
        ("3.0.0", "linux_amd64", "versions there: 1.1.0 (next lower)"),
        ("1.0.1-rc1", "darwin_arm64", "versions there: 1.0.2 (next higher, newest 1.0)"),
        ("3.0.0", "linux_s390x", None),
    ],
)
def test_advice(version, platform, words):
    assert index_module.advise_on_missing(version, platform, LISTING) == words


def test_the_first_version_for_a_platform_is_read_from_the_index(genuine):
    with open(os.path.join(genuine, "index", "terraform_index_excerpt_setup-terraform.json"), "rb") as file:
        listing = index_module.parse_index(file.read(), WHERE)
    assert index_module.describe_first("plan9_amd64", listing) == "no version has a build for plan9_amd64"
    assert (
        index_module.describe_first("linux_amd64", listing) == "the first version with a build for linux_amd64 is 0.1.0"
    )


def test_an_index_has_so_many_versions_and_no_more():
    for count, fine in ((index_module.VERSIONS_LIMIT, True), (index_module.VERSIONS_LIMIT + 1, False)):
        data = json.dumps({"versions": {"1.0.%d" % number: {"builds": []} for number in range(count)}}).encode("ascii")
        if fine:
            assert len(index_module.parse_index(data, "https://x")) == count
            continue
        with pytest.raises(_errors.FetchError, match="has more than 20000 versions"):
            index_module.parse_index(data, "https://x")
