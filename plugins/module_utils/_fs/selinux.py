# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SELinux contexts of files, by their extended attribute (security.selinux(7))."""

import errno
import os
from typing import Callable, Optional, Sequence

from .._records import Params, SetContext

_LABEL = "security.selinux"


def selinux_labeler(params: Params, default_context: Callable[[str], Sequence[Optional[str]]]) -> SetContext:
    """Return the callable(fd, path, restore) -> bool that sets or compares SELinux contexts on a host with SELinux.

    With ``restore``, for a file that was written or repaired, it sets the policy's default context and the requested
    parts on top. Without, for an existing file, it only compares the requested parts. It returns whether the context
    differed. If the file system keeps no contexts (for example NFS), that is an error only if a part was requested.

    :param params: the module's parameters; only seuser, serole, setype and selevel are used.
    :param default_context: callable(path) -> the four parts that the policy gives a file at that path.
    The callable raises OSError.
    """
    asked = [(params[part] or "").strip() or None for part in ("seuser", "serole", "setype", "selevel")]

    def set_context(fd: int, path: str, restore: bool) -> bool:
        try:
            return _set_label(fd, path, restore)
        except OSError as exc:
            if exc.errno != errno.ENOTSUP or any(asked):
                raise
            return False

    def _set_label(fd: int, path: str, restore: bool) -> bool:
        current = os.getxattr(fd, _LABEL).decode().rstrip("\0").split(":", 3)
        default = default_context(path) if restore or "_default" in asked else current
        wanted = list(current)
        for number, (part, usual) in enumerate(zip(asked[: len(current)], default)):
            if part is not None and part != "_default":
                wanted[number] = part
            elif usual is not None and (restore or part == "_default"):
                wanted[number] = usual
        if restore and wanted != current:
            os.setxattr(fd, _LABEL, ":".join(wanted).encode() + b"\0")
        return wanted != current

    return set_context
