# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""T8: each line of the protocol, taken out, makes some test fail."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

import mutants
import sweeps
import tiers

TESTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
CHECKOUT = os.path.dirname(TESTS)
PLACE = os.path.join("ansible_collections", "iac_platform", "terraform")
SECONDS = 150       # for the tests of one mutant, which take some: only so that a hang is seen as one
AT_ONCE = 2 * sweeps.PROCESSES  # tests of the network and of locks wait more than they work
SHARES = 6 * AT_ONCE            # of the work: some take minutes
A_FEW = 6           # in the short run: others each week


class Verdict(NamedTuple):
    """What became of one mutant."""

    name: str
    outcome: str        # noticed, maybe by a hang; missed; or what went wrong with it
    output: str


def copy_checkout(folder):
    """The plugins and tests as they are here, as a collection of their own."""
    tree = os.path.join(folder, PLACE)
    for part in ("plugins", "tests", "roles", "meta"):
        shutil.copytree(os.path.join(CHECKOUT, part), os.path.join(tree, part), ignore=shutil.ignore_patterns(
            "__pycache__", "output"))
    return tree


def run_tests(folder, tree, targets):
    """pytest over the copy: (its exit status, its output); None for a hang."""
    environment = dict((key, value) for key, value in os.environ.items() if not key.startswith("TERRAFORM_BINARY_PROOF"))
    environment.update(PYTHONPATH=folder, ANSIBLE_COLLECTIONS_PATH=folder, PYTHONDONTWRITEBYTECODE="1")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--import-mode=importlib"] + list(targets)
    with subprocess.Popen(command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, start_new_session=True) as process:
        try:
            output, _none = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return None, process.communicate()[0]
    return process.returncode, output


def try_some(names):
    """Each of some mutants: list of Verdict."""
    sweeps.be_nice()
    folder = tempfile.mkdtemp(prefix="terraform-binary-mutants-")
    try:
        tree = copy_checkout(folder)
        return [try_one(folder, tree, name) for name in names]
    finally:
        shutil.rmtree(folder)


def try_one(folder, tree, name):
    mutant = mutants.MUTANTS[name]
    path = os.path.join(tree, "plugins", "module_utils", mutant.file)
    with open(path, encoding="utf-8") as file:
        source = file.read()
    if source.count(mutant.old) != 1:
        return Verdict(name, "is not in %s, or more than once" % mutant.file, "")
    with open(path, "w", encoding="utf-8") as file:
        file.write(source.replace(mutant.old, mutant.new))
    try:
        for target in mutant.targets:
            status, output = run_tests(folder, tree, [target])
            if status is None:
                return Verdict(name, "noticed: its tests hang", output)
            if status == 1:
                return Verdict(name, "noticed", output)
            if status != 0:
                return Verdict(name, "its tests cannot be run (%s)" % status, output)
        return Verdict(name, "missed by %s" % ", ".join(mutant.targets), output)
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
    return cheap[tiers.day() % step::step]


def test_the_tests_of_all_mutants_pass_without_them(tmp_path):
    targets = sorted(set(target for name in chosen() for target in mutants.MUTANTS[name].targets))
    status, output = run_tests(str(tmp_path), copy_checkout(str(tmp_path)), targets)
    assert status == 0, output


def test_every_line_taken_out_is_missed(proof):
    names = chosen()
    shares = [names[number::SHARES] for number in range(min(SHARES, len(names)))]
    with multiprocessing.get_context("fork").Pool(AT_ONCE) as pool:
        verdicts = [verdict for part in pool.map(try_some, shares, chunksize=1) for verdict in part]
    alive = [verdict for verdict in verdicts if not verdict.outcome.startswith("noticed")]
    hanging = [verdict for verdict in verdicts if verdict.outcome.endswith("hang")]
    proof("%d mutants, %d noticed%s" % (len(verdicts), len(verdicts) - len(alive), ", %d of them by a hang" % len(hanging)
                                        if hanging else ""))
    assert not alive, "\n".join("%s: %s\n%s" % (verdict.name, verdict.outcome, verdict.output[-300:]) for verdict in alive)
    tiers.check_floor("T8", len(verdicts))
