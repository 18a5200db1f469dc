# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guesses what an invalid version was meant to be, and says how to write it.

Other tools have other notations: npm ``^1.9``, pip ``1.9.*``, a line of .tool-versions. This is only advice: each
suggestion is valid in the normal grammar, and the user still has to write it.
"""

import re
from typing import Callable, List

OPTION, FILE, MODULE = "option", "file", "module"  # where a version comes from; module: required_version in HCL or JSON

_NEWEST = frozenset(("*", "x", "any", "current", "last", "latest", "lts", "newest", "stable"))
_OPERATORS = {
    "=>": ">=",
    "=<": "<=",
    "==": "=",
    "===": "=",
    "<>": "!=",
    "=!": "!=",
    ">~": "~>",
    "=~": "~>",
    "~=": "~>",
    "~>=": "~>",
    "\u2265": ">=",
    "\u2264": "<=",
    "\u2260": "!=",
}
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
_BEFORE = re.compile(
    r"(?:terraform\s*\{)?\s*(?:terraform|tf|required_version|terraform_version|version)(?:\s*[=:](?![=<>~])|[\s@_-])\s*",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[,;]|&&|\band\b|(?<=[0-9A-Za-z*])\s+(?=[<>=!~^])", re.IGNORECASE)
_COMMAS = re.compile(r"[0-9]+(?:,[0-9]+){1,2}\Z")  # in place of dots
_PART = re.compile(
    "(?P<operator>[<>=!~^\u2264\u2265\u2260\\s]*)v?(?P<numbers>[0-9]+(?:[.,_][0-9]+)*)(?P<wild>(?:[.]?[*x])*)[.]*"
    r"(?P<rest>(?:[-]?[a-z][0-9a-z.-]*)?)\Z",
    re.IGNORECASE,
)
EXAMPLES = {  # hints with valid examples for each place
    OPTION: "write one version, such as '1.10.5', or latest, or a constraint, such as '~> 1.10.0' or '>= 1.9, < 2.0'",
    FILE: "write one version bare, such as 1.10.5, or latest, or a constraint, such as ~> 1.10.0",
    MODULE: 'write a constraint, such as "~> 1.10.0" or ">= 1.9, < 2.0"',
}
_WRITTEN = {OPTION: "'%s'", FILE: "%s", MODULE: '"%s"'}


def suggest_version(text: str, place: str, is_good: Callable[[str], bool]) -> str:
    """Return a hint that says what to write in place of a refused text.

    :param text: str, as it was written.
    :param place: OPTION, FILE or MODULE: a file has no quotes, and a module does not allow ``latest``.
    :param is_good: callable(text) -> bool, whether the text is a valid version or constraint.
    :returns: str, a hint.
    """
    found = guess_meaning(text, place, is_good)
    return "write %s" % " or ".join(_WRITTEN[place] % one for one in found) if found else EXAMPLES[place]


def guess_meaning(text: str, place: str, is_good: Callable[[str], bool]) -> List[str]:
    """Return what a text probably means: list of str, the most likely first; empty if nothing is likely.

    :param text, place, is_good: as for suggest_version().
    """
    plain = strip_quotes(text)
    if _COMMAS.match(plain):
        plain = plain.replace(",", ".")
    if plain.lower() in _NEWEST:
        return [] if place == MODULE else ["latest"]
    alternatives: List[List[str]] = [[]]
    for part in _BETWEEN.split(plain):
        if part.strip() and part.strip(" <>=!~^\t").lower() not in _NEWEST:  # the newest match is chosen anyway
            readings = _read_part(part.strip())
            alternatives = [before + [one] for before in alternatives for one in readings][:2]
    found = [", ".join(parts) for parts in alternatives if parts]
    return [one for one in found if is_good(one) and one != text.strip()]


def strip_quotes(text: str) -> str:
    """Strip comments, a leading name such as ``terraform_version =``, and quotes from a text."""
    text = text.partition("#")[0].strip()
    plain = _BEFORE.sub("", text.rstrip("} \t"), count=1) if _BEFORE.match(text) else text
    return plain.strip().strip(_QUOTES).strip()


def of_number(text: str) -> List[str]:
    """Return what may have been written if YAML made a number of it: list of str; empty if no version starts like that.

    :param text: str, of an int or a float, ``1`` or ``1.1``.
    """
    if not re.match(r"[0-9]+(?:[.][0-9]+)?\Z", text):
        return []
    return ["~> %s.0" % text] + (["~> %s0.0" % text] if may_lack_zero(text) else [])


def may_lack_zero(text: str) -> bool:
    """Whether a text may be a number that lost a trailing zero in YAML and, after that, in a template."""
    return re.match(r"[0-9]+[.][1-9]\Z", text) is not None


def _read_part(part: str) -> List[str]:
    """Return the possible meanings of one comparison: list of str; empty if it is not a comparison."""
    found = _PART.match(part)
    if found is None:
        return []
    operator = "".join(found.group("operator").split())
    operator = _OPERATORS.get(operator, operator)
    if set(operator) & set("\u2264\u2265\u2260"):  # beside another one
        return []
    numbers = [int(number) for number in re.split("[.,_]", found.group("numbers"))]
    while len(numbers) > 3 and not numbers[-1]:
        numbers.pop()
    rest = found.group("rest").lstrip("-")
    if rest:
        numbers += [0] * (3 - len(numbers))
        return ["%s%s-%s" % (operator and operator + " ", _dotted(numbers), rest)]
    if found.group("wild"):
        return _of_wildcard(operator, numbers)
    if operator == "^" and len(numbers) == 2:
        return ["~> %s" % _dotted(numbers), "~> %s.0" % _dotted(numbers)]
    if operator == "^" and len(numbers) == 3 and numbers[0]:
        return [">= %s, < %d.0" % (_dotted(numbers), numbers[0] + 1)]
    if operator in ("~", "^") or not operator and len(numbers) < 3:
        newest = "~> %s" % _dotted(numbers + [0] * (len(numbers) < 3))
        return [newest] if operator else [newest, "= %s" % _dotted(numbers)]
    return [("%s %s" % (operator, _dotted(numbers))).strip()]


def _of_wildcard(operator: str, numbers: List[int]) -> List[str]:
    if operator == "^" and len(numbers) > 1:
        return _read_part("^" + _dotted(numbers[:2]))
    if operator in ("", "=", "~", "~>", "^"):
        return ["~> %s.0" % _dotted(numbers[:2])]
    return [] if operator == "!=" else ["%s %s.0" % (operator, _dotted(numbers[:2]))]


def _dotted(numbers: List[int]) -> str:
    return ".".join(map(str, numbers))
