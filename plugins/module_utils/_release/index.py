# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses a site's index.json: the published versions, and the platforms of each.

The index is not signed. Only what can be a version and a platform is taken from it. Its locations (``url``) are
ignored: an archive always comes from the site of the index. Entries that are not understood are skipped. Bytes that are
not an index raise one typed error.
"""

import json
import re
from typing import Any, Dict, Iterator, List, NoReturn, Optional, Tuple

from .._errors import FetchError
from .._records import PRODUCT, Listing
from .._versions.version import components, is_exact, sort_key
from .layout import archive_name

# Commas and opening brackets. The real index has about 40,000. An index below this limit fits into a host's memory.
PARTS_LIMIT = 2000000
VERSIONS_LIMIT = 20000  # the public site has about 500

_NAME = re.compile(r"[a-z0-9]{1,20}\Z")  # of an operating system or an architecture
_PRODUCT = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
_HINT = "look what answers at that URL: expected the index.json of a release site"


class IndexFetchError(FetchError):
    """A site answered, but not with an index."""


def index_url(site: str) -> str:
    """Return the URL of a site's index.

    :param site: str, URL without a trailing slash.
    """
    return "%s/%s/index.json" % (site, PRODUCT)


def parse_index(data: bytes, where: str) -> Listing:
    """Parse an index.

    :param data: bytes: the index of the product (``versions``), in any of its formats, or of one release (``version``,
        ``builds``).
    :param where: str, its URL, redacted for messages.
    :returns: dict of version and frozenset of platforms, ``linux_amd64``.
    :raises IndexFetchError: the bytes are not an index, or are the index of another product.
    """
    found = _parse(data, where)
    if not isinstance(found, dict):
        raise _refusal(where, "is a JSON %s, where an object was expected" % type(found).__name__)
    if found.get("name", PRODUCT) != PRODUCT:
        other = found["name"] if isinstance(found["name"], str) and _PRODUCT.match(found["name"]) else "something else"
        raise _refusal(where, "is about %s, not about %s" % (other, PRODUCT))
    entries = found.get("versions")
    if entries is None and "builds" in found and _is_version(found.get("version")):
        entries = {found["version"]: found}
    if not isinstance(entries, dict):
        raise _refusal(where, "has no versions in it")
    if len(entries) > VERSIONS_LIMIT:
        raise _refusal(where, "has more than %d versions" % VERSIONS_LIMIT)
    listing: Listing = {}
    for version, entry in entries.items():
        if _is_version(version) and _is_about(entry, version):
            listing[version] = frozenset(_platforms(entry, version))
    return listing


def _parse(data: bytes, where: str) -> Any:
    if sum(map(data.count, (b",", b"[", b"{"))) > PARTS_LIMIT:
        raise _refusal(where, "has more than %d parts" % PARTS_LIMIT)
    try:
        # Numbers are not used here, and converting a long one would take hours.
        return json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_constant,
        )
    except (ValueError, RecursionError) as exc:
        raise _refusal(where, "is not JSON (%s)" % (ascii(str(exc))[1:-1][:80])) from exc


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice in one object")
    return found


def _number(_text: str) -> int:
    return 0


def _constant(text: str) -> NoReturn:
    raise ValueError("%s is no JSON" % text)


def _refusal(where: str, what: str) -> IndexFetchError:
    return IndexFetchError("index %s %s" % (where, what), url=where, hint=_HINT)


def _is_version(text: Any) -> bool:
    return isinstance(text, str) and is_exact(text)


def _is_about(entry: Any, version: str) -> bool:
    """Whether an entry, or a build in it, is for this product and version; both names are optional."""
    return (
        isinstance(entry, dict) and entry.get("name", PRODUCT) == PRODUCT and entry.get("version", version) == version
    )


def _platforms(entry: Dict[str, Any], version: str) -> Iterator[str]:
    builds = entry.get("builds")
    for build in builds if isinstance(builds, list) else ():
        if not _is_about(build, version):
            continue
        parts = (build.get("os"), build.get("arch"))
        if not all(isinstance(part, str) and _NAME.match(part) for part in parts):
            continue
        platform = "%s_%s" % parts
        name = archive_name(version, platform)
        # layout.py explains the doubled names of 0.12.0-alpha3 to alpha9.
        if build.get("filename", name) in (name, "%s_%s_%s" % (PRODUCT, version, name)):
            yield platform


def advise_on_missing(version: str, platform: str, listing: Listing) -> Optional[str]:
    """Return a hint from the index about an exact version that is not available, or None.

    :param version: str, exact.
    :param platform: str, ``linux_amd64``.
    :param listing: dict of version and platforms, from parse_index().
    """
    if version in listing:
        if platform in listing[version]:
            return (
                "the index lists it, and the site lacks the file: copy it there; or it is being published, if the release "
                "is minutes old: try again then"
            )
        another = "version or platform" if any(platform in builds for builds in listing.values()) else "platform"
        return "choose another %s: %s" % (another, describe_first(platform, listing))
    return _nearest(version, [other for other in listing if platform in listing[other]])


def describe_first(platform: Optional[str], listing: Listing) -> str:
    """Say which version is the first with a build for a platform: part of a sentence."""
    having = sorted((version for version in listing if platform in listing[version]), key=sort_key)
    final = [version for version in having if not components(version)[1]] or having
    return (
        "the first version with a build for %s is %s" % (platform, final[0])
        if final
        else ("no version has a build for %s" % platform)
    )


def _nearest(version: str, published: List[str]) -> Optional[str]:
    """Return a hint with the published versions nearest to one that is not published, or None."""
    place = sort_key(version)
    near: Dict[str, List[str]] = {}  # version -> its relation to the requested one
    lower = _final_first(version, [other for other in published if sort_key(other) < place])
    higher = _final_first(version, [other for other in published if sort_key(other) > place])
    patches = [
        other
        for other in published
        if components(other)[0][:2] == components(version)[0][:2] and not components(other)[1]
    ]
    for word, candidates, choose in (
        ("next lower", lower, max),
        ("next higher", higher, min),
        ("newest %d.%d" % components(version)[0][:2], patches, max),
    ):
        if candidates:
            near.setdefault(choose(candidates, key=sort_key), []).append(word)
    described = ["%s (%s)" % (found, ", ".join(words)) for found, words in near.items()]
    return "versions there: %s" % ", ".join(described) if described else None


def _final_first(version: str, others: List[str]) -> List[str]:
    """Keep final versions, and for a pre-release also those with the same numbers; all if none remain."""
    numbers, pre_release = components(version)
    return [
        other for other in others if not components(other)[1] or pre_release and components(other)[0] == numbers
    ] or others
