# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""P0: checks the module's parameters and turns them into a Request, before anything is changed."""

import grp
import pwd
import re
from typing import Any, Callable, List, Optional, Tuple
from urllib.parse import urlsplit

from .._argument_spec import SPEC
from .._errors import RequestError
from .._fs.paths import absolute_path
from .._http.urls import is_loopback, origin_of, redact_url
from .._records import (
    DEFAULT_BASE_DIR,
    PRODUCT,
    UNKNOWN_ID,
    ConnectionOptions,
    DownloadRequest,
    Ordered,
    Params,
    Request,
)
from .._release import layout
from .._versions import constraint
from .._versions.version import parse_exact, unquoted
from . import network

_PLAIN_BITS = 0o755  # the bits that a mode may set
_REFUSED_BITS = ((0o22, "it lets group or others write the binary"), (0o7000, "it has a setuid, setgid or sticky bit"))
_WITH_ZERO = "write 0755, with the zero (in a playbook in quotes: '0755')"
_OCTAL = re.compile(r"[0-7]{1,5}\Z")
_EXAMPLES = {
    "archive": "/srv/incoming/terraform_1.13.4_linux_amd64.zip",
    "base_dir": DEFAULT_BASE_DIR,
    "ca_path": "/etc/ssl/our-ca.pem",
    "cache_dir": "/var/cache/terraform-archives",
    "client_cert": "/etc/ssl/builder.pem",
    "client_key": "/etc/ssl/builder.key",
    "link": "/usr/local/bin/terraform",
}
_SCHEMES = ("https", "http", "file")
_LONGEST = 86400  # seconds; much larger values overflow socket timeouts
_HIGHEST = 2**32 - 2  # highest uid and gid; for chown(2), 2**32 - 1 means "leave it as it is"


def parse_request(
    params: Params, host_platform: Callable[[], str], version: Optional[str] = None, missing: Optional[List[str]] = None
) -> Request:
    """Check the user's request.

    :param params: dict, the module's parameters; blank strings and lists of blank strings count as not given.
    :param host_platform: callable() -> str, the platform of this host; called only if it is needed.
    :param version: str, the exact version that ``latest`` or a constraint was resolved to.
    :param missing: list, receives a message for each account that does not exist yet, but may by the time of a real
        run; None: refuse.
    :returns: Request; its ``version`` is None until one is chosen.
    :raises RequestError: an option is not valid; the message names it.
    """
    given = _all_given(params)
    wanted = _wanted(given)
    base_dir = absolute_path(given["base_dir"], "base_dir", _EXAMPLES["base_dir"])
    platform, native = _platform(given["platform"], host_platform)
    uid, owner = _account(given["owner"], "owner", pwd.getpwnam, pwd.getpwuid, missing)
    gid, group = _account(given["group"], "group", grp.getgrnam, grp.getgrgid, missing)
    request = Request(
        requested=wanted.text,
        base_dir=base_dir,
        native=native,
        link=given["link"] and absolute_path(given["link"], "link", _EXAMPLES["link"]),
        uid=uid,
        gid=gid,
        owner=owner,
        group=group,
        mode=_mode(given["mode"]),
        keep=_within(given["keep"], 1, 1000, "keep", "versions")
        if given["state"] == "present" and given["keep"] is not None
        else None,
        moved_link=None,
        gone=(),
        lock_timeout=_within(given["lock_timeout"], 0, _LONGEST, "lock_timeout", "seconds"),
        allow_unsafe=given["allow_unsafe_base_dir"],
        **dict(_checked(given), **_download_fields(given, wanted, platform, version)),
    )
    if request.link:
        _check_link(request, request.link)
    if request.state == "present":
        _check_policy(request, given["checksum"] is not None)
    return request


def parse_download_request(params: Params, platform: Optional[str], version: Optional[str] = None) -> DownloadRequest:
    """Check only the options that a download needs. The controller uses this: other options refer to the target.

    :param params: dict, as for parse_request().
    :param platform: str, the target's platform; None: not known yet, and so neither is the right line of ``checksum``.
    :param version: as for parse_request().
    :returns: DownloadRequest.
    :raises RequestError: an option is not valid; the message names it.
    """
    given = _all_given(params)
    order = DownloadRequest(
        **_download_fields(given, _wanted(given), platform and layout.check_platform(platform), version)
    )
    _check_policy(order, given["checksum"] is not None)
    return order


def parse_cache_options(params: Params) -> Tuple[Optional[str], int]:
    """Check the options for the controller's archive cache.

    :param params: dict, the module's parameters.
    :returns: (str: absolute path of ``cache_dir``, or None; int: how many archives it may hold).
    :raises RequestError: an option is not valid.
    """
    given = {key: _given(key, params[key]) for key in ("cache_dir", "cache_keep")}
    folder = given["cache_dir"] and absolute_path(given["cache_dir"], "cache_dir", _EXAMPLES["cache_dir"])
    return folder, _within(given["cache_keep"], 1, 1000, "cache_keep", "archives")


def _checked(given: Params) -> Params:
    """Return the fields of a Request that are options which Ansible checks completely: booleans and choices."""
    return {
        key: given[key]
        for key in Request._fields
        if key in SPEC and (SPEC[key]["type"] == "bool" or "choices" in SPEC[key])
    }


def _download_fields(
    given: Params, wanted: constraint.VersionSpec, platform: Optional[str], version: Optional[str]
) -> Params:
    """Return the fields of a DownloadRequest as a dict."""
    version = version or wanted.version
    checksum = None
    # Lines of SHA256SUMS need both. What is given beside ``previous`` is about another version.
    if given["checksum"] and version and platform and not wanted.is_previous:
        checksum = layout.checksum_of(given["checksum"], version, platform)
    return dict(
        version=version,
        wanted=wanted,
        platform=platform,
        policy=given["checksum_policy"],
        checksum=checksum,
        trusted_keys=tuple(given["trusted_keys"] or ()),
        sites=tuple(check_site(site) for site in given["sites"]),
        access=network.parse_connection_options(given),
        archive=given["archive"] and absolute_path(given["archive"], "archive", _EXAMPLES["archive"]),
        origin=given["origin"] and _origin(given["origin"]),
        offline_ok=given["offline_ok"],
        timeout=_within(given["timeout"], 1, _LONGEST, "timeout", "seconds"),
        retries=_within(given["retries"], 1, 1000, "retries", "tries"),
    )


def _all_given(params: Params) -> Params:
    """Return the value of every option. ``params`` also has the aliases."""
    given = {key: _given(key, params[key]) for key in SPEC}
    for option in ("ca_path", "client_cert", "client_key"):
        if given[option] and "-----BEGIN" in given[option]:  # it may be a private key: show none of it
            raise RequestError(
                "%s is the text of a key or certificate, where the path of a file is expected" % option,
                hint="write it to a file of mode 0600 and name that; one encrypted by ansible-vault will do",
            )
        given[option] = given[option] and absolute_path(given[option], option, _EXAMPLES[option])
    return given


def _wanted(given: Params) -> constraint.VersionSpec:
    """Parse the requested version, and check that it fits the state and the other options."""
    if given["version_file"] is not None:
        raise RequestError(
            "version_file is read on the controller, by this collection's action plugin, which did not run",
            hint="call the module by its full name, iac_platform.terraform.terraform_binary, or set version",
        )
    wanted = constraint.parse_version_spec(given["version"])
    if wanted.version is not None:
        return wanted
    shown = ascii(" ".join(wanted.text.split())[:60])
    if given["state"] == "absent" and wanted.is_latest:
        raise RequestError(
            "version %s cannot be removed: what is newest changes" % shown,
            hint="name the version, or a constraint such as '< 1.9', or 'all'",
        )
    if wanted.is_previous and (given["state"] == "absent" or given["link"] is None):
        raise RequestError(
            "version previous is what link pointed to before, %s"
            % ("and is for state: present" if given["state"] == "absent" else "and link is not given"),
            hint="name the version"
            if given["state"] == "absent"
            else "set link, such as /usr/local/bin/terraform, or write the version",
        )
    if given["state"] == "present" and wanted.is_all:
        raise RequestError(
            "version all is for state: absent, and removes everything",
            hint="write 'latest' for the newest version, or one version, such as '1.10.5'",
        )
    if given["state"] == "present" and given["archive"] is not None:
        raise RequestError(
            "version %s with archive: one archive is one version, and no site is asked" % shown,
            hint="write the exact version of that archive",
        )
    if given["state"] == "present" and given["checksum_policy"] == "pinned" and not wanted.is_previous:
        raise RequestError(
            "version %s with checksum_policy pinned: checksum is that of one exact version" % shown,
            hint="write the exact version, or use checksum_policy signature",
        )
    return wanted


def _given(key: str, value: Any) -> Any:
    """Return an option's value, or its default if it is blank; strip the entries of a list and drop blank ones."""
    if SPEC[key]["type"] == "list":
        value = [entry.strip() for entry in value or () if not _blank(entry)] or None
    return SPEC[key].get("default") if _blank(value) else value


def _blank(value: Any) -> bool:
    return value is None or isinstance(value, str) and not value.strip()


def _platform(text: Optional[str], host_platform: Callable[[], str]) -> Tuple[str, bool]:
    """Return the platform, and whether it is this host's own: (str, bool)."""
    if not text:
        return host_platform(), True
    platform = layout.check_platform(text)
    try:
        return platform, platform == host_platform()
    except RequestError:
        return platform, False  # a host without a known platform cannot be the named one


def check_site(text: str) -> str:
    """Return a site's URL without a trailing slash. Raises RequestError, which never shows userinfo."""
    written = "an entry" if re.search("[@?#]", text) else ascii(text[:100])
    if re.search(r"[\x00-\x20\x7f\\]", text):
        raise RequestError(
            "sites: %s has blanks, backslashes or control characters in it" % written,
            hint="write one URL an entry, as https://host/path",
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port  # .port raises ValueError if it is invalid
    except ValueError as exc:
        raise RequestError(
            "sites: %s is not a URL with a host and port" % written, hint="write https://host/path"
        ) from exc
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise RequestError(
            "sites: the URL of host %s has a user name or password in it" % host,
            hint="URLs end up in logs: leave credentials out of them",
        )
    if parts.scheme not in _SCHEMES:
        raise RequestError(
            "sites: %s is not a URL with http, https or file" % written,
            hint="write it as https://host/path or file:///path",
        )
    if parts.query or parts.fragment:
        raise RequestError(
            "sites: the URL of host %s has a query or fragment, expected the root of a release site" % host,
            hint="files are asked for as <site>/%s/<version>/..." % PRODUCT,
        )
    if parts.scheme == "file" and (host not in (None, "localhost") or not parts.path.startswith("/")):
        raise RequestError("sites: %s is not a local file URL" % written, hint="write file:///path")
    if parts.scheme != "file" and (not host or port == 0):
        raise RequestError("sites: %s has no host and port that can be asked" % written, hint="write https://host/path")
    return text.rstrip("/")


def _origin(text: str) -> str:
    """Return the origin to show and record. Raises RequestError, which does not show it, if it has userinfo."""
    if re.search(r"//[^/?#\s]*@|:[^/?#\s@]*@", text):
        raise RequestError(
            "origin has a user name or password in it",
            hint="it is recorded beside the binary: leave credentials out of it",
        )
    return redact_url(text) if "://" in text else text


def _account(
    text: Optional[str],
    option: str,
    by_name: Callable[[str], Tuple[Any, ...]],
    by_number: Callable[[int], Tuple[Any, ...]],
    missing: Optional[List[str]],
) -> Tuple[Optional[int], Optional[str]]:
    """Look up a name or number: (uid or gid, name).

    (None, None) if it is not given. UNKNOWN_ID if the account does not exist and ``missing`` is a list.
    """
    if text is None:
        return None, None
    if re.match(r"[0-9]{1,12}\Z", text):
        number = _within(int(text), 0, _HIGHEST, option, "as a number")
        try:
            return number, by_number(number)[0]
        except KeyError:
            return number, str(number)
    try:
        name, _password, number = by_name(text)[:3]
        return number, name
    except (KeyError, ValueError):  # ValueError: the name has a NUL
        unknown = "%s %s is not known" % (option, ascii(text[:40]))
        if missing is None:
            raise RequestError(unknown, hint="create it first, or give its number") from None
        missing.append(unknown)
        return UNKNOWN_ID, text


def _mode(value: Any) -> int:
    """Parse permission bits from an octal string, or from the number that YAML made of one."""
    is_number = isinstance(value, int) and value >= 0
    text = "%o" % value if is_number else unquoted(str(value).strip())
    digits = text[2:] if text[:2].lower() == "0o" else text
    if not _OCTAL.match(digits):
        raise RequestError("mode %s is not octal permission bits" % ascii(value)[:40], hint=_WITH_ZERO)
    mode = int(digits, 8)
    reason = next(
        (reason for bits, reason in _REFUSED_BITS if mode & bits), None if mode & 0o400 else "its owner cannot read it"
    )
    if reason is None:
        return mode
    if is_number and _OCTAL.match(str(value)):  # YAML read it as decimal: there was no leading zero
        raise RequestError(
            "mode %d without a leading zero is decimal, in octal %04o, which is not allowed: %s"
            % (value, mode, reason),
            hint=_WITH_ZERO,
        )
    raise RequestError(
        "mode %04o is not allowed: %s" % (mode, reason),
        hint="write '%04o', or another without that" % (mode & _PLAIN_BITS | 0o400),
    )


def _within(number: int, least: int, most: int, option: str, unit: str) -> int:
    if not least <= number <= most:
        raise RequestError(
            "%s is %d %s, expected %d to %d" % (option, number, unit, least, most), hint="write a number between these"
        )
    return number


def _check_link(request: Request, link: str) -> None:
    """Refuse a link that lies among the store's files or above the store, or whose binary cannot be run here."""
    if request.state == "present" and request.run_check and not request.native:
        raise RequestError(
            "link %s to a binary for %s, which is not the platform of the host, so that nobody sees it run"
            % (link, request.platform),
            path=link,
            hint="leave out link or platform, or set run_check: false",
        )
    if (request.base_dir + "/").startswith(link + "/"):
        raise RequestError(
            "link %s is %s or a directory above it" % (link, request.base_dir),
            path=link,
            hint="write the path of a link, not of the store",
        )
    if not link.startswith(request.base_dir + "/"):
        return
    first = link[len(request.base_dir) + 1 :].split("/")[0]
    if first.startswith((".terraform-", ".tmp.")) or _is_version(first):
        raise RequestError(
            "link %s lies among the store's own files" % link,
            path=link,
            hint="choose a link outside %s/<version>" % request.base_dir,
        )


def _is_version(name: str) -> bool:
    try:
        parse_exact(name)
    except RequestError:
        return False
    return True


def _check_policy(request: Ordered, has_checksum: bool) -> None:
    if request.policy == "pinned" and not has_checksum:
        raise RequestError(
            "checksum_policy pinned needs checksum: it alone decides",
            hint="give the archive's SHA-256, or use checksum_policy signature",
        )
    if request.archive:
        return
    network.check_sites(request.access, request.sites)
    if request.policy != "sha256sums" or has_checksum:
        return
    for site in request.sites:
        unsafe_reason = _unverified_reason(site, request.access)
        if unsafe_reason:
            raise RequestError(
                "checksum_policy sha256sums %s (%s) would trust whoever sits in between" % (unsafe_reason, site),
                url=site,
                hint="use https with validate_certs, give checksum, or use checksum_policy signature",
            )


def _unverified_reason(site: str, access: ConnectionOptions) -> Optional[str]:
    """Return why a party other than the site could answer in its place: str, or None."""
    scheme, host, _port = origin_of(site)
    if scheme == "http" and not is_loopback(host):
        return "over plain http"
    return "with validate_certs false" if scheme == "https" and not access.validate_certs else None
