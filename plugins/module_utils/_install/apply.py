# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a plan: take the lock, make the plan again, and bring the host to the requested state, one safe step at a time.

The order matters: the receipt before the binary, and the link last, after the binary was read back and has run.
docs/architecture.md numbers the steps (P1 to P18).
"""

import contextlib
import errno
import os
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

from .._errors import InstallError, LockError, TerraformBinaryError, os_error_context
from .._fs import symlink
from .._fs.atomic_file import remove_stale_temp_files
from .._fs.directory import Directory, check_entry, open_trusted_directory, trusted_owners
from .._fs.hashing import hash_of
from .._fs.lock import hold_lock
from .._fs.signals import defer_signals, raise_on_signal
from .._records import PRODUCT, Fingerprints, Log, Provenance, Receipt, Request, SetContext
from . import binary, installed, run_check, uninstall
from .link_history import record_link
from .plan import LINK_LOCK, Plan, enter_version, inspect_link, lock_name, make_plan, open_link_directory
from .previous import find_previous
from .receipt import FORMAT

Source = Any  # see apply_plan()

# Attempts to lock the base dir while other processes remove it between its creation and the lock in it.
_ATTEMPTS = 50
# How long a removal because of ``keep`` waits for the link lock: nobody holds it for longer than a look or a rename takes.
_LINK_SECONDS = 5


class ApplyResult(NamedTuple):
    """The result of an applied plan."""

    plan: Plan  # as made under the lock: what really had to be done
    changed: bool
    receipt: Optional[Receipt]  # of the binary as it is now; None if it is absent
    previous: Optional[str]  # target of the link before
    intact: Tuple[str, ...]  # versions for the platform whose binary matches its receipt
    removed: Tuple[str, ...]  # full paths
    downloaded_bytes: int
    backup: Optional[str]  # full path of the file that was kept
    adopted: bool  # the binary was there, and only its receipt was written
    safety_warnings: Tuple[str, ...]  # what allow_unsafe_base_dir allowed


class InstallContext:
    """One run on one version: the request, the plan, the callables from the plugin, and what has been done so far."""

    def __init__(
        self,
        plan: Plan,
        signers: Fingerprints,
        source: Source,
        log: Log,
        set_context: Optional[SetContext],
    ) -> None:
        self.request = plan.request
        self.plan = plan
        self.signers = signers
        self.source = source
        self.log = log
        self.set_context = set_context
        self.owners = trusted_owners(plan.request.uid)
        self.safety_warnings: Optional[List[str]] = [] if plan.request.allow_unsafe else None
        self.held = False  # holds the version's lock; False also if the file system has no locks
        self.receipt: Optional[Receipt] = None
        self.previous = plan.link_state.target if plan.link_state else None
        self.changed = False
        self.adopted = False  # the binary was there without a receipt, and has the right bytes
        self.removed: List[str] = []
        self.downloaded_bytes = 0
        self.backup: Optional[str] = None  # full path of the kept file that the link replaced

    def look(self) -> Plan:
        """Make the plan again (P5). Raises as make_plan()."""
        return make_plan(self.request, self.signers, self.set_context, patient=not self.held)


def apply_plan(
    plan: Plan,
    signers: Fingerprints,
    source: Source,
    log: Log,
    set_context: Optional[SetContext] = None,
) -> ApplyResult:
    """Carry out a plan that has changes.

    :param plan: from make_plan().
    :param signers: fingerprints of the primary keys of the trusted keys.
    :param source: where archives come from: ``archive(sink)`` -> VerifiedArchive and ``provenance()`` -> Provenance.
    :param log: callable(line, warning=False).
    :param set_context: callable(fd, path, restore) -> bool, or None without SELinux.
    :returns: ApplyResult.
    Raises TerraformBinaryError; its ``changed`` says whether the host was changed before the failure.
    """
    run = InstallContext(plan, signers, source, log, set_context)
    try:
        # The message for an OSError that no step describes better.
        with raise_on_signal(run.request.path), os_error_context("work on", run.request.version_dir, place="base_dir"):
            intact = _apply_with_retries(run)
    except TerraformBinaryError as exc:
        exc.changed = exc.changed or run.changed
        raise
    return ApplyResult(
        run.plan,
        run.changed,
        run.receipt,
        run.previous,
        intact,
        tuple(run.removed),
        run.downloaded_bytes,
        run.backup,
        run.adopted,
        tuple(run.safety_warnings or ()),
    )


def _apply_with_retries(run: InstallContext) -> Tuple[str, ...]:
    logged: Optional[str] = None
    left = _ATTEMPTS
    while True:
        try:
            return _apply_in_base(run)
        except _Removed as exc:
            left -= 1
            if not left:
                raise exc.error from exc
            if str(exc.error) != logged:  # do not log it twice: the file system may always fail like this
                logged = str(exc.error)
                run.log("starting again, because another process removes everything: %s" % logged)


def _apply_in_base(run: InstallContext) -> Tuple[str, ...]:
    request = run.request
    present = request.state == "present"
    try:
        base = open_trusted_directory(
            request.base_dir, "base_dir", run.owners, run.log, create=present, safety_warnings=run.safety_warnings
        )
    except InstallError as exc:
        if exc.errno != errno.ENOENT:
            raise
        raise _Removed(exc) from exc  # removed between its creation and the check of it
    if base is None:
        uninstall.remove_link(run)  # without a store, there is no lock to take
        return ()
    with base:
        check_entry(base, base.stat(lock_name(request)), request.base_dir, "base_dir", own=True)
        run.log("directory verified: %s" % base.described())
        with _locked_in(base, request, run.log) as run.held:
            if request.keep is not None and not present and not run.held:
                raise without_locks(request)
            with contextlib.ExitStack() as stack:
                if not present:  # others that remove a version look at the same receipts, and at the links
                    timeout = request.lock_timeout if request.keep is None else _LINK_SECONDS
                    stack.enter_context(hold_lock(base, LINK_LOCK, timeout, run.log))
                planned, run.plan = run.plan, run.look()
                if request.keep is not None and not present and has_binary(run.plan) and not has_binary(planned):
                    raise LockError(
                        "another run has just installed %s" % request.path, path=request.path, hint="run again"
                    )
                if run.safety_warnings is not None:
                    run.safety_warnings = list(run.plan.safety_warnings)  # the plan also checked the way to the link
                if present:
                    _converge(run, base)
                else:
                    uninstall.remove_version(run, base)
            return installed.intact_versions(base, request.platform, request.version if present else None, present)


def has_binary(plan: Plan) -> bool:
    """Return whether there was a binary when the plan was made."""
    return plan.found is not None and PRODUCT in plan.found.names


def without_locks(request: Request) -> LockError:
    """Return the error for a version that ``keep`` leaves, because no lock shows whether another run works on it."""
    return LockError(
        "%s cannot be locked, so it stays" % request.version_dir,
        path=request.version_dir,
        errno=errno.ENOLCK,
        hint="remove it with state: absent while no other installer runs",
    )


class _Removed(Exception):
    """Another process removed the base dir before the lock in it was held, so before anything was done.

    :param error: the InstallError that showed it.
    """

    def __init__(self, error: InstallError) -> None:
        super().__init__()
        self.error = error


@contextlib.contextmanager
def _locked_in(base: Directory, request: Request, log: Log) -> Iterator[bool]:
    """Hold the version's lock for the body. Raises _Removed, and what hold_lock() raises."""
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(hold_lock(base, lock_name(request), request.lock_timeout, log))
        except InstallError as exc:
            if exc.errno == errno.ENOENT and base.is_gone():
                raise _Removed(exc) from exc
            raise
        yield held


def _converge(run: InstallContext, base: Directory) -> None:
    request, plan = run.request, run.plan
    if not plan.changes:
        run.receipt = plan.receipt  # a concurrent run did it while we waited for the lock
        return
    if plan.found is None:
        base.make(os.path.basename(request.version_dir), run.log)
    elif plan.receipt is None:  # a run that was killed may have created the directory, and not have synced it
        base.sync()
    directory = enter_version(base, request)
    if directory is None:
        raise InstallError(
            "%s vanished" % request.version_dir,
            path=request.version_dir,
            errno=errno.ENOENT,
            hint="another process removes it",
        )
    with directory:
        run.log("directory verified: %s" % directory.described())
        with defer_signals():
            for path in remove_stale_temp_files(directory, 0 if run.held else request.lock_timeout):
                run.changed = True
                run.log("stale temporary file removed: %s" % path)
        touched, receipt = _ensure_binary(run, directory)
        if run.changed:
            _verify_result(run)
        said = receipt.run_check
        if touched or plan.drift.run_check or plan.changes_link:
            if request.run_check and request.native:
                said = _check_run(run, directory, receipt)
                run.log("run check passed: %s version -json says %s" % (request.path, said))
            else:
                run.log(
                    "run check skipped: %s"
                    % (
                        "%s is for %s, another platform" % (request.path, request.platform)
                        if request.run_check
                        else "run_check is false"
                    )
                )
        run.receipt = _update_receipt(run, directory, receipt, said)
    if request.link is not None and plan.changes_link:
        _switch_link(run, base, request.link)


def _ensure_binary(run: InstallContext, directory: Directory) -> Tuple[bool, Receipt]:
    """Bring bytes, provenance, owner and mode to the requested state.

    :returns: (whether the binary itself was touched, the receipt that is valid now).
    """
    drift, receipt = run.plan.drift, run.plan.receipt
    if drift.install or receipt is None:
        run.log("to install: %s" % "; ".join(drift.install))
        receipt = binary.install_binary(run, directory)
        return True, _repair_adopted(run, directory, receipt) if run.adopted else receipt
    if drift.reverify:
        run.log("to verify again: %s" % "; ".join(drift.reverify))
        provenance: Provenance = run.source.provenance()
        run.downloaded_bytes += provenance.downloaded_bytes
        if provenance.archive_sha256 != receipt.archive_sha256:
            run.log(
                "the archive of this release has sha256 %s, the installed binary came from %s"
                % (provenance.archive_sha256, receipt.archive_sha256)
            )
            return True, binary.install_binary(run, directory)
        receipt = binary.write_receipt(run, directory, binary.with_provenance(receipt, provenance))
    return bool(drift.recopy or drift.fix_metadata), _repair(run, directory, receipt)


def _repair(run: InstallContext, directory: Directory, receipt: Receipt) -> Receipt:
    """Bring owner, mode and the file itself of a binary with the right bytes to the requested state."""
    if run.plan.drift.recopy:
        return binary.recopy_binary(run, directory, receipt)
    if run.plan.drift.fix_metadata:
        return binary.repair_metadata(run, directory, receipt)
    return receipt


def _repair_adopted(run: InstallContext, directory: Directory, receipt: Receipt) -> Receipt:
    """Repair a binary whose receipt was just written: the plan was made without it."""
    plan, run.plan = run.plan, run.look()
    try:
        return _repair(run, directory, receipt)
    finally:
        run.plan = plan  # the result is about what was there


def _update_receipt(run: InstallContext, directory: Directory, known: Receipt, said: Optional[str]) -> Receipt:
    """Record the run check's result, and the link that is about to point to the binary, before the link does.

    After a crash in between, the receipt can list one link too many, but never one too few. A removal checks each link.
    What the link pointed to before counts only once it points to this binary.

    :param known: the receipt that is valid so far.
    :returns: the receipt that is valid now.
    """
    request, plan = run.request, run.plan
    status = plan.found.stat if plan.found is not None else None
    receipt = known._replace(run_check=said)
    if status is not None and plan.receipt is not None and plan.drift.update_receipt:
        if (known.mtime_ns, known.inode) == (plan.receipt.mtime_ns, plan.receipt.inode):  # no new file was put in place
            receipt = receipt._replace(mtime_ns=status.st_mtime_ns, inode=status.st_ino)
    if plan.link_state is not None:
        receipt = record_link(receipt, request, plan.link_state)
    if receipt != known and receipt.format <= FORMAT:
        return binary.write_receipt(run, directory, receipt)
    return known


def _verify_result(run: InstallContext) -> None:
    """P15: open the path from the root again, and raise InstallError unless the result is what was requested."""
    drift = run.look().drift
    wrong = drift.install + drift.reverify + drift.recopy + drift.fix_metadata
    if wrong:
        raise InstallError(
            "%s is not right after the install: %s" % (run.request.path, "; ".join(wrong)),
            path=run.request.path,
            errno=errno.EIO,
            hint="another process changes it, or the storage loses data",
        )


def _check_run(run: InstallContext, directory: Directory, receipt: Receipt) -> str:
    """P16: hash the binary through a descriptor and run it from the same descriptor, whatever the path now leads to.

    :returns: the version that the binary reported. Raises RunCheckError, InstallError.
    """
    request = run.request
    fd, status = installed.open_binary(directory)
    if fd is None or status is None:
        raise _replaced(request.path, "is not there any more")
    try:
        if status.st_size != receipt.size:
            raise _replaced(request.path, "has %d bytes, expected %d" % (status.st_size, receipt.size))
        with os_error_context("read", request.path, place="base_dir"):
            sha256 = hash_of(fd)
        if sha256 != receipt.sha256:
            raise _replaced(request.path, "has sha256 %s, expected %s" % (sha256, receipt.sha256))
        return run_check.run_check(fd, request.path, request.uid, bool(run.safety_warnings))
    finally:
        os.close(fd)


def _replaced(path: str, found: str) -> InstallError:
    return InstallError(
        "%s %s: it was replaced before its run check" % (path, found),
        path=path,
        errno=errno.ESTALE,
        hint="another process changes it: run again",
    )


def _record_link_again(run: InstallContext, base: Directory, link: str, link_state: symlink.LinkState) -> None:
    """Record what the link points to now that no other run can move it: one has, after the plan was made.

    Raises InstallError if it changes what ``version: previous`` means.
    """
    request = run.request
    if request.wanted.is_previous and find_previous(request)[0] != request.version:
        raise InstallError(
            "link %s was switched to %s meanwhile, so %s is not the version before it"
            % (link, link_state.target or link_state.kind, request.version),
            path=link,
            errno=errno.ESTALE,
            hint="another process switches that link: look which version it should be, and run again",
        )
    directory = enter_version(base, request)
    if directory is None or run.receipt is None:
        return  # another process removes the version: the link is right, as soon as it is there again
    with directory:
        receipt = record_link(run.receipt, request, link_state)
        if receipt != run.receipt:
            run.receipt = binary.write_receipt(run, directory, receipt)


def _switch_link(run: InstallContext, base: Directory, link: str) -> None:
    request = run.request
    directory, _whole = open_link_directory(link, run.owners, run.safety_warnings, run.log)
    with directory:
        with hold_lock(base, LINK_LOCK, request.lock_timeout, run.log):
            link_state = inspect_link(directory, link, request, run.safety_warnings)
            run.previous = link_state.target
            if link_state.target == request.path:
                return  # a concurrent run did it
            if request.wanted.is_previous or link_state != run.plan.link_state:
                _record_link_again(run, base, link, link_state)
            with defer_signals():
                kept = symlink.switch_link(
                    directory, link.rpartition("/")[2], request.path, request.backup and link_state.kind == "file"
                )
                run.changed = True
            if kept:
                run.backup = "%s/%s" % (link.rpartition("/")[0], kept)
                run.log("file kept: %s as %s" % (link, run.backup))
            run.log("link switched: %s -> %s (before: %s)" % (link, request.path, link_state.target or link_state.kind))
