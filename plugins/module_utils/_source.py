# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first half of an install: turns a request into a verified archive, or only into its provenance.

It verifies the signature over the raw bytes of SHA256SUMS, then finds the one line for the archive, then compares the
archive with that digest. If a site fails, it tries the next one. A wrong digest or signature stops everything.
"""

import contextlib
import os
import stat
import time
from typing import Any, BinaryIO, Callable, Collection, Dict, Iterator, List, Optional, Tuple, TypeVar
from urllib.parse import urlsplit

from ._errors import FetchError, RequestError, TerraformBinaryError, VerificationError, os_error_context, redacting
from ._fs.hashing import hash_of
from ._fs.trusted_file import open_any
from ._http import credentials, urls
from ._openpgp import verify
from ._records import (
    ARCHIVE_CAP,
    INDEX_CAP,
    SIGNATURE_CAP,
    SUMS_CAP,
    Guard,
    Listing,
    Log,
    Ordered,
    Provenance,
    Sink,
    VerifiedArchive,
)
from ._release import index, layout

_Keys = Tuple[verify.TrustedKey, ...]
_Signature = Tuple[bytes, str]  # its bytes, and its URL or path
_Asked = Any  # a Fetcher, or a replacement for one
_Found = TypeVar("_Found")

_CHUNK = 1 << 20  # bytes
_GONE = (404, 410)
_FRESH = 86400  # seconds since its signature in which files of a release may still be missing
_OTHER_PLATFORM = (
    "look whether checksum is that of %s or of another platform's archive (for several, give SHA256SUMS' lines)"
)


def is_unsigned(request: Ordered) -> bool:
    """Whether only the site itself, or a file beside the archive, says which bytes are right."""
    return request.policy == "sha256sums" and not request.checksum


class Source:
    """The source of the archive for one request: its sites, or a given file.

    ``verification_files`` maps file names to the bytes that were last verified. Another machine needs them beside the
    archive to verify it again. ``documents`` has the same bytes by URL.

    :param request: Request or DownloadRequest.
    :param log: callable(line, warning=False).
    :param guard: callable(path, what) -> int, a descriptor; opens a local file and refuses it if other users could
        write it.
    :param fetcher: context manager with the methods of Fetcher, to ask the sites; None: a new Fetcher for each use.
    """

    def __init__(self, request: Ordered, log: Log, guard: Guard, fetcher: Optional[_Asked] = None) -> None:
        self.index_bytes = 0  # bytes read from the network for listings
        self.verification_files: Dict[str, bytes] = {}
        self.documents: Dict[str, bytes] = {}
        self._request = request
        self._version = request.version or ""  # empty until it is chosen; only listings are requested until then
        self._platform = request.platform or ""  # empty until it is known
        self._given = request.archive or ""  # path of the given archive; empty: ask the sites
        self._log = log
        self._guard = guard
        self._own_fetcher = fetcher
        self._listings: Dict[str, Listing] = {}  # by site
        self._unlisted: Dict[str, FetchError] = {}  # by site: why its listing is not available
        self._lacking: List[str] = []  # sites that lack what was requested

    @property
    def _keys(self) -> _Keys:
        return verify.read_keys(self._request.trusted_keys)

    def listing(self, site: str) -> Listing:
        """Return a site's index: dict of version and platforms. Asks each site once. Raises FetchError."""
        if site in self._unlisted:
            raise self._unlisted[site]
        if site not in self._listings:
            with self._fetcher() as fetcher, redacting(credentials.secrets(self._request.access)):
                before = fetcher.downloaded
                try:
                    self._listings[site] = _read_index(fetcher, site)
                except FetchError as exc:
                    if exc.status in _GONE:
                        exc.hint = layout.suspect_site(site) or exc.hint
                    self._unlisted[site] = exc
                    raise
                finally:
                    self.index_bytes += fetcher.downloaded - before
        return self._listings[site]

    def with_version(self, request: Ordered) -> "Source":
        """Return a Source for the request with its version chosen; it keeps what is known about the sites."""
        chosen = Source(request, self._log, self._guard, self._own_fetcher)
        chosen._listings, chosen._unlisted, chosen.index_bytes = self._listings, self._unlisted, self.index_bytes
        return chosen

    def provenance(self) -> Provenance:
        """Return who says which digest the archive must have. Downloads SHA256SUMS and its signature at most.

        :returns: Provenance.
        :raises: FetchError, VerificationError, RequestError.
        """
        if self._given:
            return self._verify_beside()
        if self._request.policy == "pinned":
            return self._pinned(self._request.sites[0])
        with self._with_advice(), self._fetcher() as fetcher:
            return self._from_sites(lambda site: self._verify_at(fetcher, site))

    def archive_size(self, provenance: Provenance) -> Optional[int]:
        """Return the bytes of the archive without reading it, for check mode; None: only a download would tell.

        A site is asked once: see Fetcher.size().

        :param provenance: Provenance, from provenance().
        """
        path = self._given
        if not path:
            url = layout.release_url(provenance.site or "", self._version, provenance.archive_name)
            if urlsplit(url).scheme != "file":
                with redacting(credentials.secrets(self._request.access)), self._fetcher() as fetcher:
                    size: Optional[int] = fetcher.size(url, provenance.archive_name)
                    return size if size is not None and size <= ARCHIVE_CAP else None
            path = urls.file_path(url)
        try:
            return os.stat(path).st_size
        except OSError:
            return None  # a run will say what is wrong with it

    def inspect(self, provenance: Optional[Provenance]) -> Optional[VerifiedArchive]:
        """Verify the given archive as archive() does, but without a copy: for check mode.

        :param provenance: Provenance; None: the files beside the archive do not exist yet, so it is only compared with
            ``checksum``.
        :returns: VerifiedArchive, whose ``file`` the caller closes; None: there is no Provenance.
        :raises: RequestError, VerificationError.
        """
        request, stream = self._request, self._open_given()
        try:
            expected = provenance.archive_sha256 if provenance else request.checksum
            if expected is not None:
                with os_error_context("read", self._given, RequestError):
                    found, size = hash_of(stream.fileno()), os.fstat(stream.fileno()).st_size
                if found != expected:
                    raise self._wrong_digest(self._given, found, expected, path=self._given)
            if provenance is not None:
                return VerifiedArchive(stream, self._given, size, self._version, self._platform, provenance, 0)
        except BaseException:
            stream.close()
            raise
        stream.close()
        return None

    def archive(self, sink: Sink) -> VerifiedArchive:
        """Copy the archive into the sink and verify every byte of it.

        :param sink: ``check_free_space(bytes)``, ``write(data)``, ``restart()``, ``sha256``, ``size``, and
            ``reader()``, which returns the open file for VerifiedArchive.
        :returns: VerifiedArchive.
        :raises: FetchError, VerificationError, RequestError, and what the sink raises.
        """
        if self._given:
            return self._read_given(sink)
        with self._with_advice(), self._fetcher() as fetcher:
            return self._from_sites(lambda site: self._fetch_from(fetcher, site, sink))

    def through_cache(self, cache: Callable[[Provenance, Callable[[Sink], VerifiedArchive]], _Found]) -> _Found:
        """Get the archive through a cache that may have it already, from the first site for which that works.

        :param cache: callable(provenance, fetch); ``fetch(sink)`` downloads the archive as ``archive()`` does.
        :returns: what ``cache`` returns.
        :raises: what ``cache`` and ``provenance()`` raise.
        """

        def attempt(fetcher: _Asked, site: str) -> _Found:
            provenance = self._provenance_from(fetcher, site)
            return cache(provenance, lambda sink: self._download(fetcher, site, provenance, sink))

        with self._with_advice(), self._fetcher() as fetcher:
            return self._from_sites(lambda site: attempt(fetcher, site))

    def _fetcher(self) -> _Asked:
        request = self._request
        return self._own_fetcher or _new_fetcher(
            request.timeout,
            request.retries,
            self._log,
            access=request.access,
            sites=request.sites,
            guard=self._guard if is_unsigned(request) else None,
            machine="the target",
        )

    def _quick_fetcher(self) -> _Asked:
        """Return a Fetcher for optional information: one try, no log."""
        return self._own_fetcher or _new_fetcher(
            self._request.timeout, 1, access=self._request.access, sites=self._request.sites, machine="the target"
        )

    @contextlib.contextmanager
    def _with_advice(self) -> Iterator[None]:
        """If no site has the release, hint at what there is: only then does an exact version need an index."""
        try:
            yield
        except (FetchError, RequestError) as exc:
            if self._lacking:
                exc.hint = self._advice(self._lacking[0]) or exc.hint
                exc.redact(credentials.secrets(self._request.access))  # the site chooses the names of its versions
            raise

    def _advice(self, site: str) -> Optional[str]:
        """Return a hint from the site's index or about its URL, or None. Ignores errors: the first error matters."""
        with contextlib.suppress(TerraformBinaryError):
            if site not in self._listings:
                with self._quick_fetcher() as fetcher:
                    self._listings[site] = _read_index(fetcher, site)
            return index.advise_on_missing(self._version, self._platform, self._listings[site])
        return layout.suspect_site(site)

    @contextlib.contextmanager
    def _noting_failures(self, site: str) -> Iterator[None]:
        """Remember a site that lacks the release, or lacks it for this platform."""
        try:
            yield
        except (FetchError, RequestError) as exc:
            if isinstance(exc, RequestError) or exc.status in _GONE:
                self._lacking.append(site)
            raise

    def _from_sites(self, attempt: Callable[[str], _Found]) -> _Found:
        """Return the result of the first site that does not fail."""
        failures: List[FetchError] = []
        for site in self._request.sites:
            try:
                return attempt(site)
            except FetchError as exc:
                if not exc.next_site or len(self._request.sites) == 1:
                    raise
                failures.append(exc)
                self._log("site failed: %s: %s" % (site, exc), warning=exc.status in (401, 403))
        raise FetchError(
            "all %d sites failed: %s" % (len(failures), " | ".join(map(str, failures))),
            url=self._request.sites[-1],
            hint=failures[-1].hint,
        ) from failures[-1]

    def _fetch_from(self, fetcher: _Asked, site: str, sink: Sink) -> VerifiedArchive:
        """P8 and P9: SHA256SUMS determines the archive's digest before the archive is requested."""
        return self._download(fetcher, site, self._provenance_from(fetcher, site), sink)

    def _provenance_from(self, fetcher: _Asked, site: str) -> Provenance:
        return self._pinned(site) if self._request.policy == "pinned" else self._verify_at(fetcher, site)

    def _download(self, fetcher: _Asked, site: str, provenance: Provenance, sink: Sink) -> VerifiedArchive:
        request = self._request
        url = layout.release_url(site, self._version, provenance.archive_name)
        for once_more in (True, False):
            sink.restart()
            pinned = request.policy == "pinned"
            with self._noting_failures(site) if pinned else _with_hint(_GONE, _missing_hint(provenance)):
                received = fetcher.download(url, sink, ARCHIVE_CAP, "archive")
            if received.sha256 == provenance.archive_sha256:
                break
            refusal = self._wrong_digest(url, received.sha256, provenance.archive_sha256, url=url)
            if not once_more:
                raise refusal
            self._log("%s; once more from the start" % refusal)
        return VerifiedArchive(
            sink.reader(), url, received.bytes, self._version, self._platform, provenance, fetcher.downloaded
        )

    def _verify_at(self, fetcher: _Asked, site: str) -> Provenance:
        request = self._request
        url = layout.release_url(site, self._version, layout.sums_name(self._version))
        with self._noting_failures(site):
            sums = fetcher.read(url, SUMS_CAP, "SHA256SUMS")
        signature = self._read_signature(fetcher, site) if request.policy == "signature" else None
        with self._noting_failures(site), redacting(credentials.secrets(request.access)):  # errors quote malformed text
            provenance = self._verify_documents(sums, url, signature, site)
        self.documents = {url: sums} if signature is None else {url: sums, signature[1]: signature[0]}
        return provenance._replace(downloaded_bytes=fetcher.downloaded)

    def _read_signature(self, fetcher: _Asked, site: str) -> _Signature:
        """Read the signature file named after the key or, if that fails for any reason, the one without a key id.

        :returns: (bytes, str: its URL).
        """
        *specific, plain = layout.signature_names(self._version, [key.key_id for key in self._keys])
        for name in specific:
            url = layout.release_url(site, self._version, name)
            try:
                data = fetcher.read(url, SIGNATURE_CAP, "signature")
            except FetchError as exc:
                reason = str(exc)
            else:
                if verify.may_be_signature(data):
                    return data, url  # it is verified, whatever the result
                reason = "signature %s is something else" % url
            self._log("%s; asking for %s" % (reason, plain))
        url = layout.release_url(site, self._version, plain)
        with _with_hint(
            (403,) + _GONE,
            "SHA256SUMS is there without its signature: copy %s there, too; or give checksum, with "
            "checksum_policy pinned" % plain,
        ):
            return fetcher.read(url, SIGNATURE_CAP, "signature"), url

    def _verify_documents(self, sums: bytes, where: str, signature: Optional[_Signature], site: str) -> Provenance:
        """Verify the signature over the raw bytes, find the archive's line, compare it with the option checksum."""
        request = self._request
        signed = None
        verification_files = {layout.sums_name(self._version): sums}
        if signature is not None:
            data, place = signature
            verification_files[layout.signature_names(self._version, ())[0]] = data
            signed = verify.verify(sums, data, self._keys, int(time.time()), place)
            self._log(
                "signature good: SHA256SUMS of %s signed by %s on %s"
                % (self._version, signed.fingerprint, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(signed.created)))
            )
            for warning in signed.warnings:
                self._log(warning, warning=not request.origin)  # who set origin downloaded it, and got this warning
        name, sha256 = layout.find_archive(sums, self._version, self._platform, where)
        if request.checksum and sha256 != request.checksum:
            is_url = "://" in where
            raise VerificationError(
                "%s gives %s the sha256 %s, but checksum expects %s" % (where, name, sha256, request.checksum),
                url=where if is_url else None,
                path=None if is_url else where,
                hint="%s; if it is, do not install it before you know which is right" % _OTHER_PLATFORM % name,
            )
        self.verification_files = verification_files
        return Provenance(
            request.policy,
            name,
            sha256,
            signed.fingerprint if signed else None,
            signed.created if signed else None,
            site,
            0,
        )

    def _pinned(self, site: str) -> Provenance:
        name = layout.archive_name(self._version, self._platform)
        return Provenance("pinned", name, self._request.checksum or "", None, None, site, 0)

    def _verify_beside(self) -> Provenance:
        """Verify the files beside a given archive in the same way."""
        request = self._request
        origin = request.origin or self._given
        if is_unsigned(request):
            with os_error_context("read", self._given, RequestError):
                self._open(self._given, "archive").close()  # check mode must find out too
        if request.policy == "pinned":
            return self._pinned(origin)
        sums_path = self._beside(layout.sums_name(self._version))
        signature = None
        if request.policy == "signature":
            # With the key id in its name or without, as on a site. If neither exists, the error names the one without.
            *specific, plain = map(
                self._beside, layout.signature_names(self._version, [key.key_id for key in self._keys])
            )
            path = next(filter(os.path.lexists, specific), plain)
            signature = self._read_beside(path, SIGNATURE_CAP), path
        return self._verify_documents(self._read_beside(sums_path, SUMS_CAP), sums_path, signature, origin)

    def _beside(self, name: str) -> str:
        return os.path.join(os.path.dirname(self._given), name)

    def _read_beside(self, path: str, cap: int) -> bytes:
        hint = "put it beside the archive: checksum_policy %s needs it" % self._request.policy
        with os_error_context("read", path, RequestError, hint=hint):
            with self._open(path, "SHA256SUMS") as stream:
                data = stream.read(cap + 1)
        if len(data) > cap:
            raise RequestError("%s is larger than %d bytes" % (path, cap), path=path, hint="is it the right file?")
        return data

    def _open(self, path: str, what: str) -> BinaryIO:
        """Open a regular file for reading. Raises OSError, RequestError; VerificationError if others could write it."""
        fd = (self._guard if is_unsigned(self._request) else open_any)(path, what)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise RequestError("%s is not a regular file" % path, path=path)
        return os.fdopen(fd, "rb")

    def _open_given(self) -> BinaryIO:
        """Open the given archive for reading. Raises RequestError, VerificationError."""
        path = self._given
        with os_error_context("read", path, RequestError):
            stream = self._open(path, "archive")
        if os.fstat(stream.fileno()).st_size > ARCHIVE_CAP:
            stream.close()
            raise _too_large(path)
        return stream

    def _read_given(self, sink: Sink) -> VerifiedArchive:
        """Copy the given archive before verifying it: its owner could change it between the check and the use."""
        provenance = self._verify_beside()
        with self._open_given() as stream:
            sink.check_free_space(os.fstat(stream.fileno()).st_size)
            while True:
                with os_error_context("read", self._given, RequestError):
                    data = stream.read(_CHUNK)
                if not data:
                    break
                if sink.size + len(data) > ARCHIVE_CAP:
                    raise _too_large(self._given)  # it grew after it was opened
                sink.write(data)
        if sink.sha256 != provenance.archive_sha256:
            raise self._wrong_digest(self._given, sink.sha256, provenance.archive_sha256, path=self._given)
        self._log("archive read: %d bytes, sha256 %s, from %s" % (sink.size, sink.sha256, self._given))
        return VerifiedArchive(sink.reader(), self._given, sink.size, self._version, self._platform, provenance, 0)

    def _wrong_digest(self, where: str, found: str, expected: str, **place: Any) -> VerificationError:
        todo = "copy it there again" if "path" in place else "run again, or look what the site sends"
        hint = "nothing was installed: it is damaged, or not the released one; " + todo
        if self._request.policy == "pinned":
            hint = "%s; %s" % (_OTHER_PLATFORM % where.rpartition("/")[2], hint)
        return VerificationError("%s has sha256 %s, expected %s" % (where, found, expected), hint=hint, **place)


@contextlib.contextmanager
def _with_hint(statuses: Collection[int], hint: str) -> Iterator[None]:
    """Set the hint of a FetchError with one of these statuses: a site lacks a file that it should have."""
    try:
        yield
    except FetchError as exc:
        if exc.status in statuses:
            exc.hint = hint
        raise


def _missing_hint(provenance: Provenance) -> str:
    """Return a hint for a site that lacks an archive which its SHA256SUMS lists."""
    age = time.time() - (provenance.signed_at or 0)
    if age < _FRESH:
        return "SHA256SUMS has it, signed %d minutes ago, so it is being published: try again in some minutes" % (
            age // 60
        )
    return "SHA256SUMS there has it, so there is a build, and this site lacks the file: copy it there, or name another site"


def _new_fetcher(*args: Any, **kwargs: Any) -> _Asked:
    """Return a Fetcher. It is imported here because an archive that is given needs none, and the import takes long."""
    from ._http.client import Fetcher

    return Fetcher(*args, **kwargs)


def _read_index(fetcher: _Asked, site: str) -> Listing:
    """Return a site's index: dict of version and platforms. Raises FetchError."""
    url = index.index_url(site)
    return index.parse_index(fetcher.read(url, INDEX_CAP, "index"), url)


def _too_large(path: str) -> RequestError:
    return RequestError("%s is larger than %d bytes" % (path, ARCHIVE_CAP), path=path, hint="is it the right file?")
