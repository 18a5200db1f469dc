# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host answers about its binaries, as a typed record: every result of terraform_binary_info passes here.

The host may be compromised, as in gate.py, whose Gate reads each field. Whatever the record has no field for is dropped,
such as facts. The result of the task, and the report on all hosts, are made from the record only.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ...module_utils._records import DEFAULT_BASE_DIR, PRODUCT, RECEIPT, Params
from .gate import HEX, MOMENT, Gate, asked_path

_MANY = 200  # elements of one list, as the module has it
_FEW = 10  # elements of one list of a receipt
_MOST_LINKS = 100
_ALL = 1 << 22  # characters of all texts of one host
_STATES = ("present", "absent", "unreadable")
_KINDS = ("link", "absent", "file", "directory", "other")


class ReceiptInfo(NamedTuple):
    """What the receipt of a version says about the binary and its place."""

    path: str
    format: int
    sha256: str
    size: int
    links: Tuple[str, ...]
    base_dir_unsafe: Tuple[str, ...]


class VersionInfo(NamedTuple):
    """One installed version. Null is None: unknown, or the receipt does not say it."""

    version: str
    path: str
    intact: Optional[bool]
    reason: Optional[str]
    sha256: Optional[str]
    size: Optional[int]
    mode: Optional[str]
    owner: Optional[str]
    group: Optional[str]
    platform: Optional[str]
    policy: Optional[str]
    signer: Optional[str]
    signed_at: Optional[str]
    archive_sha256: Optional[str]
    site: Optional[str]
    run_check: Optional[str]
    installed_at: Optional[str]
    collection: Optional[str]
    receipt: Optional[ReceiptInfo]


class LinkInfo(NamedTuple):
    """Where one of the links points."""

    path: str
    kind: Optional[str]
    target: Optional[str]
    version: Optional[str]
    below_base_dir: Optional[bool]
    dangling: Optional[bool]
    safe: Optional[bool]
    reason: Optional[str]


class OtherFile(NamedTuple):
    """Something below the base dir that is not ours."""

    path: str
    reason: str


class StaleFile(NamedTuple):
    """A temporary file."""

    path: str
    size: Optional[int]
    held: Optional[bool]


class LockFile(NamedTuple):
    """A lock file."""

    path: str
    version: str
    held: Optional[bool]


class HostInfo(NamedTuple):
    """What a host answers, every field checked."""

    msg: str
    base_dir: str
    base_dir_state: str
    base_dir_safe: Optional[bool]
    base_dir_reason: Optional[str]
    versions: Tuple[VersionInfo, ...]
    unmanaged: Tuple[OtherFile, ...]
    stale_files: Tuple[StaleFile, ...]
    locks: Tuple[LockFile, ...]
    not_listed: int
    links: Tuple[LinkInfo, ...]
    warnings: Tuple[str, ...]


class AskedInfo(NamedTuple):
    """The request to a host, as far as its result must repeat it."""

    base_dir: Optional[str] = DEFAULT_BASE_DIR  # None: as the host expands it
    links: Optional[Tuple[Optional[str], ...]] = ()  # each as base_dir; None: any number of them


def asked_info(base_dir: Any, links: List[str]) -> AskedInfo:
    """Return the request for the options of a task."""
    return AskedInfo(asked_path(base_dir, DEFAULT_BASE_DIR), tuple(asked_path(link, "") for link in links))


def read_host_info(raw: Any, host: str, asked: AskedInfo) -> HostInfo:
    """Check a successful result of terraform_binary_info and return it as a record.

    :param raw: what ``_execute_module`` returned, or what such a task registered.
    :param host: the inventory name of the host, for the error.
    :raises AnswerError: a type, range or form is wrong, or the result does not match the request.
    """
    gate = Gate(raw, host, [_ALL])
    if gate.flag("changed"):
        gate.refuse("changed", "false, since nothing is ever changed")
    base_dir = gate.path("base_dir")
    if base_dir is None or asked.base_dir is not None and base_dir != asked.base_dir:
        gate.refuse("base_dir", "%s, which was asked for" % asked.base_dir if asked.base_dir else "an absolute path")
    state = gate.text("base_dir_state")
    if state not in _STATES:
        gate.refuse("base_dir_state", " or ".join(_STATES))
    found = HostInfo(
        msg=gate.text("msg") or "",
        base_dir=base_dir,
        base_dir_state=state,
        base_dir_safe=gate.flag("base_dir_safe"),
        base_dir_reason=gate.text("base_dir_reason"),
        versions=tuple(_version(name, one, base_dir) for name, one in gate.inner_list("versions", _MANY)),
        unmanaged=tuple(
            OtherFile(_path(name, one), one.text(name + ".reason") or "")
            for name, one in gate.inner_list("unmanaged", _MANY)
        ),
        stale_files=tuple(
            StaleFile(_path(name, one), one.number(name + ".size"), one.flag(name + ".held"))
            for name, one in gate.inner_list("stale_files", _MANY)
        ),
        locks=tuple(
            LockFile(_path(name, one), one.text(name + ".version") or "", one.flag(name + ".held"))
            for name, one in gate.inner_list("locks", _MANY)
        ),
        not_listed=gate.number("not_listed") or 0,
        links=tuple(_link(name, one) for name, one in gate.inner_list("links", _MOST_LINKS)),
        warnings=tuple(map(str, gate.any("warnings", (list, tuple)))) if gate.has("warnings") else (),
    )
    if len({each.version for each in found.versions}) < len(found.versions):
        gate.refuse("versions", "each version once")
    if asked.links is not None and (
        len(asked.links) != len(found.links)
        or any(path not in (None, link.path) for path, link in zip(asked.links, found.links))
    ):
        gate.refuse("links", "those that were asked for")
    return found


def _path(name: str, gate: Gate) -> str:
    path = gate.path(name + ".path")
    if not path:
        gate.refuse(name + ".path", "an absolute path")
    return path


def _version(name: str, gate: Gate, base_dir: str) -> VersionInfo:
    version = gate.version(name + ".version")
    if version is None:
        gate.refuse(name + ".version", "a version X.Y.Z")
    path = _path(name, gate)
    if path != "%s/%s/%s" % (base_dir, version, PRODUCT):
        gate.refuse(name + ".path", "%s/%s/%s" % (base_dir, version, PRODUCT))
    texts: Dict[str, Optional[str]] = {
        each: gate.text("%s.%s" % (name, each))
        for each in (
            "reason",
            "mode",
            "owner",
            "group",
            "platform",
            "policy",
            "signer",
            "site",
            "run_check",
            "collection",
        )
    }
    intact = gate.flag(name + ".intact")
    if intact and texts["reason"] or not intact and not texts["reason"]:
        gate.refuse(name + ".reason", "a reason where it is not intact, and none where it is")
    return VersionInfo(
        version=version,
        path=path,
        intact=intact,
        sha256=gate.match(name + ".sha256", HEX),
        size=gate.number(name + ".size"),
        signed_at=gate.match(name + ".signed_at", MOMENT),
        archive_sha256=gate.match(name + ".archive_sha256", HEX),
        installed_at=gate.match(name + ".installed_at", MOMENT),
        receipt=_receipt(name + ".receipt", gate.inner(name + ".receipt"), "%s/%s/%s" % (base_dir, version, RECEIPT)),
        **texts,
    )


def _receipt(name: str, gate: Optional[Gate], path: str) -> Optional[ReceiptInfo]:
    if gate is None:
        return None
    sha256, size = gate.match(name + ".sha256", HEX), gate.number(name + ".size")
    if gate.path(name + ".path") != path:
        gate.refuse(name + ".path", path)
    if sha256 is None:
        gate.refuse(name + ".sha256", "64 hexadecimal digits")
    if size is None:
        gate.refuse(name + ".size", "a number")
    return ReceiptInfo(
        path=path,
        format=gate.number(name + ".format") or 0,
        sha256=sha256,
        size=size,
        links=gate.texts(name + ".links", _FEW),
        base_dir_unsafe=gate.texts(name + ".base_dir_unsafe", _FEW),
    )


def _link(name: str, gate: Gate) -> LinkInfo:
    kind = gate.text(name + ".kind")
    if kind not in (None,) + _KINDS:
        gate.refuse(name + ".kind", "null or one of %s" % ", ".join(_KINDS))
    return LinkInfo(
        path=_path(name, gate),
        kind=kind,
        target=gate.text(name + ".target"),
        version=gate.version(name + ".version"),
        below_base_dir=gate.flag(name + ".below_base_dir"),
        dangling=gate.flag(name + ".dangling"),
        safe=gate.flag(name + ".safe"),
        reason=gate.text(name + ".reason"),
    )


def as_result(info: HostInfo) -> Params:
    """Return a record as the result of a task."""
    result: Params = _plain(info)
    if not info.warnings:
        del result["warnings"]
    return dict(result, changed=False)


def _plain(value: Any) -> Any:
    """Return records as dicts, and tuples as lists."""
    if hasattr(value, "_asdict"):
        return {name: _plain(inner) for name, inner in value._asdict().items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value
