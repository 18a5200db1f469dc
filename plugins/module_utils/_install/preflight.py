# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last part of planning: check whether the host can take the planned change, before anything is downloaded or sent.

Read-only. It refuses only what is certain to fail. If something changes after these checks, the change itself fails.
"""

import errno
import os
from typing import Any, Callable, Optional, Tuple

from .._errors import InstallError
from .._fs.directory import Directory, find_trusted_directory, trusted_owners
from .._fs.lock import is_held
from .._fs.mounts import check_free_space
from .._fs.obstacles import check_exec, check_lock, check_names, check_writing
from .._records import Receipt, VerifiedArchive

Plan = Any  # in plan.py, which calls these functions

UNKNOWN_SIZE = 100 * 10**6  # bytes that an archive and its binary take, if the real size is unknown


def check_target(
    plan: Plan,
    base: Directory,
    whole: bool,
    link_directory: Optional[Directory],
    locks: Tuple[str, ...],
) -> None:
    """Refuse a plan with changes that cannot be carried out.

    :param plan: Plan.
    :param base: the open base dir; the nearest directory above it if the base dir is missing.
    :param whole: ``base`` is the base dir.
    :param link_directory: the open directory of the link, or the nearest one above it; None: no link was requested.
    :param locks: names of the locks that will be taken, the version's first.
    Raises InstallError, RunCheckError.
    """
    request, present = plan.request, plan.request.state == "present"
    doing = "write" if present else "remove"
    if whole:
        for name in locks:
            check_lock(base, name)
    if plan.found is not None:
        with base.enter(request.version) as directory:
            if plan.writes_version_dir:
                check_writing(directory, doing, request.path)
            _check_file_system(plan, directory, lambda: is_held(base, locks[0]))
        if plan.removes and plan.empties_version_dir:
            check_writing(base, doing, request.version_dir)
    elif present:
        check_writing(base, doing, request.path)
        _check_file_system(plan, base, lambda: whole and is_held(base, locks[0]))
    if link_directory is not None and plan.changes_link:
        check_writing(link_directory, doing, request.link)
        if present:
            check_names(link_directory, request.link)


def check_archive(plan: Plan, archive: VerifiedArchive) -> None:
    """For check mode: refuse a given archive with the right digest that still cannot be installed.

    :param plan: Plan.
    Raises ArchiveError, InstallError.
    """
    from . import zip_archive  # which no other part of a plan needs

    request, head = plan.request, bytearray()
    binary = zip_archive.find_executable(archive.file, request.platform, archive.path)
    zip_archive.extract(binary, lambda block: head.extend(block[: zip_archive.HEAD_SIZE - len(head)]))
    zip_archive.check_magic(bytes(head), request.platform, archive.path)
    base, _whole = find_trusted_directory(request.base_dir, "base_dir", trusted_owners(request.uid), [])
    with base:
        check_free_space(base.fd, archive.size + binary.size, request.path, base.place)


def _check_file_system(plan: Plan, directory: Directory, is_locked: Callable[[], Optional[bool]]) -> None:
    """Check the file system that the binary is on, or will be on."""
    request, drift = plan.request, plan.drift
    if plan.runs_check:
        check_exec(directory, request.path)
    if not (drift.install or drift.recopy):
        return
    try:
        freed = [directory.stat(os.path.basename(path)) for path in plan.stale_temp_files]
        check_free_space(
            directory.fd,
            _needed(plan),
            request.path,
            directory.place,
            sum(each.st_blocks * 512 for each in freed if each),
        )
        if not freed:
            check_names(directory, request.path)
    except InstallError as exc:
        # A concurrent run uses the space for the very same file: after waiting for its lock, we will find it there.
        if exc.errno != errno.ENOSPC or not is_locked():
            raise


def _needed(plan: Plan) -> int:
    """Return the bytes that are needed; 0 for a given archive, whose size is known only when it is read."""
    receipt: Optional[Receipt] = plan.receipt
    if receipt is not None:
        return receipt.size
    return 0 if plan.request.archive else UNKNOWN_SIZE
