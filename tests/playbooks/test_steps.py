# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run reports while it works: a line for each step, in the result and in the system's log, on a host that downloads."""

import grp
import os
import pwd
import re

import pytest
from playbook_run import VERSION, task
from system_log import LOG, catch_log

# What has to be reported of an install with a link, in this order. {site} and so on are filled in.
LINES = [
    r"directory created and checked: {store} \(drwxr-xr-x\)",
    r"directory verified: {store} \({owner}, drwxr-xr-x\)",
    r"directory created and checked: {store}/{version} \(drwxr-xr-x\)",
    r"directory verified: {store}/{version} \({owner}, drwxr-xr-x\)",
    r"SHA256SUMS received: \d+ bytes from {release}_SHA256SUMS",
    r"signature received: \d+ bytes from {release}_SHA256SUMS\.{key_id}\.sig",
    r"signature good: SHA256SUMS of {version} signed by {signer} on 2025-01-01T00:00:00Z",
    r"archive received: {archive_size} bytes, sha256 {digest}, from {release}_{platform}\.zip",
    r"binary written: {size} bytes \(declared: {size}\) from {release}_{platform}\.zip to {binary}",
    r"mode set: -rwxr-xr-x on {store}/{version}/\.tmp\.binary\.\w+",
    r"synced and read back: {store}/{version}/\.tmp\.binary\.\w+, {size} bytes, sha256 {sha256}",
    r"binary in place: {binary}",
    r"run check passed: {binary} version -json says {version}",
    r"receipt written: {binary}\.json",
    r"link switched: {link} -> {binary} \(before: absent\)",
]


@pytest.fixture(scope="module")
def logged(play, module_site, folder):
    """An install with a link: (result, what came to the system's log meanwhile, or None where we cannot have one)."""
    link = os.path.join(folder, "bin", "terraform")
    with catch_log() as messages:
        run = play([task("install", module_site, os.path.join(folder, "store"), link=link, download="target")])
    return run["install"], messages


@pytest.fixture(scope="module")
def install(logged, module_site, host_platform):
    """(result, what the names in LINES stand for)."""
    result, release = logged[0], module_site.release(VERSION)
    return result, {
        "store": result["base_dir"],
        "link": result["link"],
        "version": VERSION,
        "binary": "%s/%s/terraform" % (result["base_dir"], VERSION),
        "release": "%s/terraform/%s/terraform_%s" % (module_site.url, VERSION, VERSION),
        "platform": host_platform,
        "key_id": module_site.key.key_id,
        "signer": module_site.key.fingerprint,
        "size": str(result["size"]),
        "archive_size": str(len(release.archives[host_platform])),
        "digest": release.digest(host_platform),
        "sha256": result["binary_sha256"],
        "owner": "%s:%s" % (pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name),
    }


def _pattern(line, names):
    for name, meaning in names.items():
        line = line.replace("{%s}" % name, re.escape(meaning))
    return line


@pytest.mark.parametrize("line", LINES, ids=[line.partition(":")[0].replace(" ", "-") for line in LINES])
def test_every_step_is_logged_with_paths_and_figures(line, install):
    result, names = install
    reported = [step for step in result["steps"] if re.fullmatch("target: " + _pattern(line, names), step)]
    assert len(reported) == 1, "\n".join(result["steps"])


def test_the_steps_come_in_their_order(install):
    result, names = install
    places = [
        number
        for line in LINES
        for number, step in enumerate(result["steps"])
        if re.fullmatch("target: " + _pattern(line, names), step)
    ]
    assert places == sorted(places) and len(places) == len(LINES)


def test_the_same_lines_are_in_the_system_log(logged):
    result, messages = logged
    if messages is None:
        pytest.skip("%s exists, or we are not root: no log of our own can be put there" % LOG)
    reported = ["target: " + message.rstrip("\0").partition(": target: ")[2] for message in messages]
    assert [line for line in reported if line in result["steps"]] == result["steps"]  # others may write to it, too


def test_a_failure_keeps_the_steps_so_far(play, module_site, folder):
    from release_site import misbehaviours

    module_site.publish("1.13.9")
    module_site.misbehave("*/1.13.9/*.zip", misbehaviours.truncate(at=100))
    result = play([task("cut", module_site, os.path.join(folder, "store"), version="1.13.9")])["cut"]
    assert result["failed"] and result["error"]["step"] == "fetch"
    assert any("signature good" in step for step in result["steps"])
    assert not any("binary written" in step for step in result["steps"])
    assert "after 100 bytes" in result["msg"]
