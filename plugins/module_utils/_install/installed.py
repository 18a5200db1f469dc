# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a version's directory now, and the drift: how the binary and its receipt differ from the request.

Read-only. An error while reading is an error, never "absent": a disk that cannot be read must not cause a new download
over a good binary.
"""

import contextlib
import os
import re
import stat
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from .._errors import InstallError, RequestError, os_error_context
from .._fs.accounts import group_name, user_name
from .._fs.directory import Directory, TrustedOwners
from .._fs.hashing import hash_of
from .._records import POLICIES, PRODUCT, RECEIPT, Fingerprints, Receipt, Request, SetContext
from .._versions.version import is_exact, sort_key
from .receipt import FORMAT, read_receipt

RETRY_SECONDS = 0.2  # seconds: by then a concurrent run has renamed its binary after its receipt
NEVER, IN_DOUBT, ALWAYS = "never", "in doubt", "always"  # when examine() hashes a binary
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_LOCK = re.compile(r"\.terraform-(.+)\.lock\Z")


class InstalledState(NamedTuple):
    """What is in a version's directory."""

    names: Tuple[str, ...]  # all of its entries
    receipt: Optional[Receipt]
    complaint: Optional[str]  # why there is no valid receipt
    stat: Optional[os.stat_result]  # of the binary; None if there is none
    sha256: Optional[str] = None  # of the binary; None if it was not hashed
    unreadable: bool = False  # we own the binary, but its mode does not let us read it
    label_differs: bool = False  # the SELinux context


class Drift(NamedTuple):
    """The differences from the request, each a tuple of reasons for messages. All empty: nothing to do."""

    install: Tuple[str, ...] = ()  # wrong bytes: an archive is needed
    reverify: Tuple[str, ...] = ()  # right bytes, but without the provenance that the request needs
    recopy: Tuple[str, ...] = ()  # right bytes in a file that others may have open: replace it by a fresh copy
    fix_metadata: Tuple[str, ...] = ()  # mode, owner or SELinux context
    run_check: Tuple[str, ...] = ()  # no run check is recorded
    update_receipt: Tuple[str, ...] = ()  # the receipt does not record this inode and mtime, or the link


def open_binary(directory: Directory) -> Tuple[Optional[int], Optional[os.stat_result]]:
    """Open the binary for reading.

    :returns: (fd or None, os.stat_result or None): no fd if it is not a regular file, or our own but unreadable.
    Raises InstallError.
    """
    path = directory.at(PRODUCT)
    found: Optional[os.stat_result] = directory.stat(PRODUCT)
    if found is None or not stat.S_ISREG(found.st_mode):
        return None, found
    with os_error_context("open", path, place=directory.place):
        try:
            fd = os.open(PRODUCT, _READ, dir_fd=directory.fd)
        except FileNotFoundError:
            return None, None
        except PermissionError:
            if found.st_uid != os.geteuid() or found.st_mode & stat.S_IRUSR:
                raise  # the cause is not the mode, which an install would repair
            return None, found
    try:
        directory.check_mount(fd, PRODUCT)
        with os_error_context("look at", path, place=directory.place):
            return fd, os.fstat(fd)
    except BaseException:
        os.close(fd)
        raise


def read_installed_state(
    directory: Directory, request: Request, set_context: Optional[SetContext] = None
) -> InstalledState:
    """Read a version's directory, and hash the binary if the request needs it.

    :param directory: the version's directory, open.
    :param request: with ``verify: receipt``, the hash is skipped if size, mode, owner, mtime and inode match. For a
        removal nothing is hashed: a damaged disk must not prevent the removal.
    :param set_context: callable(fd, path, restore), or None.
    Raises InstallError.
    """
    names = tuple(directory.names())
    receipt, complaint = read_receipt(directory, request.version)
    if request.state == "absent":
        return InstalledState(names, receipt, complaint, directory.stat(PRODUCT))
    fd, status = open_binary(directory)
    found = InstalledState(names, receipt, complaint, status)
    if fd is None or status is None:
        return found._replace(unreadable=status is not None and stat.S_ISREG(status.st_mode))
    try:
        if (
            receipt
            and status.st_size == receipt.size
            and not _may_skip_hash(status, receipt, request, directory.owners)
        ):
            with os_error_context("read", directory.at(PRODUCT), place=directory.place):
                found = found._replace(sha256=hash_of(fd))
        with os_error_context("read the label of", directory.at(PRODUCT), place=directory.place):
            return found._replace(label_differs=set_context is not None and set_context(fd, request.path, False))
    finally:
        os.close(fd)


def _may_skip_hash(found: os.stat_result, receipt: Receipt, request: Request, owners: TrustedOwners) -> bool:
    """Return whether the request trusts the receipt for the bytes, and the file's metadata agree with it."""
    return (
        request.verify == "receipt"
        and _matches_receipt(found, receipt)
        and not _owner_and_mode(found, request)
        and _writers(found, owners) is None
    )


def _matches_receipt(found: os.stat_result, receipt: Receipt) -> bool:
    return (found.st_mtime_ns, found.st_ino) == (receipt.mtime_ns, receipt.inode)


def find_drift(request: Request, found: InstalledState, signers: Fingerprints, owners: TrustedOwners) -> Drift:
    """Compare the installed state with the request.

    :param signers: fingerprints of the trusted keys.
    :param owners: its ``uids`` may own the binary.
    Raises RequestError if the directory holds a binary for another platform.
    """
    receipt, status, path = found.receipt, found.stat, request.path
    if receipt is None:
        complaint = None if status is None else found.complaint
        return Drift(install=(complaint or "%s is not installed" % path,))
    if status is None:
        return Drift(install=("%s is missing" % path,))
    if receipt.platform != request.platform:
        raise RequestError(
            "%s is the %s binary, expected %s: one base_dir holds one platform"
            % (path, ascii(receipt.platform[:40])[1:-1], request.platform),
            path=path,
            hint="use another base_dir, or state: absent first",
        )
    wrong = _wrong_bytes(request, found, status, receipt)
    if wrong:
        return Drift(install=(wrong,))
    differs = _owner_and_mode(status, request)
    if found.label_differs:
        differs += ("its SELinux label is not the one wanted",)
    recopy = _shared(status, owners, differs, path)
    fix_metadata = () if recopy else tuple("%s: %s" % (path, reason) for reason in differs)
    if receipt.format > FORMAT:  # only its frozen fields are used, and it stays as it is
        return Drift(recopy=recopy, fix_metadata=fix_metadata)
    return Drift(
        recopy=recopy,
        fix_metadata=fix_metadata,
        reverify=_provenance_drift(request, receipt, signers),
        run_check=("%s was never seen to run" % path,)
        if request.run_check and request.native and not receipt.run_check
        else (),
        update_receipt=("the receipt does not know this file (mtime, inode)",)
        if request.verify == "receipt" and not _matches_receipt(status, receipt)
        else (),
    )


def _wrong_bytes(request: Request, found: InstalledState, status: os.stat_result, receipt: Receipt) -> Optional[str]:
    path = request.path
    if found.unreadable:
        return _unreadable_text(path, status)
    differs = _bytes_differ(path, status, receipt, found.sha256)
    if differs:
        return differs
    unknown = receipt.archive_sha256 is None and receipt.format > FORMAT  # no frozen field has the archive's hash
    if request.checksum and receipt.archive_sha256 != request.checksum and not unknown:
        return "%s came from an archive with sha256 %s, expected %s" % (path, receipt.archive_sha256, request.checksum)
    return None


def _bytes_differ(path: str, status: os.stat_result, receipt: Receipt, sha256: Optional[str]) -> Optional[str]:
    """Return why a binary is not the one that the receipt describes; None if nothing says so.

    :param sha256: of the binary; None if it was not hashed.
    """
    if not stat.S_ISREG(status.st_mode):
        return "%s is not a regular file (%s)" % (path, stat.filemode(status.st_mode))
    if status.st_size != receipt.size:
        return "%s has %d bytes, expected %d" % (path, status.st_size, receipt.size)
    if sha256 is not None and sha256 != receipt.sha256:
        return "%s has sha256 %s, expected %s" % (path, sha256, receipt.sha256)
    return None


def _unreadable_text(path: str, status: os.stat_result) -> str:
    return "%s cannot be read (%s)" % (path, stat.filemode(status.st_mode))


def _owner_and_mode(found: os.stat_result, request: Request) -> Tuple[str, ...]:
    """Return the differences in owner, group and mode, for messages."""
    differs: Tuple[str, ...] = ()
    if request.uid is not None and found.st_uid != request.uid:
        differs += ("owner %s, expected %s" % (user_name(found.st_uid), request.owner),)
    if request.gid is not None and found.st_gid != request.gid:
        differs += ("group %s, expected %s" % (group_name(found.st_gid), request.group),)
    if stat.S_IMODE(found.st_mode) != request.mode:
        differs += ("mode %04o, expected %04o" % (stat.S_IMODE(found.st_mode), request.mode),)
    return differs


def _shared(found: os.stat_result, owners: TrustedOwners, differs: Tuple[str, ...], path: str) -> Tuple[str, ...]:
    """Return why a repair in place is not enough: others may have the file open for writing, or it has other names."""
    writers = _writers(found, owners)
    if writers:
        return ("%s %s" % (path, writers),)
    if differs and found.st_nlink > 1:
        return ("%s has %d names: %s" % (path, found.st_nlink, ", ".join(differs)),)
    return ()


def _writers(found: os.stat_result, owners: TrustedOwners) -> Optional[str]:
    """Return why an untrusted user can write to the binary, for messages; None if none can."""
    if found.st_uid not in owners.uids:
        return "belongs to %s, who could rewrite it" % user_name(found.st_uid)
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "could be written by others (%s)" % stat.filemode(found.st_mode)
    return None


def _provenance_drift(request: Request, receipt: Receipt, signers: Fingerprints) -> Tuple[str, ...]:
    policy = receipt.policy or ""
    if policy not in POLICIES or POLICIES.index(policy) < POLICIES.index(request.policy):
        return (
            "%s was verified by policy %s, expected %s"
            % (request.path, policy if policy in POLICIES else "unknown", request.policy),
        )
    if request.policy == "signature" and receipt.signer not in signers:
        return ("%s was signed by %s, which is not among the trusted keys" % (request.path, receipt.signer),)
    return ()


def intact_versions(
    base: Directory,
    platform: str,
    asked: Optional[str] = None,
    proven: bool = False,
) -> Tuple[str, ...]:
    """Return the versions under a base dir whose binary is right, according to names, sizes and times.

    A version newer than the requested one can keep a host from going back, because a mirror may be behind. If the times
    of such a version leave doubt (the store was copied, or restored from a backup), its binary is hashed.

    :param base: the base dir, open.
    :param platform: of the binaries.
    :param asked: the version to be present; None: none.
    :param proven: that version was just found right, so it counts as intact whatever its times are.
    :returns: versions, sorted by name. Raises InstallError if the base dir cannot be read.
    """
    intact: List[str] = []
    for name in base.names():
        if proven and name == asked:
            intact.append(name)
            continue
        doubted = asked is not None and is_exact(name) and sort_key(name) > sort_key(asked)
        with contextlib.suppress(InstallError):  # a version that cannot be read does not count as intact
            receipt = find_intact(base, name, doubted)
            if receipt is not None and receipt.platform == platform:
                intact.append(name)
    return tuple(intact)


class Inventory(NamedTuple):
    """What is under a base dir, by the names of its directories."""

    intact: Dict[str, str]  # version to platform, for each binary that matches its receipt
    modified: Tuple[str, ...]  # have a receipt but no binary that matches it, or cannot be read
    unmanaged: Tuple[str, ...]  # have a binary, but no receipt

    @property
    def managed(self) -> List[str]:
        """The versions that have a receipt."""
        return sorted(self.intact) + list(self.modified)


def list_installed(base: Directory) -> Inventory:
    """List what is under an open base dir. A version that cannot be read counts as modified.

    Raises InstallError if the base dir itself cannot be read.
    """
    intact: Dict[str, str] = {}
    modified: List[str] = []
    unmanaged: List[str] = []
    for name in base.names():
        receipt: Optional[Receipt] = None
        names: Sequence[str] = (RECEIPT,)
        with contextlib.suppress(InstallError):
            receipt = find_intact(base, name)
            names = _names_in(base, name)
        if receipt is not None:
            intact[name] = receipt.platform
        elif RECEIPT in names:
            modified.append(name)
        elif PRODUCT in names:
            unmanaged.append(name)
    return Inventory(intact, tuple(modified), tuple(unmanaged))


def _names_in(base: Directory, name: str) -> Sequence[str]:
    if not is_version_dir(base, name):
        return ()
    with base.enter(name) as directory:
        names: List[str] = directory.names()
    return names


def is_version_dir(base: Directory, name: str) -> bool:
    """Return whether a name in an open base dir is that of a directory that may be a version's."""
    found: Optional[os.stat_result] = base.stat(name)
    return not name.startswith(".") and found is not None and stat.S_ISDIR(found.st_mode)


def find_intact(base: Directory, name: str, doubted: bool = False) -> Optional[Receipt]:
    """Return the receipt of a version whose binary is right; None if it is not.

    :param base: the base dir, open.
    :param name: of the version's directory.
    :param doubted: hash a binary of the right size that has not the recorded inode and mtime, or that others could have
        written. Without this, such a binary does not count as intact.
    Raises InstallError.
    """
    if not is_version_dir(base, name):
        return None
    with base.enter(name) as directory:
        found = examine(directory, name, IN_DOUBT if doubted else NEVER)
        return found.receipt if found.wrong is None and found.doubt is None else None


class Examination(NamedTuple):
    """What a look at one version shows. The binary is right if there is neither something wrong nor a doubt."""

    receipt: Optional[Receipt]
    stat: Optional[os.stat_result]  # of the binary; None if there is none
    sha256: Optional[str]  # of the binary; None if it was not hashed
    wrong: Optional[str]  # why the binary or its receipt is wrong, for messages
    doubt: Optional[str]  # why only a hash can show whether the binary is right; None also if the hash showed it
    writers: Optional[str]  # why an untrusted user can write to the binary, whatever its hash is now


def examine(directory: Directory, version: str, hashing: str) -> Examination:
    """Compare the binary in a version's directory with its receipt, without a request.

    :param directory: the version's directory, open.
    :param version: that the receipt has to be about.
    :param hashing: NEVER, IN_DOUBT or ALWAYS: when to hash a binary of the right size. In doubt: if it has not the
        recorded inode and mtime, or others could have written it.
    Raises InstallError for what cannot be read.
    """
    path = directory.at(PRODUCT)
    status: Optional[os.stat_result] = directory.stat(PRODUCT)
    receipt, complaint = read_receipt(directory, version)
    if status is None:
        return Examination(receipt, None, None, "%s is missing" % path, None, None)
    unsafe = directory.unsafe_reason(status)
    writers = _writers(status, directory.owners)
    found = Examination(receipt, status, None, None, None, writers and "%s %s" % (path, writers))
    if unsafe or receipt is None:
        return found._replace(wrong=unsafe.reason if unsafe else complaint)
    wrong = _bytes_differ(path, status, receipt, None)
    if wrong:
        return found._replace(wrong=wrong)
    doubt = found.writers  # times and sizes of such a file prove nothing
    if not doubt and not _matches_receipt(status, receipt):
        doubt = "%s is not the file that its receipt describes (mtime, inode)" % path
    if hashing == NEVER or hashing == IN_DOUBT and not doubt:
        return found._replace(doubt=doubt)
    sha256 = _hash(directory)
    wrong = _bytes_differ(path, status, receipt, sha256) if sha256 else _unreadable_text(path, status)
    return found._replace(sha256=sha256, wrong=wrong)


def _hash(directory: Directory) -> Optional[str]:
    """Return the SHA-256 of a version's binary; None if it cannot be opened."""
    fd, _status = open_binary(directory)
    if fd is None:
        return None
    with os_error_context("read", directory.at(PRODUCT), place=directory.place), os.fdopen(fd, "rb") as stream:
        return hash_of(stream.fileno())


def version_of_lock(name: str) -> Optional[str]:
    """Return the version that a lock's name belongs to, or ``link``; None if it is not a lock of ours."""
    found = _LOCK.match(name)
    return found.group(1) if found and (is_exact(found.group(1)) or found.group(1) == "link") else None
