# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the version that ``version: previous`` means. Read-only, without a network.

It goes back one step, once: a link that it has switched stays, until a run with another version moves it (decision 0023).
"""

from typing import List, Optional, Tuple

from .._errors import RequestError, os_error_context
from .._fs.directory import Directory, open_trusted_directory, trusted_owners
from .._records import Receipt, Request
from .._versions.version import sort_key
from . import installed
from .link_history import version_in_store
from .plan import enter_version, inspect_link, open_link_directory
from .receipt import read_receipt

_SHOWN = 5  # versions in one message


def find_previous(request: Request) -> Tuple[str, str]:
    """Find the version that the link meant before, by the receipt of the version that it means now.

    :param request: Request with a link, and with or without a version.
    :returns: (the version, a line that says how it was found).
    Raises RequestError if there is nothing to go back to, InstallError.
    """
    link = request.link or ""
    warnings: Optional[List[str]] = [] if request.allow_unsafe else None
    owners = trusted_owners(request.uid)
    directory, whole = open_link_directory(link, owners, warnings)
    with directory:
        state = inspect_link(directory, link, request, warnings) if whole else None
    now = version_in_store(link, state, request.base_dir) if state else None
    with os_error_context("look at", request.base_dir, place="base_dir"):
        base = open_trusted_directory(request.base_dir, "base_dir", owners, None, safety_warnings=warnings)
        if base is None or now is None:
            found = (state.target or state.kind) if state else "absent"
            raise RequestError(
                "there is nothing to go back to: link %s points to no version below %s (now: %s)"
                % (link, request.base_dir, found),
                path=link,
                hint="write the version to install, such as '1.10.5'",
            )
        with base:
            return _read_previous(base, request._replace(version=now), link, now)


def _read_previous(base: Directory, request: Request, link: str, now: str) -> Tuple[str, str]:
    directory = enter_version(base, request)
    receipt: Optional[Receipt] = None
    complaint: Optional[str] = "%s is missing" % request.version_dir
    if directory is not None:
        with directory:
            receipt, complaint = read_receipt(directory, now)
    if receipt is None:
        raise _unknown(base, link, now, str(complaint))
    before = (receipt.previous or {}).get(link)
    if link in receipt.went_back:
        return now, "link %s went back from %s to %s already" % (link, before or "another version", now)
    if before is None:
        raise _unknown(base, link, now, "the receipt of %s does not record it" % now)
    return before, "link %s pointed to %s before it was switched to %s" % (link, before, now)


def _unknown(base: Directory, link: str, now: str, why: str) -> RequestError:
    """Return the error for a link whose previous version is not known; the hint names the versions that are there."""
    intact = sorted(installed.list_installed(base).intact, key=sort_key, reverse=True)
    others = [version for version in intact if version != now][:_SHOWN]
    return RequestError(
        "what link %s pointed to before %s is not known: %s" % (link, now, why),
        path=link,
        hint="write the version; %s"
        % ("installed and intact: %s" % ", ".join(others) if others else "no other one is installed and intact"),
    )
