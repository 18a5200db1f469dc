# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain script in the place of the module: what it consists of, and that it starts wherever core starts it."""

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import types

import pytest
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers.gate import refuses_script
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task import script
from support import tiers

module_common = pytest.importorskip("ansible.executor.module_common")
action_base = pytest.importorskip("ansible.plugins.action").ActionBase

_UNIT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "..")
_CI = os.path.join(_UNIT, "..", "..", ".ci")
if _CI not in sys.path:
    sys.path.insert(0, _CI)

import import_rules  # noqa: E402  pylint: disable=wrong-import-position

PLUGINS = os.path.join(_UNIT, "..", "..", "plugins")
START, DOWNLOADS = "_run/script", "_http/client"
PYTHONS = ("3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


# ------------------------------------------------------------------ what it consists of


def imports_of(name, everywhere):
    """The files of module_utils that one of them imports: when it is imported itself, or ``everywhere`` in it."""
    path = "module_utils/%s.py" % name
    with open(os.path.join(PLUGINS, path), encoding="utf-8") as stream:
        tree = ast.parse(stream.read())
    if not everywhere:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) or isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                node.body = []
    found = set()
    for ours, place in import_rules.imports_of(path, tree):
        if ours:
            is_file = os.path.isfile(os.path.join(PLUGINS, place + ".py"))
            found.add((place if is_file else place.rpartition("/")[0]).partition("/")[2])
    return found


def needed(everywhere, start=START):
    """What the script needs of module_utils, by following the imports: set of names."""
    found, left = set(), {start}
    while left:
        name = left.pop()
        found.add(name)
        left |= imports_of(name, everywhere) - found - {DOWNLOADS}
    return found


def test_the_lists_are_what_the_files_import():
    look = needed(False)
    assert list(script.LOOK) == sorted(look)
    assert list(script.CHANGE) == sorted(needed(True) - look)
    assert list(script.INFO) == sorted(needed(True, "_run/info_script"))


def test_a_look_takes_along_nothing_of_downloads_signatures_or_changes():
    """That is what keeps it small: a tenth of a second less for every host."""
    for name in script.LOOK:
        assert name.partition("/")[0] != "_source" and not name.startswith("_install/apply"), name
        assert not name.startswith("_http/") or name in ("_http/credentials", "_http/urls"), name
        assert not name.startswith("_openpgp/") or name in ("_openpgp/hashicorp_key", "_openpgp/signers"), name
    assert len(script.script_text(script.LOOK)) < 120_000, "core's own ping takes 177 KB"
    assert len(script.script_text(script.LOOK + script.CHANGE)) < 190_000
    assert len(script.script_text(script.INFO)) < 60_000


def test_it_imports_the_standard_library_only():
    for name in script.LOOK + script.CHANGE + script.INFO:
        path = "module_utils/%s.py" % name
        with open(os.path.join(PLUGINS, path), encoding="utf-8") as stream:
            for ours, module in import_rules.imports_of(path, ast.parse(stream.read())):
                assert ours or module.partition(".")[0] in getattr(sys, "stdlib_module_names", (module,)), (
                    name,
                    module,
                )


# ------------------------------------------------------------------ that it starts


@pytest.fixture(scope="module")
def load_host():
    """The host of the tests of module_utils: callable(folder) -> Host."""
    path = os.path.join(_UNIT, "plugins", "module_utils", "conftest.py")
    spec = importlib.util.spec_from_file_location("script_host", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded.Host


def as_core_sends_it(names, arguments):
    """The script with its arguments, as core makes it: bytes."""
    text = script.script_text(names).encode("utf-8")
    assert text.count(module_common.REPLACER_JSONARGS) == 1
    return text.replace(module_common.REPLACER_JSONARGS, json.dumps(arguments).encode("ascii"))


def find_python(version):
    """The path of a Python that runs, or None: pyenv has names for those that are switched off."""
    for path in filter(None, [shutil.which("python" + version)] + [_pyenv(version)]):
        if subprocess.run([path, "-c", ""], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return path
    return None


def _pyenv(version):
    folder = os.path.join(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), "versions")
    for name in sorted(os.listdir(folder) if os.path.isdir(folder) else ()):
        if name.startswith(version + "."):
            return os.path.join(folder, name, "bin", "python")
    return None


def start(python, text, folder, through_file, **environment):
    """Run a script as core does: from standard input (pipelining), or from a file."""
    command, how = [python], {"input": text}
    if through_file:
        (folder / "AnsiballZ_terraform_binary.py").write_bytes(text)
        command, how = [python, str(folder / "AnsiballZ_terraform_binary.py")], {"stdin": subprocess.DEVNULL}
    done = subprocess.run(
        command,
        cwd=str(folder),
        env=dict(environment, PATH=os.environ["PATH"]),
        capture_output=True,
        check=False,
        **how,
    )
    return done.returncode, done.stdout.decode("ascii"), done.stderr.decode("utf-8", "replace")


@pytest.mark.parametrize("version", [PYTHONS[0], PYTHONS[-2]] if tiers.QUICK else PYTHONS)
def test_it_installs_and_finds_all_in_order_with_every_python(load_host, tmp_path, version):
    python = find_python(version)
    if python is None:
        pytest.skip("no Python %s on this machine" % version)
    host = load_host(str(tmp_path))
    arguments = dict(host.offer(), base_dir=host.base_dir, run_check=False, _ansible_diff=True)
    for through_file, environment in ((False, {"LC_ALL": "C"}), (True, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"})):
        text = as_core_sends_it(script.LOOK + script.CHANGE, arguments)
        status, output, errors = start(python, text, tmp_path, through_file, **environment)
        assert (status, errors) == (0, "") and len(output.splitlines()) == 1
        result = json.loads(output)
        assert result["changed"] is not through_file and result["binary_sha256"], result
        assert "iac_platform_terraform" not in output and "import " not in output
    look = {name: value for name, value in arguments.items() if name not in ("archive", "checksum", "checksum_policy")}
    look.update(_ansible_check_mode=True, checksum_policy="signature")
    status, output, errors = start(python, as_core_sends_it(script.LOOK, look), tmp_path, False)
    assert (status, errors) == (0, "") and json.loads(output)["changed"], "no signer is in the receipt"


def test_the_folder_that_it_is_started_in_is_not_searched_for_modules(load_host, tmp_path):
    """It may be the home of a user who is not to become root by that."""
    host = load_host(str(tmp_path / "host"))
    for name in ("json", "base64", "zlib", "syslog", "platform", "iac_platform_terraform"):
        (tmp_path / (name + ".py")).write_text("open(%r, 'w').close()\n" % str(tmp_path / "entered"))
    arguments = {"version": "1.13.4", "base_dir": host.base_dir, "platform": host.platform, "_ansible_check_mode": True}
    for through_file in (False, True):
        text = as_core_sends_it(script.LOOK, arguments)
        status, output, errors = start(sys.executable, text, tmp_path, through_file)
        assert (status, errors) == (0, "") and json.loads(output)["changed"]
    assert not (tmp_path / "entered").exists()


HOSTILE = (
    "<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>",
    '"<<INCLUDE_ANSIBLE_MODULE_COMPLEX_ARGS>>"',
    '"""' + "+__import__('os')._exit(7)+" + 'r"""',
    "'+__import__('os')._exit(7)+'",
    "coding: unicode_escape ';import os;os._exit(7)#",
    "https://encoding:8443/x",
    "\\",
    "\u2028 \u00e9 \x00 \n",
    "syslog.LOG_USER",
)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("through_file", [False, True])
def test_no_argument_becomes_code(load_host, tmp_path, text, through_file):
    """Core puts the arguments into the script as they are (see also tests/playbooks/test_script.py)."""
    host = load_host(str(tmp_path / "host"))
    arguments = {"version": "1.13.4", "base_dir": host.base_dir, "platform": host.platform, "owner": text, text: text}
    script_sent = as_core_sends_it(script.LOOK, dict(arguments, _ansible_check_mode=True, _ansible_x=text))
    assert b"ARGS" not in b"".join(script_sent.splitlines()[:2])
    status, output, errors = start(sys.executable, script_sent, tmp_path, through_file)
    assert (status, errors) == (0, ""), errors
    shown = json.loads(output)["invocation"]["module_args"] if "invocation" in output else {}
    assert shown["owner"] == text


def test_a_folder_behind_a_link_is_not_searched_for_modules(load_host, tmp_path):
    """Python then has its real path in the list, and core calls it by the link."""
    host = load_host(str(tmp_path / "host"))
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "base64.py").write_text("open(%r, 'w').close()\n" % str(tmp_path / "entered"))
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "x.py").write_bytes(
        as_core_sends_it(script.LOOK, {"version": "1.13.4", "base_dir": host.base_dir, "_ansible_check_mode": True})
    )
    done = subprocess.run([sys.executable, str(tmp_path / "link" / "x.py")], capture_output=True, check=False)
    assert done.returncode == 0 and not (tmp_path / "entered").exists()


def test_a_python_that_is_too_old_says_so_in_its_own_language(tmp_path):
    python = find_python("2.7")
    if python is None:
        pytest.skip("no Python 2.7 on this machine")
    status, output, errors = start(python, as_core_sends_it(script.LOOK, {}), tmp_path, False)
    assert (status, output) == (1, "") and errors.strip() == "Error: Python is older than 3.6"


def test_what_is_missing_is_a_failure_and_no_answer(tmp_path):
    """As when somebody adds an import to a look: nothing may be taken for unchanged."""
    text = as_core_sends_it(tuple(name for name in script.LOOK if name != "_install/plan"), {"version": "1.13.4"})
    status, output, errors = start(sys.executable, text, tmp_path, False)
    assert status == 1 and output == "" and "No module named 'iac_platform_terraform._install.plan'" in errors


# ------------------------------------------------------------------ how core comes to run it


def test_it_is_written_once_whoever_comes_first(tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(script.write_script(str(tmp_path), False))) for _number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (path,) = set(found)
    with open(path, encoding="utf-8") as stream:
        assert stream.read() == script.script_text(script.LOOK)
    assert os.listdir(os.path.dirname(path)) == ["terraform_binary.py"]
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    inode = os.stat(path).st_ino
    assert script.write_script(str(tmp_path), False) == path and os.stat(path).st_ino == inode
    whole = script.write_script(str(tmp_path), True)
    with open(whole, encoding="utf-8") as stream:
        assert stream.read() == script.script_text(script.LOOK + script.CHANGE)


def test_what_runs_modules_in_its_own_way_gets_the_module():
    """Mitogen's strategy, for one: it looks for a module by its name."""

    class Ours(action_base):
        def run(self, tmp=None, task_vars=None):
            return {}

    class Mixed(Ours):
        def _execute_module(self, *args, **kwargs):
            return {}

    ours = object.__new__(Ours)
    assert script.find_obstacle(ours, action_base, module_common, {}) is None
    assert (
        script.find_obstacle(object.__new__(Mixed), action_base, module_common, {}) == "another plugin runs the modules"
    )
    reason = script.find_obstacle(ours, action_base, types.SimpleNamespace(), {})
    assert reason == "this ansible-core has no modules with JSON arguments"
    for facility, is_safe in (
        ("LOG_LOCAL7", True),
        ("LOG_USER;x", False),
        ("LOG_USER\n", False),
        ("{{ x }}", False),
        (5, False),
    ):
        for variables in ({}, {"ansible_delegated_vars": {"web2": {}}}):
            for given in (variables, *variables.get("ansible_delegated_vars", {}).values()):
                given["ansible_syslog_facility"] = facility
                reason = script.find_obstacle(ours, action_base, module_common, variables)
                assert (reason is None) == is_safe and (is_safe or "ansible_syslog_facility" in reason)
                del given["ansible_syslog_facility"]


def test_core_finds_the_script_for_the_time_of_the_call():
    context = types.SimpleNamespace(plugin_resolved_path="/the/module.py", resolved=True)
    loader = types.SimpleNamespace(find_plugin_with_context=lambda *args, **kwargs: context, other="other")
    loaders = types.SimpleNamespace(module_loader=loader, become_loader="become")
    action = types.SimpleNamespace(_shared_loader_obj=loaders)
    with pytest.raises(KeyError), script.lent_to(action, "/the/script.py"):
        found = action._shared_loader_obj.module_loader.find_plugin_with_context("a.b.c", "", collection_list=[])
        assert found.plugin_resolved_path == "/the/script.py" and found.resolved
        assert action._shared_loader_obj.become_loader == "become"
        assert action._shared_loader_obj.module_loader.other == "other"
        raise KeyError()
    assert action._shared_loader_obj is loaders and context.plugin_resolved_path == "/the/module.py"


@pytest.mark.parametrize(
    "raw, refuses",
    [
        ({"failed": True, "msg": "this host needs the module itself"}, True),
        ({"failed": 1, "msg": "this host needs the module itself"}, False),
        ({"msg": "this host needs the module itself"}, False),
        ({"failed": True, "msg": ["this host needs the module itself"]}, False),
        ({"failed": True}, False),
        ([], False),
    ],
)
def test_only_that_very_answer_asks_for_the_module(raw, refuses):
    assert refuses_script(raw) is refuses
