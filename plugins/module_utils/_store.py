# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a version's directory now, and what vouches for it: the binary, its receipt, and the verdict on both.

Reads only. An error while looking is an error, never "absent": a disk that cannot be read must not lead to a new
download over a good binary.
"""

import contextlib
import json
import os
import re
import stat
from typing import NamedTuple, Optional, Tuple

from ._digest import hash_of
from ._errors import InstallError, RequestError, os_errors
from ._model import POLICIES, PRODUCT, RECEIPT, Receipt

RECEIPT_FORMAT = 1
RECEIPT_CAP = 64 * 1024     # bytes
RECEIPT_MODE = 0o644
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FROZEN = {"product": str, "version": str, "platform": str, "sha256": str, "size": int}
_OPTIONAL = {"policy": str, "signer": str, "signed_at": int, "archive_sha256": str, "origin": str, "run_check": str,
             "installed_at": str, "collection": str, "mtime_ns": int, "inode": int, "links": list,
             "base_dir_unsafe": list}


class Found(NamedTuple):
    """What lies in a version's directory."""

    names: Tuple[str, ...]              # all of its entries
    receipt: Optional[Receipt]
    complaint: Optional[str]            # why there is no receipt that counts
    stat: Optional[os.stat_result]      # of the binary; None when there is none
    sha256: Optional[str]               # of the binary; None when it was not hashed
    label_differs: bool                 # SELinux


class Verdict(NamedTuple):
    """What is short of the wish, each a tuple of reasons in words; all empty: nothing to do."""

    install: Tuple[str, ...] = ()       # the bytes are not right: an archive is needed
    vouch: Tuple[str, ...] = ()         # the bytes are right, but nobody whom the wish accepts says so
    replace: Tuple[str, ...] = ()       # right bytes in a file that others may hold: a fresh copy, renamed over
    mend: Tuple[str, ...] = ()          # mode, owner or label
    check: Tuple[str, ...] = ()         # it was never seen to run
    record: Tuple[str, ...] = ()        # right, but the receipt no longer knows the file (inode, mtime)


def open_binary(directory):
    """Open the binary for reading.

    :returns: (fd or None, os.stat_result or None): no fd for what is not a regular file, or is our own but unreadable.
    Raises InstallError.
    """
    path = directory.at(PRODUCT)
    found = directory.stat(PRODUCT)
    if found is None or not stat.S_ISREG(found.st_mode):
        return None, found
    with os_errors("open", path):
        try:
            fd = os.open(PRODUCT, _READ, dir_fd=directory.fd)
        except FileNotFoundError:
            return None, None
        except PermissionError:
            if found.st_uid != os.geteuid():
                raise
            return None, found
    with os_errors("look at", path):
        return fd, os.fstat(fd)


def look(directory, wish, label=None):
    """What is there, hashed as far as the wish wants it.

    :param directory: the version's directory, open.
    :param wish: Wish; ``verify`` decides whether matching size, mode, owner, mtime and inode spare the hashing.
    :param label: callable(fd, path, mend), or None.
    :returns: Found. Raises InstallError.
    """
    names = tuple(directory.names())
    receipt, complaint = read_receipt(directory, wish.version)
    fd, found = open_binary(directory)
    if fd is None and found is not None and stat.S_ISREG(found.st_mode):
        complaint = "%s cannot be read (%s)" % (directory.at(PRODUCT), stat.filemode(found.st_mode))
        return Found(names, None, complaint, found, None, False)
    if fd is None:
        return Found(names, receipt, complaint, found, None, False)
    try:
        sha256 = None
        if receipt and found.st_size == receipt.size and not (wish.verify == "receipt" and _familiar(found, receipt, wish)):
            with os_errors("read", directory.at(PRODUCT)):
                sha256 = hash_of(fd)
        with os_errors("read the label of", directory.at(PRODUCT)):
            differs = label is not None and label(fd, wish.path, False)
        return Found(names, receipt, complaint, found, sha256, differs)
    finally:
        os.close(fd)


def _familiar(found, receipt, wish):
    return ((found.st_mtime_ns, found.st_ino) == (receipt.mtime_ns, receipt.inode)
            and not _owner_and_mode(found, wish))


def judge(wish, found, signers, trust):
    """Compare what is there with the wish.

    :param signers: frozenset of the trusted keys' fingerprints.
    :param trust: who may own the binary (``uids``).
    :returns: Verdict. Raises RequestError when the directory holds another platform's binary.
    """
    receipt, path = found.receipt, wish.path
    if receipt is None:
        return Verdict(install=("%s is not installed" % path if found.stat is None else found.complaint,))
    if receipt.platform != wish.platform and found.stat is not None:
        raise RequestError(
            "%s is the %s binary, expected %s: one base_dir holds one platform" % (path, receipt.platform, wish.platform),
            path=path, hint="use another base_dir, or state: absent first")
    wrong = _wrong_bytes(wish, found)
    if wrong:
        return Verdict(install=(wrong,))
    differs = _owner_and_mode(found.stat, wish)
    if found.label_differs:
        differs += ("its SELinux label is not the one wanted",)
    replace = _shared(found.stat, trust, differs, path)
    newer = receipt.format > RECEIPT_FORMAT     # judged by the frozen keys alone, and left as it is
    return Verdict(
        replace=replace,
        mend=() if replace else tuple("%s: %s" % (path, reason) for reason in differs),
        vouch=() if newer else _short_vouching(wish, receipt, signers),
        check=() if newer or receipt.run_check or not (wish.run_check and wish.native) else ("%s was never seen to run" % path,),
        record=("the receipt does not know this file (mtime, inode)",) if _unrecorded(wish, found) and not newer else (),
    )


def _wrong_bytes(wish, found):
    receipt, path = found.receipt, wish.path
    if found.stat is None:
        return "%s is missing" % path
    if not stat.S_ISREG(found.stat.st_mode):
        return "%s is not a regular file (%s)" % (path, stat.filemode(found.stat.st_mode))
    if found.stat.st_size != receipt.size:
        return "%s has %d bytes, expected %d" % (path, found.stat.st_size, receipt.size)
    if found.sha256 is not None and found.sha256 != receipt.sha256:
        return "%s has sha256 %s, expected %s" % (path, found.sha256, receipt.sha256)
    if wish.checksum and receipt.archive_sha256 != wish.checksum:
        return "%s came from an archive with sha256 %s, expected %s" % (path, receipt.archive_sha256, wish.checksum)
    return None


def _owner_and_mode(found, wish):
    """The differences in words, as a tuple."""
    differs = ()
    if wish.uid is not None and found.st_uid != wish.uid:
        differs += ("owner %d, expected %d" % (found.st_uid, wish.uid),)
    if wish.gid is not None and found.st_gid != wish.gid:
        differs += ("group %d, expected %d" % (found.st_gid, wish.gid),)
    if stat.S_IMODE(found.st_mode) != wish.mode:
        differs += ("mode %04o, expected %04o" % (stat.S_IMODE(found.st_mode), wish.mode),)
    return differs


def _shared(found, trust, differs, path):
    """Why mending in place is not enough: another name for it, or another user who may have it open for writing."""
    if found.st_uid not in trust.uids:
        return ("%s belongs to uid %d, who could rewrite it" % (path, found.st_uid),)
    if found.st_mode & _OTHERS:
        return ("%s could be written by others (%s)" % (path, stat.filemode(found.st_mode)),)
    if differs and found.st_nlink > 1:
        return ("%s has %d names: %s" % (path, found.st_nlink, ", ".join(differs)),)
    return ()


def _short_vouching(wish, receipt, signers):
    policy = receipt.policy or ""
    if policy not in POLICIES or POLICIES.index(policy) < POLICIES.index(wish.policy):
        return ("%s was verified by policy %s, expected %s" % (wish.path, policy or "unknown", wish.policy),)
    if wish.policy == "signature" and receipt.signer not in signers:
        return ("%s was signed by %s, which is not among the trusted keys" % (wish.path, receipt.signer),)
    return ()


def _unrecorded(wish, found):
    return wish.verify == "receipt" and (
        (found.stat.st_mtime_ns, found.stat.st_ino) != (found.receipt.mtime_ns, found.receipt.inode))


def read_receipt(directory, version):
    """The receipt in a version's directory.

    :returns: (Receipt, None), or (None, str: why it does not count). Raises InstallError for what cannot be read.
    """
    path = directory.at(RECEIPT)
    found = directory.stat(RECEIPT)
    if found is None:
        return None, "%s is missing" % path
    if not stat.S_ISREG(found.st_mode):
        return None, "%s is not a regular file" % path
    if found.st_uid not in directory.trust.uids or found.st_mode & _OTHERS:
        return None, "%s could be written by others (%d:%d, %s)" % (
            path, found.st_uid, found.st_gid, stat.filemode(found.st_mode))
    with os_errors("read", path):
        fd = os.open(RECEIPT, _READ, dir_fd=directory.fd)
        with os.fdopen(fd, "rb") as stream:
            data = stream.read(RECEIPT_CAP + 1)
    if len(data) > RECEIPT_CAP:
        return None, "%s is larger than %d bytes" % (path, RECEIPT_CAP)
    receipt, complaint = parse_receipt(data)
    if receipt is not None and (receipt.product, receipt.version) != (PRODUCT, version):
        return None, "%s is about %s %s" % (path, receipt.product, receipt.version)
    return receipt, None if complaint is None else "%s %s" % (path, complaint)


def parse_receipt(data):
    """:returns: (Receipt, None), or (None, str: what is wrong with these bytes). Unknown keys are ignored."""
    try:
        fields = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None, "is not JSON"
    if not isinstance(fields, dict) or type(fields.get("format")) is not int or fields["format"] < 1:
        return None, "is no receipt"
    wrong = [key for key, kind in _FROZEN.items() if type(fields.get(key)) is not kind]
    if wrong or not re.match(r"[0-9a-f]{64}\Z", fields["sha256"]) or fields["size"] < 0:
        return None, "is no receipt"
    kept = {}
    for key, kind in _OPTIONAL.items():
        value = fields.get(key)
        if type(value) is kind and not (kind is list and any(type(item) is not str for item in value)):
            kept[key] = tuple(value) if kind is list else value
        elif value is not None and fields["format"] <= RECEIPT_FORMAT:
            return None, "has a %s that is not one" % key
    return Receipt(format=fields["format"], **dict({key: fields[key] for key in _FROZEN}, **kept)), None


def receipt_bytes(receipt):
    """The receipt as it is stored: JSON, one field a line."""
    return (json.dumps(receipt._asdict(), indent=2, sort_keys=True) + "\n").encode("ascii")


def intact_versions(base):
    """The versions under a base dir whose binary still is the file its receipt knows (size, mtime, inode).

    :param base: the base dir, open.
    :returns: tuple of str, sorted by name.
    """
    intact = []
    for name in base.names():
        with contextlib.suppress(InstallError):     # what cannot be looked at cannot be called intact
            if not name.startswith(".") and _is_intact(base, name):
                intact.append(name)
    return tuple(intact)


def _is_intact(base, name):
    version_dir = base.stat(name)
    if version_dir is None or not stat.S_ISDIR(version_dir.st_mode):
        return False
    with base.enter(name) as directory:
        receipt, _complaint = read_receipt(directory, name)
        found = directory.stat(PRODUCT)
        return receipt is not None and found is not None and stat.S_ISREG(found.st_mode) and (
            (found.st_size, found.st_mtime_ns, found.st_ino) == (receipt.size, receipt.mtime_ns, receipt.inode))
