# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A table of cases that is tried on both sides: all of it by the TaskRunner, a sample of it by ansible-playbook.

`make test` plays each case of the sample on one of the sides, `make matrix` on both.

    TABLE = Table(CASES, SAMPLE)

    @pytest.fixture(scope="module")
    def worlds(request):
        with TABLE.worlds(request, build) as worlds:    # build(runner, side, cases) is a context manager
            yield worlds

    @TABLE.each(lambda case: case.step)
    def test_...(world, name):                          # what build() yielded for this runner and side
"""

import contextlib
import functools
import os

import pytest
from playbook_run import SIDES

FULL = bool(os.environ.get("TERRAFORM_BINARY_MATRIX"))
RUNS = {"%s-%s" % (runner, side): (runner, side) for runner in ("tasks", "play") for side in SIDES}


class Table:
    """Cases by name, and the names of those that ansible-playbook runs as well."""

    def __init__(self, cases, sample):
        self.cases = cases
        self.sample = frozenset(sample)
        assert self.sample <= cases.keys(), self.sample - cases.keys()

    def of(self, runner, side):
        """The cases that a runner (``tasks``, ``play``) has with downloads on a side: dict."""
        if runner == "tasks":
            return self.cases
        played = sorted(self.sample)
        if not FULL:
            played = played[SIDES.index(side) :: len(SIDES)]
        return {name: self.cases[name] for name in played}

    def each(self, chosen=lambda case: True):
        """A mark for a test with ``world`` and ``name``: each case that is chosen, wherever it is run."""
        pairs = [
            (run, name)
            for run, (runner, side) in RUNS.items()
            for name, case in sorted(self.of(runner, side).items())
            if chosen(case)
        ]
        return pytest.mark.parametrize("world, name", pairs, indirect=["world"])

    def every_world_with(self, *names):
        """A mark for a test with ``world``: each in which all these cases were run."""
        runs = [run for run, (runner, side) in sorted(RUNS.items()) if self.of(runner, side).keys() >= set(names)]
        return pytest.mark.parametrize("world", runs, indirect=True)

    @contextlib.contextmanager
    def worlds(self, request, build):
        """callable(run) -> what ``build`` made for it; each is made when it is first asked for, and ends with the body."""
        with contextlib.ExitStack() as stack:

            @functools.lru_cache(maxsize=None)
            def make(run):
                runner, side = RUNS[run]
                return stack.enter_context(build(request.getfixturevalue(runner), side, self.of(runner, side)))

            yield make


every_world = pytest.mark.parametrize("world", sorted(RUNS), indirect=True)
