# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that name files of the controller: finds them as copy finds its src, and decrypts them as copy does."""

import os
from typing import Callable, Optional

from ...module_utils._errors import RequestError, open_regular, os_error_context
from ...module_utils._records import Params

OPTIONS = ("ca_path", "client_cert", "client_key")  # while the controller downloads
NOT_FOUND_HINT = (
    "correct the path: it is looked for beside the playbook and in files there, not in the working directory"
)
VAULT = "$ANSIBLE_VAULT;"  # the start of a file that ansible-vault encrypted

Find = Callable[[str], Optional[str]]
Decrypt = Callable[[str], str]


def read_file_options(arguments: Params, find: Find, decrypt: Decrypt) -> Params:
    """Return the task's arguments, with the options that the controller reads replaced by paths on the controller.

    :param arguments: dict, the task's arguments.
    :param find: callable(path) -> the path of that file or directory on the controller, or None.
    :param decrypt: callable(path) -> the path of a decrypted copy.
    :returns: dict.
    :raises RequestError: a file does not exist or cannot be read.
    """
    if str(arguments.get("download")).strip() == "target":
        return arguments
    found = dict(arguments)
    for option in arguments.keys() & set(OPTIONS):
        path = str(arguments[option]).strip()
        if "\n" in path:
            continue  # not a path: refused later
        place = find(path)
        if place is not None:
            found[option] = decrypted_path(place, option, decrypt)
        elif not path.startswith(("/", "~")):
            raise RequestError(
                "%s: %s is neither a file nor a folder on the controller" % (option, ascii(path[:100])),
                hint=NOT_FOUND_HINT,
            )
    return found


def decrypted_path(path: str, option: str, decrypt: Decrypt) -> str:
    """Return the path to read a file at: its own, or that of a decrypted copy. Raises RequestError."""
    if os.path.isdir(path):
        return path
    with os_error_context("%s: read" % option, path, RequestError):
        with open_regular(path) as stream:
            is_encrypted = stream.read(len(VAULT)) == VAULT.encode()
    return decrypt(path) if is_encrypted else path
