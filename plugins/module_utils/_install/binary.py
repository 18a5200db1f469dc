# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The binary's file and its receipt: installed from an archive, replaced by a copy of itself, or mended in place.

The receipt is renamed before the binary, so a crash in between reads as "reinstall" and never leaves a binary that
nobody vouches for. What was seen of a binary's running does not count any more once it was touched.
"""

import errno
import os
import stat
import time
from typing import Any, Optional, Tuple

from .._errors import InstallError, os_error_context
from .._fs.atomic_file import PendingFile, check_mode, copy_file, set_owner_and_mode
from .._fs.directory import Directory
from .._fs.signals import defer_signals
from .._records import COLLECTION_VERSION, PRODUCT, RECEIPT, Provenance, Receipt, VerifiedArchive
from . import installed, zip_archive
from .receipt import FORMAT, MODE, receipt_bytes

Run = Any  # see _install, which has us do this
Plan = Any  # see _plan


def install_binary(run: Run, directory: Directory) -> Receipt:
    """P7 to P14: a new binary from a verified archive.

    :param run: Run; ``changed`` and ``downloaded_bytes`` are kept up to date.
    :param directory: the version's directory, open.
    :returns: Receipt, as it was written.
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
            pending.check_free_space(binary.size)
            zip_archive.extract(binary, pending.write)
            run.log(
                "binary written: %d bytes (declared: %d) from %s to %s"
                % (pending.size, binary.size, archive.path, request.path)
            )
            with pending.reader() as written:
                zip_archive.check_magic(written.read(zip_archive.HEAD_SIZE), request.platform, archive.path)
            receipt = Receipt(
                format=FORMAT,
                product=PRODUCT,
                version=request.version,
                platform=request.platform,
                sha256=pending.sha256,
                size=pending.size,
                links=_known_links(run.plan),
                installed_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                collection=COLLECTION_VERSION,
            )
            return _publish(run, directory, pending, with_provenance(receipt, archive.provenance))


def _known_links(plan: Plan) -> Tuple[str, ...]:
    """A new binary is what the links of the old one point to."""
    receipt: Optional[Receipt] = plan.receipt
    return receipt.links if receipt is not None else ()


def with_provenance(receipt: Receipt, provenance: Provenance) -> Receipt:
    """The receipt with who says that its archive is genuine."""
    return receipt._replace(
        policy=provenance.policy,
        signer=provenance.signer,
        signed_at=provenance.signed_at,
        archive_sha256=provenance.archive_sha256,
        origin=provenance.site,
    )


def recopy_binary(run: Run, directory: Directory, receipt: Receipt) -> Receipt:
    """The right bytes, but in a file that others may hold: a fresh copy takes its name.

    :param receipt: Receipt, the one that holds.
    :returns: Receipt, as it was written. Raises InstallError.
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
    """P11 to P14, from the finished temporary file on: owner, mode, sync, read back; receipt; binary."""
    request = run.request
    settled = pending.finalize(request.mode, request.uid, request.gid, run.set_context, request.path)
    run.log("mode set: %s on %s" % (stat.filemode(settled.st_mode), pending.path))
    run.log("synced and read back: %s, %d bytes, sha256 %s" % (pending.path, pending.size, pending.sha256))
    receipt = receipt._replace(mtime_ns=settled.st_mtime_ns, inode=settled.st_ino)
    receipt = write_receipt(run, directory, receipt, "receipt in place: %s")
    with defer_signals():
        pending.publish(PRODUCT)
        run.changed = True
    run.log("binary in place: %s" % request.path)
    return receipt


def repair_metadata(run: Run, directory: Directory, receipt: Receipt) -> Receipt:
    """Owner, mode or label, through the descriptor of the very file that was judged.

    :param receipt: Receipt, the one that holds.
    :returns: Receipt, the one that holds now. Raises InstallError.
    """
    request, plan = run.request, run.plan
    fd = _open_checked(run, directory)
    try:
        with defer_signals():
            try:
                set_owner_and_mode(fd, request.path, request.mode, request.uid, request.gid, directory.place)
            finally:  # the owner may be another one already where the mode could not be set
                run.changed = run.changed or _is_another(fd, plan.found.stat)
            if plan.found.label_differs:
                with os_error_context("label", request.path, place=directory.place):
                    run.set_context(fd, request.path, True)
                run.changed = True
        with os_error_context("sync", request.path, place=directory.place):
            os.fsync(fd)
            mended = os.fstat(fd)
        check_mode(mended, request.mode, request.path)
        run.log("repaired: %s" % "; ".join(plan.drift.fix_metadata))
        run.log("mode set: %s on %s" % (stat.filemode(mended.st_mode), request.path))
    finally:
        os.close(fd)
    if receipt.run_check is None:
        return receipt
    return write_receipt(run, directory, receipt._replace(run_check=None))


def _is_another(fd: int, judged: os.stat_result) -> bool:
    """Owner, group or mode are not what they were; also where that cannot be told any more."""
    try:
        found = os.fstat(fd)
    except OSError:
        return True
    return (found.st_uid, found.st_gid, found.st_mode) != (judged.st_uid, judged.st_gid, judged.st_mode)


def _open_checked(run: Run, directory: Directory) -> int:
    """The file that the plan judged, open for reading. Raises InstallError when another one is there now."""
    path, judged = run.request.path, run.plan.found.stat
    fd, found = installed.open_binary(directory)
    if fd is not None and found is not None and (found.st_dev, found.st_ino) == (judged.st_dev, judged.st_ino):
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
    """Write a receipt beside the binary, and say so; a newer collection's stays as it is.

    (The frozen keys of a newer one hold, and the rest of it is not ours to drop.)

    :returns: Receipt, as it was written. Raises InstallError.
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
