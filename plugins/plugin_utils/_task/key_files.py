# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that name files of the controller: finds them as copy finds its src, and decrypts them as copy does.

An entry of ``trusted_keys`` becomes a key to send. The options for certificates become paths to read here, while the
controller downloads.
"""

import os
from typing import Callable, Optional

from ...module_utils._errors import RequestError, open_regular, os_error_context
from ...module_utils._records import Params

OPTIONS = ("ca_path", "client_cert", "client_key")  # while the controller downloads
NOT_FOUND_HINT = (
    "correct the path: it is looked for beside the playbook and in files there, not in the working directory"
)
KEY_CAP = 256 * 1024  # bytes of a file in trusted_keys

_VAULT = "$ANSIBLE_VAULT;"  # the start of a file that ansible-vault encrypted
_ARMOR = "-----BEGIN PGP"
_PUBLIC_ARMOR = _ARMOR + " PUBLIC KEY BLOCK-----"

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
            found[option] = _decrypted_path(place, option, decrypt)
        elif not path.startswith(("/", "~")):
            raise RequestError(
                "%s: %s is neither a file nor a folder on the controller" % (option, ascii(path[:100])),
                hint=NOT_FOUND_HINT,
            )
    return found


def read_trusted_key(entry: str, find: Find, decrypt: Decrypt) -> str:
    """Return the armored key of one entry.

    :param entry: str, an armored key, or the path of a file with one.
    :param find: callable(path) -> the path of that file on the controller, or None.
    :param decrypt: callable(path) -> the path of a decrypted copy, for a file that ansible-vault encrypted.
    :returns: str.
    :raises RequestError: there is no such file, or no public key in it. The message shows nothing of a key.
    """
    if entry.startswith(_VAULT):
        raise RequestError(
            "trusted_keys: an entry is text that ansible-vault encrypted",
            hint="write !vault before it, or name its file, which is decrypted",
        )
    if _ARMOR in entry or "\n" in entry:
        return _check_armor(entry, "an entry")
    path = find(entry)
    if path is None:
        raise RequestError(
            "trusted_keys: %s is neither an armored key nor a file on the controller" % ascii(entry[:100]),
            hint=NOT_FOUND_HINT,
        )
    with os_error_context("trusted_keys: read", path, RequestError):
        with open_regular(_decrypted_path(path, "trusted_keys", decrypt)) as stream:
            data = stream.read(KEY_CAP + 1)
    if len(data) > KEY_CAP:
        raise RequestError(
            "trusted_keys: %s is larger than %d bytes" % (path, KEY_CAP), path=path, hint="is it the right file?"
        )
    return _check_armor(data.decode("utf-8", "replace"), path, path)


def _check_armor(text: str, where: str, path: Optional[str] = None) -> str:
    if _PUBLIC_ARMOR not in text or "PRIVATE KEY" in text:  # a private key must stay on the controller
        raise RequestError(
            "trusted_keys: %s is not an armored OpenPGP key, or not a public one" % where,
            path=path,
            hint="export it with gpg --armor --export",
        )
    return text


def _decrypted_path(path: str, option: str, decrypt: Decrypt) -> str:
    """Return the path to read a file at: its own, or that of a decrypted copy. Raises RequestError."""
    if os.path.isdir(path):
        return path
    with os_error_context("%s: read" % option, path, RequestError):
        with open_regular(path) as stream:
            is_encrypted = stream.read(len(_VAULT)) == _VAULT.encode()
    return decrypt(path) if is_encrypted else path
