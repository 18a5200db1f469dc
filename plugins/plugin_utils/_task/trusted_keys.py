# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``trusted_keys``: turns an entry, which may be a path on the controller, into a key to send."""

from typing import Optional

from ...module_utils._errors import RequestError, open_regular, os_error_context
from .key_files import NOT_FOUND_HINT, VAULT, Decrypt, Find, decrypted_path

FILE_CAP = 256 * 1024  # bytes
ARMOR = "-----BEGIN PGP"
PUBLIC_ARMOR = ARMOR + " PUBLIC KEY BLOCK-----"


def read_trusted_key(entry: str, find: Find, decrypt: Decrypt) -> str:
    """Return the armored key of one entry.

    :param entry: str, an armored key, or the path of a file with one.
    :param find: callable(path) -> the path of that file on the controller, or None.
    :param decrypt: callable(path) -> the path of a decrypted copy, for a file that ansible-vault encrypted.
    :returns: str.
    :raises RequestError: there is no such file, or no public key in it. The message shows nothing of a key.
    """
    if entry.startswith(VAULT):
        raise RequestError(
            "trusted_keys: an entry is text that ansible-vault encrypted",
            hint="write !vault before it, or name its file, which is decrypted",
        )
    if ARMOR in entry or "\n" in entry:
        return _check_armor(entry, "an entry")
    path = find(entry)
    if path is None:
        raise RequestError(
            "trusted_keys: %s is neither an armored key nor a file on the controller" % ascii(entry[:100]),
            hint=NOT_FOUND_HINT,
        )
    with os_error_context("trusted_keys: read", path, RequestError):
        with open_regular(decrypted_path(path, "trusted_keys", decrypt)) as stream:
            data = stream.read(FILE_CAP + 1)
    if len(data) > FILE_CAP:
        raise RequestError(
            "trusted_keys: %s is larger than %d bytes" % (path, FILE_CAP), path=path, hint="is it the right file?"
        )
    return _check_armor(data.decode("utf-8", "replace"), path, path)


def _check_armor(text: str, where: str, path: Optional[str] = None) -> str:
    if PUBLIC_ARMOR not in text or "PRIVATE KEY" in text:  # a private key must stay on the controller
        raise RequestError(
            "trusted_keys: %s is not an armored OpenPGP key, or not a public one" % where,
            path=path,
            hint="export it with gpg --armor --export",
        )
    return text
