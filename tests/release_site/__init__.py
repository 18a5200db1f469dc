# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release site for demonstrations and tests: the layout of releases.hashicorp.com, and all that can go wrong with it.

    from release_site import Site, misbehaviours

    with Site(versions=("1.9.8", "1.13.3", "1.13.4")) as site:
        site.url, site.key.armored                              # give these to the module: sites, trusted_keys
        site.misbehave("*linux_amd64.zip", misbehaviours.truncate(at=1000), times=2)
        site.publish("1.13.5", archives={"linux_amd64": odd_archives.REFUSED["symlink"](binary)})
        site.counts("linux_amd64.zip").bytes                    # what was asked of it

It needs Python 3.9, the standard library, and ``cryptography`` for the keys. ``python -m release_site`` serves one.

``sites``           the Site: releases, rules, and a server
``releases``        archives, sums, signatures and index as bytes
``executables``     a tiny real terraform for each platform
``odd_archives``    zips that are not what they should be; ``zips`` writes them
``openpgp_maker``   signing keys, good signatures and bad ones
``misbehaviours``   what can go wrong between client and site; they work with ``exchange``; ``replies`` is what is right
``server``          HTTP/1.1 over TCP or TLS; ``certificates`` for the latter
"""

from . import certificates, executables, misbehaviours, odd_archives, releases
from .openpgp_maker import make_signing_key
from .sites import Site

__all__ = [
    "Site",
    "certificates",
    "executables",
    "make_signing_key",
    "misbehaviours",
    "odd_archives",
    "releases",
]
