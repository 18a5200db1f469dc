# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documented return values, from a plan (check mode, or nothing to do) or from an outcome. No decisions here."""

import os
import re
import stat
import time
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ._groups import account_text, group_name, user_name
from ._links import kept_name
from ._model import PRODUCT, RECEIPT, UNKNOWN_ID, Params, Receipt, Vouching, Wish

_UNKNOWN = "known after the archive is fetched"
_Plan = Any     # that of _plan, which no file of this step may import


def foreseen(
        plan: _Plan, vouching: Optional[Vouching] = None, check_mode: bool = True) -> Tuple[Params, Tuple[str, ...]]:
    """What a plan says: the answer of check mode, and of a run that finds nothing to do.

    :param plan: Plan.
    :param vouching: Vouching, when the release was looked up; None otherwise.
    :returns: (dict of return values, tuple of step lines).
    """
    wish = plan.wish
    receipt = plan.found.receipt if plan.found and not plan.verdict.install and wish.state == "present" else None
    result = _common(wish, receipt, plan.occupant.target if plan.occupant else None, plan.intact)
    if vouching:
        result.update(vouched(vouching))
    steps = intentions(plan) if plan.changes else _all_right(plan)
    result.update(changed=plan.changes, needs_archive=plan.needs_archive, removed=_would_go(plan),
                  downloaded_bytes=vouching.downloaded_bytes if vouching else 0,
                  diff=_headed(wish, _before(plan),
                               _after(plan, receipt, _will_be_kept(plan)) if plan.changes else _before(plan)))
    if plan.needs_archive and UNKNOWN_ID in (wish.uid, wish.gid):
        result["needs_archive"] = None  # nothing is fetched as long as it is not known for whom
    result["msg"] = _sentence(plan, "would be " if plan.changes else "")
    if not check_mode:
        result["ansible_facts"] = facts(wish.state, result)
    return result, steps


def undecided(wish: Wish, installed: Iterable[str]) -> Params:
    """The answer of check mode where not even the version can be known yet: dict of return values.

    :param wish: Wish without a version.
    :param installed: the versions under base_dir that are intact.
    """
    asked = " ".join(wish.requested.split())
    return dict(_common(wish, None, None, installed), path=None, changed=True, needs_archive=None, removed=[], downloaded_bytes=0,
                diff=_diff({"version": None}, {"version": asked}),
                msg="Terraform %s would be installed or kept, as soon as its version can be known" % asked)


def vouched(vouching: Vouching) -> Params:
    """What is known of an archive that is not installed yet: dict of return values."""
    return {"archive_sha256": vouching.archive_sha256, "verification": _verification(
        vouching.policy, vouching.signer, vouching.signed_at, vouching.site)}


def done(outcome: Any) -> Params:
    """What came of a plan.

    :param outcome: Outcome, with the plan as it was under the lock.
    :returns: dict of return values.
    """
    plan, wish = outcome.plan, outcome.plan.wish
    result = _common(wish, outcome.receipt, outcome.previous, outcome.intact)
    before = _before(plan)
    result.update(changed=outcome.changed, needs_archive=plan.needs_archive, removed=list(outcome.removed),
                  downloaded_bytes=outcome.downloaded_bytes, backup_file=outcome.backup,
                  diff=_headed(wish, before, _after(plan, outcome.receipt, outcome.backup) if outcome.changed else before))
    result["msg"] = _sentence(plan, "") if outcome.changed else "%s; another run did it just now" % _all_right(plan)[0]
    result["ansible_facts"] = facts(wish.state, result)
    return result


def combined(wish: Wish, results: Sequence[Params], intact: Iterable[str], check_mode: bool) -> Params:
    """The answer of a removal by a constraint, from those of its versions.

    :param wish: Wish without a version.
    :param results: list of dict, from foreseen() or done(), the oldest version first; maybe none.
    :param intact: the versions under base_dir that are intact afterwards.
    :returns: dict of return values; what can only be about one version is about the newest.
    """
    if results:
        result = dict(results[-1], msg="; ".join(one["msg"] for one in results))
    else:
        result = dict(_common(wish, None, None, ()), path=None, needs_archive=False, downloaded_bytes=0,
                      msg="Terraform has no installed version that matches %s" % " ".join(wish.requested.split()))
    result.update(
        changed=any(one["changed"] for one in results), removed=[path for one in results for path in one["removed"]],
        diff=[one["diff"] for one in results], intact_versions=list(intact),
        previous_version=next((one["previous_version"] for one in results if one["previous_version"]), None))
    if not check_mode:
        result["ansible_facts"] = facts(wish.state, result)
    return result


def cleared(result: Params, wish: Wish, paths: Sequence[str], left: Iterable[str], check_mode: bool) -> Params:
    """The answer of a removal of everything, from that of its versions.

    :param result: dict, from combined().
    :param paths: what went, or would go, beside the versions: lock files, the base dir.
    :param left: lines about what stays.
    :returns: dict of return values.
    """
    removed = result["removed"] + list(paths)
    would = "would be " if check_mode and removed else ""
    gone = "%d paths %sremoved below %s" % (len(removed), would, wish.base_dir)
    if wish.base_dir in paths:
        gone = "Terraform %sremoved with all of %s" % (would, wish.base_dir)
    msg = gone if removed else "there is nothing of this module below %s" % wish.base_dir
    diff = _diff({"path": wish.base_dir, "removed": []}, {"path": wish.base_dir, "removed": list(paths)})
    result = dict(result, changed=bool(removed), removed=removed, diff=result["diff"] + [diff] * bool(paths),
                  msg="; ".join((msg,) + tuple("left: %s" % line for line in left)))
    if not check_mode:
        result["ansible_facts"] = facts(wish.state, result)
    return result


def intentions(plan: _Plan) -> Tuple[str, ...]:
    """The steps a plan would take, a line each."""
    wish, verdict = plan.wish, plan.verdict
    lines = ["would remove the left-over %s" % path for path in plan.litter if wish.state == "present"]
    lines += ["would install: %s" % reason for reason in verdict.install]
    lines += ["would verify anew: %s" % reason for reason in verdict.vouch]
    lines += ["would replace: %s" % reason for reason in verdict.replace]
    lines += ["would mend: %s" % reason for reason in verdict.mend]
    lines += ["would run it: %s" % reason for reason in verdict.check]
    lines += ["would record: %s" % reason for reason in verdict.record]
    if wish.state == "absent":
        gone = _would_go(plan)
        lines += ["would remove: %s" % path for path in gone]
        if gone and wish.version_dir not in gone and plan.removes:
            lines.append("would leave %s, where there are files that are not ours" % wish.version_dir)
    elif plan.link_moves:
        if plan.keeps:
            lines.append("would keep the file %s as %s" % (wish.link, _will_be_kept(plan)))
        lines.append("would switch the link %s -> %s (now: %s)" % (
            wish.link, wish.path, plan.occupant.target or plan.occupant.kind))
    return tuple(lines)


def previous_version(plan: _Plan) -> Optional[str]:
    """The version that the link means as a plan finds it; None when there is no link, or it means none."""
    return _version_of(plan.occupant.target) if plan.occupant else None


def _version_of(target: Optional[str]) -> Optional[str]:
    """The version in a link's target ``.../<version>/terraform``; None for any other target."""
    found = re.search(r"/([0-9]+\.[0-9]+\.[0-9]+[^/]*)/%s\Z" % PRODUCT, target or "")
    return found.group(1) if found else None


def _common(wish: Wish, receipt: Optional[Receipt], previous: Optional[str], intact: Iterable[str]) -> Params:
    return {
        "version": wish.version, "requested": wish.requested, "path": wish.path, "link": wish.link,
        "previous_version": _version_of(previous), "base_dir": wish.base_dir, "platform": wish.platform,
        "binary_sha256": receipt.sha256 if receipt else None,
        "archive_sha256": receipt.archive_sha256 if receipt else None,
        "size": receipt.size if receipt else None,
        "verification": _verification(receipt.policy, receipt.signer, receipt.signed_at, receipt.origin)
        if receipt else None,
        "intact_versions": list(intact), "backup_file": None,
    }


def _verification(
        policy: Optional[str], signer: Optional[str], signed_at: Optional[int], site: Optional[str],
) -> Dict[str, Optional[str]]:
    return {"policy": policy, "signer": signer, "signed_at": None if signed_at is None else _rfc3339(signed_at),
            "site": site}


def facts(state: str, result: Params) -> Params:
    """The facts that go with a result, outside check mode.

    :param state: str, present or absent: what was asked for.
    :param result: dict of return values.
    """
    present = state == "present"
    return {"terraform_binary_result": {
        "version": result["version"] if present else None,
        "path": result["path"] if present else None,
        "link": result["link"] if present else None,
        "base_dir": result["base_dir"],
        "versions": {version: "%s/%s/%s" % (result["base_dir"], version, PRODUCT) for version in result["intact_versions"]},
        "changed": result["changed"],
        "failed": False,
        "checked_at": _rfc3339(time.time()),
    }}


def failed_facts(result: Params, requested: Optional[str]) -> Params:
    """The facts that go with a failure.

    :param result: dict with ``changed``, ``msg`` and ``error``.
    :param requested: str, the version as it was written; None: there was none.
    """
    return {"terraform_binary_result": {
        "failed": True,
        "changed": result["changed"],
        "msg": result["msg"],
        "error": result["error"],
        "requested": requested or "",
        "checked_at": _rfc3339(time.time()),
    }}


def _would_go(plan: _Plan) -> List[str]:
    """The paths that a removal takes away, in its order."""
    wish = plan.wish
    if wish.state == "present":
        return []
    gone: List[str] = [wish.link] if plan.link_moves else []
    if plan.removes:
        ours = [name for name in (PRODUCT, RECEIPT) if name in plan.found.names]
        gone += ["%s/%s" % (wish.version_dir, name) for name in ours] + list(plan.litter)
        if plan.empties:
            gone.append(wish.version_dir)
    return gone


def _all_right(plan: _Plan) -> Tuple[str, ...]:
    wish = plan.wish
    if wish.state == "absent":
        return ("%s is absent" % wish.path,)
    link = "; link %s -> %s" % (wish.link, wish.path) if wish.link else ""
    receipt = plan.found.receipt
    return ("verified %s: %d bytes, sha256 %s (%s), %s%s" % (
        wish.path, receipt.size, receipt.sha256, "hashed" if plan.found.sha256 else "by its receipt",
        stat.filemode(plan.found.stat.st_mode), link),)


def _sentence(plan: _Plan, would: str) -> str:
    """One line on what was, or would be, done."""
    wish, verdict = plan.wish, plan.verdict
    if not plan.changes:
        return "Terraform %s is %s" % (wish.version, "absent" if wish.state == "absent" else "right at %s" % wish.path)
    if wish.state == "absent":
        return "Terraform %s %sremoved: %s" % (wish.version, would, ", ".join(_would_go(plan)))
    installed = "reinstalled" if plan.found and plan.found.stat else "installed"
    done_things = [word for word, reasons in (
        (installed, verdict.install), ("verified anew", verdict.vouch), ("repaired", verdict.replace + verdict.mend),
        ("run", verdict.check), ("recorded", verdict.record), ("tidied up", plan.litter)) if reasons]
    link = "linked as %s" % wish.link if plan.link_moves else ""
    if link and not done_things:
        return "Terraform %s %s%s" % (wish.version, would, link)
    reasons = sum(verdict, ())
    because = " (%s)" % reasons[0] if reasons and plan.found is not None and plan.found.names else ""
    return "Terraform %s %s%s at %s%s%s" % (
        wish.version, would, " and ".join(done_things), wish.path, because, " and " + link if link else "")


def _before(plan: _Plan) -> Params:
    found, wish = plan.found, plan.wish
    state: Params = {"path": wish.path, "state": "absent"}
    if found is not None and found.stat is not None:
        state.update(state="present", size=found.stat.st_size, sha256=found.sha256 or (
            found.receipt.sha256 if found.receipt and not plan.verdict.install else "not vouched for"),
            mode=_mode(found.stat), owner=account_text(found.stat))
        if found.receipt:
            state["policy"] = found.receipt.policy
    if plan.litter:
        state["left_overs"] = list(plan.litter)
    occupant = plan.occupant
    if occupant is not None:
        state["link"] = {wish.link: occupant.target or (
            "%d bytes, %s" % (occupant.size, "sha256 %s" % occupant.sha256 if occupant.sha256 else "too large to be hashed")
            if occupant.kind == "file" else occupant.kind)}
    return state


def _will_be_kept(plan: _Plan) -> Optional[str]:
    """The path of what will be kept, as far as it can be known; None: nothing."""
    return kept_name(plan.wish.link) if plan.keeps else None


def _after(plan: _Plan, receipt: Optional[Receipt], backup: Optional[str]) -> Params:
    wish, before = plan.wish, _before(plan)
    if wish.state == "absent":
        state: Params = {"path": wish.path, "state": "absent"}
        if plan.occupant is not None:
            state["link"] = {wish.link: "absent"} if plan.link_moves else before["link"]
        return state
    state = {key: value for key, value in before.items() if key != "left_overs"}
    state.update(
        state="present", size=receipt.size if receipt else _UNKNOWN, sha256=receipt.sha256 if receipt else _UNKNOWN,
        mode="%04o" % wish.mode,
        policy=wish.policy if plan.verdict.install or plan.verdict.vouch or not receipt else receipt.policy)
    if plan.verdict.install or plan.verdict.replace:
        state["owner"] = "%s:%s" % (user_name(os.geteuid()), group_name(os.getegid()))      # a new file
    if wish.uid is not None or wish.gid is not None:
        user, group = state["owner"].split(":")
        state["owner"] = "%s:%s" % (wish.owner or user, wish.group or group)
    if wish.link:
        state["link"] = {wish.link: wish.path}
    if backup:
        state["backup"] = backup
    return state


def _diff(before: Params, after: Params) -> Params:
    return {"before": before, "after": after}


def _headed(wish: Wish, before: Params, after: Params) -> Params:
    """A diff that says first which version there was, and which there is: core shows the headers above all else."""
    return dict(_diff(before, after), before_header=_header(wish, before), after_header=_header(wish, after))


def _header(wish: Wish, state: Params) -> str:
    """Terraform's version by the link that people call it by; without a link, by its path."""
    if wish.link:
        target = state.get("link", {}).get(wish.link, "absent")
        return "%s: Terraform %s" % (wish.link, _version_of(target) or ("absent" if target == "absent" else "of unknown version"))
    return "%s: Terraform %s" % (wish.path, wish.version if state["state"] == "present" else "absent")


def _mode(found: os.stat_result) -> str:
    return "%04o" % stat.S_IMODE(found.st_mode)


def _rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
