# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""T7: whatever happens to a store in whatever order, an install leaves it right and says whether it had to do something.

A model knows what was done to each of two versions and to the link; after a kill it knows less, until the next install.
"""

import contextlib
import os
import signal

import faults
import pytest
import scenarios
import sweeps
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import RequestError
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import plan
from support import tiers
from support.properties import hypothesis

stateful = pytest.importorskip("hypothesis.stateful")
from_ = hypothesis.strategies

SEQUENCES = tiers.TIERS["T7"].floor if tiers.FULL else 25
STEPS = 12
VERSIONS = (scenarios.VERSION, scenarios.OLD_VERSION)
COUNTS = {"sequences": 0, "installs": 0, "kills": 0, "damages": 0, "removals": 0}


class Known:
    """What the model knows of one version."""

    def __init__(self):
        self.binary = None  # its bytes
        self.receipt = None  # right, broken, or None
        self.mode = None  # right or wrong
        self.recorded = False  # the receipt knows the link
        self.stale_temp_files = False
        self.sure = True  # nothing was killed since the last install


class Store(stateful.RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        COUNTS["sequences"] += 1
        self.stack = contextlib.ExitStack()
        self.folder = self.stack.enter_context(sweeps.fast_folder())
        self.host = scenarios.install_host.Host(self.folder)
        self.offers = {version: self.host.offer(version, padding=1000) for version in VERSIONS}
        self.known = {version: Known() for version in VERSIONS}
        self.link = None  # the version that it means

    def teardown(self):
        self.stack.close()

    @property
    def link_path(self):
        return self.host.at("bin", "terraform")

    def task_args(self, version, linked, **more):
        return dict(self.offers[version], link=self.link_path if linked else None, **more)

    @stateful.rule(version=from_.sampled_from(VERSIONS), linked=from_.booleans())
    def install(self, version, linked):
        COUNTS["installs"] += 1
        known = self.known[version]
        right = known.binary == self.host.published[version] and (known.receipt, known.mode) == ("right", "right")
        needed = not right or known.stale_temp_files or linked and not (self.link == version and known.recorded)
        assert not known.sure or self.host.check(**self.task_args(version, linked))["changed"] == needed
        result = self.host.run(**self.task_args(version, linked))
        assert not known.sure or result["changed"] == needed, self.host.lines
        known.recorded = linked or known.recorded and known.receipt == "right" and known.sure
        known.binary, known.receipt, known.mode = self.host.published[version], "right", "right"
        known.stale_temp_files, known.sure = False, True
        if linked:
            self.link = version
        self.host.assert_right(version)
        known.recorded = self.link_path in self.host.read_receipt(version)["links"]
        assert not self.host.run(**self.task_args(version, linked))["changed"]

    @stateful.rule(version=from_.sampled_from(VERSIONS), linked=from_.booleans())
    def remove(self, version, linked):
        COUNTS["removals"] += 1
        known = self.known[version]
        foreign = known.binary is not None and known.receipt is None
        in_use = known.receipt == "right" and known.recorded and self.link == version and not linked
        try:
            self.host.run(**self.task_args(version, linked, state="absent"))
        except RequestError:
            assert foreign or in_use or not known.sure
            return
        assert not (foreign or in_use) or not known.sure
        if linked and self.link == version:
            self.link = None
        assert self.host.names(version) is None
        self.known[version] = Known()

    @stateful.rule(
        version=from_.sampled_from(VERSIONS),
        linked=from_.booleans(),
        state=from_.sampled_from(["present", "absent"]),
        number=from_.integers(1, 60),
    )
    def kill(self, version, linked, state, number):
        known = self.known[version]
        before = known.binary

        def run():
            faults.before_change(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            with contextlib.suppress(RequestError):
                self.host.run(**self.task_args(version, linked, state=state))

        ending = faults.run(run)
        assert not ending.traceback, ending.traceback
        COUNTS["kills"] += ending.signal == signal.SIGKILL
        known.binary = self._read(version)
        assert known.binary in (before, None, self.host.published[version])
        known.receipt = "right" if os.path.exists(self.host.receipt(version)) else None
        known.sure = False
        self.link = self._read_link()

    @stateful.precondition(lambda self: any(known.binary for known in self.known.values()))
    @stateful.rule(
        data=from_.data(), how=from_.sampled_from(["flip", "cut", "delete", "mode", "receipt gone", "receipt broken"])
    )
    def damage(self, data, how):
        COUNTS["damages"] += 1
        version = data.draw(from_.sampled_from([version for version in VERSIONS if self.known[version].binary]))
        known, path = self.known[version], self.host.binary(version)
        if how == "flip":
            self.host.flip(path)
        elif how == "cut":
            os.truncate(path, len(known.binary) // 2)
        elif how == "delete":
            os.unlink(path)
        elif how == "mode":
            os.chmod(path, 0o700)
            known.mode = "wrong"
        elif how == "receipt broken":
            scenarios.install_host.write(self.host.receipt(version), b"{")
            known.receipt = "broken"
        elif os.path.exists(self.host.receipt(version)):
            os.unlink(self.host.receipt(version))
            known.receipt = None
        known.binary = self._read(version)

    @stateful.rule(version=from_.sampled_from(VERSIONS))
    def leave_stale_files(self, version):
        folder = os.path.dirname(self.host.binary(version))
        if os.path.isdir(folder):
            scenarios.install_host.write(os.path.join(folder, ".tmp.binary.abcd1234"), b"half")
            self.known[version].stale_temp_files = True

    @stateful.rule()
    def unlink_the_link(self):
        if os.path.islink(self.link_path):
            os.unlink(self.link_path)
            self.link = None

    @stateful.invariant()
    def nothing_else_changed(self):
        for version, known in self.known.items():
            assert self._read(version) == known.binary, "%s was touched" % version
        assert self._read_link() == self.link

    def _read(self, version):
        path = self.host.binary(version)
        return scenarios.install_host.read(path) if os.path.exists(path) else None

    def _read_link(self):
        if not os.path.islink(self.link_path):
            return None
        target = os.readlink(self.link_path)
        return next(version for version in VERSIONS if self.host.binary(version) == target)


def test_any_order_of_installs_damages_and_kills_ends_well(monkeypatch, proof):
    monkeypatch.setattr(plan, "RETRY_SECONDS", 0)  # seconds; nobody else is at work here
    settings = hypothesis.settings(
        max_examples=SEQUENCES, stateful_step_count=STEPS, suppress_health_check=list(hypothesis.HealthCheck)
    )
    stateful.run_state_machine_as_test(Store, settings=settings)
    proof(", ".join("%s %s" % ("{:,}".format(number), what) for what, number in COUNTS.items()))
    assert all(COUNTS.values()), COUNTS
    tiers.check_floor("T7", COUNTS["sequences"])
