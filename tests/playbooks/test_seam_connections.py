# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam over other connections, under mitogen, and with callbacks that own stdout: only in the long form.

The connection ``community.general.chroot`` and the callbacks of ``ansible.posix`` are looked for on the path of Python and
in the folder that TERRAFORM_BINARY_ANSIBLE names (with ``ansible_collections`` in it): the package ``ansible`` has them.
"""

import importlib.util
import json
import os
import re
import sys

import pytest
from playbook_run import VERSION, task
from seam import FORMS, MISSING, REPORTED, make_hosts, recap, seam
from ssh_hosts import SshHosts

pytestmark = pytest.mark.skipif(not os.environ.get("TERRAFORM_BINARY_MATRIX"), reason="only in make matrix")

HOSTS = ("installs", "unchanged", "refused")
WAYS = {"ssh": {"become": True}, "ssh as app": {"become": True, "become_user": "app"}, "chroot": {}}


def find_collection(play, *names):
    """What ANSIBLE_COLLECTIONS_PATH has to be to have a collection, too; skips the test where it is not installed."""
    for folder in [os.environ.get("TERRAFORM_BINARY_ANSIBLE", "")] + sys.path:
        if folder and os.path.isdir(os.path.join(folder, "ansible_collections", *names)):
            return {"ANSIBLE_COLLECTIONS_PATH": os.pathsep.join((play.collections, folder))}
    return pytest.skip("%s is not installed: pip install ansible, or TERRAFORM_BINARY_ANSIBLE" % ".".join(names))


@pytest.fixture(scope="module")
def fleet(folder):
    os.mkdir(os.path.join(folder, "hosts"))
    with SshHosts(os.path.join(folder, "hosts")) as hosts:
        for name in HOSTS + ("stays", "leaves"):
            hosts.add(name)
        hosts.await_all()
        yield hosts


@pytest.fixture(scope="module")
def runs(play, fleet, module_site):
    """callable(way, form) -> (Seen, dict of host and where this machine sees its binary)."""
    made = {}

    def run(way, form):
        if (way, form) not in made:
            env = find_collection(play, "community", "general") if way == "chroot" else {}
            place = "%s/%s-%s" % ("/home/app" if "app" in way else "/opt", way.replace(" ", "-"), form)
            hosts = make_hosts(module_site, lambda host: place)
            for name, own in fleet.inventory(*HOSTS).items():
                if way == "chroot":
                    own = {
                        "ansible_connection": "community.general.chroot",
                        "ansible_host": fleet.root(name),
                        "ansible_python_interpreter": "/usr/bin/python3",
                        "ansible_remote_tmp": "/tmp/chroot",
                    }
                hosts[name].update(own)
            first = play(
                [task("ready", module_site, place, WAYS[way])], hosts={"unchanged": hosts["unchanged"]}, env=env
            )
            assert first["ready"]["changed"], first.output
            seen = seam(play, form, hosts, keywords=WAYS[way], env=env)
            made[way, form] = seen, {name: fleet.at(name, "%s/%s/terraform" % (place, VERSION)) for name in HOSTS}
        return made[way, form]

    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", WAYS)
def test_each_host_ends_as_it_should(runs, way, form):
    (run, facts, _hosts), paths = runs(way, form)
    counts = recap(run)
    assert {host: (counts[host]["changed"], counts[host]["failed"], counts[host]["unreachable"]) for host in HOSTS} == {
        "installs": (1, 0, 0),
        "unchanged": (0, 0, 0),
        "refused": (0, 1, 0),
    }, run.output
    assert len(REPORTED.findall(run.stdout)) == 1, run.output
    assert {host for host, path in paths.items() if os.path.exists(path)} == {"installs", "unchanged"}
    for host, changed in (("installs", True), ("unchanged", False)):
        assert (facts[host]["failed"], facts[host]["changed"]) == (False, changed)
        assert paths[host].endswith(facts[host]["path"]) and run.on_hosts("after")[host]["msg"] == facts[host]["path"]
    assert form == "module" or (facts["refused"]["failed"] and MISSING in facts["refused"]["msg"])
    handled = {line["host"] for line in run.lines if line["task"] == "reported"}
    assert handled == (set() if form == "roles" else {"installs"})


def test_a_host_that_goes_away_while_its_archive_is_fetched_is_unreachable(play, fleet, signing_key, host_platform):
    """It was there when the module looked, and is gone when the archive is to be sent."""
    from release_site import Site, sites

    with Site(versions=(VERSION,), platforms=(host_platform,), key=signing_key) as site:

        def leave(exchange):
            fleet.stop("leaves")
            sites.honest(exchange)

        site.misbehave("*.zip", leave, times=1)
        hosts = fleet.inventory("stays", "leaves", ansible_ssh_timeout=5, ansible_ssh_retries=0)
        run = play([task("install", site, "/opt/gone", {"become": True})], hosts=hosts)
    results = run.on_hosts("install")
    assert results["stays"]["changed"] and not results["stays"]["failed"], results
    counts = recap(run)
    assert (counts["leaves"]["unreachable"], counts["leaves"]["changed"], counts["leaves"]["failed"]) == (1, 0, 0), (
        run.output
    )
    assert run.stdout.count("UNREACHABLE!") == 1 and counts["stays"]["unreachable"] == 0


@pytest.mark.parametrize("form", FORMS)
def test_mitogen(play, module_site, folder, form):
    found = importlib.util.find_spec("ansible_mitogen")
    if found is None:
        pytest.skip("mitogen is not installed")
    place = os.path.dirname(os.path.dirname(found.origin))
    env = {
        "ANSIBLE_STRATEGY_PLUGINS": os.path.join(place, "ansible_mitogen", "plugins", "strategy"),
        "PYTHONPATH": place,
    }
    hosts = make_hosts(module_site, lambda host: os.path.join(folder, "mitogen-" + form, host))
    ready = play([task("ready", module_site, hosts["unchanged"]["terraform_binary_base_dir"])])
    assert ready["ready"]["changed"]
    run, facts, _hosts = seam(play, form, hosts, keywords={"strategy": "mitogen_linear"}, env=env)
    if "requires Ansible" in run.output or "not supported" in run.output:
        pytest.skip(run.output.strip().splitlines()[-1])
    counts = recap(run)
    assert {host: (counts[host]["changed"], counts[host]["failed"]) for host in HOSTS} == {
        "installs": (1, 0),
        "unchanged": (0, 0),
        "refused": (0, 1),
    }, run.output
    assert len(REPORTED.findall(run.stdout)) == 1, run.output
    assert facts["installs"]["changed"] and not facts["unchanged"]["changed"]
    assert form == "module" or (facts["refused"]["failed"] and MISSING in facts["refused"]["msg"])


@pytest.mark.parametrize("form", ("module", "roles"))
@pytest.mark.parametrize("callback", ("json", "jsonl"))
def test_stdout_belongs_to_the_callback(play, module_site, folder, callback, form):
    """Also while a download takes long enough to be reported."""
    from release_site import misbehaviours, sites

    env = dict(find_collection(play, "ansible", "posix"), ANSIBLE_STDOUT_CALLBACK="ansible.posix." + callback)
    hosts = make_hosts(module_site, lambda host: os.path.join(folder, callback + "-" + form, host))
    module_site.misbehave("*.zip", misbehaviours.delay(3, sites.honest), times=1)
    run, _facts, _hosts = seam(play, form, hosts, env=env)
    if "nvalid callback" in run.stderr or "not found" in run.stderr:
        pytest.skip("this ansible.posix has no %s" % callback)
    module_site.behave()
    if callback == "json":
        reported = json.loads(run.stdout)
        stats, messages = (
            reported["stats"],
            [
                result.get("msg", "")
                for play_ in reported["plays"]
                for each in play_["tasks"]
                for result in each["hosts"].values()
                if result.get("failed")
            ],
        )
    else:
        events = [json.loads(line) for line in run.stdout.splitlines()]
        stats = next(event["stats"] for event in events if "stats" in event)
        messages = [
            result.get("msg", "")
            for event in events
            if event.get("_event") == "v2_runner_on_failed"
            for result in event["hosts"].values()
        ]
    assert {host: (stats[host]["changed"], stats[host]["failures"]) for host in HOSTS} == {
        "installs": (1, 0),
        "unchanged": (1, 0),
        "refused": (0, 1),
    }
    assert len([message for message in messages if MISSING in message]) == 1, messages
    assert re.search(r"(?m)^terraform_binary: \[", run.stderr), run.stderr
