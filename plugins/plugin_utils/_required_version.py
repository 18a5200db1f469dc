# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Terraform root module requires of Terraform: the ``required_version`` of its ``terraform`` blocks.

All of them have to hold. Which files count, and that an override file's replace all others, is as Terraform has it:
https://developer.hashicorp.com/terraform/language/files, and internal/configs of hashicorp/terraform.
"""

import json
import os
import stat
from typing import NamedTuple, Optional

from ..module_utils._constraints import read
from ..module_utils._errors import RequestError, os_errors
from ..module_utils._versions import split
from ._hcl import find_arguments
from ._hcl_tokens import Unreadable

SIZE_LIMIT = 1 << 20    # bytes of a file
FILES_LIMIT = 1000
_SUFFIXES = (".tf.json", ".tf")     # no name ends with both


class Requirement(NamedTuple):
    """One required_version."""

    path: str
    line: Optional[int]     # None: JSON with several, whose parser does not tell which is where
    text: str               # as written

    @property
    def place(self):
        return self.path if self.line is None else "%s:%d" % (self.path, self.line)


def read_text(path):
    """A file that people write: UTF-8 with or without a byte order mark, at most SIZE_LIMIT bytes. Raises RequestError."""
    with os_errors("version_file: read", path, RequestError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise RequestError("version_file: %s is not a regular file" % path, path=path)
        with open(path, "rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise RequestError("version_file: %s is larger than %d bytes" % (path, SIZE_LIMIT), path=path,
                           hint="is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise RequestError("version_file: %s is not UTF-8: byte %d" % (path, exc.start), path=path,
                           hint="save it as UTF-8") from exc


def read_module(folder):
    """What the root module in a folder requires.

    :param folder: str, a path on this machine.
    :returns: tuple of Requirement, at least one.
    :raises RequestError: nothing is required, or something cannot be read; with file and line.
    """
    primary, override = _find_files(folder)
    found = [requirement for path in primary for requirement in _read_file(path)]
    for path in override:
        found = _read_file(path) or found
    if not found:
        raise RequestError(
            "version_file: no required_version in the %d .tf and .tf.json files of %s" % (len(primary + override), folder),
            path=folder, hint='add terraform { required_version = "~> 1.10.0" }, or name a .terraform-version file')
    for requirement in found:
        _check(requirement)
    return tuple(found)


def _find_files(folder):
    """The paths of a module's files: (primary, override), by name."""
    with os_errors("version_file: list", folder, RequestError):
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))
    kinds = ([], [])
    for name in names:
        ignored = name.startswith(".") or name.endswith("~") or name.startswith("#") and name.endswith("#")
        suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), None)
        if suffix and not ignored:
            stem = name[:-len(suffix)]
            kinds[stem == "override" or stem.endswith("_override")].append(os.path.join(folder, name))
    if len(kinds[0] + kinds[1]) > FILES_LIMIT:
        raise RequestError("version_file: %s has more than %d .tf and .tf.json files" % (folder, FILES_LIMIT), path=folder,
                           hint="is it the right folder?")
    return kinds


def _read_file(path):
    text = read_text(path)
    if path.endswith(".json"):
        name = '"required_version"'
        line = text.count("\n", 0, text.find(name)) + 1 if text.count(name) == 1 else None
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
    except (ValueError, RecursionError) as exc:
        raise _json_refusal(path, str(exc) or "too deep") from exc
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
        raise RequestError("version_file: %s, required_version cannot be read: %s" % (requirement.place, exc),
                           path=requirement.path, hint=exc.hint) from exc
    if any(term.pre_release for term in wanted.terms) or wanted.version and split(wanted.version)[1]:
        raise RequestError(
            "version_file: %s, required_version %s names a pre-release, which Terraform does not take there" % (
                requirement.place, ascii(requirement.text)), path=requirement.path, hint="leave the pre-release out")
