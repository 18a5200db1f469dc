# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The import rules: which package of plugins/ may import which, read from the files without running them.

The table is .ci/import_rules.py, from which docs/architecture.svg is drawn as well. The last tests feed the reader snippets
that break each rule: a rule that catches nothing is no rule.
"""

import ast
import os
import sys

import pytest

CHECKOUT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
PLUGINS = os.path.join(CHECKOUT, "plugins")

if os.path.join(CHECKOUT, ".ci") not in sys.path:
    sys.path.insert(0, os.path.join(CHECKOUT, ".ci"))

import import_rules  # noqa: E402  pylint: disable=wrong-import-position
from import_rules import ROOMS, room_of  # noqa: E402  pylint: disable=wrong-import-position

# Packages that are not Python's own, and the room whose files may import them.
THIRD_PARTY = dict.fromkeys(("requests", "urllib3", "certifi"), "module_utils/_http")
# Parts of the standard library younger than Python 3.6, and the ways round an import statement.
FORBIDDEN_STDLIB = {"contextvars", "dataclasses", "graphlib", "importlib", "imp", "runpy", "tomllib", "zoneinfo"}
# With one of these, code below the plugins could end the run itself, past the caller's cleanup.
WAYS_OUT = {"AnsibleModule", "Display", "__import__", "_exit", "exit", "exit_json", "fail_json", "quit"}
# Who takes one of these has been handed something to fail with. (As an attribute the words are harmless.)
HANDED_IN = {"callback", "display", "module", "on_error", "on_failure"}


def read(path):
    with open(os.path.join(PLUGINS, path), "rb") as file:
        return file.read().decode("utf-8")


def python_files(*folders):
    """Paths below plugins of every Python file in the given folders (all folders when none is given)."""
    found = import_rules.python_files(PLUGINS)
    return [path for path in found if not folders or path.split("/")[0] in folders]


SHARED = [path for path in python_files("module_utils", "plugin_utils") if not path.endswith("__init__.py")]


def names_in(tree):
    """Every name that the code uses, looks up as an attribute or takes as a parameter, and the last of these alone."""
    used, taken = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            used.add(node.id)
        elif isinstance(node, ast.Attribute):
            used.add(node.attr)
        elif isinstance(node, ast.arg):
            taken.add(node.arg)
    return used | taken, taken


def violations(path, source):
    """Which rules a file of module_utils or plugin_utils breaks: a list of sentences."""
    tree, room = ast.parse(source), room_of(path)
    found = []
    for ours, name in import_rules.imports_of(path, tree):
        top = name.split("/" if ours else ".")[0]
        if ours:
            other = room_of(name)
            if other != room and other not in ROOMS[room]:
                found.append("%s imports %s: not allowed for %s" % (path, name, room))
        elif top in ("ansible", "ansible_collections"):
            found.append("%s imports %s: only the plugins know Ansible" % (path, name))
        elif top in THIRD_PARTY:
            if THIRD_PARTY[top] != room:
                found.append("%s imports %s: only %s may" % (path, name, THIRD_PARTY[top]))
        elif room.startswith("module_utils") and (top in FORBIDDEN_STDLIB or name == "__future__"):
            found.append("%s imports %s" % (path, name))
        elif room.startswith("module_utils") and top not in getattr(sys, "stdlib_module_names", (top,)):
            found.append("%s imports %s, which is not in the standard library" % (path, name))
    used, taken = names_in(tree)
    for name in sorted(used & WAYS_OUT | taken & HANDED_IN):
        found.append("%s uses %s: it must raise, and let the plugin exit" % (path, name))
    return found


def packages_of(path):
    """The top-level packages beside our own that a plugin file imports."""
    return set(name.split(".")[0] for ours, name in import_rules.imports_of(path, ast.parse(read(path))) if not ours)


def test_every_file_has_its_room():
    assert sorted(set(map(room_of, python_files()))) == sorted(ROOMS), (
        "decide in .ci/import_rules.py what it may import"
    )


def test_no_more_than_twenty_rooms_and_no_circle():
    assert len(ROOMS) <= 20
    left = dict(ROOMS)
    while left:
        bottom = [room for room, others in left.items() if not set(others) & set(left)]
        assert bottom, "these import each other in a circle: %s" % ", ".join(sorted(left))
        for room in bottom:
            del left[room]


def test_the_halves_do_not_reach_each_other():
    """They meet in _records.VerifiedArchive: what fetches knows nothing of an installation, what installs asks no network."""
    network = {"module_utils/" + name for name in ("_http", "_openpgp", "_release", "_source")}
    assert not network & set(ROOMS["module_utils/_install"]) and not network & set(ROOMS["module_utils/_fs"])
    assert all("module_utils/_install" not in ROOMS[room] for room in network)


def reached(path):
    """The files of ours that a file imports, and those that these import: what Ansible sends along with a module."""
    found, todo = set(), [path]
    while todo:
        path = todo.pop()
        for ours, name in import_rules.imports_of(path, ast.parse(read(path))):
            files = [each + ".py" for each in (name, name.rpartition("/")[0]) if ours]  # a module, or a name in one
            for each in [each for each in files if os.path.exists(os.path.join(PLUGINS, each))][:1]:
                todo += [each] * (each not in found)
                found.add(each)
    return found


def test_a_look_at_a_host_needs_neither_half():
    """terraform_binary_info imports nothing of downloads, of signatures, or of what changes a host but a lock's own file."""
    assert sorted(reached("modules/terraform_binary_info.py")) == [
        "module_utils/" + name
        for name in (
            "_argument_spec.py",
            "_errors.py",
            "_fs/accounts.py",
            "_fs/directory.py",
            "_fs/hashing.py",
            "_fs/lock.py",
            "_fs/mounts.py",
            "_fs/paths.py",
            "_fs/symlink.py",
            "_fs/temp_files.py",
            "_install/info.py",
            "_install/installed.py",
            "_install/receipt.py",
            "_records.py",
            "_versions/version.py",
        )
    ]


def test_no_rule_is_left_of_what_nobody_does():
    done = set()
    for path in python_files():
        done.update(
            (room_of(path), room_of(name))
            for ours, name in import_rules.imports_of(path, ast.parse(read(path)))
            if ours
        )
    assert [(room, other) for room, others in ROOMS.items() for other in others if (room, other) not in done] == []


@pytest.mark.parametrize("path", SHARED)
def test_shared_code_keeps_the_rules(path):
    assert violations(path, read(path)) == []


@pytest.mark.parametrize("path", python_files("action", "lookup", "modules"))
def test_plugins_leave_the_network_to_http(path):
    assert not packages_of(path) & set(THIRD_PARTY)


@pytest.mark.parametrize("path", [path for path in python_files() if path.endswith("__init__.py")])
def test_packages_have_an_empty_init(path):
    """ansible-test of ansible-core 2.15 wants that below module_utils."""
    assert read(path) == ""


@pytest.mark.skipif(sys.version_info < (3, 8), reason="ast.parse knows feature_version from Python 3.8 on")
@pytest.mark.parametrize("path", python_files("module_utils", "modules"))
def test_target_code_is_python_3_6(path):
    tree = ast.parse(read(path), path, feature_version=(3, 6))
    assert (False, "__future__") not in import_rules.imports_of(path, tree), "annotations as text came with Python 3.7"


FILE, LOCK, CLIENT, APPLY = (
    "module_utils/_fs/atomic_file.py",
    "module_utils/_fs/lock.py",
    "module_utils/_http/client.py",
    "module_utils/_install/apply.py",
)
CACHE = "plugin_utils/_cache/run.py"


@pytest.mark.parametrize(
    "path, source, complaint",
    [
        (FILE, "from ansible.module_utils.basic import env_fallback", "only the plugins know Ansible"),
        (FILE, "def f():\n    import ansible", "only the plugins know Ansible"),
        (FILE, "from ansible.utils.display import Display", "only the plugins know Ansible"),
        (FILE, "import requests", "only module_utils/_http may"),
        (FILE, "import requests.adapters", "only module_utils/_http may"),
        (FILE, "from .._install import installed", "imports module_utils/_install/installed"),
        (FILE, "from .._install.installed import find_drift", "imports module_utils/_install/installed"),
        (FILE, "from .._http.client import Fetcher", "imports module_utils/_http/client"),
        (FILE, "from ...plugin_utils._cache import run", "imports plugin_utils/_cache/run"),
        (
            FILE,
            "from ansible_collections.iac_platform.terraform.plugins.module_utils import _source",
            "imports module_utils/_source",
        ),
        (APPLY, "from .._source import Source", "imports module_utils/_source"),
        ("module_utils/_source.py", "from ._install.apply import apply_plan", "imports module_utils/_install/apply"),
        (FILE, "from dataclasses import dataclass", "imports dataclasses"),
        (FILE, "from __future__ import annotations", "imports __future__"),
        (FILE, "import importlib\nimportlib.import_module('ansible')", "imports importlib"),
        (FILE, "__import__('ansible')", "uses __import__"),
        (FILE, "def f(module):\n    return 1", "uses module"),
        (FILE, "def f(x):\n    x.fail_json(msg='no')", "uses fail_json"),
        (FILE, "import sys\nsys.exit(1)", "uses exit"),
        (FILE, "import os\nos._exit(1)", "uses _exit"),
        (FILE, "def f(*, callback):\n    return 1", "uses callback"),
        (CACHE, "from ansible.constants import config", "only the plugins know Ansible"),
        (CACHE, "import requests", "only module_utils/_http may"),
        (CACHE, "from ...module_utils._http.client import Fetcher", "imports module_utils/_http/client"),
        (CACHE, "from .._download.release import StagedRelease", "imports plugin_utils/_download/release"),
        (CACHE, "from ...action import terraform_binary", "imports action/terraform_binary"),
        ("plugin_utils/_download/progress.py", "def f(display):\n    return 1", "uses display"),
    ],
)
def test_the_reader_catches(path, source, complaint):
    assert any(complaint in sentence for sentence in violations(path, source))


@pytest.mark.skipif(sys.version_info < (3, 10), reason="sys.stdlib_module_names is there from Python 3.10 on")
def test_the_reader_catches_a_third_party_package():
    assert violations(FILE, "import yaml") == [FILE + " imports yaml, which is not in the standard library"]


@pytest.mark.parametrize(
    "path, source",
    [
        (CLIENT, "import requests\nfrom .._errors import FetchError"),
        (APPLY, "from . import installed\nfrom .._fs.atomic_file import PendingFile"),
        (LOCK, "from . import directory, mounts"),
        (FILE, "import contextlib\nwith contextlib.ExitStack() as stack:\n    stack.callback(print)"),
    ],
)
def test_the_reader_lets_pass(path, source):
    assert violations(path, source) == []
