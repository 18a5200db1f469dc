# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grammar and the order of versions.

A version that passes here is safe as part of a path and of a URL: digits, ASCII letters, dots and dashes, at most
LENGTH_LIMIT characters. The grammar is Semantic Versioning 2.0.0 without build metadata, which is what HashiCorp
publishes (https://semver.org, items 2, 9 and 11; https://pkg.go.dev/github.com/hashicorp/go-version).
"""

import re

from ._errors import RequestError

LENGTH_LIMIT = 64  # characters; the longest version published so far has 24

_NUMBER = "(?:0|[1-9][0-9]*)"
_IDENTIFIER = "(?:%s|[0-9]*[A-Za-z-][0-9A-Za-z-]*)" % _NUMBER
_EXACT = re.compile(r"(%s)\.(%s)\.(%s)(?:-(%s(?:\.%s)*))?\Z" % (_NUMBER, _NUMBER, _NUMBER, _IDENTIFIER, _IDENTIFIER))
_PARTIAL = re.compile(r"v?[0-9]+(?:\.[0-9]+)?\Z")
_CONSTRAINT = re.compile(r"[~<>=!^]|.*,|.*\.[xX*](?:\.|\Z)")

_EXACT_ONLY = "this release of the collection takes exact versions: write X.Y.Z in quotes, such as '1.10.5'"


def exact(text):
    """The one version that a text names.

    :param text: str, ``1.13.4`` or ``1.14.0-rc1``, a leading ``v`` is dropped. None and other types are described as
        they came, since YAML makes numbers out of unquoted versions.
    :returns: str, the version without ``v``.
    :raises RequestError: anything else, with what was found and what to write.
    """
    written = "" if text is None else str(text)
    if not written.strip():
        raise RequestError("version is not given", hint="set the version, in quotes, such as '1.10.5'")
    if len(written) > LENGTH_LIMIT:
        raise RequestError(
            "version %s... has %d characters, more than %d" % (ascii(written[:20]), len(written), LENGTH_LIMIT),
            hint="write X.Y.Z in quotes, such as '1.10.5'",
        )
    version = written[1:] if written.startswith("v") else written
    if not _EXACT.match(version):
        raise _refusal(written)
    return version


def order(version):
    """A sort key: versions by precedence (Semantic Versioning 2.0.0, item 11), pre-releases before their release.

    :param version: str, an exact version.
    :returns: tuple, to be compared only with others from here; different versions have different keys.
    :raises RequestError: the version is not exact.
    """
    major, minor, patch, pre_release = _EXACT.match(exact(version)).groups()
    if pre_release is None:
        return (int(major), int(minor), int(patch), 1, ())
    identifiers = tuple(
        # Numbers come before words, and compare as numbers; words compare by ASCII.
        (0, int(identifier), "") if identifier.isdigit() else (1, 0, identifier)
        for identifier in pre_release.split(".")
    )
    return (int(major), int(minor), int(patch), 0, identifiers)


def _refusal(written):
    """The error for a text that is not an exact version: RequestError."""
    found = ascii(written)
    if _PARTIAL.match(written):
        return RequestError(
            "version %s is not exact: X.Y.Z is needed. Unquoted, YAML reads 1.10 as the number 1.1, so 1.1 may have "
            "been 1.1 or 1.10" % found,
            hint="write all three numbers in quotes, such as '1.10.5'",
        )
    if written == "latest":
        return RequestError("version 'latest' is not supported", hint=_EXACT_ONLY)
    if _CONSTRAINT.match(written):
        return RequestError("version %s is a constraint, not an exact version" % found, hint=_EXACT_ONLY)
    if "+" in written:
        return RequestError(
            "version %s has build metadata (+), which no published version has" % found,
            hint="leave out the plus sign and what follows it",
        )
    return RequestError(
        "version %s is not of the form X.Y.Z or X.Y.Z-rc1 (numbers without leading zeros, no blanks)" % found,
        hint="write it in quotes, such as '1.10.5'",
    )
