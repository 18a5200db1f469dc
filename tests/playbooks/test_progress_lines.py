# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A download that takes its time, as people see it: in a terminal, and among the events of ansible-runner."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
from file_snapshots import names
from playbook_run import VERSION, task

LINE = r"terraform_binary: \[(\w+)\] (terraform_\S+\.zip): (\d+) % of 1\.\d MB, [\d.]+ [kM]?B/s"
PATIENCE = 120  # seconds for something that has to come


@pytest.fixture(scope="module")
def slow_site(signing_key, host_platform):
    """A site whose archives have 1 MB and take some six seconds."""
    from release_site import Site, misbehaviours, releases

    with Site(platforms=(host_platform,), key=signing_key) as site:
        site.publish(VERSION, archives={host_platform: releases.make_archive(VERSION, host_platform, padding=1 << 20)})
        site.misbehave("*.zip", misbehaviours.trickle(seconds=0.3, size=50000))
        yield site


def shown(text):
    """The lines about a download: (host, per cent) each."""
    return [(found[0], int(found[2])) for found in re.findall(LINE, text)]


def wait_until(what):
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        answer = what()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError("it did not come within %d s" % PATIENCE)


@pytest.fixture(scope="module")
def watched(play, slow_site, folder):
    """Three hosts, then one that wants silence, then check mode."""
    hosts = ["h1", "h2", "h3"]
    store = "%s/watched/{{ inventory_hostname }}" % folder
    slow_site.requests.clear()
    loud = play([task("install", slow_site, store, {})], hosts=hosts)
    requests = slow_site.counts(".zip").requests
    silent = play([task("install", slow_site, "%s/silent" % folder, {}, progress=False)])
    check = play([task("install", slow_site, "%s/check" % folder, {})], check=True)
    return loud, silent, check, requests


def test_a_long_download_shows_one_line_a_quarter(watched):
    lines = shown(watched[0].stderr)
    assert watched[0].returncode == 0 and watched[3] == 1
    assert len(set(host for host, _percent in lines)) == 1  # the one that downloads
    percents = [percent for _host, percent in lines]
    assert percents[-1] == 100 and 2 <= len(percents) <= 4
    assert all(later - earlier >= 25 for earlier, later in zip(percents[:-1], percents[1:-1]))


def test_those_who_wait_say_so_once(watched):
    waiting = re.findall(
        r"terraform_binary: \[(\w+)\] waiting for the download of (\S+) for another host", watched[0].stderr
    )
    downloads = shown(watched[0].stderr)[0][0]
    assert sorted(host for host, _what in waiting) == sorted({"h1", "h2", "h3"} - {downloads})
    assert all(what.endswith(".zip") for _host, what in waiting)


def test_each_host_says_what_has_changed(watched, slow_site, folder):
    news = re.findall(r"terraform_binary: \[(\w+)\] (Terraform .*)", watched[0].stderr)
    assert sorted(news) == [
        (
            host,
            "Terraform %s installed at %s/watched/%s/%s/terraform, signed by the key %s 2025-01-01"
            % (VERSION, folder, host, VERSION, slow_site.key.fingerprint),
        )
        for host in ("h1", "h2", "h3")
    ]


def test_stdout_belongs_to_the_callback(watched):
    """Which may write JSON there, as ansible.posix.json does."""
    assert "terraform_binary: [" not in watched[0].stdout


@pytest.mark.parametrize("run", [1, 2])
def test_without_progress_and_in_check_mode_there_are_none(run, watched):
    assert watched[run].returncode == 0
    assert watched[run]["install"]["changed"] and "terraform_binary: [" not in watched[run].output


def _playbook(folder, site, store):
    """A playbook, an inventory and a configuration in a folder."""
    os.makedirs(folder, exist_ok=True)
    play = [{"hosts": "all", "gather_facts": False, "tasks": [task("install", site, store, {})]}]
    inventory = {
        "all": {"hosts": {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}}
    }
    for name, text in (
        ("play.json", json.dumps(play)),
        ("inventory.json", json.dumps(inventory)),
        ("none.cfg", "[defaults]\n"),
    ):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


def test_a_terminal_shows_them_while_it_runs(play, slow_site, tmp_path):
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    folder = str(tmp_path)
    _playbook(folder, slow_site, str(tmp_path / "store"))
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": play.collections,
        "ANSIBLE_HOME": folder + "/home",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": folder + "/none.cfg",
        "ANSIBLE_REMOTE_TMP": folder + "/home/tmp",
    }
    command = "env %s %s -i inventory.json play.json; echo ended with $?; sleep 600" % (
        " ".join("%s=%s" % (name, shlex.quote(value)) for name, value in settings.items()),
        shlex.quote(play.program),
    )
    tmux = ["tmux", "-L", "terraform-binary-%d" % os.getpid(), "-f", "/dev/null"]
    subprocess.run(tmux + ["new-session", "-d", "-x", "150", "-y", "50", "-c", folder, command], check=True)
    try:

        def screen():
            return subprocess.run(tmux + ["capture-pane", "-p"], check=True, text=True, stdout=subprocess.PIPE).stdout

        early = wait_until(lambda: shown(screen()) and screen())
        assert "ended with" not in early and "changed:" not in early, early
        last = wait_until(lambda: "ended with" in screen() and screen())
    finally:
        subprocess.run(tmux + ["kill-server"], check=False)
    assert "ended with 0" in last and shown(last)[-1] == ("localhost", 100), last


def test_runner_has_them_as_events_while_it_runs(play, slow_site, tmp_path):
    pytest.importorskip("ansible_runner")
    folder = str(tmp_path / "runner")
    _playbook(os.path.join(folder, "project"), slow_site, str(tmp_path / "store"))
    settings = dict(
        os.environ,
        ANSIBLE_COLLECTIONS_PATH=play.collections,
        ANSIBLE_HOME=folder + "/home",
        ANSIBLE_CONFIG=folder + "/project/none.cfg",
        PATH="%s:%s" % (os.path.dirname(sys.executable), os.environ["PATH"]),
    )
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ansible_runner",
            "run",
            folder,
            "-p",
            "play.json",
            "-i",
            "job",
            "--inventory",
            folder + "/project/inventory.json",
        ],
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    artifacts = os.path.join(folder, "artifacts", "job")

    def events():
        found = []
        for name in os.listdir(artifacts + "/job_events") if os.path.isdir(artifacts + "/job_events") else ():
            if name.endswith(".json") and "partial" not in name:
                with open(os.path.join(artifacts, "job_events", name), encoding="utf-8") as file:
                    event = json.load(file)
                if event["event"] == "verbose" and shown(event["stdout"]):
                    found.append(event["stdout"])
        return found

    try:
        wait_until(lambda: events() or process.poll() is not None)
        early = events()
        assert early and process.poll() is None and not os.path.exists(artifacts + "/rc")
        output = process.communicate(timeout=PATIENCE)[0].decode()
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 0, output
    assert len(events()) > len(early) or shown(events()[0])[0][1] == 100


def test_after_ctrl_c_nothing_is_left_by_the_next_run(play, slow_site, tmp_path):
    store, cache = str(tmp_path / "store"), str(tmp_path / "cache")
    before = set(_tree(play.folder))
    run = play.start([task("install", slow_site, store, {}, cache_dir=cache)])
    asked = slow_site.counts(".zip").requests
    wait_until(lambda: slow_site.counts(".zip").requests > asked or run.process.poll() is not None)
    wait_until(lambda: [name for name in set(_tree(play.folder)) - before if ".tmp.archive." in name])
    os.killpg(run.process.pid, signal.SIGINT)
    stopped = run.finish()
    assert stopped.returncode != 0 and names(store) == [], stopped.output
    again = play([task("install", slow_site, store, {}, cache_dir=cache)])
    assert again["install"]["changed"], again.output
    assert not [name for name in names(store) + _tree(cache) if ".tmp." in name]
    assert not [
        name for name in set(_tree(play.folder)) - before if "/terraform_binary/" in name
    ]  # it went with its run


def _tree(folder):
    return [os.path.join(parent, name) for parent, _folders, files in os.walk(folder) for name in files]


def test_a_task_timeout_is_no_failure_of_the_site(play, slow_site, tmp_path):
    run = play(
        [
            task(
                "install",
                slow_site,
                "%s/{{ inventory_hostname }}" % tmp_path,
                {"timeout": "{{ limit }}", "ignore_errors": True},
            )
        ],
        hosts={"hasty": {"limit": 5}, "patient": {"limit": 0}},
        forks=1,
    )
    hasty, patient = (run.on_hosts("install")[name] for name in ("hasty", "patient"))
    assert hasty["failed"] and re.search("time frame|imed out", str(hasty)), hasty  # core's words, old and new
    assert names("%s/hasty" % tmp_path) == []
    assert patient["changed"] and not patient["failed"], run.output
