# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documented return values, from a plan (check mode, or nothing to do) or from its result. No decisions here."""

import os
import stat
import time
from typing import Any, Dict, Iterable, Optional, Sequence, Tuple

from .._fs.accounts import account_text, group_name, user_name
from .._fs.symlink import backup_name, version_in
from .._records import PRODUCT, UNKNOWN_ID, Params, Provenance, Receipt, Request

_UNKNOWN = "known after the archive is fetched"
_UNKNOWN_SIZE = "not known before the download"
_Plan = Any  # Plan in _install.plan, which this file may not import


def predicted_result(
    plan: _Plan, provenance: Optional[Provenance] = None, check_mode: bool = True
) -> Tuple[Params, Tuple[str, ...]]:
    """Return what a plan would do: the answer of check mode, and of a run that finds nothing to do.

    :param plan: Plan.
    :param provenance: if the release was looked up; None otherwise.
    :returns: (return values, step lines).
    """
    request = plan.request
    receipt = plan.found.receipt if plan.found and not plan.drift.install and request.state == "present" else None
    result = _common(request, receipt, plan.link_state.target if plan.link_state else None, plan.intact)
    if provenance:
        result.update(with_provenance(provenance))
    steps = planned_steps(plan) if plan.changes else _ok_summary(plan)
    result.update(
        changed=plan.changes,
        needs_archive=plan.needs_archive,
        removed=list(plan.paths_to_remove),
        downloaded_bytes=provenance.downloaded_bytes if provenance else 0,
        diff=_headed(
            plan, _before(plan), _after(plan, receipt, _planned_backup(plan)) if plan.changes else _before(plan)
        ),
    )
    if plan.needs_archive and UNKNOWN_ID in (request.uid, request.gid):
        result["needs_archive"] = None  # nothing is downloaded before the owner exists
    result["msg"] = _summary(plan, "would be " if plan.changes else "")
    if not check_mode:
        result["ansible_facts"] = success_facts(request.state, result)
    return result, steps


def undecided_result(request: Request, installed: Iterable[str]) -> Params:
    """Return the answer of check mode if not even the version is known yet.

    :param request: Request without a version.
    :param installed: the intact versions under base_dir.
    :returns: return values.
    """
    asked = " ".join(request.requested.split())
    return dict(
        _common(request, None, None, installed),
        path=None,
        changed=True,
        needs_archive=None,
        removed=[],
        downloaded_bytes=0,
        diff=_diff({"version": None}, {"version": asked}),
        msg="Terraform %s would be installed or kept, as soon as its version can be known" % asked,
    )


def with_provenance(provenance: Provenance) -> Params:
    """Return the return values that are known of an archive before it is installed."""
    return {
        "archive_sha256": provenance.archive_sha256,
        "verification": _verification(provenance.policy, provenance.signer, provenance.signed_at, provenance.site),
    }


def applied_result(outcome: Any) -> Params:
    """Return the result of an applied plan.

    :param outcome: ApplyResult, whose plan was made under the lock.
    :returns: return values.
    """
    plan, request = outcome.plan, outcome.plan.request
    result = _common(request, outcome.receipt, outcome.previous, outcome.intact)
    before = _before(plan)
    stayed = outcome.adopted and outcome.receipt.inode == plan.found.stat.st_ino  # and no copy took its place
    result.update(
        changed=outcome.changed,
        needs_archive=plan.needs_archive,
        removed=list(outcome.removed),
        downloaded_bytes=outcome.downloaded_bytes,
        backup_file=outcome.backup,
        diff=_headed(
            plan,
            before,
            _after(plan, outcome.receipt, outcome.backup, stayed) if outcome.changed else before,
        ),
    )
    result["msg"] = (
        _summary(plan, "", outcome.adopted)
        if outcome.changed
        else "%s; another run did it just now" % _ok_summary(plan)[0]
    )
    result["ansible_facts"] = success_facts(request.state, result)
    return result


def merged_result(request: Request, results: Sequence[Params], intact: Iterable[str], check_mode: bool) -> Params:
    """Merge the results of a removal by constraint, one for each version.

    :param request: Request without a version.
    :param results: from predicted_result() or applied_result(), the oldest version first; may be empty.
    :param intact: the versions under base_dir that are intact afterwards.
    :returns: return values. Those that can only be about one version are about the newest.
    """
    if results:
        result = dict(results[-1], msg="; ".join(one["msg"] for one in results))
    else:
        result = dict(
            _common(request, None, None, ()),
            path=None,
            needs_archive=False,
            downloaded_bytes=0,
            msg="Terraform has no installed version that matches %s" % " ".join(request.requested.split()),
        )
    result.update(
        changed=any(one["changed"] for one in results),
        removed=[path for one in results for path in one["removed"]],
        diff=[one["diff"] for one in results],
        intact_versions=list(intact),
        previous_version=next((one["previous_version"] for one in results if one["previous_version"]), None),
    )
    if not check_mode:
        result["ansible_facts"] = success_facts(request.state, result)
    return result


def pruned_result(result: Params, request: Request, pruned: Any, check_mode: bool) -> Params:
    """Return the result of an install with what ``keep`` removed after it.

    :param result: of the install; it is changed.
    :param pruned: Pruned.
    :returns: return values.
    """
    if not pruned.paths:
        return result
    before, after = result["diff"]["before"], result["diff"]["after"]
    others = dict((version, size) for version, size in pruned.sizes.items() if version != request.version)
    left = dict((version, size) for version, size in others.items() if version not in pruned.versions)
    if "size" in before:
        others[str(request.version)] = before["size"]
    left[str(request.version)] = after["size"]
    freed = sum(others.get(version, 0) for version in pruned.versions)
    after = dict(after, versions=left, **({"bytes_freed": freed} if freed else {}))
    result["diff"] = dict(result["diff"], before=dict(before, versions=others), after=after)
    result.update(
        changed=True,
        removed=result["removed"] + list(pruned.paths),
        msg="%s; %sremoved (keep: %d): %s"
        % (result["msg"], "would be " if check_mode else "", request.keep or 0, ", ".join(pruned.versions)),
    )
    if not check_mode:
        result["intact_versions"] = [each for each in result["intact_versions"] if each not in pruned.versions]
        result["ansible_facts"] = success_facts(request.state, result)
    return result


def cleared_result(
    result: Params, request: Request, paths: Sequence[str], left: Iterable[str], check_mode: bool
) -> Params:
    """Return the result of a removal of everything.

    :param result: from merged_result(), for the versions.
    :param paths: what else was, or would be, removed: lock files, the base dir.
    :param left: a line for each thing that stays.
    :returns: return values.
    """
    removed = result["removed"] + list(paths)
    would = "would be " if check_mode and removed else ""
    gone = "%d paths %sremoved below %s" % (len(removed), would, request.base_dir)
    if request.base_dir in paths:
        gone = "Terraform %sremoved with all of %s" % (would, request.base_dir)
    msg = gone if removed else "there is nothing of this module below %s" % request.base_dir
    diff = _diff({"path": request.base_dir, "removed": []}, {"path": request.base_dir, "removed": list(paths)})
    result = dict(
        result,
        changed=bool(removed),
        removed=removed,
        diff=result["diff"] + [diff] * bool(paths),
        msg="; ".join((msg,) + tuple("left: %s" % line for line in left)),
    )
    if not check_mode:
        result["ansible_facts"] = success_facts(request.state, result)
    return result


def planned_steps(plan: _Plan) -> Tuple[str, ...]:
    """Return a line for each step that a plan would take."""
    request, drift = plan.request, plan.drift
    lines = [
        "would remove the stale temporary file %s" % path
        for path in plan.stale_temp_files
        if request.state == "present"
    ]
    verb = "adopt or install" if plan.may_adopt else "install"
    lines += ["would %s: %s" % (verb, reason) for reason in drift.install]
    lines += ["would verify again: %s" % reason for reason in drift.reverify]
    lines += ["would replace: %s" % reason for reason in drift.recopy]
    lines += ["would repair: %s" % reason for reason in drift.fix_metadata]
    lines += ["would run it: %s" % reason for reason in drift.run_check]
    lines += ["would record: %s" % reason for reason in drift.update_receipt]
    if request.state == "absent":
        gone = plan.paths_to_remove
        lines += ["would remove: %s" % path for path in gone]
        if gone and request.version_dir not in gone and plan.removes:
            lines.append("would leave %s, where there are files that are not ours" % request.version_dir)
    elif plan.changes_link:
        if plan.keeps_backup:
            lines.append("would keep the file %s as %s" % (request.link, _planned_backup(plan)))
        lines.append(
            "would switch the link %s -> %s (now: %s)"
            % (request.link, request.path, plan.link_state.target or plan.link_state.kind)
        )
    return tuple(lines)


def previous_version(plan: _Plan) -> Optional[str]:
    """Return the version that the link points to, as the plan found it; None if it points to no version."""
    return version_in(plan.link_state.target) if plan.link_state else None


def _common(request: Request, receipt: Optional[Receipt], previous: Optional[str], intact: Iterable[str]) -> Params:
    return {
        "version": request.version,
        "requested": request.requested,
        "path": request.path,
        "link": request.link,
        "previous_version": version_in(previous),
        "base_dir": request.base_dir,
        "platform": request.platform,
        "binary_sha256": receipt.sha256 if receipt else None,
        "archive_sha256": receipt.archive_sha256 if receipt else None,
        "size": receipt.size if receipt else None,
        "verification": _verification(receipt.policy, receipt.signer, receipt.signed_at, receipt.origin)
        if receipt
        else None,
        "intact_versions": list(intact),
        "backup_file": None,
    }


def _verification(
    policy: Optional[str],
    signer: Optional[str],
    signed_at: Optional[int],
    site: Optional[str],
) -> Dict[str, Optional[str]]:
    return {
        "policy": policy,
        "signer": signer,
        "signed_at": None if signed_at is None else _rfc3339(signed_at),
        "site": site,
    }


def success_facts(state: str, result: Params) -> Params:
    """Return the facts that go with a result, outside check mode.

    :param state: the requested state: present or absent.
    :param result: return values.
    """
    present = state == "present"
    return {
        "terraform_binary_result": {
            "version": result["version"] if present else None,
            "path": result["path"] if present else None,
            "link": result["link"] if present else None,
            "base_dir": result["base_dir"],
            "versions": {
                version: "%s/%s/%s" % (result["base_dir"], version, PRODUCT) for version in result["intact_versions"]
            },
            "changed": result["changed"],
            "failed": False,
            "checked_at": _rfc3339(time.time()),
        }
    }


def failed_facts(result: Params, requested: Optional[str]) -> Params:
    """Return the facts that go with a failure.

    :param result: dict with ``changed``, ``msg`` and ``error``.
    :param requested: the version as written; None if there was none.
    """
    return {
        "terraform_binary_result": {
            "failed": True,
            "changed": result["changed"],
            "msg": result["msg"],
            "error": result["error"],
            "requested": requested or "",
            "checked_at": _rfc3339(time.time()),
        }
    }


def _ok_summary(plan: _Plan) -> Tuple[str, ...]:
    """Return one line on a state that needs no change, in a tuple."""
    request = plan.request
    if request.state == "absent":
        return ("%s is absent" % request.path,)
    link = "; link %s -> %s" % (request.link, request.path) if request.link else ""
    receipt = plan.found.receipt
    return (
        "verified %s: %d bytes, sha256 %s (%s), %s%s"
        % (
            request.path,
            receipt.size,
            receipt.sha256,
            "hashed" if plan.found.sha256 else "by its receipt",
            stat.filemode(plan.found.stat.st_mode),
            link,
        ),
    )


def _summary(plan: _Plan, would: str, adopted: bool = False) -> str:
    """Return one line on what was, or would be, done."""
    request, drift = plan.request, plan.drift
    if not plan.changes:
        return "Terraform %s is %s" % (
            request.version,
            "absent" if request.state == "absent" else "right at %s" % request.path,
        )
    if request.state == "absent":
        return "Terraform %s %sremoved: %s" % (request.version, would, ", ".join(plan.paths_to_remove))
    installed = "reinstalled" if plan.found and plan.found.stat else "installed"
    if plan.may_adopt and would:
        installed = "adopted or reinstalled"
    elif adopted:
        installed = "adopted"
    done_things = [
        word
        for word, reasons in (
            (installed, drift.install),
            ("verified again", drift.reverify),
            ("repaired", drift.recopy + drift.fix_metadata),
            ("run", drift.run_check),
            ("recorded", drift.update_receipt),
            ("tidied up", plan.stale_temp_files),
        )
        if reasons
    ]
    link = "linked as %s" % request.link if plan.changes_link else ""
    if link and not done_things:
        return "Terraform %s %s%s" % (request.version, would, link)
    reasons = sum(drift, ())
    because = " (%s)" % reasons[0] if reasons and plan.found is not None and plan.found.names else ""
    return "Terraform %s %s%s at %s%s%s" % (
        request.version,
        would,
        " and ".join(done_things),
        request.path,
        because,
        " and " + link if link else "",
    )


def _before(plan: _Plan) -> Params:
    found, request = plan.found, plan.request
    state: Params = {"path": request.path, "state": "absent"}
    if found is not None and found.stat is not None:
        state.update(
            state="present",
            size=found.stat.st_size,
            sha256=found.sha256
            or (found.receipt.sha256 if found.receipt and not plan.drift.install else "not verified"),
            mode=_mode(found.stat),
            owner=account_text(found.stat),
        )
        if found.receipt:
            state["policy"] = found.receipt.policy
    if plan.stale_temp_files:
        state["left_overs"] = list(plan.stale_temp_files)
    link_state = plan.link_state
    if link_state is not None:
        state["link"] = {
            request.link: link_state.target
            or (
                "%d bytes, %s"
                % (link_state.size, "sha256 %s" % link_state.sha256 if link_state.sha256 else "too large to be hashed")
                if link_state.kind == "file"
                else link_state.kind
            )
        }
    return state


def _planned_backup(plan: _Plan) -> Optional[str]:
    """Return the path of the file that will be kept, as far as it can be known; None if none is."""
    return backup_name(plan.request.link) if plan.keeps_backup else None


def _after(plan: _Plan, receipt: Optional[Receipt], backup: Optional[str], stayed: bool = False) -> Params:
    request, before = plan.request, _before(plan)
    if request.state == "absent":
        state: Params = {"path": request.path, "state": "absent"}
        if plan.link_state is not None:
            state["link"] = {request.link: "absent"} if plan.changes_link else before["link"]
        return dict(state, bytes_freed=plan.bytes_freed) if plan.bytes_freed else state
    state = {key: value for key, value in before.items() if key != "left_overs"}
    state.update(
        state="present",
        size=receipt.size if receipt else _UNKNOWN,
        sha256=receipt.sha256 if receipt else _UNKNOWN,
        mode="%04o" % request.mode,
        policy=request.policy if plan.drift.install or plan.drift.reverify or not receipt else receipt.policy,
    )
    if plan.drift.install and not stayed or plan.drift.recopy:
        state["owner"] = "%s:%s" % (user_name(os.geteuid()), group_name(os.getegid()))  # a new file
    if request.uid is not None or request.gid is not None:
        user, group = state["owner"].split(":")
        state["owner"] = "%s:%s" % (request.owner or user, request.group or group)
    if request.link:
        state["link"] = {request.link: request.path}
    if backup:
        state["backup"] = backup
    return state


def with_fetch(diff: Any, size: Optional[int]) -> Any:
    """Return the diff of check mode with the bytes that a run would read for the archive.

    :param diff: from predicted_result(), or what a target sends in its place.
    :param size: bytes; None: not known before the download.
    """
    after = diff.get("after") if isinstance(diff, dict) else None
    if not isinstance(after, dict):
        return diff  # a target that does not keep to the form
    return dict(diff, after=dict(after, bytes_to_fetch=_UNKNOWN_SIZE if size is None else size))


def _diff(before: Params, after: Params) -> Params:
    return {"before": before, "after": after}


def _headed(plan: _Plan, before: Params, after: Params) -> Params:
    """Return a diff with the version before and after as headers, which ansible-core shows above all else."""
    request, found = plan.request, plan.found
    header, after_header = _header(request, before), _header(request, after)
    if header == after_header and before["state"] == "present" and plan.drift.install:
        header += ", damaged" if found.receipt else ", without a receipt"
    return dict(_diff(before, after), before_header=header, after_header=after_header)


def _header(request: Request, state: Params) -> str:
    """Return a header with Terraform's version and the link's path; without a link, the binary's path."""
    if request.link:
        target = state.get("link", {}).get(request.link, "absent")
        return "%s: Terraform %s" % (
            request.link,
            version_in(target) or ("absent" if target == "absent" else "of unknown version"),
        )
    return "%s: Terraform %s" % (request.path, request.version if state["state"] == "present" else "absent")


def _mode(found: os.stat_result) -> str:
    return "%04o" % stat.S_IMODE(found.st_mode)


def _rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
