# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses a requested version: exact, ``latest``, ``all``, ``previous``, or a constraint. Decides which versions match it.

Constraints have the same meaning as in Terraform, which uses https://pkg.go.dev/github.com/hashicorp/go-version. Its
surprising rules are kept and explained in place. There is one difference: a constraint without a pre-release never
allows one, not even ``!=``, and one with a pre-release allows only pre-releases of the same three numbers.
"""

import re
from typing import Any, List, NamedTuple, Optional, Tuple

from .._errors import RequestError
from . import suggestions
from .version import coerce_text, components, is_exact, parse_exact, unquoted

TEXT_LIMIT = 2048  # characters; one text may join the constraints of many files

_LARGEST = 2**63 - 1  # the largest number: go-version uses int64
_OPERATOR = re.compile("[<>=!~,]")
_TERM = re.compile(
    "(?P<operator>[<>!]=|~>|[<>=]|)\\s*v?(?P<numbers>[0-9]+(?:[.][0-9]+)*)"
    # A pre-release that starts with a letter needs no dash before it; in "1.0-", the dash is the pre-release.
    "(?:-(?P<digits>[0-9][0-9A-Za-z~-]*(?:[.][0-9A-Za-z~-]+)*)|-?(?P<word>[A-Za-z~-][0-9A-Za-z~-]*(?:[.][0-9A-Za-z~-]+)*))?"
    r"(?:[+][0-9A-Za-z~-]+(?:[.][0-9A-Za-z~-]+)*)?\Z"
)
_INTEGER = re.compile(r"-?[0-9]+\Z")


class Comparison(NamedTuple):
    """One comparison in a constraint."""

    operator: str  # = != > >= < <= ~>
    numbers: Tuple[int, ...]  # at least three: zeros fill in for missing ones
    written: int  # how many numbers were written
    pre_release: str  # "" for none


ALL = "all"
PREVIOUS = "previous"


class VersionSpec(NamedTuple):
    """The version that the user requested."""

    text: str  # as written
    version: Optional[str]  # the only possible version; None: to be chosen among the allowed ones
    terms: Tuple[
        Comparison, ...
    ]  # each must allow a version; empty for a word (latest, all, previous) and an exact version

    @property
    def is_latest(self) -> bool:
        return self.version is None and not self.terms and not (self.is_all or self.is_previous)

    @property
    def is_all(self) -> bool:
        """Whether this means all versions, for a removal of everything that the collection manages."""
        return self.version is None and self.text == ALL

    @property
    def is_previous(self) -> bool:
        """Whether this means the version that the link pointed to before, which only the host knows."""
        return self.version is None and self.text == PREVIOUS

    def allows(self, version: str) -> bool:
        """Whether an exact version is allowed. ``latest`` allows any final release, ``all`` and ``previous`` any version.

        :param version: str, exact.
        :raises RequestError: the version is not exact.
        """
        if self.version is not None:
            return parse_exact(version) == self.version
        if not self.terms:
            return not self.is_latest or not components(version)[1]
        return all(_allows(term, *components(version)) for term in self.terms)


def parse_version_spec(value: Any, place: str = suggestions.OPTION) -> VersionSpec:
    """Parse a requested version. Spaces around it, around its parts, and after an operator are ignored.

    :param value: str, or what YAML made of it.
    :param place: where it comes from: OPTION, FILE or MODULE of suggestions.py. In a MODULE each part is a constraint,
        so ``1.10`` means ``= 1.10.0``. An OPTION may be enclosed in quotes.
    :returns: VersionSpec. A constraint with ``=`` names its only version, so that nothing has to be looked up.
    :raises RequestError: the text is none of the three, or a constraint that no version can match; the hint says what
        to write.
    """
    text = coerce_text(value)
    if place == suggestions.OPTION:
        text = unquoted(text)
    if len(text) > TEXT_LIMIT:
        raise RequestError(
            "version %s... has %d characters, more than %d" % (ascii(text[:20]), len(text), TEXT_LIMIT),
            hint=suggestions.EXAMPLES[place],
        )
    if isinstance(value, (int, float)):
        raise RequestError(
            "version is the number %s, and YAML reads an unquoted 1.10 as 1.1" % text, hint=_of_number(text)
        )
    try:
        return _parse_spec(text, place)
    except RequestError as exc:
        # Templates in older ansible-core turn a number into a string.
        exc.hint = (
            _of_number(text) + ": YAML reads an unquoted 1.10 as 1.1"
            if (place == suggestions.OPTION and suggestions.may_lack_zero(text))
            else suggestions.suggest_version(text, place, _is_good)
        )
        raise


def _of_number(text: str) -> str:
    found = " or ".join("'%s'" % one for one in suggestions.of_number(text))
    return "write it in quotes, as %s" % found if found else suggestions.EXAMPLES[suggestions.OPTION]


def _is_good(text: str) -> bool:
    try:
        return bool(_parse_spec(text, suggestions.OPTION))
    except RequestError:
        return False


def _parse_spec(text: str, place: str) -> VersionSpec:
    if text == "latest" and place != suggestions.MODULE or text in (ALL, PREVIOUS) and place == suggestions.OPTION:
        return VersionSpec(text, None, ())
    if place != suggestions.MODULE and not _OPERATOR.search(text):
        return VersionSpec(text, parse_exact(text), ())
    terms = tuple(_parse_comparison(part.strip(), text) for part in text.split(","))
    named = next((term for term in terms if term.operator == "="), None)
    if named is None:
        return VersionSpec(text, None, terms)
    version = _describe_comparison(named)
    if version is None or not all(_allows(term, *components(version)) for term in terms):
        raise RequestError(
            "version %s can be no version: %s"
            % (ascii(text), "its parts exclude each other" if version else "none is published in that form")
        )
    return VersionSpec(text, version, ())


def _parse_comparison(part: str, text: str) -> Comparison:
    found = _TERM.match(part)
    if found is None:
        where = "" if part == text else ", in its part %s" % ascii(part[:40])
        raise RequestError("version %s is not a constraint%s" % (ascii(text[:100]), where))
    numbers = found.group("numbers").split(".")
    if max(map(int, numbers)) > _LARGEST:
        raise RequestError("version %s has a number above %d" % (ascii(text[:100]), _LARGEST))
    padded = tuple(map(int, numbers)) + (0,) * (3 - len(numbers))
    return Comparison(
        found.group("operator") or "=", padded, len(numbers), found.group("digits") or found.group("word") or ""
    )


def _describe_comparison(term: Comparison) -> Optional[str]:
    """Return the only version that an ``=`` allows, or None if no version is published in that form."""
    version = "%d.%d.%d" % term.numbers[:3]
    if term.pre_release and len(term.numbers) == 3:  # with more numbers it is ignored: see _compare
        version = "%s-%s" % (version, term.pre_release)
    if any(term.numbers[3:]) or not is_exact(version):
        return None
    return version


def _allows(term: Comparison, numbers: Tuple[int, ...], pre_release: str) -> bool:
    """Whether a comparison allows the version with these components."""
    if pre_release and not (term.pre_release and term.numbers == numbers):
        return False
    found = _compare(numbers, pre_release, term.numbers, term.pre_release)
    if term.operator == "~>":
        # All written numbers but the last must be equal, so "~> 1" is ">= 1.0.0" without an upper limit. With more
        # numbers than a version has, it allows nothing. With a pre-release, it does not allow the final release.
        return (
            found >= 0
            and len(term.numbers) <= len(numbers)
            and bool(pre_release) == bool(term.pre_release)
            and numbers[: term.written - 1] == term.numbers[: term.written - 1]
        )
    return {
        "=": found == 0,
        "!=": found != 0,
        ">": found > 0,
        ">=": found >= 0,
        "<": found < 0,
        "<=": found <= 0,
    }[term.operator]


def _compare(numbers: Tuple[int, ...], pre_release: str, others: Tuple[int, ...], other_pre_release: str) -> int:
    """Return -1, 0 or 1 if the first version is lower, equal or higher."""
    if numbers != others:
        # With different lengths, zeros fill in for missing numbers, and pre-releases are ignored.
        length = max(len(numbers), len(others))
        numbers, others = (parts + (0,) * (length - len(parts)) for parts in (numbers, others))
        return (numbers > others) - (numbers < others)
    if pre_release == other_pre_release:
        return 0
    if not pre_release or not other_pre_release:
        return -1 if pre_release else 1
    return _compare_pre_releases(pre_release.split("."), other_pre_release.split("."))


def _compare_pre_releases(parts: List[str], others: List[str]) -> int:
    """Compare by the first identifier that differs.

    This is not quite Semantic Versioning: a missing identifier is lower than a number but higher than a word (rc is
    higher than rc.a). So this is not a total order, and the newest version is chosen with version.sort_key.
    """
    for number in range(max(len(parts), len(others))):
        part, other = ((some[number] if number < len(some) else "") for some in (parts, others))
        if part == other:
            continue
        if not part:
            return 1 if _number(other) is None else -1
        if not other:
            return -1 if _number(part) is None else 1
        return _compare_identifiers(part, other)
    return 0


def _compare_identifiers(part: str, other: str) -> int:
    """Compare two different identifiers: numbers by value and below words, words by ASCII."""
    value, other_value = _number(part), _number(other)
    if value is not None and other_value is not None:
        return 1 if value > other_value else -1
    if value is None and other_value is None:
        return 1 if part > other else -1
    return -1 if other_value is None else 1


def _number(part: str) -> Optional[int]:
    """Return an identifier as an int64, as go-version does; None for a word, or if it does not fit."""
    value = int(part) if _INTEGER.match(part) else None
    return value if value is not None and -_LARGEST - 1 <= value <= _LARGEST else None
