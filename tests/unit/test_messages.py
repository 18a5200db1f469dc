# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of all messages of failures, messages.txt: whole, without rows that no code gives, and readable.

The table has an example of each, under the name of its file, as an operator sees it. Whoever writes a new error adds a row.
"""

import ast
import glob
import os
import re

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import MESSAGE_LIMIT

_HERE = os.path.dirname(os.path.realpath(__file__))
_PLUGINS = os.path.join(_HERE, "..", "..", "plugins")
_FILES = sorted(
    path
    for folder in ("module_utils", "plugin_utils", "action", "lookup", "modules")
    for path in glob.glob(os.path.join(_PLUGINS, folder, "**", "*.py"), recursive=True)
)
_OURS = re.compile(
    r"(Request|Fetch|Verification|Clock|Archive|Install|Lock|RunCheck|Answer|Transfer|Start)Error$|MissingDependency$"
)
_FIELD = re.compile(r"%[-0-9.]*[sdrxo]|%%")
_NEVER = re.compile(r"\bthis (host|machine|side|computer)\b|\btarget's\b|\bNone\b|  ")


def read_table():
    """dict of file name to its list of messages."""
    rows, name = {}, None
    with open(os.path.join(_HERE, "messages.txt"), encoding="utf-8") as stream:
        for line in stream.read().splitlines():
            if line.startswith("    "):
                rows[name].append(line[4:])
            elif line and not line.startswith("#"):
                name = line
                rows[name] = []
    return rows


TABLE = read_table()


def find_texts(path):
    """The texts that errors are made of in a file: list of (line, text)."""
    with open(path, encoding="utf-8") as stream:
        tree = ast.parse(stream.read())
    return [(node.lineno, text) for node in ast.walk(tree) if isinstance(node, ast.Call) for text in _texts_of(node)]


def _texts_of(call):
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if not call.args or not (_OURS.search(name) or name == "os_error_context"):
        return
    first = call.args[0]
    if isinstance(first, ast.BinOp) and isinstance(first.op, ast.Mod):
        first = first.left
    for one in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value + " %s: %s" * (name == "os_error_context")


def pattern_of(text):
    """What a message of that text looks like, whatever is filled in, with a machine before and a hint after it."""
    parts = [re.escape(" ".join(part.split())) if part.strip() else "" for part in _FIELD.split(text)]
    return re.compile(r"(controller|web1): (?:.* )?%s" % ".*".join(parts))


def place_of(path):
    """The name of a file in the table: its path below module_utils or plugin_utils; ``action`` for the plugin."""
    folder, _slash, rest = os.path.relpath(path, _PLUGINS).replace(os.sep, "/").partition("/")
    return rest if folder.endswith("_utils") else folder


SITES = [(place_of(path), line, text) for path in _FILES for line, text in find_texts(path)]


NAMES = sorted(set(name for name, _line, _text in SITES) | set(TABLE))


def test_there_are_as_many_as_there_are():
    assert len(SITES) > 200


@pytest.mark.parametrize("name", NAMES)
def test_each_has_an_example(name):
    lacking = [
        "line %d: %s" % (line, text)
        for file, line, text in SITES
        if file == name and not any(pattern_of(text).match(row) for row in TABLE.get(name, ()))
    ]
    assert not lacking, "no example in messages.txt"


@pytest.mark.parametrize("name", NAMES)
def test_no_row_is_left_of_what_is_gone(name):
    patterns = [pattern_of(text) for file, _line, text in SITES if file == name]
    assert not [row for row in TABLE[name] if not any(pattern.match(row) for pattern in patterns)]


@pytest.mark.parametrize("name", NAMES)
def test_they_can_be_read(name):
    """Which machine, what, and what to do; one line, in the words of the guide."""
    for row in TABLE[name]:
        assert re.match(r"(controller|web1): \S", row) and row.isprintable() and len(row) <= MESSAGE_LIMIT, row
        assert not _NEVER.search(row) and not re.search(r"[^.]\.$", row), row
        assert "; " in row, "it says what to do, after a semicolon: " + row
