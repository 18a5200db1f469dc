# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vocabulary: constants, and the records that pass between the steps. No logic."""

from typing import Any, BinaryIO, Callable, Dict, FrozenSet, NamedTuple, Optional, Tuple, Union

from ._argument_spec import SPEC

COLLECTION_VERSION = "0.1.0"  # galaxy.yml does not travel to the target
PRODUCT = "terraform"  # also the name of the binary in its version's directory
RECEIPT = "terraform.json"  # the receipt's name beside it
UNKNOWN_ID = 2**32 - 1  # of an account that is not there yet: no file can belong to it (chown(2))
BINARY_CAP = 1 << 30  # bytes of a binary
PUBLIC_SITE = "https://releases.hashicorp.com"
DEFAULT_BASE_DIR: str = SPEC["base_dir"]["default"]
HTTP_AGENT: str = SPEC["http_agent"]["default"]  # RFC 9110, 10.1.5
POLICIES = ("pinned", "sha256sums", "signature")  # from the weakest to the strongest


class ConnectionOptions(NamedTuple):
    """How sites are reached, and what those that the user named are shown."""

    username: Optional[str] = None
    password: Optional[str] = None
    token: Optional[str] = None  # for Bearer
    headers: Tuple[Tuple[str, str], ...] = ()
    ca_path: Optional[str] = None  # absolute path of a PEM file or a directory of hashed ones
    client_cert: Optional[str] = None
    client_key: Optional[str] = None
    validate_certs: bool = True
    use_proxy: bool = True
    http_agent: str = HTTP_AGENT


class DownloadRequest(NamedTuple):
    """What obtaining a release needs to know, on whichever side; a Request has all of it, too."""

    version: Optional[str]
    wanted: Any
    platform: Optional[str]  # None: not known yet
    policy: str
    checksum: Optional[str]
    trusted_keys: Tuple[str, ...]
    sites: Tuple[str, ...]
    access: ConnectionOptions
    archive: Optional[str]
    origin: Optional[str]
    offline_ok: bool
    timeout: int
    retries: int


class Request(NamedTuple):
    """What the user asked for, every field checked (P0): nothing after this has to doubt it."""

    requested: str  # the version as written
    version: Optional[str]  # X.Y.Z, without a leading v; None: still to be chosen among what is wanted
    wanted: Any  # what was asked for, with ``allows(version)``: see _constraints
    state: str  # present, absent
    base_dir: str  # absolute, normalised
    policy: str  # one of POLICIES
    checksum: Optional[str]  # 64 lower-case hex digits: SHA-256 of this platform's archive
    trusted_keys: Tuple[str, ...]  # armored OpenPGP keys; empty: the built-in one
    sites: Tuple[str, ...]  # URLs without a trailing slash
    access: ConnectionOptions  # how they are reached
    download: str  # controller, target: who asks them
    archive: Optional[str]  # absolute path of a given zip
    origin: Optional[str]  # where a given zip came from, for the receipt
    platform: str  # os_arch of the binary
    native: bool  # that platform is this host's own
    offline_ok: bool  # an installed version does where no site can be asked
    link: Optional[str]  # absolute path of the symlink
    link_force: bool
    backup: bool  # keep what link_force replaces
    uid: Optional[int]  # None: not asked for
    gid: Optional[int]  # None: not asked for
    owner: Optional[str]  # the name of uid, or the number where it has none
    group: Optional[str]  # of gid
    mode: int  # permission bits
    verify: str  # full, receipt
    run_check: bool
    timeout: int  # seconds without a byte
    retries: int  # tries of one download
    lock_timeout: int  # seconds
    allow_unsafe: bool  # allow_unsafe_base_dir

    @property
    def version_dir(self) -> str:
        return "%s/%s" % (self.base_dir, self.version)

    @property
    def path(self) -> str:
        return "%s/%s/%s" % (self.base_dir, self.version, PRODUCT)


class Provenance(NamedTuple):
    """Who says that an archive is genuine: the answer to ``checksum_policy``."""

    policy: str  # one of POLICIES
    archive_name: str  # file name of the archive, as the release has it
    archive_sha256: str  # 64 lower-case hex digits
    signer: Optional[str]  # fingerprint of the signing key's primary, upper-case hex; only for signature
    signed_at: Optional[int]  # when the signature was made, seconds since the epoch
    site: Optional[str]  # the site, or what a given archive calls its origin
    downloaded_bytes: int  # read from the network for this


class VerifiedArchive(NamedTuple):
    """Where the two halves meet: an archive whose digest is right, open for reading.

    ``file`` is the open file whose bytes were hashed: nobody opens it by name again.
    """

    file: BinaryIO  # readable and seekable
    path: str  # where the bytes came from, for messages: a path or a URL without secrets
    size: int  # bytes
    version: str
    platform: str
    provenance: Provenance
    downloaded_bytes: int  # read from the network for the archive and its sums


class Receipt(NamedTuple):
    """Our record of an installed binary: ``terraform.json`` beside it.

    The first six are frozen for ever; a newer format is judged by them alone.
    """

    format: int
    product: str
    version: str
    platform: str
    sha256: str
    size: int  # bytes
    policy: Optional[str] = None
    signer: Optional[str] = None
    signed_at: Optional[int] = None
    archive_sha256: Optional[str] = None
    origin: Optional[str] = None
    run_check: Optional[str] = None  # what the binary said of itself when it was last run; None: never
    links: Tuple[str, ...] = ()  # links that were switched to this binary
    installed_at: Optional[str] = None  # RFC 3339, UTC
    collection: Optional[str] = None  # version of this collection
    mtime_ns: Optional[int] = None  # of the binary, for verify: receipt
    inode: Optional[int] = None  # of the binary, for verify: receipt
    base_dir_unsafe: Tuple[str, ...] = ()  # what allow_unsafe_base_dir let pass


Fingerprints = FrozenSet[str]
Params = Dict[str, Any]  # options as Ansible gives them, results as it takes them
Log = Callable[..., None]  # called with a line and, as the case may be, warning=True
Listing = Dict[str, FrozenSet[str]]  # of a site: each version, and the platforms that it has builds for
Ordered = Union[DownloadRequest, Request]  # what obtaining takes: either will do
Sink = Any  # what a download goes into: see Fetcher.download() and Source.archive()
Guard = Callable[[str, str], int]  # opens a local file unless others could write it: path, what it is -> descriptor
SetContext = Callable[[int, str, bool], bool]  # sets or compares a file's SELinux label: see _fs.selinux
