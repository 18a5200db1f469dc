# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in a group, and what users and groups are called, as far as this host's databases of them tell."""

import contextlib
import grp
import os
import pwd
from typing import AbstractSet, List, Optional

_SHOWN = 3  # names in a message


def other_members(gid: int, trusted: AbstractSet[int]) -> Optional[str]:
    """Who may act as a group besides the trusted: its members, and accounts that have it as primary group.

    :param gid: int.
    :param trusted: set of uids.
    :returns: str, their names; None when nobody else is known. Accounts that a directory service does not list are not
        known; when not even our own account is listed, that is said instead of a name.
    """
    accounts = pwd.getpwall()
    others = set(account.pw_name for account in accounts if account.pw_gid == gid and account.pw_uid not in trusted)
    groups = [group for group in grp.getgrall() if group.gr_gid == gid]  # several names may share a number
    with contextlib.suppress(KeyError):  # a group need not have a name
        groups.append(grp.getgrgid(gid))  # a directory service may not list it, but know it
    others.update(name for group in groups for name in group.gr_mem if _uid_of(name) not in trusted)
    if others:
        names = sorted(others)
        more = ["%d more" % (len(names) - _SHOWN)] if len(names) > _SHOWN else []
        return ", ".join(names[:_SHOWN] + more)
    return None if _are_listed(accounts) else "unknown users (its accounts cannot be listed)"


def _uid_of(name: str) -> Optional[int]:
    """None for a member without an account, who may get one."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _are_listed(accounts: List[pwd.struct_passwd]) -> bool:
    """Whether the list of accounts is worth something: LDAP and the like often answer for names, but list nothing."""
    uid = os.geteuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:  # as in a container
        return True
    return any(account.pw_uid == uid for account in accounts)


def user_name(uid: int) -> str:
    """The name of a user; the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def group_name(gid: int) -> str:
    """The name of a group; the number where there is none."""
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)


def account_text(found: os.stat_result) -> str:
    """``alice:users`` for a stat result."""
    return "%s:%s" % (user_name(found.st_uid), group_name(found.st_gid))
