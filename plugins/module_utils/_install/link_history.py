# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a link means now, and what the receipts record about what it meant before.

The receipt of a version records its links, and for each link the version that it pointed to before it was switched to
this one. It is written before the link moves. A record counts only while the link points to that version, so a crash
between the two leaves nothing wrong (decisions 0010 and 0022).
"""

import errno
import os
import stat
from typing import Dict, Optional

from .._fs import symlink
from .._records import PRODUCT, Receipt, Request
from .._versions.version import is_exact


def linked_version(link: str, link_state: symlink.LinkState) -> Optional[str]:
    """Return the version that a link means: by the path that it leads to, or else by its own target; None if unknown.

    It is found by path, which is safe enough to refuse something, but not to change anything.
    """
    if link_state.target is None:
        return None
    versions = map(symlink.version_in, (os.path.realpath(link), link_state.target))
    return next((version for version in versions if version and is_exact(version)), None)


def version_in_store(link: str, link_state: symlink.LinkState, base_dir: str) -> Optional[str]:
    """Return the version below a base dir that a link means; None if it leads elsewhere.

    The target of a link of ours says it. So a disk that cannot be read does not look like a link that leads elsewhere.
    Any other link is followed by path, as by linked_version().
    """
    version = symlink.version_in(link_state.target)
    if version and is_exact(version) and link_state.target == "%s/%s/%s" % (base_dir, version, PRODUCT):
        return version
    version = linked_version(link, link_state)
    store = os.path.dirname(os.path.dirname(os.path.realpath(link)))
    return version if version and store == os.path.realpath(base_dir) else None


def leads_into(link: str, base_dir: str) -> bool:
    """Return whether a link leads to a version's binary below a base dir, by path; True also if that cannot be seen.

    This receipt may be the only one that knows such a link, whatever version it leads to now.
    """
    try:
        if not stat.S_ISLNK(os.lstat(link).st_mode):
            return False
        os.stat(link)
    except OSError as exc:
        if exc.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return True
    return os.path.dirname(os.path.dirname(os.path.realpath(link))) == os.path.realpath(base_dir)


def with_links_of(receipt: Receipt, old: Optional[Receipt]) -> Receipt:
    """Return the receipt of a new binary with what that of the old one, if there is one, records about links."""
    if old is None:
        return receipt
    return receipt._replace(links=old.links, previous=old.previous, went_back=old.went_back)


def record_link(receipt: Receipt, request: Request, link_state: symlink.LinkState) -> Receipt:
    """Return the receipt with the requested link in it, which points to its binary or is about to be switched to it.

    :param link_state: what is at the link now.
    """
    link = request.link
    if link is None:
        return receipt
    if link not in receipt.links:
        kept = tuple(each for each in receipt.links if leads_into(each, request.base_dir))
        receipt = receipt._replace(links=kept + (link,))
    before = version_in_store(link, link_state, request.base_dir)
    if before == receipt.version:  # at most, its path is written in another way
        return receipt
    previous: Dict[str, str] = dict(
        (each, version) for each, version in (receipt.previous or {}).items() if each in receipt.links
    )
    previous.pop(link, None)
    if before is not None:
        previous[link] = before
    went_back = tuple(each for each in receipt.went_back if each in previous and each != link)
    if request.wanted.is_previous:
        went_back += (link,)
    return receipt._replace(previous=previous or None, went_back=went_back)
