# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tiers of the proof: which tests belong to each, how much each has to try at least, and what a run counted.

Three sizes: a taste for ``make check`` (TERRAFORM_BINARY_PROOF=quick), the short one that every ``make test`` has, and the full
one of ``make proof`` (TERRAFORM_BINARY_PROOF=full), whose floors are those of the install protocol. A test reports its counts by
the fixture ``proof``; those of tiers that are ordinary tests are counted here. At the end of a run there is one line for each
tier that took part in it.
"""

import json
import os
import subprocess
import time
from typing import NamedTuple, Tuple

FULL = os.environ.get("TERRAFORM_BINARY_PROOF") == "full"
COUNTS = os.environ.get("TERRAFORM_BINARY_PROOF_COUNTS")  # a file that receives the counts of a full run, as JSON
QUICK = os.environ.get("TERRAFORM_BINARY_PROOF") == "quick"  # make check: a taste of what takes long
EXAMPLES = 10000 if FULL else 30 if QUICK else 150  # of each property
_UNIT = "tests/unit/plugins/module_utils/"


class Tier(NamedTuple):
    """One kind of evidence."""

    what: str  # in words
    floor: int  # how much of it there has to be in a full run
    paths: Tuple[str, ...]  # parts of the names of its tests
    by_tests: bool = False  # each test is one of them; else tests report what they counted


TIERS = {
    "T1": Tier(
        "examples a parser",
        10000,
        (_UNIT + "_openpgp/test_verify_properties.py", "::test_property_", "tests/proof/test_parsers.py"),
    ),
    "T2": Tier("faults", 1000, ("tests/proof/test_fault_sweep.py",)),
    "T3": Tier("executions", 20000, ("tests/proof/test_concurrency_stress.py",)),
    "T4": Tier(
        "tests of the network",
        40,
        (
            _UNIT + "_http/test_client",
            _UNIT + "_http/test_response.py",
            "tests/unit/release_site/",
            "tests/playbooks/test_retries.py",
            "tests/playbooks/test_hostile_networks.py",
            "tests/playbooks/test_proxies_and_trust.py",
        ),
        True,
    ),
    "T5": Tier("crash images", 100, ("tests/proof/test_crash_images.py",)),
    "T6": Tier("signatures", 40, (_UNIT + "_openpgp/test_verify_made.py", _UNIT + "_openpgp/test_verify.py"), True),
    "T7": Tier("sequences", 300, ("tests/proof/test_any_order.py",)),
    "T8": Tier("mutants", 60, ("tests/proof/test_mutants.py",)),
    "T9": Tier(
        "keys and signatures",
        2000,
        (_UNIT + "_openpgp/test_verify_beside_sqv.py", _UNIT + "_install/test_zip_readers.py"),
    ),
}


class Ledger:
    """What one run counted."""

    def __init__(self, checkout):
        self.commit = os.environ.get("TERRAFORM_BINARY_COMMIT") or _commit_of(checkout)  # as it is when the run begins
        self.reported = {}  # tier -> list of sentences
        self.ended = {}  # tier -> {"passed": n, "failed": n, "skipped": n}
        self.reasons = {}  # tier -> why tests of it were skipped

    def note(self, report):
        """Take in a test report of pytest."""
        tier = tier_of(report.nodeid)
        if tier is None or not (report.when == "call" or report.when == "setup" and report.outcome != "passed"):
            return
        ended = self.ended.setdefault(tier, {})
        ended[report.outcome] = ended.get(report.outcome, 0) + 1
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            self.reasons.setdefault(tier, set()).add(report.longrepr[2])
        self.reported.setdefault(tier, []).extend(value for name, value in report.user_properties if name == "proof")

    def lines(self):
        """One line for each tier that took part."""
        for tier in sorted(self.ended):
            ended = self.ended[tier]
            passed = "{:,}".format(ended.get("passed", 0))
            sentences = list(self.reported[tier]) or [
                "%s %s" % (passed, TIERS[tier].what if TIERS[tier].by_tests else "tests")
            ]
            if tier == "T1":
                sentences.insert(0, "%s examples of each property" % "{:,}".format(EXAMPLES))
            if ended.get("failed"):
                sentences.append("%d tests FAILED" % ended["failed"])
            if ended.get("skipped"):
                sentences.append(
                    "%d tests skipped: %s" % (ended["skipped"], "; ".join(sorted(self.reasons.get(tier, ()))))
                )
            yield tier, "; ".join(sentences)

    def save(self, path):
        """Put the counts of the tiers that passed into a file, beside those of other tiers there."""
        kept = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                kept = json.load(file)
        for tier, line in self.lines():
            if not self.ended[tier].get("failed"):
                kept[tier] = {"counts": line, "date": time.strftime("%Y-%m-%d", time.gmtime()), "commit": self.commit}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(kept, file, indent=1, sort_keys=True)


def _commit_of(checkout):
    if not (FULL and COUNTS):
        return None
    said = subprocess.run(
        ["git", "-C", checkout, "describe", "--always", "--dirty", "--exclude=*"],
        stdout=subprocess.PIPE,
        universal_newlines=True,
        check=True,
    )
    return said.stdout.strip()


def tier_of(nodeid):
    """The tier that a test belongs to, or None."""
    for tier, entry in TIERS.items():
        if any(path in nodeid for path in entry.paths):
            return tier
    return None


def check_floor(tier, count):
    """Assert that a full run did as much as the protocol asks for."""
    assert not FULL or count >= TIERS[tier].floor, "%s: %d %s, %d expected" % (
        tier,
        count,
        TIERS[tier].what,
        TIERS[tier].floor,
    )


def day():
    """The number of this day, for what is tried in turn."""
    return int(time.time()) // 86400
