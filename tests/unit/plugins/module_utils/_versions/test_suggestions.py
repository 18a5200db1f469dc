# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in versions, and what is offered instead: always something that would be taken where it is to be written."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions import constraint, suggestions

# What people write, and what they meant.
MEANT = [
    ("1.11.x", "~> 1.11.0"),
    ("1.11.*", "~> 1.11.0"),
    ("1.11.X", "~> 1.11.0"),
    ("v1.11.x", "~> 1.11.0"),
    ("1.x", "~> 1.0"),
    ("1.*.*", "~> 1.0"),
    ("~> 1.11.x", "~> 1.11.0"),
    ("= 1.11.*", "~> 1.11.0"),
    ("== 1.9.*", "~> 1.9.0"),
    (">= 1.x", ">= 1.0"),
    ("~>1.9.*", "~> 1.9.0"),
    ("~> v1.x", "~> 1.0"),
    ("^1.x", "~> 1.0"),
    ("^1.11.x", "~> 1.11 | ~> 1.11.0"),
    ("^1.11", "~> 1.11 | ~> 1.11.0"),
    ("^1", "~> 1.0"),
    ("^1.11.3", ">= 1.11.3, < 2.0"),
    ("^0.12.3", "~> 0.12.3"),
    ("~1.11", "~> 1.11.0"),
    ("~ 1.11.3", "~> 1.11.3"),
    ("~1", "~> 1.0"),
    ("~=1.9.2", "~> 1.9.2"),
    ("=~ 1.9", "~> 1.9"),
    ("=> 1.2", ">= 1.2"),
    ("=< 1.2", "<= 1.2"),
    ("== 1.2", "= 1.2"),
    ("> = 1.2", ">= 1.2"),
    ("<> 1.2", "!= 1.2"),
    ("\u2265 1.2", ">= 1.2"),
    ("=>1.2,=<2", ">= 1.2, <= 2"),
    (">= 1.9 < 2.0", ">= 1.9, < 2.0"),
    (">= 1.9 && < 2", ">= 1.9, < 2"),
    (">= 1.9; < 2", ">= 1.9, < 2"),
    (">= 1.9 and < 2", ">= 1.9, < 2"),
    ("1.10.5,", "1.10.5"),
    ("latest, < 2", "< 2"),
    ("< 2, newest", "< 2"),
    ("\u201c1.10.5\u201d", "1.10.5"),
    ("`1.10.5`", "1.10.5"),
    ("terraform 1.10.5", "1.10.5"),
    ("Terraform v1.10.5", "1.10.5"),
    ("terraform_1.10.5", "1.10.5"),
    ("version: 1.2.3", "1.2.3"),
    ('required_version = "~> 1.9"', "~> 1.9"),
    ('terraform { required_version = ">= 1.9" }', ">= 1.9"),
    ("V1.10.5", "1.10.5"),
    ("1.10.5.", "1.10.5"),
    ("1,10,5", "1.10.5"),
    ("1.10.5 # ours", "1.10.5"),
]
IN_QUOTES = [
    ('"1.10.5"', "1.10.5"),
    ("'~> 1.10'", "~> 1.10"),
    ("' latest '", "latest"),
]  # right in an option: a form has none
IN_A_MODULE_RIGHT = [  # what Terraform takes in a root module
    ("01.10.5", "1.10.5"),
    ("1.10.05", "1.10.5"),
    ("1.10.5rc1", "1.10.5-rc1"),
    ("1.10-rc1", "1.10.0-rc1"),
    ("1.10.5.0", "1.10.5"),
    ("1.10", "~> 1.10.0 | = 1.10"),
    ("v1.11", "~> 1.11.0 | = 1.11"),
    ("13", "~> 13.0 | = 13"),
    ("1.11", "~> 1.11.0 | = 1.11"),
]
NEWEST = ["Latest", "LATEST ", "stable", "newest", "current", "*", "x", "\u2018latest\u2019"]
NOTHING = [
    "nonsense",
    "1..2",
    "1.10.5.1",
    "> 1 || < 2",
    "1.13.4 1.13.5",
    "= 1.0, = 1.1",
    "!= 1.x",
    "1.2.3+ent",
    "latest-1",
    ">= v",
]


def hint(value, place):
    with pytest.raises(_errors.RequestError) as caught:
        constraint.parse_version_spec(value, place)
    return caught.value.hint


@pytest.mark.parametrize("text, meant", MEANT + IN_A_MODULE_RIGHT)
def test_what_was_meant_is_offered_as_it_is_to_be_written(text, meant):
    meant = meant.split(" | ")
    for one in meant:
        assert constraint.parse_version_spec(one)
    assert hint(text, suggestions.OPTION) == "write %s" % " or ".join("'%s'" % one for one in meant)
    assert hint(text, suggestions.FILE) == "write %s" % " or ".join(meant)
    if (text, " | ".join(meant)) in MEANT:
        assert hint(text, suggestions.MODULE) == "write %s" % " or ".join('"%s"' % one for one in meant)
    else:
        assert constraint.parse_version_spec(text, suggestions.MODULE).version


@pytest.mark.parametrize("text, meant", IN_QUOTES)
def test_an_option_may_be_answered_in_quotes_and_a_file_may_not(text, meant):
    assert constraint.parse_version_spec(text) == constraint.parse_version_spec(meant)
    assert hint(text, suggestions.FILE) == "write %s" % meant
    assert hint(text, suggestions.MODULE) == (
        'write "%s"' % meant if meant != "latest" else suggestions.EXAMPLES[suggestions.MODULE]
    )


@pytest.mark.parametrize("text", ["''", '"  "', "'1.10", "''1.10.5''", "'\"1.10.5\"'", "'", "'1.10.5\""])
def test_of_quotes_one_pair_is_taken_off_and_something_has_to_be_in_it(text):
    assert hint(text, suggestions.OPTION)


@pytest.mark.parametrize("text", NEWEST)
def test_latest_is_never_offered_to_a_module(text):
    assert hint(text, suggestions.OPTION) == "write 'latest'" and hint(text, suggestions.FILE) == "write latest"
    assert (
        hint(text, suggestions.MODULE) == suggestions.EXAMPLES[suggestions.MODULE]
        and "latest" not in suggestions.EXAMPLES[suggestions.MODULE]
    )


@pytest.mark.parametrize("text", NOTHING)
def test_where_nothing_is_likely_there_are_examples(text):
    for place in (suggestions.OPTION, suggestions.FILE):
        assert hint(text, place) == suggestions.EXAMPLES[place]
    assert "'" not in suggestions.EXAMPLES[suggestions.FILE] and '"' not in suggestions.EXAMPLES[suggestions.FILE]


@pytest.mark.parametrize(
    "value, words",
    [
        (1.1, "as '~> 1.1.0' or '~> 1.10.0'"),
        (1.11, "as '~> 1.11.0'"),
        (1, "as '~> 1.0'"),
        (0.12, "as '~> 0.12.0'"),
    ],
)
def test_the_hint_for_a_number_names_yaml(value, words):
    with pytest.raises(
        _errors.RequestError, match="is the number %s, and YAML reads an unquoted 1.10 as 1.1" % value
    ) as caught:
        constraint.parse_version_spec(value)
    assert caught.value.hint == "write it in quotes, " + words


@pytest.mark.parametrize(
    "text, reported", [("1.1", True), ("1.9", True), ("1.10", False), ("v1.1", False), ("1.11", False), ("1", False)]
)
def test_the_hint_for_a_text_names_yaml_only_if_it_may_have_been_a_number(text, reported):
    """Templates of older cores make the text 1.1 of the number 1.10; nothing makes 1.10 of it."""
    assert ("YAML" in hint(text, suggestions.OPTION)) == reported


@pytest.mark.parametrize("value", [-1.5, 1e30, float("inf")])
def test_for_a_number_that_no_version_begins_with_there_are_examples(value):
    assert hint(value, suggestions.OPTION) == suggestions.EXAMPLES[suggestions.OPTION]


def test_property_what_is_offered_is_taken():
    from support.properties import hypothesis

    some = hypothesis.strategies
    pieces = some.lists(
        some.sampled_from(
            [
                "1",
                "0",
                "10",
                ".",
                ".",
                "x",
                "*",
                "^",
                "~",
                ">",
                "=",
                "<",
                "!",
                " ",
                ",",
                "v",
                "-",
                "rc1",
                "latest",
                '"',
                "terraform ",
                "\u2265",
            ]
        ),
        max_size=12,
    ).map("".join)

    @hypothesis.example("^\u22651", suggestions.OPTION)
    @hypothesis.given(
        some.one_of(pieces, some.text(max_size=30)),
        some.sampled_from([suggestions.OPTION, suggestions.FILE, suggestions.MODULE]),
    )
    def check(text, place):
        try:
            constraint.parse_version_spec(text, place)
        except _errors.RequestError as refusal:
            assert refusal.hint and refusal.hint.isprintable()
        for one in suggestions.guess_meaning(text, place, lambda each: True):
            assert set(one) <= set("0123456789.,<>=!~ -abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ^"), one

    check()
