# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The toolchain: one session for each thing that `make` offers.

Everything is made below build/, which git ignores. The sessions work on a copy of the files that git knows or would
add (see mirror_checkout), laid out as ansible_collections/iac_platform/terraform. pip installs as it is configured on
this machine. `nox --list` tells the sessions; arguments after `--` go to the tool that a session runs.
"""

import ast
import functools
import glob
import json
import os
import pathlib
import shutil
import subprocess
import sys

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
nox.options.sessions = ["tests", "target36", "sanity", "lint"]


@functools.lru_cache(maxsize=None)
def find_python(version):
    """The path of an interpreter X.Y that really runs, or None: on PATH, else where pyenv and uv keep theirs."""
    name = "python" + version
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    candidates = [os.path.join(folder, name) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    candidates += sorted(glob.glob(os.path.join(pyenv, "versions", version + "*", "bin", name)))
    candidates += sorted(glob.glob(os.path.expanduser("~/.local/share/uv/python/cpython-%s*/bin/%s" % (version, name))))
    question = "import sys; print('%d.%d %s' % (sys.version_info[0], sys.version_info[1], sys.executable))"
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            answer = subprocess.run([candidate, "-c", question], capture_output=True, text=True, check=False)
            found, _blank, path = answer.stdout.strip().partition(" ")
            if answer.returncode == 0 and found == version:
                return path
    return None


def mirror_checkout():
    """Bring the copy up to date: what git knows or would add, no more, and a git repository of its own.

    Without that repository ansible-test asks the one around it, which ignores build/, finds nothing and is content.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout.decode("utf-8").split("\0")
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
        "TERRAFORM_BINARY_DEBIAN": str(BUILD / "debian.tar"),   # made by the test that needs it, and kept
    }
    genuine = ROOT.parent / "shared" / "genuine"
    if genuine.is_dir() and not os.environ.get("TERRAFORM_BINARY_GENUINE"):
        env["TERRAFORM_BINARY_GENUINE"] = str(genuine)
    return env


def run_pytest(session, *arguments):
    mirror_checkout()
    with session.chdir(TREE):
        session.run(
            "python", "-m", "pytest", "-p", "no:cacheprovider", "--import-mode=importlib", "-rs", *arguments, env=settings()
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
    session.run(
        "ansible-playbook", "iac_platform.terraform.install", "-v", "-i", "localhost,", "-c", "local",
        "-e", json.dumps(dict(given, ansible_python_interpreter="{{ ansible_playbook_python }}")),
        *session.posargs, env=dict(settings(), ANSIBLE_CALLBACK_RESULT_FORMAT="yaml"),
    )


@nox.session
def tests(session):
    """Unit tests and playbook tests."""
    session.install("ansible-core==%s.*" % MAIN_CORE, "-r", str(REQUIREMENTS / "tests.txt"))
    run_pytest(session, *(session.posargs or ["tests"]))


@nox.session
def proof(session):
    """All tiers of the proof at their full size; what was counted goes to build/proof.json."""
    session.install("ansible-core==%s.*" % MAIN_CORE, "-r", str(REQUIREMENTS / "tests.txt"))
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=ROOT, check=True, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    session.env.update(TERRAFORM_BINARY_PROOF="full", TERRAFORM_BINARY_PROOF_COUNTS=str(BUILD / "proof.json"),
                       TERRAFORM_BINARY_COMMIT=commit)
    # Two files at a time, in their order: the long ones come first, and most of them wait now and then.
    run_pytest(session, "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *(session.posargs or [
        "tests/proof", "tests/unit", "tests/playbooks/test_retries.py", "tests/playbooks/test_hostile_networks.py",
        "tests/playbooks/test_proxies_and_trust.py"]))


@nox.session(python=find_python("3.6") or False, venv_backend="venv" if find_python("3.6") else "none")
def target36(session):
    """What runs on targets, with Python 3.6."""
    if not find_python("3.6"):
        session.skip("no Python 3.6 on this machine")
    session.install("pip==21.3.1")  # the one that comes with 3.6 cannot install what follows
    session.install("-r", str(REQUIREMENTS / "target36.txt"))
    run_pytest(session, *(session.posargs or ["tests/unit/plugins/module_utils", "tests/unit/test_imports.py"]))


@nox.session
def sanity(session):
    """ansible-test sanity, every test, no ignore files."""
    session.install("ansible-core==%s.*" % MAIN_CORE)
    mirror_checkout()
    home = make_home(session)
    found = [path for path in map(find_python, SANITY_PYTHONS) if path]
    path = os.pathsep.join([session.bin] + [os.path.dirname(path) for path in found] + [os.environ["PATH"]])
    env = dict(os.environ, HOME=str(home), PATH=path, VIRTUAL_ENV=session.virtualenv.location)
    command = [os.path.join(session.bin, "ansible-test"), "sanity", "--venv", "--color", "no"] + session.posargs
    session.log(" ".join(["ansible-test"] + command[1:]))
    lines = []
    with subprocess.Popen(
        command, cwd=TREE, env=env, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    for line in lines:
        if "Skipping" in line:
            session.warn(line.strip())
    if process.returncode:
        session.error("ansible-test sanity ended with %d" % process.returncode)
    if any("All targets skipped" in line for line in lines):
        session.error("ansible-test sanity looked at nothing")


# ansible-test fetches get-pip.py over the network, unless it finds one of these names. This one asks Python itself.
GET_PIP_NAMES = ("get_pip_24_2.py", "get_pip_25_2.py")
GET_PIP = """\
import subprocess, sys
args = [arg for arg in sys.argv[1:] if arg not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"] + args))
"""


def make_home(session):
    """A home folder for ansible-test: its caches stay in build/, and pip is configured there as it is here.

    ansible-test passes no environment on to pip, so that what is set by PIP_* has to become a file.
    """
    home = BUILD / "home"
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for name in GET_PIP_NAMES:
        (cache / name).write_text(GET_PIP)
    listed = subprocess.run(
        [os.path.join(session.bin, "python"), "-m", "pip", "config", "list"],
        check=True, text=True, stdout=subprocess.PIPE,
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


@nox.session
def lint(session):
    """Linters of code, playbooks, documentation and changelog; all of them, even when the first complains."""
    session.install("-r", str(REQUIREMENTS / "lint.txt"))
    mirror_checkout()
    commands = [
        ["ruff", "check", "--no-cache", "--output-format", "concise", "."],
        ["ansible-lint", "--offline", "--profile", "production"],
        ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", "."],
        ["antsibull-changelog", "lint"],
    ]
    if shutil.which("shellcheck"):
        commands.append(["shellcheck", ".ci/run"])
    else:
        session.warn("shellcheck is not installed: .ci/run was not looked at")
    failed = []
    with session.chdir(TREE):
        for command in commands:
            try:
                session.run(*command, env=settings(), external=command[0] == "shellcheck")
            except nox.command.CommandFailed:
                failed.append(command[0])
    if failed:
        session.error("complaints from %s" % ", ".join(failed))


def core_parameters():
    for core, versions in CORES.items():
        python = next((path for path in map(find_python, versions) if path), None)
        yield nox.param(python or False, core, id=core)


@nox.session
@nox.parametrize("python,core", list(core_parameters()))
def core(session, core):
    """The playbook tests with another ansible-core."""
    if not session.python:
        session.skip("no Python for ansible-core %s on this machine" % core)
    session.install("ansible-core==%s.*" % core, "-r", str(REQUIREMENTS / "tests.txt"))
    run_pytest(session, *(session.posargs or ["tests/playbooks"]))
