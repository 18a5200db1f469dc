# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What .ci/options.py generates is up to date, and it refuses an option that leaves something open."""

import ast
import glob
import importlib.util
import json
import os
import shutil

import pytest

pytest.importorskip("yaml")

CHECKOUT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
SPECIFICATION = importlib.util.spec_from_file_location("options_script", os.path.join(CHECKOUT, ".ci", "options.py"))
OPTIONS = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(OPTIONS)
GENERATED = [OPTIONS.SPEC, "roles/terraform_binary/README.md", "roles/terraform_binary/meta/argument_specs.yml"]


@pytest.fixture
def copy(tmp_path):
    for name in [*OPTIONS.SOURCES, OPTIONS.INFO, *GENERATED]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.join(CHECKOUT, name), tmp_path / name)
    return tmp_path


def edit(root, name, old, new):
    text = (root / name).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (root / name).write_text(text.replace(old, new), encoding="utf-8")


def words_of(text):
    """The names of attributes and the whole texts in Python code: what handles an option has its name in one of these."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant):
            yield node.value


def test_every_option_is_handled():
    """One that is only documented would be accepted, and do nothing."""
    handled = set()
    for path in glob.glob(os.path.join(CHECKOUT, "plugins", "*", "**", "*.py"), recursive=True):
        if not path.endswith(OPTIONS.SPEC):
            with open(path, encoding="utf-8") as file:
                handled.update(words_of(file.read()))
    documented = [*OPTIONS.read_options(*map(read, OPTIONS.SOURCES)), *OPTIONS.read_options(read(OPTIONS.INFO))]
    assert [name for name in documented if name not in handled] == []


def read(name):
    with open(os.path.join(CHECKOUT, name), encoding="utf-8") as file:
        return file.read()


def test_what_is_generated_is_up_to_date(capsys):
    assert OPTIONS.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", GENERATED)
def test_a_change_by_hand_is_found_and_undone(copy, name, capsys):
    before = (copy / name).read_text(encoding="utf-8")
    edit(
        copy,
        name,
        *{
            OPTIONS.SPEC: ('"default": 2000', '"default": 1'),
            "roles/terraform_binary/README.md": ("| `2000` |", "| `1` |"),
            "roles/terraform_binary/meta/argument_specs.yml": ("Default: V(2000).", "Default: V(1)."),
        }[name],
    )
    assert (
        OPTIONS.main(["--check"], copy) == 1
        and capsys.readouterr().out == "%s is out of date: run .ci/options.py\n" % name
    )
    assert OPTIONS.main([], copy) == 0 and (copy / name).read_text(encoding="utf-8") == before


def test_a_new_option_is_in_all_of_them(copy):
    edit(
        copy,
        OPTIONS.SOURCES[0],
        "  progress:  # controller\n",
        """\
  extra_list:  # controller, secret
    description: Text of O(sites).
    type: list
    elements: str
    default: [a, 'b"']
  progress:  # controller
""",
    )
    assert OPTIONS.main(["--check"], copy) == 1
    assert OPTIONS.main([], copy) == 0 and OPTIONS.main(["--check"], copy) == 0
    found = {}
    exec((copy / OPTIONS.SPEC).read_text(encoding="utf-8"), found)
    assert found["SPEC"]["extra_list"] == {"type": "list", "elements": "str", "default": ["a", 'b"'], "no_log": True}
    assert "extra_list" not in found["TO_TARGET"] and "version" in found["TO_TARGET"]
    spec = OPTIONS.yaml.safe_load((copy / GENERATED[2]).read_text(encoding="utf-8"))["argument_specs"]["main"]
    assert spec["options"]["terraform_binary_extra_list"] == {
        "type": "list",
        "elements": "str",
        "description": [
            "Text of O(terraform_binary_sites).",
            'Default: V(a), V(b").',
            "See O(iac_platform.terraform.terraform_binary#module:extra_list).",
        ],
    }
    assert '| `terraform_binary_extra_list` | list of str | `a`, `b"` |\n' in (copy / GENERATED[1]).read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize(
    "mark, words",
    [
        ("", "extra: nothing is beside its name"),
        ("  # everybody", "extra: # everybody is beside its name"),
        ("  # target, secret", "extra: # target, secret is beside its name"),
        ("  # secret", "extra: # secret is beside its name"),
    ],
)
def test_an_option_says_who_sees_it(mark, words):
    with pytest.raises(ValueError) as caught:
        read_option("extra", mark)
    assert words in str(caught.value) and "controller, secret" in str(caught.value)


@pytest.mark.parametrize("name", ["passphrase", "ssh_key", "secret_file", "url_token2"])
def test_an_option_that_may_be_a_secret_says_whether_it_is(name):
    for mark in ("target", "controller"):
        with pytest.raises(ValueError) as caught:
            read_option(name, "  # " + mark)
        assert "%s may be a secret" % name in str(caught.value)
        assert read_option(name, "  # %s, no secret" % mark)[name]["no_log"] is False
    assert read_option(name, "  # controller, secret")[name]["no_log"] is True


def test_a_key_that_would_be_lost_is_refused():
    with pytest.raises(ValueError) as caught:
        read_option("extra", "  # target", required=True)
    assert "extra has required, which is not handed on" in str(caught.value)


def read_option(name, mark, **more):
    entry = json.dumps(dict(description="Text.", type="str", **more))
    return OPTIONS.read_options('DOCUMENTATION = r"""\noptions:\n  %s:%s\n    %s\n"""\n' % (name, mark, entry))
