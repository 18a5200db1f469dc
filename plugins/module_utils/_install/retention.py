# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions the option ``keep`` removes after a success, and how: as any removal, but without waiting for a lock.

No run holds two version locks: the version of the task is done by then.
"""

from typing import Dict, List, NamedTuple, Tuple

from .._errors import LockError, RequestError, TerraformBinaryError
from .._fs.directory import open_trusted_directory, trusted_owners
from .._records import Log, Request
from .._versions.version import sort_key
from . import installed
from .apply import apply_plan
from .plan import Plan, make_plan
from .usage import read_receipts


class Pruned(NamedTuple):
    """What ``keep`` removed, or would remove."""

    sizes: Dict[str, int]  # bytes of the binary of each intact version before, by version
    versions: Tuple[str, ...]  # those that are gone, the oldest first
    paths: Tuple[str, ...]  # of all that is gone
    in_use: Tuple[str, ...]  # a line for each version that stays only because something uses it


def prune(request: Request, log: Log, check_mode: bool) -> Pruned:
    """Remove all but the newest versions, or only find them in check mode.

    :param request: Request with a version and ``keep``, which was carried out, or planned in check mode.
    :param log: callable(line, warning=False).
    Raises InstallError; its ``changed`` says whether something was removed.
    """
    sizes = _find_intact(request)
    newest = sorted(set(sizes) | {str(request.version)}, key=sort_key, reverse=True)[: request.keep]
    surplus = [version for version in sorted(sizes, key=sort_key) if version not in newest + [request.version]]
    versions: List[str] = []
    paths: List[str] = []
    in_use: List[str] = []
    for version in surplus:
        removal = request._replace(
            version=version,
            state="absent",
            link=None,
            moved_link=request.link if check_mode else None,
            archive=None,
            lock_timeout=0,
        )
        try:
            gone = _remove(make_plan(removal, frozenset()), log, check_mode)
        except (RequestError, LockError) as exc:
            in_use.append("%s: %s" % (version, exc))
            continue
        except TerraformBinaryError as exc:
            exc.changed = exc.changed or bool(paths) and not check_mode
            raise
        versions += [version] * bool(gone)
        paths += gone
    return Pruned(sizes, tuple(versions), tuple(paths), tuple(in_use))


def _remove(plan: Plan, log: Log, check_mode: bool) -> Tuple[str, ...]:
    """Return the paths that are gone, or would be. Raises TerraformBinaryError."""
    if check_mode:
        return plan.paths_to_remove
    return apply_plan(plan, frozenset(), None, log).removed if plan.changes else ()


def _find_intact(request: Request) -> Dict[str, int]:
    """Return the sizes of the binaries of the intact versions for the platform, by version. Raises InstallError."""
    base = open_trusted_directory(
        request.base_dir,
        "base_dir",
        trusted_owners(request.uid),
        None,
        safety_warnings=[] if request.allow_unsafe else None,
    )
    if base is None:  # check mode, before the first install
        return {}
    with base:
        intact = installed.intact_versions(base, request.platform)
        receipts = read_receipts(base)
        return {version: receipts[version].size for version in intact if version in receipts}
