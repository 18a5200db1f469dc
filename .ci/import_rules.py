# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The import rules of plugins/, as a table, and how to read the imports of a file.

A room is a package below module_utils or plugin_utils, a file that lies there alone, or a folder of plugins. Files of a room
may import each other. tests/unit/test_imports.py holds the code to the table; .ci/architecture.py draws it.
"""

import ast
import os

(
    _SPEC,
    _ERRORS,
    _RECORDS,
    _FS,
    _HTTP,
    _INSTALL,
    _OPENPGP,
    _RELEASE,
    _REQUEST,
    _RUN,
    _SOURCE,
    _VERSIONS,
) = (
    "module_utils/" + _name
    for _name in (
        "_argument_spec",
        "_errors",
        "_records",
        "_fs",
        "_http",
        "_install",
        "_openpgp",
        "_release",
        "_request",
        "_run",
        "_source",
        "_versions",
    )
)
_ANSWERS, _CACHE, _DOWNLOAD, _TASK, _VERSION_FILE = (
    "plugin_utils/" + _name for _name in ("_answers", "_cache", "_download", "_task", "_version_file")
)

# room -> the rooms that it may import
ROOMS = {
    _SPEC: (),
    _ERRORS: (),
    _RECORDS: (_SPEC,),
    _VERSIONS: (_ERRORS,),
    _OPENPGP: (_ERRORS,),
    _FS: (_ERRORS, _RECORDS),
    _HTTP: (_ERRORS, _RECORDS, _FS),
    _RELEASE: (_ERRORS, _RECORDS, _VERSIONS),
    _REQUEST: (_SPEC, _ERRORS, _RECORDS, _FS, _VERSIONS, _RELEASE, _HTTP),
    _SOURCE: (_ERRORS, _RECORDS, _FS, _HTTP, _OPENPGP, _RELEASE),
    _INSTALL: (_ERRORS, _RECORDS, _FS, _VERSIONS),
    _RUN: (_SPEC, _ERRORS, _RECORDS, _FS, _HTTP, _VERSIONS, _OPENPGP, _RELEASE, _REQUEST, _SOURCE, _INSTALL),
    _ANSWERS: (_ERRORS, _RECORDS, _VERSIONS, _RELEASE),
    _CACHE: (_ERRORS, _RECORDS, _FS),
    _TASK: (_SPEC, _ERRORS, _RECORDS, _REQUEST),
    _VERSION_FILE: (_ERRORS, _VERSIONS),
    _DOWNLOAD: (_ERRORS, _RECORDS, _FS, _HTTP, _OPENPGP, _RELEASE, _SOURCE, _CACHE, _TASK),
    "modules": (_SPEC, _ERRORS, _RECORDS, _FS, _HTTP, _INSTALL, _RUN),
    "action": (
        _SPEC,
        _ERRORS,
        _RECORDS,
        _VERSIONS,
        _HTTP,
        _RELEASE,
        _REQUEST,
        _RUN,
        _ANSWERS,
        _CACHE,
        _DOWNLOAD,
        _TASK,
        _VERSION_FILE,
    ),
    "lookup": (_SPEC, _ERRORS, _RECORDS, _VERSIONS, _HTTP, _RELEASE, _REQUEST, _CACHE, _DOWNLOAD, _TASK, "action"),
}
_COLLECTION = "ansible_collections/iac_platform/terraform/plugins/"
_NO_CODE = ("doc_fragments",)


def room_of(path):
    """The room of a file, or of a package, by its path below plugins: str."""
    parts = (path[: -len(".py")] if path.endswith(".py") else path).split("/")
    return "/".join(parts[:2]) if parts[0] in ("module_utils", "plugin_utils") else parts[0]


def python_files(plugins):
    """The paths below a folder of plugins of all Python files, with slashes, sorted; without those that only document."""
    found = []
    for folder, _folders, names in os.walk(plugins):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), plugins).replace(os.sep, "/")
            if name.endswith(".py") and path.split("/", maxsplit=1)[0] not in _NO_CODE:
                found.append(path)
    return sorted(found)


def imports_of(path, tree):
    """Every import of a file, inside functions too: pairs of whether it is our own, and a path below plugins or a dotted name.

    :param path: str, of the file below plugins.
    :param tree: ast.Module, of its source.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _named(alias.name)
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                names = [node.module]
                if _named(node.module)[0]:
                    names = ["%s.%s" % (node.module, alias.name) for alias in node.names]
                for name in names:
                    yield _named(name)
                continue
            base = path.split("/")[: -node.level] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                yield True, "/".join(base + [alias.name])


def _named(name):
    path = name.replace(".", "/")
    return (True, path[len(_COLLECTION) :]) if path.startswith(_COLLECTION) else (False, name)
