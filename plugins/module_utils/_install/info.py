# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is below a base dir and at some links, for people: the return values of terraform_binary_info.

Read-only, for any user. What cannot be read is a value with the reason, and not an error: a look at a fleet has to say
what is wrong with each host. Names and receipts may be anybody's, so texts are cut, and lists have an end.
"""

import contextlib
import errno
import os
import pwd
import re
import stat
import time
from typing import Any, List, NamedTuple, Optional, Tuple

from .._errors import InstallError, RequestError, errno_text
from .._fs import symlink
from .._fs.accounts import group_name, user_name
from .._fs.directory import Directory, TrustedOwners, check_entry, find_trusted_directory, kind_text, trusted_owners
from .._fs.lock import is_held
from .._fs.paths import absolute_path
from .._fs.temp_files import list_temp_files
from .._records import DEFAULT_BASE_DIR, PRODUCT, RECEIPT, Params, Receipt
from .._versions.version import is_exact, sort_key
from . import installed

MANY = 200  # elements of one list
LONG = 1000  # characters of one text
_LINKS = 10  # links of one receipt
_MOST_LINKS = 100  # paths in the option links
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")
_OWN = (PRODUCT, RECEIPT)


class InfoRequest(NamedTuple):
    """What to look at. Every field has been checked."""

    base_dir: str  # absolute, normalized
    links: Tuple[str, ...]  # the same
    owners: TrustedOwners  # their files are trusted
    full: bool  # hash the binaries


def parse_info_request(params: Params) -> InfoRequest:
    """Check the options.

    :param params: of terraform_binary_info, as in INFO_SPEC.
    Raises RequestError.
    """
    base_dir = (params["base_dir"] or "").strip() or DEFAULT_BASE_DIR
    links = [link for link in params["links"] or () if link.strip()]
    if len(links) > _MOST_LINKS:
        raise RequestError(
            "links has %d paths, expected at most %d" % (len(links), _MOST_LINKS),
            hint="ask for the others in another task",
        )
    return InfoRequest(
        base_dir=absolute_path(base_dir, "base_dir", DEFAULT_BASE_DIR),
        links=tuple(absolute_path(link, "links", "/usr/local/bin/terraform") for link in links),
        owners=trusted_owners(_uid_of(params["owner"])),
        full=params["verify"] == "full",
    )


def _uid_of(owner: Optional[str]) -> Optional[int]:
    """Return the uid of an account by name or number; None if there is none, which therefore owns nothing here."""
    name = (owner or "").strip()
    with contextlib.suppress(KeyError, ValueError, OverflowError):
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    return None


def read_info(request: InfoRequest) -> Params:
    """Look at the base dir and at the links.

    :returns: the return values of terraform_binary_info.
    """
    lists = _Lists()
    weak: List[str] = []
    state, reason = "unreadable", None
    try:
        base, whole = find_trusted_directory(request.base_dir, "base_dir", request.owners, weak)
        with base:
            if whole:
                _read_base(base, request, lists)
                unsafe = base.unsafe_reason(None)
                weak += [unsafe.reason] if unsafe else []
                state = "present"
            else:
                state, reason = "absent", "%s does not exist" % request.base_dir
    except InstallError as exc:
        reason = str(exc)
    if state == "present":
        reason = "; ".join(weak) or None
    return {
        "msg": _summary(request.base_dir, state, reason, lists.versions),
        "base_dir": request.base_dir,
        "base_dir_state": state,
        "base_dir_safe": not weak if state == "present" else None,
        "base_dir_reason": _text(reason),
        "versions": lists.versions,
        "unmanaged": lists.unmanaged,
        "stale_files": lists.stale_files,
        "locks": lists.locks,
        "not_listed": lists.dropped,
        "links": [_read_link(link, request) for link in request.links],
    }


def _summary(base_dir: str, state: str, reason: Optional[str], versions: List[Params]) -> str:
    """Return one line about the versions."""
    if state != "present":
        return "no version can be listed: %s" % _text(reason)
    wrong = ["%s (%s)" % (each["version"], each["reason"]) for each in versions if not each["intact"]]
    if not versions:
        return "no versions below %s" % base_dir
    count = "1 version" if len(versions) == 1 else "%d versions" % len(versions)
    names = ", ".join(each["version"] for each in versions)
    found = "%d not intact: %s" % (len(wrong), ", ".join(wrong)) if wrong else "all intact: %s" % names
    return _text("%s below %s, %s" % (count, base_dir, found)) or ""


class _Lists:
    """The lists of a result. Each takes only the first MANY elements, and the rest are counted."""

    def __init__(self) -> None:
        self.versions: List[Params] = []
        self.unmanaged: List[Params] = []
        self.stale_files: List[Params] = []
        self.locks: List[Params] = []
        self.dropped = 0

    def add(self, to: List[Any], value: Any) -> None:
        if len(to) < MANY:
            to.append(value)
        else:
            self.dropped += 1


def _read_base(base: Directory, request: InfoRequest, lists: _Lists) -> None:
    """Fill the lists. Raises InstallError if the base dir cannot be read."""
    names = base.names()
    versions = sorted((name for name in names if is_exact(name)), key=sort_key, reverse=True)
    lists.dropped += len(versions[MANY:])
    seen = [(name, _look(base, name, request)) for name in versions[:MANY]]
    if any(one.may_pass for _name, one in seen):
        time.sleep(installed.RETRY_SECONDS)
        seen = [(name, _look(base, name, request) if one.may_pass else one) for name, one in seen]
    for name, one in seen:
        _sort_in(name, one, request, lists)
    for name in names:
        path = "%s/%s" % (request.base_dir, name)
        version = installed.version_of_lock(name)
        if version is not None:
            lists.add(lists.locks, {"path": _text(path), "version": version, "held": _is_held(base, name)})
        elif not is_exact(name):
            lists.add(lists.unmanaged, {"path": _text(path), "reason": _kind(base, name)})


class _Seen(NamedTuple):
    """What a look at an entry that is called like a version shows."""

    names: Tuple[str, ...] = ()  # of its entries
    stale: Tuple[Tuple[str, Optional[int], Optional[bool]], ...] = ()  # stale temporary files: name, bytes, held
    others: Tuple[Tuple[str, str], ...] = ()  # those that are not ours, each with what it is
    found: Optional[installed.Examination] = None
    kind: Optional[str] = None  # what it is, if it is not a directory
    error: Optional[str] = None  # why it cannot be read
    gone: bool = False  # it was removed just now
    may_pass: bool = False  # another run may be between two of its steps: look again


def _look(base: Directory, name: str, request: InfoRequest) -> _Seen:
    try:
        entry = base.stat(name)
        if entry is None:
            return _Seen(gone=True)
        if not stat.S_ISDIR(entry.st_mode):
            return _Seen(kind=kind_text(entry))
        with base.enter(name) as directory:
            names = tuple(directory.names())
            temporary = list_temp_files(directory)
            held = _is_held(base, ".terraform-%s.lock" % name) if temporary else None
            stale = () if held else tuple((each, _size(directory, each), held) for each in temporary)
            others = tuple(
                (each, _kind(directory, each)) for each in names if each not in temporary and each not in _OWN
            )
            found = installed.examine(directory, name, installed.ALWAYS if request.full else installed.NEVER)
            return _Seen(names, stale, others, found, may_pass=bool(found.wrong) and RECEIPT in names)
    except InstallError as exc:
        return _Seen(error=str(exc), may_pass=exc.errno in (errno.ENOENT, errno.ESTALE))


def _is_held(base: Directory, lock: str) -> Optional[bool]:
    try:
        return is_held(base, lock)
    except InstallError:
        return None


def _size(directory: Directory, name: str) -> Optional[int]:
    found: Optional[os.stat_result] = directory.stat(name)
    return found.st_size if found else None


def _kind(directory: Directory, name: str) -> str:
    """Return what an entry is, or why it cannot be looked at."""
    try:
        found = directory.stat(name)
    except InstallError as exc:
        return _text(str(exc)) or ""
    return kind_text(found) if found else "it was removed just now"


def _sort_in(name: str, seen: _Seen, request: InfoRequest, lists: _Lists) -> None:
    """Add what was seen of an entry that is called like a version to the lists."""
    path = "%s/%s" % (request.base_dir, name)
    if seen.gone:
        return
    if seen.kind:
        lists.add(lists.unmanaged, {"path": _text(path), "reason": seen.kind})
    elif seen.found is None or RECEIPT in seen.names:
        lists.add(lists.versions, _version(name, seen, request))
    elif PRODUCT in seen.names:
        why = "it has a binary without a receipt, which this module did not install"
        lists.add(lists.unmanaged, {"path": _text(path), "reason": why})
    else:
        why = "it has neither a binary nor a receipt: an installation runs, or was interrupted"
        lists.add(lists.unmanaged, {"path": _text(path), "reason": why})
    for each, size, held in seen.stale:
        lists.add(lists.stale_files, {"path": _text("%s/%s" % (path, each)), "size": size, "held": held})
    for each, kind in seen.others:
        lists.add(lists.unmanaged, {"path": _text("%s/%s" % (path, each)), "reason": kind})


def _version(name: str, seen: _Seen, request: InfoRequest) -> Params:
    """Return the entry for a version in the result."""
    found = seen.found or installed.Examination(None, None, None, None, None, None)
    receipt, status = found.receipt, found.stat
    reason = seen.error or found.wrong or found.doubt or found.writers
    if reason == found.doubt and reason != found.writers:
        reason = "%s; verify: full hashes it" % reason
    intact = None if seen.error else not reason
    known = found.sha256 or (receipt.sha256 if receipt and intact else None)
    result: Params = {
        "version": name,
        "path": "%s/%s/%s" % (request.base_dir, name, PRODUCT),
        "intact": intact,
        "reason": _text(reason),
        "sha256": known,
        "size": status.st_size if status else None,
        "mode": "%04o" % stat.S_IMODE(status.st_mode) if status else None,
        "owner": _text(user_name(status.st_uid)) if status else None,
        "group": _text(group_name(status.st_gid)) if status else None,
    }
    return dict(result, **_from_receipt(receipt, "%s/%s/%s" % (request.base_dir, name, RECEIPT)))


def _from_receipt(receipt: Optional[Receipt], path: str) -> Params:
    """Return the part of an entry that its receipt says: nulls without a valid one."""
    if receipt is None:
        names = ("platform", "policy", "signer", "signed_at", "archive_sha256", "site", "run_check")
        return dict(dict.fromkeys(names + ("installed_at", "collection", "receipt")))
    moment = receipt.installed_at if _MOMENT.match(receipt.installed_at or "") else None
    return {
        "platform": _text(receipt.platform),
        "policy": _text(receipt.policy),
        "signer": _text(receipt.signer),
        "signed_at": None if receipt.signed_at is None else _rfc3339(receipt.signed_at),
        "archive_sha256": receipt.archive_sha256,
        "site": _text(receipt.origin),
        "run_check": _text(receipt.run_check),
        "installed_at": moment,
        "collection": _text(receipt.collection),
        "receipt": {
            "path": path,
            "format": receipt.format,
            "sha256": receipt.sha256,
            "size": receipt.size,
            "links": [_text(link) for link in receipt.links[:_LINKS]],
            "base_dir_unsafe": [_text(line) for line in receipt.base_dir_unsafe[:_LINKS]],
        },
    }


def _read_link(path: str, request: InfoRequest) -> Params:
    """Return where a link points, and whether others could switch it."""
    result: Params = {
        "path": _text(path),
        "kind": None,
        "target": None,
        "version": None,
        "below_base_dir": None,
        "dangling": None,
        "safe": None,
        "reason": None,
    }
    folder, _slash, name = path.rpartition("/")
    weak: List[str] = []
    try:
        directory, whole = find_trusted_directory(folder or "/", "link", request.owners, weak)
        with directory:
            if not whole:
                return dict(result, kind="absent")
            entry = directory.stat(name)
            check_entry(directory, entry, path, "link", weak)
            found = symlink.read_link_state(directory, name)
            if entry is not None and found.target is not None and entry.st_uid not in request.owners.uids:
                weak.append("the link belongs to %s" % user_name(entry.st_uid))
            result.update(kind="link" if found.target is not None else found.kind, target=_text(found.target))
    except InstallError as exc:
        return dict(result, reason=_text(str(exc)))
    result.update(safe=not weak)
    if found.target is not None:
        result.update(_resolved(path, request.base_dir, weak))
    return dict(result, reason=_text("; ".join(weak) or None))


def _resolved(path: str, base_dir: str, reasons: List[str]) -> Params:
    """Return where a link leads in the end. If that cannot be seen, the reason is added to the list."""
    there, base = os.path.realpath(path), os.path.realpath(base_dir)
    below = there.startswith(base + "/")
    version, _slash, name = there[len(base) + 1 :].partition("/")
    found: Params = {
        "below_base_dir": below,
        "version": version if below and is_exact(version) and name == PRODUCT else None,
    }
    try:
        os.stat(path)
    except FileNotFoundError:
        return dict(found, dangling=True)
    except OSError as exc:
        reasons.append("its target cannot be looked at: %s" % errno_text(exc.errno, exc))
        return found
    return dict(found, dangling=False)


def _text(value: Optional[str]) -> Optional[str]:
    """Return a text that is not too long for a result; main() replaces what cannot be printed."""
    if value is None or len(value) <= LONG:
        return value
    return value[: LONG - 3] + "..."


def _rfc3339(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
