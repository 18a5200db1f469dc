# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a version may ask for, and what each constraint allows: by examples, and against a model of another shape."""

import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions import constraint, suggestions
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions import version as version_module

VERSIONS = (
    "0.9.11",
    "1.0.0",
    "1.9.8",
    "1.9.9",
    "1.10.0-rc1",
    "1.10.0",
    "1.10.1",
    "1.11.0-alpha1",
    "1.11.0-rc1",
    "1.11.0",
    "2.0.0",
)
FINAL = [version for version in VERSIONS if "-" not in version]


def allowed(text, versions=VERSIONS):
    wanted = constraint.parse_version_spec(text)
    return [version for version in versions if wanted.allows(version)]


def from_(first):
    return FINAL[FINAL.index(first) :]


def up_to(last):
    return FINAL[: FINAL.index(last) + 1]


# operator and operand -> what is allowed of VERSIONS
EXAMPLES_OF_OPERATORS = [
    # =, and nothing in its place within a list
    ("= 1.10.0", ["1.10.0"]),
    ("= 1.10", ["1.10.0"]),
    ("= 1", ["1.0.0"]),
    ("= v1.10", ["1.10.0"]),
    ("=1.10.0-rc1", ["1.10.0-rc1"]),
    ("= 1.10rc1", ["1.10.0-rc1"]),
    ("= 1.10.0.0", ["1.10.0"]),
    ("= 1.10.0+meta", ["1.10.0"]),
    ("= 01.010", ["1.10.0"]),
    ("1.10, != 3", ["1.10.0"]),
    ("= 1.12", []),
    # !=
    ("!= 1.10.0", [version for version in FINAL if version != "1.10.0"]),
    ("!= 1.10", [version for version in FINAL if version != "1.10.0"]),
    ("!= 1", [version for version in FINAL if version != "1.0.0"]),
    ("!= 1.10.0-rc1", FINAL),
    ("!= 1.11.0-rc1", sorted(FINAL + ["1.11.0-alpha1"], key=VERSIONS.index)),
    ("!= 1.10.0.0", [v for v in FINAL if v != "1.10.0"]),
    ("!= 1.10.0.1", FINAL),
    # >, >=
    ("> 1.10.0", from_("1.10.1")),
    ("> 1.10", from_("1.10.1")),
    ("> 1", from_("1.9.8")),
    (">1.10.0-alpha", ["1.10.0-rc1"] + from_("1.10.0")),
    ("> 1.10.0-rc1", from_("1.10.0")),
    ("> 1.10.0.5", from_("1.10.1")),
    ("> 2", []),
    (">= 1.10.0", from_("1.10.0")),
    (">= 1.10", from_("1.10.0")),
    (">= 1", from_("1.0.0")),
    (">= 1.10.0-rc1", ["1.10.0-rc1"] + from_("1.10.0")),
    (">= 1.10.0.5", from_("1.10.1")),
    (">= v1.10-rc1", ["1.10.0-rc1"] + from_("1.10.0")),
    (">= 2.0.1", []),
    # <, <=
    ("< 1.10.0", up_to("1.9.9")),
    ("< 1.10", up_to("1.9.9")),
    ("< 1", ["0.9.11"]),
    ("< 1.10.0-rc2", up_to("1.9.9") + ["1.10.0-rc1"]),
    ("< 1.10.0-rc1", up_to("1.9.9")),
    ("< 1.10.0.5", up_to("1.10.0")),
    ("< 0.9.11", []),
    ("<= 1.10.0", up_to("1.10.0")),
    ("<= 1.10", up_to("1.10.0")),
    ("<= 1", up_to("1.0.0")),
    ("<= 1.10.0-rc1", up_to("1.9.9") + ["1.10.0-rc1"]),
    ("<= 1.10.0.5", up_to("1.10.0")),
    # ~>
    ("~> 1.9.8", ["1.9.8", "1.9.9"]),
    ("~> 1.9.9", ["1.9.9"]),
    ("~> 1.9", ["1.9.8", "1.9.9", "1.10.0", "1.10.1", "1.11.0"]),
    ("~> 1.10", ["1.10.0", "1.10.1", "1.11.0"]),
    ("~> 1", from_("1.0.0")),
    ("~> 0", FINAL),
    ("~> 1.10.0-rc1", ["1.10.0-rc1"]),
    ("~> 1.11.0-alpha1", ["1.11.0-alpha1", "1.11.0-rc1"]),
    ("~> 1.11-alpha1", ["1.11.0-alpha1", "1.11.0-rc1"]),
    ("~> 1.9.8.1", []),
    ("~> 1.9.8.0", []),
    # commas
    (">= 1.9, < 1.10", ["1.9.8", "1.9.9"]),
    (">=1.9,<1.10,!=1.9.8", ["1.9.9"]),
    (">= 1.10.0-rc1, < 2.0", from_("1.10.0")[:-1]),
    (">= 1.11.0-alpha1, != 1.11.0-alpha1", ["1.11.0-rc1", "1.11.0", "2.0.0"]),
    ("> 2, < 1", []),
    (" > 1.10 ,\t< 2 ", ["1.10.1", "1.11.0"]),
]


@pytest.mark.parametrize("text, expected", EXAMPLES_OF_OPERATORS)
def test_what_a_constraint_allows(text, expected):
    assert allowed(text) == expected


@pytest.mark.parametrize("text", ["latest", " latest", "latest\n"])
def test_latest_allows_final_releases(text):
    wanted = constraint.parse_version_spec(text)
    assert wanted.is_latest and wanted.version is None and allowed(text) == FINAL


def test_previous_is_any_version():
    wanted = constraint.parse_version_spec(" previous\n")
    assert wanted.is_previous and not (wanted.is_latest or wanted.is_all) and wanted.version is None
    assert allowed("previous") == list(VERSIONS)
    assert not any(constraint.parse_version_spec(text).is_previous for text in ("latest", "all", "~> 1", "1.13.4"))
    for text, place in (
        ("Previous", suggestions.OPTION),
        ("previous", suggestions.FILE),
        ("previous", suggestions.MODULE),
        ("previous, < 2", suggestions.OPTION),
    ):
        with pytest.raises(_errors.RequestError):
            constraint.parse_version_spec(text, place)


def test_all_is_any_version():
    wanted = constraint.parse_version_spec(" all\n")
    assert wanted.is_all and not wanted.is_latest and wanted.version is None and allowed("all") == list(VERSIONS)
    assert not constraint.parse_version_spec("latest").is_all and not constraint.parse_version_spec("~> 1").is_all
    for text, place in (
        ("ALL", suggestions.OPTION),
        ("all", suggestions.FILE),
        ("all", suggestions.MODULE),
        ("all, < 2", suggestions.OPTION),
    ):
        with pytest.raises(_errors.RequestError):
            constraint.parse_version_spec(text, place)


@pytest.mark.parametrize(
    "text, version",
    [
        ("1.13.4", "1.13.4"),
        ("v1.13.4", "1.13.4"),
        ("1.14.0-rc1", "1.14.0-rc1"),
        ("= 1.10", "1.10.0"),
        ("= 1.10.5, < 2", "1.10.5"),
        ("1.10, != 1.9", "1.10.0"),
        ("= 1.10.0, = 1.10", "1.10.0"),
        ("= 1.0.0.0-rc1", "1.0.0"),
    ],
)
def test_what_names_one_version_does_not_have_to_be_looked_for(text, version):
    wanted = constraint.parse_version_spec(text)
    assert (wanted.version, wanted.terms, wanted.is_latest) == (version, (), False)
    assert wanted.allows(version) and not wanted.allows("0.0.1")


@pytest.mark.parametrize("text", ["~> 1.13.0", ">= 1.9, < 2.0", "!= 1.0.0", "> 1", "<= 2"])
def test_what_has_to_be_chosen(text):
    wanted = constraint.parse_version_spec(text)
    assert wanted.version is None and wanted.terms and not wanted.is_latest and wanted.text == text


@pytest.mark.parametrize(
    "text, version",
    [
        ("1.10", "1.10.0"),
        ("v1.10", "1.10.0"),
        ("1", "1.0.0"),
        ("1.10.5+ent", "1.10.5"),
        ("01.10.5", "1.10.5"),
        ("1.10.5.0", "1.10.5"),
    ],
)
def test_in_a_module_each_part_is_a_constraint(text, version):
    assert constraint.parse_version_spec(text, suggestions.MODULE).version == version
    with pytest.raises(_errors.RequestError):
        constraint.parse_version_spec(text)


@pytest.mark.parametrize("blank", [" ", "\n", "\r\n", "\t", "\u00a0", "\u2003", "\u3000", " \n\t"])
def test_blanks_mean_nothing(blank):
    """Around a version, around the parts of a constraint, and between an operator and its version."""
    for text in ("1.10.0", "~> 1.9", ">= 1.9 , < 2", "latest", "= v1.10"):
        parts = text.split(" ")
        assert allowed(blank + blank.join(parts) + blank) == allowed(text)
    assert constraint.parse_version_spec(blank + "1.10.0" + blank).text == "1.10.0"


@pytest.mark.parametrize("text", ["1. 10.0", "1.10 .0", "~ > 1.9", "> = 1.9", "~> v 1.9", "lat est", ">= 1.9 < 2"])
def test_blanks_inside_of_a_version_or_an_operator_are_refused(text):
    with pytest.raises(_errors.RequestError):
        constraint.parse_version_spec(text)


@pytest.mark.parametrize(
    "text",
    [
        ">= 1.x",
        "~> 1.9.*",
        "> ",
        "=",
        "~>",
        ",",
        "1.0.0,",
        ", 1.0.0",
        ">= 1.9 < 2.0",
        ">= 1.9 || < 2",
        "=> 1.9",
        "== 1.9",
        "=< 1.9",
        "> = 1.9",
        "~ 1.9",
        "~1.9",
        "!1.9",
        "<> 1.9",
        ">= latest",
        "latest, < 2",
        "~> \u0661.0",
        "> 1.0.0\0",
        ">= 1..0",
        ">= 1.0.",
        ">= .1",
        ">= 1.0-a..b",
        ">= 1.0+",
        "^1.9",
        "1.x",
        "*",
        "newest",
        ">= v",
        "> 9223372036854775808.0",
        "= 1.0.0-01",
        "= 1.0.0.1",
        "= 1.0.0-a~",
        "= 1.0, = 1.1",
        "= 1.0.0-rc1, != 1.1",
        "1.0.0, > 2",
        "= 1.0.0-" + "a" * 64,
        "> 1.0" + ", > 1.0" * 400,
    ],
)
def test_what_is_refused(text):
    with pytest.raises(_errors.RequestError) as caught:
        constraint.parse_version_spec(text)
    message = str(caught.value)
    assert message.startswith("version ") and caught.value.hint and len(message) < 250
    assert all(" " <= character <= "~" for character in message)


@pytest.mark.parametrize("text", ["= 1.0.0.1", "= 1.0.0-01", "= 1.0.0-a~"])
def test_what_is_never_published_is_reported_as_that(text):
    with pytest.raises(_errors.RequestError, match="none is published in that form"):
        constraint.parse_version_spec(text)


def test_the_part_that_is_wrong_is_named():
    with pytest.raises(_errors.RequestError, match="in its part '=> 2'"):
        constraint.parse_version_spec(">= 1.9, => 2, != 1.10")


# The comparison of pre-releases is the library's, not that of Semantic Versioning: pairs (lower, higher).
@pytest.mark.parametrize(
    "lower, higher",
    [
        ("1", "2"),
        ("2", "10"),
        ("10", "a"),
        ("a", "b"),
        ("A", "a"),
        ("rc1", "rc2"),
        ("rc10", "rc9"),
        ("a.1", "a.2"),
        ("a.1", "a.b"),
        ("a", "a.1"),
        ("a.b", "a"),
        ("-5", "1"),
        ("alpha-20220328", "alpha20220413"),
    ],
)
def test_pre_releases(lower, higher):
    lower, higher = "1.0.0-" + lower, "1.0.0-" + higher
    assert allowed("> " + lower, [lower, higher]) == [higher]
    assert allowed("< " + higher, [lower, higher]) == [lower]
    assert allowed("<= " + lower, [lower, higher]) == [lower]
    assert allowed(">= " + higher, [lower, higher]) == [higher]


def test_the_published_ones_of_a_core(genuine):
    with open(os.path.join(genuine, "versions", "terraform_git_tags.txt")) as file:
        versions = file.read().split()
    assert allowed("~> 0.12.0-alpha1", versions) == [version for version in versions if version.startswith("0.12.0-")]
    assert allowed("> 0.12.0-dev, < 0.12.1", versions) == ["0.12.0"], "two parts without a pre-release allow none"
    assert allowed("= 0.12.0-dev20190520H16", versions) == ["0.12.0-dev20190520H16"]
    assert allowed("~> 1.2.0-alpha-1", versions) == [version for version in versions if version.startswith("1.2.0-")]
    assert not [version for version in allowed("!= 1.0.0", versions) if "-" in version]


class Model:
    """The same rules as intervals: a constraint is a range of keys, and a place where the final ones or one core's
    pre-releases are let in. Only for pre-releases of one word each, where the library's order is one."""

    @staticmethod
    def key(numbers, word):
        """A sort key: a final release comes after its pre-releases, numbers before words."""
        rank = (2, 0, "") if not word else (0, int(word), "") if word.isdigit() else (1, 0, word)
        return tuple(numbers) + rank

    def __init__(self, operator, numbers, word):
        self.core = (tuple(numbers) + (0, 0))[:3]
        self.word = word
        own = self.key(self.core, word)
        least, most = (-1,), (float("inf"),)
        if operator == "~>" and len(numbers) > 1:
            upper = numbers[:-1]
            most = tuple(upper[:-1]) + (upper[-1] + 1,)
        self.inside = {
            "=": lambda key: key == own,
            "!=": lambda key: key != own,
            ">": lambda key: own < key < most,
            "<": lambda key: least < key < own,
            ">=": lambda key: own <= key < most,
            "<=": lambda key: least < key <= own,
            "~>": lambda key: own <= key < most and (not word or key[3] != 2),
        }[operator]

    def allows(self, numbers, word):
        return (not word or bool(self.word) and self.core == numbers) and self.inside(self.key(numbers, word))


def test_property_constraints_are_ranges():
    from support.properties import hypothesis

    some = hypothesis.strategies
    number = some.integers(0, 3)
    word = some.sampled_from(["", "", "", "0", "1", "9", "10", "alpha", "beta1", "rc", "rc1", "rc10", "Z"])
    term = some.tuples(
        some.sampled_from(["=", "!=", ">", ">=", "<", "<=", "~>"]), some.lists(number, min_size=1, max_size=3), word
    )
    version = some.tuples(some.tuples(number, number, number), word)
    blank = some.sampled_from(["", " ", "  "])

    @hypothesis.given(some.lists(term, min_size=1, max_size=3), some.lists(version, min_size=1, max_size=3), blank)
    def check(terms, versions, between):
        text = ",".join(
            "%s%s%s%s%s" % (between, operator, between, ".".join(map(str, numbers)), word and "-" + word)
            for operator, numbers, word in terms
        )
        models = [Model(*term) for term in terms]
        try:
            wanted = constraint.parse_version_spec(text)
        except _errors.RequestError as refusal:
            assert "exclude each other" in str(refusal) and any(operator == "=" for operator, _numbers, _word in terms)
            wanted = None
        for numbers, word in versions:
            exact = "%d.%d.%d" % numbers + (word and "-" + word)
            expected = all(model.allows(numbers, word) for model in models)
            assert (wanted is not None and wanted.allows(exact)) == expected, (text, exact)

    check()


def test_property_no_text_is_anything_else():
    from support.properties import hypothesis

    some = hypothesis.strategies
    alphabet = some.text("0123456789.-v+ \t,rc<>=!~^*A\u0661\0\n", max_size=30)

    @hypothesis.given(
        some.one_of(alphabet, some.text(max_size=30)),
        some.sampled_from([suggestions.OPTION, suggestions.FILE, suggestions.MODULE]),
    )
    def check(text, place):
        try:
            wanted = constraint.parse_version_spec(text, place)
        except _errors.RequestError as refusal:
            assert refusal.hint and str(refusal).isprintable()
            return
        plain = version_module.unquoted(text.strip()) if place == suggestions.OPTION else text.strip()
        assert wanted.text == plain and (wanted.version is None or wanted.allows(wanted.version))
        assert all(isinstance(wanted.allows(version), bool) for version in VERSIONS)

    check()
