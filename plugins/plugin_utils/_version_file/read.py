# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``version_file``: reads a path on the controller and returns a version for the option ``version``."""

import os
import re
from typing import NamedTuple, Optional

from ...module_utils._errors import RequestError
from ...module_utils._versions.constraint import parse_version_spec
from ...module_utils._versions.suggestions import EXAMPLES, FILE, strip_quotes
from ...module_utils._versions.version import is_exact, is_partial
from .confined import NO_UTF_8, ConfinedFolder
from .required_version import as_constraint, hint_of, read_module, refusal_of, shown

# tfenv's latest:<regular expression>, if it is the start of a version: ^1.9, ^1\\.9\\., 1.9.*$, ^1.9.[0-9]+$
_BEGINNING = re.compile(r"\^?v?([0-9]+(?:\\?[.][0-9]+){0,2})(?:\\?[.])?(?:[.*+x]|[\[(]?(?:0-9|\\d)[\])]?)*\$?\Z")
_PLACES = 10  # most places in one message
_OF_TFENV = ("min-required", "latest-allowed", "latest-pre", "latest-stable")


class VersionFileContent(NamedTuple):
    """The version that a version_file requests."""

    version: str  # for the option version
    text: str  # as it is written in the file
    places: str  # one or several paths, with lines


def read_version_file(path: str) -> VersionFileContent:
    """Return the version that a file, or the root module in a directory, requests.

    :param path: str, a ``.terraform-version`` file of any name, or the directory of a Terraform root module.
    :returns: VersionFileContent.
    :raises RequestError: it cannot be read without doubt; names file and line.
    """
    if os.path.isdir(path):
        return _from_module(path)
    if path.endswith((".tf", ".tf.json")):
        raise RequestError(
            "version_file: %s is one file of a root module" % path,
            path=path,
            hint="name its folder: the required_version of all files count",
        )
    return _from_version_file(path)


def _from_module(folder: str) -> VersionFileContent:
    requirements = read_module(folder)
    texts = list(dict.fromkeys(as_constraint(requirement.text) for requirement in requirements))
    version = ", ".join(texts)
    places = ", ".join(
        "%s (%s)" % (requirement.place, shown(requirement.text)) for requirement in requirements[:_PLACES]
    )
    places += " and %d more" % len(requirements[_PLACES:]) if requirements[_PLACES:] else ""
    try:
        parse_version_spec(version)
    except RequestError as exc:
        raise RequestError(
            "version_file: %s requires what cannot be had together: %s" % (folder, places),
            path=folder,
            hint="change one of them: Terraform itself would refuse to start",
        ) from exc
    return VersionFileContent(
        version, ", ".join(dict.fromkeys(requirement.text.strip() for requirement in requirements)), places
    )


def _from_version_file(path: str) -> VersionFileContent:
    """Read a version from the first line that is neither blank nor a comment (#), as tfenv does; ignore the rest."""
    folder, name = os.path.split(path)
    with ConfinedFolder(folder or ".") as opened:
        content = opened.read(name).lstrip("\ufeff")
    for number, line in enumerate(content.splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text:
            break
    else:
        raise RequestError(
            "version_file: there is no version in %s" % path,
            path=path,
            hint="write one into its first line, such as 1.10.5",
        )
    place = "%s:%d" % (path, number)
    if NO_UTF_8.search(text):
        raise RequestError(
            "version_file: %s is not UTF-8" % place, path=path, hint="save it as UTF-8; %s" % EXAMPLES[FILE]
        )
    if text.startswith(_OF_TFENV) or text.startswith("latest:"):
        raise _refusal_of_tfenv(text, place, path)
    version = "= %s" % text if is_partial(text) else text
    try:
        parse_version_spec(version, FILE)
    except RequestError as exc:
        kind = _kind_of(text)
        found = (
            "%s %s, expected one version or constraint" % (place, kind)
            if kind
            else "%s: %s" % (place, refusal_of(text, exc))
        )
        raise RequestError("version_file: %s" % found, path=path, hint=hint_of(exc, FILE)) from exc
    return VersionFileContent(version, text, place)


def _refusal_of_tfenv(text: str, place: str, path: str) -> RequestError:
    """Return the RequestError for a word that only tfenv knows; its hint says what to write."""
    word, colon, pattern = text.partition(":")
    hint = "name the folder of the root module in version_file, which says what is required: %s" % (
        os.path.dirname(path) or "."
    )
    if word == "latest-pre":
        hint = "a pre-release is chosen only by a constraint that names one: write >= 1.14.0-alpha1, or latest for final versions"
    elif word.startswith("latest") and word != "latest-allowed":
        hint = "write %s instead" % _of_pattern(pattern.strip())
    return RequestError(
        "version_file: %s has %s, which is tfenv's own word" % (place, word + (":..." if colon else "")),
        path=path,
        hint=hint,
    )


def _of_pattern(pattern: str) -> str:
    """Return the line that most likely means the same as a regular expression of tfenv."""
    if not pattern.strip("^$.*"):
        return "latest"
    found = _BEGINNING.match(pattern)
    if found is None:
        return "a constraint, such as ~> 1.10.0, or latest,"
    beginning = found.group(1).replace("\\", "")
    return (
        beginning
        if is_exact(beginning) and pattern.endswith(("$", beginning))
        else "~> %s.0" % ".".join(beginning.split(".")[:2])
    )


def _kind_of(text: str) -> Optional[str]:
    """Describe a line that is not a version, as the end of a sentence; None if it is unclear."""
    if re.match(r"[A-Za-z_]+\s*\{|[A-Za-z_]+\s*=\s*[\"']", text):
        return "is HCL"
    if re.match(r"[A-Za-z_-]+\s+v?[0-9]", text):
        return "is a line of .tool-versions"
    return "has quotes around it" if text != strip_quotes(text) and strip_quotes(text) in text[1:-1] else None
