# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's cache: real folders, real processes that want the same thing at once."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import sys
import time

import pytest

if sys.version_info < (3, 9):
    pytest.skip("controller code needs Python 3.9", allow_module_level=True)

from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory as directory_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import lock
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._cache import store
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._cache import run as run_module
from support.system import (
    OTHER_UID,
    Clock,
    another_process,
    forked,
    in_child,
    needs_root,
    open_folder,
    read_all,
    small_disk,
    wait_until,
)

DATA = b"an archive" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()
KEY = "0f" * 32


class Run:
    """A run with a cache: ``lines`` and ``warnings`` it said, ``waited`` for what; ``fetches`` counts over all processes."""

    def __init__(self, folder, kept=None, keep=3, turn="r1"):
        self.folder = str(folder)
        self.kept = str(kept) if kept else None
        self.keep = keep
        self.turn = turn
        self.lines, self.warnings, self.waited = [], [], []

    def log(self, line, warning=False):
        (self.warnings if warning else self.lines).append(line)

    @contextlib.contextmanager
    def cache(self):
        with contextlib.ExitStack() as stack:
            kept = None
            if self.kept:
                kept = store.Store(stack.enter_context(store.open_cache_dir(self.kept)), self.log, self.keep)
            run = stack.enter_context(store.open_run_dir(self.folder, "ours"))
            yield run_module.RunCache(run, kept, self.log, self.waited.append, self.turn, "web1")

    def archive(self, data=DATA, before=None, key=KEY, place=None):
        """The path; ``before`` is called by the one process that fetches. Its place is its digest, unless another is given."""

        def fetch(sink):
            self.note("fetches")
            if before:
                before()
            sink.write(data)

        digest = hashlib.sha256(data).hexdigest()
        with self.cache() as cache:
            return cache.archive(digest, place or digest, key, "a.zip", fetch)

    def document(self, data=b"sums", key=KEY, error=None):
        def fetch():
            self.note("fetches")
            if error:
                raise error
            return data

        with self.cache() as cache:
            return cache.document(key, "SUMS", fetch)

    @property
    def fetches(self):
        return self.count("fetches")

    def note(self, what):
        with open(os.path.join(self.folder, what), "ab") as file:
            file.write(b"!")

    def count(self, what):
        """How often that was noted by any process."""
        path = os.path.join(self.folder, what)
        return os.path.getsize(path) if os.path.exists(path) else 0

    def wait_for(self, what, number=1):
        wait_until(lambda: self.count(what) == number, what)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def new_run(folder, name, **options):
    os.mkdir(str(folder / name))
    return Run(folder / name, **options)


def at_once(count, function):
    """What the function gives (or raises) in so many processes that run at the same time."""

    def work(stream):
        try:
            answer = "ok %s" % (function(),)
        except _errors.TerraformBinaryError as exc:
            answer = "%s %s" % (type(exc).__name__, exc)
        stream.write(answer.encode())

    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(forked(work)) for _number in range(count)]
        return [read_all(stream).decode() for _pid, stream in children]


def asking(run, count, then=None):
    """A function for at_once(): it asks for the archive, which is fetched when so many have come to ask."""

    def fetched():
        run.wait_for("asked", count)
        if then:
            raise then

    def ask():
        run.note("asked")
        return run.archive(before=fetched)

    return ask


@pytest.fixture
def no_locks(monkeypatch):
    def flock(fd, how):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)


def test_many_processes_without_locks_fetch_alike(run, no_locks, tmp_path):
    """All have begun before the first one ends: none removes or misses what another works on."""

    def begun():
        run.note("begun")
        run.wait_for("begun", 6)

    run.kept = str(tmp_path / "kept")
    outcomes = at_once(6, lambda: (run.archive(before=begun), run.document()[0]))
    assert outcomes == ["ok %s" % ((run.archive(), b"sums"),)] * 6
    assert not [path for path in everything(tmp_path) if ".tmp." in path]


def test_that_there_are_no_locks_is_said_once_a_task_and_folder(run, no_locks, tmp_path):
    run.kept = str(tmp_path / "kept")
    with run.cache() as cache:
        for number in range(3):
            cache.document("%064x" % number, "SUMS", lambda: b"sums")
            cache.put_document("%064x" % number, b"sums")
    assert [line.partition(":")[0] for line in run.warnings] == [
        "no locks on the file system of %s" % folder
        for folder in (os.path.join(os.path.realpath(run.folder), "ours"), run.kept)
    ]


def test_what_another_put_there_meanwhile_will_do(run, monkeypatch):
    """As without locks: between our rename and a look at what is there now."""
    real, done = directory_module.Directory.sync, []

    def sync(directory, *arguments, **more):
        real(directory, *arguments, **more)
        if not done and os.path.exists(directory.at("archive.zip")):
            done.append(directory.at("archive.zip"))
            shutil.copy(done[0], done[0] + ".other")
            os.rename(done[0] + ".other", done[0])

    monkeypatch.setattr(directory_module.Directory, "sync", sync)
    assert [run.archive()] == done


def test_without_locks_what_a_killed_run_left_goes_when_it_is_old(tmp_path, no_locks):
    run = new_run(tmp_path, "r", kept=tmp_path / "kept", keep=1)
    run.archive(b"old")
    (folder,) = kept_digests(tmp_path / "kept")
    young, old = (tmp_path / "kept" / folder / (".tmp.archive.abcd123%d" % number) for number in range(2))
    for path in (young, old):
        path.write_bytes(b"half")
        path.chmod(0o600)
    os.utime(str(old), (1, 1))
    run.archive(b"new")
    assert os.listdir(str(tmp_path / "kept" / folder)) == [young.name]  # the archive was evicted


def everything(folder):
    return sorted(
        os.path.join(parent, name) for parent, folders, names in os.walk(str(folder)) for name in folders + names
    )


def test_many_processes_cause_one_fetch(run):
    outcomes = at_once(8, asking(run, 8))
    path = os.path.join(os.path.realpath(run.folder), "ours", DIGEST, "archive.zip")
    assert outcomes == ["ok %s" % path] * 8
    assert run.fetches == 1
    with open(path, "rb") as file:
        assert file.read() == DATA


def test_the_same_bytes_from_elsewhere_are_fetched_again(tmp_path):
    first, second = (new_run(tmp_path, name, kept=tmp_path / "kept") for name in ("r1", "r2"))
    assert first.archive(place="a1" * 32) != first.archive(place="b2" * 32) and first.fetches == 2
    second.archive(place="a1" * 32)
    second.archive(place="c3" * 32)
    assert second.fetches == 1 and kept_digests(tmp_path / "kept") == {"a1" * 32, "b2" * 32, "c3" * 32}


def test_many_processes_cause_one_fetch_of_a_document(run):
    assert at_once(8, lambda: run.document(b"sums")) == ["ok (b'sums', False)"] * 8
    assert run.fetches == 1


def test_documents_of_different_keys_are_not_shared(run):
    assert run.document(b"one", "a1")[0] == b"one"
    assert run.document(b"two", "a2")[0] == b"two"
    assert run.document(b"other", "a1")[0] == b"one" and run.fetches == 2


@pytest.mark.parametrize(
    "error, cause",
    [
        (
            _errors.FetchError("zip: HTTP 404", next_site=False, status=404, url="http://h/x", hint="look"),
            " (HTTP 404)",
        ),
        (
            _errors.FetchError(
                "zip: " + "x" * 61, next_site=False, errno=errno.ECONNREFUSED, url="http://h/x", hint="look"
            ),
            "",
        ),
        (_errors.VerificationError("wrong", path="/p", hint="no"), ""),
    ],
)
def test_what_failed_is_not_tried_again_and_the_others_say_where_to_look(run, error, cause):
    outcomes = at_once(6, asking(run, 6, error))
    kind = type(error).__name__
    shared = "%s %s: failed for web1%s" % (kind, str(error).partition(":")[0], cause)
    assert sorted(outcomes) == sorted(["%s %s" % (kind, error)] + [shared] * 5)
    assert run.fetches == 1
    with pytest.raises(type(error)) as caught:
        run.archive()
    for name in ("path", "url", "errno"):
        assert getattr(caught.value, name) == getattr(error, name)
    assert caught.value.hint == "see web1"
    if isinstance(error, _errors.FetchError):
        assert (caught.value.next_site, caught.value.status, caught.value.retry) == (False, error.status, False)
    assert "not asked again: it failed for web1" in run.lines


def test_in_the_next_round_it_is_tried_again(run):
    with pytest.raises(_errors.FetchError):
        run.document(error=_errors.FetchError("dead"))
    assert Run(run.folder, turn="r2").document() == (b"sums", False)
    with pytest.raises(_errors.FetchError):  # the first round stays as it was
        run.document()


def test_a_document_lasts_for_its_round_and_a_good_one_for_the_run(run):
    later = Run(run.folder, turn="r2")
    assert run.document(b"one")[0] == b"one" and later.document(b"two")[0] == b"two"
    with later.cache() as cache:
        cache.put_document(KEY, b"two")
    assert Run(run.folder, turn="r3").document(b"three")[0] == b"two"


def test_what_failed_under_one_key_is_tried_under_another(run):
    with pytest.raises(_errors.FetchError):
        run.document(error=_errors.FetchError("dead"))
    assert run.document(key="b0")[0] == b"sums"


def test_what_is_not_the_sites_fault_is_tried_again(run):
    with pytest.raises(_errors.InstallError):
        run.document(error=_errors.InstallError("full", errno=28))
    assert run.document()[0] == b"sums"


def test_a_full_disk_is_an_error_that_names_it_and_spoils_nothing(tmp_path):
    os.mkdir(str(tmp_path / "small"))
    with small_disk(tmp_path / "small"):
        run = Run(tmp_path / "small")
        with pytest.raises(_errors.InstallError) as caught:
            run.archive(os.urandom(200000))
        assert caught.value.errno == 28 and str(tmp_path / "small") in str(caught.value)
        assert "choose another local_tmp (ANSIBLE_LOCAL_TEMP)" in caught.value.hint
        assert not [path for path in everything(run.folder) if ".tmp." in path]
        assert run.archive()


def test_a_full_cache_dir_is_distinguished_from_a_full_folder_of_the_run(tmp_path):
    os.mkdir(str(tmp_path / "kept"))
    with small_disk(tmp_path / "kept"):
        with pytest.raises(_errors.InstallError) as caught:
            Run(tmp_path, kept=str(tmp_path / "kept")).archive(os.urandom(200000))
        assert caught.value.errno == 28 and "choose another cache_dir" in caught.value.hint


def test_a_killed_fetch_is_taken_over_and_leaves_nothing(run):
    def dies(ready):
        run.archive(before=lambda: (ready(), signal.pause()))

    with another_process(dies) as pid:
        assert [path for path in everything(run.folder) if ".tmp.archive." in path]
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        path = run.archive()
    assert run.fetches == 2
    assert os.listdir(os.path.dirname(path)) == ["archive.zip"]


def test_an_exception_that_is_none_of_ours_leaves_nothing(run):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.archive(before=stop)
    assert not [path for path in everything(run.folder) if ".tmp." in path]
    assert run.archive()


def test_a_long_wait_is_reported_once(run, monkeypatch):
    class Waited(list):
        def append(self, what):
            super().append(what)
            run.note("waited for")

    def holds(ready):
        run.archive(before=lambda: (ready(), run.wait_for("waited for")))

    monkeypatch.setattr(store, "PATIENCE", 0)
    run.waited = Waited()
    with another_process(holds):
        run.archive()
    assert run.waited == ["a.zip"] and run.fetches == 1


def test_who_waits_a_moment_is_not(run, monkeypatch):
    def pause(seconds):
        if not run.count("waits"):
            run.note("waits")
        time.sleep(0.001)

    def holds(ready):
        run.archive(before=lambda: (ready(), run.wait_for("waits")))

    with another_process(holds):
        clock = Clock()  # it stands still: the moment is none
        clock.sleep = pause
        monkeypatch.setattr(lock, "time", clock)
        run.archive()
    assert run.waited == [] and run.fetches == 1 and run.count("waits") == 1


@pytest.mark.parametrize("damage", [b"", DATA[:-1], DATA + b"x", b"X" + DATA[1:]])
def test_a_damaged_archive_is_fetched_again_with_a_line(run, damage):
    path = run.archive()
    with open(path, "wb") as file:
        file.write(damage)
    assert run.archive() == path and run.fetches == 2
    assert len(run.warnings) == 1 and path in run.warnings[0] and "damaged" in run.warnings[0]
    with open(path, "rb") as file:
        assert file.read() == DATA


@pytest.fixture
def hashed(monkeypatch):
    """What was hashed: list of sizes."""
    found, real = [], store.hash_of
    monkeypatch.setattr(store, "hash_of", lambda fd: found.append(os.fstat(fd).st_size) or real(fd))
    return found


def test_an_archive_is_hashed_once_in_a_run(run, hashed):
    path = run.archive()
    assert [run.archive(), run.archive()] == [path, path] and run.fetches == 1
    assert hashed == [], "what was written was read back when it was written"
    os.unlink(os.path.join(run.folder, "ours", DIGEST + ".hashed"))
    assert [run.archive(), run.archive()] == [path, path] and hashed == [len(DATA)]


def change_and_back(path):
    """The same bytes and the same time of the last change: ctime tells (inode(7))."""
    before = os.stat(path)
    with open(path, "r+b") as file:
        file.write(DATA[:1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path):
    with open(path + ".new", "wb") as file:
        file.write(DATA)
    os.chmod(path + ".new", 0o600)
    os.rename(path + ".new", path)


@pytest.mark.parametrize("change", [os.utime, change_and_back, replace])
def test_an_archive_that_was_touched_is_hashed_again(run, hashed, change):
    path = run.archive()
    noted = os.stat(path).st_ctime_ns
    while os.stat(path).st_ctime_ns == noted:  # the clock of a file system goes in steps
        change(path)
    assert run.archive() == path and hashed == [len(DATA)] and run.fetches == 1


def test_a_note_about_other_bytes_is_none(run, hashed):
    """As when a site has changed what it offers under a name meanwhile."""
    run.archive(place=KEY)
    other = run.archive(b"other" * 9, place=KEY)
    assert set(hashed) == {len(DATA)} and run.fetches == 2
    with open(other, "rb") as file:
        assert file.read() == b"other" * 9
    assert run.archive(b"other" * 9, place=KEY) == other and set(hashed) == {len(DATA)}


@pytest.mark.parametrize("make", [lambda path: os.symlink("/etc/passwd", path), os.mkdir, os.mkfifo])
def test_something_else_in_the_place_of_an_archive_is_refused(run, make):
    path = run.archive()
    os.unlink(path)
    make(path)
    with pytest.raises(_errors.InstallError) as caught:
        run.archive()
    assert path in str(caught.value)


@needs_root
def test_an_archive_of_somebody_else_is_refused(run):
    path = run.archive()
    os.chown(path, OTHER_UID, OTHER_UID)  # who could change it after we have looked
    with pytest.raises(_errors.InstallError) as caught:
        run.archive()
    assert path in str(caught.value) and "not a regular file of ours" in str(caught.value)


def test_only_we_can_read_what_is_there(run, tmp_path):
    run.kept = str(tmp_path / "new" / "kept")
    umask = os.umask(0)
    try:
        run.archive()
        run.document()
    finally:
        os.umask(umask)
    ours = [path for root in (os.path.join(run.folder, "ours"), run.kept) for path in [root] + everything(root)]
    assert len(ours) > 8
    for path in ours:
        found = os.lstat(path)
        assert stat.S_IMODE(found.st_mode) == (0o700 if stat.S_ISDIR(found.st_mode) else 0o600), path
    assert stat.S_IMODE(os.stat(str(tmp_path / "new")).st_mode) == 0o755


def test_a_later_run_takes_what_was_kept(tmp_path):
    first, second = (new_run(tmp_path, name, kept=tmp_path / "kept") for name in ("r1", "r2"))
    first.archive()
    path = second.archive()
    assert (first.fetches, second.fetches) == (1, 0)
    assert path.startswith(os.path.realpath(second.folder))  # what others do to the kept ones does not matter to it
    assert any("taken from the cache: %s" % tmp_path in line for line in second.lines)


def test_a_damaged_kept_archive_is_replaced_with_a_line(tmp_path):
    first, second, third = (new_run(tmp_path, name, kept=tmp_path / "kept") for name in ("r1", "r2", "r3"))
    first.archive()
    kept = os.path.join(str(tmp_path), "kept", DIGEST, "archive.zip")
    with open(kept, "r+b") as file:
        file.write(b"X")
    second.archive()
    assert second.fetches == 1 and len(second.warnings) == 1 and kept in second.warnings[0]
    third.archive()
    assert third.fetches == 0 and not third.warnings


def test_two_runs_that_share_it_fetch_once(tmp_path):
    runs = [new_run(tmp_path, name, kept=tmp_path / "kept") for name in ("r1", "r2", "r3", "r4")]
    here = Run(tmp_path)

    def ask(each):
        here.note("asked")
        each.archive(before=lambda: here.wait_for("asked", 4))

    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(forked(lambda stream, each=each: ask(each))) for each in runs]
        assert [os.waitpid(pid, 0)[1] for pid, _stream in children] == [0] * 4
    assert sum(each.fetches for each in runs) == 1


def kept_digests(folder):
    return set(name for name in os.listdir(str(folder)) if len(name) == 64)


def digests(*contents):
    return set(hashlib.sha256(data).hexdigest() for data in contents)


def test_the_ones_used_last_stay(tmp_path):
    contents = [b"a" * 10, b"b" * 10, b"c" * 10]
    for number, data in enumerate(contents[:2]):
        new_run(tmp_path, "r%d" % number, kept=tmp_path / "kept", keep=2).archive(data)
        used = tmp_path / "kept" / hashlib.sha256(data).hexdigest() / "archive.zip"
        os.utime(str(used), (number, number))  # in 1970
    new_run(tmp_path, "again", kept=tmp_path / "kept", keep=2).archive(contents[0])  # used, and so the newer one
    last = new_run(tmp_path, "last", kept=tmp_path / "kept", keep=2)
    last.archive(contents[2])
    assert kept_digests(tmp_path / "kept") == digests(contents[0], contents[2])
    assert not [
        name for name in os.listdir(str(tmp_path / "kept")) if name.startswith(hashlib.sha256(contents[1]).hexdigest())
    ]
    assert any("removed, 2 newer ones are kept" in line for line in last.lines)


def test_a_run_has_more_than_it_may_keep(tmp_path):
    run = new_run(tmp_path, "r", kept=tmp_path / "kept", keep=1)
    for data in (b"a", b"b", b"a", b"b"):
        run.archive(data)
    assert run.fetches == 2 and kept_digests(tmp_path / "kept") == digests(b"b")


def test_one_in_use_stays(tmp_path):
    new_run(tmp_path, "r1", kept=tmp_path / "kept", keep=1).archive(b"a")
    name = hashlib.sha256(b"a").hexdigest()

    def holds(ready):
        with store.open_cache_dir(str(tmp_path / "kept")) as kept, lock.hold_lock(kept, name + ".lock", 5, print):
            ready()
            signal.pause()

    with another_process(holds):
        new_run(tmp_path, "r2", kept=tmp_path / "kept", keep=1).archive(b"b")
        assert kept_digests(tmp_path / "kept") == digests(b"a", b"b")
    new_run(tmp_path, "r3", kept=tmp_path / "kept", keep=1).archive(b"c")
    assert kept_digests(tmp_path / "kept") == digests(b"c")


def test_what_a_killed_run_left_goes_with_the_next_one(tmp_path):
    new_run(tmp_path, "r1", kept=tmp_path / "kept").archive()
    left = tmp_path / "kept" / DIGEST / ".tmp.archive.abcd1234"  # as when it is killed while it copies
    left.write_bytes(b"half")
    new_run(tmp_path, "r2", kept=tmp_path / "kept").archive()
    assert sorted(os.listdir(str(tmp_path / "kept" / DIGEST))) == ["archive.zip"]


def test_a_document_is_kept_only_by_who_found_it_good(tmp_path):
    first, second, third = (new_run(tmp_path, name, kept=tmp_path / "kept") for name in ("r1", "r2", "r3"))
    first.document(b"sums")
    assert second.document(b"sums") == (b"sums", False)
    with second.cache() as cache:
        cache.put_document(KEY, b"sums")
    assert third.document(b"new") == (b"sums", True) and third.fetches == 0
    with third.cache() as cache:
        cache.drop_kept(KEY)
    assert third.document(b"new") == (b"new", False)


def test_many_processes_may_find_a_document_good_at_once(tmp_path):
    run = new_run(tmp_path, "r", kept=tmp_path / "kept")

    def keeps_many():
        with run.cache() as cache:
            for number in range(40):
                cache.put_document("%02d" % number, b"sums of " + str(number).encode())

    assert at_once(8, keeps_many) == ["ok None"] * 8
    assert run.document(key="07") == (b"sums of 7", False)
    assert not [path for path in everything(tmp_path) if ".tmp." in path]


def test_kept_documents_are_bounded(tmp_path):
    run = new_run(tmp_path, "r", kept=tmp_path / "kept", keep=1)
    for number in range(20):
        with run.cache() as cache:
            cache.put_document("%064x" % number, b"sums")
    run.archive()
    assert len([name for name in os.listdir(str(tmp_path / "kept")) if name.endswith(".document")]) == 8


def foreign_folder(make=None, name="ab" * 32, content="archive.zip", mode=0o700, file_mode=0o600):
    """callable(folder): makes a folder in it that is not quite as we make them."""

    def lay(folder):
        path = os.path.join(folder, name)
        os.mkdir(path)
        if content:
            file = os.path.join(path, content)
            if make:
                make(file)
            else:
                with open(file, "wb") as stream:
                    stream.write(b"precious")
                os.chmod(file, file_mode)
        os.chmod(path, mode)
        return path

    return lay


def foreign_link(folder):
    """A link to a folder of ours, elsewhere."""
    elsewhere = os.path.join(os.path.dirname(folder), "elsewhere")
    os.mkdir(elsewhere)
    path = foreign_folder()(elsewhere)
    os.symlink(path, os.path.join(folder, "ab" * 32))
    return path


def foreign_file(name, mode=0o600):
    def lay(folder):
        path = os.path.join(folder, name)
        with open(path, "wb") as stream:
            stream.write(b"precious")
        os.chmod(path, mode)
        return path

    return lay


FOREIGN = {
    "no-digest": foreign_folder(name="x" * 64),
    "upper-case": foreign_folder(name="AB" * 32),
    "shorter": foreign_folder(name="ab" * 31),
    "longer": foreign_folder(name="ab" * 32 + "\n"),
    "another-file": foreign_folder(content="notes.txt"),
    "a-temporary-file": foreign_folder(content=".tmp.notes"),
    "a-temporary-file-of-another-kind": foreign_folder(content=".tmp.binary.abcd1234"),
    "a-folder": foreign_folder(make=os.mkdir),
    "a-pipe": foreign_folder(make=os.mkfifo),
    "a-link": foreign_folder(make=lambda path: os.symlink("/etc/hostname", path)),
    "readable": foreign_folder(mode=0o755),
    "readable-file": foreign_folder(file_mode=0o644),
    "linked": foreign_link,
    "a-file": foreign_file("ab" * 32),
    "document": foreign_file("letter.document"),
    "document-of-no-digest": foreign_file("g" * 64 + ".document"),
    "upper-case-document": foreign_file("AB" * 32 + ".document"),
    "hidden-document": foreign_file("." + "ab" * 32 + ".document"),
    "readable-document": foreign_file("ab" * 32 + ".document", 0o644),
}


@pytest.mark.parametrize("what", sorted(FOREIGN))
def test_what_is_not_ours_stays_in_cache_dir(tmp_path, what):
    """Somebody names a directory with other things in it: these are old, and more than may be kept."""
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o700)
    path = FOREIGN[what](str(kept))
    os.utime(path, (1, 1))
    before = [(each, os.lstat(each).st_ino) for each in [path] + everything(path)]
    for number in range(2):
        run = new_run(tmp_path, "r%d" % number, kept=kept, keep=1)
        for document in range(10):
            with run.cache() as cache:
                cache.put_document("%064x" % (100 * number + document), b"sums")
        run.archive(b"data %d" % number)
    assert [(each, os.lstat(each).st_ino) for each in [path] + everything(path)] == before
    assert kept_digests(kept) - {os.path.basename(path)} == digests(b"data 1")


def test_what_a_killed_run_left_of_an_archive_is_evicted(tmp_path):
    kept = tmp_path / "kept"
    for number, names in enumerate([(), (".tmp.archive.abcd1234",), ("archive.zip", ".tmp.archive.abcd1234")]):
        folder = kept / ("%064x" % number)
        folder.mkdir(mode=0o700, parents=True)
        for name in names:
            (folder / name).write_bytes(b"half")
            (folder / name).chmod(0o600)
    kept.chmod(0o700)
    new_run(tmp_path, "r", kept=kept, keep=1).archive(b"data")
    assert kept_digests(kept) == digests(b"data")


def test_what_was_put_there_meanwhile_stays(tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    new_run(tmp_path, "r1", kept=kept, keep=1).archive(b"a")
    notes = kept / hashlib.sha256(b"a").hexdigest() / "notes.txt"

    def locked(*arguments):
        notes.write_bytes(b"precious")
        return lock.hold_lock(*arguments)

    monkeypatch.setattr(store, "hold_lock", locked)
    new_run(tmp_path, "r2", kept=kept, keep=1).archive(b"b")
    assert sorted(os.listdir(str(notes.parent))) == ["archive.zip", "notes.txt"]


@needs_root
@pytest.mark.parametrize("names", [(), ("archive.zip",)])
def test_what_somebody_else_owns_is_not_ours_either(tmp_path, names):
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o700)
    path = foreign_folder()(str(kept))
    os.chown(os.path.join(path, *names), OTHER_UID, OTHER_UID)
    run = new_run(tmp_path, "r", kept=kept, keep=1)
    run.archive(b"data")
    assert os.listdir(path) == ["archive.zip"]


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_cache_dir_that_others_can_write_is_refused(tmp_path, mode):
    os.mkdir(str(tmp_path / "kept"))
    os.chmod(str(tmp_path / "kept"), mode)
    with pytest.raises(_errors.InstallError) as caught:
        store.open_cache_dir(str(tmp_path / "kept"))
    assert "cache_dir" in str(caught.value) and "written by others" in str(caught.value)


def test_a_cache_dir_below_one_that_others_can_write_is_refused_and_not_made():
    with open_folder() as folder:
        os.chmod(folder, 0o777)
        with pytest.raises(_errors.InstallError) as caught:
            store.open_cache_dir(folder + "/kept")
        assert "not safe" in str(caught.value) and os.listdir(folder) == []


@needs_root
def test_a_cache_dir_of_somebody_else_is_refused(tmp_path):
    os.mkdir(str(tmp_path / "kept"))
    os.chown(str(tmp_path / "kept"), OTHER_UID, OTHER_UID)
    with pytest.raises(_errors.InstallError) as caught:
        store.open_cache_dir(str(tmp_path / "kept"))
    assert "belongs to" in str(caught.value)


def test_a_folder_that_others_can_write_in_the_cache_is_refused(run):
    path = os.path.dirname(run.archive())
    os.chmod(path, 0o777)
    with pytest.raises(_errors.InstallError):
        in_child(run.archive)
