# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses an installed version: the links that any receipt of the store records, and the processes that run it.

Read-only. It decides only what stays.
"""

import errno
import os
import stat
from typing import Dict, List, Optional, Set, Tuple

from .._errors import InstallError, RequestError
from .._fs.directory import Directory
from .._fs.processes import list_executables
from .._records import PRODUCT, RECEIPT, Receipt, Request
from .._versions.version import is_exact
from .installed import is_version_dir
from .link_history import leads_into
from .receipt import read_receipt

_COMM = 15  # characters of a process's name that the kernel keeps (proc(5))


def _read_receipts(base: Directory) -> Dict[str, Receipt]:
    """Return the receipts below an open base dir, by version.

    Raises InstallError if one of them cannot be read, or is damaged and beside a binary.
    """
    receipts: Dict[str, Receipt] = {}
    for name in filter(is_exact, base.names()):
        if is_version_dir(base, name):
            with base.enter(name) as directory:
                receipt, complaint = read_receipt(directory, name)
                if receipt is None and directory.stat(RECEIPT) is not None and directory.stat(PRODUCT) is not None:
                    raise InstallError(
                        str(complaint),
                        path=directory.at(RECEIPT),
                        errno=errno.EBADMSG,
                        hint="install %s again: its receipt is damaged" % name,
                    )
            if receipt is not None:
                receipts[name] = receipt
    return receipts


def check_unused(base: Directory, request: Request, status: Optional[os.stat_result]) -> None:
    """Refuse to remove a version that a link or a process uses, or whose receipt is needed to know a link.

    Somebody else may have pointed a recorded link to another version of the store, whose receipt does not know it.

    :param base: the base dir, open.
    :param request: Request for the removal.
    :param status: of the binary; None if there is none.
    Raises RequestError, InstallError.
    """
    try:
        receipts = dict((each, found) for each, found in _read_receipts(base).items() if each not in request.gone)
    except InstallError as exc:
        raise _in_use(request.path, "its links cannot be known: %s" % exc) from exc
    links = set(link for receipt in receipts.values() for link in receipt.links)
    moved = set(filter(None, (request.moved_link,)))
    store = os.path.realpath(request.base_dir)
    for link in sorted(links - moved):
        try:
            end = _follow(link)
        except OSError as exc:
            raise _in_use(request.path, "the link %s cannot be followed: %s" % (link, exc.strerror)) from exc
        if end is None:
            continue
        if status is not None and (end.st_dev, end.st_ino) == (status.st_dev, status.st_ino):
            raise _in_use(request.path, "the link %s points to it" % link)
        target = os.path.realpath(link)
        if _know(link, receipts) == [request.version] and os.path.dirname(os.path.dirname(target)) == store:
            raise _in_use(
                request.path, "nothing but its receipt knows the link %s, which points to %s" % (link, target)
            )
    user = _find_process(request.path, status, set(map(os.path.basename, links | moved)) | {PRODUCT})
    if user is not None:
        raise _in_use(request.path, user)


def find_forgotten(base: Directory, request: Request, receipt: Receipt) -> Tuple[str, ...]:
    """Return a line for each link to another version that only the receipt of a removed version knows.

    :param base: the base dir, open.
    :param request: Request for the removal.
    :param receipt: that of the version.
    """
    links = [link for link in receipt.links if link != request.link and leads_into(link, request.base_dir)]
    if not links:
        return ()
    try:
        receipts = _read_receipts(base)
    except InstallError:
        receipts = {}  # a receipt that cannot be read may not know them either
    return tuple(
        "the link %s, which points to %s, is in no other receipt, so keep and state: absent will not see it: "
        "install that version with link: %s" % (link, os.path.realpath(link), link)
        for link in links
        if _know(link, receipts) in ([], [request.version])
    )


def _know(link: str, receipts: Dict[str, Receipt]) -> List[str]:
    """Return the versions whose receipts record a link."""
    return [version for version, receipt in receipts.items() if link in receipt.links]


def _follow(link: str) -> Optional[os.stat_result]:
    """Return what a link leads to; None if it is no link, or leads nowhere. Raises OSError if that cannot be seen."""
    try:
        return os.stat(link) if stat.S_ISLNK(os.lstat(link).st_mode) else None
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _find_process(path: str, status: Optional[os.stat_result], names: Set[str]) -> Optional[str]:
    """Return which process runs the binary, or may run it, for messages; None if none does.

    :param names: what a process that runs a version may be called.
    """
    try:
        running = list_executables()
    except OSError as exc:
        return "the processes that may run it cannot be listed: %s" % exc.strerror
    pid = running.paths.get(os.path.realpath(path))
    if status is not None:
        pid = running.files.get((status.st_dev, status.st_ino), pid)
    if pid is not None:
        return "process %d runs it" % pid
    for name in sorted(names):
        hidden = running.hidden.get(name[:_COMM])
        if hidden is not None:
            return "process %d, called %s, may run it" % (hidden, name)
    return None


def _in_use(path: str, why: str) -> RequestError:
    return RequestError("%s is in use: %s" % (path, why), path=path, hint="remove it once nobody uses it any more")
