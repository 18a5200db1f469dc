# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md names every file of plugins/ and no other, and functions that there are."""

import ast
import glob
import os
import re

CHECKOUT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
PLUGINS = os.path.join(CHECKOUT, "plugins")
_NAME = re.compile(r"`([^`]+)`")
_FOLDERS = ("", "module_utils", "plugin_utils")  # where the packages of the tables lie


def read_rows(heading):
    """The rows of the tables with this first line: lists of cells."""
    with open(os.path.join(CHECKOUT, "docs", "architecture.md"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    rows = []
    for start in [number for number, line in enumerate(lines) if line == heading]:
        for line in lines[start + 2 :]:
            if not line.startswith("|"):
                break
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def functions_of(path):
    """The names of all functions and methods of a file, these with the name of their class before."""
    with open(os.path.join(PLUGINS, path), encoding="utf-8") as file:
        tree = ast.parse(file.read())
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.update("%s.%s" % (node.name, each.name) for each in node.body if isinstance(each, ast.FunctionDef))
    return found


def test_the_tables_name_every_file_in_its_package():
    named = []
    for folder, _purpose, files in read_rows("| folder | what it is for | files |") + read_rows(
        "| package or file | what it is for | files |"
    ):
        (place,) = _NAME.findall(folder)
        (parent,) = [each for each in _FOLDERS if os.path.exists(os.path.join(PLUGINS, each, place))]
        names = [place] if place.endswith(".py") else ["%s/%s.py" % (place, name) for name in _NAME.findall(files)]
        named += [os.path.join(parent, name) for name in names]
    there = [os.path.relpath(path, PLUGINS) for path in glob.glob(os.path.join(PLUGINS, "**", "*.py"), recursive=True)]
    assert sorted(named) == sorted(path for path in there if not path.endswith("__init__.py"))


def test_the_functions_of_a_fresh_install_are_in_their_files():
    rows = read_rows("| machine | file | main function | what it does |")
    assert len(rows) > 20
    wrong = []
    for _machine, file, function, _what in rows:
        (path,), (name,) = _NAME.findall(file), _NAME.findall(function)
        if name not in functions_of(path):
            wrong.append((path, name))
    assert not wrong
