# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a vendor publishes: archives, SHA256SUMS, signatures and the index, laid out as releases.hashicorp.com does.

Everything here is bytes for given input and nothing is kept; the same input gives the same bytes (only signatures
depend on the key, and on the moment they are made).
"""

import functools
import hashlib
import json
from typing import Dict, NamedTuple

from . import executables, zips

PRODUCT = "terraform"
PUBLIC_SITE = "https://releases.hashicorp.com"
PLATFORMS = ("darwin_arm64", "linux_amd64", "linux_arm64", "windows_amd64")

# How an entry of the index describes a release:
SHAPES = (
    "current",  # with shasums_signatures, as today
    "old",  # without it, as entries of 2017 have it
    "bare",  # nothing but what each build is: no sums, no signatures, no URL (hand-made mirrors)
)
_LICENSE = b"License text of a demo release: there is nothing in it to license.\n"


class Release(NamedTuple):
    """One published version: what is signed agrees with what is served unless the caller wanted otherwise."""

    version: str
    archives: Dict[str, bytes]  # platform: the zip
    names: Dict[str, str]  # platform: the file name of its zip
    sums: bytes  # SHA256SUMS
    signatures: Dict[str, bytes]  # file name: a detached signature of the sums
    shape: str  # one of SHAPES

    @property
    def folder(self):
        return "%s/%s" % (PRODUCT, self.version)

    @property
    def sums_name(self):
        return "%s_%s_SHA256SUMS" % (PRODUCT, self.version)

    def digest(self, platform):
        """SHA-256 of an archive, as hex: what ``checksum`` wants."""
        return hashlib.sha256(self.archives[platform]).hexdigest()


def make_archive(version, platform, **how):
    """The zip of one platform: LICENSE.txt and the executable.

    :param how: ``exit_status``, ``padding``, ``hang``: see ``executables.terraform``.
    """
    suffix = ".exe" if platform.startswith("windows_") else ""
    binary = executables.terraform(version, platform, **how)
    return zips.pack(
        [
            zips.Member(b"LICENSE.txt", _LICENSE),
            zips.Member((PRODUCT + suffix).encode(), binary, zips.FILE | 0o755),
        ]
    )


_usual_archive = functools.lru_cache(maxsize=256)(make_archive)


def make_release(version, platforms=PLATFORMS, archives=None, names=None, sums=None, shape="current"):
    """A release without signatures.

    :param platforms: those to build the usual archive for.
    :param archives: dict of platform and zip bytes, in place of the usual ones or beside them.
    :param names: dict of platform and file name, where it is not the usual one.
    :param sums: bytes to publish as SHA256SUMS; None: the right ones.
    :raises ValueError: for an unknown shape or platform.
    """
    if shape not in SHAPES:
        raise ValueError("shape is %r, expected one of %s" % (shape, ", ".join(SHAPES)))
    archives = dict({platform: _usual_archive(version, platform) for platform in platforms}, **archives or {})
    file_names = {platform: "%s_%s_%s.zip" % (PRODUCT, version, platform) for platform in archives}
    file_names.update(names or {})
    if sums is None:
        sums = make_sums({file_names[platform]: archive for platform, archive in archives.items()})
    return Release(version, archives, file_names, sums, {}, shape)


def make_sums(files):
    """SHA256SUMS for a dict of file name and bytes: one line each, in the order of the names."""
    lines = ["%s  %s\n" % (hashlib.sha256(data).hexdigest(), name) for name, data in sorted(files.items())]
    return "".join(lines).encode()


def with_signature(release, signature, key_id):
    """The release with this signature under both its names, the plain one and the one of the key.

    :param signature: bytes; None for a release without any.
    :param key_id: str, the last eight hex digits of the key's fingerprint.
    """
    names = ["%s.%s.sig" % (release.sums_name, key_id), "%s.sig" % release.sums_name]
    return release._replace(signatures={} if signature is None else {name: signature for name in names})


def lay_out(release):
    """The files of a release: dict of path on the site (no leading slash) and bytes."""
    files = {release.names[platform]: archive for platform, archive in release.archives.items()}
    files[release.sums_name] = release.sums
    files.update(release.signatures)
    files["index.json"] = _as_json(describe(release))
    return {"%s/%s" % (release.folder, name): data for name, data in files.items()}


def make_index(releases):
    """The product's index.json for these releases."""
    return _as_json({"name": PRODUCT, "versions": {release.version: describe(release) for release in releases}})


def describe(release):
    """A release's entry in the index: a dict in the shape of the release. URLs are those of the public site."""
    builds = [_describe_build(release, platform) for platform in sorted(release.archives)]
    entry = {"builds": builds, "name": PRODUCT, "version": release.version}
    if release.shape != "bare":
        entry["shasums"] = release.sums_name
        entry["shasums_signature"] = "%s.sig" % release.sums_name
    if release.shape == "current":
        entry["shasums_signatures"] = list(release.signatures)
    return entry


def _describe_build(release, platform):
    system, _score, arch = platform.partition("_")
    name = release.names[platform]
    build = {"arch": arch, "filename": name, "name": PRODUCT, "os": system, "version": release.version}
    if release.shape != "bare":
        build["url"] = "%s/%s/%s" % (PUBLIC_SITE, release.folder, name)
    return build


def _as_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
