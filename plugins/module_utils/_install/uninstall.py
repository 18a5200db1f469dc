# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a version: first the link, then the binary, the receipt, stale temporary files, and the directory if empty.

The plan has already refused what must not be removed.
"""

import errno
import os
from typing import Any

from .._errors import InstallError, os_error_context
from .._fs import symlink
from .._fs.atomic_file import remove_file, remove_stale_temp_files
from .._fs.directory import Directory
from .._fs.signals import defer_signals
from .._records import PRODUCT, RECEIPT
from .plan import enter_version, inspect_link, open_link_directory

Run = Any  # InstallContext in apply.py, which calls these functions


def remove_version(run: Run, base: Directory) -> None:
    """Remove a version, under its lock and the link lock.

    :param run: InstallContext; its ``removed`` and ``changed`` are updated.
    :param base: the base dir, open.
    Raises InstallError.
    """
    request = run.request
    remove_link(run)
    if not run.plan.removes:
        return
    directory = enter_version(base, request)
    if directory is None:
        return  # another process has just removed all of it
    if run.plan.receipt is not None and request.keep is None:
        from .usage import find_forgotten  # which only a removal needs

        for line in find_forgotten(base, request, run.plan.receipt):
            run.log(line, warning=True)
    with directory:
        for name in (PRODUCT, RECEIPT):
            if directory.stat(name) is not None:
                with defer_signals():
                    remove_file(directory, name)
                    _remove_name(run, "%s/%s" % (request.version_dir, name))
        with defer_signals():
            for path in remove_stale_temp_files(directory, 0 if run.held else request.lock_timeout):
                _remove_name(run, "%s/%s" % (request.version_dir, os.path.basename(path)))
        rest = directory.names()
    if rest:
        run.log("left in %s, not ours: %s" % (request.version_dir, ", ".join(rest)), warning=True)
        return
    _remove_directory(run, base)


def remove_link(run: Run) -> None:
    """Remove the link if it points to the removed binary. Raises InstallError.

    :param run: InstallContext; its ``removed``, ``changed`` and ``previous`` are updated.
    """
    request = run.request
    if request.link is None:
        return
    directory, whole = open_link_directory(request.link, run.owners, run.safety_warnings)
    with directory:
        if not whole:
            return
        link_state = inspect_link(directory, request.link, request, run.safety_warnings)
        run.previous = link_state.target
        if link_state.target == request.path:
            with defer_signals():
                symlink.remove_link(directory, request.link.rpartition("/")[2])
                _remove_name(run, request.link)


def _remove_directory(run: Run, base: Directory) -> None:
    path = run.request.version_dir
    try:
        with os_error_context("remove directory", path, place="base_dir"):
            os.rmdir(run.request.version, dir_fd=base.fd)
    except InstallError as exc:
        if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
        return  # another process has just put something into it, or removed it
    _remove_name(run, path)
    base.sync()


def _remove_name(run: Run, path: str) -> None:
    run.changed = True
    run.removed.append(path)
    run.log("removed: %s" % path)
