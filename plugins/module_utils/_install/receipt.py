# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt of an installed binary: ``terraform.json`` beside it, as bytes and as a record.

A Receipt that this module returns comes from a file of ours that no untrusted user could have written, is about this
version, and has every field of the right type and range. Unknown keys are ignored, so that a newer collection can add
some.
"""

import json
import os
import re
import stat
from typing import Any, Callable, Dict, Optional, Tuple

from .._errors import os_error_context
from .._fs.directory import Directory
from .._records import BINARY_CAP, PRODUCT, RECEIPT, Receipt
from .._versions.version import is_exact

FORMAT = 1  # the format that we write; a newer receipt stays as it is, and only its frozen fields are used
CAP = 64 * 1024  # bytes
_PATH_MAX = 4096  # bytes of a path with its NUL, on Linux (limits.h)
MODE = 0o644
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_path(value: Any) -> bool:
    """Whether this is an absolute path that system calls take: without NUL, and of names that a file can have."""
    if not isinstance(value, str) or value[:1] != "/" or "\0" in value:
        return False
    try:
        return len(value.encode("utf-8", "surrogateescape")) < _PATH_MAX
    except UnicodeEncodeError:
        return False


def _are_paths(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_path, value))


def _are_versions(value: Any) -> bool:
    """Whether this maps paths of links to exact versions."""
    return (
        isinstance(value, dict)
        and _are_paths(list(value))
        and all(isinstance(each, str) and is_exact(each) for each in value.values())
    )


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.match(r"[0-9a-f]{64}\Z", value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)  # to Python, true is an int


def _is_count(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1 << 64


def _is_size(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= BINARY_CAP  # a larger file would take hours to hash


def _is_signed(value: Any) -> bool:
    return _is_number(value) and -1 << 63 <= value < 1 << 63


def _is_moment(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1 << 32  # four octets, as in OpenPGP (RFC 4880, 3.5)


_FROZEN: Dict[str, Callable[[Any], bool]] = {
    "product": _is_text,
    "version": _is_text,
    "platform": _is_text,
    "sha256": _is_digest,
    "size": _is_size,
}
_OPTIONAL: Dict[str, Callable[[Any], bool]] = {
    "policy": _is_text,
    "signer": _is_text,
    "signed_at": _is_moment,
    "archive_sha256": _is_digest,
    "origin": _is_text,
    "run_check": _is_text,
    "links": _are_paths,
    "previous": _are_versions,
    "went_back": _are_texts,
    "installed_at": _is_text,
    "collection": _is_text,
    "mtime_ns": _is_signed,
    "inode": _is_count,
    "base_dir_unsafe": _are_texts,
}


def read_receipt(directory: Directory, version: Optional[str]) -> Tuple[Optional[Receipt], Optional[str]]:
    """Read the receipt in a version's directory.

    :param directory: the version's directory, open.
    :param version: that the receipt has to be about.
    :returns: (Receipt, None), or (None, why there is no valid one). Raises InstallError if it cannot be read.
    """
    path = directory.at(RECEIPT)
    found: Optional[os.stat_result] = directory.stat(RECEIPT)
    if found is None:
        return None, "%s is missing" % path
    if not stat.S_ISREG(found.st_mode):
        return None, "%s is not a regular file" % path
    if found.st_uid not in directory.owners.uids or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None, "%s could be written by others (%d:%d, %s)" % (
            path,
            found.st_uid,
            found.st_gid,
            stat.filemode(found.st_mode),
        )
    with os_error_context("read", path, place=directory.place):
        with os.fdopen(os.open(RECEIPT, _READ, dir_fd=directory.fd), "rb") as stream:
            directory.check_mount(stream.fileno(), RECEIPT)
            data = stream.read(CAP + 1)
    if len(data) > CAP:
        return None, "%s is larger than %d bytes" % (path, CAP)
    receipt, complaint = parse_receipt(data)
    if receipt is None:
        return None, "%s %s" % (path, complaint)
    if (receipt.product, receipt.version) != (PRODUCT, version):
        return None, "%s is about %s %s" % (path, ascii(receipt.product[:40]), ascii(receipt.version[:40]))
    return receipt, None


def parse_receipt(data: bytes) -> Tuple[Optional[Receipt], Optional[str]]:
    """Parse the bytes of a receipt.

    :returns: (Receipt, None), or (None, why these bytes are invalid).
    """
    try:
        fields = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None, "is not JSON"
    if not isinstance(fields, dict) or not _is_count(fields.get("format")) or fields["format"] < 1:
        return None, "is not a receipt"
    for key, is_right in _FROZEN.items():
        if not is_right(fields.get(key)):
            return None, "is not a receipt: no good %s in it" % key
    kept: Dict[str, Any] = dict((key, fields[key]) for key in _FROZEN)
    for key, is_right in _OPTIONAL.items():
        value: Any = fields.get(key)
        if is_right(value):
            kept[key] = tuple(value) if isinstance(value, list) else value
        elif value is not None and fields["format"] <= FORMAT:
            return None, "is damaged: no good %s in it" % key
    return Receipt(format=fields["format"], **kept), None


def receipt_bytes(receipt: Receipt) -> bytes:
    """Return the receipt as it is stored: JSON, one field a line."""
    return (json.dumps(receipt._asdict(), indent=2, sort_keys=True) + "\n").encode("ascii")


def find_links(receipt: Receipt, path: str) -> Tuple[str, ...]:
    """Return the recorded links that still lead to the binary at a path.

    They are found by path, which is safe enough to refuse a removal, but not to change anything.
    """
    return tuple(
        link for link in receipt.links if os.path.islink(link) and os.path.realpath(link) == os.path.realpath(path)
    )
