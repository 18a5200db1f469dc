# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate the argument spec and the role's documentation from the module's documentation, the source of its options.

Reads DOCUMENTATION in plugins/modules/terraform_binary.py and in its fragment, and in plugins/modules/terraform_binary_info.py.
Writes plugins/module_utils/_argument_spec.py, and the variables in roles/terraform_binary/meta/argument_specs.yml and
roles/terraform_binary/README.md. With --check nothing is written: the return code says whether the files are as they should
be. docs/adding-an-option.md has the rules.
"""

import ast
import json
import pathlib
import re
import sys
import textwrap

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = ("plugins/modules/terraform_binary.py", "plugins/doc_fragments/_terraform_binary.py")
INFO = "plugins/modules/terraform_binary_info.py"
SPEC, ROLE = "plugins/module_utils/_argument_spec.py", "roles/terraform_binary/"
PREFIX = "terraform_binary_"
# The comment beside an option's name: (a target may see it while the controller downloads, no_log).
MARKS = {
    "target": (True, None),
    "target, no secret": (True, False),
    "controller": (False, None),
    "controller, no secret": (False, False),
    "controller, secret": (False, True),
}
LOOKS_SECRET = re.compile("pass(?!ive)|secret|token|key")  # as ansible-test has it
SPEC_KEYS = ("type", "elements", "default", "choices", "aliases")
# What an answer of a survey, blank or null, is none of: see the head of the role's argument_specs.yml.
KINDS = {"bool": "A boolean.", "int": "An integer.", "dict": "A dictionary."}
BELOW = "      # Generated from the module's documentation by .ci/options.py, from here on: do not edit.\n"
TABLE = "<!-- Generated from the module's documentation by .ci/options.py: do not edit. -->\n"

HEAD = '''\
# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' argument specs. Generated from the modules' documentation by .ci/options.py: do not edit."""

from typing import Any, Dict

'''


def read_options(*texts):
    """The options of the documentation in Python files: dict of name to its entry, with ``to_target`` and ``no_log``.

    :raises ValueError: an option that does not say who sees it, one that may be a secret and does not say whether it is, and
        a key that this script does not know.
    """
    options = {}
    for text in texts:
        (documentation,) = [
            node.value.value
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "DOCUMENTATION"
        ]
        marks = dict(re.findall(r"(?m)^  ([a-z0-9_]+):  # (.+)$", documentation))
        for name, entry in yaml.safe_load(documentation)["options"].items():
            options[name] = dict(entry, **read_mark(name, marks.get(name)))
            unknown = entry.keys() - {"description", "version_added", *SPEC_KEYS}
            if unknown:
                raise ValueError("%s has %s, which is not handed on" % (name, ", ".join(sorted(unknown))))
    return options


def read_mark(name, mark):
    if mark not in MARKS:
        raise ValueError(
            "%s: %s is beside its name, expected a comment that is one of: %s"
            % (name, mark and "# %s" % mark or "nothing", "; ".join(MARKS))
        )
    to_target, no_log = MARKS[mark]
    if no_log is None and LOOKS_SECRET.search(name):
        raise ValueError("%s may be a secret: write beside its name whether it is one" % name)
    return {"to_target": to_target, "no_log": no_log}


def render_spec(options, of_info):
    """The text of the argument specs' file.

    :param options: of the module terraform_binary.
    :param of_info: of the module terraform_binary_info.
    """
    names = ", ".join(literal(name) for name in sorted(options) if options[name]["to_target"])
    return "%s%s\n%s\nTO_TARGET = frozenset([\n%s,\n])\n\n%s" % (
        HEAD,
        render_one_spec("SPEC", options),
        "# What a target may see while the controller downloads.",
        textwrap.fill(names, 120, initial_indent="    ", subsequent_indent="    "),
        render_one_spec("INFO_SPEC", of_info),
    )


def render_one_spec(variable, options):
    lines = []
    for name, entry in options.items():
        parts = {key: entry[key] for key in (*SPEC_KEYS, "no_log") if entry.get(key) is not None}
        lines.append(
            "    %s: {%s},\n"
            % (literal(name), ", ".join("%s: %s" % (literal(key), literal(value)) for key, value in parts.items()))
        )
    return "%s: Dict[str, Dict[str, Any]] = {\n%s}\n" % (variable, "".join(lines))


def literal(value):
    """A value as Python has it, with double quotes."""
    if isinstance(value, list):
        return "[%s]" % ", ".join(map(literal, value))
    return json.dumps(value) if isinstance(value, str) else repr(value)


class Indented(yaml.SafeDumper):
    """YAML whose lists stand further in than their key."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def render_variables(options, text):
    """The text of the role's argument_specs.yml, with the variables of the options in it."""
    variables = {}
    for name, entry in options.items():
        summary = entry["description"] if isinstance(entry["description"], str) else entry["description"][0]
        sentences = [re.sub(r"\bO\((?=[a-z_]+[=)])", "O(" + PREFIX, summary)]
        sentences += [KINDS[entry["type"]]] if entry["type"] in KINDS else []
        sentences += (
            ["Choices: %s." % ", ".join("V(%s)" % choice for choice in entry["choices"])] if "choices" in entry else []
        )
        sentences += (
            ["Default: %s." % ", ".join("V(%s)" % each for each in default_of(entry))] if "default" in entry else []
        )
        sentences.append("See O(iac_platform.terraform.terraform_binary#module:%s)." % name)
        kind = {"type": "raw" if entry["type"] in KINDS else entry["type"]}
        kind.update({"elements": entry["elements"]} if "elements" in entry else {})
        variables[PREFIX + name] = dict(description=sentences, **kind)
    rendered = yaml.dump(variables, Dumper=Indented, sort_keys=False, width=100)
    return text[: text.index(BELOW)] + BELOW + textwrap.indent(rendered, "      ")


def render_table(options, text):
    """The text of the role's README, with the table of the variables in it."""
    rows = ["| variable | type | default |\n", "| --- | --- | --- |\n"]
    for name, entry in options.items():
        default = ", ".join("`%s`" % each for each in default_of(entry))
        others = ["`%s`" % choice for choice in entry.get("choices", ()) if choice != entry.get("default")]
        kind = "list of %s" % entry["elements"] if "elements" in entry else entry["type"]
        rows.append(
            "| `%s` | %s | %s |\n" % (PREFIX + name, kind, "; or ".join(filter(None, [default, ", ".join(others)])))
        )
    before, _old, after = text.split(TABLE)
    return TABLE.join([before, "\n%s\n" % "".join(rows), after])


def default_of(entry):
    """The default, as a list of texts: an empty one where there is none."""
    default = entry.get("default", [])
    return [
        str(each).lower() if isinstance(each, bool) else str(each)
        for each in (default if isinstance(default, list) else [default])
    ]


def render_all(root):
    """What the files should be: dict of path and text. Raises ValueError."""

    def read(name):
        return (root / name).read_text(encoding="utf-8")

    options = read_options(*map(read, SOURCES))
    variables, table = ROLE + "meta/argument_specs.yml", ROLE + "README.md"
    return {
        SPEC: render_spec(options, read_options(read(INFO))),
        variables: render_variables(options, read(variables)),
        table: render_table(options, read(table)),
    }


def main(arguments, root=ROOT):
    try:
        rendered = render_all(root)
    except ValueError as exc:
        print(exc)
        return 1
    wrong = [
        name
        for name, text in rendered.items()
        if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != text
    ]
    for name in wrong:
        if "--check" in arguments:
            print("%s is out of date: run .ci/options.py" % name)
        else:
            (root / name).write_text(rendered[name], encoding="utf-8")
            print("%s written" % name)
    return 1 if wrong and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
