# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller downloads once for all hosts: what is shared, and what never is."""

import json
import os
import platform
import shutil

import pytest
from file_snapshots import hash_of, names
from playbook_run import MODULE, VERSION, task, task_args
from support.system import NOBODY, needs_root, open_folder

OTHER = "1.13.3"
HOSTS, FORKS = (50, 25) if os.environ.get("TERRAFORM_BINARY_MATRIX") else (6, 3)


def hosts(count):
    return {"h%02d" % number: {} for number in range(count)}


def each_store(folder, name="store"):
    """A store of its own for every host."""
    return "%s/%s/{{ inventory_hostname }}" % (folder, name)


def asked(site):
    """How often for each kind of file: dict of suffix and number."""
    return {suffix: site.counts(suffix).requests for suffix in ("_SHA256SUMS", ".sig", ".zip")}


@pytest.fixture(scope="module")
def fleet(play, signing_key, folder):
    """Many hosts, of which every third asks for another platform; then again."""
    from release_site import Site, releases
    from release_site.executables import RUNNABLE

    platforms = ("linux_amd64", "linux_arm64", "darwin_arm64")
    archives = {name: releases.make_archive(VERSION, name, padding=1 << 20) for name in platforms}
    with Site(platforms=platforms, key=signing_key) as site:
        site.publish(VERSION, archives=archives)
        own = {name: {"wanted": platforms[number % 3]} for number, name in enumerate(hosts(HOSTS))}
        step = task("install", site, each_store(folder), {}, platform="{{ wanted }}", retries=2)
        first = play([step], hosts=own, forks=FORKS)
        requests, paths = asked(site), sorted(request.path.rpartition("/")[2] for request in site.requests)
        site.requests.clear()
        again = play([step], hosts=own, forks=FORKS)
        yield {
            "own": own,
            "first": first,
            "again": again,
            "requests": requests,
            "paths": paths,
            "requests of again": len(site.requests),
            "archives": archives,
            "runnable": RUNNABLE,
        }


def test_all_hosts_cause_one_download_for_each_platform(fleet):
    assert fleet["first"].returncode == 0, fleet["first"].output
    assert fleet["requests"] == {"_SHA256SUMS": 1, ".sig": 1, ".zip": 3}, fleet["paths"]


def test_all_hosts_end_right(fleet, folder):
    results = fleet["first"].on_hosts("install")
    assert len(results) == HOSTS
    for name, result in results.items():
        assert result["changed"] and not result["failed"], result
        assert result["platform"] == fleet["own"][name]["wanted"]
        assert result["binary_sha256"] == hash_of("%s/store/%s/%s/terraform" % (folder, name, VERSION))


def test_the_bytes_are_counted_for_who_caused_them(fleet):
    counted = [result["downloaded_bytes"] for result in fleet["first"].on_hosts("install").values()]
    assert sum(counted) > sum(map(len, fleet["archives"].values()))
    assert sum(1 for count in counted if count > 1 << 20) == 3 and counted.count(0) >= HOSTS - 5


def test_the_second_run_over_them_makes_no_request(fleet):
    assert fleet["again"].returncode == 0 and fleet["requests of again"] == 0
    assert not any(result["changed"] for result in fleet["again"].on_hosts("install").values())


def test_a_short_download_shows_no_progress(play, module_site, tmp_path):
    """Of one host alone: with many at once, two seconds go by on a busy machine."""
    run = play([task("install", module_site, tmp_path)])
    assert run["install"]["changed"] and " % of " not in run.output, run.output


@pytest.fixture(scope="module")
def mixed(tasks, module_site, untrusted_key, folder):
    """Hosts of one play with other policies and keys than their neighbours, the lax ones first and then the strict ones."""
    from release_site import misbehaviours

    site = module_site
    found = {}
    for order in ("lax-first", "strict-first"):
        args_by_host = {
            "lax": task_args(site, "%s/%s/lax" % (folder, order), checksum_policy="sha256sums"),
            "strict": task_args(site, "%s/%s/strict" % (folder, order)),
            "other-key": task_args(site, "%s/%s/other" % (folder, order), trusted_keys=[untrusted_key.armored]),
            "pinned": task_args(
                site,
                "%s/%s/pinned" % (folder, order),
                checksum_policy="pinned",
                trusted_keys=None,
                checksum=site.release(VERSION).digest(_here()),
            ),
        }
        if order == "strict-first":
            args_by_host = dict(reversed(args_by_host.items()))
        site.requests.clear()
        found[order] = tasks.each(args_by_host, forks=1)
        found[order + " asked"] = asked(site)
    # The sums of an attacker, who has no key: a lax host takes what comes, and nobody else may.
    forged = site.release(VERSION)
    from release_site import releases

    evil = releases.make_archive(VERSION, _here(), padding=3)
    name = "terraform_%s_%s.zip" % (VERSION, _here())
    site.misbehave("*.zip", misbehaviours.replace(evil))
    site.misbehave("*_SHA256SUMS", misbehaviours.replace(releases.make_sums({name: evil})))
    for order in ("lax-first", "strict-first"):
        args_by_host = {
            "lax": task_args(site, "%s/evil-%s/lax" % (folder, order), checksum_policy="sha256sums"),
            "strict": task_args(site, "%s/evil-%s/strict" % (folder, order)),
            "pinned": task_args(
                site,
                "%s/evil-%s/pinned" % (folder, order),
                checksum_policy="pinned",
                trusted_keys=None,
                checksum=forged.digest(_here()),
            ),
        }
        found["evil " + order] = tasks.each(
            args_by_host if order == "lax-first" else dict(reversed(args_by_host.items())), forks=1
        )
    site.behave()
    return found


def _here():
    return {"x86_64": "linux_amd64", "aarch64": "linux_arm64"}[platform.machine()]


@pytest.mark.parametrize("order", ["lax-first", "strict-first"])
def test_hosts_of_other_policies_share_one_archive(order, mixed, module_site):
    results = mixed[order].each
    assert mixed[order + " asked"][".zip"] == 1
    for name, policy in (("lax", "sha256sums"), ("strict", "signature"), ("pinned", "pinned")):
        assert results[name]["changed"] and results[name]["verification"]["policy"] == policy, results[name]
    assert results["strict"]["verification"]["signer"] == module_site.key.fingerprint


@pytest.mark.parametrize("order", ["lax-first", "strict-first"])
def test_a_host_that_trusts_another_key_gets_nothing_from_its_neighbours(order, mixed, folder):
    result = mixed[order].each["other-key"]
    assert result["failed"] and result["error"]["step"] == "verify", result
    assert (result["error"]["side"], result["error"]["host"]) == ("controller", platform.node())
    assert names("%s/%s/other" % (folder, order)) == []


@pytest.mark.parametrize("order", ["lax-first", "strict-first"])
def test_a_lax_host_cannot_feed_a_strict_one(order, mixed, folder):
    results = mixed["evil " + order].each
    assert results["lax"]["changed"] and not results["lax"]["failed"]
    for name in ("strict", "pinned"):
        assert results[name]["failed"] and results[name]["error"]["step"] == "verify", results[name]
        assert not os.path.exists("%s/evil-%s/%s/%s/terraform" % (folder, order, name, VERSION))


def test_a_dead_site_costs_one_set_of_tries(tasks, module_site, tmp_path):
    from release_site import misbehaviours

    module_site.requests.clear()
    module_site.misbehave("*_SHA256SUMS", misbehaviours.status(503))
    run = tasks([task("install", module_site, each_store(tmp_path), {}, retries=2)], hosts=hosts(8), forks=8)
    module_site.behave()
    results = run.on_hosts("install")
    assert len(results) == 8
    assert all(result["failed"] and result["error"]["step"] == "fetch" for result in results.values())
    (first,) = [host for host, result in results.items() if ": failed for " not in result["msg"]]
    assert "HTTP 503" in results[first]["msg"]
    assert all(
        result["msg"].endswith(": failed for %s (HTTP 503 Service Unavailable); see %s" % (first, first))
        for host, result in results.items()
        if host != first
    ), results
    assert len(module_site.requests) == 2  # the tries of one host
    reported = [
        result
        for result in results.values()
        if "controller: not asked again: it failed for %s" % first in result["steps"]
    ]
    assert len(reported) == 7


def test_a_bad_archive_costs_one_set_of_tries_too(tasks, module_site, tmp_path):
    from release_site import misbehaviours

    module_site.requests.clear()
    module_site.misbehave("*.zip", misbehaviours.flip())
    run = tasks([task("install", module_site, each_store(tmp_path), {})], hosts=hosts(6), forks=6)
    module_site.behave()
    results = run.on_hosts("install")
    assert all(result["failed"] and result["error"]["step"] == "verify" for result in results.values())
    assert module_site.counts(".zip").requests == 2  # a wrong digest is asked for once more


def test_another_site_is_asked_by_all_when_one_is_dead(tasks, module_site, tmp_path):
    module_site.requests.clear()
    sites = ["http://127.0.0.1:9", module_site.url]
    run = tasks([task("install", module_site, each_store(tmp_path), {}, sites=sites)], hosts=hosts(4), forks=4)
    for result in run.on_hosts("install").values():
        assert result["changed"] and result["verification"]["site"] == module_site.url
        assert any("site failed: http://127.0.0.1:9" in step for step in result["steps"])
    assert asked(module_site) == {"_SHA256SUMS": 1, ".sig": 1, ".zip": 1}


def test_a_failure_on_one_host_is_its_own(play, module_site, tmp_path):
    args_by_host = {name: task_args(module_site, tmp_path / name) for name in ("good", "bad", "also-good")}
    (tmp_path / "bad").write_text("in the way")
    module_site.requests.clear()
    results = play.each(args_by_host).each
    assert results["bad"]["failed"] and results["bad"]["error"]["side"] == "target"
    assert results["good"]["changed"] and results["also-good"]["changed"]
    assert module_site.counts(".zip").requests == 1


def test_what_needs_no_archive_fetches_nothing(play, module_site, tmp_path):
    store, link = tmp_path / "store", str(tmp_path / "bin" / "terraform")
    assert play([task("install", module_site, store)])["install"]["changed"]
    module_site.requests.clear()
    run = play(
        [
            task("link", module_site, store, link=link),
            task("mode", module_site, store, mode="0555"),
            task("check", module_site, store, {"check_mode": True}, mode="0755"),
            task("remove", module_site, store, link=link, state="absent"),
        ]
    )
    assert all(run[name]["changed"] for name in ("link", "mode", "check", "remove")), run.output
    assert not run["link"]["needs_archive"] and run["link"]["steps"][0].startswith("target: ")
    assert len(module_site.requests) == 0


def test_an_impossible_version_is_known_in_check_mode(tasks, module_site, tmp_path):
    module_site.requests.clear()
    run = tasks(
        [
            task("impossible", module_site, tmp_path / "a", version="1.13.99"),
            task("possible", module_site, tmp_path / "b"),
        ],
        check=True,
    )
    assert run["impossible"]["failed"] and "404" in run["impossible"]["msg"]
    assert run["possible"]["changed"] and run["possible"]["verification"]["signer"] == module_site.key.fingerprint
    assert run["possible"]["archive_sha256"] == module_site.release(VERSION).digest(_here())
    assert module_site.counts(".zip").requests == 0 and names(str(tmp_path)) == []


def test_the_receipt_names_the_site(tasks, module_site, tmp_path):
    result = tasks([task("install", module_site, tmp_path)])["install"]
    with open(str(tmp_path / VERSION / "terraform.json"), encoding="utf-8") as file:
        receipt = json.load(file)
    assert receipt["origin"] == module_site.url == result["verification"]["site"]
    sides = [step.partition(":")[0] for step in result["steps"]]
    assert set(sides) == {"controller", "target"} and sides == sorted(sides)  # in the order of things


def test_a_local_host_reads_the_archive_where_it_is(play, module_site, tmp_path):
    steps = play([task("install", module_site, tmp_path)])["install"]["steps"]
    assert not [step for step in steps if "sent to" in step]
    assert [step for step in steps if step.startswith("target: archive read") and "/terraform_binary/staged." in step]


def test_every_host_may_fetch_for_itself(play, module_site, tmp_path):
    module_site.requests.clear()
    run = play([task("install", module_site, each_store(tmp_path), {}, download="target")], hosts=hosts(3), forks=3)
    for result in run.on_hosts("install").values():
        assert result["changed"] and all(step.startswith("target: ") for step in result["steps"])
    assert module_site.counts(".zip").requests == 3


@pytest.fixture
def kept(tasks, module_site, tmp_path):
    """callable(name, version): the result of an install, and the archives asked for, with a cache_dir for two archives."""

    def run(name, version=VERSION, **options):
        module_site.requests.clear()
        settings = dict({"cache_keep": 2, "cache_dir": str(tmp_path / "cache")}, **options)
        result = tasks([task("install", module_site, tmp_path / name, version=version, **settings)])["install"]
        return result, len(module_site.requests)

    return run


def test_cache_dir_keeps_archives_between_runs(kept, tmp_path):
    assert kept("one")[1] == 3
    result, requests = kept("two")
    assert result["changed"] and requests == 0 and result["downloaded_bytes"] == 0
    assert [step for step in result["steps"] if step.startswith("controller: archive taken from the cache: ")]
    assert [step for step in result["steps"] if step.startswith("controller: signature good")]
    assert kept("three", OTHER)[1] == 3 and kept("four", "1.9.8")[1] == 3
    assert len([name for name in os.listdir(str(tmp_path / "cache")) if len(name) == 64]) == 2
    assert kept("five")[1] > 0  # the one that was not used for longest is gone


def test_what_cache_dir_keeps_is_verified_again(kept, module_site, untrusted_key, tmp_path):
    kept("one")
    (digest,) = [name for name in os.listdir(str(tmp_path / "cache")) if len(name) == 64]
    with open(str(tmp_path / "cache" / digest / "archive.zip"), "r+b") as file:
        file.write(b"spoilt")
    result, requests = kept("two")
    assert result["changed"] and requests == 1
    assert any("is damaged" in step and "fetched again" in step for step in result["steps"])
    result, requests = kept("three", trusted_keys=[untrusted_key.armored])
    assert result["failed"] and result["error"]["step"] == "verify"


def test_what_cache_dir_keeps_unsigned_is_asked_for_again(kept):
    kept("one", checksum_policy="sha256sums")
    assert kept("two", checksum_policy="sha256sums")[1] == 1


def test_kept_sums_that_do_not_do_any_more_are_asked_for_again(kept, module_site, untrusted_key):
    from release_site import releases

    kept("one")
    again = releases.make_archive(VERSION, _here(), padding=7)
    module_site.publish(VERSION, key=untrusted_key, archives={_here(): again})
    try:
        result, _requests = kept("two", trusted_keys=[untrusted_key.armored])
    finally:
        module_site.publish(VERSION)
    assert result["changed"] and result["verification"]["signer"] == untrusted_key.fingerprint, result
    assert any("no longer verifies, downloading again" in step for step in result["steps"])


def test_check_mode_leaves_cache_dir_alone(tasks, module_site, tmp_path):
    run = tasks([task("install", module_site, tmp_path / "store", cache_dir=str(tmp_path / "cache"))], check=True)
    assert run["install"]["changed"] and names(str(tmp_path)) == []


@pytest.mark.parametrize(
    "options, words",
    [
        ({"cache_dir": "relative/path"}, "cache_dir 'relative/path' is not an absolute path"),
        ({"cache_keep": 0}, "cache_keep is 0 archives, expected 1 to 1000"),
        ({"cache_keep": "many"}, "cache_keep"),
        ({"progress": "perhaps"}, "progress"),
    ],
)
def test_options_of_the_controller_are_checked_there(options, words, tasks, module_site, tmp_path):
    result = tasks([task("install", module_site, tmp_path / "store", **options)])["install"]
    assert result["failed"] and words in result["msg"], result
    assert (result["error"]["step"], result["error"]["side"]) == ("request", "controller")


def test_a_cache_dir_that_others_can_write_is_refused(tasks, module_site, tmp_path):
    (tmp_path / "cache").mkdir()
    os.chmod(str(tmp_path / "cache"), 0o777)
    result = tasks([task("install", module_site, tmp_path / "store", cache_dir=str(tmp_path / "cache"))])["install"]
    assert result["failed"] and "cache_dir" in result["msg"] and result["error"]["side"] == "controller"


def test_sites_from_the_controllers_environment(play, module_site, tmp_path):
    options = dict(task_args(module_site, tmp_path / "store"), sites=None)
    run = play(
        [{"name": "install", MODULE: options}], env={"TERRAFORM_BINARY_SITES": "http://127.0.0.1:9 " + module_site.url}
    )
    assert run["install"]["changed"] and run["install"]["verification"]["site"] == module_site.url


def test_the_proxy_of_the_task_is_asked_and_not_that_of_the_process(play, module_site, tmp_path):
    proxies = {"http_proxy": module_site.url, "no_proxy": ""}
    run = play(
        [task("by proxy", module_site, tmp_path / "store", {"environment": proxies}, sites=["http://far.example"])],
        env={"http_proxy": "http://127.0.0.1:9"},
    )
    assert run["by proxy"]["changed"] and run["by proxy"]["verification"]["site"] == "http://far.example", run.output
    assert [
        request.target for request in module_site.requests if request.target.startswith("http://far.example/terraform/")
    ]


def test_a_host_whose_proxy_is_dead_fails_alone(play, module_site, tmp_path):
    run = play(
        [
            task(
                "install",
                module_site,
                each_store(tmp_path),
                {"environment": {"http_proxy": "{{ proxy }}"}},
                sites=["http://far.example"],
            )
        ],
        hosts={"h1": {"proxy": "http://127.0.0.1:9"}, "h2": {"proxy": module_site.url}},
        forks=1,
    )
    first, second = (run.on_hosts("install")[name] for name in ("h1", "h2"))
    assert first["failed"] and "proxy" in first["msg"], first
    assert second["changed"] and not second["failed"], second


@needs_root
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_on_this_machine_as_another_user(user, play, module_site):
    python = "/usr/bin/python3"  # one that everybody may run
    if not shutil.which("sudo") or not os.path.exists(python):
        pytest.skip("this takes sudo and %s" % python)
    with open_folder() as folder:
        if user == "nobody":
            os.chown(folder, NOBODY, NOBODY)
        result = play(
            [task("install", module_site, folder + "/store", {"become": True, "become_user": user})],
            hosts={"h1": {"ansible_python_interpreter": python}},
        )["install"]
        assert result["changed"] and result["owner"] == user, result
        assert bool([step for step in result["steps"] if "controller: sent to" in step]) is (user == "nobody")
        assert names(folder + "/store")[-1] == VERSION + "/terraform.json"


def test_a_windows_host_is_refused_early(play, module_site, tmp_path):
    result = play([task("install", module_site, tmp_path)], hosts={"w1": {"ansible_shell_type": "powershell"}})[
        "install"
    ]
    assert result["failed"] and "Windows" in result["msg"]


def test_the_target_sees_no_option_of_the_controller(play, module_site, tmp_path):
    run = play(
        [task("install", module_site, tmp_path / "store", {}, cache_dir=str(tmp_path / "s3cr3t"))], arguments=["-vvv"]
    )
    arguments = run["install"]["invocation"]["module_args"]
    assert run["install"]["changed"] and arguments["cache_dir"] is None
