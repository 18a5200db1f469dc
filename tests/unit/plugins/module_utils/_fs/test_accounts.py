# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else is in a group: by databases made up for it, and by the real ones."""

import grp
import os
import pwd

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.accounts import account_text, other_members
from support.system import OTHER_UID

GID, ME = 700, 501


class Databases:
    """Accounts and groups in the place of those of this host. What is ``unlisted`` is known by name and number only."""

    def __init__(self, monkeypatch):
        self.accounts, self.groups, self.unlisted = [], [], []
        monkeypatch.setattr(pwd, "getpwall", lambda: self._listed(self.accounts))
        monkeypatch.setattr(grp, "getgrall", lambda: self._listed(self.groups))
        monkeypatch.setattr(pwd, "getpwnam", lambda name: self._find(self.accounts, 0, name))
        monkeypatch.setattr(pwd, "getpwuid", lambda uid: self._find(self.accounts, 2, uid))
        monkeypatch.setattr(grp, "getgrgid", lambda gid: self._find(self.groups, 2, gid))
        monkeypatch.setattr(os, "geteuid", lambda: ME)
        self.user("root", 0, 0)
        self.user("me", ME, GID)

    def _listed(self, entries):
        return [entry for entry in entries if entry[0] not in self.unlisted]

    def _find(self, entries, field, value):
        for entry in entries:
            if entry[field] == value:
                return entry
        raise KeyError(value)

    def user(self, name, uid, gid):
        self.accounts.append(pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/sh")))

    def group(self, name, gid, *members):
        self.groups.append(grp.struct_group((name, "x", gid, list(members))))


@pytest.fixture
def databases(monkeypatch):
    return Databases(monkeypatch)


def others(gid=GID, trusted=(0, ME)):
    return other_members(gid, set(trusted))


def test_a_group_of_ones_own(databases):
    databases.group("me", GID)
    databases.group("others", GID + 1, "bob")
    databases.user("bob", 502, GID + 1)
    assert others() is None


def test_a_group_without_a_name(databases):
    assert others() is None
    databases.user("bob", 502, GID)
    assert others() == "bob"


def test_members_are_in_it(databases):
    databases.user("bob", 502, 502)
    databases.group("users", GID, "me", "bob")
    assert others() == "bob"
    assert others(trusted=(0, ME, 502)) is None


def test_who_has_it_as_primary_group_is_in_it(databases):
    databases.group("users", GID)
    databases.user("bob", 502, GID)
    assert others() == "bob"
    assert others(trusted=(0, ME, 502)) is None


def test_root_and_whoever_else_is_trusted_may_be_in_it(databases):
    databases.group("me", GID, "root", "me")
    databases.user("toor", 0, GID)
    assert others() is None


def test_a_member_without_an_account_may_get_one(databases):
    databases.group("users", GID, "ghost")
    assert others() == "ghost"


def test_two_names_of_one_group(databases):
    databases.user("bob", 502, 502)
    databases.group("users", GID)
    databases.group("alias", GID, "bob")
    assert others() == "bob"


def test_a_group_that_is_known_but_not_listed(databases):
    databases.user("bob", 502, 502)
    databases.group("domain users", GID, "bob")
    databases.unlisted = ["domain users"]
    assert others() == "bob"


def test_accounts_that_are_known_but_not_listed_cannot_be_counted(databases):
    """Our own one would have to be among them: LDAP without enumeration."""
    databases.group("domain users", GID)
    databases.user("bob", 502, GID)
    databases.unlisted = ["me", "bob"]
    assert others() == "unknown users (its accounts cannot be listed)"


def test_a_uid_without_an_account_as_in_a_container(databases, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000650000)
    assert others(gid=0, trusted=(0, 1000650000)) is None
    databases.user("operator", 11, 0)
    assert others(gid=0, trusted=(0, 1000650000)) == "operator"


def test_many_are_counted(databases):
    for number in range(6):
        databases.user("user%d" % number, 600 + number, GID)
    assert others() == "user0, user1, user2, 3 more"


def test_the_databases_of_this_host_can_be_asked():
    found = os.stat("/")
    assert other_members(OTHER_UID, {0, os.geteuid()}) is None
    account, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name
    assert account_text(found) == "%s:%s" % (account, group)


def test_numbers_without_names(databases):
    databases.user("bob", 502, 502)
    assert account_text(os.stat_result((0, 0, 0, 0, 502, 503, 0, 0, 0, 0))) == "bob:503"
    assert account_text(os.stat_result((0, 0, 0, 0, 503, 503, 0, 0, 0, 0))) == "503:503"
