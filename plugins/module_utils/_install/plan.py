# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the plan: read the installed state and find its drift. It creates nothing and needs no network.

It holds no lock, except that is_held() takes one for an instant. Check mode ends here. So does every run that finds no
drift, whichever user runs it.
"""

import contextlib
import errno
import os
import stat
import time
from typing import List, NamedTuple, Optional, Tuple

from .._errors import InstallError, RequestError, os_error_context
from .._fs import symlink
from .._fs.directory import (
    Directory,
    TrustedOwners,
    check_entry,
    find_trusted_directory,
    kind_text,
    open_trusted_directory,
    trusted_owners,
)
from .._fs.lock import is_held
from .._fs.temp_files import list_temp_files
from .._records import PRODUCT, RECEIPT, Fingerprints, Log, Receipt, Request, SetContext
from .._versions.version import is_exact, sort_key
from . import installed, preflight
from .installed import RETRY_SECONDS
from .link_history import linked_version, record_link
from .receipt import FORMAT, find_links

LINK_LOCK = ".terraform-link.lock"
_VANISHED = (errno.ENOENT, errno.ESTALE)  # seen while a concurrent run removes the version
_ATTEMPTS = 10  # when files vanish each time, because other runs remove and install in turn


class Plan(NamedTuple):
    """The installed state, and how it differs from the request."""

    request: Request
    found: Optional[installed.InstalledState]  # None: the version has no directory
    drift: installed.Drift
    stale_temp_files: Tuple[str, ...]  # full paths
    link_state: Optional[symlink.LinkState]  # what is at ``link``; None if no link was requested
    safety_warnings: Tuple[str, ...]  # what allow_unsafe_base_dir allowed
    intact: Tuple[str, ...]  # versions for the platform whose binary matches its receipt

    @property
    def receipt(self) -> Optional[Receipt]:
        """The receipt that is there."""
        return self.found.receipt if self.found is not None else None

    @property
    def receipt_is_ahead(self) -> bool:
        """The receipt may be newer than the binary: after a crash, or between the two renames of a concurrent run."""
        return bool(self.drift.install) and self.receipt is not None

    @property
    def changes_link(self) -> bool:
        """The link has to be switched (present) or removed (absent)."""
        if self.link_state is None:
            return False
        ours = self.link_state.target == self.request.path
        return ours if self.request.state == "absent" else not ours

    @property
    def keeps_backup(self) -> bool:
        """The file that the link replaces has to be kept."""
        return (
            self.request.backup and self.changes_link and self.link_state is not None and self.link_state.kind == "file"
        )

    @property
    def removes(self) -> bool:
        """There is something to remove (absent)."""
        if self.request.state == "present" or self.found is None:
            return False
        names = self.found.names
        return not names or PRODUCT in names or RECEIPT in names or bool(self.stale_temp_files)

    @property
    def runs_check(self) -> bool:
        """The binary will be run."""
        drift = self.drift
        return (
            self.request.run_check
            and self.request.native
            and self.request.state == "present"
            and bool(drift.install or drift.recopy or drift.fix_metadata or drift.run_check or self.changes_link)
        )

    @property
    def writes_version_dir(self) -> bool:
        """The run will create or remove names in the version's directory, if that exists."""
        if self.found is None:
            return False
        drift, receipt = self.drift, self.found.receipt
        if self.request.state == "absent":
            return self.removes and bool(self.found.names)
        if receipt is None or drift.install or drift.recopy or self.stale_temp_files:
            return True
        return receipt.format <= FORMAT and bool(
            drift.reverify
            or drift.run_check
            or drift.update_receipt
            or drift.fix_metadata
            and (receipt.run_check or self.runs_check)
            or self.link_state is not None
            and record_link(receipt, self.request, self.link_state) != receipt
        )

    @property
    def empties_version_dir(self) -> bool:
        """Nothing will remain in the version's directory (absent)."""
        names = self.found.names if self.found is not None else ()
        ours = [name for name in (PRODUCT, RECEIPT) if name in names]
        return len(ours) + len(self.stale_temp_files) == len(names)

    @property
    def may_adopt(self) -> bool:
        """There is a binary without a receipt, which is taken over if it has the right bytes."""
        return (
            self.request.adopt
            and bool(self.drift.install)
            and self.found is not None
            and self.found.receipt is None
            and self.found.stat is not None
            and stat.S_ISREG(self.found.stat.st_mode)
        )

    @property
    def paths_to_remove(self) -> Tuple[str, ...]:
        """The paths that will be removed, in that order (absent)."""
        if self.request.state == "present":
            return ()
        gone: Tuple[str, ...] = (self.request.link,) if self.request.link and self.changes_link else ()
        if self.removes and self.found is not None:
            version_dir = self.request.version_dir
            gone += tuple("%s/%s" % (version_dir, name) for name in (PRODUCT, RECEIPT) if name in self.found.names)
            gone += self.stale_temp_files + (version_dir,) * self.empties_version_dir
        return gone

    @property
    def bytes_freed(self) -> int:
        """The size of the binary that will be removed, as its file says (``st_size``); receipts are not counted."""
        found = self.found if self.removes else None
        return found.stat.st_size if found is not None and found.stat is not None else 0

    @property
    def changes(self) -> bool:
        """The run has something to do."""
        return self.removes or any(self.drift) or bool(self.stale_temp_files) or self.changes_link

    @property
    def needs_archive(self) -> bool:
        """The run has to download an archive, or read the given one."""
        return bool(self.drift.install or self.drift.reverify)

    def reads_archive(self, sha256: str) -> bool:
        """The run will read the archive with this digest, and not only the documents that say what it has to be."""
        receipt = None if self.drift.install else self.receipt
        return self.needs_archive and (receipt is None or receipt.archive_sha256 != sha256)


def lock_name(request: Request) -> str:
    """Return the name of the version's lock file in the base dir."""
    return ".terraform-%s.lock" % request.version


def make_plan(
    request: Request, signers: Fingerprints, set_context: Optional[SetContext] = None, patient: bool = True
) -> Plan:
    """Read the state of the host and compare it with the request.

    :param signers: fingerprints of the primary keys of the trusted keys.
    :param set_context: callable(fd, path, restore) -> bool, whether the context differs; None without SELinux.
    :param patient: read again what a concurrent run may be changing; not needed while the lock is held.
    Raises InstallError for what cannot be read or is not safe, RequestError for what this module did not install, and
    for ``version: previous`` if an archive would be needed.
    """
    plan = _inspect_with_retries(request, signers, set_context, _ATTEMPTS if patient else 1)
    if patient and plan.receipt_is_ahead:
        time.sleep(RETRY_SECONDS)
        plan = _inspect_with_retries(request, signers, set_context, _ATTEMPTS)
    if request.wanted.is_previous and plan.needs_archive:
        raise RequestError(
            "%s, which the link pointed to before, cannot be linked without a download: %s"
            % (request.version, "; ".join(plan.drift.install + plan.drift.reverify)),
            path=request.path,
            hint="write version: '%s', which downloads what is missing" % request.version,
        )
    return plan


def _inspect_with_retries(
    request: Request, signers: Fingerprints, set_context: Optional[SetContext], looks: int
) -> Plan:
    """Inspect the host, and again if something vanishes, as during a concurrent removal. Raises as make_plan()."""
    for left in reversed(range(looks)):
        try:
            # The message for an OSError that no step describes better.
            with os_error_context("look at", request.version_dir, place="base_dir"):
                return _inspect(request, signers, set_context)
        except InstallError as exc:
            if not left or exc.errno not in _VANISHED:
                raise
        time.sleep(RETRY_SECONDS)
    raise AssertionError("a look returns or raises")


def list_installed(request: Request) -> installed.Inventory:
    """List the installed versions, as far as names and receipts show them: a constraint chooses among these.

    The store may have been copied or restored, which changes times, and must not be rolled back for that. So, for an
    install by constraint, modified versions that it allows are hashed, the newest first, until one is right. Versions
    older than the newest intact one are not hashed.

    :param request: with or without a version.
    Raises InstallError.
    """
    try:
        inventory = _list_installed(request)
    except InstallError as exc:
        if exc.errno not in _VANISHED:
            raise
        inventory = _list_installed(request)
    if inventory.modified:  # a concurrent run may be between its two renames
        time.sleep(RETRY_SECONDS)
        inventory = _list_installed(request)
    return inventory


def _list_installed(request: Request) -> installed.Inventory:
    with os_error_context("look at", request.base_dir, place="base_dir"):
        base = open_trusted_directory(
            request.base_dir,
            "base_dir",
            trusted_owners(request.uid),
            None,
            safety_warnings=[] if request.allow_unsafe else None,
        )
        if base is None:
            return installed.Inventory({}, (), ())
        with base:
            inventory = installed.list_installed(base)
            return (
                _verify_modified(base, request, inventory)
                if request.state == "present" and request.version is None
                else inventory
            )


def _verify_modified(base: Directory, request: Request, inventory: installed.Inventory) -> installed.Inventory:
    known = [
        name
        for name, platform in inventory.intact.items()
        if platform == request.platform and request.wanted.allows(name)
    ]
    modified = [name for name in inventory.modified if is_exact(name) and request.wanted.allows(name)]
    for name in sorted(modified, key=sort_key, reverse=True):
        if known and sort_key(name) < max(map(sort_key, known)):
            break
        receipt = None
        with contextlib.suppress(InstallError):  # what cannot be read stays modified
            receipt = installed.find_intact(base, name, doubted=True)
        if receipt is not None and receipt.platform == request.platform:
            return inventory._replace(
                intact=dict(inventory.intact, **{name: receipt.platform}),
                modified=tuple(each for each in inventory.modified if each != name),
            )
    return inventory


def _inspect(request: Request, signers: Fingerprints, set_context: Optional[SetContext]) -> Plan:
    owners = trusted_owners(request.uid)
    safety_warnings: Optional[List[str]] = [] if request.allow_unsafe else None
    found: Optional[installed.InstalledState] = None
    stale_temp_files: Tuple[str, ...] = ()
    intact: Tuple[str, ...] = ()
    drift = installed.Drift()
    if request.state == "present":
        drift = installed.Drift(install=("%s is not installed" % request.path,))
    with contextlib.ExitStack() as opened:
        base, whole = find_trusted_directory(request.base_dir, "base_dir", owners, safety_warnings)
        opened.enter_context(base)
        if whole:
            found, stale_temp_files = _inspect_version(base, request, set_context)
            if found is not None and request.state == "present":
                drift = installed.find_drift(request, found, signers, owners)
            right = request.state == "present" and not drift.install
            intact = installed.intact_versions(
                base, request.platform, request.version if request.state == "present" else None, right
            )
        if found is not None and request.state == "absent":
            _check_removable(request, found)
            if request.keep is not None:
                from .usage import check_unused  # which only such a removal needs

                check_unused(base, request, found.stat)
        place, link_state = _inspect_link(opened, request, owners, safety_warnings)
        linked = request.state == "present" and link_state is not None and link_state.target == request.path
        if linked and not drift.install and found is not None and found.receipt is not None:
            drift = _check_link_recorded(request, found.receipt, drift)
        plan = Plan(request, found, drift, stale_temp_files, link_state, tuple(safety_warnings or ()), intact)
        if plan.changes:
            preflight.check_target(plan, base, whole, place, (lock_name(request),) + (LINK_LOCK,) * plan.changes_link)
    return plan


def enter_version(base: Directory, request: Request) -> Optional[Directory]:
    """Open the version's directory, with the strict checks; None if there is none. Raises InstallError."""
    version = os.path.basename(request.version_dir)
    entry = base.stat(version)
    check_entry(base, entry, request.base_dir, "base_dir", own=True)
    if entry is None:
        return None
    if not stat.S_ISDIR(entry.st_mode):
        raise InstallError(
            "%s is not a directory but %s" % (request.version_dir, kind_text(entry)),
            path=request.version_dir,
            errno=errno.ENOTDIR,
            hint="move it out of the way or choose another base_dir",
        )
    directory = base.enter(version)
    try:
        for name in (PRODUCT, RECEIPT):
            _check_entry(directory, name, request)
    except InstallError:
        directory.close()
        raise
    return directory


def _check_entry(directory: Directory, name: str, request: Request) -> None:
    """Refuse an entry that untrusted users could replace, or that a rename cannot replace. Raises InstallError."""
    entry = directory.stat(name)
    check_entry(directory, entry, request.version_dir, "base_dir", own=True)
    if entry is not None and stat.S_ISDIR(entry.st_mode):
        raise InstallError(
            "%s is a directory, expected a regular file" % directory.at(name),
            path=directory.at(name),
            errno=errno.EISDIR,
            hint="it was not installed by this module: move it out of the way",
        )


def _inspect_version(
    base: Directory,
    request: Request,
    set_context: Optional[SetContext],
) -> Tuple[Optional[installed.InstalledState], Tuple[str, ...]]:
    directory = enter_version(base, request)
    if directory is None:
        return None, ()
    with directory:
        left = list_temp_files(directory)
        stale_temp_files = left if left and is_held(base, lock_name(request)) is False else ()
        return installed.read_installed_state(directory, request, set_context), tuple(
            "%s/%s" % (request.version_dir, name) for name in stale_temp_files
        )


def _check_removable(request: Request, found: installed.InstalledState) -> None:
    """Refuse to remove what this module did not install, and what a link still points to. Raises RequestError."""
    if PRODUCT in found.names and RECEIPT not in found.names:
        raise RequestError(
            "%s has no receipt beside it, so it was not installed by this module" % request.path,
            path=request.path,
            hint="remove it by hand if nobody needs it",
        )
    for link in find_links(found.receipt, request.path) if found.receipt else ():
        if link not in (request.link, request.moved_link):
            raise RequestError(
                "%s is still what the link %s points to" % (request.path, link),
                path=link,
                hint="switch that link to another version first, or remove both with link: %s" % link,
            )


def _check_link_recorded(request: Request, receipt: Receipt, drift: installed.Drift) -> installed.Drift:
    """Add a drift if the link is right but not in the receipt, because a removal would not check it then."""
    if request.link in receipt.links or receipt.format > FORMAT:
        return drift
    return drift._replace(
        update_receipt=drift.update_receipt + ("the receipt does not know the link %s" % request.link,)
    )


def open_link_directory(
    link: str,
    owners: TrustedOwners,
    safety_warnings: Optional[List[str]],
    make: Optional[Log] = None,
) -> Tuple[Directory, bool]:
    """Open the directory of a link, or as much of the way to it as exists; see find_trusted_directory().

    Raises InstallError.
    """
    return find_trusted_directory(link.rpartition("/")[0] or "/", "link", owners, safety_warnings, make)


def _inspect_link(
    opened: contextlib.ExitStack,
    request: Request,
    owners: TrustedOwners,
    safety_warnings: Optional[List[str]],
) -> Tuple[Optional[Directory], Optional[symlink.LinkState]]:
    """Return (open directory of the link or the nearest one above it, LinkState); (None, None) without a link."""
    if request.link is None:
        return None, None
    directory, whole = open_link_directory(request.link, owners, safety_warnings)
    opened.enter_context(directory)
    if not whole:
        return directory, symlink.LinkState("absent", None, None, None)
    return directory, inspect_link(directory, request.link, request, safety_warnings)


def _check_outside(request: Request, directory: Directory, name: str) -> None:
    """Refuse a link whose path, spelled differently, is among the store's own files. Raises RequestError."""
    store = os.path.realpath(request.base_dir) + "/"
    link = directory.at(name)
    if not link.startswith(store):
        return
    first = link[len(store) :].split("/")[0]
    if first == request.version or first.startswith((".terraform-", ".tmp.")) or directory.stat(RECEIPT) is not None:
        raise RequestError(
            "link %s is %s, among the store's own files" % (request.link, link),
            path=request.link,
            hint="choose a link outside of %s/<version>" % request.base_dir,
        )


def inspect_link(
    directory: Directory,
    link: str,
    request: Request,
    safety_warnings: Optional[List[str]],
) -> symlink.LinkState:
    """Return what is at ``link``.

    :param directory: the open directory of the link.
    :param safety_warnings: as for open_trusted_directory().
    Raises InstallError if the link is not safe or may not be replaced, RequestError if it is inside the store, or if it
    would move to an older version and must not.
    """
    name = link.rpartition("/")[2]
    _check_outside(request, directory, name)
    check_entry(directory, directory.stat(name), link, "link", safety_warnings)
    link_state = symlink.read_link_state(directory, name, hashed=request.link_force)
    if request.state == "present":
        symlink.check_replaceable(link_state, link, request.link_force)
        _check_downgrade(request, link, link_state)
    return link_state


def _check_downgrade(request: Request, link: str, link_state: symlink.LinkState) -> None:
    """Refuse to move a link to an older version, unless that is allowed. Raises RequestError."""
    allowed = request.allow_downgrade or request.wanted.is_previous
    asked, version = request.version, None if allowed else linked_version(link, link_state)
    if asked is not None and version is not None and sort_key(version) > sort_key(asked):
        raise RequestError(
            "link %s points to %s, and %s is older, expected no downgrade (allow_downgrade: false)"
            % (link, version, asked),
            path=link,
            hint="write a version from %s on, or go back on purpose with version: previous or allow_downgrade: true"
            % version,
        )
