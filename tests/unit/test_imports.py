# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the house in order by reading the imports of every plugin file, without running it.

The first table below says of each file in module_utils which step it belongs to and which siblings it may import, the
second one what each file in plugin_utils may; a file that is in neither fails, so that adding one forces the decision.
The last tests feed the reader snippets that break each rule: a rule that catches nothing is no rule.
"""

import ast
import os
import sys

import pytest

PLUGINS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "plugins")
MODULE_UTILS = os.path.join(PLUGINS, "module_utils")
PLUGIN_UTILS = os.path.join(PLUGINS, "plugin_utils")

# step -> file -> the siblings it may import, besides the vocabulary.
HOUSE = {
    "vocabulary": {
        "_errors": [],
        "_model": [],
        "_digest": [],
        "_processes": [],
    },
    "names": {  # of versions, files and places: texts in, texts out
        "_choice": ["_index", "_versions"],
        "_constraints": ["_slips", "_versions"],
        "_credentials": ["_urls"],
        "_index": ["_releases", "_versions"],
        "_releases": [],
        "_slips": [],
        "_urls": [],
        "_versions": [],
    },
    "request": {
        "_access": ["_credentials", "_urls"],
        "_wish": ["_access", "_constraints", "_releases", "_urls", "_versions"],
    },
    "report": {
        "_report": ["_groups", "_links"],
    },
    "obtain: fetch": {
        "_bodies": ["_faults", "_urls"],
        "_certificates": [],
        "_connections": ["_dialing", "_trust"],
        "_dialing": [],
        "_faults": ["_credentials"],
        "_fetch": [
            "_bodies", "_certificates", "_connections", "_credentials", "_faults", "_listeners", "_proxies", "_resume", "_urls",
        ],
        "_listeners": ["_urls"],
        "_proxies": ["_urls"],
        "_resume": [],
        "_trust": [],
    },
    "obtain: verify": {
        "_armor": [],
        "_hashicorp_key": [],
        "_subpackets": [],
        "_packets": ["_armor", "_subpackets"],
        "_signatures": ["_packets", "_subpackets"],
        "_standing": ["_packets", "_signatures"],
        "_keys": ["_armor", "_hashicorp_key", "_packets", "_signatures", "_standing"],
        "_openpgp": ["_armor", "_hashicorp_key", "_keys", "_packets", "_signatures", "_standing"],
    },
    "obtain: story": {
        "_obtain": ["_bodies", "_credentials", "_fetch", "_index", "_openpgp", "_releases"],
    },
    "install: extract": {
        "_archive": ["_zip_layout"],
        "_zip_layout": [],
    },
    "install: files": {
        "_directories": ["_groups", "_mounts"],
        "_files": ["_groups", "_mounts"],
        "_guard": ["_directories"],
        "_groups": [],
        "_interrupts": [],
        "_links": [],
        "_lock": ["_groups"],
        "_mounts": [],
        "_obstacles": ["_directories", "_groups", "_mounts"],
    },
    "install: store": {
        "_receipt": [],
        "_store": ["_groups", "_receipt", "_versions"],
    },
    "install: run check": {
        "_run_check": ["_groups"],
    },
    "install: story": {
        "_plan": [
            "_directories", "_files", "_links", "_lock", "_preflight", "_receipt", "_store", "_versions",
        ],
        "_preflight": ["_archive", "_directories", "_lock", "_mounts", "_obstacles"],
        "_binary": ["_archive", "_files", "_interrupts", "_receipt", "_store"],
        "_remove": ["_files", "_interrupts", "_links", "_plan"],
        "_clearing": ["_directories", "_interrupts", "_lock", "_versions"],
        "_install": [
            "_binary", "_directories", "_files", "_interrupts", "_links", "_lock", "_plan", "_receipt", "_remove",
            "_run_check", "_store",
        ],
    },
}
# Steps do not import steps, but for what deals with stops. A story may, but only those of its own half: the halves meet in
# _model.VerifiedArchive.
REACH = {
    "request": ["names"],
    "obtain: fetch": ["names"],
    "obtain: story": ["names", "obtain: fetch", "obtain: verify"],
    "install: run check": ["install: files"],
    "install: store": ["names", "install: files"],
    "report": ["install: files"],
    "install: story": ["names", "install: extract", "install: files", "install: store", "install: run check"],
}
# What the controller alone runs: file -> (the siblings it may import, the files of module_utils besides the vocabulary).
CONTROLLER = {
    "_cache": (["_folders", "_kept"], ["_files"]),
    "_killed": (["_folders"], []),
    "_confined": ([], []),
    "_controller_files": ([], []),
    "_delivery": (["_controller_files", "_progress", "_python"], ["_directories", "_fetch", "_guard", "_index", "_obtain"]),
    "_folders": ([], ["_directories", "_files", "_lock"]),
    "_hcl": (["_hcl_expressions", "_hcl_tokens"], []),
    "_hcl_expressions": (["_hcl_tokens"], []),
    "_hcl_tokens": ([], []),
    "_kept": (["_folders"], ["_files", "_lock"]),
    "_progress": ([], ["_hashicorp_key"]),
    "_python": ([], []),
    "_required_version": (["_confined", "_hcl", "_hcl_tokens"], ["_constraints", "_slips", "_versions"]),
    "_answer": ([], ["_errors", "_model", "_releases", "_versions"]),
    "_names": ([], ["_model"]),
    "_settings": ([], ["_wish"]),
    "_trusted_keys": (["_controller_files"], []),
    "_version_file": (["_confined", "_required_version"], ["_constraints", "_slips", "_versions"]),
}
VOCABULARY = sorted(HOUSE["vocabulary"])
SIBLINGS = dict((name, siblings) for step in HOUSE.values() for name, siblings in step.items())

# Third-party packages, and the one file that may import each.
THIRD_PARTY = {"requests": "_fetch", "urllib3": "_fetch", "certifi": "_fetch"}

# Parts of the standard library younger than Python 3.6, and the ways round an import statement.
FORBIDDEN_STDLIB = {
    "contextvars", "dataclasses", "graphlib", "importlib", "imp", "runpy", "tomllib", "zoneinfo",
}
# With one of these, code below the plugins could end the run itself, past the caller's cleanup.
WAYS_OUT = {"AnsibleModule", "Display", "__import__", "_exit", "exit", "exit_json", "fail_json", "quit"}
# Who takes one of these has been handed something to fail with. (As an attribute the words are harmless.)
HANDED_IN = {"callback", "display", "module", "on_error", "on_failure"}


def read(path):
    with open(path, "rb") as file:
        return file.read().decode("utf-8")


def python_files(*folders):
    """Paths below plugins of every Python file in the given folders (all folders when none is given)."""
    found = []
    for folder, _folders, names in os.walk(PLUGINS):
        relative = os.path.relpath(folder, PLUGINS)
        if folders and relative.split(os.sep)[0] not in folders:
            continue
        found.extend(os.path.join(relative, name) for name in names if name.endswith(".py"))
    return sorted(found)


def imports_of(tree):
    """Every import in a module, inside functions too: pairs of (number of leading dots, dotted name)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.level, node.module
            else:
                for alias in node.names:
                    yield node.level, alias.name


def packages_of(path):
    """The top-level packages that a plugin file imports."""
    tree = ast.parse(read(os.path.join(PLUGINS, path)))
    return set(module.split(".")[0] for level, module in imports_of(tree) if not level)


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


def import_violations(name, tree):
    """What a file of module_utils imports and must not: sentences."""
    known = getattr(sys, "stdlib_module_names", None)  # from Python 3.10 on; one such run is enough
    for level, module in imports_of(tree):
        top = module.split(".")[0]
        if level:
            if level > 1 or module not in VOCABULARY + SIBLINGS[name]:
                yield "%s imports its sibling %s%s" % (name, "." * level, module)
        elif top in ("ansible", "ansible_collections"):
            yield "%s imports %s: only the plugins know Ansible" % (name, module)
        elif top in THIRD_PARTY:
            if THIRD_PARTY[top] != name:
                yield "%s imports %s: only %s may" % (name, module, THIRD_PARTY[top])
        elif top in FORBIDDEN_STDLIB or module == "__future__":
            yield "%s imports %s" % (name, module)
        elif known is not None and top not in known:
            yield "%s imports %s, which is not in the standard library" % (name, module)


def controller_import_violations(name, tree):
    """What a file of plugin_utils imports and must not: sentences."""
    siblings, below = CONTROLLER[name]
    for level, module in imports_of(tree):
        top, _dot, rest = module.partition(".")
        if level == 1 and module not in siblings or level == 2 and (
                top != "module_utils" or rest not in VOCABULARY + below) or level > 2:
            yield "%s imports its sibling %s%s" % (name, "." * level, module)
        elif not level and top in ("ansible", "ansible_collections"):
            yield "%s imports %s: only the plugins know Ansible" % (name, module)
        elif not level and top in THIRD_PARTY:
            yield "%s imports %s: only %s may" % (name, module, THIRD_PARTY[top])


def violations(name, source):
    """Which rules of the house a file of module_utils breaks: a list of sentences."""
    return broken_by(name, ast.parse(source), import_violations)


def controller_violations(name, source):
    """The same for a file of plugin_utils."""
    return broken_by(name, ast.parse(source), controller_import_violations)


def broken_by(name, tree, imports):
    found = list(imports(name, tree))
    used, taken = names_in(tree)
    for name_used in sorted(used & WAYS_OUT | taken & HANDED_IN):
        found.append("%s uses %s: it must raise, and let the plugin exit" % (name, name_used))
    return found


def test_every_file_of_module_utils_has_its_place():
    files = set(name[:-len(".py")] for name in os.listdir(MODULE_UTILS) if name.endswith(".py"))
    files.discard("__init__")
    assert files == set(SIBLINGS), "decide in HOUSE which step it belongs to and what it may import"


def test_every_file_of_plugin_utils_has_its_place():
    files = set(name[:-len(".py")] for name in os.listdir(PLUGIN_UTILS) if name.endswith(".py"))
    assert files == set(CONTROLLER), "decide in CONTROLLER what it may import"


@pytest.mark.parametrize("name", sorted(CONTROLLER))
def test_plugin_utils_keep_the_rules(name):
    assert controller_violations(name, read(os.path.join(PLUGIN_UTILS, name + ".py"))) == []


@pytest.mark.parametrize("path", python_files("module_utils"))
def test_module_utils_keep_the_rules(path):
    name = os.path.splitext(os.path.basename(path))[0]
    if name not in SIBLINGS:
        pytest.fail("%s is not in HOUSE" % path)
    assert violations(name, read(os.path.join(PLUGINS, path))) == []


@pytest.mark.parametrize("step", sorted(HOUSE))
def test_the_table_lets_no_step_import_another(step):
    for name, siblings in HOUSE[step].items():
        for sibling in siblings:
            (home,) = [other for other, files in HOUSE.items() if sibling in files]
            assert home in [step] + REACH.get(step, []), "%s is in %r, %s in %r" % (sibling, home, name, step)


def test_the_halves_do_not_reach_each_other():
    for step, reached in REACH.items():
        halves = set(other.partition(":")[0] for other in [step] + reached)
        assert not {"obtain", "install"} <= halves


@pytest.mark.parametrize("path", [
    path for path in python_files() if path.split(os.sep)[0] not in ("action", "modules")
])
def test_only_modules_and_actions_import_ansible(path):
    assert not packages_of(path) & {"ansible", "ansible_collections"}


@pytest.mark.parametrize("path", python_files("action", "modules"))
def test_plugins_leave_the_network_to_fetch(path):
    assert not packages_of(path) & set(THIRD_PARTY)


@pytest.mark.skipif(sys.version_info < (3, 8), reason="ast.parse knows feature_version from Python 3.8 on")
@pytest.mark.parametrize("path", python_files("module_utils", "modules"))
def test_target_code_is_python_3_6(path):
    source = read(os.path.join(PLUGINS, path))
    tree = ast.parse(source, path, feature_version=(3, 6))
    assert (0, "__future__") not in imports_of(tree), "annotations as text came with Python 3.7"


@pytest.mark.parametrize("name, source, complaint", [
    ("_files", "from ansible.module_utils.basic import env_fallback", "only the plugins know Ansible"),
    ("_files", "def f():\n    import ansible", "only the plugins know Ansible"),
    ("_files", "from ansible_collections.a.b.plugins.module_utils import _errors", "only the plugins know Ansible"),
    ("_files", "import requests", "only _fetch may"),
    ("_files", "import requests.adapters", "only _fetch may"),
    ("_files", "from . import _store", "imports its sibling ._store"),
    ("_files", "from ._fetch import fetch", "imports its sibling ._fetch"),
    ("_store", "from ._files import publish", "imports its sibling ._files"),
    ("_install", "from ._obtain import obtain", "imports its sibling ._obtain"),
    ("_obtain", "from ._install import apply", "imports its sibling ._install"),
    ("_files", "from ..plugin_utils import _cache", "imports its sibling ..plugin_utils"),
    ("_files", "from dataclasses import dataclass", "imports dataclasses"),
    ("_files", "from __future__ import annotations", "imports __future__"),
    ("_files", "import importlib\nimportlib.import_module('ansible')", "imports importlib"),
    ("_files", "__import__('ansible')", "uses __import__"),
    ("_files", "def f(module):\n    return 1", "uses module"),
    ("_files", "def f(x):\n    x.fail_json(msg='no')", "uses fail_json"),
    ("_files", "import sys\nsys.exit(1)", "uses exit"),
    ("_files", "import os\nos._exit(1)", "uses _exit"),
    ("_files", "def f(*, callback):\n    return 1", "uses callback"),
    ("_files", "from ansible.utils.display import Display", "only the plugins know Ansible"),
])
def test_the_reader_catches(name, source, complaint):
    assert any(complaint in sentence for sentence in violations(name, source))


@pytest.mark.parametrize("name, source, complaint", [
    ("_cache", "from ansible.constants import config", "only the plugins know Ansible"),
    ("_cache", "from ansible_collections.a.b.plugins.module_utils import _errors", "only the plugins know Ansible"),
    ("_cache", "import requests", "only _fetch may"),
    ("_cache", "from ..module_utils._fetch import Fetcher", "imports its sibling ..module_utils._fetch"),
    ("_cache", "from ._delivery import Parcel", "imports its sibling ._delivery"),
    ("_delivery", "from ..module_utils._install import apply", "imports its sibling ..module_utils._install"),
    ("_delivery", "from ..action import terraform_binary", "imports its sibling ..action"),
    ("_progress", "def f(display):\n    return 1", "uses display"),
])
def test_the_reader_catches_in_plugin_utils(name, source, complaint):
    assert any(complaint in sentence for sentence in controller_violations(name, source))


@pytest.mark.skipif(sys.version_info < (3, 10), reason="sys.stdlib_module_names is there from Python 3.10 on")
def test_the_reader_catches_a_third_party_package():
    assert violations("_files", "import yaml") == ["_files imports yaml, which is not in the standard library"]


@pytest.mark.parametrize("name, source", [
    ("_fetch", "import requests\nfrom ._errors import FetchError"),
    ("_wish", "import re\nfrom ._versions import exact\nfrom ._model import PRODUCT"),
    ("_install", "from . import _store\nfrom ._files import publish"),
    ("_files", "import contextlib\nwith contextlib.ExitStack() as stack:\n    stack.callback(print)"),
])
def test_the_reader_lets_pass(name, source):
    assert violations(name, source) == []
