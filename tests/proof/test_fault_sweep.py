# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""T2: every call of an install, a repair, a switch and a removal fails once, or is struck by a signal, or lies.

After each fault the invariants hold, a clean run puts all right, and a third one has nothing to do.
"""

import collections
import os
import shutil
import time

import faults
import invariants
import pytest
import scenarios
import sweeps
from support import tiers
from support.system import NOBODY, ROOT

# Of all faults every so many-th is tried. The short sweep takes others each time that the list of calls changes, and half of
# the scenarios and users, in turn by the day. A full one has all of them, some 25,000, unless a slow machine has
# TERRAFORM_BINARY_PROOF_EVERY; the floor stays.
EVERY = int(os.environ.get("TERRAFORM_BINARY_PROOF_EVERY", "1")) if tiers.FULL else 499
EVERY_THROUGH_ANSIBLE = 23 * EVERY if tiers.FULL else 397
EVERY_NAIVE = EVERY if tiers.FULL else 21
USERS = (None, NOBODY) if ROOT else (None,)


def sweep(strace, scenarios, installer, every, users=(None,), kinds=None):
    tasks = [sweeps.Task(scenario, installer, uid, kinds) for uid in users for scenario in scenarios]
    if not tiers.FULL and installer != "naive" and "TEST_OF_A_MUTANT" not in os.environ:
        tasks = tasks[tiers.day() % 2 :: 2]
    findings = sweeps.sweep(strace, tasks, every)
    missed = [finding for finding in findings if not finding.fired]
    assert not missed, "%d of %d faults did not strike: %s" % (len(missed), len(findings), missed[0])
    return findings


def report(findings):
    return "\n".join(str(finding) for finding in findings if finding.wrong)


def test_no_fault_leaves_it_half_done(strace, proof):
    findings = sweep(strace, scenarios.SCENARIOS, "ours", EVERY, USERS)
    kinds = collections.Counter(finding.fault.kind for finding in findings)
    wrong = [finding for finding in findings if finding.wrong]
    shares = ", ".join(
        "%s %d" % (kind if len(kind) > 1 else "returns %s" % kind, count) for kind, count in sorted(kinds.items())
    )
    proof(
        "%s faults fired%s (%s), clean runs after %s of them, %d violations"
        % (
            "{:,}".format(len(findings)),
            "" if EVERY == 1 else ", one in %d" % EVERY,
            shares,
            "{:,}".format(sum(finding.recovered for finding in findings)),
            len(wrong),
        )
    )
    assert not wrong, report(findings)
    assert set(faults.ERRORS + faults.SIGNALS) <= set(kinds) and ("0" in kinds or not tiers.FULL)
    assert any(finding.acted for finding in findings), "no fault came late enough to find something done"
    tiers.check_floor("T2", len(findings))


@pytest.mark.parametrize("kinds", [("EIO",), ("SIGKILL",), ("SIGTERM",), ("0", "1")], ids="/".join)
def test_no_call_that_changes_something_leaves_it_half_done(kinds, strace, proof):
    """The heart of the sweep, at every such call in short runs, too; what takes a line out of the protocol must fail here."""
    if not tiers.FULL and kinds[0] in ("SIGTERM", "0") and "TEST_OF_A_MUTANT" not in os.environ:
        pytest.skip("only in make proof")
    findings = sweep(strace, ["nothing, link", "damaged", "stale files", "removal, link"], "ours", 1, kinds=kinds)
    proof("%d times %s at calls that change something" % (len(findings), " or ".join(kinds)))
    assert len(findings) > 20 and not report(findings), report(findings)


@pytest.mark.parametrize("scenario", ["nothing, link", "damaged, link"])
def test_a_store_that_vanishes_under_a_run_comes_back_with_the_next(scenario, proof):
    """``rm -rf`` by somebody else, before each call that changes something."""
    tried = 0
    with sweeps.fast_world(scenario) as world:
        before, right = world.hit(), None
        for number in range(0, 200, 1 if tiers.FULL else 7):
            world.reset()
            left = world.host.at("tmp", "left")

            def act(number=number, left=left):
                def vanish():
                    shutil.rmtree(world.host.base_dir, ignore_errors=True)
                    scenarios.install_host.write(left, b"gone")

                faults.before_change(number, vanish)
                return world.act()

            ending = faults.run(act)
            if right is None:  # the first time nothing vanished
                right = world.hit()
                course = invariants.Course(before, right)
                continue
            if not os.path.exists(left):
                break
            tried += 1
            assert ending.answer and not ending.traceback, ending
            if ending.answer.get("failed"):
                error = ending.answer["error"]
                assert error["step"] and error["path"] and error["errno"], ending.answer
            hit = world.hit()
            rerun, again, third = faults.run(world.act), world.hit(), faults.run(world.act)
            wrong = course.after_rerun(hit, rerun, again, third, world.hit())
            assert not wrong, "%s, before call %d: %s" % (scenario, number, wrong)
    proof("%d times the store vanished (%s)" % (tried, scenario))
    assert tried > 2


def test_a_run_that_never_ends_is_found():
    ending = faults.run(lambda: time.sleep(3600), patience=0.5)
    assert ending.answer is None and ending.traceback == "no end within 0.5 s"


@pytest.mark.parametrize("installer", ["module", "script"])
def test_no_fault_makes_the_module_fail_without_step_path_and_errno(strace, proof, installer):
    pytest.importorskip("ansible.module_utils.basic")
    findings = sweep(
        strace, ["nothing, link", "damaged, link", "mode", "removal, link"], installer, EVERY_THROUGH_ANSIBLE
    )
    wrong = [finding for finding in findings if finding.wrong]
    way = "Ansible" if installer == "module" else "the script"
    proof("%s faults through %s, %d violations" % ("{:,}".format(len(findings)), way, len(wrong)))
    assert not wrong, report(findings)
    assert findings


def test_the_same_faults_leave_a_naive_installer_half_done(strace, proof):
    findings = sweep(strace, ["nothing", "nothing, link", "link switch"], "naive", EVERY_NAIVE)
    wrong = [finding for finding in findings if finding.wrong]
    proof("naive: %s faults, %s violations" % ("{:,}".format(len(findings)), "{:,}".format(len(wrong))))
    for invariant in ("I1", "I3", "I5"):
        assert any(sentence.startswith(invariant) for finding in wrong for sentence in finding.wrong), invariant
