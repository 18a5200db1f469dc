# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of a removal: the link first, then the binary, the receipt, our left-overs, and the directory if it is empty.

What must not be removed was refused by the plan.
"""

import errno
import os
from typing import Any

from . import _links
from ._errors import InstallError, os_errors
from ._files import remove as remove_file
from ._files import sweep
from ._interrupts import undisturbed
from ._model import PRODUCT, RECEIPT
from ._plan import enter_version, look_at_link, open_link_directory

Directory = Any     # an open one: see _directories
Run = Any           # see _install, which has us do this


def remove(run: Run, base: Directory) -> None:
    """Remove a version under its lock and the link lock.

    :param run: Run; ``removed`` and ``changed`` are kept up to date.
    :param base: the base dir, open.
    Raises InstallError.
    """
    wish = run.wish
    remove_link(run)
    if not run.plan.removes:
        return
    directory = enter_version(base, wish)
    if directory is None:
        return      # somebody else took all of it away just now
    with directory:
        for name in (PRODUCT, RECEIPT):
            if directory.stat(name) is not None:
                with undisturbed():
                    remove_file(directory, name)
                    _removed(run, "%s/%s" % (wish.version_dir, name))
        with undisturbed():
            for path in sweep(directory, 0 if run.held else wish.lock_timeout):
                _removed(run, "%s/%s" % (wish.version_dir, os.path.basename(path)))
        rest = directory.names()
    if rest:
        run.say("left in %s, not ours: %s" % (wish.version_dir, ", ".join(rest)), warning=True)
        return
    _remove_directory(run, base)


def remove_link(run: Run) -> None:
    """Remove the link if it points to what is removed. Raises InstallError."""
    wish = run.wish
    if wish.link is None:
        return
    directory, whole = open_link_directory(wish.link, run.trust, run.tolerated)
    with directory:
        if not whole:
            return
        occupant = look_at_link(directory, wish.link, wish, run.tolerated)
        run.previous = occupant.target
        if occupant.target == wish.path:
            with undisturbed():
                _links.remove(directory, wish.link.rpartition("/")[2])
                _removed(run, wish.link)


def _remove_directory(run: Run, base: Directory) -> None:
    path = run.wish.version_dir
    try:
        with os_errors("remove directory", path, place="base_dir"):
            os.rmdir(run.wish.version, dir_fd=base.fd)
    except InstallError as exc:
        if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
        return      # someone put something into it just now, or took it away
    _removed(run, path)
    base.sync()


def _removed(run: Run, path: str) -> None:
    run.changed = True
    run.removed.append(path)
    run.say("removed: %s" % path)
