# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a request: it is fulfilled and nothing else is there, or it is refused in one clear line and nothing is."""

import os

from file_snapshots import names


def assert_installed(result, store, version, words=()):
    """A version was installed into a store of its own; each of the words is in one of the steps."""
    assert result["changed"] and not result["failed"], result
    assert names(store) == [
        ".terraform-%s.lock" % version,
        "%s/" % version,
        "%s/terraform" % version,
        "%s/terraform.json" % version,
    ]
    assert result["path"] == os.path.join(store, version, "terraform")
    for word in words:
        assert any(word in step for step in result["steps"]), "%s:\n%s" % (word, "\n".join(result["steps"]))


def assert_refused(result, step, words, hint=()):
    """A request was refused by a step, with these words in the message, and these in the hint that the message ends with."""
    assert result["failed"] and not result["changed"], result
    assert result["error"]["step"] == step, result
    assert "\n" not in result["msg"] and 0 < len(result["msg"]) <= 400
    for word in words:
        assert word in result["msg"]
    for word in hint:
        assert word in result["error"]["hint"] and word in result["msg"]


def assert_nothing_left(store, version, begun=True):
    """No file of a refused version is in its store; where the work had begun, its lock and its folder are."""
    assert names(store) == ([".terraform-%s.lock" % version, "%s/" % version] if begun else [])
