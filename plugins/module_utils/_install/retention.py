# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions the option ``keep`` removes after a success, and how: as any removal, but without waiting for a lock.

No run holds two version locks: the version of the task is done by then.
"""

import contextlib
from typing import Dict, List, NamedTuple, Sequence, Tuple

from .._errors import InstallError, LockError, RequestError, TerraformBinaryError
from .._fs.temp_files import list_temp_files
from .._fs.directory import Directory, open_trusted_directory, trusted_owners
from .._fs.lock import is_held
from .._records import RECEIPT, Log, Request
from .._versions.version import is_exact, sort_key
from . import installed
from .apply import apply_plan, has_binary, without_locks
from .plan import Plan, lock_name, make_plan


class Pruned(NamedTuple):
    """What ``keep`` removed, or would remove."""

    sizes: Dict[str, int]  # bytes of the binary of each intact version before, by version
    versions: Tuple[str, ...]  # those that are gone, the oldest first
    paths: Tuple[str, ...]  # of all that is gone
    in_use: Tuple[str, ...]  # a line for each version that stays only because something uses it


def prune(request: Request, log: Log, check_mode: bool) -> Pruned:
    """Remove all but the newest versions, and what removals that were killed have left; in check mode only find them.

    :param request: Request with a version and ``keep``, which was carried out, or planned in check mode.
    :param log: callable(line, warning=False).
    Raises InstallError; its ``changed`` says whether something was removed.
    """
    base = open_trusted_directory(
        request.base_dir,
        "base_dir",
        trusted_owners(request.uid),
        None,
        safety_warnings=[] if request.allow_unsafe else None,
    )
    if base is None:  # check mode, before the first install
        return Pruned({}, (), (), ())
    versions: List[str] = []
    paths: List[str] = []
    in_use: List[str] = []
    with base:
        sizes, unfinished = _find_versions(base, request)
        newest = sorted(set(sizes) | {str(request.version)}, key=sort_key, reverse=True)[: request.keep]
        surplus = [version for version in sizes if version not in newest + [request.version]]
        try:
            for version in sorted(surplus + unfinished, key=sort_key):
                try:
                    plan = _plan_removal(request, version, versions if check_mode else (), check_mode)
                    if version in unfinished and has_binary(plan):
                        continue  # another run has just installed it
                    gone = _remove(base, plan, log, check_mode)
                    paths += gone
                except (RequestError, LockError) as exc:
                    in_use.append("%s: %s" % (version, exc))
                    continue
                versions += [version] * bool(gone)
        except TerraformBinaryError as exc:
            exc.changed = exc.changed or bool(paths) and not check_mode
            raise
    return Pruned(sizes, tuple(versions), tuple(paths), tuple(in_use))


def _plan_removal(request: Request, version: str, gone: Sequence[str], check_mode: bool) -> Plan:
    removal = request._replace(
        version=version,
        state="absent",
        link=None,
        moved_link=request.link if check_mode else None,
        gone=tuple(gone),
        archive=None,
        lock_timeout=0,
    )
    return make_plan(removal, frozenset())


def _remove(base: Directory, plan: Plan, log: Log, check_mode: bool) -> Tuple[str, ...]:
    """Return the paths that are gone, or would be. Raises TerraformBinaryError."""
    held = is_held(base, lock_name(plan.request))
    if held is None:
        raise without_locks(plan.request)
    if check_mode:
        if held:
            path = base.at(lock_name(plan.request))
            raise LockError("another installer holds %s now" % path, path=path, hint="wait for it to end")
        return plan.paths_to_remove
    return apply_plan(plan, frozenset(), None, log).removed if plan.changes else ()


def _find_versions(base: Directory, request: Request) -> Tuple[Dict[str, int], List[str]]:
    """Return the intact versions for the platform with the sizes of their binaries, and what has no binary any more.

    A removal that was killed leaves a receipt, temporary files, or an empty directory. Only a lock file shows that this
    directory was ours. While somebody holds that lock, it may be an install that has not come to its binary yet.
    """
    sizes: Dict[str, int] = {}
    unfinished: List[str] = []
    for version in filter(is_exact, base.names()):
        with contextlib.suppress(InstallError):  # what cannot be read stays
            receipt = installed.find_intact(base, version)
            if receipt is not None and receipt.platform == request.platform:
                sizes[version] = receipt.size
            elif version != request.version and installed.is_version_dir(base, version):
                lock = lock_name(request._replace(version=version))
                if base.stat(lock) is not None and _is_unfinished(base, version) and is_held(base, lock) is False:
                    unfinished.append(version)
    return sizes, unfinished


def _is_unfinished(base: Directory, version: str) -> bool:
    with base.enter(version) as directory:
        names = set(directory.names())
        return not names - {RECEIPT} - set(list_temp_files(directory))
