# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From ``latest`` or a constraint to the one version: the newest that is allowed, on a site or installed.

The installed versions take part, so that no site, stale or hostile, can roll a host back. What is published without a
build for the platform is passed over. It asks for nothing itself: whoever calls hands in the listings.
"""

from typing import Any, Callable, Collection, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ._errors import FetchError, RequestError
from ._index import tell_first
from ._model import PRODUCT, Listing, Log, Ordered
from ._versions import is_exact, order, split

_SHOWN = 3      # versions in a message


class Choice(NamedTuple):
    """What one listing and the installed versions come to."""

    version: Optional[str]          # the newest of the next two; None: neither has any
    offered: Optional[str]          # the newest allowed version with a build for the platform
    installed: Optional[str]        # the newest allowed version that is intact on the host
    passed_over: Tuple[str, ...]    # allowed and newer than what is offered, without a build; the newest first


def newest(versions: Iterable[str]) -> Optional[str]:
    """The newest of some exact versions; None of none."""
    return max(versions, key=order, default=None)


def matching(wanted: Any, names: Iterable[str]) -> List[str]:
    """Those of some names that are versions and allowed, the oldest first: list of str."""
    return sorted((name for name in names if is_exact(name) and wanted.allows(name)), key=order)


def choose(wanted: Any, platform: Optional[str], listing: Listing, installed: Iterable[str]) -> Choice:
    """Choose among what one site lists and what is installed.

    :param wanted: Wanted, ``latest`` or a constraint.
    :param listing: dict of version and platforms, of one site.
    :param installed: the intact versions on the host that are of the platform.
    :returns: Choice.
    """
    allowed = [version for version in listing if wanted.allows(version)]
    offered = newest(version for version in allowed if platform in listing[version])
    lacking = (version for version in allowed if platform not in listing[version]
               and (offered is None or order(version) > order(offered)))
    kept = newest(matching(wanted, installed))
    return Choice(newest(version for version in (offered, kept) if version), offered, kept,
                  tuple(sorted(lacking, key=order, reverse=True)))


def resolve(
        wish: Ordered, installed: Collection[str], listing_of: Callable[[str], Listing], say: Log) -> Tuple[str, str]:
    """The exact version for a wish, from the first site that has one, and the installed ones.

    :param wish: Wish with ``wanted``, ``platform``, ``sites``, ``offline_ok``.
    :param installed: the intact versions on the host that are of the platform.
    :param listing_of: callable(site) -> dict of version and platforms; it may raise FetchError.
    :param say: callable(line, warning=False).
    :returns: (str: the version, str: a line that says how it was chosen).
    :raises FetchError: no site could be asked, and what is installed may not be used instead.
    :raises RequestError: nothing that is allowed is published or installed.
    """
    failures: List[FetchError] = []
    barren: List[str] = []
    choice = choose(wish.wanted, wish.platform, {}, installed)
    for site in wish.sites:
        try:
            listing = listing_of(site)
        except FetchError as exc:
            failures.append(exc)
            if len(wish.sites) > 1:
                say("site failed: %s: %s" % (site, exc), warning=exc.status in (401, 403))
            continue
        choice = choose(wish.wanted, wish.platform, listing, installed)
        if choice.version and choice.offered:
            return choice.version, _told(wish, choice.version, choice, site, say)
        barren.append(_lack(wish, choice, site, listing))
    if choice.installed and not failures:
        return choice.installed, _keep(wish, choice.installed, "; ".join(barren), say)
    if not failures:
        raise RequestError("no version matches %s: %s" % (_shown(wish), " | ".join(barren)),
                           hint="write another constraint, or choose another platform or site")
    failed = " | ".join(barren + [str(exc) for exc in failures])
    if choice.installed and wish.offline_ok and not wish.wanted.is_latest:
        return choice.installed, _keep(wish, choice.installed, "no site could be asked (offline_ok): %s" % failed, say)
    raise _unanswered(wish, choice, failures, barren)


def _told(wish: Ordered, version: str, choice: Choice, site: str, say: Log) -> str:
    """How it was chosen, where a site has a version to offer."""
    over = "; passed over, having no build for %s: %s" % (wish.platform, _list(choice.passed_over)) \
        if choice.passed_over else ""
    if version == choice.offered:
        line = "%s is %s, the newest that matches on %s%s" % (_shown(wish), version, site, over)
        say(line)
        return line
    return _keep(wish, version, "%s is behind, the newest that matches there is %s%s" % (site, choice.offered, over), say)


def _keep(wish: Ordered, version: str, why: str, say: Log) -> str:
    """How it was chosen, where an installed version is newer than anything offered."""
    line = "%s is %s, which is installed; %s" % (_shown(wish), version, why)
    say(line, warning=True)
    return line


def _lack(wish: Ordered, choice: Choice, site: str, listing: Listing) -> str:
    """What a site has instead of what was asked for."""
    if choice.passed_over:
        return "%s has no build for %s of %s; %s" % (
            site, wish.platform, _list(choice.passed_over), tell_first(wish.platform, listing))
    having = [version for version in listing if wish.platform in listing[version]]
    built = newest(version for version in having if not split(version)[1]) or newest(having)
    if built is None:
        return "%s lists nothing for %s" % (site, wish.platform)
    return "%s lists %d versions, the newest for %s is %s" % (site, len(listing), wish.platform, built)


def _unanswered(wish: Ordered, choice: Choice, failures: List[FetchError], barren: List[str]) -> FetchError:
    """The error when no site had an answer: FetchError."""
    hint = failures[-1].hint
    if choice.installed:
        hint = "%s %s is installed and matches: offline_ok: true would use it" % (PRODUCT, choice.installed)
        if wish.wanted.is_latest:
            hint = "%s %s is installed: ask for it, or for a constraint with offline_ok: true" % (PRODUCT, choice.installed)
    if len(failures) == 1 and not barren:
        failures[0].hint = hint
        return failures[0]
    told = " | ".join(barren + [str(exc) for exc in failures])
    return FetchError("no site has %s: %s" % (_shown(wish), told), url=failures[-1].url, hint=hint)


def _shown(wish: Ordered) -> str:
    """What was asked for, on one line."""
    return ascii(" ".join(wish.wanted.text.split()))[1:-1]


def _list(versions: Sequence[str]) -> str:
    shown = ", ".join(versions[:_SHOWN])
    return shown if len(versions) <= _SHOWN else "%s and %d more" % (shown, len(versions) - _SHOWN)
