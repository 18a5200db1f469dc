# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate for what hosts answer about their binaries: what the module says passes, whatever is wrong is refused as a whole."""

import copy

import pytest
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers import gate
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers import host_info

DIGEST = "0123456789abcdef" * 4
BASE = "/opt/store"
VERSION = {
    "version": "1.13.4",
    "path": BASE + "/1.13.4/terraform",
    "intact": True,
    "reason": None,
    "sha256": DIGEST,
    "size": 90579096,
    "mode": "0755",
    "owner": "root",
    "group": "root",
    "platform": "linux_amd64",
    "policy": "signature",
    "signer": "C874011F0AB405110D02105534365D9472D7468F",
    "signed_at": "2025-04-09T13:35:39Z",
    "archive_sha256": DIGEST,
    "site": "https://releases.hashicorp.com",
    "run_check": "1.13.4",
    "installed_at": "2025-11-30T09:55:00Z",
    "collection": "0.1.0",
    "receipt": {
        "path": BASE + "/1.13.4/terraform.json",
        "format": 1,
        "sha256": DIGEST,
        "size": 90579096,
        "links": ["/usr/local/bin/terraform"],
        "base_dir_unsafe": [],
    },
}
DAMAGED = dict(
    {name: None for name in VERSION},
    version="1.9.8",
    path=BASE + "/1.9.8/terraform",
    intact=False,
    reason="/opt/store/1.9.8/terraform is missing",
)
LINK = {
    "path": "/usr/local/bin/terraform",
    "kind": "link",
    "target": BASE + "/1.13.4/terraform",
    "version": "1.13.4",
    "below_base_dir": True,
    "dangling": False,
    "safe": True,
    "reason": None,
}
HONEST = {
    "changed": False,
    "msg": "2 versions below /opt/store, 1 not intact",
    "base_dir": BASE,
    "base_dir_state": "present",
    "base_dir_safe": True,
    "base_dir_reason": None,
    "versions": [VERSION, DAMAGED],
    "unmanaged": [{"path": BASE + "/notes.txt", "reason": "a regular file of 12 bytes"}],
    "stale_files": [{"path": BASE + "/1.13.4/.tmp.x", "size": 12, "held": None}],
    "locks": [{"path": BASE + "/.terraform-link.lock", "version": "link", "held": False}],
    "not_listed": 0,
    "links": [LINK],
}
ASKED = host_info.asked_info(BASE, [LINK["path"]])


def read(raw, asked=ASKED):
    return host_info.read_host_info(raw, "web1", asked)


def changed(*path, to):
    """The honest answer with one value in place of another."""
    raw = copy.deepcopy(HONEST)
    inner = raw
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return raw


def test_what_the_module_says_passes_whole():
    assert host_info.as_result(read(copy.deepcopy(HONEST))) == HONEST


def test_fields_that_the_record_does_not_have_are_dropped():
    raw = dict(
        copy.deepcopy(HONEST),
        ansible_facts={"evil": 1},
        invocation={"module_args": {}},
        ansible_stats={},
        _ansible_verbose_always=True,
        diff={},
        steps=["controller: evil"],
    )
    raw["versions"][0]["evil"] = raw["links"][0]["evil"] = 1
    assert host_info.as_result(read(raw)) == HONEST


LIES = {
    "no mapping": ([], "a result"),
    "changed": (changed("changed", to=True), "changed is 'True'"),
    "text for a flag": (changed("changed", to="no"), "changed is 'no'"),
    "other base dir": (changed("base_dir", to="/evil"), "base_dir is '/evil', expected /opt/store"),
    "no base dir": (changed("base_dir", to=None), "base_dir is 'None'"),
    "other state": (changed("base_dir_state", to="fine"), "base_dir_state is 'fine'"),
    "safe by a text": (changed("base_dir_safe", to="true"), "base_dir_safe is 'true'"),
    "versions a text": (changed("versions", to="x" * 500), "versions is 'x"),
    "versions of texts": (changed("versions", to=["1.13.4"]), "a list of mappings"),
    "too many versions": (changed("versions", to=[VERSION] * 201), "at most 200 elements"),
    "a version twice": (changed("versions", to=[VERSION, VERSION]), "each version once"),
    "no version": (changed("versions", 0, "version", to="../x"), "versions[0].version is '../x'"),
    "null version": (changed("versions", 0, "version", to=None), "versions[0].version is 'None'"),
    "other path": (changed("versions", 0, "path", to="/evil"), "versions[0].path is '/evil'"),
    "path that leaves": (changed("versions", 1, "path", to=BASE + "/../x"), "versions[1].path"),
    "intact by a number": (changed("versions", 0, "intact", to=1), "versions[0].intact is '1'"),
    "intact with a reason": (changed("versions", 0, "reason", to="x"), "versions[0].reason is 'x'"),
    "broken without a reason": (changed("versions", 1, "reason", to=None), "versions[1].reason is 'None'"),
    "unknown without a reason": (changed("versions", 0, "intact", to=None), "versions[0].reason is 'None'"),
    "digest": (changed("versions", 0, "sha256", to=DIGEST.upper()), "versions[0].sha256"),
    "archive digest": (changed("versions", 0, "archive_sha256", to="x"), "versions[0].archive_sha256"),
    "size": (changed("versions", 0, "size", to=-1), "versions[0].size is '-1'"),
    "huge size": (changed("versions", 0, "size", to=1 << 80), "versions[0].size"),
    "moment": (changed("versions", 0, "installed_at", to="yesterday"), "versions[0].installed_at"),
    "signed at": (changed("versions", 0, "signed_at", to=1), "versions[0].signed_at"),
    "long text": (changed("versions", 0, "owner", to="x" * 9000), "versions[0].owner"),
    "receipt a text": (changed("versions", 0, "receipt", to="x"), "versions[0].receipt is 'x'"),
    "receipt elsewhere": (changed("versions", 0, "receipt", "path", to="/etc/shadow"), "receipt.path is '/etc/shadow'"),
    "receipt without a digest": (changed("versions", 0, "receipt", "sha256", to=None), "receipt.sha256"),
    "receipt without a size": (changed("versions", 0, "receipt", "size", to=None), "receipt.size"),
    "many links of a receipt": (changed("versions", 0, "receipt", "links", to=["/x"] * 11), "at most 10 elements"),
    "links of numbers": (changed("versions", 0, "receipt", "links", to=[1]), "receipt.links"),
    "unmanaged without a path": (changed("unmanaged", 0, "path", to=None), "unmanaged[0].path"),
    "unmanaged relative": (changed("unmanaged", 0, "path", to="x"), "unmanaged[0].path is 'x'"),
    "stale size": (changed("stale_files", 0, "size", to="1"), "stale_files[0].size"),
    "lock held": (changed("locks", 0, "held", to=0), "locks[0].held"),
    "not listed": (changed("not_listed", to=-1), "not_listed is '-1'"),
    "a link more": (changed("links", to=[LINK, LINK]), "links is"),
    "a link less": (changed("links", to=[]), "links is '[]'"),
    "another link": (changed("links", 0, "path", to="/usr/bin/terraform"), "links is"),
    "kind": (changed("links", 0, "kind", to="fine"), "links[0].kind is 'fine'"),
    "version of a link": (changed("links", 0, "version", to="1"), "links[0].version is '1'"),
    "warnings a text": (changed("warnings", to="x"), "warnings is 'x'"),
    "warning of the controller": (changed("warnings", to=[" controller: x"]), "none of the controller's"),
}


@pytest.mark.parametrize("name", sorted(LIES))
def test_a_lie_is_refused(name):
    raw, words = LIES[name]
    with pytest.raises(gate.AnswerError) as caught:
        read(raw)
    assert str(caught.value).startswith("web1 answered what this module does not say: ")
    assert words in str(caught.value) and len(str(caught.value)) < 300


def test_all_texts_together_have_an_end(monkeypatch):
    monkeypatch.setattr(host_info, "_ALL", 2000)
    assert read(copy.deepcopy(HONEST))
    with pytest.raises(gate.AnswerError, match="all text is 'longer', expected at most"):
        read(changed("unmanaged", to=[{"path": "/" + "x" * 1000, "reason": "x" * 1000}]))


def test_texts_are_printable_and_one_line():
    found = read(changed("unmanaged", 0, "path", to="/opt/\x1b[31m\nx"))
    assert found.unmanaged[0].path == "/opt/?[31m x"
    assert read(changed("warnings", to=["a\x1b"])).warnings == ("a?",)


@pytest.mark.parametrize("path", ["~/store", "$HOME/store"])
def test_only_the_host_knows_what_it_expands(path):
    asked = host_info.asked_info(path, [path])
    assert asked == host_info.AskedInfo(None, (None,))
    assert read(copy.deepcopy(HONEST), asked).base_dir == BASE


def test_a_path_is_compared_in_its_normal_form():
    assert read(copy.deepcopy(HONEST), host_info.asked_info("/opt//store/", ["/usr/local/./bin/terraform"]))
    with pytest.raises(gate.AnswerError):
        read(copy.deepcopy(HONEST), host_info.asked_info(None, [LINK["path"]]))
