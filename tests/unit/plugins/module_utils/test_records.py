# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vocabulary agrees with what it repeats: galaxy.yml, and the module's argument spec."""

import os
import re

from ansible_collections.iac_platform.terraform.plugins.module_utils import _records
from ansible_collections.iac_platform.terraform.plugins.module_utils._argument_spec import SPEC

CHECKOUT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "..", "..")


def read(*path):
    with open(os.path.join(CHECKOUT, *path), "rb") as file:
        return file.read().decode("utf-8")


def test_the_collections_version_is_that_of_galaxy_yml():
    (version,) = re.findall(r"(?m)^version: *(\S+)$", read("galaxy.yml"))
    assert _records.COLLECTION_VERSION == version


def test_the_defaults_are_those_of_the_constants():
    assert SPEC["http_agent"]["default"] == "iac_platform.terraform/%s" % _records.COLLECTION_VERSION
    assert SPEC["sites"]["default"] == [_records.PUBLIC_SITE]


def test_nothing_that_looks_like_a_secret_is_masked_by_mistake():
    """ansible-core masks options by their names unless no_log says otherwise; keys that sign in public are no secret."""
    assert SPEC["trusted_keys"]["no_log"] is False


def test_the_policies_are_ranked():
    assert _records.POLICIES == ("pinned", "sha256sums", "signature")
    assert sorted(SPEC["checksum_policy"]["choices"]) == sorted(_records.POLICIES)


def test_the_paths_of_a_request():
    parsed = _records.Request(**dict.fromkeys(_records.Request._fields))._replace(base_dir="/b", version="1.13.4")
    assert (parsed.version_dir, parsed.path) == ("/b/1.13.4", "/b/1.13.4/terraform")
