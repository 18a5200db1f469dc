# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted for each tier, and that each has its tests."""

import json
import os

import pytest
from support import tiers

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


class Report:
    """A test report of pytest, as far as it is read."""

    def __init__(self, nodeid, outcome, sentences=()):
        self.nodeid, self.outcome, self.when, self.longrepr = nodeid, outcome, "call", None
        self.user_properties = [("proof", sentence) for sentence in sentences]


def test_a_tier_that_failed_is_not_saved(tmp_path):
    ledger = tiers.Ledger(str(tmp_path))
    ledger.note(Report("tests/proof/test_concurrency_stress.py::test_a", "passed", ["5 executions"]))
    ledger.note(Report("tests/proof/test_fault_sweep.py::test_b", "failed", ["5 faults"]))
    ledger.note(Report("tests/unit/test_role.py::test_c", "passed"))
    ledger.save(str(tmp_path / "counts.json"))
    saved = json.loads((tmp_path / "counts.json").read_text())
    assert list(saved) == ["T3"] and saved["T3"]["counts"] == "5 executions"
    assert dict(ledger.lines())["T2"] == "5 faults; 1 tests FAILED"


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_every_tier_has_its_tests(tier):
    for path in tiers.TIERS[tier].paths:
        folder, name = os.path.split(path)
        assert path.startswith("::") or any(
            found.startswith(name) for found in os.listdir(os.path.join(CHECKOUT, folder))
        )
