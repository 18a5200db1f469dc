# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the binary and its receipt: install from an archive, adopt, replace by a copy of itself, or repair in place.

The receipt is renamed before the binary. A crash in between therefore means "install again", and never leaves a binary
without provenance. After a change to the binary, the recorded run check is no longer valid.
"""

import errno
import fcntl
import hashlib
import os
import signal
import stat
import time
from typing import Any, Optional

from .._errors import InstallError, os_error_context
from .._fs.atomic_file import PendingFile, check_mode, copy_file, set_owner_and_mode
from .._fs.directory import Directory
from .._fs.hashing import hash_of
from .._fs.signals import defer_signals
from .._records import COLLECTION_VERSION, PRODUCT, RECEIPT, Provenance, Receipt, VerifiedArchive
from . import installed, zip_archive
from .link_history import with_links_of
from .receipt import FORMAT, MODE, receipt_bytes

Run = Any  # InstallContext in apply.py, which calls these functions


def install_binary(run: Run, directory: Directory) -> Receipt:
    """P7 to P14: install a new binary from a verified archive, or adopt the one that is there.

    :param run: InstallContext; its ``changed``, ``adopted`` and ``downloaded_bytes`` are updated.
    :param directory: the version's directory, open.
    :returns: the receipt as written.
    Raises what the source raises, ArchiveError, InstallError.
    """
    request = run.request
    with PendingFile(directory, "archive", request.path) as spool:
        spool.unlink()
        archive: VerifiedArchive = run.source.archive(spool)
        run.downloaded_bytes += archive.downloaded_bytes
        with archive.file, PendingFile(directory, "binary", request.path) as pending:
            binary = zip_archive.find_executable(archive.file, request.platform, archive.path)
            if binary.others:
                run.log("passed over in %s: %s" % (archive.path, ", ".join(binary.others)))
            adopted = _adopt_binary(run, directory, archive, binary)
            if adopted is not None:
                return adopted
            pending.check_free_space(binary.size)
            zip_archive.extract(binary, pending.write)
            run.log(
                "binary written: %d bytes (declared: %d) from %s to %s"
                % (pending.size, binary.size, archive.path, request.path)
            )
            with pending.reader() as written:
                zip_archive.check_magic(written.read(zip_archive.HEAD_SIZE), request.platform, archive.path)
            receipt = with_links_of(_new_receipt(archive, pending.sha256, pending.size), run.plan.receipt)
            return _publish(run, directory, pending, receipt)


def _new_receipt(archive: VerifiedArchive, sha256: str, size: int) -> Receipt:
    """Return the receipt of a binary from a verified archive."""
    receipt = Receipt(
        format=FORMAT,
        product=PRODUCT,
        version=archive.version,
        platform=archive.platform,
        sha256=sha256,
        size=size,
        installed_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        collection=COLLECTION_VERSION,
    )
    return with_provenance(receipt, archive.provenance)


def _adopt_binary(
    run: Run, directory: Directory, archive: VerifiedArchive, binary: zip_archive.Executable
) -> Optional[Receipt]:
    """Write the receipt of a binary that is there without one, if it has exactly the bytes of the archive's binary.

    Its recorded time is that of before it was hashed: if it is written to meanwhile, the next look hashes it again.

    :returns: the receipt as written; None if there is no such binary, or adopting one was not asked for.
    Raises ArchiveError, InstallError.
    """
    path = run.request.path
    if not run.plan.may_adopt:
        return None
    fd, status = installed.open_binary(directory)
    if fd is None or status is None:
        return None
    try:
        if _has_writer(fd):
            run.log("not adopted: another process has %s open for writing" % path)
            return None
        if status.st_size != binary.size:  # not read: it may be of any size
            run.log("not adopted: %s has %d bytes, that of the release %d" % (path, status.st_size, binary.size))
            return None
        with os_error_context("read", path, place=directory.place):
            found = hash_of(fd)
        expected, head = hashlib.sha256(), bytearray()

        def read(block: bytes) -> None:
            expected.update(block)
            head.extend(block[: zip_archive.HEAD_SIZE - len(head)])

        zip_archive.extract(binary, read)
        zip_archive.check_magic(bytes(head), run.request.platform, archive.path)
        if found != expected.hexdigest():
            run.log("not adopted: %s has sha256 %s, that of the release %s" % (path, found, expected.hexdigest()))
            return None
        with os_error_context("sync", path, place=directory.place):
            os.fsync(fd)
    finally:
        os.close(fd)
    receipt = _new_receipt(archive, found, status.st_size)._replace(mtime_ns=status.st_mtime_ns, inode=status.st_ino)
    receipt = write_receipt(run, directory, receipt, "receipt in place: %s")
    run.adopted = True
    run.log("binary adopted: %s, %d bytes, sha256 %s" % (path, status.st_size, found))
    return receipt


def _has_writer(fd: int) -> bool:
    """Return whether a file is open for writing anywhere on this host; False where that cannot be known.

    Such a process could change the bytes later, whatever mode and owner are by then. Linux grants a read lease only on a
    file without a writer (fcntl(2), F_SETLEASE). It is held for an instant, in which a new writer causes a signal: SIGURG,
    which no process notices that does not ask for it, in the place of SIGIO, which ends one.

    :param fd: of the file, open for reading only.
    """
    if not hasattr(fcntl, "F_SETLEASE"):  # macOS
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as exc:  # not the owner, without CAP_LEASE; a file system without leases
        return exc.errno == errno.EAGAIN
    return False


def with_provenance(receipt: Receipt, provenance: Provenance) -> Receipt:
    """Return the receipt with the provenance of its archive."""
    return receipt._replace(
        policy=provenance.policy,
        signer=provenance.signer,
        signed_at=provenance.signed_at,
        archive_sha256=provenance.archive_sha256,
        origin=provenance.site,
    )


def recopy_binary(run: Run, directory: Directory, receipt: Receipt) -> Receipt:
    """Replace a file that has the right bytes, but that others may have open or can write: rename a fresh copy over it.

    :param receipt: the valid receipt.
    :returns: the receipt as written. Raises InstallError.
    """
    path = run.request.path
    run.log("to replace: %s" % "; ".join(run.plan.drift.recopy))
    fd = _open_checked(run, directory)
    try:
        with PendingFile(directory, "binary", path) as pending:
            pending.check_free_space(receipt.size)
            copy_file(fd, path, pending)
            if pending.sha256 != receipt.sha256:
                raise InstallError(
                    "%s changed while it was copied" % path,
                    path=path,
                    errno=errno.EIO,
                    hint="another process writes to it: run again",
                )
            run.log("binary copied: %d bytes from %s to a new file of that name" % (pending.size, path))
            return _publish(run, directory, pending, receipt._replace(run_check=None))
    finally:
        os.close(fd)


def _publish(run: Run, directory: Directory, pending: PendingFile, receipt: Receipt) -> Receipt:
    """P11 to P14: owner, mode, sync and read back of the complete temporary file; receipt; binary."""
    request = run.request
    finished = pending.finalize(request.mode, request.uid, request.gid, run.set_context, request.path)
    run.log("mode set: %s on %s" % (stat.filemode(finished.st_mode), pending.path))
    run.log("synced and read back: %s, %d bytes, sha256 %s" % (pending.path, pending.size, pending.sha256))
    receipt = receipt._replace(mtime_ns=finished.st_mtime_ns, inode=finished.st_ino)
    receipt = write_receipt(run, directory, receipt, "receipt in place: %s")
    with defer_signals():
        pending.publish(PRODUCT)
        run.changed = True
    run.log("binary in place: %s" % request.path)
    return receipt


def repair_metadata(run: Run, directory: Directory, receipt: Receipt) -> Receipt:
    """Repair owner, mode or SELinux context through the descriptor of the very file that the plan checked.

    :param receipt: the valid receipt.
    :returns: the receipt that is valid now. Raises InstallError.
    """
    request, plan = run.request, run.plan
    fd = _open_checked(run, directory)
    try:
        with defer_signals():
            try:
                set_owner_and_mode(fd, request.path, request.mode, request.uid, request.gid, directory.place)
            finally:  # the owner may have changed even if the mode could not be set
                run.changed = run.changed or _is_another(fd, plan.found.stat)
            if plan.found.label_differs:
                with os_error_context("label", request.path, place=directory.place):
                    run.set_context(fd, request.path, True)
                run.changed = True
        with os_error_context("sync", request.path, place=directory.place):
            os.fsync(fd)
            repaired = os.fstat(fd)
        check_mode(repaired, request.mode, request.path)
        run.log("repaired: %s" % "; ".join(plan.drift.fix_metadata))
        run.log("mode set: %s on %s" % (stat.filemode(repaired.st_mode), request.path))
    finally:
        os.close(fd)
    if receipt.run_check is None:
        return receipt
    return write_receipt(run, directory, receipt._replace(run_check=None))


def _is_another(fd: int, planned: os.stat_result) -> bool:
    """Return whether owner, group or mode have changed; also True if that is unknown."""
    try:
        found = os.fstat(fd)
    except OSError:
        return True
    return (found.st_uid, found.st_gid, found.st_mode) != (planned.st_uid, planned.st_gid, planned.st_mode)


def _open_checked(run: Run, directory: Directory) -> int:
    """Open the file that the plan checked for reading. Raises InstallError if another file is there now."""
    path, planned = run.request.path, run.plan.found.stat
    fd, found = installed.open_binary(directory)
    if fd is not None and found is not None and (found.st_dev, found.st_ino) == (planned.st_dev, planned.st_ino):
        return fd
    if fd is not None:
        os.close(fd)
    raise InstallError(
        "%s was replaced while it was looked at" % path,
        path=path,
        errno=errno.ESTALE,
        hint="another process installs it: run again",
    )


def write_receipt(run: Run, directory: Directory, receipt: Receipt, line: str = "receipt written: %s") -> Receipt:
    """Write a receipt beside the binary, and log it. Leave the receipt of a newer collection as it is.

    The frozen fields of a newer receipt are valid, and its other fields must not be lost.

    :param line: the line to log, with %s for the path.
    :returns: the receipt as written. Raises InstallError.
    """
    if receipt.format > FORMAT:
        return receipt
    receipt = receipt._replace(base_dir_unsafe=tuple(run.safety_warnings or ()))
    with PendingFile(directory, "receipt") as pending:
        pending.write(receipt_bytes(receipt))
        pending.finalize(MODE, set_context=run.set_context, path=directory.at(RECEIPT))
        with defer_signals():
            pending.publish(RECEIPT)
            run.changed = True
    run.log(line % directory.at(RECEIPT))
    return receipt
