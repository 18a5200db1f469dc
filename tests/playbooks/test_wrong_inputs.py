# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong inputs, and sites that are wrong: each ends in one clear line, and no file is left."""

import json
import os
import re
import socket
from typing import NamedTuple, Tuple

import pytest
from file_snapshots import look, names
from playbook_run import VERSION, task_args

NOTHING, LOCKED = "nothing", "lock"  # what a refusal leaves: a lock and an empty directory once the work had begun


class Wrong(NamedTuple):
    """A request that is refused."""

    options: dict  # beside the usual ones; {key} is filled in, see _fill
    step: str  # error.step
    words: Tuple[str, ...]  # in the message
    leaves: str = NOTHING
    predicted: bool = True  # check mode can know


SUMS = "terraform_%s_SHA256SUMS"
WRONG = {
    "version-unknown": Wrong({"version": "9.9.9"}, "fetch", (SUMS % "9.9.9", "HTTP 404"), LOCKED),
    "version-blank": Wrong({"version": "  "}, "request", ("version is not given", "'1.10.5'")),
    "version-null": Wrong({"version": None}, "request", ("version is not given",)),
    "version-malformed": Wrong({"version": "one.two.three"}, "request", ("'one.two.three'", "X.Y.Z")),
    "version-leaves-the-store": Wrong({"version": "../1.13.4"}, "request", ("'../1.13.4'",)),
    "version-climbs": Wrong({"version": "1.13.4/../../x"}, "request", ("'1.13.4/../../x'",)),
    "version-float": Wrong({"version": 1.10}, "request", ("is the number 1.1,", "as '~> 1.1.0' or '~> 1.10.0'")),
    "version-two-numbers": Wrong({"version": "1.10"}, "request", ("'1.10' is not exact", "'~> 1.10.0' or '= 1.10'")),
    "version-no-constraint": Wrong(
        {"version": "~> 1.x"}, "request", ("'~> 1.x' is not a constraint", "write '~> 1.0'")
    ),
    "version-newest": Wrong({"version": "newest"}, "request", ("'newest'", "write 'latest'")),
    "checksum-wrong": Wrong({"checksum": "0" * 64}, "verify", ("0" * 12, SUMS % VERSION), LOCKED),
    "checksum-malformed": Wrong({"checksum": "sha256:1234"}, "request", ("checksum has 4 characters", "64 hex digits")),
    "checksum-wrong-pinned": Wrong(
        {"checksum": "0" * 64, "checksum_policy": "pinned"}, "verify", ("0" * 12, "{digest}"), LOCKED, False
    ),
    "pinned-without-checksum": Wrong({"checksum_policy": "pinned"}, "request", ("pinned", "checksum")),
    "platform-unknown": Wrong({"platform": "amiga_m68k"}, "request", ("'amiga_m68k'", "linux")),
    "platform-not-built": Wrong({"platform": "freebsd_amd64"}, "request", ("freebsd_amd64", "linux_amd64"), LOCKED),
    "mode-setuid": Wrong({"mode": "4755"}, "request", ("4755", "setuid")),
    "mode-writable": Wrong({"mode": "0777"}, "request", ("0777", "lets group or others write")),
    "link-onto-a-file": Wrong({"link": "{folder}/plain"}, "install", ("{folder}/plain", "regular file of 6 bytes")),
    "link-onto-a-directory": Wrong(
        {"link": "{folder}/directory"}, "install", ("is a directory", "{folder}/directory/terraform")
    ),
    "base-dir-a-file": Wrong({"base_dir": "{folder}/plain"}, "install", ("{folder}/plain", "not a directory")),
    "base-dir-below-a-file": Wrong({"base_dir": "{folder}/plain/x"}, "install", ("{folder}/plain", "not a directory")),
    "base-dir-relative": Wrong({"base_dir": "store"}, "request", ("'store'", "absolute")),
    "key-not-there": Wrong({"trusted_keys": ["{folder}/none.asc"]}, "request", ("{folder}/none.asc",)),
    "key-none": Wrong(
        {"trusted_keys": ["{folder}/plain"]}, "request", ("{folder}/plain", "not an armored OpenPGP key")
    ),
    "site-unreachable": Wrong({"sites": ["{closed}"]}, "fetch", ("{closed}/terraform/1.13.4", "ECONNREFUSED"), LOCKED),
    "site-html": Wrong({"version": "1.20.0"}, "fetch", (SUMS % "1.20.0", "web page", "text/html"), LOCKED),
    "site-no-scheme": Wrong({"sites": ["mirror.example.com"]}, "request", ("'mirror.example.com'", "https")),
    "sums-of-another-version": Wrong(
        {"version": "1.20.1"}, "verify", (SUMS % "1.20.1", "it is of version '1.13.3'"), LOCKED
    ),
    "sums-tampered": Wrong({"version": "1.20.2"}, "verify", (SUMS % "1.20.2", "signature"), LOCKED),
    "sums-unsigned": Wrong({"version": "1.20.3"}, "fetch", (SUMS % "1.20.3" + ".sig", "HTTP 404"), LOCKED),
    "signed-by-an-untrusted-key": Wrong(
        {"version": "1.20.4"}, "verify", (SUMS % "1.20.4", "is by key", "trusted_keys"), LOCKED
    ),
    "archive-swapped": Wrong(
        {"version": "1.20.5"}, "verify", ("terraform_1.20.5", "has sha256", "expected"), LOCKED, False
    ),
    "zip-without-terraform": Wrong(
        {"version": "1.21.0"}, "extract", ("no member terraform", "LICENSE.txt"), LOCKED, False
    ),
    "zip-climbs": Wrong({"version": "1.21.1"}, "extract", ("'../terraform'",), LOCKED, False),
    "zip-symlink": Wrong({"version": "1.21.2"}, "extract", ("'terraform' is not a regular file",), LOCKED, False),
    "zip-duplicate": Wrong({"version": "1.21.3"}, "extract", ("two members 'terraform'",), LOCKED, False),
    "zip-bomb": Wrong({"version": "1.21.4"}, "extract", ("would grow from", "100-fold"), LOCKED, False),
    "zip-of-a-script": Wrong({"version": "1.21.5"}, "extract", ("not an executable",), LOCKED, False),
}
# What is asked in check mode too: what P0 refuses, and what an archive holds, is all the same there.
CHECKED = sorted(
    {name for name, wrong in WRONG.items() if wrong.predicted and (wrong.step, wrong.leaves) != ("request", NOTHING)}
    | {"version-float", "key-not-there", "checksum-wrong-pinned", "archive-swapped"}
)
ODD_ARCHIVES = ("no_terraform", "parent_directory", "symlink", "duplicate", "bomb", "other_file")

# What a host finds out by itself when it downloads, and the controller for it otherwise.
FOUND_BY_WHO_DOWNLOADS = sorted(
    name for name, wrong in WRONG.items() if wrong.leaves == LOCKED and wrong.step != "extract"
)

# What core refuses before the module begins: one line too, but core's own.
REFUSED_BY_CORE = {
    "policy-unknown": ({"checksum_policy": "md5"}, ("checksum_policy", "signature", "md5")),
    "state-unknown": ({"state": "newest"}, ("state", "absent", "newest")),
}


@pytest.fixture(scope="module")
def wrong_site(module_site, untrusted_key, host_platform):
    """The site with releases that are wrong in one thing each, and otherwise in order."""
    from release_site import executables, misbehaviours, odd_archives

    module_site.publish("1.20.0")
    module_site.misbehave("*/1.20.0/*_SHA256SUMS", misbehaviours.html_200())
    module_site.publish("1.20.1", sums=module_site.release("1.13.3").sums)
    module_site.publish("1.20.2")
    path = "terraform/1.20.2/" + SUMS % "1.20.2"
    module_site.put(path, module_site.files[path].body.replace(b"  terraform", b"  Terraform"))
    module_site.publish("1.20.3", signature=None)
    module_site.publish("1.20.4", key=untrusted_key)
    module_site.publish("1.20.5")
    module_site.misbehave("*/1.20.5/*.zip", misbehaviours.flip())
    for number, name in enumerate(ODD_ARCHIVES):
        version = "1.21.%d" % number
        archive = odd_archives.REFUSED[name](executables.terraform(version, host_platform))
        module_site.publish(version, archives={host_platform: archive})
    return module_site


@pytest.fixture(scope="module")
def words(module_site, folder, host_platform):
    """What {name} means in the table."""
    with open(os.path.join(folder, "plain"), "w", encoding="ascii") as file:
        file.write("plain\n")
    os.mkdir(os.path.join(folder, "directory"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    return {
        "folder": folder,
        "closed": "http://127.0.0.1:%d" % port,
        "digest": module_site.release(VERSION).digest(host_platform)[:12],
    }


def _fill(value, words):
    return json.loads("".join(_filled(json.dumps(value), words)))


def _filled(text, words):
    for name, meaning in words.items():
        text = text.replace("{%s}" % name, meaning)
    return text


# Those of each kind that ansible-playbook asks for as well.
SAMPLE = (
    "version-float",
    "version-unknown",
    "checksum-malformed",
    "mode-setuid",
    "link-onto-a-file",
    "key-not-there",
    "sums-tampered",
    "archive-swapped",
    "zip-bomb",
)


@pytest.fixture(scope="module")
def ask(tasks, wrong_site, words, folder):
    """Ask for wrong things at once, each with a store of its own: callable(dict of name and options, check) -> Run."""

    def run(wrong, mode, check, tasks=tasks):
        stores = os.path.join(folder, mode)
        os.mkdir(stores)
        return tasks.each(
            {
                name: task_args(wrong_site, os.path.join(stores, name), **_fill(options, words))
                for name, options in wrong.items()
            },
            check=check,
        )

    return run


@pytest.fixture(scope="module")
def real_run(ask):
    wrong = {name: options for name, (options, _words) in REFUSED_BY_CORE.items()}
    wrong.update((name, wrong.options) for name, wrong in WRONG.items())
    return ask(wrong, "real", check=False)


@pytest.fixture(scope="module")
def target_run(ask):
    """Where the hosts download for themselves."""
    return ask(
        {name: dict(WRONG[name].options, download="target") for name in FOUND_BY_WHO_DOWNLOADS}, "target", check=False
    )


@pytest.fixture(scope="module")
def played_run(ask, play):
    """A sample by ansible-playbook."""
    wrong = {name: options for name, (options, _words) in REFUSED_BY_CORE.items()}
    wrong.update((name, WRONG[name].options) for name in SAMPLE)
    return ask(wrong, "played", check=False, tasks=play)


@pytest.fixture(scope="module")
def check_run(ask):
    return ask({name: WRONG[name].options for name in CHECKED}, "check", check=True)


def _assert_one_clear_line(result, wrong, words):
    assert result["failed"] and not result["changed"], result
    assert "\n" not in result["msg"] and 0 < len(result["msg"]) <= 400, result["msg"]
    for word in wrong.words:
        assert _filled(word, words) in result["msg"]
    assert result["error"]["step"] == wrong.step
    assert result["error"]["host"] and result["error"]["side"] in ("controller", "target")
    assert result["previous_version"] is None and isinstance(result["steps"], list)


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_input_ends_in_one_clear_line(name, real_run, words):
    _assert_one_clear_line(real_run.each[name], WRONG[name], words)


@pytest.mark.parametrize("name", SAMPLE + tuple(REFUSED_BY_CORE))
def test_ansible_playbook_shows_the_same_line(name, played_run, real_run, words):
    played, real = played_run.each[name], real_run.each[name]
    assert played["failed"] and not played["changed"], played
    assert _without_places(played["msg"]) == _without_places(real["msg"])
    assert played["error"]["step"] == real["error"]["step"] and "Traceback" not in played_run.output


def _without_places(message):
    """A message without what differs from run to run: the folder of the run, and names of temporary files."""
    return re.sub(
        r"/(played|real)/|\.tmp\.\w+\.\w+|staged\.\w+", "", re.sub(r"/\S+/(?=terraform_binary/)", "", message)
    )


def _left(name):
    version = WRONG[name].options.get("version", VERSION)
    return {NOTHING: [], LOCKED: [".terraform-%s.lock" % version, "%s/" % version]}[WRONG[name].leaves]


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_input_leaves_no_file(name, real_run, folder):
    assert names(os.path.join(folder, "real", name)) == ([] if name in FOUND_BY_WHO_DOWNLOADS else _left(name))


@pytest.mark.parametrize("name", FOUND_BY_WHO_DOWNLOADS)
def test_it_ends_alike_whoever_downloads(name, real_run, target_run, words, folder):
    result = target_run.each[name]
    _assert_one_clear_line(result, WRONG[name], words)
    assert (result["error"]["side"], real_run.each[name]["error"]["side"]) == ("target", "controller")
    assert names(os.path.join(folder, "target", name)) == _left(name)


@pytest.mark.parametrize("name", CHECKED)
def test_check_mode_says_the_same_as_far_as_it_can_know(name, check_run, words):
    result = check_run.each[name]
    if WRONG[name].predicted:
        _assert_one_clear_line(result, WRONG[name], words)
    else:
        assert result["changed"] and result["needs_archive"], result


@pytest.mark.parametrize("name", sorted(REFUSED_BY_CORE))
def test_what_core_refuses_is_one_line_too(name, real_run, folder):
    result = real_run.each[name]
    assert result["failed"] and not result["changed"], result
    assert "\n" not in result["msg"] and len(result["msg"]) <= 400
    for word in REFUSED_BY_CORE[name][1]:
        assert word in result["msg"]
    assert names(os.path.join(folder, "real", name)) == []


def test_check_mode_leaves_nothing_at_all(check_run, folder):
    assert sorted(check_run.each) == CHECKED
    assert names(os.path.join(folder, "check")) == []


def test_the_file_in_the_way_stays_as_it_was(real_run, folder):
    assert real_run.returncode == 0
    with open(os.path.join(folder, "plain"), encoding="ascii") as file:
        assert file.read() == "plain\n"


@pytest.mark.parametrize("run", ["real_run", "check_run"])
def test_there_is_no_traceback(run, request):
    output = request.getfixturevalue(run).output
    assert "Traceback" not in output
    assert "MODULE FAILURE" not in output


def test_a_failed_upgrade_leaves_what_was_there(play, wrong_site, folder):
    """Same base_dir, same link, another version that is refused: a lock and an empty directory are new, if it is late."""
    store, link = os.path.join(folder, "upgrade"), os.path.join(folder, "bin", "terraform")
    first = play.each({"h": task_args(wrong_site, store, link=link)}).each["h"]
    before, bin_before = look(store), look(os.path.dirname(link))
    refused = play.each(
        {
            "sums": task_args(wrong_site, store, link=link, version="1.20.4"),
            "zip": task_args(wrong_site, store, link=link, version="1.21.1"),
        }
    )
    assert first["changed"] and all(result["failed"] for result in refused.each.values())
    assert all(result["previous_version"] == VERSION for result in refused.each.values())
    after = look(store)
    del before["."], after["."]
    assert sorted(set(after) - set(before)) == [".terraform-1.21.1.lock", "1.21.1"]
    assert {path: after[path] for path in before} == before
    assert look(os.path.dirname(link)) == bin_before
