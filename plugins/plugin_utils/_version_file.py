# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``version_file``: from a path on the controller to a version as the option ``version`` takes it."""

import os
from typing import NamedTuple

from ..module_utils._constraints import read
from ..module_utils._errors import RequestError
from ..module_utils._versions import is_partial
from ._confined import Confined
from ._required_version import read_module, refusal_of, shown


class VersionFile(NamedTuple):
    """What a version_file says."""

    version: str    # for the option version
    text: str       # as it is written there
    places: str     # where: one or several paths, with lines


def read_version_file(path):
    """What the file, or the root module in the folder, asks for.

    :param path: str, a ``.terraform-version`` file of any name, or the folder of a Terraform root module.
    :returns: VersionFile.
    :raises RequestError: it cannot be read for certain; with file and line.
    """
    if os.path.isdir(path):
        return _from_module(path)
    if path.endswith((".tf", ".tf.json")):
        raise RequestError("version_file: %s is one file of a root module" % path, path=path,
                           hint="name its folder: the required_version of all files count")
    return _from_version_file(path)


def _from_module(folder):
    requirements = read_module(folder)
    texts = list(dict.fromkeys(_as_version(requirement.text) for requirement in requirements))
    version = ", ".join(texts)
    places = ", ".join("%s (%s)" % (requirement.place, shown(requirement.text)) for requirement in requirements)
    try:
        read(version)
    except RequestError as exc:
        raise RequestError("version_file: %s requires what cannot be had together: %s" % (folder, places), path=folder,
                           hint=exc.hint) from exc
    return VersionFile(version, ", ".join(dict.fromkeys(requirement.text for requirement in requirements)), places)


def _from_version_file(path):
    """The first line that is neither blank nor a comment (#) decides, as for tfenv; the rest is not looked at."""
    folder, name = os.path.split(path)
    with Confined(folder or ".") as opened:
        content = opened.read(name)
    for number, line in enumerate(content.splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text:
            break
    else:
        raise RequestError("version_file: there is no version in %s" % path, path=path,
                           hint="write one into its first line, such as 1.10.5")
    place = "%s:%d" % (path, number)
    word = text.partition(":")[0]
    cut = ":..." if ":" in text else ""
    if word in ("min-required", "latest-allowed", "latest-pre", "latest-stable") or text.startswith("latest:"):
        raise RequestError("version_file: %s has %s, which is tfenv's own word" % (place, word + cut), path=path,
                           hint="write a constraint, such as ~> 1.10.0; or name the folder of the root module in version_file")
    version = _as_version(text)
    try:
        read(version)
    except RequestError as exc:
        raise RequestError("version_file: %s: %s" % (place, refusal_of(text, exc)), path=path, hint=exc.hint) from exc
    return VersionFile(version, text, place)


def _as_version(text):
    """A bare X.Y, which a file cannot have got from a number, as the constraint that it is to Terraform."""
    text = text.strip()
    return "= %s" % text if is_partial(text) else text
