# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""T3: twelve installers that want two different binaries under one name, three readers that run it, and a killer.

The installers never agree, so that the binary is replaced all the time. Whoever runs it gets one or the other, whole.
"""

import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from typing import NamedTuple

import pytest
import scenarios
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import TerraformBinaryError
from support import tiers
from support.system import open_folder

INSTALLERS, READERS = 12, 3
EXECUTIONS = tiers.TIERS["T3"].floor if tiers.FULL else 1000
REPLACED = 200 if tiers.FULL else 20
KILLS = 10  # at least, however fast the readers are
SECONDS = 300  # at most
FORK = multiprocessing.get_context("fork")

if sys.version_info < (3, 8):
    pytest.skip("os.posix_spawn came with Python 3.8", allow_module_level=True)


class Stress(NamedTuple):
    """One store and two requests for it."""

    hosts: tuple
    log: str  # what the installers did, a word or two a line

    @property
    def binary(self):
        return self.hosts[0].binary()

    def run(self, number):
        host = self.hosts[number]
        return host.run(link=os.path.join(os.path.dirname(host.base_dir), "bin", "terraform"), **host.defaults)

    def replaced(self):
        """How often another binary was put in place."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return sum(line.startswith("changed") for line in file)

    def note(self, words):
        fd = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, words.encode("utf-8", "replace") + b"\n")
        os.close(fd)


@pytest.fixture
def stress():
    with open_folder() as folder:
        hosts = []
        for number, padding in enumerate((64 << 10, 96 << 10)):
            host = scenarios.install_host.Host(os.path.join(folder, "ab"[number]))
            os.mkdir(host.folder)
            host.base_dir = os.path.join(folder, "store")
            host.defaults = host.offer(padding=padding)
            hosts.append(host)
        yield Stress(tuple(hosts), os.path.join(folder, "log"))


def install_for_ever(stress, seed):
    chance = random.Random(seed)
    while True:
        stress.note("begin %d" % os.getpid())
        try:
            result = stress.run(chance.randrange(2))
        except TerraformBinaryError as exc:
            stress.note("failed %s" % exc)
        else:
            stress.note("%s %d" % ("changed" if result["changed"] else "unchanged", os.getpid()))


def read_often(stress, count, stop, queue):
    """Run the binary, and look at its bytes, until the end; what was wrong goes into the queue."""
    good = set(hashlib.sha256(host.published[scenarios.VERSION]).digest() for host in stress.hosts)
    bad = []
    while not stop.is_set():
        with count.get_lock():
            count.value += 1
        try:
            answer = execute(stress.binary)
            if answer != (0, scenarios.VERSION):
                bad.append("it answered %s" % (answer,))
            with open(stress.binary, "rb") as file:
                if hashlib.sha256(file.read()).digest() not in good:
                    bad.append("it has bytes that nobody offered")
        except (OSError, ValueError) as exc:
            bad.append(repr(exc))
    queue.put(bad)


def execute(path):
    """Run ``path version -json``: (exit status, the version that it says)."""
    reading, writing = os.pipe()
    try:
        try:
            pid = os.posix_spawn(path, [path, "version", "-json"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
        finally:
            os.close(writing)
        said = os.read(reading, 65536)
        _pid, status = os.waitpid(pid, 0)
    finally:
        os.close(reading)
    return status, json.loads(said.decode("ascii")).get("terraform_version")


def begin(target, *arguments):
    process = FORK.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def test_who_runs_the_binary_never_gets_half_of_one(stress, proof):
    chance = random.Random(20261126)
    assert stress.run(0)["changed"]
    stress.note("first")
    count, stop, queue = FORK.Value("i"), FORK.Event(), FORK.Queue()
    deadline = time.monotonic() + SECONDS
    installers = [begin(install_for_ever, stress, number) for number in range(INSTALLERS)]
    readers = [begin(read_often, stress, count, stop, queue) for _number in range(READERS)]
    kills = 0
    try:
        while time.monotonic() < deadline and (
            count.value < EXECUTIONS or stress.replaced() < REPLACED or kills < KILLS
        ):
            time.sleep(chance.uniform(0.05, 0.3))
            victim = chance.randrange(INSTALLERS)
            os.kill(installers[victim].pid, signal.SIGKILL)
            installers[victim].join()
            kills += 1
            installers[victim] = begin(install_for_ever, stress, INSTALLERS + kills)
        stop.set()
        wrong = [words for _reader in readers for words in queue.get(timeout=30)]
    finally:
        for process in installers + readers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.join()
    check_the_log(stress, kills)
    check_the_rest(stress)
    proof(
        "%s executions by %d readers of a binary replaced %s times by %d installers, %s of them killed, %d bad"
        % (
            "{:,}".format(count.value),
            READERS,
            "{:,}".format(stress.replaced()),
            INSTALLERS,
            "{:,}".format(kills),
            len(wrong),
        )
    )
    assert not wrong, wrong[:20]
    tiers.check_floor("T3", count.value)


def check_the_log(stress, kills):
    """Nobody failed, the binary was replaced, and some were killed in the middle of their work."""
    with open(stress.log, encoding="utf-8") as file:
        lines = file.read().splitlines()
    failures = [line for line in lines if line.startswith("failed")]
    assert not failures, "%d installers failed: %s" % (len(failures), failures[:5])
    assert stress.replaced() >= REPLACED, "the binary was hardly ever replaced"
    ended = sum(line.startswith(("changed", "unchanged")) for line in lines)
    began = sum(line.startswith("begin") for line in lines)
    assert kills >= KILLS and began - ended > INSTALLERS, "nobody was killed in the middle of it"


def check_the_rest(stress):
    """One more run leaves what one run alone would leave."""
    stress.run(0)
    folder = os.path.dirname(stress.binary)
    assert sorted(os.listdir(folder)) == ["terraform", "terraform.json"]
    assert scenarios.install_host.read(stress.binary) == stress.hosts[0].published[scenarios.VERSION]
    assert not stress.run(0)["changed"]
