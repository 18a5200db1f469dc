# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grammar and order of exact versions. For ``latest`` and constraints, see constraint.py.

A valid version is safe in a path and a URL: digits, ASCII letters, dots and dashes, at most LENGTH_LIMIT characters.
The grammar is Semantic Versioning 2.0.0 without build metadata, which is what HashiCorp publishes (https://semver.org,
items 2, 9 and 11; https://pkg.go.dev/github.com/hashicorp/go-version).
"""

import datetime
import re
from typing import Any, Match, Tuple

from .._errors import RequestError

LENGTH_LIMIT = 64  # characters; the longest published version so far has 24

_NUMBER = "(?:0|[1-9][0-9]*)"
_IDENTIFIER = "(?:%s|[0-9]*[A-Za-z-][0-9A-Za-z-]*)" % _NUMBER
_EXACT = re.compile(r"(%s)\.(%s)\.(%s)(?:-(%s(?:\.%s)*))?\Z" % (_NUMBER, _NUMBER, _NUMBER, _IDENTIFIER, _IDENTIFIER))
_PARTIAL = re.compile(r"v?[0-9]+(?:\.[0-9]+)?\Z")
_MISSING_HINT = "set version (in the role: terraform_binary_version), in quotes, such as '1.10.5', or version_file"
_HINT = "write it in quotes, such as '1.10.5', or as a constraint, such as '~> 1.10.0'"


def coerce_text(value: Any) -> str:
    """Return a version as the text that was written, whatever YAML or a survey made of it, without surrounding spaces.

    :param value: str, or another type: YAML reads an unquoted 1.10 as a number, yes as a boolean, and 2026-01-01 as a
        date.
    :returns: str, not blank.
    :raises RequestError: it is blank, null, or of a type that cannot have been a version; the hint says what to write.
    """
    if value is None or isinstance(value, str) and not value.strip():
        raise RequestError("version is not given", hint=_MISSING_HINT)
    if isinstance(value, bool):
        raise RequestError(
            "version is the boolean %s, which YAML makes of an unquoted true, yes or on" % str(value).lower(),
            hint=_HINT,
        )
    if isinstance(value, datetime.date):
        raise RequestError(
            "version is the date %s, which YAML makes of unquoted numbers with dashes" % value, hint=_HINT
        )
    if not isinstance(value, (str, int, float)):
        raise RequestError(
            "version is a %s, where one text was expected"
            % (
                "list"
                if isinstance(value, (list, tuple))
                else "mapping"
                if isinstance(value, dict)
                else type(value).__name__
            ),
            hint=_HINT,
        )
    return str(value).strip()


def unquoted(text: str) -> str:
    """Strip one pair of quotes: users copy the quotes of a playbook into forms."""
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def parse_exact(value: Any) -> str:
    """Return the version that a text names.

    :param value: str, ``1.13.4`` or ``1.14.0-rc1``, with or without a leading ``v``; or another type from YAML.
    :returns: str, the version without ``v``.
    :raises RequestError: it is anything else; the message says what was found and what to write.
    """
    return _match(value).group()


def _match(value: Any) -> Match[str]:
    """Match an exact version, as parse_exact() accepts it."""
    text = coerce_text(value)
    if len(text) > LENGTH_LIMIT:
        raise RequestError(
            "version %s... has %d characters, more than %d" % (ascii(text[:20]), len(text), LENGTH_LIMIT),
            hint="write X.Y.Z in quotes, such as '1.10.5'",
        )
    found = _EXACT.match(text[1:] if text.startswith("v") else text)
    if not found:
        raise _refusal(text)
    return found


def is_exact(text: str) -> bool:
    """Whether a text is a version as it is published, without a leading ``v``."""
    return len(text) <= LENGTH_LIMIT and _EXACT.match(text) is not None


def is_partial(text: str) -> bool:
    """Whether a text is ``X`` or ``X.Y``, which may have been different before YAML read it."""
    return _PARTIAL.match(text) is not None


def components(version: str) -> Tuple[Tuple[int, int, int], str]:
    """Split an exact version: (tuple of int: major, minor, patch; str: pre-release or "")."""
    major, minor, patch, pre_release = _match(version).groups()
    return (int(major), int(minor), int(patch)), pre_release or ""


def sort_key(version: str) -> Tuple[int, int, int, int, Tuple[Tuple[int, int, str], ...]]:
    """Return a sort key: precedence of Semantic Versioning 2.0.0, item 11; pre-releases come before their release.

    :param version: str, an exact version.
    :returns: tuple, comparable only with other results of this function; different versions have different keys.
    :raises RequestError: the version is not exact.
    """
    numbers, pre_release = components(version)
    if not pre_release:
        return numbers + (1, ())
    identifiers = tuple(
        # Numbers come before words and compare by value; words compare by ASCII.
        (0, int(identifier), "") if identifier.isdigit() else (1, 0, identifier)
        for identifier in pre_release.split(".")
    )
    return numbers + (0, identifiers)


def _refusal(text: str) -> RequestError:
    """Return the RequestError for a text that is not an exact version."""
    found = ascii(text)
    if is_partial(text):
        return RequestError("version %s is not exact: X.Y.Z is needed" % found, hint=_HINT)
    if "+" in text:
        return RequestError("version %s has build metadata (+), which no published version has" % found, hint=_HINT)
    return RequestError(
        "version %s is not of the form X.Y.Z or X.Y.Z-rc1 (numbers without leading zeros, no blanks in it)" % found,
        hint=_HINT,
    )
