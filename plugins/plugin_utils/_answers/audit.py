# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of a fleet: from what each host answered to rows with a status, what is wrong in words, and totals.

One host proves little about itself, since root can rewrite a receipt. So binaries of the same version and platform are
also compared with each other.
"""

import collections
from typing import Any, Counter, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ...module_utils._errors import TerraformBinaryError, printable
from ...module_utils._records import Params
from ...module_utils._versions.version import sort_key
from .gate import Gate
from .host_info import AskedInfo, HostInfo, VersionInfo, as_result, read_host_info

FORMAT = 1  # of the report; the schema describes it
OK, NOTICE, PROBLEM, UNREACHABLE = "ok", "notice", "problem", "unreachable"
STATUSES = (UNREACHABLE, PROBLEM, NOTICE, OK)
_LONG = 2000  # characters of one message
_ANY = AskedInfo(base_dir=None, links=None)


class Look(NamedTuple):
    """What a run of terraform_binary in check mode said about one host."""

    failed: bool
    changed: bool
    msg: str
    requested: Optional[str]  # the version as it was written


class HostAudit(NamedTuple):
    """One host of the report."""

    host: str
    status: str  # one of STATUSES
    problems: Tuple[str, ...]  # each makes the audit fail
    notices: Tuple[str, ...]  # worth a look
    wanted: Optional[str]  # the version that was asked for, as it was written
    in_use: Optional[str]  # version that the first link leads to; without a link, the newest intact one
    info: Optional[HostInfo]  # None: the host did not answer


def audit_hosts(answers: Mapping[str, Tuple[Any, Any]]) -> List[HostAudit]:
    """Return the audit of each host, sorted by name.

    :param answers: by inventory name, what the tasks with terraform_binary_info and with terraform_binary registered; None
        where a task did not run.
    """
    infos: Dict[str, HostInfo] = {}
    looks: Dict[str, Optional[Look]] = {}
    problems: Dict[str, List[str]] = {}
    unreachable = set()
    for host in sorted(answers):
        raw, look = answers[host]
        problems[host] = []
        try:
            if raw is None or _is(raw, "unreachable"):
                unreachable.add(host)
                problems[host].append(_message(raw) or "it did not answer, or was not looked at")
                continue
            looks[host] = _read_look(look, host)
            problems[host] += _drift(looks[host])
            if _is(raw, "failed") or _is(raw, "error"):
                problems[host].append(_message(raw) or "the look at it failed")
                continue
            infos[host] = read_host_info(raw, host, _ANY)
            problems[host] += _problems(infos[host])
        except TerraformBinaryError as exc:
            problems[host].append(str(exc))
    for host, line in _odd_binaries(infos):
        problems[host].append(line)
    return [
        _audit(host, problems[host], infos.get(host), looks.get(host), host in unreachable) for host in sorted(answers)
    ]


def _audit(
    host: str, problems: Sequence[str], info: Optional[HostInfo], look: Optional[Look], unreachable: bool
) -> HostAudit:
    notices = tuple(_notices(info)) if info else ()
    return HostAudit(
        host=host,
        status=UNREACHABLE if unreachable else PROBLEM if problems else NOTICE if notices else OK,
        problems=tuple(dict.fromkeys(problems)),
        notices=notices,
        wanted=look.requested if look else None,
        in_use=_in_use(info) if info else None,
        info=info,
    )


def _is(raw: Any, name: str) -> bool:
    return isinstance(raw, Mapping) and bool(raw.get(name))


def _message(raw: Any) -> str:
    """Return the message of a result that has nothing else for us; empty if there is none."""
    text = str(raw.get("msg") or "") if isinstance(raw, Mapping) else ""
    return printable(" ".join(text.split()))[:_LONG]


def _read_look(raw: Any, host: str) -> Optional[Look]:
    """Return what a run in check mode said; None if there was none, as without a version. Raises AnswerError."""
    if raw is None or _is(raw, "skipped"):
        return None
    if _is(raw, "unreachable"):
        return Look(True, False, _message(raw), None)
    gate = Gate(raw, host)
    return Look(
        failed=gate.flag("failed") or gate.has("error"),
        changed=gate.flag("changed") or False,
        msg=(gate.text("msg", 1 << 16) or "")[:_LONG],
        requested=gate.text("requested"),
    )


def _drift(look: Optional[Look]) -> List[str]:
    if look is None or not (look.failed or look.changed):
        return []
    return [look.msg or "it is not what was asked for"]


def _problems(info: HostInfo) -> List[str]:
    """Return what is wrong with a host, whatever version it should have."""
    found: List[str] = []
    if info.base_dir_state == "unreadable" or info.base_dir_safe is False:
        found.append(info.base_dir_reason or "%s is not safe" % info.base_dir)
    for version in info.versions:
        if not version.intact:
            what = "not intact" if version.intact is False else "not known to be intact"
            found.append("%s is %s: %s" % (version.version, what, version.reason))
    for link in info.links:
        if link.dangling:
            found.append("%s points to %s, which does not exist" % (link.path, link.target))
        elif link.safe is False or link.kind is None:
            found.append("%s: %s" % (link.path, link.reason))
    return found


def _notices(info: HostInfo) -> List[str]:
    """Return what deserves a look, and does not make an audit fail."""
    found = [
        "%s was not verified by a signature, but by policy %s" % (version.version, version.policy or "unknown")
        for version in info.versions
        if version.receipt and version.policy != "signature"
    ]
    found += [
        "%s is no link to a version below %s" % (link.path, info.base_dir)
        for link in info.links
        if link.kind not in (None, "absent") and link.version is None
    ]
    counts = (
        (len(info.unmanaged), "entry is not managed", "entries are not managed"),
        (len(info.stale_files), "stale temporary file", "stale temporary files"),
        (info.not_listed, "entry is not listed", "entries are not listed"),
    )
    return found + ["%d %s" % (count, one if count == 1 else more) for count, one, more in counts if count]


def _in_use(info: HostInfo) -> Optional[str]:
    linked = [link for link in info.links if link.kind not in (None, "absent")]
    if linked:
        return linked[0].version
    return next((version.version for version in info.versions if version.intact), None)


def _odd_binaries(infos: Mapping[str, HostInfo]) -> List[Tuple[str, str]]:
    """Return the hosts whose binary is not the one that most hosts have under the same version and platform."""
    found: Dict[Tuple[str, Optional[str]], Dict[str, List[str]]] = {}
    for host, info in infos.items():
        for each in info.versions:
            if each.sha256 and each.intact:
                found.setdefault((each.version, each.platform), {}).setdefault(each.sha256, []).append(host)
    lines: List[Tuple[str, str]] = []
    for (version, platform), by_digest in sorted(found.items(), key=str):
        most = max(map(len, by_digest.values()))
        usual = [digest for digest, hosts in by_digest.items() if len(hosts) == most]
        for digest, hosts in by_digest.items():
            if len(by_digest) > 1 and usual != [digest]:
                others = sum(map(len, by_digest.values())) - len(hosts)
                line = "%s (%s) has sha256 %s..., %d other host%s another one" % (
                    version,
                    platform,
                    digest[:12],
                    others,
                    " has" if others == 1 else "s have",
                )
                lines += [(host, line) for host in hosts]
    return lines


def make_report(hosts: Sequence[HostAudit], generated_at: str, collection: str) -> Params:
    """Return the report, of plain values: what report.json contains, as the schema describes it.

    :param hosts: from audit_hosts().
    :param generated_at: RFC 3339.
    :param collection: version of this collection.
    """
    wanted = {each.wanted for each in hosts if each.wanted}
    counts: Counter[str] = collections.Counter(each.status for each in hosts)
    return {
        "format": FORMAT,
        "generated_at": generated_at,
        "collection": collection,
        "wanted": wanted.pop() if len(wanted) == 1 else None,
        "totals": dict({"hosts": len(hosts)}, **{status: counts[status] for status in STATUSES}),
        "versions": _version_totals(hosts),
        "hosts": [_host(each) for each in hosts],
    }


def _host(audit: HostAudit) -> Params:
    found: Params = {
        "host": printable(audit.host),
        "status": audit.status,
        "problems": list(audit.problems),
        "notices": list(audit.notices),
        "wanted": audit.wanted,
        "in_use": audit.in_use,
        "info": None,
    }
    if audit.info:
        found["info"] = as_result(audit.info)
        del found["info"]["changed"]
    return found


def _version_totals(hosts: Sequence[HostAudit]) -> List[Params]:
    """Return how many hosts have each version, the newest version first."""
    installed: Dict[str, List[Tuple[HostAudit, VersionInfo]]] = {}
    for audit in hosts:
        for version in audit.info.versions if audit.info else ():
            installed.setdefault(version.version, []).append((audit, version))
    return [
        {
            "version": version,
            "hosts": len(found),
            "in_use": sum(1 for audit, _each in found if audit.in_use == version),
            "not_intact": sum(1 for _audit, each in found if not each.intact),
            "unsigned": sum(1 for _audit, each in found if each.policy != "signature"),
        }
        for version, found in sorted(installed.items(), key=lambda item: sort_key(item[0]), reverse=True)
    ]
