# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives by digest, and documents by where they came from: fetched once a run, however many processes want them.

It promises that an archive it hands out had the right digest just now, that who waits for another's download waits no
longer than that takes, and that what failed is not tried again in the same round. A round is one try of one task, for all
its hosts. Whether a document is genuine is not its business: everybody judges its bytes anew. It knows nothing of Ansible
or of the network.

    <run>/<digest>/archive.zip          for this run; files of mode 0600 in directories of 0700
    <run>/<key>.<round>.document        the bytes as they were received in that round
    <run>/<key>.<round>.failure         why there are none
    <run>/<key>.document                a document whose signature was good
    <run>/<digest or key>.lock          held by the one process that fetches, while the others wait
    <kept>/<digest>/archive.zip         the same between runs: the newest ones, each under <kept>/<digest>.lock
    <kept>/<key>.document
"""

import contextlib
import errno
import json
import os
import stat

from ..module_utils._digest import hash_of
from ..module_utils._directories import Directory, judge, owner_text, trust_of, unsafe, walk
from ..module_utils._errors import FetchError, InstallError, LockError, VerificationError, os_errors
from ..module_utils._files import PendingFile, copy, sweep
from ..module_utils._lock import locked

ARCHIVE = "archive.zip"
PATIENCE = 2            # seconds of waiting that are not worth a word
LONGEST_WAIT = 86400    # seconds: a download ends by itself, and with it the lock
FILE_MODE = 0o600
FOLDER_MODE = 0o700

_DOCUMENTS_AN_ARCHIVE = 8   # sums and signatures, of several sites
_DOCUMENT, _FAILURE, _LOCK, _NOTE = ".document", ".failure", ".lock", ".note"
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_KINDS = {"FetchError": FetchError, "VerificationError": VerificationError}


def open_run(parent, name):
    """The cache of one run, a directory of ours; made if it is not there.

    :param parent: str, an existing directory that goes with the run.
    :returns: Directory, to be closed. Raises InstallError.
    """
    real = os.path.realpath(parent)
    with os_errors("open directory", real):
        fd = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with Directory(fd, real, trust_of()) as above:
        return _enter(above, name)


def open_kept(path):
    """The cache between runs; what is missing of the way to it is made. Refused where others could write.

    :param path: str, absolute.
    :returns: Directory, to be closed. Raises InstallError.
    """
    trust = trust_of()
    parent, _slash, name = path.rpartition("/")
    with walk(parent or "/", "cache_dir", trust, _silence, create=True) as above:
        if above.stat(name) is None:
            judge(above, None, path, "cache_dir")
            above.make(name, _silence, FOLDER_MODE)
    kept = walk(path, "cache_dir", trust, _silence)
    if kept is None:
        raise InstallError("cache_dir %s vanished" % path, path=path, errno=errno.ENOENT, hint="run it again")
    try:
        _check(kept, path, "cache_dir")
    except InstallError:
        kept.close()
        raise
    return kept


class Cache:
    """What one task sees of it.

    :param run: Directory, from open_run().
    :param kept: Directory, from open_kept(), or None.
    :param keep: int, how many archives ``kept`` may hold.
    :param say: callable(line, warning=False).
    :param waiting: callable(what), told once when another's download takes its time.
    :param turn: str of letters, digits and dashes, the name of the round.
    """

    def __init__(self, run, kept, keep, say, waiting, turn):
        self._run = run
        self._kept = kept
        self._keep = keep
        self._say = say
        self._waiting = waiting
        self._round = turn

    def document(self, key, what, fetch):
        """The bytes that somebody has fetched in this round, or found good, or else those that ``fetch`` brings.

        :param key: str, of letters and digits: tells apart what must not be shared.
        :param what: str, what it is, for those who wait for it.
        :param fetch: callable() -> bytes.
        :returns: (bytes, bool: they were kept from an earlier run). Raises what ``fetch`` raises, or once raised;
            InstallError.
        """
        found = self._read_received(key)
        if found is not None:
            return found, False
        with self._turn(self._run, key, what):
            found = self._read_received(key)        # another process was quicker
            if found is not None:
                return found, False
            kept = _read(self._kept, key + _DOCUMENT) if self._kept else None
            if kept is not None:
                return kept, True       # not this run's own before somebody has found it good
            self._recall(key)
            with self._remembering(key):
                found = fetch()
            _write(self._run, self._of_round(key, _DOCUMENT), found)
        return found, False

    def _read_received(self, key):
        found = _read(self._run, key + _DOCUMENT)
        return _read(self._run, self._of_round(key, _DOCUMENT)) if found is None else found

    def _of_round(self, key, suffix):
        return "%s.%s%s" % (key, self._round, suffix)

    def keep_document(self, key, data, for_later=True):
        """Keep a document that was found good, for this run and, if wanted, for later ones. Raises InstallError."""
        for directory in (self._run, self._kept if for_later else None):
            if directory is not None and _read(directory, key + _DOCUMENT) != data:
                _write(directory, key + _DOCUMENT, data)

    def drop_kept(self, key):
        """Forget a document of earlier runs, which was found bad. Raises InstallError."""
        _remove(self._kept, key + _DOCUMENT)

    def note(self, key):
        """The text that was noted in this run, or None. Raises InstallError."""
        data = _read(self._run, key + _NOTE)
        return None if data is None else data.decode()

    def take_note(self, key, text):
        """Note a text for this run. Raises InstallError."""
        _write(self._run, key + _NOTE, text.encode())

    def archive(self, sha256, key, what, fetch):
        """The archive of that digest: its path, after all of it was hashed.

        :param key: str, under which a failure is remembered.
        :param what: str, what it is, for those who wait for it.
        :param fetch: callable(sink); what it leaves in the sink must have the digest.
        :returns: str. Raises what ``fetch`` raises, or once raised for that key; InstallError.
        """
        path = self._find(sha256)
        if path is None:
            with self._turn(self._run, sha256, what):
                path = self._find(sha256, self._say)
                if path is None:
                    return self._fill(sha256, key, what, fetch)
        self._say("archive is here already: %s, sha256 %s" % (path, sha256))
        return path

    def _find(self, sha256, say=None):
        """The path of this run's archive, or None; ``say`` hears of one that is damaged."""
        if self._run.stat(sha256) is None:
            return None
        with _enter(self._run, sha256) as folder, contextlib.ExitStack() as stack:
            fd = _open(folder, ARCHIVE)
            if fd is None:
                return None
            stack.callback(os.close, fd)
            path = folder.at(ARCHIVE)
            with os_errors("read", path):
                found = hash_of(fd)
            if found == sha256:
                return path
        if say:
            say("the cached %s is damaged (sha256 %s): fetched again" % (path, found), warning=True)
        return None

    def _fill(self, sha256, key, what, fetch):
        with _enter(self._run, sha256) as folder:
            sweep(folder)
            with PendingFile(folder, "archive") as pending:
                if self._kept is None:
                    self._fetch(key, fetch, pending)
                else:
                    self._fill_from_kept(sha256, key, what, fetch, pending)
                pending.settle(FILE_MODE)
                pending.publish(ARCHIVE)
            return folder.at(ARCHIVE)

    def _fetch(self, key, fetch, sink):
        self._recall(key)
        with self._remembering(key):
            fetch(sink)

    def _fill_from_kept(self, sha256, key, what, fetch, pending):
        """From an earlier run if its bytes are still right, else by the network, and into the kept ones then."""
        with self._turn(self._kept, sha256, what), _enter(self._kept, sha256) as folder:
            sweep(folder)
            if not self._copy_kept(folder, sha256, pending):
                self._fetch(key, fetch, pending)
                with PendingFile(folder, "archive") as copied:
                    copy(pending.fd, pending.path, copied)
                    copied.settle(FILE_MODE)
                    copied.publish(ARCHIVE)
        self._evict(sha256)

    def _copy_kept(self, folder, sha256, pending):
        """:returns: bool, the bytes are in ``pending``, and are right."""
        fd = _open(folder, ARCHIVE)
        if fd is None:
            return False
        path = folder.at(ARCHIVE)
        try:
            with os_errors("touch", path):
                os.utime(fd)        # used just now: eviction goes by that
            copy(fd, path, pending)
        finally:
            os.close(fd)
        if pending.sha256 == sha256:
            self._say("archive taken from the cache: %s, %d bytes, sha256 %s" % (path, pending.size, sha256))
            return True
        self._say("the cached %s is damaged (sha256 %s): fetched again" % (path, pending.sha256), warning=True)
        pending.restart()
        return False

    def _evict(self, newest):
        """Remove the kept archives that were not used for longest, beyond the number wanted; never one in use."""
        names = self._kept.names()
        others = [name for name in names if len(name) == len(newest) and name != newest]    # digests
        for name in self._oldest(others, "/" + ARCHIVE, self._keep - 1):
            with contextlib.suppress(LockError):    # another run is at it just now
                self._drop(name)
        documents = [name for name in names if name.endswith(_DOCUMENT)]
        for name in self._oldest(documents, "", self._keep * _DOCUMENTS_AN_ARCHIVE):
            _remove(self._kept, name)

    def _oldest(self, names, below, keep):
        """The kept names but for the newest ones, by the time of what lies ``below`` each."""
        found = {name: self._kept.stat(name + below) for name in names}
        ages = {name: entry.st_mtime if entry else 0 for name, entry in found.items()}
        return sorted(ages, key=ages.get, reverse=True)[keep:]

    def _drop(self, name):
        with locked(self._kept, name + _LOCK, 0, self._say_no_locks, "another download"):
            with _enter(self._kept, name) as folder:
                sweep(folder)
                _remove(folder, ARCHIVE)
            with os_errors("remove directory", self._kept.at(name)):
                os.rmdir(name, dir_fd=self._kept.fd)
            # Under the lock: who waits for it looks whether its file still has that name.
            _remove(self._kept, name + _LOCK)
        self._say("cache: %s removed, %d newer ones are kept" % (self._kept.at(name), self._keep))

    @contextlib.contextmanager
    def _turn(self, directory, name, what):
        """The body runs in one process at a time."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(directory, name + _LOCK, PATIENCE, self._say_no_locks, "another download"))
            except LockError:
                self._waiting(what)
                stack.enter_context(
                    locked(directory, name + _LOCK, LONGEST_WAIT, self._say_no_locks, "another download"))
            yield

    def _say_no_locks(self, line, warning=False):
        """Only what is wrong: who waits is told so in our own words."""
        if warning:
            self._say(line, warning=True)

    @contextlib.contextmanager
    def _remembering(self, key):
        try:
            yield
        except (FetchError, VerificationError) as exc:
            with contextlib.suppress(InstallError):     # a full disk must not hide why the download failed
                _write(self._run, self._of_round(key, _FAILURE), _failure_bytes(exc))
            raise

    def _recall(self, key):
        """Raise what was raised for that key before in this round."""
        data = _read(self._run, self._of_round(key, _FAILURE))
        if data is not None:
            failure = _failure_of(data)
            self._say("not asked again: it failed for another host")
            raise failure


def _silence(line, warning=False):
    """The ``say`` of what is not worth a word."""


def _enter(parent, name):
    """A sub-directory of ours, made if it is not there; to be closed."""
    if parent.stat(name) is None:
        parent.make(name, _silence, FOLDER_MODE)
    folder = parent.enter(name)
    try:
        _check(folder, folder.path, "cache")
    except InstallError:
        folder.close()
        raise
    return folder


def _check(directory, path, what):
    """Refuse a directory in which others than the trusted could put files. Raises InstallError."""
    judge(directory, None, path, what)
    with os_errors("look at", path):
        found = os.fstat(directory.fd)
    if found.st_mode & stat.S_IWOTH:    # a sticky one would do on the way, not here
        raise unsafe("%s can be written by others (%s)" % (directory.path, owner_text(found)), path, what)


def _open(directory, name):
    """A regular file of ours, open for reading: int, or None when there is none. Raises InstallError."""
    with os_errors("open", directory.at(name)):
        try:
            fd = os.open(name, _OPEN, dir_fd=directory.fd)
        except FileNotFoundError:
            return None
        found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in directory.trust.uids:
        os.close(fd)
        raise InstallError("%s is not a regular file of ours (%s)" % (directory.at(name), owner_text(found)),
                           path=directory.at(name), errno=errno.EPERM, hint="remove it")
    return fd


def _read(directory, name):
    """The bytes of a file of ours, or None when there is none. Raises InstallError."""
    fd = _open(directory, name)
    if fd is None:
        return None
    with os_errors("read", directory.at(name)), os.fdopen(fd, "rb") as stream:
        return stream.read()


def _write(directory, name, data):
    with PendingFile(directory, "document") as pending:
        pending.write(data)
        pending.settle(FILE_MODE)
        pending.publish(name)


def _remove(directory, name):
    with os_errors("remove", directory.at(name)), contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory.fd)


def _failure_bytes(exc):
    kind = "VerificationError" if isinstance(exc, VerificationError) else "FetchError"
    where = {name: getattr(exc, name) for name in ("path", "url", "errno", "hint")}
    if kind == "FetchError":
        where.update(next_site=exc.next_site, status=exc.status)
    return json.dumps({"kind": kind, "message": str(exc), "where": where}).encode()


def _failure_of(data):
    told = json.loads(data.decode())
    return _KINDS[told["kind"]](told["message"], **told["where"])
