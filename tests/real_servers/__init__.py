# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers that users have between themselves and a release: the real programs, for the time of a test.

    with nginx(folder, certificate, users={"alice": "word"}, clients=authority.pem) as mirror:
        mirror.http, mirror.https, mirror.guarded, mirror.locked    # four ways to the folder
        mirror.asked()                                              # what was asked of it
    with squid(users={"alice": "word"}) as proxy:
        proxy.known("alice", "word")                                # for https_proxy
    with squid(inspector=Authority(), origins=authority.pem) as proxy: ...

They run for root and for a plain user, write nothing outside a folder of their own, and are gone when the body has
ended, however it ends. Where a program is not installed, the test that asks for it is skipped with the reason.
"""

from .nginx import nginx
from .squid import PLACE, squid

__all__ = ["PLACE", "nginx", "squid"]
