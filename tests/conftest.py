# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share: the release site, genuine release data where this machine has it, and the counts of the proof.

Tests of module_utils run on Python 3.6 without ``cryptography``, too: nothing of the site is imported before a test
asks for it, and then the test is skipped where the site cannot run.
"""

import gc
import importlib
import os
import signal
import sys
import time

import pytest

_TESTS = os.path.dirname(os.path.realpath(__file__))
_CHECKOUT = os.path.dirname(_TESTS)

if _TESTS not in sys.path:
    sys.path.insert(0, _TESTS)

system = importlib.import_module("support.system")  # beside this file, which the line above makes known
tiers = importlib.import_module("support.tiers")
genuine_module = importlib.import_module("support.genuine")
_LEDGER = tiers.Ledger(_CHECKOUT)
_MARK = "TESTS_OF_TERRAFORM"  # in the environment of all that a test run starts: which run it was
_PATIENCE = 30  # seconds for what ends by itself, such as the workers of xdist


def pytest_configure(config):
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # as where a shell without job control started the tests in the
        signal.signal(signal.SIGINT, signal.default_int_handler)  # background; what they interrupt would inherit that
    if _MARK not in os.environ:  # a pytest in a test, or a worker of xdist, belongs to the run around it
        os.environ[_MARK] = config._mark_of_the_run = "%d-%d" % (os.getpid(), time.time() * 1e6)
        if getattr(config.option, "numprocesses", None):  # else tests fork here, and a child has to end by SIGTERM
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends a run wants what Ctrl-C does


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    """Nothing that the run started outlives it, also when it was interrupted: what does is killed, and the run has failed."""
    yield
    mark = getattr(session.config, "_mark_of_the_run", None)
    if mark is None:
        return
    ends = time.monotonic() + _PATIENCE
    while system.processes_with(_MARK, mark) and time.monotonic() < ends:
        time.sleep(0.1)
    for pid, command in system.processes_with(_MARK, mark):
        print("\nStill alive after the tests, and killed: %d %s" % (pid, command))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


# The files that take longest come first, so that no worker is left alone with one in the end.
_LONGEST = (
    "test_seam_connections.py",
    "test_seam.py",
    "test_ssh_hosts.py",
    "test_proxies_and_trust.py",
    "test_credentials.py",
    "test_mutants.py",
    "test_fault_sweep.py",
    "test_guides.py",
    "test_crash_images.py",
    "test_hostile_networks.py",
    "test_versions.py",
    "test_controller_downloads.py",
    "test_progress_lines.py",
    "test_main_job.py",
    "test_concurrency_stress.py",
    "test_parsers.py",
    "test_run_check.py",
    "test_binary.py",
    "test_verify_made.py",
    "test_installed.py",
    "test_run.py",
)


def _place(item):
    name = os.path.basename(str(item.fspath))
    return _LONGEST.index(name) if name in _LONGEST else len(_LONGEST)


def pytest_collection_modifyitems(config, items):
    """A full run has the tests of the tiers, and no others; TERRAFORM_BINARY_CASES=first is the first case of each test."""
    items.sort(key=_place)
    if tiers.FULL:
        wanted = [item for item in items if tiers.tier_of(item.nodeid) is not None]
    elif os.environ.get("TERRAFORM_BINARY_CASES") == "first":
        seen = {}
        for item in items:
            seen.setdefault(item.nodeid.split("[")[0], item)
        wanted = list(seen.values())
    else:
        return
    left_out = set(items) - set(wanted)
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = wanted


def pytest_collection_finish():
    """What is there before the tests stays, and many tests fork: then nothing that walks through it copies its pages."""
    if hasattr(gc, "freeze"):  # Python 3.7
        gc.collect()
        gc.freeze()


def pytest_runtest_logreport(report):
    _LEDGER.note(report)


def pytest_terminal_summary(terminalreporter):
    for tier, line in _LEDGER.lines():
        terminalreporter.write_line("%s: %s" % (tier, line))
    if tiers.FULL and tiers.COUNTS:
        _LEDGER.save(tiers.COUNTS)


@pytest.fixture
def proof(record_property):
    """Report what a tier counted: callable(str)."""
    return lambda sentence: record_property("proof", sentence)


@pytest.fixture(scope="session")
def signing_key():
    """The key that signs the releases of ``site``."""
    return _release_site().make_signing_key("Demo")


@pytest.fixture(scope="session")
def untrusted_key():
    """Another key, which nobody has a reason to trust."""
    return _release_site().make_signing_key("Untrusted")


@pytest.fixture
def site(signing_key):
    """A running release site with 1.9.8, 1.13.3 and 1.13.4, in good order and with nothing counted yet."""
    with _release_site().Site(versions=("1.9.8", "1.13.3", "1.13.4"), key=signing_key) as running:
        yield running


@pytest.fixture(scope="session")
def genuine():
    """The folder of genuine release data."""
    folder = os.environ.get("TERRAFORM_BINARY_GENUINE") or os.path.join(os.path.dirname(_CHECKOUT), "shared", "genuine")
    if not os.path.isdir(folder):
        pytest.skip("no genuine release data in %s (TERRAFORM_BINARY_GENUINE names the folder)" % folder)
    return folder


@pytest.fixture(scope="session")
def genuine_site(tmp_path_factory, request):
    """The genuine release 1.11.4 as a folder laid out like the site: TERRAFORM_BINARY_GENUINE_SITE, or made here.

    It is made in the folder that TERRAFORM_BINARY_GENUINE_KEPT names, and found there the next time.
    """
    ready = os.environ.get("TERRAFORM_BINARY_GENUINE_SITE")
    if ready:
        has_layout = os.path.isdir(os.path.join(ready, "terraform"))
        assert has_layout, "TERRAFORM_BINARY_GENUINE_SITE=%s has no terraform/" % ready
        return ready
    folder = os.environ.get("TERRAFORM_BINARY_GENUINE_KEPT") or str(tmp_path_factory.mktemp("genuine-site"))
    lacks = genuine_module.lay_out(request.getfixturevalue("genuine"), folder)
    if lacks:
        pytest.skip(lacks)
    return folder


def _release_site():
    if sys.version_info < (3, 9):
        pytest.skip("the release site needs Python 3.9")
    pytest.importorskip("cryptography")
    return pytest.importorskip("release_site")
