# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of the second half: take the lock, look again, and bring the host to the wish, one safe step at a time.

Order is everything here. The receipt is renamed before the binary, so a crash in between reads as "reinstall" and
never leaves a binary that nobody vouches for; the link moves last, after the binary was read back and was seen to run.
"""

import errno
import os
import stat
import time
from typing import NamedTuple, Optional, Tuple

from . import _archive, _links, _remove, _run_check, _store
from ._directories import judge, trust_of, walk
from ._errors import InstallError, TerraformBinaryError, os_errors
from ._files import PendingFile, check_mode, copy, set_owner_and_mode, sweep
from ._interrupts import stoppable
from ._lock import locked
from ._model import COLLECTION_VERSION, PRODUCT, RECEIPT, Receipt
from ._plan import enter_version, lock_name, look_at_link, make_plan, open_link_directory

LINK_LOCK = ".terraform-link.lock"


class Outcome(NamedTuple):
    """What came of it."""

    changed: bool
    receipt: Optional[Receipt]          # of the binary now; None when it is absent
    previous: Optional[str]             # what the link pointed to before
    intact: Tuple[str, ...]             # versions under base_dir whose binary is the file its receipt knows
    removed: Tuple[str, ...]            # full paths
    downloaded_bytes: int
    tolerated: Tuple[str, ...]          # what allow_unsafe_base_dir let pass


class Run:
    """One run on one version: the wish, who is told, and what was done so far."""

    def __init__(self, plan, signers, source, say, label):
        self.wish = plan.wish
        self.signers = signers
        self.source = source
        self.say = say
        self.label = label
        self.trust = trust_of(plan.wish.uid)
        self.tolerated = [] if plan.wish.allow_unsafe else None
        self.receipt = None
        self.previous = plan.occupant.target if plan.occupant else None
        self.changed = False
        self.removed = []
        self.downloaded_bytes = 0

    def look(self):
        """P5 once more."""
        return make_plan(self.wish, self.signers, self.label)


def apply(plan, signers, source, say, label=None):
    """Carry out a plan that has changes.

    :param plan: Plan, from make_plan().
    :param signers: frozenset of str, fingerprints of the trusted keys' primaries.
    :param source: where archives come from: ``archive(sink)`` -> VerifiedArchive and ``vouch()`` -> Vouching.
    :param say: callable(line, warning=False).
    :param label: callable(fd, path, mend) -> bool, or None without SELinux.
    :returns: Outcome. Raises TerraformBinaryError; ``changed`` on it says whether the host had been changed.
    """
    run = Run(plan, signers, source, say, label)
    try:
        with stoppable():
            intact = _apply(run)
    except TerraformBinaryError as exc:
        exc.changed = exc.changed or run.changed
        raise
    return Outcome(run.changed, run.receipt, run.previous, intact, tuple(run.removed), run.downloaded_bytes,
                   tuple(run.tolerated or ()))


def _apply(run):
    wish = run.wish
    present = wish.state == "present"
    base = walk(wish.base_dir, "base_dir", run.trust, run.say, create=present, tolerated=run.tolerated)
    if base is None:
        _remove.remove_link(run)    # there is no store, so there is no lock to take either
        return ()
    with base:
        judge(base, base.stat(lock_name(wish.version)), wish.base_dir, "base_dir")
        run.say("directory verified: %s" % base.described())
        with locked(base, lock_name(wish.version), wish.lock_timeout, run.say) as held:
            plan = run.look()
            if present:
                _put_right(run, base, plan, held)
            else:
                with locked(base, LINK_LOCK, wish.lock_timeout, run.say):
                    _remove.remove(run, base, plan)
            return _store.intact_versions(base)


def _put_right(run, base, plan, held):
    wish = run.wish
    if not plan.changes:
        run.receipt = plan.found.receipt    # a twin did it while we waited for the lock
        return
    if plan.found is None:
        base.make(wish.version, run.say)
    directory = enter_version(base, wish)
    if directory is None:
        raise InstallError("%s vanished" % wish.version_dir, path=wish.version_dir, errno=errno.ENOENT,
                           hint="something else on this host removes it")
    with directory:
        run.say("directory verified: %s" % directory.described())
        for path in sweep(directory, 0 if held else wish.lock_timeout):
            run.changed = True
            run.say("left-over removed: %s" % path)
        touched = _put_binary(run, directory, plan)
        _look_once_more(run)
        if wish.run_check and wish.native and (touched or plan.verdict.check or plan.link_moves):
            said = _run_check.run(wish.path)
            run.say("run check passed: %s version -json says %s" % (wish.path, said))
        else:
            said = run.receipt.run_check
        _record(run, directory, said)
    if plan.link_moves:
        _switch_link(run, base)


def _put_binary(run, directory, plan):
    """Bring bytes, vouching, owner and mode to the wish.

    :returns: bool, the binary itself was touched. The receipt that now holds is left in ``run.receipt``.
    """
    verdict = plan.verdict
    if verdict.install:
        run.say("to install: %s" % "; ".join(verdict.install))
        _install(run, directory)
        return True
    run.receipt = plan.found.receipt
    if verdict.vouch:
        run.say("to verify anew: %s" % "; ".join(verdict.vouch))
        vouching = run.source.vouch()
        run.downloaded_bytes += vouching.downloaded_bytes
        if vouching.archive_sha256 != run.receipt.archive_sha256:
            run.say("the archive of this release has sha256 %s, the installed binary came from %s" % (
                vouching.archive_sha256, run.receipt.archive_sha256))
            _install(run, directory)
            return True
        run.receipt = _vouched(run.receipt, vouching)
    if verdict.replace:
        _replace(run, directory, plan)
    elif verdict.mend:
        _mend(run, directory, plan)
    if verdict.record and not verdict.replace:
        run.receipt = run.receipt._replace(mtime_ns=plan.found.stat.st_mtime_ns, inode=plan.found.stat.st_ino)
    if verdict.vouch or verdict.record:
        _write_receipt(run, directory)
        run.changed = True
        run.say("receipt written: %s" % directory.at(RECEIPT))
    return bool(verdict.replace or verdict.mend)


def _install(run, directory):
    """P7 to P14: a new binary from a verified archive."""
    wish = run.wish
    with PendingFile(directory, "archive") as spool:
        spool.unlink()
        archive = run.source.archive(spool)
        run.downloaded_bytes += archive.downloaded_bytes
        with archive.file, PendingFile(directory, "binary") as pending:
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
                format=_store.RECEIPT_FORMAT, product=PRODUCT, version=wish.version, platform=wish.platform,
                sha256=pending.sha256, size=pending.size,
                installed_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), collection=COLLECTION_VERSION)
            run.receipt = _vouched(receipt, archive.vouching)
            _publish(run, directory, pending)


def _vouched(receipt, vouching):
    return receipt._replace(policy=vouching.policy, signer=vouching.signer, signed_at=vouching.signed_at,
                            archive_sha256=vouching.archive_sha256, origin=vouching.site)


def _replace(run, directory, plan):
    """The right bytes, but in a file that others may hold: a fresh copy takes its name."""
    path = run.wish.path
    run.say("to replace: %s" % "; ".join(plan.verdict.replace))
    fd, _found = _store.open_binary(directory)
    try:
        with PendingFile(directory, "binary") as pending:
            pending.reserve(run.receipt.size)
            copy(fd, path, pending)
            if pending.sha256 != run.receipt.sha256:
                raise InstallError("%s changed while it was copied" % path, path=path, errno=errno.EIO,
                                   hint="someone else on this host writes to it: run again")
            run.say("binary copied: %d bytes from %s to a new file of that name" % (pending.size, path))
            _publish(run, directory, pending)
    finally:
        os.close(fd)


def _publish(run, directory, pending):
    """P11 to P14, from the finished temporary file on: owner, mode, sync, read back; receipt; binary."""
    wish = run.wish
    settled = pending.settle(wish.mode, wish.uid, wish.gid, run.label, wish.path)
    run.say("synced and read back: %s, %d bytes, sha256 %s" % (pending.path, pending.size, pending.sha256))
    run.say("mode set: %s on %s" % (stat.filemode(settled.st_mode), wish.path))
    run.receipt = run.receipt._replace(mtime_ns=settled.st_mtime_ns, inode=settled.st_ino)
    _write_receipt(run, directory)
    pending.publish(PRODUCT)
    run.changed = True
    run.say("binary in place: %s" % wish.path)


def _mend(run, directory, plan):
    """Owner, mode or label, through the descriptor of the very file that was judged."""
    wish = run.wish
    fd, found = _store.open_binary(directory)
    try:
        if fd is None or (found.st_dev, found.st_ino) != (plan.found.stat.st_dev, plan.found.stat.st_ino):
            raise InstallError("%s was replaced while it was looked at" % wish.path, path=wish.path, errno=errno.ESTALE,
                               hint="something else on this host installs it: run again")
        set_owner_and_mode(fd, wish.path, wish.mode, wish.uid, wish.gid)
        run.changed = True
        if run.label is not None:
            with os_errors("label", wish.path):
                run.label(fd, wish.path, True)
        with os_errors("sync", wish.path):
            os.fsync(fd)
            mended = os.fstat(fd)
        check_mode(mended, wish.mode, wish.path)
        run.say("mended: %s" % "; ".join(plan.verdict.mend))
        run.say("mode set: %s on %s" % (stat.filemode(mended.st_mode), wish.path))
    finally:
        if fd is not None:
            os.close(fd)


def _write_receipt(run, directory):
    if run.receipt.format > _store.RECEIPT_FORMAT:
        return      # a newer collection's: its frozen keys hold, the rest is not ours to drop
    receipt = run.receipt._replace(base_dir_unsafe=tuple(run.tolerated or ()))
    with PendingFile(directory, "receipt") as pending:
        pending.write(_store.receipt_bytes(receipt))
        pending.settle(_store.RECEIPT_MODE, label=run.label, path=directory.at(RECEIPT))
        pending.publish(RECEIPT)
    run.receipt = receipt


def _record(run, directory, said):
    """What was seen of the binary, and the link that is about to point to it, before it does: a crash in between
    leaves a link too many in the receipt, which a removal looks at again, and never one too few."""
    receipt = run.receipt._replace(run_check=said)
    if run.wish.link and run.wish.link not in receipt.links:
        receipt = receipt._replace(links=receipt.links + (run.wish.link,))
    if receipt != run.receipt and receipt.format <= _store.RECEIPT_FORMAT:
        run.receipt = receipt
        _write_receipt(run, directory)
        run.changed = True
        run.say("receipt written: %s" % directory.at(RECEIPT))


def _look_once_more(run):
    """P15: what is there must now be what was asked for, found by the path from the root again."""
    verdict = run.look().verdict
    wrong = verdict.install + verdict.vouch + verdict.replace + verdict.mend
    if wrong:
        raise InstallError("%s is not right after the install: %s" % (run.wish.path, "; ".join(wrong)),
                           path=run.wish.path, errno=errno.EIO,
                           hint="something else on this host changes it, or its storage loses data")


def _switch_link(run, base):
    wish = run.wish
    with open_link_directory(wish, run.trust, run.say, create=True, tolerated=run.tolerated) as directory:
        with locked(base, LINK_LOCK, wish.lock_timeout, run.say):
            occupant = look_at_link(directory, wish, run.tolerated)
            run.previous = occupant.target
            if occupant.target == wish.path:
                return      # a twin did it
            try:
                _links.switch(directory, wish.link.rpartition("/")[2], wish.path)
            except InstallError as exc:
                run.changed = run.changed or exc.changed
                raise
            run.changed = True
            run.say("link switched: %s -> %s (before: %s)" % (wish.link, wish.path, occupant.target or occupant.kind))
