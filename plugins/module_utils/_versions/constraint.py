# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook may ask for: an exact version, ``latest``, ``all``, or a constraint; and which versions each allows.

Constraints mean what they mean to Terraform, whose library is https://pkg.go.dev/github.com/hashicorp/go-version; its
ways that surprise are kept and named where they are. One is not: a constraint without a pre-release never allows one,
not even ``!=``, and one with a pre-release allows only pre-releases of the same three numbers.
"""

import re
from typing import Any, List, NamedTuple, Optional, Tuple

from .._errors import RequestError
from . import suggestions
from .version import coerce_text, components, is_exact, parse_exact, unquoted

TEXT_LIMIT = 2048  # characters; constraints of many files may come in one text

_LARGEST = 2**63 - 1  # of a number: go-version keeps them in an int64
_OPERATOR = re.compile("[<>=!~,]")
_TERM = re.compile(
    "(?P<operator>[<>!]=|~>|[<>=]|)\\s*v?(?P<numbers>[0-9]+(?:[.][0-9]+)*)"
    # A pre-release that begins with a letter needs no dash before it; the dash of "1.0-" is one itself.
    "(?:-(?P<digits>[0-9][0-9A-Za-z~-]*(?:[.][0-9A-Za-z~-]+)*)|-?(?P<word>[A-Za-z~-][0-9A-Za-z~-]*(?:[.][0-9A-Za-z~-]+)*))?"
    r"(?:[+][0-9A-Za-z~-]+(?:[.][0-9A-Za-z~-]+)*)?\Z"
)
_INTEGER = re.compile(r"-?[0-9]+\Z")


class Comparison(NamedTuple):
    """One comparison of a constraint."""

    operator: str  # = != > >= < <= ~>
    numbers: Tuple[int, ...]  # at least three: zeros stand for those that were not written
    written: int  # how many were written
    pre_release: str  # "" for none


ALL = "all"


class VersionSpec(NamedTuple):
    """What was asked for."""

    text: str  # as written
    version: Optional[str]  # the only one that it can be; None: to be chosen among those that it allows
    terms: Tuple[Comparison, ...]  # all of them have to allow a version; none for latest, all, and an exact version

    @property
    def is_latest(self) -> bool:
        return self.version is None and not self.terms and not self.is_all

    @property
    def is_all(self) -> bool:
        """Whatever there is, for a removal of everything that is ours."""
        return self.version is None and self.text == ALL

    def allows(self, version: str) -> bool:
        """Whether an exact version may be chosen: ``latest`` takes any final release, ``all`` any, the rest what matches.

        :raises RequestError: the version is not exact.
        """
        if self.version is not None:
            return parse_exact(version) == self.version
        if not self.terms:
            return self.is_all or not components(version)[1]
        return all(_allows(term, *components(version)) for term in self.terms)


def parse_version_spec(value: Any, place: str = suggestions.OPTION) -> VersionSpec:
    """What a text asks for. Blanks around it, around its parts, and between an operator and its version mean nothing.

    :param value: str, or what YAML made of it.
    :param place: where it stands, of _slips: in a MODULE each part is a constraint, so that ``1.10`` means ``= 1.10.0``.
    :returns: Wanted. An ``=`` names its only version: nobody has to look for it. An OPTION may have been answered in quotes.
    :raises RequestError: none of the three, or a constraint that no version can match; with what to write there.
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
        # Templates of older cores make a text of a number.
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
    if text == "latest" and place != suggestions.MODULE or text == ALL and place == suggestions.OPTION:
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
    """The only version that an ``=`` allows; None when no version is published in that form."""
    version = "%d.%d.%d" % term.numbers[:3]
    if term.pre_release and len(term.numbers) == 3:  # with more numbers it does not count: see _compare
        version = "%s-%s" % (version, term.pre_release)
    if any(term.numbers[3:]) or not is_exact(version):
        return None
    return version


def _allows(term: Comparison, numbers: Tuple[int, ...], pre_release: str) -> bool:
    """Whether a term allows the version of these parts."""
    if pre_release and not (term.pre_release and term.numbers == numbers):
        return False
    found = _compare(numbers, pre_release, term.numbers, term.pre_release)
    if term.operator == "~>":
        # All numbers but the last one written have to be the same; so "~> 1" is ">= 1.0.0" and has no upper end. With
        # more numbers than a version has it allows nothing; with a pre-release it does not reach the final one.
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
    """-1, 0 or 1, as the first version is lower, equal or higher."""
    if numbers != others:
        # Of different length: zeros stand for what is missing, and pre-releases do not count any more.
        length = max(len(numbers), len(others))
        numbers, others = (parts + (0,) * (length - len(parts)) for parts in (numbers, others))
        return (numbers > others) - (numbers < others)
    if pre_release == other_pre_release:
        return 0
    if not pre_release or not other_pre_release:
        return -1 if pre_release else 1
    return _compare_pre_releases(pre_release.split("."), other_pre_release.split("."))


def _compare_pre_releases(parts: List[str], others: List[str]) -> int:
    """The first identifier that differs decides.

    Not quite Semantic Versioning: a missing identifier is lower than a number, and higher than a word (rc is higher
    than rc.a). So this is no order, and choosing the newest is left to _versions.order.
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
    """Two different identifiers: numbers as numbers and below words, words by ASCII."""
    value, other_value = _number(part), _number(other)
    if value is not None and other_value is not None:
        return 1 if value > other_value else -1
    if value is None and other_value is None:
        return 1 if part > other else -1
    return -1 if other_value is None else 1


def _number(part: str) -> Optional[int]:
    """An identifier as go-version's int64 has it; None for a word, and for what does not fit."""
    value = int(part) if _INTEGER.match(part) else None
    return value if value is not None and -_LARGEST - 1 <= value <= _LARGEST else None
