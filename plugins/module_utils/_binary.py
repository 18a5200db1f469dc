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

from . import _archive, _receipt, _store
from ._errors import InstallError, os_errors
from ._files import PendingFile, check_mode, copy, set_owner_and_mode
from ._interrupts import undisturbed
from ._model import COLLECTION_VERSION, PRODUCT, RECEIPT, Receipt, VerifiedArchive, Vouching

Directory = Any     # the version's, open: see _directories
Run = Any           # see _install, which has us do this
Plan = Any          # see _plan


def install(run: Run, directory: Directory) -> Receipt:
    """P7 to P14: a new binary from a verified archive.

    :param run: Run; ``changed`` and ``downloaded_bytes`` are kept up to date.
    :param directory: the version's directory, open.
    :returns: Receipt, as it was written.
    Raises what the source raises, ArchiveError, InstallError.
    """
    wish = run.wish
    with PendingFile(directory, "archive", wish.path) as spool:
        spool.unlink()
        archive: VerifiedArchive = run.source.archive(spool)
        run.downloaded_bytes += archive.downloaded_bytes
        with archive.file, PendingFile(directory, "binary", wish.path) as pending:
            binary = _archive.find_binary(archive.file, wish.platform, archive.path)
            if binary.others:
                run.say("passed over in %s: %s" % (archive.path, ", ".join(binary.others)))
            pending.reserve(binary.size)
            _archive.inflate(binary, pending.write)
            run.say("binary written: %d bytes (declared: %d) from %s to %s" % (
                pending.size, binary.size, archive.path, wish.path))
            with pending.reader() as written:
                _archive.check_magic(written.read(_archive.HEAD_SIZE), wish.platform, archive.path)
            receipt = Receipt(
                format=_receipt.FORMAT, product=PRODUCT, version=wish.version, platform=wish.platform,
                sha256=pending.sha256, size=pending.size, links=_known_links(run.plan),
                installed_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), collection=COLLECTION_VERSION)
            return _publish(run, directory, pending, with_vouching(receipt, archive.vouching))


def _known_links(plan: Plan) -> Tuple[str, ...]:
    """A new binary is what the links of the old one point to."""
    receipt: Optional[Receipt] = plan.receipt
    return receipt.links if receipt is not None else ()


def with_vouching(receipt: Receipt, vouching: Vouching) -> Receipt:
    """The receipt with who says that its archive is genuine."""
    return receipt._replace(policy=vouching.policy, signer=vouching.signer, signed_at=vouching.signed_at,
                            archive_sha256=vouching.archive_sha256, origin=vouching.site)


def replace(run: Run, directory: Directory, receipt: Receipt) -> Receipt:
    """The right bytes, but in a file that others may hold: a fresh copy takes its name.

    :param receipt: Receipt, the one that holds.
    :returns: Receipt, as it was written. Raises InstallError.
    """
    path = run.wish.path
    run.say("to replace: %s" % "; ".join(run.plan.verdict.replace))
    fd = _open_judged(run, directory)
    try:
        with PendingFile(directory, "binary", path) as pending:
            pending.reserve(receipt.size)
            copy(fd, path, pending)
            if pending.sha256 != receipt.sha256:
                raise InstallError("%s changed while it was copied" % path, path=path, errno=errno.EIO,
                                   hint="another process writes to it: run again")
            run.say("binary copied: %d bytes from %s to a new file of that name" % (pending.size, path))
            return _publish(run, directory, pending, receipt._replace(run_check=None))
    finally:
        os.close(fd)


def _publish(run: Run, directory: Directory, pending: PendingFile, receipt: Receipt) -> Receipt:
    """P11 to P14, from the finished temporary file on: owner, mode, sync, read back; receipt; binary."""
    wish = run.wish
    settled = pending.settle(wish.mode, wish.uid, wish.gid, run.label, wish.path)
    run.say("mode set: %s on %s" % (stat.filemode(settled.st_mode), pending.path))
    run.say("synced and read back: %s, %d bytes, sha256 %s" % (pending.path, pending.size, pending.sha256))
    receipt = receipt._replace(mtime_ns=settled.st_mtime_ns, inode=settled.st_ino)
    receipt = write_receipt(run, directory, receipt, "receipt in place: %s")
    with undisturbed():
        pending.publish(PRODUCT)
        run.changed = True
    run.say("binary in place: %s" % wish.path)
    return receipt


def mend(run: Run, directory: Directory, receipt: Receipt) -> Receipt:
    """Owner, mode or label, through the descriptor of the very file that was judged.

    :param receipt: Receipt, the one that holds.
    :returns: Receipt, the one that holds now. Raises InstallError.
    """
    wish, plan = run.wish, run.plan
    fd = _open_judged(run, directory)
    try:
        with undisturbed():
            try:
                set_owner_and_mode(fd, wish.path, wish.mode, wish.uid, wish.gid, directory.place)
            finally:    # the owner may be another one already where the mode could not be set
                run.changed = run.changed or _is_another(fd, plan.found.stat)
            if plan.found.label_differs:
                with os_errors("label", wish.path, place=directory.place):
                    run.label(fd, wish.path, True)
                run.changed = True
        with os_errors("sync", wish.path, place=directory.place):
            os.fsync(fd)
            mended = os.fstat(fd)
        check_mode(mended, wish.mode, wish.path)
        run.say("mended: %s" % "; ".join(plan.verdict.mend))
        run.say("mode set: %s on %s" % (stat.filemode(mended.st_mode), wish.path))
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


def _open_judged(run: Run, directory: Directory) -> int:
    """The file that the plan judged, open for reading. Raises InstallError when another one is there now."""
    path, judged = run.wish.path, run.plan.found.stat
    fd, found = _store.open_binary(directory)
    if fd is not None and found is not None and (found.st_dev, found.st_ino) == (judged.st_dev, judged.st_ino):
        return fd
    if fd is not None:
        os.close(fd)
    raise InstallError("%s was replaced while it was looked at" % path, path=path, errno=errno.ESTALE,
                       hint="another process installs it: run again")


def write_receipt(run: Run, directory: Directory, receipt: Receipt, line: str = "receipt written: %s") -> Receipt:
    """Write a receipt beside the binary, and say so; a newer collection's stays as it is.

    (The frozen keys of a newer one hold, and the rest of it is not ours to drop.)

    :returns: Receipt, as it was written. Raises InstallError.
    """
    if receipt.format > _receipt.FORMAT:
        return receipt
    receipt = receipt._replace(base_dir_unsafe=tuple(run.tolerated or ()))
    with PendingFile(directory, "receipt") as pending:
        pending.write(_receipt.to_bytes(receipt))
        pending.settle(_receipt.MODE, label=run.label, path=directory.at(RECEIPT))
        with undisturbed():
            pending.publish(RECEIPT)
            run.changed = True
    run.say(line % directory.at(RECEIPT))
    return receipt
