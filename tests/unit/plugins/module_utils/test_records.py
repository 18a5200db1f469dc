# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vocabulary agrees with what it repeats: galaxy.yml, and the module's documentation."""

import ast
import functools
import os
import re

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _records

CHECKOUT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "..", "..")


def read(*path):
    with open(os.path.join(CHECKOUT, *path), "rb") as file:
        return file.read().decode("utf-8")


@functools.lru_cache(maxsize=None)
def documented():
    """The module's options as documented, those of the fragments that it names included."""
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load(text_of("DOCUMENTATION", "plugins", "modules", "terraform_binary.py"))
    options = dict(found["options"])
    for fragment in found["extends_documentation_fragment"]:
        if fragment == "iac_platform.terraform._terraform_binary":
            shared = yaml.safe_load(text_of("DOCUMENTATION", "plugins", "doc_fragments", "_terraform_binary.py"))
            options.update(shared["options"])
    return options


def text_of(name, *path):
    """The text that is assigned to a name somewhere in a Python file."""
    for node in ast.walk(ast.parse(read(*path))):
        if isinstance(node, ast.Assign) and [target.id for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    raise LookupError(name)


def test_the_collections_version_is_that_of_galaxy_yml():
    (version,) = re.findall(r"(?m)^version: *(\S+)$", read("galaxy.yml"))
    assert _records.COLLECTION_VERSION == version


def test_every_option_is_documented_and_no_other():
    assert sorted(documented()) == sorted(_records.SPEC)


@pytest.mark.parametrize("option", sorted(_records.SPEC))
def test_the_documentation_says_what_the_spec_says(option):
    told, spec = documented()[option], dict(_records.SPEC[option])
    spec.pop("no_log", None)
    assert dict((key, told[key]) for key in told if key != "description") == spec


def test_nothing_that_looks_like_a_secret_is_masked_by_mistake():
    """ansible-core masks options by their names unless told otherwise; keys that sign in public are no secret."""
    assert _records.SPEC["trusted_keys"]["no_log"] is False


def test_the_policies_are_ranked():
    assert _records.POLICIES == ("pinned", "sha256sums", "signature")
    assert sorted(_records.SPEC["checksum_policy"]["choices"]) == sorted(_records.POLICIES)


def test_the_paths_of_a_wish():
    parsed = _records.Request(**dict.fromkeys(_records.Request._fields))._replace(base_dir="/b", version="1.13.4")
    assert (parsed.version_dir, parsed.path) == ("/b/1.13.4", "/b/1.13.4/terraform")
