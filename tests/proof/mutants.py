# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol with one line taken out or turned round: a table of what is changed, and which tests must notice.

A line that no test misses is not a promise. The text of a change has to be found exactly once in its file, so that the table
follows the code: a mutant that does not fit any more fails.
"""

from typing import NamedTuple

CRASH = "tests/proof/test_crash_images.py::test_every_crash_image_is_legal_and_repaired"
_CHANGES = "tests/proof/test_fault_sweep.py::test_no_call_that_changes_something_leaves_it_half_done[%s]"
ERRORS, KILLS, STOPS, LIES = (_CHANGES % kinds for kinds in ("EIO", "SIGKILL", "SIGTERM", "0/1"))
STRESS = "tests/proof/test_concurrency_stress.py"
_UNIT = "tests/unit/plugins/module_utils/"


class Mutant(NamedTuple):
    """One change, and who must notice it."""

    file: str  # below plugins/module_utils
    old: str  # as it is there, once
    new: str
    targets: tuple  # tests, as pytest takes them


def _tests(names):
    return tuple(name if name.startswith("tests/") else _UNIT + name for name in names)


def _change(file, old, new, *targets):
    return Mutant(file, old, new, _tests(targets))


def _without(file, line, *targets):
    """A statement is not executed: ``pass`` in its place."""
    return Mutant(file, line, "pass", _tests(targets))


def _never(file, condition, *targets):
    """A check never finds anything: ``if condition:`` becomes ``if False:``."""
    return Mutant(file, "if %s:" % condition, "if False:", _tests(targets))


FILES, DIRECTORIES, LOCK, LINKS = (
    "_fs/test_atomic_file.py",
    "_fs/test_directory.py",
    "_fs/test_lock.py",
    "_fs/test_symlink.py",
)
STORE, RECEIPT, INSTALL, POLICIES = (
    "_install/test_installed.py",
    "_install/test_receipt.py",
    "_install/test_apply.py",
    "_install/test_apply_policies.py",
)
INSTALL_LINKS, REMOVE, PLAN, RUN_CHECK = (
    "_install/test_apply_links.py",
    "_install/test_uninstall.py",
    "_install/test_plan.py",
    "_install/test_run_check.py",
)
CLEARING = "_install/test_leftovers.py"
INFO = "_install/test_info.py"
ADOPTION, DOWNGRADES, PREVIOUS, RETENTION = (
    "_install/test_adoption.py",
    "_install/test_downgrades.py",
    "_install/test_previous.py",
    "_install/test_retention.py",
)
ARCHIVE, INTERRUPTS, BINARY, OBTAIN = (
    "_install/test_zip_archive.py",
    "_fs/test_signals.py",
    "_install/test_binary.py",
    "test_source.py",
)
ODDITIES = "_install/test_zip_readers.py::test_one_oddity_passes_or_not"
RELEASES, MADE, PACKETS = "_release/test_layout.py", "_openpgp/test_verify_made.py", "_openpgp/test_packets.py"
GENUINE, SIGNATURES = "_openpgp/test_verify.py", "_openpgp/test_signatures.py"
KEYS, FETCH, TRIES, LIMITS = (
    "_openpgp/test_keys.py",
    "_http/test_client.py",
    "_http/test_client_tries.py",
    "_http/test_client_limits.py",
)
REDIRECTS, TRUST, RESUME = "_http/test_client_redirects.py", "_http/test_client_tls.py", "_http/test_response.py"
ACCESS, CREDENTIALS, PROXIES = "_request/test_network.py", "_http/test_credentials.py", "_http/test_proxies.py"
ERROR_TREE, MODULE = "test_errors.py", "tests/unit/plugins/modules/test_terraform_binary.py"
_MODULE = "../modules/terraform_binary.py"
LOOKUP = "tests/unit/plugins/lookup/test_terraform_versions.py"
_LOOKUP = "../lookup/terraform_versions.py"
RUN_CACHE, SCRIPT = (
    "tests/unit/plugins/plugin_utils/_cache/test_run.py",
    "tests/unit/plugins/plugin_utils/_task/test_script.py",
)
_STORE, _START, _SCRIPT = "../plugin_utils/_cache/store.py", "../plugin_utils/_task/script.py", "_run/script.py"
_RUN = "_run/module_run.py"
GUARD, OBSTACLES, LISTENERS = "_fs/test_trusted_file.py", "_install/test_preflight.py", "_http/test_listeners.py"
GROUPS, MOUNTS, PROCESSES = "_fs/test_accounts.py", "_fs/test_mounts.py", "_fs/test_processes.py"

MUTANTS = {
    # P1: the way to the store
    "a directory of another user passes": _never("_fs/directory.py", "own.st_uid not in self.owners.uids", DIRECTORIES),
    "a directory that all may write to passes": _change(
        "_fs/directory.py",
        '        if own.st_mode & stat.S_IWOTH:\n            return "", "chmod go-w"\n',
        "",
        DIRECTORIES,
    ),
    "a directory that a group may write to passes": _change(
        "_fs/directory.py", "if not own.st_mode & stat.S_IWGRP:", "if True:", DIRECTORIES
    ),
    "any group is as good as ours": _never("_fs/directory.py", "own.st_gid not in self.owners.gids", DIRECTORIES),
    "nobody asks who else is in our group": _never("_fs/directory.py", "others", DIRECTORIES),
    "an access control list is not looked at": _never("_fs/directory.py", "self._has_acl()", DIRECTORIES),
    "who has it as primary group is not in a group": _change(
        "_fs/accounts.py", "if account.pw_gid == gid and account.pw_uid not in trusted)", "if False)", GROUPS
    ),
    "members are not in a group": _change(
        "_fs/accounts.py", "for name in group.gr_mem if", "for name in () if", GROUPS
    ),
    "only the first name of a group counts": _change(
        "_fs/accounts.py", "[group for group in grp.getgrall() if group.gr_gid == gid]", "[]", GROUPS
    ),
    "a group that is not listed has no members": _change(
        "_fs/accounts.py", "        groups.append(grp.getgrgid(gid))", "        pass", GROUPS
    ),
    "accounts that are not listed are not missed": _change(
        "_fs/accounts.py", "if _are_listed(accounts) else", "if True else", GROUPS
    ),
    "what a user mounted passes": _change(
        "_fs/directory.py",
        "if mounter is not None and mounter not in self.owners.uids:\n            return",
        "if False:\n            return",
        DIRECTORIES,
    ),
    "a file that a user mounted over ours passes": _change(
        "_fs/directory.py",
        "if mounter is not None and mounter not in self.owners.uids:\n            raise",
        "if False:\n            raise",
        STORE,
    ),
    "who mounted what is below is not asked": _change(
        "_fs/directory.py",
        "if self._mount is None or self._mount[0] != number:",
        "if self._mount is None:",
        DIRECTORIES,
    ),
    "a mount that is gone is root's": _never(
        "_fs/mounts.py", "number not in mounters and number != _number_of_root()", MOUNTS, DIRECTORIES
    ),
    "the source of a mount is read for its options": _change(
        "_fs/mounts.py", "fields[end + 3 :]", "fields[end + 2:]", MOUNTS
    ),
    "a sticky directory need not be sticky": _never("_fs/directory.py", "not own.st_mode & stat.S_ISVTX", DIRECTORIES),
    "an entry of another user in a sticky directory passes": _never(
        "_fs/directory.py", "entry is not None and entry.st_uid not in self.owners.uids", DIRECTORIES
    ),
    "what lies on the way is not checked": _change(
        "_fs/directory.py",
        "            check_entry(here, entry, path, what, safety_warnings)\n            if stat.S_ISLNK",
        "            if stat.S_ISLNK",
        DIRECTORIES,
    ),
    "where something is to be created is not checked": _change(
        "_fs/directory.py", "check_entry(here, None, path, what, safety_warnings)", "pass    #", DIRECTORIES, PLAN
    ),
    "a link of another user on the way passes": _never(
        "_fs/directory.py", "entry.st_uid not in here.owners.uids", DIRECTORIES
    ),
    "links on the way may form a loop": _never("_fs/directory.py", "links > MAX_LINKS", DIRECTORIES),
    "a file on the way passes": _never("_fs/directory.py", "not stat.S_ISDIR(entry.st_mode)", DIRECTORIES),
    "directories are opened through links": _change(
        "_fs/directory.py",
        '_LOOK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW',
        '_LOOK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY',
        DIRECTORIES,
    ),
    "a new directory's mode is left to an access control list": _change(
        "_fs/directory.py", "                    os.fchmod(fd, mode)", "                    pass", DIRECTORIES
    ),
    "what another owner put in a new directory's place gets its mode": _change(
        "_fs/directory.py", " and os.fstat(self.fd).st_uid in (0, os.geteuid()):", ":", DIRECTORIES
    ),
    "a kill leaves a directory that locks users out": _change(
        "_fs/directory.py", "umask = os.umask(0o777 & ~mode)", "umask = os.umask(0o077)", DIRECTORIES
    ),
    "a new directory's mode is not checked": _never(
        "_fs/directory.py", "made.st_mode & 0o777 != mode", DIRECTORIES, LIES
    ),
    "a new directory is not synced": _change(
        "_fs/directory.py",
        '        self.sync()\n        log("directory created',
        '        log("directory created',
        DIRECTORIES,
    ),
    "a directory that a concurrent run made is an error": _never(
        "_fs/directory.py", "exc.errno != errno.EEXIST", DIRECTORIES
    )._replace(new="if True:"),
    "no directory is ever synced": _change(
        "_fs/directory.py", "            os.fsync(fd)\n", "            pass\n", CRASH
    ),
    "a file system that cannot sync directories is an error": _change(
        "_fs/directory.py", "if exc.errno not in _NO_DIRECTORY_SYNC:", "if True:", DIRECTORIES, FILES
    ),
    "a failed sync of a directory is passed over": _change(
        "_fs/directory.py", "if exc.errno not in _NO_DIRECTORY_SYNC:", "if False:", DIRECTORIES, FILES
    ),
    # P2: the lock
    "nothing is locked": _change("_fs/lock.py", "        fcntl.flock(fd, how | fcntl.LOCK_NB)", "        pass", LOCK),
    "every failure to lock means that it is held": _change(
        "_fs/lock.py",
        "    if number in _HELD:\n        return None, _read_holder(fd)",
        "    if number:\n        return None, _read_holder(fd)",
        LOCK,
    ),
    "a lock whose file was removed counts": _never(
        "_fs/lock.py", "there is None or (there.st_dev, there.st_ino) != _identity(fd, path)", LOCK
    ),
    "a lock that somebody has is discarded": _change(
        "_fs/lock.py",
        '        if not held:\n            return "no',
        '        if held is False:\n            return "no',
        LOCK,
    ),
    "a lock in use is discarded": _never("_fs/lock.py", "not unused()", LOCK, CLEARING),
    "a lock is discarded once it is given back": _change(
        "_fs/lock.py",
        '        with os_error_context("unlink", path):\n            os.unlink(name, dir_fd=directory.fd)\n        return ""',
        '        fcntl.flock(fd, fcntl.LOCK_UN)\n        os.unlink(name, dir_fd=directory.fd)\n        return ""',
        LOCK,
    ),
    "the lock is opened through a link": _change(
        "_fs/lock.py", "_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW", "_OPEN = os.O_RDWR | os.O_CREAT", LOCK
    ),
    "the lock may be a pipe": _never("_fs/lock.py", "not stat.S_ISREG(found.st_mode)", LOCK),
    "the lock may have another name": _never("_fs/lock.py", "found.st_nlink > 1", LOCK),
    "the lock may be another user's": _never(
        "_fs/lock.py",
        "found.st_uid not in directory.owners.uids or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)",
        LOCK,
    ),
    "the lock is unlinked": _change(
        "_fs/lock.py",
        "        _OWN.discard(mine)\n        _close(fd)",
        "        _OWN.discard(mine)\n        os.unlink(name, dir_fd=directory.fd)\n        _close(fd)",
        LOCK,
        KILLS,
    ),
    "who looked at the lock may keep it": _without("_fs/lock.py", "_flock(fd, fcntl.LOCK_UN)", LOCK),
    "who waits for the lock waits for ever": _never("_fs/lock.py", "waited and time.monotonic() >= deadline", LOCK),
    "a file system without locks is an error": _never("_fs/lock.py", "number in _NO_LOCKS", LOCK),
    "a lock that blocks is not given up": _change(
        "_fs/lock.py",
        "signal.setitimer(signal.ITIMER_REAL, _TRY_SECONDS)",
        "signal.setitimer(signal.ITIMER_REAL, 0)",
        LOCK,
    ),
    # the look: what cannot be done
    "who may not write is not seen": _never("_install/plan.py", "plan.changes", OBSTACLES),
    "what needs nothing is refused": _change(
        "_install/plan.py", "        if plan.changes:\n", "        if True:\n", OBSTACLES
    ),
    "rights are not asked for": _change(
        "_fs/obstacles.py",
        "    if _may(directory, name, rights) or _may(directory, name, rights):",
        "    if True:",
        OBSTACLES,
    ),
    "a fault of the storage is a no": _change("_fs/obstacles.py", " or _may(directory, name, rights):", ":", OBSTACLES),
    "a read-only mount is a matter of rights": _never(
        "_fs/obstacles.py", "room is not None and room.f_flag & os.ST_RDONLY", OBSTACLES
    ),
    "a noexec mount is not seen": _never(
        "_fs/obstacles.py", 'room is not None and room.f_flag & getattr(os, "ST_NOEXEC", 0)', OBSTACLES
    ),
    "noexec matters where nothing is run": _change(
        "_install/preflight.py", "    if plan.runs_check:", "    if True:", OBSTACLES
    ),
    "inodes are not counted": _never(
        "_fs/obstacles.py", "room.f_files and not (room.f_favail if os.geteuid() else room.f_ffree)", OBSTACLES
    ),
    "the link needs no name": _change(
        "_install/preflight.py",
        "        if present:\n            check_names",
        "        if False:\n            check_names",
        OBSTACLES,
    ),
    "the directory of the link is not looked at": _never(
        "_install/preflight.py", "link_directory is not None and plan.changes_link", OBSTACLES
    ),
    "locks are not looked at": _change("_install/preflight.py", "for name in locks:", "for name in ():", OBSTACLES),
    "a removal is not predicted": _never(
        "_install/preflight.py", "plan.removes and plan.empties_version_dir", OBSTACLES
    ),
    "a concurrent run's file leaves no room for itself": _change(
        "_install/preflight.py", "if exc.errno != errno.ENOSPC or not is_locked():", "if True:", OBSTACLES
    ),
    "the room of stale files is not counted": _change(
        "_install/preflight.py", "sum(each.st_blocks * 512 for each in freed if each)", "0", OBSTACLES
    ),
    "a disk that does not count is full": _change(
        "_fs/mounts.py", "if room is None or not room.f_blocks:", "if room is None:", OBSTACLES, FILES
    ),
    # check mode after tasks that did not do their work
    "an unknown account is let pass in a real run": _never("_request/parse.py", "missing is None", MODULE),
    "all errors are expected in check mode": _never(
        _RUN, "not self.check_mode or exc.errno != errno.ENOENT and not isinstance(exc, MissingDependency)", MODULE
    ),
    "a damaged archive passes check mode": _never("_source.py", "found != expected", MODULE),
    "an archive is not read in check mode": _without(_RUN, "check_archive(plan, archive)", MODULE),
    "who is not there yet gets an archive": _never(
        "_run/results.py", "plan.needs_archive and UNKNOWN_ID in (request.uid, request.gid)", MODULE
    ),
    # P3, P4 and the look under the lock
    "nobody looks again under the lock": _change(
        "_install/apply.py", "planned, run.plan = run.plan, run.look()", "planned = run.plan", INSTALL
    ),
    "stale temporary files are not removed": _change(
        "_install/apply.py",
        "for path in remove_stale_temp_files(directory, 0 if run.held else request.lock_timeout):",
        "for path in ():",
        KILLS,
    ),
    "a removal of stale files that is stopped forgets what it did": _change(
        "_install/apply.py",
        "        with defer_signals():\n            for path in remove_stale_temp_files",
        "        if True:\n            for path in remove_stale_temp_files",
        INSTALL,
    ),
    "young temporary files are removed where nothing is locked": _never(
        "_fs/atomic_file.py", "older_than and age < older_than", FILES
    ),
    "temporary files of a concurrent run are called stale": _change(
        "_install/plan.py", "if left and is_held(base, lock_name(request)) is False else ()", "if left else ()", PLAN
    ),
    "a concurrent run between its renames is called damage": _never(
        "_install/plan.py", "patient and plan.receipt_is_ahead", PLAN
    ),
    "a directory under the binary's name passes": _never(
        "_install/plan.py", "entry is not None and stat.S_ISDIR(entry.st_mode)", PLAN, BINARY, INSTALL, STORE
    ),
    "a version directory may be a file": _never(
        "_install/plan.py", "not stat.S_ISDIR(entry.st_mode)", PLAN, INSTALL, DIRECTORIES
    ),
    "a binary that others may replace passes": _change(
        "_install/plan.py",
        '    entry = directory.stat(name)\n    check_entry(directory, entry, request.version_dir, "base_dir", own=True)\n',
        "    entry = directory.stat(name)\n",
        PLAN,
        INSTALL,
        STORE,
    ),
    # P5: what is there
    "the binary is looked at through a link": _change(
        "_install/installed.py", "_READ = os.O_RDONLY | os.O_NOFOLLOW", "_READ = os.O_RDONLY", STORE
    ),
    "a binary that is a link counts": _never(
        "_install/installed.py", "found is None or not stat.S_ISREG(found.st_mode)", STORE
    ),
    "a readable binary that cannot be opened is reinstalled": _change(
        "_install/installed.py", " or found.st_mode & stat.S_IRUSR:", ":", STORE
    ),
    "the size is not compared": _never("_install/installed.py", "status.st_size != receipt.size", STORE),
    "the hash is not compared": _never(
        "_install/installed.py", "sha256 is not None and sha256 != receipt.sha256", STORE
    ),
    "the checksum asked for is not compared": _never(
        "_install/installed.py",
        "request.checksum and receipt.archive_sha256 != request.checksum and not unknown",
        POLICIES,
        STORE,
        INSTALL,
    ),
    "the owner is not compared": _never(
        "_install/installed.py", "request.uid is not None and found.st_uid != request.uid", STORE
    ),
    "the group is not compared": _never(
        "_install/installed.py", "request.gid is not None and found.st_gid != request.gid", STORE
    ),
    "the mode is not compared": _never("_install/installed.py", "stat.S_IMODE(found.st_mode) != request.mode", STORE),
    "another platform's binary is overwritten": _never(
        "_install/installed.py", "receipt.platform != request.platform", STORE, INSTALL, PLAN
    ),
    "a weaker policy of the receipt is enough": _never(
        "_install/installed.py",
        "policy not in POLICIES or POLICIES.index(policy) < POLICIES.index(request.policy)",
        POLICIES,
        STORE,
    ),
    "a signer that is not trusted any more is enough": _never(
        "_install/installed.py", 'request.policy == "signature" and receipt.signer not in signers', POLICIES, STORE
    ),
    "a binary of another user counts": _never("_install/installed.py", "found.st_uid not in owners.uids", STORE),
    "a binary that others may write counts": _never(
        "_install/installed.py", "found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)", STORE
    ),
    "a binary with two names is repaired in place": _never(
        "_install/installed.py", "differs and found.st_nlink > 1", STORE
    ),
    "a run check that was asked for is not missed": _change(
        "_install/installed.py",
        "if request.run_check and request.native and not receipt.run_check\n        else ()",
        "if False else ()",
        INSTALL,
    ),
    # the receipt
    "the receipt is read through a link": _never("_install/receipt.py", "not stat.S_ISREG(found.st_mode)", RECEIPT),
    "a receipt that others may write counts": _never(
        "_install/receipt.py",
        "found.st_uid not in directory.owners.uids or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)",
        RECEIPT,
    ),
    "a receipt of any size is read": _never("_install/receipt.py", "len(data) > CAP", RECEIPT),
    "a receipt of another version counts": _never(
        "_install/receipt.py", "(receipt.product, receipt.version) != (PRODUCT, version)", RECEIPT
    ),
    "a receipt without its frozen keys counts": _never("_install/receipt.py", "not is_right(fields.get(key))", RECEIPT),
    "a receipt with odd values counts": _never(
        "_install/receipt.py",
        'not isinstance(fields, dict) or not _is_count(fields.get("format")) or fields["format"] < 1',
        RECEIPT,
    ),
    # P7, P9, P11, P12: the temporary file
    "free space is not asked for": _never("_fs/mounts.py", "needed > free + freed", FILES, OBSTACLES),
    "a temporary file may be there already": _change("_fs/atomic_file.py", " | os.O_EXCL", "", FILES),
    "a temporary file is opened through a link": _change(
        "_fs/atomic_file.py", "os.O_EXCL | os.O_NOFOLLOW", "os.O_EXCL", FILES
    ),
    "a new directory is opened through a link": _change(
        "_fs/directory.py",
        "_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW",
        "_READ = os.O_RDONLY | os.O_DIRECTORY",
        DIRECTORIES,
    ),
    "the receipt is opened through a link": _change(
        "_install/receipt.py", "_READ = os.O_RDONLY | os.O_NOFOLLOW", "_READ = os.O_RDONLY", RECEIPT
    ),
    "a file in the link's place is opened through a link": _change(
        "_fs/symlink.py", "os.O_RDONLY | os.O_NOFOLLOW", "os.O_RDONLY", LINKS
    ),
    "another's lock is looked at through a link": _change(
        "_fs/lock.py", "fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW", "fd = os.open(name, os.O_RDONLY", LOCK
    ),
    "a temporary file is everybody's to read": _change(
        "_fs/atomic_file.py", "_CREATE, 0o600,", "_CREATE, 0o666,", FILES
    ),
    "a short write is taken for a whole one": _change(
        "_fs/atomic_file.py", "view = view[count:]", "view = view[len(view):]", FILES
    ),
    "a write that does nothing is tried for ever": _change(
        "_fs/atomic_file.py", 'raise OSError(errno.EIO, "nothing was written")', "break", FILES, ERRORS
    ),
    "the archive keeps its name": _change("_install/binary.py", "        spool.unlink()\n", "", INSTALL),
    "the file is not synced": _change(
        "_fs/atomic_file.py",
        "            os.fsync(self.fd)\n            found = os.fstat(self.fd)",
        "            found = os.fstat(self.fd)",
        CRASH,
    ),
    "the mode is set after the sync": _change(
        "_fs/atomic_file.py",
        "            os.fsync(self.fd)\n            found = os.fstat(self.fd)",
        "            os.fchmod(self.fd, 0o600)\n            os.fsync(self.fd)\n            os.fchmod(self.fd, mode)\n"
        "            found = os.fstat(self.fd)",
        FILES,
    ),
    "a repair that failed half-way is no change": _change(
        "_install/binary.py",
        "            finally:  # the owner may have changed even if the mode could not be set\n",
        "            except ZeroDivisionError:\n                raise\n            else:\n",
        BINARY,
    ),
    "a repair that cannot be looked at is no change": _change(
        "_install/binary.py",
        "        return True\n    return (found.st_uid",
        "        return False\n    return (found.st_uid",
        BINARY,
    ),
    "a failed sync is tried again": _change(
        "_fs/atomic_file.py",
        '        with self._errors("sync"):\n            os.fsync(self.fd)\n',
        '        with self._errors("sync"):\n            try:\n                os.fsync(self.fd)\n'
        "            except OSError:\n                os.fsync(self.fd)\n",
        FILES,
        ERRORS,
    ),
    "the owner is set after the mode": _change(
        "_fs/atomic_file.py",
        '    with os_error_context("set the mode %04o of" % mode, path, place=place):\n        os.fchmod(fd, mode)',
        "    pass",
        FILES,
    ),
    "what was written is not read back": _never(
        "_fs/atomic_file.py", "(found.st_size, sha256) != (self.size, self.sha256)", FILES
    ),
    "the mode is not read back": _change(
        "_fs/atomic_file.py", "        check_mode(found, mode, self.path)\n", "", FILES, ERRORS
    ),
    "the binary may be of another machine": _never("_install/zip_archive.py", "not right", ARCHIVE, BINARY),
    # P13, P14, P15
    "the binary comes before its receipt": _change(
        "_install/binary.py",
        '    receipt = write_receipt(run, directory, receipt, "receipt in place: %s")\n'
        "    with defer_signals():\n"
        "        pending.publish(PRODUCT)\n"
        "        run.changed = True\n",
        "    with defer_signals():\n"
        "        pending.publish(PRODUCT)\n"
        "        run.changed = True\n"
        '    receipt = write_receipt(run, directory, receipt, "receipt in place: %s")\n',
        KILLS,
    ),
    "a rename is not synced": _change(
        "_fs/atomic_file.py",
        '            self.directory.sync(done="%s is in place" % self.directory.at(name))\n',
        "",
        CRASH,
    ),
    "what was renamed is not looked at": _change(
        "_fs/atomic_file.py",
        "if alone and (there is None or (there.st_dev, there.st_ino) != (found.st_dev, found.st_ino)):\n"
        "                raise",
        "if False:\n                raise",
        FILES,
    ),
    "a failure after the rename says that nothing changed": _change(
        "_fs/atomic_file.py",
        '        with after_change():\n            self.directory.sync(done="%s is in place"',
        '        if True:\n            self.directory.sync(done="%s is in place"',
        FILES,
    ),
    "a stop between the rename of the binary and the note of it": _change(
        "_install/binary.py",
        "    with defer_signals():\n        pending.publish(PRODUCT)",
        "    if True:\n        pending.publish(PRODUCT)",
        INSTALL,
    ),
    "a stop between the rename of the receipt and the note of it": _change(
        "_install/binary.py",
        "        with defer_signals():\n            pending.publish(RECEIPT)",
        "        if True:\n            pending.publish(RECEIPT)",
        STOPS,
    ),
    "nobody looks once more": _change(
        "_install/apply.py", "        if run.changed:\n            _verify_result(run)\n", "", INSTALL, LIES
    ),
    "a temporary file stays after a failure": _change(
        "_fs/atomic_file.py",
        "                os.unlink(name, dir_fd=self.directory.fd)\n\n\ndef set_owner",
        "                pass\n\n\ndef set_owner",
        FILES,
    ),
    "a repaired mode is not synced": _change(
        "_install/binary.py",
        '        with os_error_context("sync", request.path, place=directory.place):\n            os.fsync(fd)\n',
        "        if True:\n",
        CRASH,
    ),
    "another file than the checked one is repaired": _never(
        "_install/binary.py",
        "fd is not None and found is not None and (found.st_dev, found.st_ino) == (planned.st_dev, planned.st_ino)",
        BINARY,
    )._replace(new="if fd is not None:"),
    "any binary is adopted": _never("_install/binary.py", "found != expected.hexdigest()", ADOPTION),
    "a binary is adopted unasked": _never("_install/binary.py", "not run.plan.may_adopt", ADOPTION),
    "a binary of another machine is adopted": _change(
        "_install/binary.py",
        "        zip_archive.check_magic(bytes(head), run.request.platform, archive.path)\n        if found",
        "        if found",
        ADOPTION,
    ),
    "what somebody writes to is adopted": _never("_install/binary.py", "_has_writer(fd)", ADOPTION),
    "a writer that comes too late ends us": _without(
        "_install/binary.py", "fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)", ADOPTION
    ),
    "the diff of an adopted binary names its old owner": _change(
        "_run/results.py",
        "outcome.adopted and outcome.receipt.inode == plan.found.stat.st_ino  #",
        "outcome.adopted  #",
        ADOPTION,
    ),
    "an adopted binary is not synced": _change(
        "_install/binary.py",
        '        with os_error_context("sync", path, place=directory.place):\n            os.fsync(fd)\n    finally',
        "    finally",
        ADOPTION,
    ),
    "an adopted binary keeps its mode and its writers": _change(
        "_install/apply.py", "_repair_adopted(run, directory, receipt) if run.adopted else receipt", "receipt", ADOPTION
    ),
    "a binary with a receipt is adopted": _change(
        "_install/plan.py", "            and self.found.receipt is None\n", "", ADOPTION
    ),
    "a copy of changed bytes is put in place": _never("_install/binary.py", "pending.sha256 != receipt.sha256", BINARY),
    "a receipt of a newer collection is rewritten": _change(
        "_install/binary.py", "    if receipt.format > FORMAT:\n        return receipt\n", "", BINARY, INSTALL, STORE
    ),
    # P16
    "the link moves to a binary that does not run": _change(
        "_install/apply.py",
        "        if touched or plan.drift.run_check or plan.changes_link:\n            if request.run_check and request.native:",
        "        if True:\n            if False:",
        INSTALL,
    ),
    "any exit status will do": _never("_install/run_check.py", "process.returncode != 0", RUN_CHECK),
    "the run check has our environment": _change("_install/run_check.py", "env=environment,", "", RUN_CHECK),
    "the run check runs where we are": _change(
        "_install/run_check.py", "        os.fchdir(folder)", "        os.fstat(folder)", RUN_CHECK
    ),
    "the run check goes where the path of its directory leads": _change(
        "_install/run_check.py", "        os.fchdir(folder)", "        os.chdir(nowhere)", RUN_CHECK
    ),
    "the run check enters its directory as root": _change(
        "_install/run_check.py",
        "        for number, limit in",
        "        os.chdir(nowhere)\n        folder = os.open('.', 0)\n        for number, limit in",
        RUN_CHECK,
    ),
    "root's keys stay in reach of the run check": _change(
        "_install/run_check.py", "            leave_keys()\n", "", RUN_CHECK
    ),
    "root empties another's directory": _change(
        "_install/run_check.py",
        "        _empty(nowhere, user)\n",
        "        shutil.rmtree(nowhere, ignore_errors=True)\n",
        RUN_CHECK,
    ),
    "those that multiply are ended one by one": _change(
        "_fs/processes.py", "for pid in _stop_all(left, ends):", "for pid in left:", PROCESSES
    ),
    "a receipt may claim any size": _change("_install/receipt.py", " <= BINARY_CAP", "", "_install/test_receipt.py"),
    "what lies under the path is started": _change(
        "_install/run_check.py", "executable=image", "executable=path", RUN_CHECK
    ),
    "without /proc the path is started whoever could exchange it": _never("_install/run_check.py", "unsafe", RUN_CHECK),
    "what was not hashed is started": _never("_install/apply.py", "sha256 != receipt.sha256", INSTALL),
    "root runs another user's binary": _change("_install/run_check.py", "            _become(user)\n", "", RUN_CHECK),
    "the owner asked for is not the one that runs it": _change(
        "_install/run_check.py", "os.fstat(fd).st_uid if owner is None else owner)", "os.fstat(fd).st_uid)", RUN_CHECK
    ),
    "another user's binary has root's groups": _change(
        "_install/run_check.py", "    os.setgroups([])\n", "", RUN_CHECK
    ),
    "another user's binary has root's group": _change(
        "_install/run_check.py", "    os.setgid(user[1])\n", "", RUN_CHECK
    ),
    "another user's binary may become root again": _change(
        "_install/run_check.py", "os.setuid(user[0])", "os.seteuid(user[0])", RUN_CHECK
    ),
    "the empty directory is given away through a link": _change(
        "_install/run_check.py",
        "os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW",
        "os.O_RDONLY | os.O_DIRECTORY",
        RUN_CHECK,
    ),
    "directories that are too deep are an error": _change(
        "_install/run_check.py", "contextlib.suppress(RecursionError)", "contextlib.suppress()", RUN_CHECK
    ),
    "a flood is swallowed": _never("_install/run_check.py", "len(said[stream]) >= OUTPUT_LIMIT", RUN_CHECK),
    "more than a flood is read": _change(
        "_install/run_check.py", "OUTPUT_LIMIT - len(said[stream]))", "16 * OUTPUT_LIMIT)", RUN_CHECK
    ),
    "who holds the pipe holds the run": _change(
        "_install/run_check.py", "if ended and not ready:", "if ended and not selector.get_map():", RUN_CHECK
    ),
    "what has a session of its own goes on": _without("_fs/processes.py", "_adopt(1)", PROCESSES, RUN_CHECK),
    "what was left behind is not looked for": _change(
        "_fs/processes.py", "left = find_children() - others", "left = set()", PROCESSES, RUN_CHECK
    ),
    "what was ours before is ended, too": _change(
        "_fs/processes.py", "others = find_children()", "others = set()", PROCESSES, RUN_CHECK
    ),
    "what cannot be ended is waited for": _change(
        "_fs/processes.py", "while time.monotonic() < ends:", "while True:", PROCESSES, RUN_CHECK
    ),
    "what the binary left behind goes on": _change(
        "_fs/processes.py", "            _end_children(others)\n", "            pass\n", RUN_CHECK
    ),
    "who hangs is not ended": _change(
        "_install/run_check.py",
        "time_limit)\n        finally:\n            end_group(process)",
        "time_limit)\n        finally:\n            pass",
        RUN_CHECK,
    ),
    "processor time is not limited": _change(
        "_install/run_check.py", '("RLIMIT_CPU", CPU_LIMIT, CPU_LIMIT + 1)', '("RLIMIT_CORE", 0, 0)', RUN_CHECK
    ),
    "memory is not limited": _change(
        "_install/run_check.py", '("RLIMIT_DATA", MEMORY_LIMIT, MEMORY_LIMIT)', '("RLIMIT_CORE", 0, 0)', RUN_CHECK
    ),
    "addresses are limited": _change("_install/run_check.py", '("RLIMIT_DATA", ', '("RLIMIT_AS", ', RUN_CHECK),
    "files are not limited": _change(
        "_install/run_check.py", '("RLIMIT_FSIZE", FILE_LIMIT, FILE_LIMIT)', '("RLIMIT_CORE", 0, 0)', RUN_CHECK
    ),
    "processes are not limited": _never("_install/run_check.py", "tasks is not None", RUN_CHECK),
    "processes that were there before count": _change(
        "_install/run_check.py",
        'wanted.append(("RLIMIT_NPROC", tasks + TASK_LIMIT, tasks + TASK_LIMIT))',
        'wanted.append(("RLIMIT_NPROC", TASK_LIMIT, TASK_LIMIT))',
        RUN_CHECK,
    ),
    "processes are counted in a container": _never(
        "_fs/processes.py", 'os.stat("/proc/self/ns/pid").st_ino != _FIRST_PID_NAMESPACE', PROCESSES
    ),
    "a limit is raised": _never("_install/run_check.py", "most != resource.RLIM_INFINITY", RUN_CHECK),
    "a busy binary is given up at once": _change(
        "_install/run_check.py", "_BUSY_SECONDS = 5 ", "_BUSY_SECONDS = 0 ", RUN_CHECK
    ),
    "who hangs is left behind": _change(
        "_fs/processes.py", "os.killpg(process.pid, signal.SIGKILL)", "os.kill(process.pid, 9)", PROCESSES
    ),
    # P17
    "a file in the link's place is replaced": _never(
        "_fs/symlink.py", 'link_state.kind == "file" and not force', LINKS, INSTALL_LINKS
    ),
    "anything in the link's place is replaced": _never(
        "_fs/symlink.py", 'link_state.kind == "other"', LINKS, INSTALL_LINKS
    ),
    "what the link replaces is not kept": _change(
        "_fs/symlink.py", "        if backup:\n", "        if False:\n", LINKS, INSTALL_LINKS
    ),
    "what is kept is not durable": _change(
        "_fs/symlink.py", "            directory.sync()", "            pass    # or", LINKS
    ),
    "what was kept is not put back": _never("_fs/symlink.py", "kept", LINKS),
    "what is kept replaces another file": _never("_fs/symlink.py", "directory.stat(kept) is not None", LINKS),
    "a directory in the link's place is replaced": _never(
        "_fs/symlink.py", 'link_state.kind == "directory"', LINKS, INSTALL_LINKS
    ),
    "a link to a directory is a link": _change(
        "_fs/symlink.py",
        'LinkState("directory" if _leads_to_directory(directory, name) else "link",',
        'LinkState("link",',
        LINKS,
        INSTALL_LINKS,
    ),
    "a link may lead to what cannot run": _never(
        "_request/parse.py", 'request.state == "present" and request.run_check and not request.native', INSTALL_LINKS
    ),
    "the link is removed before it is made": _change(
        "_fs/symlink.py",
        "            os.rename(aside, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)",
        "            with contextlib.suppress(FileNotFoundError):\n                os.unlink(name, dir_fd=directory.fd)\n"
        "            os.rename(aside, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)",
        LINKS,
        KILLS,
    ),
    "a switched link is not synced": _change(
        "_fs/symlink.py", '        directory.sync(done="link %s points to %s" % (path, target))\n', "", LINKS
    ),
    "a switched link is not looked at": _never("_fs/symlink.py", "found != target", LINKS),
    "a stale temporary link is in the way": _change(
        "_fs/symlink.py",
        "                os.unlink(aside, dir_fd=directory.fd)\n            os.symlink",
        "                pass\n            os.symlink",
        LINKS,
    ),
    "the link is not recorded": _never(
        "_install/link_history.py", "link not in receipt.links", INSTALL_LINKS, REMOVE, KILLS
    ),
    "a version is recorded as the one before itself": _never(
        "_install/link_history.py", "before == receipt.version", PREVIOUS
    ),
    "what a link meant before is not recorded": _never("_install/link_history.py", "before is not None", PREVIOUS),
    "what a link meant before that stays": _without("_install/link_history.py", "previous.pop(link, None)", PREVIOUS),
    "another store counts as this one": _change(
        "_install/link_history.py", "if version and store == os.path.realpath(base_dir)", "if version", PREVIOUS
    ),
    "links that are gone keep their history": _change(
        "_install/link_history.py",
        " if each in receipt.links\n    )\n    previous.pop",
        "\n    )\n    previous.pop",
        PREVIOUS,
    ),
    "previous goes there and back again": _never("_install/link_history.py", "request.wanted.is_previous", PREVIOUS),
    "the way back is never forgotten": _change(
        "_install/link_history.py", "if each in previous and each != link)", "if each in previous)", PREVIOUS
    ),
    "a repair forgets what links meant": _change(
        "_install/link_history.py",
        "receipt._replace(links=old.links, previous=old.previous, went_back=old.went_back)",
        "receipt._replace(links=old.links)",
        PREVIOUS,
    ),
    "previous downloads": _never("_install/plan.py", "request.wanted.is_previous and plan.needs_archive", PREVIOUS),
    "previous takes the link from another run": _never(
        "_install/apply.py", "request.wanted.is_previous and find_previous(request)[0] != request.version", PREVIOUS
    ),
    "what another run has switched is not recorded": _never(
        "_install/apply.py", "request.wanted.is_previous or link_state != run.plan.link_state", PREVIOUS
    ),
    "previous jumps over the version of another run": _change(
        "_install/apply.py",
        "if request.wanted.is_previous or link_state != run.plan.link_state:",
        "if link_state != run.plan.link_state:",
        PREVIOUS,
    ),
    "a version that a link points to is pruned": _never(
        "_install/usage.py",
        "status is not None and (end.st_dev, end.st_ino) == (status.st_dev, status.st_ino)",
        RETENTION,
    ),
    "a link that only a pruned receipt knows is forgotten": _never(
        "_install/usage.py",
        "_know(link, receipts) == [request.version] and os.path.dirname(os.path.dirname(target)) == store",
        RETENTION,
    ),
    "a link that cannot be followed leads nowhere": _change(
        "_install/usage.py",
        "            return None\n        raise\n",
        "            return None\n        return None\n",
        RETENTION,
    ),
    "a link whose way cannot be read meant nothing": _change(
        "_install/link_history.py",
        'link_state.target == "%s/%s/%s" % (base_dir, version, PRODUCT):',
        "False:",
        PREVIOUS,
    ),
    "a link is forgotten because it points to another version": _change(
        "_install/link_history.py",
        "return os.path.dirname(os.path.dirname(os.path.realpath(link))) == os.path.realpath(base_dir)",
        "return False",
        INSTALL_LINKS,
        RETENTION,
    ),
    "a link that cannot be looked at is forgotten": _change(
        "_install/link_history.py", "            return True\n", "            return False\n", INSTALL_LINKS
    ),
    "a damaged receipt beside a binary knows no link": _never(
        "_install/usage.py",
        "receipt is None and directory.stat(RECEIPT) is not None and directory.stat(PRODUCT) is not None",
        RETENTION,
    ),
    "nobody hears that a link is in no receipt any more": _never(
        "_install/uninstall.py", "run.plan.receipt is not None and request.keep is None", REMOVE
    ),
    "two runs that prune look at the receipts at once": _change(
        "_install/apply.py",
        "planned, run.plan = run.plan, run.look()",
        "planned, run.plan = run.plan, run.look() if present else run.plan",
        RETENTION,
    ),
    "an install that runs is the rest of a removal": _change(
        "_install/retention.py", " and is_held(base, lock) is False:", ":", RETENTION
    ),
    "an install that ends at the wrong moment is removed": _never(
        "_install/retention.py", "version in unfinished and has_binary(plan)", RETENTION
    ),
    "an install that ends before the lock is held is removed": _never(
        "_install/apply.py",
        "request.keep is not None and not present and has_binary(run.plan) and not has_binary(planned)",
        RETENTION,
    ),
    "check mode removes what somebody works on": _never("_install/retention.py", "held", RETENTION),
    "check mode counts receipts that will be gone": _change(
        "_install/usage.py",
        "_read_receipts(base).items() if each not in request.gone)",
        "_read_receipts(base).items())",
        RETENTION,
    ),
    "check mode does not know the name of the link by then": _change(
        "_install/usage.py", "set(map(os.path.basename, links | moved))", "set(map(os.path.basename, links))", RETENTION
    ),
    "who prunes does not wait for the link lock": _change(
        "_install/apply.py",
        "request.lock_timeout if request.keep is None else _LINK_SECONDS",
        "request.lock_timeout",
        RETENTION,
    ),
    "a version that runs is pruned": _never("_install/usage.py", "pid is not None", RETENTION),
    "a version that runs under another name is pruned": _change(
        "_install/usage.py", "    if status is not None:\n", "    if False:\n", RETENTION
    ),
    "a version that may run is pruned": _never("_install/usage.py", "hidden is not None", RETENTION),
    "only the name of the product may run it": _change(
        "_install/usage.py", "set(map(os.path.basename, links | moved)) | {PRODUCT}", "{PRODUCT}", RETENTION
    ),
    "who may not be looked at runs nothing": _change(
        "_fs/processes.py", 'hidden.setdefault(stream.read().rstrip("\\n"), pid)', "stream.read()", PROCESSES
    ),
    "who cannot be looked at for another reason runs nothing": _never(
        "_fs/processes.py", "exc.errno not in (errno.ENOENT, errno.ESRCH)", PROCESSES
    )._replace(new="if exc.errno == errno.EACCES:"),
    "a file that cannot be looked at has no path either": _change(
        "_fs/processes.py",
        "                found.paths.setdefault(path[: -len(_DELETED)] if path.endswith(_DELETED) else path, pid)\n"
        '                status = os.stat("/proc/%d/exe" % pid)\n',
        '                status = os.stat("/proc/%d/exe" % pid)\n'
        "                found.paths.setdefault(path[: -len(_DELETED)] if path.endswith(_DELETED) else path, pid)\n",
        PROCESSES,
    ),
    "processes that cannot be listed run nothing": _change(
        "_install/usage.py",
        'return "the processes that may run it cannot be listed: %s" % exc.strerror',
        "return exc and None",
        RETENTION,
    ),
    "a receipt that cannot be read knows no link": _change(
        "_install/usage.py",
        '        raise _in_use(request.path, "its links',
        '        return None  # (request.path, "its links',
        RETENTION,
    ),
    "what a killed removal has left stays": _change(
        "_install/retention.py",
        "sorted(surplus + unfinished, key=sort_key)",
        "sorted(surplus, key=sort_key)",
        RETENTION,
    ),
    "any directory without a binary is removed": _change(
        "_install/retention.py",
        "return not names - {RECEIPT} - set(list_temp_files(directory))",
        'return "terraform" not in names',
        RETENTION,
    ),
    "an empty directory of somebody else is removed": _change(
        "_install/retention.py",
        "if base.stat(lock) is not None and",
        "if",
        RETENTION,
    ),
    "who stops it after the install hears nothing": _change(
        _RUN, "        with raise_on_signal(request.path):\n", "        if True:\n", RETENTION
    ),
    "who stops it after the install hears that nothing changed": _without(
        _RUN, "exc.changed = exc.changed or run.changed", RETENTION
    ),
    "who stops it just after the install hears that nothing changed": _without(
        _RUN, "self.changed = self.changed or outcome.changed", RETENTION
    ),
    "what was just installed is pruned": _change(
        "_install/retention.py", "not in newest + [request.version]", "not in newest", RETENTION
    ),
    "a pruned version is waited for": _change(
        "_install/retention.py", "        lock_timeout=0,\n", "        lock_timeout=3,\n", RETENTION
    ),
    "keep removes where nothing can be locked": _never(
        "_install/apply.py", "request.keep is not None and not present and not run.held", RETENTION
    ),
    "check mode does not see that nothing can be locked": _never("_install/retention.py", "held is None", RETENTION),
    "a pruned version is not checked for use": _never("_install/plan.py", "request.keep is not None", RETENTION),
    "who prunes takes the link for moved": _change(
        "_install/retention.py", "moved_link=request.link if check_mode else None", "moved_link=None", RETENTION
    ),
    "links are switched without their lock": _change(
        "_install/apply.py",
        "        with hold_lock(base, LINK_LOCK, request.lock_timeout, run.log):\n            link_state",
        "        if True:\n            link_state",
        INSTALL_LINKS,
    ),
    "a new file gets the identity of the old one": _never(
        "_install/apply.py", "(known.mtime_ns, known.inode) == (plan.receipt.mtime_ns, plan.receipt.inode)", POLICIES
    )._replace(new="if True:"),
    "a link into the store passes": _never(
        "_install/plan.py",
        'first == request.version or first.startswith((".terraform-", ".tmp.")) or directory.stat(RECEIPT) is not None',
        INSTALL_LINKS,
        PLAN,
    ),
    # removal
    "who waits for a lock in a base dir that went fails": _change(
        "_install/apply.py",
        "            if exc.errno == errno.ENOENT and base.is_gone():",
        "            if False:",
        CLEARING,
    ),
    "a base dir that goes while it is made is an error": _change(
        "_install/apply.py",
        "        if exc.errno != errno.ENOENT:\n            raise\n        raise _Removed(exc)",
        "        if True:\n            raise\n        raise _Removed(exc)",
        CLEARING,
    ),
    "what stays is no hindrance to the base dir": _never("_install/leftovers.py", "left or base.is_gone()", CLEARING),
    "locks in an unsafe base dir go": _without(
        "_install/leftovers.py", 'check_entry(base, base.stat(name), request.base_dir, "base_dir")', CLEARING
    ),
    "a base dir behind a link goes": _never(
        "_install/leftovers.py", "entry is None or (entry.st_dev, entry.st_ino) != (own.st_dev, own.st_ino)", CLEARING
    ),
    # what terraform_binary_info says of a store
    "a binary that others may replace is intact": _never("_install/installed.py", "unsafe or receipt is None", INFO),
    "what others may have written is taken on its times": _change(
        "_install/installed.py", "doubt = found.writers  # times", "doubt = None  # times", STORE, PLAN
    ),
    "an odd time leaves no doubt": _never(
        "_install/installed.py", "not doubt and not _matches_receipt(status, receipt)", INFO
    ),
    "verify full does not hash what looks right": _change(
        "_install/installed.py",
        "if hashing == NEVER or hashing == IN_DOUBT and not doubt:",
        "if hashing == NEVER or not doubt:",
        INFO,
    ),
    "a binary that others may write is intact once it is hashed": _change(
        "_install/info.py", "found.doubt or found.writers", "found.doubt", INFO
    ),
    "a link that others may switch is safe": _without(
        "_install/info.py", 'check_entry(directory, entry, path, "link", weak)', INFO
    ),
    "a base dir that others may write is safe": _without(
        "_install/info.py", "weak += [unsafe.reason] if unsafe else []", INFO
    ),
    "what an installer uses is a stale temporary file": _change(
        "_install/info.py", "stale = () if held else tuple(", "stale = tuple(", INFO
    ),
    "what cannot be read is not intact": _change(
        "_install/info.py", "intact = None if seen.error else not reason", "intact = not reason", INFO
    ),
    "a look during an installation is not taken again": _change(
        "_install/info.py", "may_pass=bool(found.wrong) and RECEIPT in names", "may_pass=False", INFO
    ),
    "what is not ours is removed": _never(
        "_install/plan.py", "PRODUCT in found.names and RECEIPT not in found.names", REMOVE
    ),
    "a link moves to an older version whatever is allowed": _never(
        "_install/plan.py",
        "asked is not None and version is not None and sort_key(version) > sort_key(asked)",
        DOWNGRADES,
    ),
    "a link through a link means nothing": _change(
        "_install/link_history.py", "(os.path.realpath(link), link_state.target)", "(link_state.target,)", DOWNGRADES
    ),
    "what a link leads to is all that it means": _change(
        "_install/link_history.py",
        "(os.path.realpath(link), link_state.target)",
        "(os.path.realpath(link),)",
        DOWNGRADES,
    ),
    "what a link points to is removed": _never(
        "_install/plan.py", "link not in (request.link, request.moved_link)", REMOVE
    ),
    "the receipt goes before the binary": _change(
        "_install/uninstall.py", "for name in (PRODUCT, RECEIPT):", "for name in (RECEIPT, PRODUCT):", REMOVE, KILLS
    ),
    "a removal is not synced": _change(
        "_fs/atomic_file.py", '    directory.sync(done="%s is removed" % path)', "    pass", FILES
    ),
    "a removed name is unlinked in place": _change(
        "_fs/atomic_file.py",
        "        os.rename(name, aside, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)",
        "        os.unlink(name, dir_fd="
        "directory.fd)\n        os.close(os.open(aside, os.O_CREAT, dir_fd=directory.fd))",
        FILES,
    ),
    # stops
    "a stop is ignored": _without("_fs/signals.py", "raise stopped[0]\n\n    handlers", INTERRUPTS)._replace(
        new="pass\n\n    handlers"
    ),
    "a swallowed stop is a success": _change(
        "_fs/signals.py", "        if stopped:\n            raise stopped[0]\n", "", INTERRUPTS
    ),
    "a second signal strikes the clean-up": _without(
        "_fs/signals.py", "signal.signal(asking, signal.SIG_IGN)", INTERRUPTS
    ),
    "a consequence of the stop hides it": _never(
        "_fs/signals.py", "stopped and exc is not stopped[0] and _caused_by(exc, stopped[0])", INTERRUPTS
    ),
    # the archive
    "bytes after the archive's end pass": _never(
        "_install/zip_archive.py", "end_at + _END.size + comment_size != size", ARCHIVE
    ),
    "an archive on several disks passes": _never(
        "_install/zip_archive.py", "disk or directory_disk or members_here != members", ARCHIVE
    ),
    "a ZIP64 archive passes": _never(
        "_install/zip_archive.py", 'tail[max(0, at - _ZIP64_LOCATOR_SIZE) : at].startswith(b"PK\\6\\7")', ARCHIVE
    ),
    "any number of members passes": _never("_install/zip_archive.py", "members > MEMBERS_CAP", ARCHIVE),
    "a directory of any size passes": _never("_install/zip_archive.py", "directory_size > DIRECTORY_CAP", ARCHIVE),
    "a directory elsewhere passes": _never(
        "_install/zip_archive.py", "directory_at + directory_size != end_at", ARCHIVE
    ),
    "fewer members than announced pass": _never("_install/zip_archive.py", "len(lines) != announced", ARCHIVE),
    "bytes between members pass": _without(
        "_install/zip_archive.py",
        'archive.expect("local header of %s" % quoted(line.name), at, line.header_at, at)',
        ODDITIES,
    ),
    "bytes before the directory pass": _without(
        "_install/zip_archive.py", 'archive.expect("central directory", at, directory_at, at)', ODDITIES
    ),
    "an end record in the directory passes": _without(
        "_install/zip_archive.py",
        'archive.expect("end records in the central directory", directory_at, data.count(_END_MAGIC), 0)',
        ODDITIES,
    ),
    "a cut archive is not seen": _without(
        "_install/zip_archive.py",
        'self.expect("bytes before the end of the archive", at, size - left, size)',
        ODDITIES,
        ARCHIVE,
    ),
    "a cut line of the directory is not seen": _without(
        "_install/zip_archive.py",
        'archive.expect("bytes of a line of the central directory", at, len(fixed), _LINE.size)',
        ODDITIES,
    ),
    "a line that is no line passes": _without(
        "_install/zip_archive.py", 'archive.expect("line of the central directory", at, magic, b"PK\\1\\2")', ODDITIES
    ),
    "a line longer than the directory passes": _change(
        "_install/zip_archive.py",
        "at + _LINE.size,\n            len(rest),\n            name_size",
        "at + _LINE.size, len(rest),\n                       len(rest) or name_size",
        ODDITIES,
    ),
    "a member on another disk passes": _without(
        "_install/zip_archive.py", 'archive.expect("disk of %s" % quoted(entry.name), at, disk, 0)', ODDITIES
    ),
    "an encrypted member passes": _never("_install/zip_archive.py", "entry.flags & _ENCRYPTED", ARCHIVE),
    "any flag passes": _without(
        "_install/zip_archive.py",
        'archive.expect("flags of %s" % quoted(entry.name), at, entry.flags, entry.flags & _FLAGS)',
        ODDITIES,
    ),
    "any compression passes": _never("_install/zip_archive.py", "entry.method not in (_STORED, _DEFLATED)", ARCHIVE),
    "any version to extract passes": _change(
        "_install/zip_archive.py", "at, needed, min(needed, _VERSION_CAP))", "at, needed, needed)", ODDITIES
    ),
    "any extra field passes": _change(
        "_install/zip_archive.py", "if number not in known or number in fields:", "if number in fields:", ODDITIES
    ),
    "an extra field twice passes": _change(
        "_install/zip_archive.py", "if number not in known or number in fields:", "if number not in known:", ODDITIES
    ),
    "an extra field's cut head is not seen": _without(
        "_install/zip_archive.py",
        "archive.expect(what, at, len(data[begin : begin + _FIELD.size]), _FIELD.size)",
        ODDITIES,
    ),
    "a cut extra field passes": _change(
        "_install/zip_archive.py",
        'len(fields[number]), size or "some")',
        'len(fields[number]), len(fields[number]) or "some")',
        ODDITIES,
    ),
    "an empty extra field passes": _change(
        "_install/zip_archive.py", 'len(fields[number]), size or "some")', "len(fields[number]), size)", ODDITIES
    ),
    "a local header that is none passes": _without(
        "_install/zip_archive.py", 'archive.expect("beginning %s" % of, at, magic, b"PK\\3\\4")', ODDITIES
    ),
    "a local header of another name passes": _without(
        "_install/zip_archive.py",
        'archive.expect("name %s" % of, at, rest[:name_size], line.name.encode("latin-1"))',
        ODDITIES,
    ),
    "a local header with other flags passes": _without(
        "_install/zip_archive.py", 'archive.expect("flags %s" % of, at, flags, line.flags)', ODDITIES
    ),
    "a local header with another method passes": _without(
        "_install/zip_archive.py", 'archive.expect("method %s" % of, at, method, line.method)', ODDITIES
    ),
    "a local header with other sizes passes": _without(
        "_install/zip_archive.py", 'archive.expect("%s %s" % (what, of), at, found, expected)', ODDITIES
    ),
    "a local header without sizes passes": _never(
        "_install/zip_archive.py", "found or not flags & _STREAMED", ODDITIES
    )._replace(new="if found:"),
    "a local header may have more sizes": _without(
        "_install/zip_archive.py",
        'archive.expect("sizes %s" % of, at, (packed_size, size, len(zip64)), (_IN_ZIP64, _IN_ZIP64, 16))',
        ODDITIES,
    ),
    "any descriptor passes": _without(
        "_install/zip_archive.py",
        'archive.expect("descriptor of %s" % quoted(entry.name), at, found, _DESCRIPTOR + facts)',
        ODDITIES,
    ),
    "stored data need no signature behind": _change(
        "_install/zip_archive.py",
        "if found.startswith(facts) and entry.method == _DEFLATED and",
        "if found.startswith(facts) and",
        ODDITIES,
    ),
    "a CRC may look like a descriptor's signature": _change(
        "_install/zip_archive.py", " and not facts.startswith(_DESCRIPTOR):", ":", ODDITIES
    ),
    "names of any letters pass": _change(
        "_install/zip_archive.py", 'if not _NAME.match(name) or ".." in name:', 'if ".." in name:', ARCHIVE
    ),
    "names with a blank or dot at the end pass": _change(
        "_install/zip_archive.py", "[0-9A-Za-z_+~-]\\Z", "[0-9A-Za-z._+~ -]\\Z", ODDITIES
    ),
    "names with two dots pass": _change("_install/zip_archive.py", ' or ".." in name', "", ARCHIVE),
    "two members of a name pass": _never("_install/zip_archive.py", "name.lower() in seen", ARCHIVE),
    "two members that differ in case pass": _change(
        "_install/zip_archive.py", "if name.lower() in seen:", "if name in seen:", ODDITIES
    ),
    "a member that is a link passes": _change(
        "_install/zip_archive.py", "if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or", "if", ARCHIVE
    ),
    "a directory of DOS passes": _change(
        "_install/zip_archive.py", "(_DOS_DIRECTORY | _DOS_VOLUME_LABEL)", "_DOS_VOLUME_LABEL", ARCHIVE
    ),
    "a volume label passes": _change(
        "_install/zip_archive.py", "(_DOS_DIRECTORY | _DOS_VOLUME_LABEL)", "_DOS_DIRECTORY", ODDITIES
    ),
    "any size passes": _never("_install/zip_archive.py", "entry.size > BINARY_CAP", ARCHIVE),
    "an empty binary passes": _never("_install/zip_archive.py", "not ours[0].size", ARCHIVE),
    "other members of any size pass": _never(
        "_install/zip_archive.py", "sum(entry.size for entry in others) > BINARY_CAP", ARCHIVE
    ),
    "a bomb passes": _never("_install/zip_archive.py", "entry.size > RATIO_CAP * entry.packed_size", ARCHIVE),
    "other members are not read": _change(
        "_install/zip_archive.py", "for entry in others:", "for entry in ():    #", ODDITIES
    ),
    "more bytes than declared pass": _never("_install/zip_archive.py", "size > entry.size", ARCHIVE),
    "fewer bytes than declared pass": _never("_install/zip_archive.py", "size != entry.size", ARCHIVE),
    "a wrong CRC passes": _never("_install/zip_archive.py", "crc != entry.crc", ARCHIVE),
    "packed data without an end are not seen": _never("_install/zip_archive.py", "not block and not packed", ARCHIVE),
    "bytes behind the packed data pass": _without(
        "_install/zip_archive.py",
        'archive.expect("bytes after the packed data of %s" % entry.name, end - left, left, 0)',
        ODDITIES,
    ),
    "an end inside stored data passes": _never(
        "_install/zip_archive.py", 'data[begin + 4 : begin + 8] == struct.pack("<L", crc)', ARCHIVE
    ),
    "an end inside stored data is not seen at the end of a block": _change(
        "_install/zip_archive.py", "size + len(_DESCRIPTOR) + 3)", "size)", ARCHIVE
    ),
    "a broken disk is called a damaged archive": _change(
        "_install/zip_archive.py",
        '        with os_error_context("read archive", self.path):\n            self._file.seek(at)',
        "        if True:\n            self._file.seek(at)",
        ARCHIVE,
    ),
    # P8 and P9: sums and digests
    "an archive with another digest is installed": _never(
        "_source.py", "sink.sha256 != provenance.archive_sha256", OBTAIN, POLICIES, INSTALL
    ),
    "a download with another digest is installed": _change(
        "_source.py", "            if received.sha256 == provenance.archive_sha256:", "            if True:", OBTAIN
    ),
    "the signature is not verified": _never("_source.py", "signature is not None", OBTAIN),
    "a key's own signature that refuses is passed over": _never("_source.py", "verify.may_be_signature(data)", OBTAIN),
    "the checksum of the request is not compared": _never(
        "_source.py", "request.checksum and sha256 != request.checksum", OBTAIN
    ),
    "sums may name a file twice": _never("_release/layout.py", "name in digests", RELEASES),
    "sums may have odd lines": _change(
        "_release/layout.py",
        "        if not found:\n            raise error(",
        "        if not found:\n            continue\n            raise error(",
        RELEASES,
    ),
    "a web page is read as sums": _never(
        "_release/layout.py", 'sums.lstrip(b"\\xef\\xbb\\xbf \\t\\r\\n").startswith(b"<")', RELEASES
    ),
    # the signature
    "the key of 2021 is trusted": _never("_openpgp/keys.py", "public.fingerprint == _COMPROMISED", KEYS),
    "a private key is taken": _never("_openpgp/keys.py", "packet.tag in (SECRET_KEY, SECRET_SUBKEY)", KEYS),
    "a revoked key signs": _never(
        "_openpgp/keys.py", "_is_revoked(primary, KEY_REVOCATION, primary.hashed, placed)", MADE
    ),
    "a revoked subkey signs": _never(
        "_openpgp/keys.py", "_is_revoked(primary, SUBKEY_REVOCATION, content, placed)", MADE
    ),
    "a subkey without a binding signs": _never("_openpgp/keys.py", "not any(one.counts for one in bindings)", KEYS),
    "a key without a self-signature signs": _never("_openpgp/keys.py", "not any(one.counts for one in said)", KEYS),
    "a self-signature counts wherever it stands": _change(
        "_openpgp/keys.py", "counts = item.under == place and _is_good(", "counts = _is_good(", MADE
    ),
    "a subkey need not agree": _never("_openpgp/keys.py", "one.counts and one.fields.may_sign and not agreed", KEYS),
    "a key that may not sign does": _never("_openpgp/keys.py", "not permissions or not all(permissions)", KEYS),
    "a user id may be silent on signing": _change(
        "_openpgp/keys.py",
        "if one in names or one.fields.flags is not None]",
        "if one.fields.flags is not None]",
        KEYS,
    ),
    "a self-signature by somebody else counts": _change(
        "_openpgp/keys.py", "or not verify_rsa(maker, signature, content):", "or False:", MADE
    ),
    "an older self-signature counts": _change(
        "_openpgp/keys.py",
        "if newest <= one.fields.created <= moment]",
        "if one.fields.created <= moment]",
        KEYS,
    ),
    "a self-signature counts before it was made": _change(
        "_openpgp/keys.py",
        "if newest <= one.fields.created <= moment]",
        "if newest <= one.fields.created]",
        KEYS,
    ),
    "the newest self-signature is one that was made later": _change(
        "_openpgp/keys.py", "[created for created in counting if created <= moment]", "counting", KEYS
    ),
    "of self-signatures in a tie the last to come wins": _change(
        "_openpgp/keys.py",
        "    return [one for one in part.statements if newest <= one.fields.created <= moment]\n",
        "    return [one for one in part.statements if newest <= one.fields.created <= moment][-1:]\n",
        KEYS,
    ),
    "a self-signature that does not count does not restrict": _change(
        "_openpgp/keys.py", "if not counts and not (\n            may_name(", "if not counts and (may_name(", MADE
    ),
    "only who names himself where it counts restricts": _change(
        "_openpgp/signatures.py",
        "signature.hashed + signature.unhashed\n        if subpacket.kind in (ISSUER",
        "signature.hashed\n             if subpacket.kind in (ISSUER",
        SIGNATURES,
    ),
    "a wrong copy of the hash lifts a restriction": _change(
        "_openpgp/signatures.py",
        "if digest[:2] != signature.digest_prefix and not allow_sha1:",
        "if digest[:2] != signature.digest_prefix:",
        MADE,
    ),
    "another key's end is not extended to an older subkey": _change(
        "_openpgp/keys.py",
        "ends = [_find_end(one.fields, member.oldest)",
        "ends = [_find_end(one.fields, member.valid_from)",
        KEYS,
    ),
    "a cross-certification has no end": _change(
        "_openpgp/keys.py", "            ends += [inner.fields.expires for inner in agreed]\n", "", KEYS
    ),
    "a binding has no end": _change(
        "_openpgp/keys.py",
        "        ends += [_find_end(one.fields, member.public.created) for one in bindings]\n",
        "",
        KEYS,
    ),
    "a withdrawn user id counts": _change(
        "_openpgp/keys.py", "found = tuple([one._replace(counts=False) for one in found])", "pass", MADE
    ),
    "a user id withdrawn beyond doubt restricts for ever": _change(
        "_openpgp/keys.py", "any(last <= date <= moment for date in part.withdrawn)", "False", KEYS
    ),
    "a user id withdrawn later restricts no more": _change(
        "_openpgp/keys.py", "last <= date <= moment for", "last <= date for", KEYS
    ),
    "a user id certified anew restricts no more": _change(
        "_openpgp/keys.py", "last <= date <= moment for", "date <= moment for", KEYS
    ),
    "the only user id restricts no more once it is withdrawn": _change(
        "_openpgp/keys.py", "if not (others and any(", "if not (any(", KEYS
    ),
    "a doubtful withdrawal lifts a restriction": _change(
        "_openpgp/keys.py",
        "if one.counts and one.fields.expires is None])\n            )\n        )",
        "if one.fields.expires is None])))",
        MADE,
    ),
    "a withdrawal for a while lifts a restriction": _change(
        "_openpgp/keys.py",
        "if one.counts and one.fields.expires is None])\n            )\n        )",
        "if one.counts])))",
        MADE,
    ),
    "an unclear self-signature is passed over": _change(
        "_openpgp/keys.py", 'return (), "has a self-signature that %s" % unclear', "continue", MADE
    ),
    "every key is taken for a renewed one": _change(
        "_openpgp/keys.py", "renewed = primary.fingerprint == _RENEWED", "renewed = True", MADE
    ),
    "the renewed key is like others": _change(
        "_openpgp/keys.py", "renewed = primary.fingerprint == _RENEWED", "renewed = False", GENUINE
    ),
    "the renewed key ignores older self-signatures": _change(
        "_openpgp/keys.py", "moment = max(moment, min(counting))", "moment = max(counting)", KEYS
    ),
    "what makes a key itself invalid is forgotten": _never("_openpgp/keys.py", "member.invalid_reason", KEYS),
    "short RSA keys are trusted": _never("_openpgp/signatures.py", "not 2048 <= bits <= 8192", MADE),
    "odd RSA numbers are trusted": _never(
        "_openpgp/signatures.py",
        "key.exponent < 3 or key.exponent % 2 == 0 or key.exponent.bit_length() > 64 or key.modulus % 2 == 0",
        MADE,
    ),
    "weak hashes count": _never("_openpgp/signatures.py", "signature.digest not in _DIGESTS", MADE)._replace(
        old="known = _DIGESTS.get(signature.digest) or (_WEAK_DIGESTS.get(signature.digest) if allow_sha1 else None)",
        new="known = _DIGESTS.get(signature.digest) or _WEAK_DIGESTS.get(signature.digest)",
    ),
    "hashes are not looked at": _never("_openpgp/signatures.py", "signature.digest not in _DIGESTS", MADE),
    "malformed subpackets are passed over": _never(
        "_openpgp/signatures.py", "unclear is None and signature.malformed is not None", MADE
    ),
    "malformed subpackets of embedded signatures are passed over": _change(
        "_openpgp/packets.py", "if one.malformed is not None or one.value is None]", "if one.value is None]", MADE
    ),
    "an embedded signature may be of any algorithm": _change(
        "_openpgp/packets.py",
        "if one.malformed is not None or one.value is None]",
        "if one.malformed is not None]",
        MADE,
    ),
    "signatures are embedded two deep": _never("_openpgp/packets.py", "nested and inside", PACKETS),
    "a sign-only signature restricts nothing": _change(
        "_openpgp/packets.py", "if algorithm in (RSA, _RSA_SIGN_ONLY) else None", "if algorithm == RSA else None", MADE
    ),
    "an intended recipient may have any form": _change(
        "_openpgp/packets.py", "    35: _is_fingerprint,", "    135: _is_fingerprint,", PACKETS
    ),
    "unknown critical subpackets are passed over": _never(
        "_openpgp/signatures.py", "subpacket.critical and subpacket.kind not in _UNDERSTOOD", MADE
    ),
    "a thing may be said twice": _never("_openpgp/signatures.py", "len(seen.get(kind, ())) > 1", MADE),
    "the padding is not compared": _change(
        "_openpgp/signatures.py", "return hmac.compare_digest(found, expected)", "return found.endswith(digest)", MADE
    ),
    "a value beyond the modulus counts": _change(
        "_openpgp/signatures.py", " or signature.value >= key.modulus", "", MADE
    ),
    "another class of signature counts": _never("_openpgp/verify.py", "packet.kind != DOCUMENT", MADE),
    "the document may be another": _never(
        "_openpgp/verify.py", "not verify_rsa(member.public, packet, document)", MADE
    ),
    "a signature from the future counts": _never("_openpgp/verify.py", "fields.created > now + _AHEAD", MADE),
    "a signature may be a day ahead": _change("_openpgp/verify.py", "_AHEAD = 30 * 60 ", "_AHEAD = 86400 ", MADE),
    "a key of the future counts": _never(
        "_openpgp/verify.py", "key_status.self_signature_created > now + _AHEAD", GENUINE
    ),
    "a key that does not hold then signs": _never("_openpgp/verify.py", "key_status.invalid_reason", MADE),
    "what was said later is kept quiet": _change(
        "_openpgp/verify.py", "ended = today.invalid_reason", "ended = None", MADE
    ),
    "the machine that checked is not named": _never("_errors.py", "isinstance(error, ClockError)", MADE),
    "a signature older than its key counts": _never("_openpgp/verify.py", "fields.created < member.valid_from", MADE),
    "a signature after its key's end counts": _never(
        "_openpgp/verify.py", "key_status.expires is not None and fields.created >= key_status.expires", MADE
    ),
    "an expired signature counts": _never(
        "_openpgp/verify.py", "fields.expires is not None and fields.expires <= now", MADE
    ),
    "no trusted signature is needed": _never("_openpgp/verify.py", "not good", MADE),
    "a signature that names two makers counts": _never(
        "_openpgp/verify.py", "not issuer_is(packet, member.public)", MADE
    ),
    "a signature file of any length is read": _never("_openpgp/verify.py", "len(signature) > SIGNATURE_LIMIT", MADE),
    "any number of packets is read": _never("_openpgp/packets.py", "len(packets) == most", PACKETS, MADE),
    # the fetch
    "a cut body is whole": _never("_http/client.py", "size is not None and count < size", FETCH, TRIES),
    "any announced size is taken": _never("_http/client.py", "so_far.size is not None and so_far.size > cap", LIMITS),
    "a body without end is taken": _never("_http/client.py", "count > cap", LIMITS),
    "a trickle is waited for": _never("_http/client.py", "self._recent < LOW_SPEED * self._waited", LIMITS),
    "a body may take for ever": _never("_http/client.py", "now >= self._ends", LIMITS),
    "what frames a body may take for ever": _change("_http/response.py", "        self._tick()\n", "", LIMITS),
    "tries may take for ever": _change("_http/client.py", " or time.monotonic() + pause >= ends:", ":", LIMITS),
    "the thread that asks takes a stop": _without(
        "_http/client.py",
        "signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))",
        FETCH,
    ),
    "a web page is taken for a file": _change(
        "_http/response.py", "if is_labelled or start", "if False and start", LIMITS
    ),
    "a web page is taken for a file when it was compressed": _without(
        "_http/response.py", "_reject_html(body, found, what)", LIMITS
    ),
    "a compressed body is taken": _change(
        "_http/response.py", "elif not decodable or body.coding not in _DECODED:", "elif False:", LIMITS
    ),
    "a compressed document of any size is taken": _never("_http/response.py", "len(found) > cap", LIMITS),
    "a part that is compressed goes on with what is not": _never(
        "_http/response.py", "body.coding != self._coding", RESUME
    ),
    "https may be left": _change(
        "_http/urls.py", 'plain = urlsplit(url).scheme == "http"', "plain = True", REDIRECTS, TRUST
    ),
    "unsigned bytes come over plain http from elsewhere": _change(
        "_http/urls.py", "and plain and not (unsigned and not is_loopback(parts.hostname))", "and plain", REDIRECTS
    ),
    "a host that is read in two ways is asked": _change(
        "_http/urls.py", "_AUTHORITY.match(parts.netloc)", '"@" not in parts.netloc', REDIRECTS
    ),
    "a part that begins elsewhere is taken": _never("_http/response.py", "start != self.count", RESUME),
    "a part of another whole is taken": _change("_http/response.py", "if total != self.size or", "if False or", RESUME),
    "a part that ends early is taken": _change("_http/response.py", "or last != total - 1:", "or False:", RESUME),
    "a part of another file is taken": _change(
        "_http/response.py", "return None if body.etag == self._etag else", "return None if True else", RESUME
    ),
    "a weak validator will do": _change(
        "_http/response.py", "etag if _STRONG_ETAG.match(etag) else None", "etag", RESUME
    ),
    "the rest is asked for without If-Range": _change(
        "_http/response.py", '"If-Range": self._etag', '"X-Not": self._etag', RESUME
    ),
    "a part that nobody asked for is taken": _change(
        "_http/response.py", "partial = resuming and", "partial =", RESUME
    ),
    # unsigned local files
    "unsigned files of anybody are a site": _change(
        "_source.py", "guard=self._guard if is_unsigned(request) else None", "guard=None", OBTAIN
    ),
    "an unsigned archive of anybody is taken": _change(
        "_source.py", "(self._guard if is_unsigned(self._request) else open_any)", "open_any", OBTAIN
    ),
    "check mode takes an unsigned archive of anybody": _never("_source.py", "is_unsigned(request)", OBTAIN),
    "a checksum does not make up for who could write": _change(
        "_source.py",
        'request.policy == "sha256sums" and not request.checksum',
        'request.policy == "sha256sums"',
        OBTAIN,
    ),
    "a local file is opened past its guard": _change("_http/client.py", "self._guard or open_any", "open_any", OBTAIN),
    "who could write is not asked": _never("_fs/trusted_file.py", "weak", GUARD),
    "who could write the file itself is not asked": _without(
        "_fs/trusted_file.py", 'check_entry(opened, None, opened.path, "file", weak)', GUARD
    ),
    "the sticky bit protects a file": _without(
        "_fs/trusted_file.py", 'weak.append("%s has the sticky bit (%s)" % (opened.path, owner_text(found)))', GUARD
    ),
    "who could write beside the file is not asked": _without(
        "_fs/trusted_file.py", "check_entry(directory, entry, path, what, weak)", GUARD
    ),
    "a link of anybody is followed": _never("_fs/trusted_file.py", "entry.st_uid not in owners.uids", GUARD),
    "whoever listens here is believed": _never("_http/listeners.py", "others", LISTENERS),
    "a system that does not say who listens is believed": _never("_http/listeners.py", "owners is None", LISTENERS),
    "a site on this host is believed whoever runs it": _never("_http/client.py", "self._guard is not None", LISTENERS),
    "a site on this host gets credentials whoever runs it": _change(
        "_http/client.py", "elif trusted and headers_for(self._access):", "elif False:", LISTENERS
    ),
    "who listens is checked after the secret was sent": _change(
        "_http/client.py",
        "            self._check_listener(url, what, site is not None)\n            response",
        "            response",
        LISTENERS,
    ),
    "a listener may leave before it is seen": _without(
        "_http/client.py", "self._check_listener(url, what, site is not None)  # it", LISTENERS
    )._replace(new="pass  # it"),
    "a thread that is not to be had is a crash": _change(
        "_http/client.py", "except RuntimeError as exc:", "except ZeroDivisionError as exc:     #", LIMITS
    ),
    # credentials and trust
    "the public site is shown credentials": _change(
        "_http/credentials.py", "if is_public(url) or not", "if not", CREDENTIALS
    ),
    "the public site by its absolute name is shown credentials": _change(
        "_http/credentials.py", '"").rstrip(".")', '"")', CREDENTIALS
    ),
    "credentials go along to another port": _change(
        "_http/urls.py",
        "origin_of(url) != origin_of(site) or",
        "origin_of(url)[:2] != origin_of(site)[:2] or",
        CREDENTIALS,
    ),
    "credentials go along to another scheme": _change(
        "_http/urls.py",
        "origin_of(url) != origin_of(site) or",
        "origin_of(url)[1:] != origin_of(site)[1:] or",
        CREDENTIALS,
    ),
    "credentials go along to another host": _change(
        "_http/urls.py",
        "origin_of(url) != origin_of(site) or",
        "origin_of(url)[::2] != origin_of(site)[::2] or",
        CREDENTIALS,
    ),
    "credentials go to what is no plain URL": _change("_http/urls.py", " or not _PLAIN.match(url):", ":", CREDENTIALS),
    "credentials go along out of the site's path": _change(
        "_http/urls.py", "path.startswith(top) and not", "not", CREDENTIALS
    ),
    "credentials go along to a path that begins alike": _change(
        "_http/urls.py", 'urlsplit(site).path.rstrip("/") + "/"', 'urlsplit(site).path.rstrip("/")', CREDENTIALS
    ),
    "credentials climb out of the site's path": _change(
        "_http/urls.py",
        "path.startswith(top) and not _may_climb(path[len(top) :])",
        "path.startswith(top)",
        CREDENTIALS,
    ),
    "credentials climb out by encoded dots": _change(
        "_http/urls.py", "unquote_to_bytes(path)", "path.encode()", CREDENTIALS
    ),
    "credentials climb out by what only some read as dots": _change(
        "_http/urls.py", "not _PLAIN_PATH.match(found) or any(", "any(", CREDENTIALS
    ),
    "credentials come back with a redirect": _without("_http/client.py", "site = None ", CREDENTIALS),
    "credentials of the outer site go with a request at the inner one": _change(
        "_http/credentials.py", "key=len, default", "key=lambda site: -len(site), default", CREDENTIALS
    ),
    "a client certificate goes along with a redirect": _change(
        "_http/client.py", "bool(self._access.client_cert) and trusted", "bool(self._access.client_cert)", TRUST
    ),
    "credentials go over plain http": _change("_http/credentials.py", " and is_loopback(host)", "", CREDENTIALS),
    "loopback goes through a proxy": _never(
        "_http/proxies.py", 'is_loopback((parts.hostname or "").rstrip("."))', PROXIES, TRUST
    ),
    "credentials for nobody are taken": _never("_request/network.py", "given and not takers", ACCESS),
    "a certificate is for sites without TLS": _change(
        "_request/network.py", "client_cert, by_tls)", "client_cert, shown)", ACCESS
    ),
    "the public site is trusted blindly": _never(
        "_request/network.py", "not access.validate_certs and credentials.is_public(site)", ACCESS
    ),
    "the public site behind a redirect is trusted blindly": _change(
        "_http/client.py", "self._access.validate_certs or is_public(url)", "self._access.validate_certs", TRUST
    ),
    "netrc is read": _without("_http/session.py", "self._session.trust_env = False", FETCH, TRUST, CREDENTIALS),
    "the process's proxies decide": _change(
        "_http/client.py", "os.environ if environ is None else environ", "os.environ", TRUST
    ),
    "a bundle does not stand alone": _never("_http/session.py", "not self._bundle", TRUST)._replace(new="if True:"),
    "a proxy whose host is in doubt is asked": _never(
        "_http/proxies.py", "at and (_ENDS_HOST.search(user) or not usable)", PROXIES
    ),
    "what is no proxy is shown": _never("_http/proxies.py", "not usable", PROXIES),
    "a proxy's password may be repeated": _change(
        "_http/client.py", " + proxy_secrets(self._environ)", "", CREDENTIALS
    ),
    "a secret in other case may be repeated": _change(
        "_errors.py", "return text.lower(), range", "return text, range", ERROR_TREE
    ),
    "the beginning of a secret may be repeated": _change(
        "_errors.py", "        if begun:\n", "        if False:\n", ERROR_TREE
    ),
    "a hint may repeat a secret": _change(
        "_errors.py", "self.path, self.url, self.hint = (", "self.path, self.url, _hint = (", ERROR_TREE
    ),
    "an index may repeat a secret": _change(
        "_source.py", "as fetcher, redacting(credentials.secrets(self._request.access)):", "as fetcher:", OBTAIN
    ),
    "the names of versions may repeat a secret": _without(
        "_source.py", "exc.redact(credentials.secrets(self._request.access))", OBTAIN
    ),
    "exceptions from the proxy do not count": _never(
        "_http/proxies.py", 'not proxy or _is_excepted(parts, found.get("no", unset).url)', PROXIES
    )._replace(new="if not proxy:"),
    # what is reported
    "what to do is cut off": _change(
        "_errors.py", "    room = MESSAGE_LIMIT - len(end)", "    room = MESSAGE_LIMIT", ERROR_TREE
    ),
    "a message may move a terminal": _change(
        "_errors.py", "super().__init__(printable(", "super().__init__(str(", ERROR_TREE
    ),
    "a result's texts are not cleaned": _change(
        "_errors.py",
        'return "".join(char if char.isprintable() or unicodedata.category(char) == "Zs" else "?" for char in value)',
        "return value",
        ERROR_TREE,
    ),
    "a result's keys are not cleaned": _change(
        "_errors.py", "(printable(key), printable(one))", "(key, printable(one))", ERROR_TREE
    ),
    "a result's lists are not cleaned": _change(
        "_errors.py", "[printable(one) for one in value]", "list(value)", ERROR_TREE
    ),
    "a failure is not cleaned": _change("_errors.py", "= printable(\n        {", "= dict({", ERROR_TREE),
    "the module's result is not cleaned": _change(
        _MODULE,
        "redacted(printable(dict(result, steps=steps.lines)),",
        "redacted(dict(result, steps=steps.lines),",
        MODULE,
    ),
    "a failure's previous version is not cleaned": _change(
        _MODULE, "printable(steps.previous_version)", "steps.previous_version", MODULE
    ),
    "a warning is not cleaned": _change(
        _RUN, "redacted(printable(text), self.secrets)", "redacted(text, self.secrets)", MODULE
    ),
    "a silent site counts as one that has nothing": _change(
        "_release/resolver.py",
        "    if failures:\n        raise _no_answer_error(request, failures[-1].hint",
        "    if not request:\n        raise _no_answer_error(request, failures[-1].hint",
        "_release/test_resolver.py",
    ),
    "a version that nobody built is offered": _change(
        "_release/resolver.py", "else listing[version])", "else True)", "_release/test_resolver.py"
    ),
    "a lookup's error shows a secret": _without(_LOOKUP, "exc.redact(self._secrets)", LOOKUP),
    "a lookup's line shows a secret": _change(
        _LOOKUP,
        'redacted(printable("controller: %s" % line), self._secrets)',
        'printable("controller: %s" % line)',
        LOOKUP,
    ),
    "a lookup's line is not cleaned": _change(
        _LOOKUP,
        'redacted(printable("controller: %s" % line), self._secrets)',
        'redacted("controller: %s" % line, self._secrets)',
        LOOKUP,
    ),
    "a decrypted file stays": _without(
        _LOOKUP,
        "stack.callback(self._loader.cleanup_tmp_file, plain)",
        LOOKUP,
    ),
    "an archive is not hashed again after it changed": _change(
        _STORE, "if known == _identity(os.fstat(fd), sha256):", "if known:", RUN_CACHE
    ),
    "a change that sets the times back is not seen": _change(
        _STORE, "found.st_mtime_ns, found.st_ctime_ns)", "found.st_mtime_ns, 0)", RUN_CACHE
    ),
    "a script searches the folder that it is started in": _change(
        _START,
        'sys.path = [place for place in sys.path if place not in ("", ".", HERE)]',
        "sys.path = sys.path[:]",
        SCRIPT,
    ),
    "a script searches its folder by another name": _without(
        _START,
        "sys.path = [place for place in sys.path if not HERE or os.path.realpath(place) != os.path.realpath(HERE)]",
        SCRIPT,
    ),
    "an argument of the script ends the text that it is in": _change(
        _START,
        'ARGUMENTS = r"""<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>"""',
        "ARGUMENTS = r'<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>'",
        SCRIPT,
    ),
    "a facility of the log becomes code": _never(
        _START, 'not _FACILITY.match(str(variables.get("ansible_syslog_facility", "LOG_USER")))', SCRIPT
    ),
    "a script sets no labels where SELinux is on": _change(
        _SCRIPT,
        'if os.path.exists(SELINUX) and (not given.get("_ansible_check_mode") or any(params[part] for part in _LABELS)):',
        "if False:",
        "_run/test_script.py",
    ),
    "a script does not look at labels where SELinux is on": _change(
        _SCRIPT, " or any(params[part] for part in _LABELS)", "", "_run/test_script.py"
    ),
    "a script writes secrets to the log": _change(
        _SCRIPT, ' if not SPEC[name].get("no_log")]', "]", "_run/test_script.py"
    ),
    "a script writes to the log although it must not": _never(
        "_run/basic.py", 'given.get("_ansible_no_log")', "_run/test_script.py"
    ),
    "a step is not cleaned": _change(_RUN, '"target: %s" % printable(line)', '"target: %s" % line', MODULE),
}
