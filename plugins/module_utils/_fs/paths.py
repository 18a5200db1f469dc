# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths as options give them."""

import os

from .._errors import RequestError


def absolute_path(path: str, option: str, example: str) -> str:
    """Normalize an absolute path.

    :param option: the option that it is from, for messages.
    :param example: a path for that option, for the hint.
    Raises RequestError for a relative path, "..", control characters, or "/".
    """
    if not path.startswith("/") or ".." in path.split("/") or any(ord(char) < 32 for char in path):
        raise RequestError(
            "%s %s is not an absolute path without '..' and control characters" % (option, ascii(path[:100])),
            hint="write it from the root: %s" % example,
        )
    try:
        os.fsencode(path)
    except UnicodeEncodeError as exc:
        raise RequestError(
            "%s %s cannot be written in the locale (%s)" % (option, ascii(path[:100]), exc.encoding),
            hint="set environment: {LC_ALL: C.UTF-8} on the task",
        ) from exc
    normal = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    if normal == "/":
        raise RequestError("%s / is the root directory itself" % option, hint="write a path below it")
    return normal
