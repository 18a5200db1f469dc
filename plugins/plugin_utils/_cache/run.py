# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of one run and the cache in it, in front of the cache that stays. Many processes share each download.

ansible-core makes a directory for each run in its local temporary directory, ``ansible-local-<pid><8 characters>``
(tempfile.mkdtemp), and removes it at a normal end. A killed run leaves it behind, with our directory and a whole archive
in it; the first task or lookup of a later run removes those. A file in our directory says which process owns it: machines
or containers may share a home directory, and then a pid alone means nothing.

A process waits for another's download only as long as that takes. A failed download is not tried again in the same
attempt: one try of one task, for all its hosts. The cache does not verify documents: every task verifies the bytes
itself. It uses neither Ansible nor the network. In the directory of the run are, beside what store.py has there:

    <run>/owner                         which process the run is
    <run>/<key>.<attempt>.document      the bytes received in that attempt
    <run>/<key>.<attempt>.failure       why there are none
    <run>/<key>.lock                    held by the process that downloads, while the others wait
"""

import contextlib
import json
import os
import platform
import re
import stat
import time
from typing import Any, Callable, ContextManager, Dict, Iterator, NoReturn, Optional, Tuple, Type, Union

from ...module_utils._errors import (
    FetchError,
    InstallError,
    TerraformBinaryError,
    VerificationError,
    os_error_context,
)
from ...module_utils._fs.atomic_file import PendingFile
from ...module_utils._fs.directory import Directory
from ...module_utils._records import Log
from .store import FILE_MODE, RUN_DIR, Fill, Store, open_run_dir, read_file, write_file

OWNER = "owner"
_RUN = re.compile(r"ansible-local-([0-9]+)[a-z0-9_]{8}\Z")
_LONGEST_RUN = 2 * 86400  # seconds: a run on another machine never leaves its directory untouched for so long
_FAILURE, _ASKED = ".failure", ".asked"
_SHORT = 60  # characters of a failure's reason that other hosts repeat
_KINDS: Dict[str, Type[TerraformBinaryError]] = {"FetchError": FetchError, "VerificationError": VerificationError}


def enter_run(parent: str, log: Log) -> Directory:
    """Open our directory of this run; the first task or lookup of the run removes those of killed runs.

    :param parent: str, the directory that ansible-core made for the run.
    :param log: callable(line, warning=False).
    :returns: Directory, which the caller closes.
    :raises InstallError: it cannot be created or opened, or the directory above cannot be listed.
    """
    run = open_run_dir(parent, RUN_DIR)
    try:
        if claim_run_dir(run, parent):
            remove_stale_run_dirs(parent, RUN_DIR, log)
    except BaseException:
        run.close()
        raise
    return run


class RunCache:
    """The cache as one task uses it.

    :param run: Directory, from open_run_dir().
    :param kept: Store of the option ``cache_dir``, or None.
    :param log: callable(line, warning=False).
    :param waiting: callable(what), called once when another process's download takes long.
    :param round_name: str of letters, digits and dashes: the name of the attempt.
    :param host: str, the host of the task; if it fails, messages for other hosts refer to this host.
    :param seen: Store of the option ``cache_dir`` in check mode, which is only asked what it has; or None.
    """

    def __init__(
        self,
        run: Directory,
        kept: Optional[Store],
        log: Log,
        waiting: Callable[[str], None],
        round_name: str,
        host: str,
        seen: Optional[Store] = None,
    ) -> None:
        self._run = run
        self._store = Store(run, log)
        self._kept = kept
        self._log = log
        self._waiting = waiting
        self._round = round_name
        self._host = host
        self._seen = seen

    def document(self, key: str, what: str, fetch: Callable[[], bytes]) -> Tuple[bytes, bool]:
        """Return bytes downloaded in this attempt or verified before, or else those that ``fetch`` downloads.

        :param key: str of letters and digits, different for documents that must not be shared.
        :param what: str, what it is, for the message about waiting.
        :param fetch: callable() -> bytes.
        :returns: (bytes, bool: they come from an earlier run).
        :raises: what ``fetch`` raises, or raised before in this attempt; InstallError.
        """
        found = self._read_received(key)
        if found is not None:
            return found, False
        with self._exclusive(key, what):
            found = self._read_received(key)  # another process was faster
            if found is not None:
                return found, False
            kept = self._kept.document(key) if self._kept else None
            if kept is not None:
                return kept, True  # not copied into this run's cache until it is verified
            self._recall(key)
            with self._remembering(key):
                found = fetch()
            self._store.put_document(self._of_round(key), found)
        return found, False

    def _read_received(self, key: str) -> Optional[bytes]:
        found = self._store.document(key)
        return self._store.document(self._of_round(key)) if found is None else found

    def _of_round(self, key: str) -> str:
        return "%s.%s" % (key, self._round)

    def put_document(self, key: str, data: bytes, for_later: bool = True) -> None:
        """Store a verified document for this run and, with ``for_later``, for later runs. Raises InstallError."""
        self._store.put_document(key, data)
        if self._kept and for_later:
            self._kept.put_document(key, data)

    def drop_document(self, key: str) -> None:
        """Remove a verified document from this run's cache. Raises InstallError."""
        self._store.drop_document(key)

    def drop_kept(self, key: str) -> None:
        """Remove a document of an earlier run, which does not verify. Raises InstallError."""
        if self._kept:
            self._kept.drop_document(key)

    def is_first(self, key: str) -> bool:
        """Whether nobody has asked for that key in this run before, on whichever host. Raises InstallError."""
        name = key + _ASKED
        with self._exclusive(name, "a note"):
            if self._run.stat(name) is not None:
                return False
            write_file(self._run, name, b"")
            return True

    def has_archive(self, place: str) -> bool:
        """Whether archive() would find the archive for a place in a cache."""
        return self._store.has_archive(place) or self._seen is not None and self._seen.has_archive(place)

    def archive(self, sha256: str, place: str, key: str, what: str, fetch: Fill) -> str:
        """Return the path of the archive with this digest. All of it is hashed, or was in this run.

        :param sha256: str, 64 lower-case hex digits.
        :param place: str of 64 hex digits, for what it is and where it comes from; the same place shares the archive.
        :param key: str, under which a failure is remembered.
        :param what: str, what it is, for the message about waiting.
        :param fetch: callable(sink); must leave bytes of this digest in the sink.
        :returns: str.
        :raises: what ``fetch`` raises, or raised before for that key; InstallError.
        """

        def fetch_once(sink: PendingFile) -> None:
            self._recall(key)
            with self._remembering(key):
                fetch(sink)

        def waiting() -> None:
            self._waiting(what)

        def fill(sink: PendingFile) -> None:
            if self._kept:
                self._kept.archive(sha256, place, fetch_once, waiting, sink)
            else:
                fetch_once(sink)

        return self._store.archive(sha256, place, fill, waiting)

    def _exclusive(self, name: str, what: str) -> ContextManager[int]:
        return self._store.exclusive(name, lambda: self._waiting(what))

    @contextlib.contextmanager
    def _remembering(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FetchError, VerificationError) as exc:
            with contextlib.suppress(InstallError):  # a full disk must not hide why the download failed
                write_file(self._run, self._of_round(key) + _FAILURE, _failure_bytes(exc, self._host))
            raise

    def _recall(self, key: str) -> None:
        """Raise the error of an earlier failure for that key in this attempt."""
        data = read_file(self._run, self._of_round(key) + _FAILURE)
        if data is not None:
            failure, host = _failure_of(data)
            self._log("not asked again: it failed for %s" % host)
            raise failure


def _failure_bytes(exc: Union[FetchError, VerificationError], host: str) -> bytes:
    kind = "VerificationError" if isinstance(exc, VerificationError) else "FetchError"
    where: Dict[str, Any] = {name: getattr(exc, name) for name in ("path", "url", "errno")}
    if isinstance(exc, FetchError):
        where.update(next_site=exc.next_site, status=exc.status)
    return json.dumps({"kind": kind, "message": str(exc), "host": host, "where": where}).encode()


def _failure_of(data: bytes) -> Tuple[TerraformBinaryError, str]:
    """Recreate a failure for another host: its subject, its reason if short, and which host has the details."""
    saved = json.loads(data.decode())
    host, (about, _colon, reason) = saved["host"], saved["message"].partition(": ")
    cause = " (%s)" % reason if reason and len(reason) <= _SHORT else ""
    return _KINDS[saved["kind"]](
        "%s: failed for %s%s" % (about, host, cause), hint="see %s" % host, **saved["where"]
    ), host


def claim_run_dir(run: Directory, parent: str) -> bool:
    """Write into a run's directory which process owns it.

    :param run: Directory, from open_run_dir().
    :param parent: str, the directory that ansible-core made for the run.
    :returns: bool, no owner was written before: this is the run's first task.
    :raises InstallError: the file cannot be written.
    """
    found = _RUN.match(os.path.basename(os.path.realpath(parent)))
    if not found:
        return False
    with os_error_context("create", run.at(OWNER), place=run.place):
        try:  # the first tasks of all hosts run this at once
            fd = os.open(
                OWNER, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=run.fd
            )
        except FileExistsError:
            return False
        with os.fdopen(fd, "wb") as stream:
            stream.write(_describe(found.group(1)).encode("utf-8"))
    return True


def remove_stale_run_dirs(parent: str, name: str, log: Log) -> None:
    """Remove the directories of runs that have ended.

    :param parent: str, the directory that ansible-core made for this run.
    :param name: str, our directory in it, and in those of other runs.
    :param log: callable(line, warning=False).
    :raises InstallError: the directory above cannot be listed or opened.
    """
    above, own = os.path.split(os.path.realpath(parent))
    with os_error_context("list", above, place="local_tmp"):
        others = [found for found in map(_RUN.match, os.listdir(above)) if found and found.group() != own]
    with contextlib.ExitStack() as stack:
        with os_error_context("open directory", above, place="local_tmp"):
            top = _enter(stack, above)
        for found in others:
            other = found.group()
            folder = os.path.join(above, other, name)
            try:
                if not _is_ours(os.stat(other, dir_fd=top, follow_symlinks=False)):
                    continue
                with contextlib.ExitStack() as entered:
                    outer = _enter(entered, other, top)
                    if not _is_left(outer, name, found.group(1)):
                        continue
                    _remove(outer, name)
                log("left by a run that was killed, removed: %s" % folder)
                with contextlib.suppress(OSError):  # it has other files, which are not ours
                    os.rmdir(other, dir_fd=top)
            except FileNotFoundError:  # its run just ended, or another run was faster
                continue
            except OSError as exc:
                log("left by a run that was killed, cannot be removed: %s (%s)" % (folder, exc), warning=True)


def _enter(stack: contextlib.ExitStack, path: str, above: Optional[int] = None) -> int:
    """Open a directory, not a link; the stack closes the descriptor, which outlives a rename. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    stack.callback(os.close, fd)
    return fd


def _is_ours(found: os.stat_result) -> bool:
    """Whether an os.stat_result is a directory of ours in which no other user can replace files."""
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _is_left(outer: int, name: str, pid: str) -> bool:
    """Whether another run's directory is ours and its process has ended. Raises OSError."""
    with contextlib.ExitStack() as stack:
        folder = _enter(stack, name, outer)
        if not _is_ours(os.fstat(outer)) or not _is_ours(os.fstat(folder)):
            return False
        with os.fdopen(
            os.open(OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder),
            encoding="utf-8",
            errors="replace",
        ) as stream:
            said = stream.read(1000)
        if said.partition("\n")[0] != _describe(pid).partition("\n")[0]:  # another machine, or a reboot
            return (
                time.time()
                - max(os.stat(each, dir_fd=folder, follow_symlinks=False).st_mtime for each in os.listdir(folder))
                > _LONGEST_RUN
            )
        return said.count("\n") == 2 and said != _describe(pid)  # otherwise the file is still being written


def _remove(outer: int, name: str) -> None:
    """Remove a directory and its contents; follows no link, even if one is swapped in. Raises OSError."""
    for _root, folders, files, fd in os.fwalk(name, topdown=False, onerror=_reraise, dir_fd=outer):
        for each in files:
            os.unlink(each, dir_fd=fd)
        for each in folders:
            if stat.S_ISLNK(os.stat(each, dir_fd=fd, follow_symlinks=False).st_mode):
                os.unlink(each, dir_fd=fd)
            else:
                os.rmdir(each, dir_fd=fd)
    os.rmdir(name, dir_fd=outer)


def _reraise(exc: OSError) -> NoReturn:
    raise exc


def _describe(pid: str) -> str:
    """Describe an owner in two lines: machine, pid namespace and boot; pid and start time, if it runs."""
    here = [platform.node()]
    with contextlib.suppress(OSError):  # not Linux
        here.append(os.readlink("/proc/self/ns/pid"))
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            here.append(stream.read().strip())
    return "%s\n%s %s\n" % (" ".join(here), pid, _began(int(pid)))


def _began(pid: int) -> str:
    """Return a process's start time, which differs for another process with the same pid; "" if it does not run."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()  # proc(5): state is field 3, start time is field 22
        return "" if fields[0] in "ZX" else fields[19]
    except FileNotFoundError:
        pass
    try:
        os.kill(pid, 0)  # without /proc
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "runs"
    return "runs"
