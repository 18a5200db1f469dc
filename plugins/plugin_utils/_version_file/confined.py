# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads files of a directory whose content others control, such as a checkout: no link may lead out of it.

Otherwise anybody who can push to a repository could make the controller read a file that they may not see. So names in
the directory are opened one component at a time, as openat2(2) does with RESOLVE_BENEATH. The directory itself is
opened in the same way from the root. A link on that path must stay below the directory that has it, unless nobody could
have committed it: it is in the root directory, or in one that only root can write to while we are not root. A hard link
is treated like any other file.
"""

import codecs
import contextlib
import errno
import os
import re
import stat
from typing import Any, List

from ...module_utils._errors import RequestError, os_error_context

MAX_LINKS = 40  # path_resolution(7)
SIZE_LIMIT = 1 << 20  # most bytes of a file
NO_UTF_8 = re.compile("[\udc80-\udcff]")  # Python decodes bytes that are not UTF-8 to these

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_WAY = (
    getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
)  # some directories allow traversal but not reading
_ENTRY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # so that a FIFO does not block
_IS_LINK = (errno.ELOOP, errno.EMLINK)  # errors of O_NOFOLLOW for a link; EMLINK on FreeBSD


class ConfinedFolder:
    """An open directory; a context manager that closes it.

    :param path: str, on the controller.
    :raises RequestError: it cannot be opened, or a link leads elsewhere.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with os_error_context("version_file: open", path, RequestError):
            self._fd = _open_folder(os.path.join(os.getcwd(), path))

    def __enter__(self) -> "ConfinedFolder":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        os.close(self._fd)

    def at(self, name: str) -> str:
        return os.path.join(self.path, name)

    def names(self) -> List[str]:
        """List the names that are not directories, sorted. Raises RequestError."""
        with os_error_context("version_file: list", self.path, RequestError):
            with os.scandir(self._fd) as entries:
                return sorted(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))

    def read(self, name: str) -> str:
        """Return the text of a file, including its byte order mark. Raises RequestError.

        It reads at most SIZE_LIMIT bytes. Bytes that are not UTF-8 match NO_UTF_8; the caller decides whether they
        matter, since in a comment they do not.
        """
        path = self.at(name)
        with os_error_context("version_file: read", path, RequestError):
            with os.fdopen(self._open(name), "rb") as stream:
                data = stream.read(SIZE_LIMIT + 1)
        if len(data) > SIZE_LIMIT:
            raise RequestError(
                "version_file: %s is larger than %d bytes" % (path, SIZE_LIMIT), path=path, hint="is it the right file?"
            )
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise RequestError("version_file: %s is UTF-16, expected UTF-8" % path, path=path, hint="save it as UTF-8")
        return data.decode("utf-8", "surrogateescape")

    def _open(self, name: str) -> int:
        """Open a regular file. Raises OSError, and RequestError if it is not a regular file or not in the directory."""
        todo, links = [name], 0
        with contextlib.ExitStack() as stack:
            way = [self._fd]  # from the directory down: ".." is the previous one, even if something was moved
            while todo:
                part = todo.pop()
                if part == ".." and len(way) > 1:
                    way.pop()
                    continue
                if part == ".." or links > MAX_LINKS:
                    raise self._leads_out(name)
                try:
                    fd = os.open(part, _ENTRY, dir_fd=way[-1])
                except OSError as exc:
                    if exc.errno not in _IS_LINK:
                        raise
                    target, links = os.readlink(part, dir_fd=way[-1]), links + 1
                    if target.startswith("/"):
                        raise self._leads_out(name) from exc
                    todo.extend(step for step in reversed(target.split("/")) if step not in ("", "."))
                    continue
                stack.callback(os.close, fd)
                way.append(fd)
            if not stat.S_ISREG(os.fstat(way[-1]).st_mode):
                raise RequestError("version_file: %s is not a regular file" % self.at(name), path=self.at(name))
            return os.dup(way[-1])

    def _leads_out(self, name: str) -> RequestError:
        return RequestError(
            "version_file: %s is a symbolic link that leads out of its folder" % self.at(name),
            path=self.at(name),
            hint="put the file itself there, or name the file that is meant in version_file",
        )


def _open_folder(path: str) -> int:
    """Open the directory at an absolute path. Raises OSError, and RequestError for a link that leads elsewhere."""
    todo, links = [(step, 0) for step in reversed(path.split("/"))], 0
    with contextlib.ExitStack() as stack:
        way = [os.open("/", _WAY)]
        stack.callback(os.close, way[0])
        names: List[str] = []
        while todo:
            # ``floor`` names always stay: a link may not lead above its own directory.
            step, floor = todo.pop()
            if step in ("", "."):
                continue
            if step == "..":
                if floor and len(names) <= floor:
                    raise _link_elsewhere(path)
                del way[max(1, len(names)) :], names[-1:]
                continue
            if stat.S_ISLNK(os.stat(step, dir_fd=way[-1], follow_symlinks=False).st_mode):
                target, links = os.readlink(step, dir_fd=way[-1]), links + 1
                here, trusted = "/%s/" % "/".join(names), not floor and (not names or _is_roots(way[-1]))
                if links > MAX_LINKS or not trusted and target.startswith("/") and not target.startswith(here):
                    raise _link_elsewhere(path)
                if target.startswith("/") and trusted:
                    del way[1:], names[:]
                elif target.startswith("/"):
                    target = target[len(here) :]
                todo.extend((each, 0 if trusted else max(floor, len(names))) for each in reversed(target.split("/")))
                continue
            way.append(os.open(step, _WAY, dir_fd=way[-1]))
            stack.callback(os.close, way[-1])
            names.append(step)
        return os.open(".", _FOLDER, dir_fd=way[-1])


def _is_roots(fd: int) -> bool:
    """Whether only root could have put a link into a directory, and we are not root, who may have checked it out."""
    found = os.fstat(fd)
    return found.st_uid == 0 != os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _link_elsewhere(path: str) -> RequestError:
    return RequestError(
        "version_file: on the way to %s is a symbolic link that leads out of the directory that it lies in" % path,
        path=path,
        hint="write the path that is meant, without that link, into version_file",
    )
