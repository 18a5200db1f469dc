# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``latest`` and constraints: what is chosen, when a site is asked for it, and what is refused.

Most of it is tried with the action plugin and the module alone; the last tests go through ansible-playbook.
"""

import datetime
import os
import shutil
import socket

import playbook_run
import pytest
from file_snapshots import names

INDEX = "/terraform/index.json"
LISTED = ("1.9.8", "1.10.0", "1.13.3", "1.13.4", "1.14.0-beta1", "1.14.0-rc1")

# What is asked for, and what it comes to.
CHOSEN = {
    "latest": "1.13.4",
    "~> 1": "1.13.4",
    "~> 1.9": "1.13.4",
    "~> 1.13.0": "1.13.4",
    "!= 1.13.4": "1.13.3",
    "> 1.9.8, < 1.13": "1.10.0",
    ">= 1.13.4": "1.13.4",
    "< 1.10": "1.9.9",
    "<= 1.10": "1.10.0",
    "> 1.14.0-alpha1": "1.14.0-rc1",
    "~> 1.14.0-beta1": "1.14.0-rc1",
    "= 1.10": "1.10.0",
    "1.13.3, != 1.13.4": "1.13.3",
    "v1.13.3": "1.13.3",
    "1.14.0-beta1": "1.14.0-beta1",
    "1.13.6": "1.13.6",  # not in the index
}
CHECKED = ("latest", "~> 1.13.0", "= 1.10", "> 1.14.0-alpha1")
# What is asked for, the step that refuses, words of the message.
REFUSED = {
    "none": ("~> 1.15", "request", ("no version matches ~> 1.15", "the newest for", "is 1.13.4")),
    "only pre-releases": (">= 1.14", "request", ("no version matches",)),
    "not for us": (
        "= 1.13.5",
        "request",
        ("no build for", "darwin_arm64", "first version with a build for", "is 0.1.0"),
    ),
    "only others": ("> 1.13.4, < 1.13.6", "request", ("has no build for", "of 1.13.5", "first version")),
    "next to others": (
        "1.13.1",
        "fetch",
        ("HTTP 404", "1.10.0 (next lower)", "1.13.3 (next higher)", "1.13.4 (newest 1.13)"),
    ),
    "being published": ("1.8.7", "fetch", ("HTTP 404", "being published")),
    "malformed": (">= 1.x", "request", ("'>= 1.x' is not a constraint", "write '>= 1.0'")),
    "without commas": (">= 1.9 < 2.0", "request", ("is not a constraint", "write '>= 1.9, < 2.0'")),
    "npm": ("^1.9.0", "request", ("'^1.9.0'", "write '>= 1.9.0, < 2.0'")),
    "contradiction": ("= 1.10, != 1.10.0", "request", ("exclude each other",)),
    "float": (1.10, "request", ("is the number 1.1,", "as '~> 1.1.0' or '~> 1.10.0'")),
    "int": (1, "request", ("is the number 1,", "as '~> 1.0'")),
    "text": ("1.10", "request", ("'1.10' is not exact", "'~> 1.10.0' or '= 1.10'")),
    "boolean": (True, "request", ("boolean true",)),
    "date": (datetime.date(2026, 1, 1), "request", ("2026-01-01",)),
    "list": (["1.13.4"], "request", ("version is a list",)),
    "number": (-1.5, "request", ("is the number -1.5,", "'1.10.5'")),
    "pinned": ("latest", "request", ("checksum_policy pinned",)),
    "archive": ("~> 1.13", "request", ("archive",)),
    "absent": ("latest", "request", ("cannot be removed",)),
}
OPTIONS = {
    "pinned": {"checksum_policy": "pinned", "checksum": "0" * 64},
    "archive": {"archive": "/nowhere/terraform.zip"},
    "absent": {"state": "absent"},
}


SIDE = {}  # who downloads


@pytest.fixture(scope="module", autouse=True, params=playbook_run.SIDES)
def side(request):
    """All of it with each of both."""
    SIDE["download"] = request.param
    return request.param


def task_args(site, store, **options):
    return playbook_run.task_args(site, store, **dict(SIDE, **options))


def task(name, site, store, **options):
    return playbook_run.task(name, site, store, **dict(SIDE, **options))


@pytest.fixture(scope="module")
def folder(side, tmp_path_factory):
    return str(tmp_path_factory.mktemp("versions-" + side))


@pytest.fixture(scope="module")
def mirror(side, signing_key, host_platform):
    """A site with final versions and pre-releases, odd entries, and one version for another platform only."""
    from release_site import Site

    with Site(versions=LISTED, key=signing_key) as running:
        running.publish("0.1.0", shape="old")
        running.publish("1.9.9", shape="bare")
        running.publish("1.13.5", platforms=("darwin_arm64",))
        running.publish("1.13.6", listed=False)
        running.publish("1.8.7")
        for path in [path for path in running.files if "/1.8.7/" in path]:
            del running.files[path]
        yield running


@pytest.fixture(scope="module")
def closed():
    """The URL of a site that cannot be reached."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield "http://127.0.0.1:%d" % listener.getsockname()[1]


@pytest.fixture(scope="module")
def stores(folder):
    return {version: os.path.join(folder, "store %d" % number) for number, version in enumerate(CHOSEN)}


@pytest.fixture(scope="module")
def checked(tasks, mirror, stores):
    """Check mode of what is chosen: before ``done``."""
    run = tasks.each({version: task_args(mirror, stores[version], version=version) for version in CHECKED}, check=True)
    assert not any(os.path.exists(store) for store in stores.values())
    return run.each


@pytest.fixture(scope="module")
def done(tasks, mirror, stores, checked):
    run = tasks.each({version: task_args(mirror, store, version=version) for version, store in stores.items()})
    assert "Traceback" not in run.output
    return run.each


@pytest.fixture(scope="module")
def again(tasks, mirror, stores, done):
    return tasks.each(
        {
            version: task_args(mirror, stores[version], version=version, link=stores[version] + "/current")
            for version in ("latest", "~> 1.13.0", "= 1.10")
        }
    ).each


@pytest.mark.parametrize("version", sorted(CHOSEN))
def test_the_version_is_chosen(version, done, stores):
    result = done[version]
    assert not result["failed"] and result["changed"], result
    assert (result["version"], result["requested"]) == (CHOSEN[version], version)
    assert result["path"] == os.path.join(stores[version], CHOSEN[version], "terraform")
    assert os.access(result["path"], os.X_OK)
    assert result["ansible_facts"]["terraform_binary_result"]["version"] == CHOSEN[version]


@pytest.mark.parametrize("version", CHECKED)
def test_check_mode_says_which(version, checked):
    result = checked[version]
    assert result["changed"] and result["needs_archive"] and not result["failed"], result
    assert (result["version"], result["requested"]) == (CHOSEN[version], version)


def test_the_steps_say_how_it_was_chosen(side, done, mirror, host_platform):
    steps = done["~> 1.13.0"]["steps"]
    fetched = [
        result
        for result in done.values()
        if any(step.startswith("%s: index received: " % side) for step in result["steps"])
    ]
    assert len(fetched) == 1 if side == "controller" else len(fetched) > 1
    line = side + ": ~> 1.13.0 is 1.13.4, the newest that matches on %s; passed over, having no build for %s: 1.13.5"
    assert line % (mirror.url, host_platform) in steps, steps


@pytest.fixture(scope="module")
def refused(tasks, mirror, folder):
    args_by_host = {
        name: task_args(mirror, os.path.join(folder, "refused"), version=version, **OPTIONS.get(name, {}))
        for name, (version, _step, _words) in REFUSED.items()
    }
    return tasks.each(args_by_host).each


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refusal_says_what_there_is(name, refused):
    _version, step, words = REFUSED[name]
    result = refused[name]
    assert result["failed"] and not result["changed"] and result["error"]["step"] == step, result
    said = "%s; %s" % (result["msg"], result["error"]["hint"])
    assert "\n" not in said and len(result["msg"]) <= 400
    for word in words:
        assert word in said, said


def test_a_refusal_leaves_no_file(side, refused, folder):
    if side == "controller":  # which knows before the target is asked to do anything
        assert refused and not os.path.exists(os.path.join(folder, "refused"))
        return
    locks = {
        ".terraform-1.13.5.lock",
        ".terraform-1.13.1.lock",
        ".terraform-1.8.7.lock",
        "1.13.5/",
        "1.13.1/",
        "1.8.7/",
    }
    assert refused and set(names(os.path.join(folder, "refused"))) == locks


def test_an_unchanged_run_says_so_on_a_line_or_two(side, tasks, mirror, stores, done, host_platform):
    versions = ("latest", "~> 1.13.0", "= 1.10")
    linked = {
        version: task_args(mirror, stores[version], version=version, link=stores[version] + "/current")
        for version in versions
    }
    assert all(result["changed"] for result in tasks.each(linked).each.values())
    again = tasks.each(linked).each
    for version in versions:
        result = again[version]
        chosen = version != "= 1.10"
        assert not result["changed"] and not result["failed"], result
        assert len(result["steps"]) == (2 if chosen and side == "controller" else 1), result
        assert "verified %s" % result["path"] in result["steps"][-1] and linked[version]["link"] in result["steps"][-1]
        assert ("is 1.13.4, the newest that matches on %s" % mirror.url in result["steps"][0]) is chosen
        assert result["previous_version"] == result["version"] == CHOSEN[version]
    size = len(mirror.files[INDEX.lstrip("/")].body)
    came = sorted(again[version]["downloaded_bytes"] for version in versions)
    assert came == ([0, 0, size] if side == "controller" else [0, size, size])


@pytest.fixture
def count(tasks, mirror, tmp_path):
    """How often one run of the module asks for the index: callable(check, **options) -> (requests, result)."""

    def ask(check=False, **options):
        mirror.requests.clear()
        result = tasks([task("ask", mirror, tmp_path, **options)], check=check)["ask"]
        return mirror.counts(INDEX).requests, result

    return ask


def test_the_index_is_asked_once_and_only_for_a_choice(count, mirror):
    assert count(version="1.13.4")[0] == 0
    assert count(version="= 1.13.3")[0] == 0
    for check in (True, False):
        requests, result = count(check, version="~> 1.9.0")
        assert requests == 1 and result["changed"] and not result["failed"], result
        requests, result = count(check, version="9.9.9")  # the failing path: once, for the hint
        assert requests == 1 and result["failed"] and "1.13.4 (next lower)" in result["error"]["hint"], result


def test_what_was_installed_since_counts_for_a_version_that_was_chosen_before(tasks, mirror, tmp_path, signing_key):
    from release_site import Site

    with Site(versions=("1.20.0",), key=signing_key) as other:
        run = tasks(
            [
                task("before", mirror, tmp_path, version="latest"),
                task("newer", other, tmp_path, version="1.20.0"),
                task("after", mirror, tmp_path, version="latest"),
            ]
        )
    assert run["before"]["version"] == "1.13.4" and run["newer"]["changed"]
    assert run["after"]["version"] == "1.20.0" and not run["after"]["changed"], run["after"]


def test_an_exact_version_does_not_need_the_index(tasks, mirror, tmp_path):
    from release_site import misbehaviours

    mirror.misbehave("*index.json", misbehaviours.status(404))
    try:
        run = tasks(
            [
                task("exact", mirror, tmp_path, version="1.13.3"),
                task("unknown", mirror, tmp_path, version="1.13.99"),
                task("latest", mirror, tmp_path, version="latest"),
            ]
        )
    finally:
        mirror.behave()
    assert run["exact"]["changed"] and not run["exact"]["failed"], run["exact"]
    assert (
        "HTTP 404" in run["unknown"]["msg"]
        and "look whether the site has this version" in run["unknown"]["error"]["hint"]
    )
    assert run["latest"]["failed"] and run["latest"]["error"]["url"] == mirror.url + INDEX, run["latest"]
    assert "1.13.3 is installed" in run["latest"]["error"]["hint"]


@pytest.fixture(scope="module")
def ahead(tasks, mirror, folder, signing_key):
    """A store with a version that only another site has, and a link to it."""
    from release_site import Site

    store = os.path.join(folder, "ahead")
    with Site(versions=("1.15.0", "1.15.1"), key=signing_key) as other:
        result = tasks([task("install", other, store, version="1.15.0", link=store + "/current")])["install"]
        assert result["changed"], result
        yield store, other


def test_a_site_that_is_behind_rolls_nothing_back(tasks, mirror, ahead):
    store, _other = ahead
    run = tasks(
        [
            task(version, mirror, store, version=version, link=store + "/current")
            for version in ("latest", ">= 1.13", ">= 1.15", "< 1.15")
        ]
    )
    for version in ("latest", ">= 1.13", ">= 1.15"):
        result = run[version]
        assert not result["changed"] and result["version"] == "1.15.0" and len(result["steps"]) <= 2, result
        (warning,) = result["warnings"]
        assert "%s is 1.15.0, which is installed" % version in warning and mirror.url in warning
        assert warning in result["steps"][0]
    assert "%s is behind, the newest that matches there is 1.13.4" % mirror.url in run["latest"]["warnings"][0]
    assert run["< 1.15"]["changed"] and run["< 1.15"]["version"] == "1.13.4" and "warnings" not in run["< 1.15"]


@pytest.mark.parametrize("version", ["latest", ">= 1.13"])
def test_a_store_that_was_restored_is_not_rolled_back(version, tasks, mirror, ahead, tmp_path):
    """Copied, or come back from a backup: other inodes, other times. The site is behind."""
    _store, other = ahead
    original, store = tmp_path / "original", tmp_path / "store"
    link = str(tmp_path / "terraform")
    tasks([task("install", other, original, version="1.15.0")])
    shutil.copytree(str(original), str(store))
    os.utime(str(store / "1.15.0" / "terraform"), ns=(10**18, 10**18))
    os.symlink(str(store / "1.15.0" / "terraform"), link)
    first = tasks([task("first", mirror, store, version=version, link=link)])["first"]
    assert not first["failed"] and first["version"] == "1.15.0" and first["downloaded_bytes"] < 10000, first
    assert "which is installed" in first["warnings"][0] and os.readlink(link).endswith("/1.15.0/terraform")
    again = tasks([task("again", mirror, store, version=version, link=link)])["again"]
    assert not again["changed"] and not again["failed"] and again["version"] == "1.15.0", again
    assert not (store / "1.13.4").exists()


def test_what_was_chosen_before_is_weighed_against_what_has_come_since(tasks, mirror, ahead, tmp_path):
    """Within one run of a playbook a target is spared the index; not the look at what it has. The site is behind."""
    _store, other = ahead
    link = str(tmp_path / "terraform")
    old = task("old", mirror, tmp_path / "store", version="latest", link=link, download="target")
    new = task("new", other, tmp_path / "store", version="1.15.0", link=link, download="target")
    run = tasks([old, new, dict(old, name="again")])
    assert (run["old"]["version"], run["new"]["version"]) == ("1.13.4", "1.15.0")
    assert run["again"]["version"] == "1.15.0" and not run["again"]["changed"], run["again"]
    assert os.readlink(link).endswith("/1.15.0/terraform")


def test_the_first_site_with_a_match_decides(tasks, mirror, ahead, tmp_path, closed):
    _store, other = ahead
    two = {"both": [mirror.url, other.url], "other": [other.url, mirror.url], "first down": [closed, mirror.url]}
    args_by_host = {
        name: task_args(mirror, tmp_path / name, version="~> 1.13", sites=sites) for name, sites in two.items()
    }
    args_by_host["second"] = task_args(mirror, tmp_path / "second", version="~> 1.15", sites=[mirror.url, other.url])
    args_by_host["neither"] = task_args(mirror, tmp_path / "neither", version="~> 1.16", sites=[mirror.url, other.url])
    args_by_host["all down"] = task_args(mirror, tmp_path / "all down", version="latest", sites=[closed, closed + "/x"])
    args_by_host["down or not"] = task_args(
        mirror, tmp_path / "down or not", version="~> 1.16", sites=[closed, mirror.url]
    )
    found = tasks.each(args_by_host, check=True).each
    assert {name: found[name].get("version") for name in args_by_host} == {
        "both": "1.13.4",
        "other": "1.15.1",
        "first down": "1.13.4",
        "second": "1.15.1",
        "neither": None,
        "all down": None,
        "down or not": None,
    }
    for name, words in {
        "neither": (mirror.url, other.url, "no version matches"),
        "all down": (closed + "/x",),
        "down or not": (closed, mirror.url, "no site has ~> 1.16"),
    }.items():
        assert all(word in found[name]["msg"] for word in words), found[name]["msg"]
    for name in ("all down", "down or not"):  # the site that is down was asked for one of the hosts
        assert "ECONNREFUSED" in found[name]["msg"]
    assert found["neither"]["error"]["step"] == "request" and found["all down"]["error"]["step"] == "fetch"


def test_offline_an_installed_version_does_when_that_is_allowed(tasks, mirror, ahead, closed):
    store, _other = ahead
    cases = {
        "default": ("~> 1.15", {}),
        "allowed": ("~> 1.15", {"offline_ok": True}),
        "latest": ("latest", {"offline_ok": True}),
        "no match": ("~> 1.16", {"offline_ok": True}),
        "exact": ("1.15.0", {}),
    }
    found = tasks.each(
        {
            name: task_args(mirror, store, version=version, sites=[closed], **options)
            for name, (version, options) in cases.items()
        }
    ).each
    allowed = found["allowed"]
    assert not allowed["failed"] and not allowed["changed"] and allowed["version"] == "1.15.0", allowed
    (warning,) = allowed["warnings"]
    assert (
        "(offline_ok)" in warning
        and closed in warning
        and warning in allowed["steps"][0]
        and len(allowed["steps"]) <= 2
    )
    assert found["default"]["failed"] and "offline_ok: true would use it" in found["default"]["error"]["hint"]
    assert found["latest"]["failed"] and "1.15.0 is installed: ask for it" in found["latest"]["error"]["hint"]
    assert found["no match"]["failed"] and closed in found["no match"]["msg"]
    assert all(
        "ECONNREFUSED" in result["msg"] for result in found.values() if result["failed"]
    )  # whoever was asked first
    assert not found["exact"]["failed"] and not found["exact"]["changed"]


def test_only_intact_versions_of_the_platform_take_part(tasks, mirror, ahead, tmp_path):
    _store, other = ahead
    damaged, foreign = tmp_path / "damaged", tmp_path / "foreign"
    tasks(
        [
            task("damaged", other, damaged, version="1.15.0"),
            task("foreign", other, foreign, version="1.15.0", platform="windows_amd64"),
        ]
    )
    with open(str(damaged / "1.15.0" / "terraform"), "ab") as file:
        file.write(b"damage")
    run = tasks(
        [task("damaged", mirror, damaged, version="latest"), task("foreign", mirror, foreign, version="latest")]
    )
    assert [run[name].get("version") for name in ("damaged", "foreign")] == ["1.13.4", "1.13.4"], run.output


def test_a_chosen_version_meets_its_line_of_checksum(tasks, mirror, tmp_path, host_platform):
    lines = mirror.release("1.13.4").sums.decode()
    run = tasks(
        [
            task("right", mirror, tmp_path, version="~> 1.13.0", checksum=lines),
            task("wrong", mirror, tmp_path, version="~> 1.10.0", checksum=lines),
            task("hex", mirror, tmp_path, version="< 1.10", checksum=mirror.release("1.13.4").digest(host_platform)),
        ]
    )
    assert run["right"]["changed"] and not run["right"]["failed"], run["right"]
    assert "checksum has no line for terraform_1.10.0" in run["wrong"]["msg"]
    assert run["hex"]["error"]["step"] == "verify"


@pytest.fixture
def populated(tasks, mirror, tmp_path):
    """A store with 1.9.8, 1.13.3, 1.13.4 and 1.14.0-rc1, with a link to 1.13.4."""
    store = tmp_path / "store"
    run = tasks(
        [
            task("1.9.8", mirror, store, version="1.9.8"),
            task("1.13.3", mirror, store, version="1.13.3"),
            task("rc", mirror, store, version="1.14.0-rc1"),
            task("1.13.4", mirror, store, version="1.13.4", link=str(tmp_path / "link")),
        ]
    )
    assert all(run[name]["changed"] for name in ("1.9.8", "1.13.3", "rc", "1.13.4"))
    return str(store)


def test_a_removal_by_constraint(tasks, mirror, populated):
    """All that match go, or none; what is not ours stays; the site is not asked."""
    os.makedirs(populated + "/1.0.0")
    with open(populated + "/1.0.0/terraform", "wb") as file:
        file.write(b"mine")
    link = os.path.join(os.path.dirname(populated), "link")
    mirror.requests.clear()

    def remove(name, version, **options):
        return task(name, mirror, populated, version=version, state="absent", **options)

    predicted = tasks([remove("predicted", "< 1.13.4")], check=True, diff=True)["predicted"]
    run = tasks(
        [
            remove("nothing", "> 1.15"),
            remove("linked", ">= 1.13"),
            remove("old", "< 1.13.4"),
            remove("old again", "< 1.13.4"),
            remove("with link", "~> 1.13.0", link=link),
            remove("pre-release", ">= 1.14.0-alpha1"),
        ]
    )
    assert mirror.counts().requests == 0
    gone = [
        "%s/%s%s" % (populated, version, name)
        for version in ("1.9.8", "1.13.3")
        for name in ("/terraform", "/terraform.json", "")
    ]
    for result in (predicted, run["old"]):
        assert result["changed"] and result["removed"] == gone and result["version"] == "1.13.3", result
        assert "1.0.0 has a binary without a receipt" in result["warnings"][0]
    assert [diff["after"]["state"] for diff in predicted["diff"]] == ["absent", "absent"]
    assert run["old"]["intact_versions"] == ["1.13.4", "1.14.0-rc1"] and "1.9.8" in run["old"]["msg"]
    for name in ("nothing", "old again"):
        result = run[name]
        assert (
            not result["changed"] and result["removed"] == [] and result["version"] is None and result["path"] is None
        )
        assert not result["failed"] and "no installed version" in result["msg"]
    assert run["linked"]["failed"] and link in run["linked"]["msg"] and not run["linked"]["changed"]
    assert run["with link"]["removed"][0] == link and run["with link"]["previous_version"] == "1.13.4"
    assert run["pre-release"]["version"] == "1.14.0-rc1"
    assert [name for name in names(populated) if not name.startswith(".")] == ["1.0.0/", "1.0.0/terraform"]


def test_latest_twice_in_a_play_asks_the_index_once(side, play, mirror, tmp_path):
    """Once for all hosts where the controller downloads; hosts that download ask each time."""
    hosts = ("one", "two")
    steps = [
        task("%s %s" % (name, version), mirror, "%s/{{ inventory_hostname }}" % tmp_path, version=version, **options)
        for name, version, options in (
            ("first", "latest", {}),
            ("linked", "latest", {"link": "%s/{{ inventory_hostname }}/current" % tmp_path}),
            ("first", "~> 1.13.0", {}),
        )
    ]
    mirror.requests.clear()
    run = play(steps, hosts=hosts)
    for each in steps:
        for result in run.on_hosts(each["name"]).values():
            assert not result["failed"] and result["version"] == "1.13.4", result
            assert result["requested"] == each["name"].partition(" ")[2]
    assert mirror.counts(INDEX).requests == (1 if side == "controller" else len(steps) * len(hosts))


def test_a_playbook_installs_what_was_chosen_and_says_so_again(side, play, mirror, tmp_path):
    """One that is there, and one that is not: checked, installed, and looked at again."""
    if side == "target" and not os.environ.get("TERRAFORM_BINARY_MATRIX"):
        pytest.skip("only in make matrix: the tasks above choose there")
    kinds = ("latest", "~> 1.15")
    args_by_host = {
        version: task_args(mirror, tmp_path / str(number), version=version) for number, version in enumerate(kinds)
    }
    checked, done, again = (
        play.each(args_by_host, check=True).each,
        play.each(args_by_host).each,
        play.each(args_by_host).each,
    )
    for version in kinds[:-1]:
        for result, changed in ((checked[version], True), (done[version], True), (again[version], False)):
            assert not result["failed"] and result["changed"] is changed, result
            assert (result["version"], result["requested"]) == (CHOSEN[version], version)
        assert os.access(done[version]["path"], os.X_OK)
    for run in (checked, done, again):
        assert run["~> 1.15"]["failed"] and "no version matches ~> 1.15" in run["~> 1.15"]["msg"]
