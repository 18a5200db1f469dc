# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part: downloads a release once for all hosts, and stages it for one of them.

Hosts share only bytes. Each host's own policy, keys and credentials decide what is requested and whether the bytes are
accepted. So a host with a lax policy cannot pass a bad file to a host with a strict one. The target verifies everything
again.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import sys
import tempfile
from typing import Any, Callable, Dict, FrozenSet, Iterator, Mapping, NamedTuple, Optional, Set, Tuple
from urllib.parse import urlsplit

from ...module_utils._errors import InstallError, MissingDependency, VerificationError, open_regular, os_error_context
from ...module_utils._fs.directory import trusted_owners
from ...module_utils._fs.trusted_file import open_trusted_file
from ...module_utils._http.client import DownloadResult, Fetcher
from ...module_utils._records import DownloadRequest, Guard, Log, Provenance, VerifiedArchive
from ...module_utils._release.index import index_url
from ...module_utils._source import Source, is_unsigned
from .._cache.run import RunCache
from .._task.key_files import OPTIONS as FILE_OPTIONS
from .._task.options import TRUST
from .progress import ProgressSink

# These fields of a DownloadRequest say what is requested. The others say how, including the credentials: if they
# differ, nothing is shared.
_KEY_FIELDS = frozenset(
    {"version", "wanted", "platform", "policy", "checksum", "trusted_keys", "sites", "archive", "origin", "offline_ok"}
)


_Verified = Tuple[Optional[str], Provenance]  # path of the archive, or None if none was requested
_Fetch = Callable[[Any], VerifiedArchive]  # downloads an archive into a sink


class StagedRelease(NamedTuple):
    """A release on the controller."""

    archive: Optional[str]  # path in the cache, its digest just checked; None: not needed
    verification_files: Dict[str, bytes]  # by file name: needed beside the archive
    provenance: Provenance
    downloaded_bytes: int  # for this host; 0 if everything was cached


class ControllerDownload:
    """The downloads of one task on the controller.

    :param order: DownloadRequest.
    :param cache: RunCache.
    :param environ: mapping of environment variables for proxies and TLS trust.
    :param log: callable(line, warning=False).
    :param show: callable(line), for progress of a long download; None: no progress.
    """

    def __init__(
        self,
        order: DownloadRequest,
        cache: RunCache,
        environ: Mapping[str, str],
        log: Log,
        show: Optional[Callable[[str], None]] = None,
    ) -> None:
        self._order = order
        self._cache = cache
        self._log = log
        self._display = show
        guard: Guard = functools.partial(open_trusted_file, owners=trusted_owners())
        self._guard = guard if is_unsigned(order) else None
        # Each host has decrypted copies under other names, so compare files by content.
        contents: Dict[str, Any] = {name: _content_of(getattr(order.access, name)) for name in FILE_OPTIONS}
        access = order.access._replace(**contents)
        self._how = repr(
            [
                [
                    value
                    for field, value in zip(order._fields, order._replace(access=access))
                    if field not in _KEY_FIELDS
                ],
                sorted(
                    (name, value) for name, value in environ.items() if name in TRUST or name.lower().endswith("_proxy")
                ),
            ]
        )
        fetcher = Fetcher(
            order.timeout,
            order.retries,
            log,
            access=order.access,
            sites=order.sites,
            environ=environ,
            guard=self._guard,
            machine="the controller",
            show=show,
        )
        self._asked = _CachingFetcher(fetcher, cache, self._key)
        self._source = Source(order, self._warn_once, guard, self._asked)

    @property
    def downloaded_bytes(self) -> int:
        """Bytes read from the network so far, for this host."""
        return self._asked.downloaded

    def listing(self, site: str) -> Dict[str, FrozenSet[str]]:
        """Return a site's index: dict of version and platforms. Downloads it once a run. Raises FetchError."""
        found = self._source.listing(site)
        key = self._key(index_url(site))
        self._cache.put_document(key, self._asked.documents[key], for_later=False)  # it will be outdated
        return found

    def provenance(self) -> Provenance:
        """Return who says which digest the archive must have. Downloads SHA256SUMS and its signature at most.

        :returns: Provenance.
        :raises: FetchError, VerificationError, RequestError, InstallError.
        """
        _path, provenance = self._verified(lambda: (None, self._source.provenance()))
        return provenance._replace(downloaded_bytes=self.downloaded_bytes)

    def bytes_to_fetch(self, provenance: Provenance) -> Optional[int]:
        """Return what obtain() would read for the archive: bytes, 0 if it is cached; None: not known before.

        :param provenance: Provenance, from provenance().
        """
        return 0 if self._cache.has_archive(self._place(provenance)) else self._source.archive_size(provenance)

    def obtain(self, unless: Optional[str] = None) -> StagedRelease:
        """Download the release.

        :param unless: str, the digest of an archive that the host does not need; its verification files are enough.
        :returns: StagedRelease.
        :raises: what ``provenance()`` raises.
        """

        def fetch_if_needed(provenance: Provenance, fetch: _Fetch) -> _Verified:
            needed = provenance.archive_sha256 != unless
            return self._through_cache(provenance, fetch) if needed else None, provenance

        path, provenance = self._verified(lambda: self._source.through_cache(fetch_if_needed))
        return StagedRelease(path, self._source.verification_files, provenance, self.downloaded_bytes)

    def _warn_once(self, line: str, warning: bool = False) -> None:
        """Log a line; a warning is shown as a warning only for the first host of a run."""
        self._log(line, warning and self._cache.is_first(hashlib.sha256(line.encode()).hexdigest()))

    def _verified(self, attempt: Callable[[], _Verified]) -> _Verified:
        """Run the attempt, and keep only the documents behind its result: (path or None, Provenance)."""
        failed = self._order.sites
        try:
            result = self._attempt(attempt)
            failed = failed[: failed.index(result[1].site)]
        finally:
            with contextlib.suppress(InstallError):  # another error may be in flight
                for site in failed:
                    self._cache.drop_document(self._key(index_url(site)))
        if self._order.policy == "signature":
            for url, data in self._source.documents.items():
                self._cache.put_document(self._key(url), data)
        return result

    def _attempt(self, attempt: Callable[[], _Verified]) -> _Verified:
        """Run the attempt. If documents of an earlier run do not verify, download them again, once."""
        try:
            return attempt()
        except VerificationError as exc:
            if not self._asked.kept:
                raise
            self._log("cached SHA256SUMS or signature no longer verifies, downloading again: %s" % exc)
            for key in self._asked.kept:
                self._cache.drop_kept(key)
            self._asked.kept.clear()
            return attempt()

    def _through_cache(self, provenance: Provenance, fetch: _Fetch) -> str:
        name, digest = provenance.archive_name, provenance.archive_sha256

        def fetch_watched(sink: Any) -> None:
            fetch(ProgressSink(sink, name, self._display) if self._display else sink).file.close()

        key = self._key(provenance.site, self._order.version, name, digest)
        return str(self._cache.archive(digest, self._place(provenance), key, name, fetch_watched))

    def _place(self, provenance: Provenance) -> str:
        """Return where a cache has the archive."""
        # The archive of one platform or site proves nothing about another's, even if one checksum is given for all.
        what = (provenance.site, self._order.version, provenance.archive_name, provenance.archive_sha256)
        return hashlib.sha256(repr(what).encode("utf-8", "surrogateescape")).hexdigest()

    def _key(self, place: Optional[str], *parts: Optional[str]) -> str:
        """Return the cache key for what comes from a place: a site, or a URL."""
        # A task with a guard checks who could write a local file, and who listens on a port for plain http. Bytes that
        # a task without these checks accepted for other reasons are not shared with it.
        guarded = self._guard is not None and urlsplit(place).scheme != "https"
        return hashlib.sha256(repr([self._how, guarded, place, parts]).encode("utf-8", "surrogateescape")).hexdigest()


def _content_of(path: Optional[str]) -> Optional[str]:
    """Return the digest of a file; the path itself if it is no readable file, which its reader will report."""
    if path is not None:
        with contextlib.suppress(OSError), open_regular(path) as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    return path


class _CachingFetcher:
    """A Fetcher whose documents are shared by all hosts of a run that request them in the same way.

    ``documents`` maps keys to the bytes read; ``kept`` has the keys of those from an earlier run.
    """

    def __init__(self, fetcher: Fetcher, cache: RunCache, key: Callable[[str], str]) -> None:
        self.documents: Dict[str, bytes] = {}
        self.kept: Set[str] = set()
        self._fetcher = fetcher
        self._cache = cache
        self._key = key

    def __enter__(self) -> "_CachingFetcher":
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
                key, url.rpartition("/")[2], lambda: self._fetcher.read(url, cap, what)
            )
        data, kept = found
        self.documents[key] = data
        if kept:
            self.kept.add(key)
        return data

    def size(self, url: str, what: str) -> Optional[int]:
        def ask() -> bytes:
            return json.dumps(self._fetcher.size(url, what)).encode("ascii")

        found: Optional[int] = json.loads(
            self._cache.document(self._key("size of %s" % url), what, ask)[0].decode("ascii")
        )
        return found

    def download(self, url: str, sink: Any, cap: int, what: str) -> DownloadResult:
        with _requests_here():
            return self._fetcher.download(url, sink, cap, what)


@contextlib.contextmanager
def _requests_here() -> Iterator[None]:
    """Set the hint of MissingDependency for the controller's Python."""
    try:
        yield
    except MissingDependency as exc:
        exc.hint = "%s; or use download: target, or archive" % how_to_install("requests")
        raise


@contextlib.contextmanager
def staging_directory(staged: StagedRelease, parent: str) -> Iterator[str]:
    """Stage the files for a target in a directory that exists while the body runs.

    :param staged: StagedRelease.
    :param parent: str, where to make the directory.
    :yields: str, its path. It has the archive under its name (a link into the cache) and the verification files.
    :raises InstallError: a file cannot be written.
    """
    with os_error_context("create a directory in", parent, place="local_tmp"):
        folder = tempfile.mkdtemp(prefix="staged.", dir=parent)
    try:
        for name, data in staged.verification_files.items():
            path = os.path.join(folder, name)
            with os_error_context("write", path, place="local_tmp"), open(path, "wb") as file:
                file.write(data)
        if staged.archive:
            with os_error_context("create a link in", folder, place="local_tmp"):
                os.symlink(staged.archive, os.path.join(folder, staged.provenance.archive_name))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # an error may be in flight; the run's end removes it anyway


def how_to_install(package: str) -> str:
    """Return an instruction for installing a package for the Python that runs Ansible: str.

    It depends on how that Python was installed.

    :param package: str, its name on the package index; Linux distributions call it ``python3-`` and that name.
    """
    name = os.path.basename(sys.prefix)
    if os.path.exists(os.path.join(sys.prefix, "pipx_metadata.json")):  # pipx writes this file
        return "pipx inject %s %s" % (name, package)
    if os.path.exists(os.path.join(sys.prefix, "uv-receipt.toml")):  # uv writes this file for its tools
        return "uv tool install --with %s %s" % (package, name)
    by_pip = "%s -m pip install %s" % (sys.executable, package)
    if sys.prefix != sys.base_prefix:
        return by_pip
    return "install python3-%s (dnf, apt), or %s" % (package, by_pip)
