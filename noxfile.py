# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The toolchain: one session for each thing that `make` offers.

Everything is made below build/, which git ignores. The sessions work on a copy of the files that git knows or would
add (see mirror_checkout), laid out as ansible_collections/iac_platform/terraform. pip installs as it is configured on
this machine. `nox --list` lists the sessions; arguments after `--` go to the tool that a session runs. Each session says
first what it does and how long that takes, and at its end where the time went.
"""

import ast
import contextlib
import fcntl
import functools
import glob
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import nox

ROOT = pathlib.Path(__file__).resolve().parent
BUILD = ROOT / "build"
COLLECTIONS = BUILD / "tree"
TREE = COLLECTIONS / "ansible_collections" / "iac_platform" / "terraform"
REQUIREMENTS = ROOT / "tests" / "requirements"

# ansible-core -> the Pythons it runs on as a controller, the preferred one first (2.15: that of stock AWX).
CORES = {
    "2.15": ("3.9", "3.10", "3.11"),
    "2.16": ("3.12", "3.11", "3.10"),
    "2.17": ("3.12", "3.11", "3.10"),
    "2.18": ("3.13", "3.12", "3.11"),
    "2.19": ("3.13", "3.12", "3.11"),
    "2.20": ("3.13", "3.12", "3.14"),
    "2.21": ("3.13", "3.12", "3.14"),
}
HERE = "%d.%d" % sys.version_info[:2]
MAIN_CORE = "2.19" if HERE in CORES["2.19"] else "2.21"
SANITY_PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")

nox.needs_version = ">=2024.10.9"
nox.options.envdir = "build/nox"
nox.options.default_venv_backend = "virtualenv"  # pip, unlike uv, reads the machine's pip configuration
nox.options.reuse_venv = "yes"
nox.options.sessions = ["test"]

# What `make test` runs: two lanes side by side, so that one works while the other waits. The first has most of the work.
LANES = (("tests",), ("sanity", "lint", "target36", "awx"))
WORKERS = "3"  # of pytest in the first lane: many tests wait for something
SESSION_SECONDS = 2700  # what hangs is interrupted by then, and its log printed
TEST_SECONDS = {"long": 3600, "short": 300}  # for one test with its fixtures: in make proof and make matrix, and else
COVERED = 90  # percent of the lines and branches of plugins/ that the unit tests run at least
IN_FILES = ("--dist", "loadfile", "--no-loadscope-reorder")  # each worker takes the next file, the longest come first


class Clock:
    """Runs the commands of a session and remembers how long each took."""

    def __init__(self, session):
        self._session = session
        self._spent = []

    @contextlib.contextmanager
    def measure(self, name):
        begun = time.monotonic()
        try:
            yield
        finally:
            self._spent.append((time.monotonic() - begun, name))

    def install(self, *packages, compiled=False):
        """pip install, unless these packages and files of requirements were installed into this environment before.

        :param compiled: compile all of it now, for what runs without writing byte code; else what is imported is, then.
        """
        stamp = pathlib.Path(self._session.virtualenv.location) / ("installed-%d" % len(self._spent))
        wanted = "\n".join(
            package if not os.path.isfile(package) else pathlib.Path(package).read_text(encoding="utf-8")
            for package in packages
        )
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
            return
        with self.measure("pip install"):
            self._session.install(*([] if compiled else ["--no-compile"]), *packages)
        stamp.write_text(wanted, encoding="utf-8")

    def run(self, *command, **how):
        with self.measure(" ".join(command[:4])):
            self._session.run(*command, **how)

    def report(self):
        self._session.log("%.0f seconds in all:" % sum(seconds for seconds, _name in self._spent))
        for seconds, name in sorted(self._spent, reverse=True)[:10]:
            self._session.log("%7.1f s  %s" % (seconds, name))


@contextlib.contextmanager
def timed(session, what):
    """Say what a session does and how long that takes; at its end, where the time went. Yields a Clock."""
    session.log(what)
    clock = Clock(session)
    try:
        yield clock
    finally:
        clock.report()


@functools.lru_cache(maxsize=None)
def find_python(version):
    """The path of an interpreter X.Y that really runs, or None: on PATH, else where pyenv and uv keep theirs."""
    name = "python" + version
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    candidates = [os.path.join(folder, name) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    candidates += sorted(glob.glob(os.path.join(pyenv, "versions", version + "*", "bin", name)))
    candidates += sorted(glob.glob(os.path.expanduser("~/.local/share/uv/python/cpython-%s*/bin/%s" % (version, name))))
    return next((path for path in map(functools.partial(ask_python, version=version), candidates) if path), None)


@functools.lru_cache(maxsize=None)
def ask_python(candidate, version):
    """The path that an interpreter itself has, if it can be run and is an X.Y; else None."""
    if not os.access(candidate, os.X_OK):
        return None
    question = "import sys; print('%d.%d %s' % (sys.version_info[0], sys.version_info[1], sys.executable))"
    answer = subprocess.run([candidate, "-c", question], capture_output=True, text=True, check=False)
    found, _blank, path = answer.stdout.strip().partition(" ")
    return path if answer.returncode == 0 and found == version else None


def mirror_checkout():
    """Bring the copy up to date: what git knows or would add, no more, and a git repository of its own.

    Without that repository ansible-test asks the one around it, which ignores build/, finds nothing and is content.
    """
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / "tree.lock", "w", encoding="ascii") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # sessions run side by side
        _mirror_checkout()


def _mirror_checkout():
    listed = (
        subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        .stdout.decode("utf-8")
        .split("\0")
    )
    wanted = set(name for name in listed if name and os.path.lexists(ROOT / name))
    for name in wanted:
        source, copy = ROOT / name, TREE / name
        if not same_file(source, copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.unlink(missing_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)
    for folder, _folders, names in os.walk(TREE):
        relative = pathlib.Path(folder).relative_to(TREE)
        if relative.parts[:1] == (".git",) or relative.parts[:2] == ("tests", "output"):
            continue
        for name in names:
            if (relative / name).as_posix() not in wanted:
                os.unlink(os.path.join(folder, name))
        if not os.listdir(folder):
            os.rmdir(folder)
    if not (TREE / ".git").exists():
        subprocess.run(["git", "init", "--quiet", str(TREE)], check=True)


def same_file(one, other):
    """Same kind, mode, size and time: good enough for a copy that only we write."""
    if not os.path.lexists(other):
        return False
    stats = [os.lstat(path) for path in (one, other)]
    return len(set((stat.st_mode, stat.st_size, stat.st_mtime_ns) for stat in stats)) == 1


def settings():
    """The environment in which Ansible and the tests see the copy, and nothing of the user's own Ansible."""
    BUILD.mkdir(exist_ok=True)
    (BUILD / "ansible.cfg").write_text("[defaults]\n")
    env = {
        "PYTHONPATH": str(COLLECTIONS),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(BUILD / "ansible"),
        "ANSIBLE_CONFIG": str(BUILD / "ansible.cfg"),
        "TERRAFORM_BINARY_DEBIAN": str(BUILD / "debian.tar"),  # made by the test that needs it, and kept
        "TERRAFORM_BINARY_EE_BASE": str(BUILD / "ee-base.tar"),  # likewise
        "TERRAFORM_BINARY_GENUINE_KEPT": str(BUILD / "genuine-site"),  # likewise
    }
    genuine = ROOT.parent / "shared" / "genuine"
    if genuine.is_dir() and not os.environ.get("TERRAFORM_BINARY_GENUINE"):
        env["TERRAFORM_BINARY_GENUINE"] = str(genuine)
    return env


def run_pytest(session, clock, *arguments):
    mirror_checkout()
    if session.name != "target36":  # no pytest-timeout there
        long = session.env.get("TERRAFORM_BINARY_MATRIX") or session.env.get("TERRAFORM_BINARY_PROOF") == "full"
        arguments = ("--timeout=%d" % TEST_SECONDS["long" if long else "short"],) + arguments
    with session.chdir(TREE):
        clock.run(
            "python",
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--import-mode=importlib",
            "-rs",
            "--durations=10",
            *arguments,
            env=dict(settings(), PYTHONPYCACHEPREFIX=str(BUILD / "pyc"), PYTHONDONTWRITEBYTECODE=None),
            interrupt_timeout=60,  # to tell what failed so far, and to end all that tests have started
            terminate_timeout=30,
        )


@nox.session(python=False)
def test(session):
    """All that a change has to pass: tests, sanity, linters and Python 3.6, in two lanes side by side."""
    session.log("tests beside %s; about 10 minutes on two cores; output in build/log/" % ", ".join(LANES[1]))
    (BUILD / "log").mkdir(parents=True, exist_ok=True)
    mirror_checkout()
    begun, lanes, failed = time.monotonic(), {}, []
    try:
        for lane in LANES:
            lanes[lane] = [lane[0], _start_session(lane[0]), time.monotonic()]
        while lanes:
            time.sleep(0.5)
            for lane, (name, process, since) in list(lanes.items()):
                if process.poll() is None:
                    if time.monotonic() - since < SESSION_SECONDS:
                        continue
                    session.log("%s is interrupted: it takes more than %d s" % (name, SESSION_SECONDS))
                    _stop_session(process)
                session.log(
                    "%s %s after %.0f s"
                    % (name, "failed" if process.returncode else "passed", time.monotonic() - since)
                )
                failed += [name] * bool(process.returncode)
                rest = lane[lane.index(name) + 1 :]
                if rest:
                    lanes[lane] = [rest[0], _start_session(rest[0]), time.monotonic()]
                else:
                    del lanes[lane]
    finally:
        for _name, process, _since in lanes.values():
            _stop_session(process)
    for name in [name for lane in reversed(LANES) for name in lane]:
        _show_log(name, name in failed)
    session.log("%.0f seconds in all" % (time.monotonic() - begun))
    if failed:
        session.error("failed: %s" % ", ".join(failed))


def _start_session(name):
    """A session of this file as a process that leads a group of its own, with its output in build/log."""
    with open(BUILD / "log" / (name + ".log"), "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "nox", "--non-interactive", "--session", name],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _stop_session(process):
    """Interrupt a session as Ctrl-C does, so that pytest says what failed so far; then kill what is left of its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(90)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _show_log(name, whole):
    """Print a session's log: all of it, or, of one that passed, from pytest's summary or the last lines on."""
    lines = (BUILD / "log" / (name + ".log")).read_text(encoding="utf-8", errors="replace").splitlines()
    marks = [number for number, line in enumerate(lines) if "short test summary" in line or "slowest" in line]
    start = 0 if whole else min(marks) if marks else max(0, len(lines) - 12)
    title = "----- %s%s" % (name, ":" if whole else ", the end of build/log/%s.log:" % name)
    print("\n".join([title] + lines[start:]), flush=True)


@nox.session
def check(session):
    """Ruff, mypy, the import rules and all unit tests, in parallel."""
    with timed(session, "ruff, mypy and the unit tests; about a minute on two cores once set up") as clock:
        clock.install(
            "ansible-core==%s.*" % MAIN_CORE,
            "-r",
            str(REQUIREMENTS / "tests.txt"),
            "-r",
            str(REQUIREMENTS / "check.txt"),
        )
        mirror_checkout()
        with session.chdir(TREE):
            clock.run(*RUFF)
            clock.run(*FORMAT)
        with session.chdir(COLLECTIONS):  # the names of modules begin here
            clock.run(*MYPY)
        session.env["TERRAFORM_BINARY_PROOF"] = "quick"
        run_pytest(
            session, clock, "-q", "-p", "no:logging", "-n", WORKERS, *IN_FILES, *(session.posargs or ["tests/unit"])
        )


@nox.session
def demo(session):
    """Install, install again, damage, heal: with the real ansible-playbook and a site on this machine."""
    session.install("ansible-core==%s.*" % MAIN_CORE, "-r", str(REQUIREMENTS / "tests.txt"))
    mirror_checkout()
    session.run("python", str(TREE / "tests" / "demo" / "run.py"), str(BUILD / "demo"), env=settings())


@nox.session
def install(session):
    """Put Terraform on this machine: VERSION, and if wanted BASE_DIR, LINK and SITES, from the environment."""
    session.install("ansible-core==%s.*" % MAIN_CORE, "requests")
    mirror_checkout()
    given = {"terraform_binary_version": os.environ.get("VERSION")}
    for name in ("BASE_DIR", "LINK"):
        if os.environ.get(name):
            given["terraform_binary_" + name.lower()] = os.path.abspath(os.path.expanduser(os.environ[name]))
    if os.environ.get("SITES"):
        given["terraform_binary_sites"] = os.environ["SITES"].split()
    facts = BUILD / "facts"
    session.run(
        "ansible-playbook",
        "iac_platform.terraform.install",
        "-i",
        "localhost,",
        "-c",
        "local",
        "-e",
        json.dumps(dict(given, ansible_python_interpreter="{{ ansible_playbook_python }}")),
        *session.posargs,
        env=dict(
            settings(), ANSIBLE_CACHE_PLUGIN="ansible.builtin.jsonfile", ANSIBLE_CACHE_PLUGIN_CONNECTION=str(facts)
        ),
    )
    for path in facts.glob("*localhost"):
        kept = json.loads(path.read_text(encoding="utf-8"))
        found = json.loads(kept["__payload__"])["terraform_binary_result"]
        session.log(
            "Terraform %s is %s: call it as %s" % (found["version"], found["path"], found["link"] or found["path"])
        )


@nox.session
def tests(session):
    """Unit tests, playbook tests and the short form of the proof."""
    with timed(session, "all tests with ansible-core %s; about 9 minutes on two cores" % MAIN_CORE) as clock:
        clock.install("ansible-core==%s.*" % MAIN_CORE, "-r", str(REQUIREMENTS / "tests.txt"))
        session.env["TERRAFORM_BINARY_AXE"] = fetch_axe(session)
        run_pytest(session, clock, *(session.posargs or ["-n", WORKERS, *IN_FILES, "tests"]))


@nox.session
def proof(session):
    """All tiers of the proof at their full size; what was counted goes to build/proof.json."""
    with timed(session, "all tiers of the proof; about 45 minutes on two cores") as clock:
        clock.install("ansible-core==%s.*" % MAIN_CORE, "-r", str(REQUIREMENTS / "tests.txt"))
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=ROOT,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        ).stdout.strip()
        session.env.update(
            TERRAFORM_BINARY_PROOF="full",
            TERRAFORM_BINARY_PROOF_COUNTS=str(BUILD / "proof.json"),
            TERRAFORM_BINARY_COMMIT=commit,
        )
        # Two files at a time, in their order: the long ones come first, and most of them wait now and then.
        run_pytest(
            session,
            clock,
            "-n",
            "2",
            *IN_FILES,
            *(
                session.posargs
                or [
                    "tests/proof",
                    "tests/unit",
                    "tests/playbooks/test_retries.py",
                    "tests/playbooks/test_hostile_networks.py",
                    "tests/playbooks/test_proxies_and_trust.py",
                ]
            ),
        )


@nox.session
def coverage(session):
    """How much of plugins/ the tests run, lines and branches: fails below a floor. The report is in build/coverage."""
    with timed(session, "the unit tests, with the lines and branches that they run; about 4 minutes") as clock:
        clock.install(
            "ansible-core==%s.*" % MAIN_CORE,
            "-r",
            str(REQUIREMENTS / "tests.txt"),
            "-r",
            str(REQUIREMENTS / "coverage.txt"),
        )
        session.env["TERRAFORM_BINARY_PROOF"] = "quick"
        session.env["COVERAGE_FILE"] = str(BUILD / "coverage.data")
        measured = ["--cov=plugins", "--cov-branch", "--cov-fail-under=%d" % COVERED]
        measured += ["--cov-report=term:skip-covered", "--cov-report=html:%s" % (BUILD / "coverage")]
        run_pytest(session, clock, "-q", "-n", WORKERS, *IN_FILES, *measured, *(session.posargs or ["tests/unit"]))


@nox.session
def bench(session):
    """What this collection costs beside what users write instead: build/bench.json, and docs/benchmarks.*"""
    with timed(
        session, "processor time of this collection and of others; about 25 minutes, on an idle machine"
    ) as clock:
        clock.install(
            "ansible-core==%s.*" % MAIN_CORE,
            "-r",
            str(REQUIREMENTS / "tests.txt"),
            "-r",
            str(REQUIREMENTS / "bench.txt"),
        )
        mirror_checkout()
        clock.run(
            "python",
            str(TREE / "tests" / "bench" / "run.py"),
            str(BUILD),
            str(ROOT / "docs"),
            env=dict(
                settings(),
                BENCH_CHECKOUT=str(ROOT),
                PYTHONPYCACHEPREFIX=str(BUILD / "pyc"),
                PYTHONDONTWRITEBYTECODE=None,
            ),
        )


@nox.session(python=find_python("3.6") or False, venv_backend="venv" if find_python("3.6") else "none")
def target36(session):
    """What runs on targets, with Python 3.6: the first case of each test, for what is new in the language and its library."""
    if not find_python("3.6"):
        session.skip("no Python 3.6 on this machine")
    with timed(session, "the unit tests of module_utils with Python 3.6; about a minute") as clock:
        clock.install("pip==21.3.1")  # the one that comes with 3.6 cannot install what follows
        clock.install("-r", str(REQUIREMENTS / "target36.txt"))
        session.env["TERRAFORM_BINARY_PROOF"] = "quick"  # what takes long was tried with a newer Python, too
        if not session.posargs:
            session.env["TERRAFORM_BINARY_CASES"] = "first"
        run_pytest(
            session,
            clock,
            "-q",
            *(session.posargs or ["tests/unit/plugins/module_utils", "tests/unit/test_imports.py"]),
        )


@nox.session
def sanity(session):
    """ansible-test sanity, every test, no ignore files."""
    with timed(session, "ansible-test sanity; about 2 minutes, later half a minute") as clock:
        clock.install("ansible-core==%s.*" % MAIN_CORE, compiled=True)
        mirror_checkout()
        with clock.measure("ansible-test sanity"):
            run_sanity(session)


def has_dead_python(folder):
    """Whether a folder has a name such as python3.9 that does not run, as pyenv's has: ansible-test would try it."""
    names = [(os.path.join(folder, "python" + version), version) for version in SANITY_PYTHONS]
    return any(os.access(path, os.X_OK) and not ask_python(path, version) for path, version in names)


def run_sanity(session, whole=False):
    """ansible-test sanity with the session's Python; ``whole``: with every Python, and pylint of the tests as well."""
    home = make_home(session)
    found = [path for path in map(find_python, SANITY_PYTHONS) if path] if whole else []
    path = os.pathsep.join(
        [session.bin]
        + [os.path.dirname(path) for path in found]
        + [folder for folder in os.environ["PATH"].split(os.pathsep) if not has_dead_python(folder)]
    )
    env = dict(os.environ, HOME=str(home), PATH=path, VIRTUAL_ENV=session.virtualenv.location)
    calls = [session.posargs]
    if not session.posargs and not whole:
        calls = [
            ["--skip-test", "pylint"],
            ["--test", "pylint", "--exclude", "tests/"],
        ]  # a minute for tests: make matrix
    lines = []
    for arguments in calls:
        session.log(" ".join(["ansible-test", "sanity"] + arguments))
        with subprocess.Popen(
            [os.path.join(session.bin, "ansible-test"), "sanity", "--venv", "--color", "no"] + arguments,
            cwd=TREE,
            env=env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line)
        if process.returncode:
            session.error("ansible-test sanity ended with %d" % process.returncode)
    for line in lines:
        if "Skipping" in line:
            session.warn(line.strip())
    if any("All targets skipped" in line for line in lines):
        session.error("ansible-test sanity looked at nothing")


# ansible-test fetches get-pip.py over the network for each of its environments, unless it finds one of these names. This
# one lets the session's own pip do it, where that can speak for another Python; else Python's own.
GET_PIP_NAMES = ("get_pip_20_3_4.py", "get_pip_21_3_1.py", "get_pip_24_2.py", "get_pip_25_2.py")
GET_PIP = """\
import subprocess, sys
args = [arg for arg in sys.argv[1:] if arg not in ("--no-setuptools", "--no-wheel")]
pip = [%r, "-m", "pip", "--python", sys.executable]
if sys.version_info < (3, 10):
    subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
    pip = [sys.executable, "-m", "pip"]
sys.exit(subprocess.call(pip + ["install", "--quiet", "--upgrade"] + args))
"""


def make_home(session):
    """A home folder for ansible-test: its caches stay in build/, and pip is configured there as it is here.

    ansible-test passes no environment on to pip, so that what is set by PIP_* has to become a file.
    """
    home = BUILD / "home"
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for name in GET_PIP_NAMES:
        (cache / name).write_text(GET_PIP % os.path.join(session.bin, "python"))
    listed = subprocess.run(
        [os.path.join(session.bin, "python"), "-m", "pip", "config", "list"],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout
    files, environment = {}, {}
    for line in listed.splitlines():
        key, equals, value = line.partition("=")
        section, dot, option = key.rpartition(".")
        if section in ("global", "install", ":env:"):
            (environment if section == ":env:" else files)[option] = ast.literal_eval(value)
    options = dict(files, **environment)
    (home / ".config" / "pip").mkdir(parents=True, exist_ok=True)
    lines = ["%s = %s\n" % (option, value.replace("\n", "\n    ")) for option, value in sorted(options.items())]
    (home / ".config" / "pip" / "pip.conf").write_text("[global]\n" + "".join(lines))
    return home


RUFF = ("ruff", "check", "--no-cache", "--output-format", "concise", ".")
FORMAT = ("ruff", "format", "--no-cache", "--check", ".")
MYPY = (
    "mypy",
    "--strict",
    "--no-error-summary",
    "--cache-dir",
    str(BUILD / "mypy"),
    "--config-file",
    str(TREE / "mypy.ini"),
    str(TREE / "plugins"),
)


@nox.session
def lint(session):
    """Linters of code, playbooks, documentation and changelog; all of them, even when the first complains."""
    with timed(session, "all linters; about a minute") as clock:
        clock.install("-r", str(REQUIREMENTS / "lint.txt"), "-r", str(REQUIREMENTS / "check.txt"))
        mirror_checkout()
        commands = [
            RUFF,
            FORMAT,
            MYPY,
            ("ansible-lint", "--offline", "--profile", "production"),
            ("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", "."),
            ("antsibull-changelog", "lint"),
            ("python", ".ci/awx_files.py", "--check"),
            ("python", ".ci/architecture.py", "--check"),
            ("python", ".ci/options.py", "--check"),
            ("python", ".ci/words.py", "--check"),
        ]
        if shutil.which("shellcheck"):
            commands.append(("shellcheck", ".ci/run"))
        else:
            session.warn("shellcheck is not installed: .ci/run was not looked at")
        failed = []
        env = dict(settings(), PYTHONDONTWRITEBYTECODE=None)
        for command in commands:
            with session.chdir(COLLECTIONS if command is MYPY else TREE):  # where the names of modules begin
                try:
                    clock.run(*command, env=env, external=command[0] == "shellcheck")
                except nox.command.CommandFailed:
                    failed.append(command[0])
        if failed:
            session.error("complaints from %s" % ", ".join(failed))


def core_parameters():
    for core, versions in CORES.items():
        python = next((path for path in map(find_python, versions) if path), None)
        yield nox.param(python or False, core, id=core)


def oldest_and_newest():
    """Those of the cores that there is a Python for."""
    found = [one for one in core_parameters() if one.args[0]]
    return found[:1] + found[1:][-1:]


@nox.session
@nox.parametrize("python,core", oldest_and_newest())
def sanity_cores(session, core):
    """The sanity tests, with the oldest and the newest ansible-core, and every Python that this machine has."""
    with timed(session, "ansible-test sanity with ansible-core %s; about 5 minutes" % core) as clock:
        clock.install("ansible-core==%s.*" % core, compiled=True)
        mirror_checkout()
        with clock.measure("ansible-test sanity"):
            run_sanity(session, whole=True)


@nox.session
@nox.parametrize("python,core", oldest_and_newest())
def awx(session, core):
    """What AWX does with this repository, in its short form, with the oldest and the newest ansible-core."""
    with timed(session, "jobs as AWX runs them, with ansible-core %s; half a minute" % core) as clock:
        clock.install("ansible-core==%s.*" % core, "-r", str(REQUIREMENTS / "tests.txt"))
        run_pytest(
            session,
            clock,
            "-q",
            *(
                session.posargs
                or ["tests/awx/test_jobs.py", "tests/awx/test_project.py", "-k", "not audit and not container"]
            ),
        )


@nox.session
@nox.parametrize("python,core", list(core_parameters()))
def matrix(session, core):
    """The playbook tests and those of AWX in their long form with one ansible-core."""
    if not session.python:
        session.skip("no Python for ansible-core %s on this machine" % core)
    with timed(session, "playbook tests with ansible-core %s; about 10 minutes on two cores" % core) as clock:
        clock.install("ansible-core==%s.*" % core, "-r", str(REQUIREMENTS / "tests.txt"))
        session.env["TERRAFORM_BINARY_MATRIX"] = "full"
        with clock.measure("pip download"):
            session.env["TERRAFORM_BINARY_COLLECTIONS"] = fetch_collections(session)
        run_pytest(session, clock, *(session.posargs or ["-n", WORKERS, *IN_FILES, "tests/playbooks", "tests/awx"]))


# Collections that ours works with, out of a Python package that has many: awx.awx is in it up to version 13.
PACKAGE = "ansible==12.3.0"
FOREIGN = ("awx/awx/", "community/general/")
AXE = "axe-core@4.14.1"  # an npm package, which checks web pages


def fetch_axe(session):
    """The path of axe-core, with which a test checks an HTML page, made once; an empty text where npm cannot have it."""
    found = BUILD / AXE / "node_modules" / "axe-core" / "axe.min.js"
    if not found.is_file() and shutil.which("npm"):
        where = ["--prefix", str(BUILD / AXE), "--no-audit", "--no-fund", "--silent"]
        session.run("npm", "install", *where, AXE, external=True, success_codes=range(256))
    return str(found) if found.is_file() else ""


def fetch_collections(session):
    """The path of a folder with ``ansible_collections`` in it, made once; an empty text where the package cannot be had."""
    folder = BUILD / PACKAGE.replace("==", "-")
    with open(BUILD / "collections.lock", "w", encoding="ascii") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (folder / "done").is_file():
            try:
                session.run(
                    "python",
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-deps",
                    "--only-binary",
                    ":all:",
                    "--python-version",
                    "3.12",
                    "--dest",
                    str(folder),
                    PACKAGE,
                )
            except nox.command.CommandFailed:
                session.warn("%s cannot be had: what needs its collections is skipped" % PACKAGE)
                return ""
            (wheel,) = folder.glob("*.whl")
            with zipfile.ZipFile(wheel) as file:
                file.extractall(
                    folder,
                    [
                        name
                        for name in file.namelist()
                        if name.startswith(tuple("ansible_collections/" + each for each in FOREIGN))
                        and "/tests/" not in name
                    ],
                )
            wheel.unlink()
            (folder / "done").touch()
    return str(folder)
