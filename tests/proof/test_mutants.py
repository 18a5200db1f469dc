# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""T8: each line of the protocol, taken out, makes some test fail."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import mutants
import pytest
import sweeps
from support import system, tiers

TESTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
CHECKOUT = os.path.dirname(TESTS)
PLACE = os.path.join("ansible_collections", "iac_platform", "terraform")
SECONDS = 300  # for the tests of one mutant, which take some: only so that a hang is seen as one
AT_ONCE = 2 * sweeps.PROCESSES  # tests of the network and of locks wait more than they work
A_FEW = 3  # in the short run: others each week

_folder = None  # of this process of the pool: the collections with a copy of this one, to be changed


class Result(NamedTuple):
    """What became of one mutant."""

    name: str
    outcome: str  # noticed, maybe by a hang; missed; or what went wrong with it
    output: str


def copy_checkout(parent):
    """For a new process of the pool: have a copy of its own of the plugins and tests as they are here."""
    global _folder
    sweeps.be_nice()
    _folder = tempfile.mkdtemp(dir=parent)
    for part in (".ci", "plugins", "tests", "roles", "meta"):
        shutil.copytree(
            os.path.join(CHECKOUT, part),
            os.path.join(_folder, PLACE, part),
            ignore=shutil.ignore_patterns("__pycache__", "output"),
        )


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Processes that each have such a copy."""
    parent = str(tmp_path_factory.mktemp("mutants"))
    with multiprocessing.get_context("fork").Pool(AT_ONCE, copy_checkout, (parent,)) as made:
        yield made
    shutil.rmtree(parent)


def run_tests(target):
    """pytest over the copy: (its exit status, its output); None for a hang."""
    environment = dict(
        (key, value) for key, value in os.environ.items() if not key.startswith("TERRAFORM_BINARY_PROOF")
    )
    mark = "%d-%d" % (os.getpid(), time.monotonic() * 1e6)
    environment.update(
        PYTHONPATH=_folder, ANSIBLE_COLLECTIONS_PATH=_folder, PYTHONDONTWRITEBYTECODE="1", TEST_OF_A_MUTANT=mark
    )
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--import-mode=importlib", target]
    with subprocess.Popen(
        command,
        cwd=os.path.join(_folder, PLACE),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _none = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[0]
        finally:  # a mutant may leave processes that led groups of their own
            for pid, _command in system.processes_with("TEST_OF_A_MUTANT", mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    return process.returncode, output


def try_one(name):
    """The Result of one mutant."""
    mutant = mutants.MUTANTS[name]
    path = os.path.join(_folder, PLACE, "plugins", "module_utils", mutant.file)
    with open(path, encoding="utf-8") as file:
        source = file.read()
    if source.count(mutant.old) != 1:
        return Result(name, "is not in %s, or more than once" % mutant.file, "")
    with open(path, "w", encoding="utf-8") as file:
        file.write(source.replace(mutant.old, mutant.new))
    try:
        for target in mutant.targets:
            status, output = run_tests(target)
            if status is None:
                return Result(name, "noticed: its tests hang", output)
            if status == 1:
                return Result(name, "noticed", output)
            if status != 0:
                return Result(name, "its tests cannot be run (%s)" % status, output)
        return Result(name, "missed by %s" % ", ".join(mutant.targets), output)
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)


def chosen():
    """All, or a few that change from one state of the table to the next."""
    names = list(mutants.MUTANTS)
    if tiers.FULL:
        return names
    cheap = [name for name in names if all("/proof/" not in target for target in mutants.MUTANTS[name].targets)]
    step = len(cheap) // A_FEW
    return cheap[tiers.day() % step :: step]


def slow_first(item, targets):
    """A key to sort by, so that nobody is left with a long one in the end."""
    return not any("/proof/" in target for target in targets), item


def test_every_change_fits_its_file_and_its_tests_exist():
    """All rows, in an instant: whoever moves a line or a test need not wait for the full run."""
    wrong = []
    for name, mutant in mutants.MUTANTS.items():
        path = os.path.join(CHECKOUT, "plugins", "module_utils", mutant.file)
        with open(path, encoding="utf-8") as file:
            if file.read().count(mutant.old) != 1:
                wrong.append("%s: is not in %s, or more than once" % (name, mutant.file))
        for target in mutant.targets:
            if not os.path.exists(os.path.join(CHECKOUT, target.partition("::")[0])):
                wrong.append("%s: there is no %s" % (name, target))
    assert not wrong


@pytest.mark.skipif(not tiers.FULL, reason="make test has these very tests")
def test_the_tests_of_all_mutants_pass_without_them(pool):
    targets = sorted(
        set(target for name in chosen() for target in mutants.MUTANTS[name].targets),
        key=lambda target: slow_first(target, [target]),
    )
    for target, (status, output) in zip(targets, pool.map(run_tests, targets, chunksize=1)):
        assert status == 0, "%s: %s\n%s" % (target, status, output)


def test_every_line_taken_out_is_missed(pool, proof):
    names = sorted(chosen(), key=lambda name: slow_first(name, mutants.MUTANTS[name].targets))
    results = pool.map(try_one, names, chunksize=1)
    alive = [result for result in results if not result.outcome.startswith("noticed")]
    hanging = [result for result in results if result.outcome.endswith("hang")]
    proof(
        "%d mutants, %d noticed%s"
        % (len(results), len(results) - len(alive), ", %d of them by a hang" % len(hanging) if hanging else "")
    )
    assert not alive, "\n".join("%s: %s\n%s" % (result.name, result.outcome, result.output[-300:]) for result in alive)
    tiers.check_floor("T8", len(results))
