# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first look: what is there, and what would have to be done. Creates nothing, locks nothing, asks no network.

Check mode ends here, and so does every run that finds all in order, whoever runs it.
"""

import contextlib
import errno
import os
import stat
import time
from typing import List, NamedTuple, Optional, Tuple

from . import _links, _preflight, _receipt, _store
from ._directories import Directory, Trust, explore, judge, kind_text, trust_of, walk
from ._errors import InstallError, RequestError, os_errors
from ._files import temps
from ._lock import is_held
from ._model import PRODUCT, RECEIPT, Fingerprints, Log, Receipt, Wish
from ._versions import is_exact, order

LINK_LOCK = ".terraform-link.lock"
SECOND_LOOK = 0.2      # seconds: a twin between its receipt's rename and its binary's is done by then
_VANISHED = (errno.ENOENT, errno.ESTALE)    # what a twin that removes leaves those who look meanwhile
_LOOKS = 10     # at what vanishes each time: one after the other removes and installs it


class Plan(NamedTuple):
    """What was found, and what is short of the wish."""

    wish: Wish
    found: Optional[_store.Found]       # None: there is no version directory
    verdict: _store.Verdict
    litter: Tuple[str, ...]             # left-over temporary files, full paths
    occupant: Optional[_links.Occupant]  # what lies at ``link``; None when no link was asked for
    tolerated: Tuple[str, ...]          # what allow_unsafe_base_dir let pass
    intact: Tuple[str, ...]             # versions for the platform whose binary is the file its receipt knows

    @property
    def receipt(self) -> Optional[Receipt]:
        """The one that is there."""
        return self.found.receipt if self.found is not None else None

    @property
    def is_ahead(self) -> bool:
        """The receipt may be ahead of the binary: as after a crash, and as between the two renames of a twin."""
        return bool(self.verdict.install) and self.receipt is not None

    @property
    def link_moves(self) -> bool:
        """The link has to be switched (present) or to go (absent)."""
        if self.occupant is None:
            return False
        ours = self.occupant.target == self.wish.path
        return ours if self.wish.state == "absent" else not ours

    @property
    def keeps(self) -> bool:
        """The file that the link replaces is to be kept."""
        return self.wish.backup and self.link_moves and self.occupant is not None and self.occupant.kind == "file"

    @property
    def removes(self) -> bool:
        """There is something to remove (absent)."""
        if self.wish.state == "present" or self.found is None:
            return False
        names = self.found.names
        return not names or PRODUCT in names or RECEIPT in names or bool(self.litter)

    @property
    def runs(self) -> bool:
        """The binary will be run."""
        verdict = self.verdict
        return self.wish.run_check and self.wish.native and self.wish.state == "present" and bool(
            verdict.install or verdict.replace or verdict.mend or verdict.check or self.link_moves)

    @property
    def rewrites(self) -> bool:
        """Names in the version's directory, if it is there, will be made or removed."""
        if self.found is None:
            return False
        verdict, receipt = self.verdict, self.found.receipt
        if self.wish.state == "absent":
            return self.removes and bool(self.found.names)
        if receipt is None or verdict.install or verdict.replace or self.litter:
            return True
        return receipt.format <= _receipt.FORMAT and bool(
            verdict.vouch or verdict.check or verdict.record or verdict.mend and (receipt.run_check or self.runs)
            or self.wish.link and self.wish.link not in receipt.links)

    @property
    def empties(self) -> bool:
        """Nothing will be left in the version's directory (absent)."""
        names = self.found.names if self.found is not None else ()
        ours = [name for name in (PRODUCT, RECEIPT) if name in names]
        return len(ours) + len(self.litter) == len(names)

    @property
    def changes(self) -> bool:
        return self.removes or any(self.verdict) or bool(self.litter) or self.link_moves

    @property
    def needs_archive(self) -> bool:
        """Something would have to be fetched, or read from the archive given."""
        return bool(self.verdict.install or self.verdict.vouch)


def lock_name(wish: Wish) -> str:
    return ".terraform-%s.lock" % wish.version


def make_plan(wish: Wish, signers: Fingerprints, label: Optional[_store.Label] = None, patient: bool = True) -> Plan:
    """Look at the host and compare it with the wish.

    :param wish: Wish.
    :param signers: frozenset of str, fingerprints of the trusted keys' primaries.
    :param label: callable(fd, path, mend) -> bool "differs", or None without SELinux.
    :param patient: bool, look once more at what a twin may be in the middle of; not needed by who holds the lock.
    :returns: Plan. Raises InstallError for what cannot be looked at or is not safe, RequestError for what is not ours.
    """
    plan = _look_again(wish, signers, label, _LOOKS if patient else 1)
    if patient and plan.is_ahead:
        time.sleep(SECOND_LOOK)
        plan = _look_again(wish, signers, label, _LOOKS)
    return plan


def _look_again(wish: Wish, signers: Fingerprints, label: Optional[_store.Label], looks: int) -> Plan:
    """A look, and another when something vanishes meanwhile, as beside a twin that removes it. Raises as make_plan()."""
    for left in reversed(range(looks)):
        try:
            with os_errors("look at", wish.version_dir, place="base_dir"):    # what no step has a better word for
                return _look(wish, signers, label)
        except InstallError as exc:
            if not left or exc.errno not in _VANISHED:
                raise
        time.sleep(SECOND_LOOK)
    raise AssertionError("a look returns or raises")


def take_stock(wish: Wish) -> _store.Stock:
    """The versions that are there, as far as names and receipts tell: what a constraint chooses from.

    Of those that a constraint for an install allows and that are newer than all that is surely right, the newest that is right
    is found by its hash, where times leave doubt: a store that was copied or restored must not be rolled back.

    :param wish: Wish, with or without a version.
    :returns: Stock. Raises InstallError.
    """
    try:
        stock = _take_stock(wish)
    except InstallError as exc:
        if exc.errno not in _VANISHED:
            raise
        stock = _take_stock(wish)
    if stock.doubtful:      # a twin may be between its two renames
        time.sleep(SECOND_LOOK)
        stock = _take_stock(wish)
    return stock


def _take_stock(wish: Wish) -> _store.Stock:
    with os_errors("look at", wish.base_dir, place="base_dir"):
        base = walk(wish.base_dir, "base_dir", trust_of(wish.uid), None, tolerated=[] if wish.allow_unsafe else None)
        if base is None:
            return _store.Stock({}, (), ())
        with base:
            stock = _store.take_stock(base)
            return _settle_doubts(base, wish, stock) if wish.state == "present" and wish.version is None else stock


def _settle_doubts(base: Directory, wish: Wish, stock: _store.Stock) -> _store.Stock:
    known = [name for name, platform in stock.intact.items() if platform == wish.platform and wish.wanted.allows(name)]
    doubtful = [name for name in stock.doubtful if is_exact(name) and wish.wanted.allows(name)]
    for name in sorted(doubtful, key=order, reverse=True):
        if known and order(name) < max(map(order, known)):
            break
        receipt = None
        with contextlib.suppress(InstallError):     # what cannot be looked at stays doubtful
            receipt = _store.find_intact(base, name, doubted=True)
        if receipt is not None and receipt.platform == wish.platform:
            return stock._replace(intact=dict(stock.intact, **{name: receipt.platform}),
                                  doubtful=tuple(each for each in stock.doubtful if each != name))
    return stock


def _look(wish: Wish, signers: Fingerprints, label: Optional[_store.Label]) -> Plan:
    trust = trust_of(wish.uid)
    tolerated: Optional[List[str]] = [] if wish.allow_unsafe else None
    found: Optional[_store.Found] = None
    litter: Tuple[str, ...] = ()
    intact: Tuple[str, ...] = ()
    verdict = _store.Verdict()
    if wish.state == "present":
        verdict = _store.Verdict(install=("%s is not installed" % wish.path,))
    with contextlib.ExitStack() as opened:
        base, whole = explore(wish.base_dir, "base_dir", trust, tolerated)
        opened.enter_context(base)
        if whole:
            found, litter = _look_at_version(base, wish, label)
            if found is not None and wish.state == "present":
                verdict = _store.judge(wish, found, signers, trust)
            right = wish.state == "present" and not verdict.install
            intact = _store.intact_versions(
                base, wish.platform, wish.version if wish.state == "present" else None, right)
        if found is not None and wish.state == "absent":
            _check_removable(wish, found)
        place, occupant = _look_at_link(opened, wish, trust, tolerated)
        linked = wish.state == "present" and occupant is not None and occupant.target == wish.path
        if linked and not verdict.install and found is not None and found.receipt is not None:
            verdict = _judge_record(wish, found.receipt, verdict)
        plan = Plan(wish, found, verdict, litter, occupant, tuple(tolerated or ()), intact)
        if plan.changes:
            _preflight.check(plan, base, whole, place, (lock_name(wish),) + (LINK_LOCK,) * plan.link_moves)
    return plan


def enter_version(base: Directory, wish: Wish) -> Optional[Directory]:
    """Open the version's directory, judged strictly; None when there is none. Raises InstallError."""
    version = os.path.basename(wish.version_dir)
    entry = base.stat(version)
    judge(base, entry, wish.base_dir, "base_dir", own=True)
    if entry is None:
        return None
    if not stat.S_ISDIR(entry.st_mode):
        raise InstallError("%s is not a directory but %s" % (wish.version_dir, kind_text(entry)), path=wish.version_dir,
                           errno=errno.ENOTDIR, hint="move it out of the way or choose another base_dir")
    directory = base.enter(version)
    try:
        for name in (PRODUCT, RECEIPT):
            _check_entry(directory, name, wish)
    except InstallError:
        directory.close()
        raise
    return directory


def _check_entry(directory: Directory, name: str, wish: Wish) -> None:
    """Refuse what others could replace, and what no rename can replace. Raises InstallError."""
    entry = directory.stat(name)
    judge(directory, entry, wish.version_dir, "base_dir", own=True)
    if entry is not None and stat.S_ISDIR(entry.st_mode):
        raise InstallError("%s is a directory, expected a regular file" % directory.at(name), path=directory.at(name),
                           errno=errno.EISDIR, hint="it was not installed by this module: move it out of the way")


def _look_at_version(
    base: Directory, wish: Wish, label: Optional[_store.Label],
) -> Tuple[Optional[_store.Found], Tuple[str, ...]]:
    directory = enter_version(base, wish)
    if directory is None:
        return None, ()
    with directory:
        left = temps(directory)
        litter = left if left and is_held(base, lock_name(wish)) is False else ()
        return _store.look(directory, wish, label), tuple("%s/%s" % (wish.version_dir, name) for name in litter)


def _check_removable(wish: Wish, found: _store.Found) -> None:
    """Refuse to remove what is not ours, and what is still in use. Raises RequestError."""
    if PRODUCT in found.names and RECEIPT not in found.names:
        raise RequestError("%s has no receipt beside it, so it was not installed by this module" % wish.path,
                           path=wish.path, hint="remove it by hand if nobody needs it")
    for link in _receipt.find_links(found.receipt, wish.path) if found.receipt else ():
        if link != wish.link:
            raise RequestError("%s is still what the link %s points to" % (wish.path, link), path=link,
                               hint="switch that link to another version first, or remove both with link: %s" % link)


def _judge_record(wish: Wish, receipt: Receipt, verdict: _store.Verdict) -> _store.Verdict:
    """A link that is right but not in the receipt would not be looked at by a removal."""
    if wish.link in receipt.links or receipt.format > _receipt.FORMAT:
        return verdict
    return verdict._replace(record=verdict.record + ("the receipt does not know the link %s" % wish.link,))


def open_link_directory(
    link: str, trust: Trust, tolerated: Optional[List[str]], make: Optional[Log] = None,
) -> Tuple[Directory, bool]:
    """Open the directory of a link, or as much as there is of the way to it; see explore(). Raises InstallError."""
    return explore(link.rpartition("/")[0] or "/", "link", trust, tolerated, make)


def _look_at_link(
    opened: contextlib.ExitStack, wish: Wish, trust: Trust, tolerated: Optional[List[str]],
) -> Tuple[Optional[Directory], Optional[_links.Occupant]]:
    """:returns: (Directory: of the link, or the nearest one above it; Occupant); (None, None) without a link."""
    if wish.link is None:
        return None, None
    directory, whole = open_link_directory(wish.link, trust, tolerated)
    opened.enter_context(directory)
    if not whole:
        return directory, _links.Occupant("absent", None, None, None)
    return directory, look_at_link(directory, wish.link, wish, tolerated)


def _check_outside(wish: Wish, directory: Directory, name: str) -> None:
    """Refuse a link that, by another spelling of its path, lies among the store's own files. Raises RequestError."""
    store = os.path.realpath(wish.base_dir) + "/"
    link = directory.at(name)
    if not link.startswith(store):
        return
    first = link[len(store):].split("/")[0]
    if first == wish.version or first.startswith((".terraform-", ".tmp.")) or directory.stat(RECEIPT) is not None:
        raise RequestError("link %s is %s, among the store's own files" % (wish.link, link), path=wish.link,
                           hint="choose a link outside of %s/<version>" % wish.base_dir)


def look_at_link(
    directory: Directory, link: str, wish: Wish, tolerated: Optional[List[str]],
) -> _links.Occupant:
    """What lies at ``link`` in its open directory, refused when it may not be replaced. Raises InstallError."""
    name = link.rpartition("/")[2]
    _check_outside(wish, directory, name)
    judge(directory, directory.stat(name), link, "link", tolerated)
    occupant = _links.look(directory, name, hashed=wish.link_force)
    if wish.state == "present":
        _links.check_replaceable(occupant, link, wish.link_force)
    return occupant
