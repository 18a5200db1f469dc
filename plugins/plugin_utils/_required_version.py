# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Terraform root module requires of Terraform: the ``required_version`` of its ``terraform`` blocks.

All of them have to hold. Which files count, and that an override file's replace all others, is as Terraform has it:
https://developer.hashicorp.com/terraform/language/files, and internal/configs of hashicorp/terraform.
"""

import json
import re
from typing import NamedTuple, Optional

from ..module_utils._constraints import read
from ..module_utils._errors import RequestError
from ..module_utils._versions import split
from ._confined import Confined
from ._hcl import find_arguments
from ._hcl_tokens import Unreadable

FILES_LIMIT = 1000
SHOWN = 20              # characters of what a file says that a message may quote
_VERSION_LIKE = re.compile(r"\s*latest\s*\Z|(?=.*[0-9])(?:[0-9.,<>=!~*xv \t+-]|alpha|beta|rc|dev)+\Z")
_SUFFIXES = (".tf.json", ".tf")     # no name ends with both


class Requirement(NamedTuple):
    """One required_version."""

    path: str
    line: Optional[int]     # None: JSON with several, whose parser does not tell which is where
    text: str               # as written

    @property
    def place(self):
        return self.path if self.line is None else "%s:%d" % (self.path, self.line)


def shown(text):
    """A text of a file as messages may have it: cut, and only where it could be a version, for it may be anything else."""
    if not _VERSION_LIKE.match(text):
        return "(not shown)"
    return text if len(text) <= SHOWN else "%s..." % text[:SHOWN]


def refusal_of(text, exc):
    """Why a text was refused: in the words of the RequestError, which quotes it, where all of it may be shown."""
    return str(exc) if shown(text) == text else "what is there is neither a version nor a constraint: %s" % shown(text)


def read_module(folder):
    """What the root module in a folder requires.

    :param folder: str, a path on this machine.
    :returns: tuple of Requirement, at least one.
    :raises RequestError: nothing is required, or something cannot be read; with file and line.
    """
    with Confined(folder) as opened:
        primary, override = _find_files(opened)
        found = [requirement for name in primary for requirement in _read_file(opened, name)]
        for name in override:
            found = _read_file(opened, name) or found
    if not found:
        raise RequestError(
            "version_file: no required_version in the %d .tf and .tf.json files of %s" % (len(primary + override), folder),
            path=folder, hint='add terraform { required_version = "~> 1.10.0" }, or name a .terraform-version file')
    for requirement in found:
        _check(requirement)
    return tuple(found)


def _find_files(folder):
    """The names of a module's files: (primary, override), sorted."""
    kinds = ([], [])
    for name in folder.names():
        ignored = name.startswith(".") or name.endswith("~") or name.startswith("#") and name.endswith("#")
        suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), None)
        if suffix and not ignored:
            stem = name[:-len(suffix)]
            kinds[stem == "override" or stem.endswith("_override")].append(name)
    if len(kinds[0] + kinds[1]) > FILES_LIMIT:
        raise RequestError("version_file: %s has more than %d .tf and .tf.json files" % (folder.path, FILES_LIMIT),
                           path=folder.path, hint="is it the right folder?")
    return kinds


def _read_file(folder, name):
    path, text = folder.at(name), folder.read(name)
    if path.endswith(".json"):
        key = '"required_version"'
        line = text.count("\n", 0, text.find(key)) + 1 if text.count(key) == 1 else None
        return [Requirement(path, line, value) for value in _find_in_json(path, text)]
    try:
        return [Requirement(path, found.line, found.value)
                for found in find_arguments(text, "terraform", "required_version")]
    except Unreadable as exc:
        raise RequestError("version_file: %s:%d cannot be read: %s" % (path, exc.line, exc.reason), path=path,
                           hint="terraform validate says more") from exc


class _Object(list):
    """A JSON object as its pairs: HCL lets a name of a block be there twice."""


def _find_in_json(path, text):
    """The values of required_version in HCL's JSON syntax (https://github.com/hashicorp/hcl/blob/main/json/spec.md)."""
    try:
        root = json.loads(text, object_pairs_hook=_Object, parse_int=len, parse_float=len)  # no number matters
    except json.JSONDecodeError as exc:
        raise _json_refusal(path, "it is no JSON from line %d, column %d on" % (exc.lineno, exc.colno)) from exc
    except RecursionError as exc:
        raise _json_refusal(path, "it is nested too deep") from exc
    values = []
    for item in _objects(path, root, "the file"):
        for name, value in item:
            if name == "terraform":
                values += [_required(path, block) for block in _objects(path, value, "terraform")]
    return [value for value in values if value is not None]


def _objects(path, value, what):
    """An object, or a list of such, as a list of _Object."""
    found = [value] if isinstance(value, _Object) or not isinstance(value, list) else value
    if not all(isinstance(one, _Object) for one in found):
        raise _json_refusal(path, "%s is neither an object nor a list of objects" % what)
    return found


def _required(path, block):
    """The required_version of one block, or None."""
    values = [value for name, value in block if name == "required_version"]
    if not values:
        return None
    if len(values) > 1:
        raise _json_refusal(path, "terraform.required_version is there twice in one object")
    text = values[0]
    if not isinstance(text, str) or any(begin in text for begin in ("${", "%{")):
        raise _json_refusal(path, "terraform.required_version is not one plain string")
    return text


def _json_refusal(path, reason):
    return RequestError("version_file: %s cannot be read: %s" % (path, reason), path=path, hint="terraform validate says more")


def _check(requirement):
    """Refuse what Terraform would refuse. Raises RequestError."""
    try:
        if requirement.text.strip() == "latest":
            raise RequestError("latest is no constraint")
        wanted = read(requirement.text, partial=True)
    except RequestError as exc:
        raise RequestError("version_file: %s, required_version cannot be read: %s" % (
            requirement.place, refusal_of(requirement.text, exc)), path=requirement.path, hint=exc.hint) from exc
    if any(term.pre_release for term in wanted.terms) or wanted.version and split(wanted.version)[1]:
        raise RequestError(
            "version_file: %s, required_version %s names a pre-release, which Terraform does not take there" % (
                requirement.place, shown(requirement.text)), path=requirement.path, hint="leave the pre-release out")
