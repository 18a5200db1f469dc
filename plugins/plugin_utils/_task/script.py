# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the plain script that replaces the module where a target downloads nothing, and has core run it.

Core starts a module with AnsibleModule in a second of processor time for three targets, most of which the script saves. It
consists of the very files of module_utils that the module imports, and of a loader for them. To core it is a module that
takes its arguments as JSON ("jsonargs", module_common.py of ansible-core), so how it gets to the target, under which user
and with which Python it runs are core's business, as with every module.
"""

import base64
import contextlib
import copy
import json
import os
import re
import tempfile
import zlib
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

from ...module_utils._errors import os_error_context

_PLUGINS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_FACILITY = re.compile("LOG_[A-Z0-9]{1,20}\\Z")  # syslog(3)
_PACKAGE = "iac_platform_terraform"  # of the files in the script
# What a run imports that finds all in order. tests/unit/plugins/plugin_utils/_task/test_script.py computes both lists.
LOOK: Tuple[str, ...] = (
    "_argument_spec",
    "_errors",
    "_fs/accounts",
    "_fs/directory",
    "_fs/hashing",
    "_fs/lock",
    "_fs/mounts",
    "_fs/obstacles",
    "_fs/paths",
    "_fs/symlink",
    "_fs/temp_files",
    "_fs/trusted_file",
    "_http/credentials",
    "_http/urls",
    "_install/installed",
    "_install/link_history",
    "_install/plan",
    "_install/preflight",
    "_install/receipt",
    "_openpgp/hashicorp_key",
    "_openpgp/signers",
    "_records",
    "_release/index",
    "_release/layout",
    "_release/resolver",
    "_request/network",
    "_request/parse",
    "_run/basic",
    "_run/module_run",
    "_run/results",
    "_run/script",
    "_versions/constraint",
    "_versions/suggestions",
    "_versions/version",
)
# What terraform_binary_info imports.
INFO: Tuple[str, ...] = (
    "_argument_spec",
    "_errors",
    "_fs/accounts",
    "_fs/directory",
    "_fs/hashing",
    "_fs/lock",
    "_fs/mounts",
    "_fs/paths",
    "_fs/symlink",
    "_fs/temp_files",
    "_install/info",
    "_install/installed",
    "_install/receipt",
    "_records",
    "_run/basic",
    "_run/info_script",
    "_versions/version",
)
# What another run imports on top of it.
CHANGE: Tuple[str, ...] = (
    "_fs/atomic_file",
    "_fs/processes",
    "_fs/signals",
    "_install/apply",
    "_install/binary",
    "_install/leftovers",
    "_install/previous",
    "_install/retention",
    "_install/run_check",
    "_install/uninstall",
    "_install/usage",
    "_install/zip_archive",
    "_openpgp/keys",
    "_openpgp/packets",
    "_openpgp/signatures",
    "_openpgp/verify",
    "_source",
)
# Core replaces the marked text by the arguments, as ASCII JSON, without asking what is around it. JSON never has three
# quotes in a row and ends with a brace, so it stays inside a raw text of Python, whatever somebody wrote into an option. It
# may not stand in the first two lines, where Python looks for a coding cookie (PEP 263). The next lines keep the folder that
# the script is started in from being searched for modules: a target's user may write there.
_START = '''#!/usr/bin/python
# -*- coding: utf-8 -*-
import sys
HERE = sys.argv[0].rpartition("/")[0]
sys.path = [place for place in sys.path if place not in ("", ".", HERE)]
if sys.version_info < (3, 6):
    sys.exit("Error: Python is older than 3.6")
import os
sys.path = [place for place in sys.path if not HERE or os.path.realpath(place) != os.path.realpath(HERE)]
import base64
import json
import zlib
from importlib.machinery import ModuleSpec

ARGUMENTS = r"""<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>"""
SOURCES = json.loads(zlib.decompress(base64.b64decode("%(sources)s")).decode("utf-8"))


class Loader:
    """Imports the sources above (PEP 302, PEP 451)."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in SOURCES:
            return ModuleSpec(name, Loader, origin=name, is_package=SOURCES[name] is None)

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        source = SOURCES[module.__name__] or ""
        exec(compile(source, module.__name__, "exec", dont_inherit=True), module.__dict__)


if __name__ == "__main__":
    sys.meta_path.insert(0, Loader)
    from %(package)s.%(entry)s import run_script

    run_script(ARGUMENTS.encode("ascii"))
'''


def find_obstacle(action: Any, base: type, module_common: Any, task_vars: Mapping[str, Any]) -> Optional[str]:
    """Return why core would not run a script for an action plugin, or not run it safely; None: it does.

    Another plugin, such as Mitogen's strategy, may run modules itself, and then finds them by their names. And core puts the
    variable ansible_syslog_facility, which may be a fact of a host, into the script as it is.

    :param base: core's class of all action plugins.
    :param module_common: core's module of that name.
    :param task_vars: the variables of the task, with those of hosts that it is delegated to.
    """
    if type(action)._execute_module is not getattr(base, "_execute_module", None):
        return "another plugin runs the modules"
    if not hasattr(module_common, "REPLACER_JSONARGS"):
        return "this ansible-core has no modules with JSON arguments"
    for variables in (task_vars, *(task_vars.get("ansible_delegated_vars") or {}).values()):
        if not _FACILITY.match(str(variables.get("ansible_syslog_facility", "LOG_USER"))):
            return "ansible_syslog_facility is no name of a facility"
    return None


def write_script(folder: str, whole: bool) -> str:
    """Return the path of the script, which is written once for all tasks of a run.

    :param folder: str, Ansible's local temporary directory of the run: only this user can write there.
    :param whole: bool, with what only a run imports that changes something, reads an archive, or reads keys.
    :raises InstallError: it cannot be written.
    """
    names = LOOK + CHANGE if whole else LOOK
    return _write(folder, "terraform_binary_whole" if whole else "terraform_binary_look", "terraform_binary", names)


def write_info_script(folder: str) -> str:
    """Return the path of the script for terraform_binary_info, as write_script() does. Raises InstallError."""
    return _write(folder, "terraform_binary_info", "terraform_binary_info", INFO)


def _write(folder: str, subfolder: str, called: str, names: Tuple[str, ...]) -> str:
    place = os.path.join(folder, subfolder)
    path = os.path.join(place, called + ".py")  # which is the name that the target sees
    if not os.path.exists(path):
        text = script_text(names)
        with os_error_context("write the script", path, place="local_tmp"):
            os.makedirs(place, mode=0o700, exist_ok=True)
            fd, pending = tempfile.mkstemp(dir=place)
            with os.fdopen(fd, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.rename(pending, path)  # other processes write the same
    return path


def script_text(names: Tuple[str, ...]) -> str:
    """Return the script with these files of module_utils: str. It starts the one that is called a script."""
    (entry,) = [name.replace("/", ".") for name in names if name.endswith("script")]
    sources: Dict[str, Optional[str]] = {_PACKAGE: None}
    for name in names:
        with open(os.path.join(_PLUGINS, "module_utils", name + ".py"), encoding="utf-8") as stream:
            sources["%s.%s" % (_PACKAGE, name.replace("/", "."))] = stream.read()
        if "/" in name:
            sources["%s.%s" % (_PACKAGE, name.partition("/")[0])] = None
    packed = base64.b64encode(zlib.compress(json.dumps(sources).encode("utf-8"))).decode("ascii")
    return _START % {"sources": packed, "package": _PACKAGE, "entry": entry}


@contextlib.contextmanager
def lent_to(action: Any, path: str) -> Iterator[None]:
    """Have core take the file at a path for every module that the action plugin runs in the body."""
    before = action._shared_loader_obj
    action._shared_loader_obj = _Loaders(before, path)
    try:
        yield
    finally:
        action._shared_loader_obj = before


class _Loaders:
    """Core's loaders, of which the one for modules finds the file at ``path``."""

    def __init__(self, loaders: Any, path: str) -> None:
        self._loaders = loaders
        self.module_loader = _ModuleLoader(loaders.module_loader, path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loaders, name)


class _ModuleLoader:
    def __init__(self, loader: Any, path: str) -> None:
        self._loader = loader
        self._path = path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def find_plugin_with_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return what core finds for the module, with the path of the script."""
        context = copy.copy(self._loader.find_plugin_with_context(*args, **kwargs))
        context.plugin_resolved_path = self._path
        return context
