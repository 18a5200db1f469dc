# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the Terraform version that a root module requires: ``required_version`` of its ``terraform`` blocks.

All of them must match. Which files count, and that an override file replaces all others, is as in Terraform:
https://developer.hashicorp.com/terraform/language/files, and internal/configs of hashicorp/terraform.
"""

import itertools
import json
import re
from typing import Any, List, NamedTuple, NoReturn, Optional, Tuple, Union

from ...module_utils._errors import RequestError
from ...module_utils._versions.constraint import parse_version_spec
from ...module_utils._versions.suggestions import EXAMPLES, MODULE
from ...module_utils._versions.version import components, parse_exact
from .confined import ConfinedFolder
from .hcl_lexer import UnreadableError
from .hcl_parser import find_arguments, plain_number

FILES_LIMIT = 1000
SUM_LIMIT = 2 << 20  # characters of all files together; a million takes about ten seconds
SHOWN = 20  # characters from a file that a message may quote
_VERSION_LIKE = re.compile(
    r"\s*(?:latest|stable)\s*\Z|(?=.*[0-9])(?:[0-9.,<>=!~^*xv\"' \t\r\n+-]|alpha|beta|rc|dev)+\Z", re.IGNORECASE
)
_STRANGE_BLANK = re.compile(r"[^\S \t\n\f\r]")  # spaces that Go, and so Terraform, does not accept as such
_TEMPLATE = re.compile(r"[$%]\{")
_SUFFIXES = (".tf.json", ".tf")  # no name ends with both


class Requirement(NamedTuple):
    """One required_version."""

    path: str
    line: Optional[int]  # None: JSON with several, for which the parser gives no line
    text: str  # as written

    @property
    def place(self) -> str:
        return self.path if self.line is None else "%s:%d" % (self.path, self.line)


def shown(text: str) -> str:
    """Shorten a text of a file for messages. Shows it only if it could be a version: it may be anything else."""
    if not _VERSION_LIKE.match(text):
        return "(not shown)"
    return text if len(text) <= SHOWN else "%s..." % text[:SHOWN]


def refusal_of(text: str, exc: RequestError) -> str:
    """Return why a text was refused. Uses the RequestError, which quotes the text, only if all of it may be shown."""
    return str(exc) if shown(text) == text else "what is there is neither a version nor a constraint: %s" % shown(text)


def hint_of(exc: RequestError, place: str) -> str:
    """Return the hint of a RequestError from read.py; a suggested version only if it may be shown."""
    hint = exc.hint or EXAMPLES[place]
    quoted = re.sub("^write |[\"']| or ", "", hint)
    return hint if shown(quoted) == quoted else EXAMPLES[place]


def as_constraint(text: str) -> str:
    """Return a required_version for the option version. A bare X.Y gets an ``=``: here it was no YAML number."""
    text = text.strip()
    try:
        parse_exact(text)
    except RequestError:
        return text if text[:1] not in "v0123456789" or "," in text else "= %s" % text
    return text


def read_module(folder: str) -> Tuple[Requirement, ...]:
    """Return what the root module in a directory requires.

    :param folder: str, a path on this machine.
    :returns: tuple of Requirement, at least one.
    :raises RequestError: it requires no version, or a file cannot be read; names file and line.
    """
    with ConfinedFolder(folder) as opened:
        primary, override = _find_files(opened)
        left = [SUM_LIMIT]
        read_ones = [_read_file(opened, name, left) for name in primary]
        overrides = [_read_file(opened, name, left) for name in override]
    for requirement in itertools.chain.from_iterable(
        read_ones + overrides
    ):  # including those that an override file replaces
        _check_grammar(requirement)
    found = next((ones for ones in reversed(overrides) if ones), list(itertools.chain.from_iterable(read_ones)))
    if not found:
        raise RequestError(
            "version_file: no required_version in the %d .tf and .tf.json files of %s"
            % (len(primary + override), folder),
            path=folder,
            hint='add terraform { required_version = "~> 1.10.0" }, or name a .terraform-version file',
        )
    for requirement in found:
        _check_final(requirement)
    return tuple(found)


def _find_files(folder: ConfinedFolder) -> Tuple[List[str], List[str]]:
    """Return the names of a module's files: (primary, override), sorted."""
    kinds: Tuple[List[str], List[str]] = ([], [])
    for name in folder.names():
        ignored = name.startswith(".") or name.endswith("~") or name.startswith("#") and name.endswith("#")
        suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), None)
        if suffix and not ignored:
            stem = name[: -len(suffix)]
            kinds[stem == "override" or stem.endswith("_override")].append(name)
    if len(kinds[0] + kinds[1]) > FILES_LIMIT:
        raise RequestError(
            "version_file: %s has more than %d .tf and .tf.json files" % (folder.path, FILES_LIMIT),
            path=folder.path,
            hint="is it the right folder?",
        )
    return kinds


def _read_file(folder: ConfinedFolder, name: str, left: List[int]) -> List[Requirement]:
    path, text = folder.at(name), folder.read(name)
    left[0] -= len(text)
    if left[0] < 0:
        raise RequestError(
            "version_file: the .tf and .tf.json files of %s have more than %d characters together"
            % (folder.path, SUM_LIMIT),
            path=folder.path,
            hint="write the version into a .terraform-version file, and name that",
        )
    if path.endswith(".json"):
        file = _Json(path, text)
        values, line = file.find(), file.line_of('"required_version"')
        return [Requirement(path, line, value) for value in values]
    try:
        return [
            Requirement(path, found.line, found.value)
            for found in find_arguments(text, "terraform", "required_version")
        ]
    except UnreadableError as exc:
        raise RequestError(
            "version_file: %s:%d cannot be read: %s" % (path, exc.line, exc.reason),
            path=path,
            hint="terraform validate says more",
        ) from exc


class _Object(List[Tuple[str, Any]]):
    """A JSON object as pairs: HCL allows the same block name twice."""


class _Number(str):
    """A JSON number as it is written."""


class _Json:
    """A file in HCL's JSON syntax (https://github.com/hashicorp/hcl/blob/main/json/spec.md)."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    def line_of(self, text: str) -> Optional[int]:
        """Return the line of a text that occurs once; None if it is missing or occurs several times."""
        return self.text.count("\n", 0, self.text.find(text)) + 1 if self.text.count(text) == 1 else None

    def refusal(self, reason: str, at: Union[int, str]) -> RequestError:
        """Return the RequestError; ``at`` is a line, or the text that is wrong."""
        line = at if isinstance(at, int) else self.line_of(at)
        return RequestError(
            "version_file: %s%s cannot be read: %s" % (self.path, ":%d" % line if line else "", reason),
            path=self.path,
            hint="terraform validate says more",
        )

    def find(self) -> List[str]:
        """Return the values of required_version: list of str. Raises RequestError."""
        values = []
        root = self._parse()
        for item in root if isinstance(root, list) and not isinstance(root, _Object) else [root]:
            if not isinstance(item, _Object):
                raise self.refusal("the file is neither an object nor a list of objects", 1)
            for name, value in item:
                if name == "terraform":
                    values += [self._required(block) for block in self._blocks(value)]
        return [value for value in values if value is not None]

    def _parse(self) -> Any:
        def refuse(constant: str) -> NoReturn:
            raise self.refusal("%s is no JSON" % constant, constant)

        try:
            return json.loads(
                self.text, object_pairs_hook=_Object, parse_int=_Number, parse_float=_Number, parse_constant=refuse
            )
        except json.JSONDecodeError as exc:
            raise self.refusal("it is no JSON from column %d on" % exc.colno, exc.lineno) from exc
        except RecursionError as exc:
            raise self.refusal("it is nested too deep", 1) from exc

    def _blocks(self, value: Any) -> List[_Object]:
        """List the objects in a value, including those in lists at any depth; null counts as none."""
        found, left = [], [value]  # no recursion: lists may be nested as deeply as the parser allows
        while left:
            one = left.pop()
            if isinstance(one, _Object):
                found.append(one)
            elif isinstance(one, list):
                left += reversed(one)
            elif one is not None:
                raise self.refusal("terraform is neither an object nor a list of objects", '"terraform"')
        return found

    def _required(self, block: _Object) -> Optional[str]:
        """Return the required_version of one block, or None."""
        key = '"required_version"'
        values = [value for name, value in block if name == "required_version"]
        if len(values) > 1:
            last = self.text.count("\n", 0, self.text.rfind(key)) + 1
            raise self.refusal("required_version is there twice in one object", last)
        text = values[0] if values else None
        if text is not None and not isinstance(text, str) or text and _TEMPLATE.search(text):
            raise self.refusal("required_version is not one plain string", key)
        return plain_number(text) if isinstance(text, _Number) else text


def _check_grammar(requirement: Requirement) -> None:
    """Refuse what Terraform would refuse. Raises RequestError."""
    try:
        parse_version_spec(requirement.text, MODULE)
        if _STRANGE_BLANK.search(requirement.text):
            raise RequestError("version has a blank in it that Terraform does not take", hint=EXAMPLES[MODULE])
    except RequestError as exc:
        raise RequestError(
            "version_file: %s, required_version cannot be read: %s"
            % (requirement.place, refusal_of(requirement.text, exc)),
            path=requirement.path,
            hint=hint_of(exc, MODULE),
        ) from exc


def _check_final(requirement: Requirement) -> None:
    """Refuse a pre-release, as Terraform does. Raises RequestError."""
    wanted = parse_version_spec(requirement.text, MODULE)
    if any(term.pre_release for term in wanted.terms) or wanted.version and components(wanted.version)[1]:
        raise RequestError(
            "version_file: %s, required_version %s names a pre-release, which Terraform does not take there"
            % (requirement.place, shown(requirement.text)),
            path=requirement.path,
            hint="leave the pre-release out",
        )
