# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page with the counts shows what was counted, and of the rest that it was not run."""

import json
import os
import shutil

import page
import pytest
import tiers

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))), "docs", "proof.md")


def test_counts_come_into_the_page_and_replace_older_ones(tmp_path):
    counts, copy = tmp_path / "counts.json", tmp_path / "proof.md"
    shutil.copy(PAGE, str(copy))
    for number in ("7", "1,234"):
        counts.write_text(json.dumps({"T2": {"counts": number + " faults fired", "date": "2026-11-26", "commit": "abc1234"}}))
        page.write(str(counts), str(copy))
    written = copy.read_text(encoding="utf-8")
    assert "| T2 | 1,000 faults | 1,234 faults fired | 2026-11-26 | abc1234 |\n" in written and "| 7 faults" not in written
    assert written.count("not run yet") == len(tiers.TIERS) - 1
    with open(PAGE, encoding="utf-8") as file:
        assert written[:written.index(page.BEGIN)] == file.read().split(page.BEGIN)[0]


class Report:
    """A test report of pytest, as far as it is read."""

    def __init__(self, nodeid, outcome, sentences=()):
        self.nodeid, self.outcome, self.when, self.longrepr = nodeid, outcome, "call", None
        self.user_properties = [("proof", sentence) for sentence in sentences]


def test_a_tier_that_failed_is_not_saved(tmp_path):
    ledger = tiers.Ledger(str(tmp_path))
    ledger.note(Report("tests/proof/test_crowd.py::test_a", "passed", ["5 executions"]))
    ledger.note(Report("tests/proof/test_fault_sweep.py::test_b", "failed", ["5 faults"]))
    ledger.note(Report("tests/unit/test_role.py::test_c", "passed"))
    ledger.save(str(tmp_path / "counts.json"))
    saved = json.loads((tmp_path / "counts.json").read_text())
    assert list(saved) == ["T3"] and saved["T3"]["counts"] == "5 executions"
    assert dict(ledger.lines())["T2"] == "5 faults; 1 tests FAILED"


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_every_tier_has_its_tests(tier):
    checkout = os.path.dirname(os.path.dirname(PAGE))
    for path in tiers.TIERS[tier].paths:
        folder, name = os.path.split(path)
        assert path.startswith("::") or any(found.startswith(name) for found in os.listdir(os.path.join(checkout, folder)))
