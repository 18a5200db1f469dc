# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of the controller's half: obtain a release, once for all hosts, and lay it out for one of them.

Only bytes are shared. Every host's own policy, keys and credentials decide what it asks for and whether what came will
do, so that a host with a lax policy cannot feed one with a strict policy; the target then repeats the judgement.
"""

import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
from typing import Any, Callable, Dict, FrozenSet, Iterator, Mapping, NamedTuple, Optional, Set, Tuple
from urllib.parse import urlsplit

from ..module_utils._directories import trust_of
from ..module_utils._errors import InstallError, MissingDependency, VerificationError, open_regular, os_errors
from ..module_utils._fetch import Fetcher, Received
from ..module_utils._guard import open_guarded
from ..module_utils._index import url as index_url
from ..module_utils._model import Guard, Log, Order, VerifiedArchive, Vouching
from ..module_utils._obtain import Source, is_unsigned, read_signers
from ._controller_files import OPTIONS as FILE_OPTIONS
from ._progress import Watched
from ._python import how_to_install

# What is asked for. All other fields of an Order say how, credentials among them: where these differ, nothing is shared.
_WHAT = frozenset({"version", "wanted", "platform", "policy", "checksum", "trusted_keys", "sites", "archive", "origin",
                   "offline_ok"})
_TRUST = ("REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE")


_Judged = Tuple[Optional[str], Vouching]        # the path of an archive where one was asked for
_Fetch = Callable[[Any], VerifiedArchive]       # brings an archive into a sink


class Parcel(NamedTuple):
    """A release as it lies on the controller."""

    archive: Optional[str]      # path in the cache; its digest was right just now. None: it was not needed
    papers: Dict[str, bytes]    # by file name: what has to lie beside it
    vouching: Vouching
    downloaded_bytes: int       # for this host; 0 when all of it was there already


class Delivery:
    """What one task has done on the controller.

    :param order: Order.
    :param cache: Cache.
    :param environ: mapping: proxies and trust.
    :param say: callable(line, warning=False).
    :param show: callable(line), for lines about a long download; None: none.
    """

    def __init__(self, order: Order, cache: Any, environ: Mapping[str, str], say: Log,
                 show: Optional[Callable[[str], None]] = None) -> None:
        self._order = order
        self._cache = cache
        self._say = say
        self._show = show
        guard: Guard = functools.partial(open_guarded, trust=trust_of())
        self._guard = guard if is_unsigned(order) else None
        # Decrypted copies have other names for each host: what is in a file says what it is.
        contents: Dict[str, Any] = {name: _content_of(getattr(order.access, name)) for name in FILE_OPTIONS}
        access = order.access._replace(**contents)
        self._how = repr([
            [value for field, value in zip(order._fields, order._replace(access=access)) if field not in _WHAT],
            sorted((name, value) for name, value in environ.items()
                   if name in _TRUST or name.lower().endswith("_proxy"))])
        fetcher = Fetcher(order.timeout, order.retries, say, access=order.access, sites=order.sites, environ=environ,
                          guard=self._guard, machine="the controller", show=show)
        self._asked = _AskedOnce(fetcher, cache, self._key)
        self._source = Source(order, read_signers(order), self._warn_once, guard, self._asked)

    @property
    def downloaded_bytes(self) -> int:
        """What was read from the network so far, for this host."""
        return self._asked.downloaded

    def listing(self, site: str) -> Dict[str, FrozenSet[str]]:
        """What a site's index lists: dict of version and platforms. It is asked for once a run. Raises FetchError."""
        found = self._source.listing(site)
        key = self._key(index_url(site))
        self._cache.keep_document(key, self._asked.documents[key], for_later=False)     # what is newest changes
        return found

    def vouch(self) -> Vouching:
        """Who says what the digest of the archive is: Vouching. It fetches SHA256SUMS and its signature at most.

        Raises FetchError, VerificationError, RequestError, InstallError.
        """
        _path, vouching = self._judged(lambda: (None, self._source.vouch()))
        return vouching._replace(downloaded_bytes=self.downloaded_bytes)

    def obtain(self, unless: Optional[str] = None) -> Parcel:
        """The whole release: Parcel. Raises what ``vouch()`` does.

        :param unless: str, the digest of an archive that is not needed any more: what vouches for it will do then.
        """
        def shelve(vouching: Vouching, fetch: _Fetch) -> _Judged:
            needed = vouching.archive_sha256 != unless
            return self._shelve(vouching, fetch) if needed else None, vouching

        path, vouching = self._judged(lambda: self._source.shelved(shelve))
        return Parcel(path, self._source.papers, vouching, self.downloaded_bytes)

    def _warn_once(self, line: str, warning: bool = False) -> None:
        """A warning is one for the first host of a run; for the others it is a line."""
        self._say(line, warning and self._cache.take_note(hashlib.sha256(line.encode()).hexdigest(), line))

    def _judged(self, attempt: Callable[[], _Judged]) -> _Judged:
        """What the attempt gives, a pair with the Vouching; of all that was read, what that was made from is kept."""
        failed = self._order.sites
        try:
            result = self._attempt(attempt)
            failed = failed[:failed.index(result[1].site)]
        finally:
            with contextlib.suppress(InstallError):     # an error may be in flight
                for site in failed:
                    self._cache.drop_document(self._key(index_url(site)))
        if self._order.policy == "signature":
            for url, data in self._source.documents.items():
                self._cache.keep_document(self._key(url), data)
        return result

    def _attempt(self, attempt: Callable[[], _Judged]) -> _Judged:
        """What the attempt gives; where documents of an earlier run spoil it, they are asked for anew, once."""
        try:
            return attempt()
        except VerificationError as exc:
            if not self._asked.kept:
                raise
            self._say("what was kept from an earlier run does not do, and is asked for anew: %s" % exc)
            for key in self._asked.kept:
                self._cache.drop_kept(key)
            self._asked.kept.clear()
            return attempt()

    def _shelve(self, vouching: Vouching, fetch: _Fetch) -> str:
        name, digest = vouching.archive_name, vouching.archive_sha256

        def fetch_watched(sink: Any) -> None:
            fetch(Watched(sink, name, self._show) if self._show else sink).file.close()

        # What one platform's or site's archive is says nothing of another's, even where one checksum is given for all.
        what = (vouching.site, self._order.version, name, digest)
        place = hashlib.sha256(repr(what).encode("utf-8", "surrogateescape")).hexdigest()
        return str(self._cache.archive(digest, place, self._key(*what), name, fetch_watched))

    def _key(self, place: Optional[str], *parts: Optional[str]) -> str:
        """The name in the cache for what comes from a place: a site, or a URL."""
        # What came from a local file, or over plain http, for somebody who has other reasons to trust it is not for those who
        # have none: for them it is judged who could write that file, and who listens there.
        guarded = self._guard is not None and urlsplit(place).scheme != "https"
        return hashlib.sha256(repr([self._how, guarded, place, parts]).encode("utf-8", "surrogateescape")).hexdigest()


def _content_of(path: Optional[str]) -> Optional[str]:
    """What tells a file from another; the path itself of what is none, or cannot be read, which its reader will say."""
    if path is not None:
        with contextlib.suppress(OSError), open_regular(path) as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    return path


class _AskedOnce:
    """A Fetcher whose documents are shared by all hosts of a run that ask for them in the same way.

    ``documents`` maps keys to what was read, ``kept`` has the keys of those that were there from an earlier run.
    """

    def __init__(self, fetcher: Fetcher, cache: Any, key: Callable[[str], str]) -> None:
        self.documents: Dict[str, bytes] = {}
        self.kept: Set[str] = set()
        self._fetcher = fetcher
        self._cache = cache
        self._key = key

    def __enter__(self) -> "_AskedOnce":
        self._fetcher.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._fetcher.__exit__(*exc_info)

    @property
    def downloaded(self) -> int:
        return self._fetcher.downloaded

    def read(self, url: str, cap: int, what: str) -> bytes:
        key = self._key(url)
        with _requests_here():
            found: Tuple[bytes, bool] = self._cache.document(
                key, url.rpartition("/")[2], lambda: self._fetcher.read(url, cap, what))
        data, kept = found
        self.documents[key] = data
        if kept:
            self.kept.add(key)
        return data

    def download(self, url: str, sink: Any, cap: int, what: str) -> Received:
        with _requests_here():
            return self._fetcher.download(url, sink, cap, what)


@contextlib.contextmanager
def _requests_here() -> Iterator[None]:
    """Say how the controller's Python gets what is missing there."""
    try:
        yield
    except MissingDependency as exc:
        exc.hint = "%s; or use download: target, or archive" % how_to_install("requests")
        raise


@contextlib.contextmanager
def laid_out(parcel: Parcel, parent: str) -> Iterator[str]:
    """A folder with the files as a target is to have them, for as long as the body runs.

    :param parent: str, where to make the folder.
    :yields: str, its path. In it are the archive under its name (a link into the cache) and the papers.
    Raises InstallError.
    """
    with os_errors("create a directory in", parent, place="local_tmp"):
        folder = tempfile.mkdtemp(prefix="parcel.", dir=parent)
    try:
        for name, data in parcel.papers.items():
            path = os.path.join(folder, name)
            with os_errors("write", path, place="local_tmp"), open(path, "wb") as file:
                file.write(data)
        if parcel.archive:
            with os_errors("create a link in", folder, place="local_tmp"):
                os.symlink(parcel.archive, os.path.join(folder, parcel.vouching.archive_name))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)   # an error may be in flight, and it goes with the run's cache anyway
