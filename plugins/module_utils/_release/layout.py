# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describes what a release consists of: file names, platforms, and the digest of the requested archive.

A digest that it returns comes from the only line of a well-formed SHA256SUMS with exactly the archive's name. One
malformed line refuses the whole document. This file does not check that the document is genuine. Messages do not quote
a malformed line: after a link or a redirect it may contain anything.
"""

import re
from typing import Dict, Iterable, Optional, Tuple, Type, Union

from .._errors import RequestError, TerraformBinaryError, VerificationError, quoted
from .._records import PRODUCT, Params

# The names that releases use (Go's), by the name of the kernel (uname -s) and of the machine (uname -m).
OPERATING_SYSTEMS = {
    "Darwin": "darwin",
    "FreeBSD": "freebsd",
    "Linux": "linux",
    "NetBSD": "netbsd",
    "OpenBSD": "openbsd",
    "SunOS": "solaris",
    "Windows": "windows",
}
ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "i86pc": "amd64",  # Solaris reports this for every PC; its builds are 64-bit
    "aarch64": "arm64",
    "arm64": "arm64",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",  # a 32-bit view of a 64-bit kernel
    "armv6": "arm",
    "armv7": "arm",
    "s390x": "s390x",
    "ppc64le": "ppc64le",
}

# sha256sum(1): digest, a space, then a space (text) or an asterisk (binary), then the name.
_LINE = re.compile(rb"([0-9a-f]{64}) [ *]([0-9A-Za-z_+~-][0-9A-Za-z._+~-]*)[ \t]*\r?\Z")
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})\Z", re.IGNORECASE)
_PREFIXED = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):\S*\Z")
_HEX = re.compile(r"[0-9A-Fa-f]+\Z")
_FILE_NAME = re.compile(r"[0-9A-Za-z._+~-]+\Z")
_OTHER_DIGESTS = {32: "MD5", 40: "SHA-1", 56: "SHA-224", 96: "SHA-384", 128: "SHA-512"}
_CHECKSUM_HINT = "give the archive's SHA-256: 64 hex digits, sha256:<hex>, or the lines of SHA256SUMS (in YAML after |)"


def sums_name(version: str) -> str:
    """Return the file name of a release's SHA256SUMS."""
    return _file_name("%s_%s_SHA256SUMS" % (PRODUCT, version))


def signature_names(version: str, key_ids: Iterable[str]) -> Tuple[str, ...]:
    """Return the file names of the signatures of SHA256SUMS, in the order in which to request them.

    :param version: str, exact.
    :param key_ids: the last 8 hex digits of each trusted primary's fingerprint, in any case.
    :returns: tuple of str: one per key, then the name without a key id.
    """
    sums = sums_name(version)
    return tuple(_file_name("%s.%s.sig" % (sums, key_id.upper())) for key_id in key_ids) + ("%s.sig" % sums,)


def archive_name(version: str, platform: str) -> str:
    """Return the file name of a platform's archive."""
    return _file_name("%s_%s_%s.zip" % (PRODUCT, version, platform))


def release_url(site: str, version: str, name: str) -> str:
    """Return the URL of a file of a release on a site.

    :param site: str, URL without a trailing slash.
    :param version: str, exact.
    :param name: str, the file name.
    :raises RequestError: version or name has characters that published names do not have.
    """
    return "%s/%s/%s/%s" % (site, PRODUCT, _file_name(version), _file_name(name))


def suspect_site(site: str) -> Optional[str]:
    """Return a hint if a site's URL looks wrong: str, or None. Use it when the site lacks an expected file."""
    found = re.match(r"(.*[^/:])/%s(?:/[^/]*)?\Z" % PRODUCT, site)
    return "name the folder above %s in sites: %s" % (PRODUCT, found.group(1)) if found else None


def _file_name(name: str) -> str:
    """Check a file name. Only these names go into paths, links, URLs, sftp batches and messages unchanged.

    :raises RequestError: the name has characters that published names do not have.
    """
    if not _FILE_NAME.match(name) or name.startswith("."):
        raise RequestError(
            "%s is no name of a release's file: expected letters, digits and ._+~- only" % ascii(name[:80])
        )
    return name


def detect_platform(system: str, machine: str) -> str:
    """Return the platform of a host.

    :param system: str, the output of ``uname -s``.
    :param machine: str, the output of ``uname -m``.
    :returns: str, ``linux_amd64``.
    :raises RequestError: this collection knows no release for such a host.
    """
    name = OPERATING_SYSTEMS.get(system)
    architecture = ARCHITECTURES.get(machine) or ARCHITECTURES.get(machine.lower())
    if not name or not architecture:
        raise RequestError(
            "no platform of %s is known: the system is %s, its machine %s" % (PRODUCT, ascii(system), ascii(machine)),
            hint="set platform, such as linux_amd64",
        )
    return "%s_%s" % (name, architecture)


def check_platform(text: str) -> str:
    """Check a platform, and return it unchanged.

    :raises RequestError: it is not an operating system and an architecture that this collection knows.
    """
    system, dummy, architecture = text.partition("_")
    if system not in OPERATING_SYSTEMS.values() or architecture not in ARCHITECTURES.values():
        raise RequestError(
            "platform %s is not known: expected one of %s, an underscore, and one of %s"
            % (
                ascii(text[:40]),
                ", ".join(sorted(set(OPERATING_SYSTEMS.values()))),
                ", ".join(sorted(set(ARCHITECTURES.values()))),
            ),
            hint="write it as releases do, such as linux_amd64",
        )
    return text


def find_archive(sums: bytes, version: str, platform: str, where: str) -> Tuple[str, str]:
    """Find the archive of a platform in SHA256SUMS.

    :param sums: bytes of SHA256SUMS, already verified if the policy requires it.
    :param version: str, exact.
    :param platform: str, ``linux_amd64``.
    :param where: str, their URL or path, for messages.
    :returns: (name, sha256): the archive's file name, and 64 lower-case hex digits.
    :raises VerificationError: the bytes are not a list of digests, or belong to another release.
    :raises RequestError: the release has no build for the platform.
    """
    place: Params = {"url" if "://" in where else "path": where}
    if not sums.strip():
        raise VerificationError("SHA256SUMS %s is empty" % where, **place)
    if sums.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise VerificationError(
            "%s is a web page, not a list of SHA-256 digests (%d bytes)" % (where, len(sums)),
            hint="a proxy or login page may have answered in place of the site",
            **place,
        )
    digests = _parse(sums, "SHA256SUMS %s" % where, VerificationError, place)
    name = _choose(digests, version, platform, "SHA256SUMS %s" % where, VerificationError, place)
    if name is None:
        raise _not_listed(digests, version, platform, where, place)
    return name, digests[name]


def checksum_of(text: str, version: str, platform: str) -> str:
    """Return the digest that the option ``checksum`` states for the archive.

    :param text: str, 64 hex digits in any case, the same after ``sha256:``, or lines of SHA256SUMS.
    :param version: str, exact.
    :param platform: str, ``linux_amd64``.
    :returns: str, 64 lower-case hex digits.
    :raises RequestError: the text is anything else, or has no line for the archive.
    """
    given = text.strip()
    plain = _DIGEST.match(given)
    if plain:
        return plain.group(1).lower()
    prefixed = _PREFIXED.match(given)
    if prefixed and prefixed.group(1).lower() != "sha256":
        raise RequestError("checksum begins with %s: and not with sha256:" % prefixed.group(1), hint=_CHECKSUM_HINT)
    if prefixed or _HEX.match(given):
        digits = given.rpartition(":")[2]
        found = "%d characters" % len(digits)
        if _HEX.match(digits) and len(digits) in _OTHER_DIGESTS:
            found = "%s, the length of %s" % (found, _OTHER_DIGESTS[len(digits)])
        raise RequestError("checksum has %s, where SHA-256 has 64 hex digits" % found, hint=_CHECKSUM_HINT)
    digests = _parse(given.encode("utf-8", "backslashreplace"), "checksum", RequestError, {"hint": _CHECKSUM_HINT})
    name = _choose(digests, version, platform, "checksum", RequestError, {"hint": _CHECKSUM_HINT})
    if name is None:
        raise RequestError(
            "checksum has no line for %s, only for %s" % (archive_name(version, platform), ", ".join(sorted(digests))),
            hint="add the line of that file from %s" % sums_name(version),
        )
    return digests[name]


def _parse(sums: bytes, what: str, error: Type[TerraformBinaryError], details: Params) -> Dict[str, str]:
    """Parse a list of digests: dict {name: sha256}. Raises ``error`` for the first malformed line."""
    digests: Dict[str, str] = {}
    for number, line in enumerate(sums.rstrip().split(b"\n"), 1):
        found = _LINE.match(line)
        if not found:
            raise error(
                "%s, line %d is not a SHA-256 digest, two blanks and a file name (%d bytes)"
                % (what, number, len(line)),
                **details,
            )
        digest, name = (part.decode("ascii") for part in found.groups())
        if name in digests:
            raise error("%s, line %d names %s a second time" % (what, number, quoted(name)), **details)
        digests[name] = digest
    return digests


def _choose(
    digests: Dict[str, str],
    version: str,
    platform: str,
    what: str,
    error: Type[TerraformBinaryError],
    details: Params,
) -> Optional[str]:
    """Return the name among the digests that is exactly the archive's, or None."""
    name = archive_name(version, platform)
    # 0.12.0-alpha3 to alpha9 were published with product and version twice: hashicorp/terraform issue 19588.
    doubled = "%s_%s_%s" % (PRODUCT, version, name)
    if name in digests and doubled in digests:
        raise error("%s names both %s and %s: one archive was expected" % (what, name, doubled), **details)
    return next((candidate for candidate in (name, doubled) if candidate in digests), None)


def _not_listed(
    digests: Dict[str, str],
    version: str,
    platform: str,
    where: str,
    place: Params,
) -> Union[RequestError, VerificationError]:
    """Return the error for a well-formed list of digests that lacks the archive."""
    ours = "%s_%s_" % (PRODUCT, version)
    named = re.compile(r"(?:%s){1,2}([0-9a-z]+_[0-9a-z]+)\.zip\Z" % re.escape(ours))
    platforms = sorted(found.group(1) for found in map(named.match, digests) if found)
    if platforms:
        return RequestError(
            "%s %s has no build for %s: %s lists %s" % (PRODUCT, version, platform, where, ", ".join(platforms)),
            hint="choose one of those as platform, or another version",
            **place,
        )
    release = re.compile(r"%s_([^_]+)_" % PRODUCT)
    others = sorted(set(found.group(1) for found in map(release.match, digests) if found))
    if others:
        found = "it is of version %s" % ", ".join(quoted(other) for other in others[:3])
    else:
        found = "its first name is %s" % quoted(next(iter(digests)))
    return VerificationError("SHA256SUMS %s names no file of %s %s: %s" % (where, PRODUCT, version, found), **place)
