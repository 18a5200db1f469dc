# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of the second half: take the lock, look again, and bring the host to the wish, one safe step at a time.

Order is everything here: receipt before binary, and the link last, after the binary was read back and was seen to run.
"""

import contextlib
import errno
import os
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

from . import _binary, _links, _receipt, _remove, _run_check, _store
from ._digest import hash_of
from ._directories import Directory, judge, trust_of, walk
from ._errors import InstallError, TerraformBinaryError, os_errors
from ._files import sweep
from ._interrupts import stoppable, undisturbed
from ._lock import locked
from ._model import Fingerprints, Log, Receipt, Vouching, Wish
from ._plan import LINK_LOCK, Plan, enter_version, lock_name, look_at_link, make_plan, open_link_directory

Source = Any        # see apply()

_BEGINNINGS = 50    # each after another process that removed everything, within the instant between a directory and a lock in it


class Outcome(NamedTuple):
    """What came of it."""

    plan: Plan                          # as it was under the lock: what was really to do
    changed: bool
    receipt: Optional[Receipt]          # of the binary now; None when it is absent
    previous: Optional[str]             # what the link pointed to before
    intact: Tuple[str, ...]             # versions for the platform whose binary is the file its receipt knows
    removed: Tuple[str, ...]            # full paths
    downloaded_bytes: int
    backup: Optional[str]               # full path of what was kept
    tolerated: Tuple[str, ...]          # what allow_unsafe_base_dir let pass


class Run:
    """One run on one version: the wish, who is told, and what was done so far."""

    def __init__(
        self, plan: Plan, signers: Fingerprints, source: Source, say: Log, label: Optional[_store.Label],
    ) -> None:
        self.wish = plan.wish
        self.plan = plan
        self.signers = signers
        self.source = source
        self.say = say
        self.label = label
        self.trust = trust_of(plan.wish.uid)
        self.tolerated: Optional[List[str]] = [] if plan.wish.allow_unsafe else None
        self.held = False           # the version's lock; False also where the file system has none
        self.receipt: Optional[Receipt] = None
        self.previous = plan.occupant.target if plan.occupant else None
        self.changed = False
        self.removed: List[str] = []
        self.downloaded_bytes = 0
        self.backup: Optional[str] = None   # full path of what the link replaced

    def look(self) -> Plan:
        """P5 once more."""
        return make_plan(self.wish, self.signers, self.label, patient=not self.held)


def apply(
    plan: Plan, signers: Fingerprints, source: Source, say: Log, label: Optional[_store.Label] = None,
) -> Outcome:
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
        with stoppable(run.wish.path), os_errors("work on", run.wish.version_dir, place="base_dir"):    # the word of no step
            intact = _apply(run)
    except TerraformBinaryError as exc:
        exc.changed = exc.changed or run.changed
        raise
    return Outcome(run.plan, run.changed, run.receipt, run.previous, intact, tuple(run.removed), run.downloaded_bytes,
                   run.backup, tuple(run.tolerated or ()))


def _apply(run: Run) -> Tuple[str, ...]:
    told: Optional[str] = None
    left = _BEGINNINGS
    while True:
        try:
            return _apply_in_base(run)
        except _Removed as exc:
            left -= 1
            if not left:
                raise exc.error from exc
            if str(exc.error) != told:      # a file system where nothing can be made looks the same each time
                told = str(exc.error)
                run.say("begun anew, since somebody removes all of it: %s" % told)


def _apply_in_base(run: Run) -> Tuple[str, ...]:
    wish = run.wish
    present = wish.state == "present"
    try:
        base = walk(wish.base_dir, "base_dir", run.trust, run.say, create=present, tolerated=run.tolerated)
    except InstallError as exc:
        if exc.errno != errno.ENOENT:
            raise
        raise _Removed(exc) from exc        # between its creation and the look at it
    if base is None:
        _remove.remove_link(run)    # there is no store, so there is no lock to take either
        return ()
    with base:
        judge(base, base.stat(lock_name(wish)), wish.base_dir, "base_dir", own=True)
        run.say("directory verified: %s" % base.described())
        with _locked_in(base, wish, run.say) as run.held:
            run.plan = run.look()
            if run.tolerated is not None:
                run.tolerated = list(run.plan.tolerated)    # of the way to the link as well
            if present:
                _put_right(run, base)
            else:
                with locked(base, LINK_LOCK, wish.lock_timeout, run.say):
                    _remove.remove(run, base)
            return _store.intact_versions(base, wish.platform, wish.version if present else None, present)


class _Removed(Exception):
    """Somebody who removes everything took the base dir away before the lock in it was held, so before anything was done.

    :param error: InstallError, how that showed.
    """

    def __init__(self, error: InstallError) -> None:
        super().__init__()
        self.error = error


@contextlib.contextmanager
def _locked_in(base: Directory, wish: Wish, say: Log) -> Iterator[bool]:
    """Hold the version's lock for the body. Raises _Removed, and what locked() raises."""
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(locked(base, lock_name(wish), wish.lock_timeout, say))
        except InstallError as exc:
            if exc.errno == errno.ENOENT and base.is_gone():
                raise _Removed(exc) from exc
            raise
        yield held


def _put_right(run: Run, base: Directory) -> None:
    wish, plan = run.wish, run.plan
    if not plan.changes:
        run.receipt = plan.receipt      # a twin did it while we waited for the lock
        return
    if plan.found is None:
        base.make(os.path.basename(wish.version_dir), run.say)
    directory = enter_version(base, wish)
    if directory is None:
        raise InstallError("%s vanished" % wish.version_dir, path=wish.version_dir, errno=errno.ENOENT,
                           hint="another process removes it")
    with directory:
        run.say("directory verified: %s" % directory.described())
        with undisturbed():
            for path in sweep(directory, 0 if run.held else wish.lock_timeout):
                run.changed = True
                run.say("left-over removed: %s" % path)
        touched, receipt = _put_binary(run, directory)
        if run.changed:
            _look_once_more(run)
        said = receipt.run_check
        if touched or plan.verdict.check or plan.link_moves:
            if wish.run_check and wish.native:
                said = _check_run(run, directory, receipt)
                run.say("run check passed: %s version -json says %s" % (wish.path, said))
            else:
                run.say("run check skipped: %s" % (
                    "%s is for %s, another platform" % (wish.path, wish.platform) if wish.run_check else "run_check is false"))
        run.receipt = _record(run, directory, receipt, said)
    if wish.link is not None and plan.link_moves:
        _switch_link(run, base, wish.link)


def _put_binary(run: Run, directory: Directory) -> Tuple[bool, Receipt]:
    """Bring bytes, vouching, owner and mode to the wish.

    :returns: (bool: the binary itself was touched, Receipt: the one that now holds).
    """
    verdict, receipt = run.plan.verdict, run.plan.receipt
    if verdict.install or receipt is None:
        run.say("to install: %s" % "; ".join(verdict.install))
        return True, _binary.install(run, directory)
    if verdict.vouch:
        run.say("to verify anew: %s" % "; ".join(verdict.vouch))
        vouching: Vouching = run.source.vouch()
        run.downloaded_bytes += vouching.downloaded_bytes
        if vouching.archive_sha256 != receipt.archive_sha256:
            run.say("the archive of this release has sha256 %s, the installed binary came from %s" % (
                vouching.archive_sha256, receipt.archive_sha256))
            return True, _binary.install(run, directory)
        receipt = _binary.write_receipt(run, directory, _binary.with_vouching(receipt, vouching))
    if verdict.replace:
        receipt = _binary.replace(run, directory, receipt)
    elif verdict.mend:
        receipt = _binary.mend(run, directory, receipt)
    return bool(verdict.replace or verdict.mend), receipt


def _record(run: Run, directory: Directory, known: Receipt, said: Optional[str]) -> Receipt:
    """What was seen of the binary, and the link that is about to point to it, before it does: a crash in between
    leaves a link too many in the receipt, which a removal looks at again, and never one too few.

    :param known: Receipt, the one that holds.
    :returns: Receipt, the one that holds now.
    """
    wish, verdict = run.wish, run.plan.verdict
    status = run.plan.found.stat if run.plan.found is not None else None
    receipt = known._replace(run_check=said)
    if status is not None and verdict.record and not verdict.replace:
        receipt = receipt._replace(mtime_ns=status.st_mtime_ns, inode=status.st_ino)
    if wish.link and wish.link not in receipt.links:
        receipt = receipt._replace(links=_receipt.find_links(receipt, wish.path) + (wish.link,))
    if receipt != known and receipt.format <= _receipt.FORMAT:
        return _binary.write_receipt(run, directory, receipt)
    return known


def _look_once_more(run: Run) -> None:
    """P15: what is there must now be what was asked for, found by the path from the root again."""
    verdict = run.look().verdict
    wrong = verdict.install + verdict.vouch + verdict.replace + verdict.mend
    if wrong:
        raise InstallError("%s is not right after the install: %s" % (run.wish.path, "; ".join(wrong)),
                           path=run.wish.path, errno=errno.EIO,
                           hint="another process changes it, or the storage loses data")


def _check_run(run: Run, directory: Directory, receipt: Receipt) -> str:
    """P16: the descriptor that is hashed here is the one that is started, whatever the path leads to by then.

    :returns: str, what the binary said of itself. Raises RunCheckError, InstallError.
    """
    wish = run.wish
    fd, _found = _store.open_binary(directory)
    if fd is None:
        raise _replaced(wish.path, "is not there any more")
    try:
        with os_errors("read", wish.path, place="base_dir"):
            sha256 = hash_of(fd)
        if sha256 != receipt.sha256:
            raise _replaced(wish.path, "has sha256 %s, expected %s" % (sha256, receipt.sha256))
        return _run_check.run(fd, wish.path, wish.uid, bool(run.tolerated))
    finally:
        os.close(fd)


def _replaced(path: str, found: str) -> InstallError:
    return InstallError("%s %s: it was replaced before its run check" % (path, found), path=path, errno=errno.ESTALE,
                        hint="another process changes it: run again")


def _switch_link(run: Run, base: Directory, link: str) -> None:
    wish = run.wish
    directory, _whole = open_link_directory(link, run.trust, run.tolerated, run.say)
    with directory:
        with locked(base, LINK_LOCK, wish.lock_timeout, run.say):
            occupant = look_at_link(directory, link, wish, run.tolerated)
            run.previous = occupant.target
            if occupant.target == wish.path:
                return      # a twin did it
            with undisturbed():
                kept = _links.switch(
                    directory, link.rpartition("/")[2], wish.path, wish.backup and occupant.kind == "file")
                run.changed = True
            if kept:
                run.backup = "%s/%s" % (link.rpartition("/")[0], kept)
                run.say("file kept: %s as %s" % (link, run.backup))
            run.say("link switched: %s -> %s (before: %s)" % (link, wish.path, occupant.target or occupant.kind))
