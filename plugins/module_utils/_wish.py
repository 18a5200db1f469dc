# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""P0: from the module's parameters to a Wish in which every field is checked, before anything is touched."""

import grp
import ipaddress
import pwd
from urllib.parse import urlsplit

from . import _releases, _versions
from ._errors import RequestError
from ._model import PRODUCT, SPEC, Wish

_PLAIN_BITS = 0o755     # what a mode may set: no setuid, setgid, sticky; nobody but the owner writes
_SCHEMES = ("https", "http", "file")


def parse(params, host_platform):
    """Check what the user asked for.

    :param params: dict, the module's parameters; blank text and empty lists count as not given.
    :param host_platform: callable() -> str, the platform of this host; asked for only when it is needed.
    :returns: Wish. Raises RequestError, whose message names the option.
    """
    given = {key: _default(key) if value == [] or _blank(value) else value for key, value in params.items()}
    version = _versions.exact(given["version"])
    base_dir = _absolute(given["base_dir"], "base_dir")
    platform, native = _platform(given["platform"], host_platform)
    checksum = given["checksum"] and _releases.checksum_of(given["checksum"], version, platform)
    wish = Wish(
        requested=given["version"], version=version, state=given["state"], base_dir=base_dir,
        policy=given["checksum_policy"], checksum=checksum, trusted_keys=tuple(given["trusted_keys"] or ()),
        sites=tuple(check_site(site) for site in given["sites"]),
        archive=given["archive"] and _absolute(given["archive"], "archive"), origin=given["origin"],
        platform=platform, native=native,
        link=given["link"] and _absolute(given["link"], "link"), link_force=given["link_force"],
        uid=_number(given["owner"], "owner", lambda name: pwd.getpwnam(name).pw_uid),
        gid=_number(given["group"], "group", lambda name: grp.getgrnam(name).gr_gid),
        mode=_mode(given["mode"]), verify=given["verify"], run_check=given["run_check"],
        timeout=_at_least(given["timeout"], 1, "timeout", "seconds"),
        retries=_at_least(given["retries"], 1, "retries", "tries"),
        lock_timeout=_at_least(given["lock_timeout"], 0, "lock_timeout", "seconds"),
        allow_unsafe=given["allow_unsafe_base_dir"],
    )
    if wish.link:
        _check_link(wish)
    if wish.state == "present":
        _check_policy(wish)
    return wish


def _default(key):
    return SPEC[key].get("default")


def _blank(value):
    return value is None or isinstance(value, str) and not value.strip()


def _platform(text, host_platform):
    """:returns: (str, bool: it is this host's own)."""
    if not text:
        return host_platform(), True
    platform = _releases.check_platform(text)
    try:
        return platform, platform == host_platform()
    except RequestError:
        return platform, False      # a host we have no name for cannot be the one that was named


def _absolute(path, option):
    """An absolute path without ``..``, doubled or trailing slashes; RequestError for anything else."""
    if not path.startswith("/") or ".." in path.split("/") or any(ord(char) < 32 for char in path):
        raise RequestError("%s %s is not an absolute path without '..' and control characters" % (option, ascii(path)),
                           hint="write it from the root: /opt/iac-platform/terraform-binaries")
    normal = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    if normal == "/":
        raise RequestError("%s / is the root directory itself" % option, hint="write a path below it")
    return normal


def check_site(text):
    """A site's URL without a trailing slash; RequestError, which never shows userinfo."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port     # .port raises ValueError for what is not one
    except ValueError as exc:
        raise RequestError("sites: an entry is not a URL: %s" % exc, hint="write https://host/path") from exc
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise RequestError("sites: the URL of host %s has a user name or password in it" % host,
                           hint="URLs end up in logs: leave credentials out of them")
    if parts.scheme not in _SCHEMES:
        raise RequestError("sites: %s is not a URL with http, https or file" % ascii(text[:100]),
                           hint="write it as https://host/path or file:///path")
    if parts.query or parts.fragment:
        raise RequestError("sites: the URL of host %s has a query or fragment, expected the root of a release site" % host,
                           hint="files are asked for as <site>/%s/<version>/..." % PRODUCT)
    if parts.scheme == "file" and (host not in (None, "localhost") or not parts.path.startswith("/")):
        raise RequestError("sites: %s is not a local file URL" % ascii(text[:100]), hint="write file:///path")
    if parts.scheme != "file" and (not host or port == 0):
        raise RequestError("sites: %s has no host and port that can be asked" % ascii(text[:100]), hint="write https://host/path")
    return text.rstrip("/")


def _number(name, option, look_up):
    """A uid or gid from a name or a number; None when not given."""
    if name is None:
        return None
    if name.isdigit():
        return int(name)
    try:
        return look_up(name)
    except KeyError:
        raise RequestError("%s %s is not known on this host" % (option, ascii(name)),
                           hint="create it first, or give its number") from None


def _mode(value):
    """Permission bits from an octal text, or from the number that YAML made of one."""
    text = "%o" % value if type(value) is int and value >= 0 else str(value).strip()
    digits = text[2:] if text[:2].lower() == "0o" else text
    if not digits or len(digits) > 5 or any(char not in "01234567" for char in digits):
        raise RequestError("mode %s is not octal permission bits" % ascii(value), hint="write it in quotes: '0755'")
    mode = int(digits, 8)
    if mode & ~_PLAIN_BITS or not mode & 0o400:
        raise RequestError(
            "mode %s is %04o: expected no setuid, setgid or sticky bit, no write bit for group and others, and a read "
            "bit for the owner" % (ascii(value), mode), hint="write it in quotes: '0755'")
    return mode


def _at_least(number, least, option, unit):
    if number < least:
        raise RequestError("%s is %d %s, expected at least %d" % (option, number, unit, least))
    return number


def _check_link(wish):
    """The link must not lie where the store keeps its own."""
    if wish.link == wish.base_dir:
        raise RequestError("link %s is base_dir itself" % wish.link, hint="write the path of a link, not of the store")
    if not wish.link.startswith(wish.base_dir + "/"):
        return
    first = wish.link[len(wish.base_dir) + 1:].split("/")[0]
    if first.startswith(".t") or _is_version(first):
        raise RequestError("link %s lies among the store's own files" % wish.link, path=wish.link,
                           hint="choose a link outside %s/<version>" % wish.base_dir)


def _is_version(name):
    try:
        _versions.exact(name)
    except RequestError:
        return False
    return True


def _check_policy(wish):
    if wish.policy == "pinned" and not wish.checksum:
        raise RequestError("checksum_policy pinned needs checksum: it alone decides",
                           hint="give the archive's SHA-256, or use checksum_policy signature")
    if wish.policy != "sha256sums" or wish.checksum or wish.archive:
        return
    for site in wish.sites:
        if site.startswith("http:") and not _is_loopback(urlsplit(site).hostname):
            raise RequestError(
                "checksum_policy sha256sums over plain http (%s) would trust whoever sits in between" % site, url=site,
                hint="use https, give checksum, or use checksum_policy signature")


def _is_loopback(host):
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
