# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Constants, and the records that pass between the steps. No logic."""

from typing import Any, BinaryIO, Callable, Dict, FrozenSet, NamedTuple, Optional, Tuple, Union

from ._argument_spec import SPEC

COLLECTION_VERSION = "0.1.0"  # galaxy.yml does not travel to the target
SCRIPT_REFUSED = "this host needs the module itself"  # the answer of the module's plain script on a host with SELinux
PRODUCT = "terraform"  # also the file name of the binary
RECEIPT = "terraform.json"  # file name of the receipt, beside the binary
UNKNOWN_ID = 2**32 - 1  # id of an account that does not exist yet: no file can belong to it (chown(2))
BINARY_CAP = 1 << 30  # bytes of a binary
ARCHIVE_CAP = 512 << 20  # bytes of an archive, and of the files beside it
SUMS_CAP = 256 << 10
SIGNATURE_CAP = 64 << 10
INDEX_CAP = 16 << 20
PUBLIC_SITE = "https://releases.hashicorp.com"
DEFAULT_BASE_DIR: str = SPEC["base_dir"]["default"]
HTTP_AGENT: str = SPEC["http_agent"]["default"]  # RFC 9110, 10.1.5
POLICIES = ("pinned", "sha256sums", "signature")  # from the weakest to the strongest


class ConnectionOptions(NamedTuple):
    """How to connect to mirrors, and which credentials those that the user named receive."""

    username: Optional[str] = None
    password: Optional[str] = None
    token: Optional[str] = None  # bearer token
    headers: Tuple[Tuple[str, str], ...] = ()
    ca_path: Optional[str] = None  # absolute path of a PEM file, or of a directory of hashed certificates
    client_cert: Optional[str] = None
    client_key: Optional[str] = None
    validate_certs: bool = True
    use_proxy: bool = True
    http_agent: str = HTTP_AGENT


class DownloadRequest(NamedTuple):
    """What the first half needs to obtain a release, on either side. A Request has all of these fields, too."""

    version: Optional[str]
    wanted: Any
    platform: Optional[str]  # None: still unknown
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
    """What the user requested. Every field has been checked (P0), so later code does not check it again."""

    requested: str  # the version as written
    version: Optional[str]  # X.Y.Z, without a leading v; None: still to be chosen from those that ``wanted`` allows
    wanted: Any  # VersionSpec in _versions.constraint, with ``allows(version)`` and ``is_previous``
    state: str  # present, absent
    base_dir: str  # absolute, normalized
    policy: str  # one of POLICIES
    checksum: Optional[str]  # 64 lower-case hex digits: SHA-256 of this platform's archive
    trusted_keys: Tuple[str, ...]  # armored OpenPGP keys; empty: the built-in one
    sites: Tuple[str, ...]  # URLs without a trailing slash
    access: ConnectionOptions  # how to connect to them
    download: str  # controller or target: the side that connects to them
    archive: Optional[str]  # absolute path of a given zip
    origin: Optional[str]  # where a given zip came from, for the receipt
    platform: str  # os_arch of the binary
    native: bool  # that platform is this host's own
    offline_ok: bool  # use an installed version if no mirror can be reached
    link: Optional[str]  # absolute path of the symlink
    link_force: bool
    backup: bool  # keep what link_force replaces
    allow_downgrade: bool  # the link may move to an older version
    adopt: bool  # take over a binary without a receipt if it has the right bytes
    keep: Optional[int]  # how many of the newest versions stay; with state absent: it is a removal because of that
    moved_link: Optional[str]  # for such a removal in check mode: a link that will point elsewhere by then
    gone: Tuple[str, ...]  # the same: versions that will be removed by then
    uid: Optional[int]  # None: not requested
    gid: Optional[int]  # None: not requested
    owner: Optional[str]  # name of uid, or the number if it has no name
    group: Optional[str]  # name of gid, or the number if it has no name
    mode: int  # permission bits
    verify: str  # full, receipt
    run_check: bool
    timeout: int  # seconds without a byte
    retries: int  # tries for one download, the first included
    lock_timeout: int  # seconds
    allow_unsafe: bool  # option allow_unsafe_base_dir

    @property
    def version_dir(self) -> str:
        """Absolute path of the version's directory."""
        return "%s/%s" % (self.base_dir, self.version)

    @property
    def path(self) -> str:
        """Absolute path of the binary."""
        return "%s/%s/%s" % (self.base_dir, self.version, PRODUCT)


class Provenance(NamedTuple):
    """Where an archive came from and what proves that it is genuine: the result of ``checksum_policy``."""

    policy: str  # one of POLICIES
    archive_name: str  # file name of the archive in the release
    archive_sha256: str  # 64 lower-case hex digits
    signer: Optional[str]  # fingerprint of the signer's primary key, upper-case hex; only for policy signature
    signed_at: Optional[int]  # when the signature was made, seconds since the epoch
    site: Optional[str]  # the mirror, or the origin of a given archive
    downloaded_bytes: int  # read from the network for this


class VerifiedArchive(NamedTuple):
    """An archive with the right digest, open for reading: the record in which the two halves meet.

    ``file`` is the open file whose bytes were hashed. Nobody opens it by name again.
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

    The first six fields are frozen for ever. Of a newer format, only these are used.
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
    run_check: Optional[str] = None  # version that the last run check reported; None: never run
    links: Tuple[str, ...] = ()  # links that were switched to this binary
    previous: Optional[Dict[str, str]] = None  # for each of them, the version below base_dir that it pointed to before
    went_back: Tuple[str, ...] = ()  # those of them that ``version: previous`` switched to this binary
    installed_at: Optional[str] = None  # RFC 3339, UTC
    collection: Optional[str] = None  # version of this collection
    mtime_ns: Optional[int] = None  # of the binary, for verify: receipt
    inode: Optional[int] = None  # of the binary, for verify: receipt
    base_dir_unsafe: Tuple[str, ...] = ()  # what allow_unsafe_base_dir allowed


Fingerprints = FrozenSet[str]
Params = Dict[str, Any]  # options from Ansible, and return values for it
Log = Callable[..., None]  # called with a line, and with warning=True for a warning
Listing = Dict[str, FrozenSet[str]]  # of a mirror: each version, and the platforms that it has builds for
Ordered = Union[DownloadRequest, Request]  # the first half takes either
Sink = Any  # what a download is written to: see Fetcher.download() and Source.archive()
Guard = Callable[[str, str], int]  # (path, what it is) -> descriptor; refuses a local file that others could write
SetContext = Callable[[int, str, bool], bool]  # sets or compares a file's SELinux context: see _fs.selinux
