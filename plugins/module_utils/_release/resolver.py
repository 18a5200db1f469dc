# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolves ``latest`` or a constraint to one version: the newest allowed one, on a site or installed.

Installed versions take part, so that no outdated or hostile site can downgrade a host. Versions without a build for the
platform are skipped. This file downloads nothing: the caller provides the listings.
"""

from typing import Any, Callable, Collection, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from .._errors import FetchError, RequestError
from .._records import PRODUCT, Listing, Log, Ordered
from .._versions.version import components, is_exact, sort_key
from .index import IndexFetchError, describe_first

_SHOWN = 3  # versions in one message
_GONE = (404, 410)


class Choice(NamedTuple):
    """The result for one listing and the installed versions."""

    version: Optional[str]  # the newer of ``offered`` and ``installed``; None: there is neither
    offered: Optional[str]  # the newest allowed version with a build for the platform
    installed: Optional[str]  # the newest allowed version that is intact on the host
    passed_over: Tuple[str, ...]  # allowed and newer than ``offered``, but without a build; newest first


def newest_version(versions: Iterable[str]) -> Optional[str]:
    """Return the newest of some exact versions, or None if there are none."""
    return max(versions, key=sort_key, default=None)


def matching_versions(wanted: Any, names: Iterable[str]) -> List[str]:
    """Return the names that are allowed versions, oldest first: list of str."""
    return sorted((name for name in names if is_exact(name) and wanted.allows(name)), key=sort_key)


def choose_version(wanted: Any, platform: Optional[str], listing: Listing, installed: Iterable[str]) -> Choice:
    """Choose between what one site lists and what is installed.

    :param wanted: VersionSpec, ``latest`` or a constraint.
    :param platform: str, ``linux_amd64``; None: not known yet.
    :param listing: dict of version and platforms, of one site.
    :param installed: versions that are intact on the host and built for the platform.
    :returns: Choice.
    """
    allowed = [version for version in listing if wanted.allows(version)]
    offered = newest_version(version for version in allowed if platform in listing[version])
    lacking = (
        version
        for version in allowed
        if platform not in listing[version] and (offered is None or sort_key(version) > sort_key(offered))
    )
    kept = newest_version(matching_versions(wanted, installed))
    return Choice(
        newest_version(version for version in (offered, kept) if version),
        offered,
        kept,
        tuple(sorted(lacking, key=sort_key, reverse=True)),
    )


def resolve_version(
    request: Ordered, installed: Collection[str], listing_of: Callable[[str], Listing], log: Log
) -> Tuple[str, str]:
    """Resolve a request to an exact version, from the first site that has one and from the installed versions.

    :param request: Request or DownloadRequest; ``wanted``, ``platform``, ``sites`` and ``offline_ok`` are used.
    :param installed: versions that are intact on the host and built for the platform.
    :param listing_of: callable(site) -> dict of version and platforms; may raise FetchError.
    :param log: callable(line, warning=False).
    :returns: (str: the version, str: a line that says how it was chosen).
    :raises FetchError: no site answered, and the request does not allow an installed version in that case.
    :raises RequestError: no allowed version is published or installed.
    """
    failures: List[FetchError] = []
    without_match: List[str] = []
    choice = choose_version(request.wanted, request.platform, {}, installed)
    for site, listing in _listings(request, listing_of, failures, log):
        choice = choose_version(request.wanted, request.platform, listing, installed)
        if choice.version and choice.offered:
            return choice.version, _describe_choice(request, choice.version, choice, site, log)
        without_match.append(_describe_missing(request, choice, site, listing))
    if choice.installed and not failures:
        return choice.installed, _keep_installed(request, choice.installed, "; ".join(without_match), log)
    if not failures:
        raise RequestError(
            "no version matches %s: %s" % (_describe_request(request), " | ".join(without_match)),
            hint="write another constraint, or choose another platform or site",
        )
    failed = " | ".join(without_match + [str(exc) for exc in failures])
    if choice.installed and request.offline_ok and not request.wanted.is_latest:
        return choice.installed, _keep_installed(
            request, choice.installed, "no site could be asked (offline_ok): %s" % failed, log
        )
    hint = _hint_without_index(request, choice.installed, failures[-1])
    raise _no_answer_error(request, hint, failures, without_match) from failures[-1]


def offered_versions(request: Ordered, listing_of: Callable[[str], Listing], log: Log) -> List[str]:
    """Return the versions among which resolve_version() would choose if nothing were installed, newest first.

    :param request: DownloadRequest; ``wanted``, ``platform`` and ``sites`` are used. Without a platform, a build for
        any platform is enough.
    :param listing_of, log: as for resolve_version().
    :returns: list of str, from the first site that has one; empty if all sites answered and none has one.
    :raises FetchError: a site did not answer, and no other one has a version.
    """
    failures: List[FetchError] = []
    without_match: List[str] = []
    for site, listing in _listings(request, listing_of, failures, log):
        offered = [
            version
            for version in matching_versions(request.wanted, listing)
            if (request.platform in listing[version] if request.platform else listing[version])
        ]
        if offered:
            return offered[::-1]
        platform = " for %s" % request.platform if request.platform else ""
        without_match.append("%s lists %d versions, and none%s that matches" % (site, len(listing), platform))
        log("%s: %s" % (_describe_request(request), without_match[-1]))
    if failures:
        raise _no_answer_error(request, failures[-1].hint, failures, without_match) from failures[-1]
    return []


def _listings(
    request: Ordered, listing_of: Callable[[str], Listing], failures: List[FetchError], log: Log
) -> Iterator[Tuple[str, Listing]]:
    """Yield each site that answers, with its listing; add the errors of the others to ``failures``."""
    for site in request.sites:
        try:
            listing = listing_of(site)
        except FetchError as exc:
            failures.append(exc)
            if len(request.sites) > 1:
                log("site failed: %s: %s" % (site, exc), warning=exc.status in (401, 403))
            continue
        yield site, listing


def _describe_choice(request: Ordered, version: str, choice: Choice, site: str, log: Log) -> str:
    """Describe the choice when a site offers a version."""
    over = (
        "; passed over, having no build for %s: %s" % (request.platform, _list(choice.passed_over))
        if choice.passed_over
        else ""
    )
    if version == choice.offered:
        line = "%s is %s, the newest that matches on %s%s" % (_describe_request(request), version, site, over)
        log(line)
        return line
    return _keep_installed(
        request, version, "%s is behind, the newest that matches there is %s%s" % (site, choice.offered, over), log
    )


def _keep_installed(request: Ordered, version: str, why: str, log: Log) -> str:
    """Describe the choice when an installed version is newer than every offered one."""
    line = "%s is %s, which is installed; %s" % (_describe_request(request), version, why)
    log(line, warning=True)
    return line


def _describe_missing(request: Ordered, choice: Choice, site: str, listing: Listing) -> str:
    """Describe what a site has in place of the requested version."""
    if choice.passed_over:
        return "%s has no build for %s of %s; %s" % (
            site,
            request.platform,
            _list(choice.passed_over),
            describe_first(request.platform, listing),
        )
    having = [version for version in listing if request.platform in listing[version]]
    built = newest_version(version for version in having if not components(version)[1]) or newest_version(having)
    if built is None:
        return "%s lists nothing for %s" % (site, request.platform)
    return "%s lists %d versions, the newest for %s is %s" % (site, len(listing), request.platform, built)


def _hint_without_index(request: Ordered, installed: Optional[str], failure: FetchError) -> Optional[str]:
    """Return what else could be asked for where no site answered, or else the hint of the failure."""
    if installed and request.wanted.is_latest:
        return "%s %s is installed: ask for it, or for a constraint with offline_ok: true" % (PRODUCT, installed)
    if installed:
        return "%s %s is installed and matches: offline_ok: true would use it" % (PRODUCT, installed)
    if failure.status in _GONE or isinstance(failure, IndexFetchError):
        return "an exact version needs no index: write it, or %s" % failure.hint
    return failure.hint


def _no_answer_error(
    request: Ordered, hint: Optional[str], failures: List[FetchError], without_match: List[str]
) -> FetchError:
    """Return the FetchError for the case that no site answered. The failures stay as they are: they may be cached."""
    if len(failures) == 1 and not without_match:
        only = failures[0]
        return FetchError(str(only), status=only.status, path=only.path, url=only.url, errno=only.errno, hint=hint)
    reasons = " | ".join(without_match + [str(exc) for exc in failures])
    return FetchError("no site has %s: %s" % (_describe_request(request), reasons), url=failures[-1].url, hint=hint)


def _describe_request(request: Ordered) -> str:
    """Return the requested version on one line."""
    return ascii(" ".join(request.wanted.text.split()))[1:-1]


def _list(versions: Sequence[str]) -> str:
    shown = ", ".join(versions[:_SHOWN])
    return shown if len(versions) <= _SHOWN else "%s and %d more" % (shown, len(versions) - _SHOWN)
