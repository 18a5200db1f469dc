# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of groups, and names of users and groups, as far as this host's user databases know them."""

import contextlib
import grp
import os
import pwd
from typing import AbstractSet, List, Optional

_SHOWN = 3  # number of names that a message lists


def other_members(gid: int, trusted: AbstractSet[int]) -> Optional[str]:
    """Return who else can act as a group: members that are not trusted, and accounts with it as their primary group.

    :param gid: the group's number.
    :param trusted: uids of the trusted users.
    :returns: their names, for a message; None if nobody else is known. Accounts that a directory service does not
        list are not known. If the databases do not even list our own account, the text says so instead of a name.
    """
    accounts = pwd.getpwall()
    others = set(account.pw_name for account in accounts if account.pw_gid == gid and account.pw_uid not in trusted)
    groups = [group for group in grp.getgrall() if group.gr_gid == gid]  # several groups can have the same number
    with contextlib.suppress(KeyError):  # a gid can have no name
        groups.append(grp.getgrgid(gid))  # a directory service can know a group without listing it
    others.update(name for group in groups for name in group.gr_mem if _uid_of(name) not in trusted)
    if others:
        names = sorted(others)
        more = ["%d more" % (len(names) - _SHOWN)] if len(names) > _SHOWN else []
        return ", ".join(names[:_SHOWN] + more)
    return None if _are_listed(accounts) else "unknown users (its accounts cannot be listed)"


def _uid_of(name: str) -> Optional[int]:
    """Return the uid of an account; None if a member has no account (one may be created later)."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _are_listed(accounts: List[pwd.struct_passwd]) -> bool:
    """Return False if the list lacks our own account: LDAP often answers for single names but lists none."""
    uid = os.geteuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:  # our uid has no account, as in some containers
        return True
    return any(account.pw_uid == uid for account in accounts)


def user_name(uid: int) -> str:
    """Return the name of a user; its number if it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def group_name(gid: int) -> str:
    """Return the name of a group; its number if it has no name."""
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)


def account_text(found: os.stat_result) -> str:
    """Return the owner and group of a stat result as ``alice:users``."""
    return "%s:%s" % (user_name(found.st_uid), group_name(found.st_gid))
