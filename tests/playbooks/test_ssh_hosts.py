# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts behind sshd, with no way to the site: what is pushed to them, as whom, and what goes wrong on the way."""

import glob
import json
import os
import platform
import re
import shutil
import subprocess
import time

import pytest
from file_snapshots import hash_of
from playbook_run import MODULE, VERSION, task
from ssh_hosts import SshHosts

FOUR = ("h1", "h2", "h3", "h4")
# Where each way is tried in the short form; in the long one, all of them everywhere.
WAYS = {
    "root": FOUR,
    "root-without-pipelining": ("h2",),
    "app": ("h1",),
    "app-without-pipelining": ("h1", "h3"),
    "nobody-else": ("h2",),
    "tmp-elsewhere": ("h1",),
    "piped": ("h1", "h4"),
    "poll": ("h2",),
}
if os.environ.get("TERRAFORM_BINARY_MATRIX"):
    WAYS = dict.fromkeys(WAYS, FOUR)


@pytest.fixture(scope="module")
def fleet(folder):
    """h1 to h4; h3 has no setfacl(1), and h4 has a dd(1) that damages archives."""
    os.mkdir(os.path.join(folder, "hosts"))
    with SshHosts(os.path.join(folder, "hosts")) as hosts:
        for name in FOUR:
            hosts.add(name)
        hosts.await_all()
        hosts.run("h3", "rm", "-f", "/usr/bin/setfacl")
        with open(hosts.at("h4", "/usr/local/bin/dd"), "w", encoding="ascii") as file:
            file.write(
                '#!/bin/sh\n/usr/bin/dd "$@" || exit\ncase "$1" in of=*.zip*) printf XXXX | '
                '/usr/bin/dd "$1" conv=notrunc 2>/dev/null;; esac\n'
            )
            os.fchmod(file.fileno(), 0o755)
        yield hosts


@pytest.fixture(scope="module")
def big_site(signing_key, host_platform):
    """A site whose archives have 1 MB."""
    from release_site import Site, releases

    with Site(platforms=(host_platform,), key=signing_key) as site:
        for version in (VERSION, "1.13.3"):
            site.publish(
                version, archives={host_platform: releases.make_archive(version, host_platform, padding=1 << 20)}
            )
        yield site


@pytest.fixture(scope="module")
def cases(play, fleet, big_site):
    """All ways to come to be who installs, in one play: a task for each."""

    def case(name, store="/opt/store", become=True, user=None, **variables):
        keywords = {"vars": variables, "ignore_errors": True, "become": become}
        if user:
            keywords["become_user"] = user
        if name in WAYS:
            keywords["when"] = "inventory_hostname in %r" % (list(WAYS[name]),)
        return task(name, big_site, "%s/%s" % (store, name), keywords)

    big_site.requests.clear()
    run = play(
        [
            case("root"),
            case("root-without-pipelining", ansible_pipelining=False),
            case("app", store="/home/app", user="app"),
            case("app-without-pipelining", store="/home/app", user="app", ansible_pipelining=False),
            case("nobody-else", store="/home/ops", become=False),
            case("tmp-elsewhere", ansible_remote_tmp="/tmp/elsewhere"),
            case("piped", ansible_ssh_transfer_method="piped"),
            dict(case("delegated"), delegate_to="h2", run_once=True),
            dict(case("poll"), **{"async": 120, "poll": 1}),
        ],
        hosts=fleet.inventory(),
        forks=4,
    )
    return run, [request.path for request in big_site.requests]


def test_all_of_it_took_one_download(cases, host_platform):
    run, paths = cases
    assert [path for path in paths if path.endswith(".zip")] == [
        "/terraform/%s/terraform_%s_%s.zip" % (VERSION, VERSION, host_platform)
    ], paths
    assert len(paths) == 3


def ran(cases, name):
    """The results of a way by host, where it was tried."""
    return {
        line["host"]: line["result"] for line in cases[0].lines if line["task"] == name and line["status"] != "skipped"
    }


@pytest.mark.parametrize(
    "name, store, owner",
    [
        ("root", "/opt/store", "root"),
        ("root-without-pipelining", "/opt/store", "root"),
        ("app", "/home/app", "app"),
        ("nobody-else", "/home/ops", "ops"),
        ("tmp-elsewhere", "/opt/store", "root"),
    ],
)
def test_every_host_ends_right(name, store, owner, cases, fleet):
    results = ran(cases, name)
    assert set(results) == set(WAYS[name])
    for host, result in results.items():
        assert result["changed"] and not result["failed"], result
        path = "%s/%s/%s/terraform" % (store, name, VERSION)
        assert (result["path"], result["owner"]) == (path, owner)
        assert result["binary_sha256"] == hash_of(fleet.at(host, path))
        assert any(step.startswith("controller: sent to %s: " % host) for step in result["steps"])


def test_without_pipelining_another_plain_user_needs_what_core_needs(cases, fleet):
    results = ran(cases, "app-without-pipelining")
    if os.path.exists(fleet.at("h1", "/usr/bin/setfacl")):
        for host in set(results) - {"h3"}:
            assert results[host]["changed"] and results[host]["owner"] == "app", results[host]
    assert results["h3"]["failed"] and "setfacl" not in str(fleet.run("h3", "ls", "/usr/bin").split())


def test_a_delegated_task_installs_where_it_was_delegated_to(cases, fleet):
    result = cases[0]["delegated"]
    assert result["changed"], result
    assert os.path.exists(fleet.at("h2", result["path"])) and not os.path.exists(fleet.at("h1", result["path"]))


def test_in_the_background_the_archive_is_there_before_the_job_starts(cases, fleet):
    assert ran(cases, "poll")
    for host, result in ran(cases, "poll").items():
        assert result["changed"] and not result["failed"], result
        assert result["binary_sha256"] == hash_of(fleet.at(host, result["path"]))
        assert all(step.startswith("target: ") for step in result["steps"]) and result["downloaded_bytes"] == 0


def test_nothing_is_left_in_remote_tmp(cases, fleet):
    assert cases[0].lines
    ends = time.monotonic() + 30  # seconds; who watches a job in the background looks every five, and tidies up then
    for host in FOUR:
        for place in ("/home/ops/.ansible/tmp", "/tmp/elsewhere", "/var/tmp", "/tmp"):
            left = os.path.isdir(fleet.at(host, place))
            while left and time.monotonic() < ends:
                left = fleet.run(host, "find", place, "-name", "terraform_*")
                time.sleep(1 if left else 0)
            assert not left, (host, left)


def test_a_damaged_transfer_is_named(cases):
    results = ran(cases, "piped")
    for host in set(results) - {"h4"}:
        assert results[host]["changed"] and not results[host]["failed"], results[host]
    result = results["h4"]
    assert result["failed"] and not result["changed"] and result["error"]["step"] == "verify", result
    assert result["msg"].startswith("h4: the transfer spoilt the archive: "), result["msg"]
    assert result["error"]["side"] == "target"


def test_unsigned_sums_come_from_the_controller_and_not_from_the_login_user(play, fleet, big_site, host_platform):
    """What is sent lies in the login user's directory, and so would what that user laid there."""

    def case(name, store, keywords, **options):
        return task(name, big_site, store, dict(keywords, ignore_errors=True), checksum_policy="sha256sums", **options)

    release, archive = big_site.release(VERSION), "terraform_%s_%s.zip" % (VERSION, host_platform)
    for name, data in ((archive, release.archives[host_platform]), ("terraform_%s_SHA256SUMS" % VERSION, release.sums)):
        with open(fleet.at("h1", "/home/ops/" + name), "wb") as file:
            file.write(data)
    root, app = {"become": True}, {"become": True, "become_user": "app"}
    run = play(
        [
            case("root", "/opt/unsigned", root),
            case("app", "/home/app/unsigned", app),
            case("ops", "/home/ops/unsigned", {}),
            case("laid", "/opt/laid", root, archive="/home/ops/" + archive),
        ],
        hosts=fleet.inventory("h1", "h3"),
        forks=2,
    )
    for name in ("root", "app", "ops"):
        for host, result in run.on_hosts(name).items():
            assert result["changed"] and result["verification"]["policy"] == "sha256sums", (host, result)
    laid = run.on_hosts("laid")["h1"]
    assert laid["failed"] and laid["error"]["step"] == "verify" and "/home/ops belongs to" in laid["msg"], laid


def test_hosts_cannot_reach_the_site(play, fleet, big_site, tmp_path):
    run = play(
        [task("direct", big_site, "/opt/direct", {"become": True, "ignore_errors": True}, download="target")],
        hosts=fleet.inventory("h1"),
    )
    assert run["direct"]["failed"] and run["direct"]["error"]["step"] in ("fetch", "setup"), run["direct"]


def test_a_full_remote_tmp_is_a_clear_error_and_that_of_one_host(play, fleet, big_site):
    fleet.run("h2", "mkdir", "/small")
    fleet.run("h2", "mount", "-t", "tmpfs", "-o", "size=600k,mode=1777", "tmpfs", "/small")
    own = fleet.inventory("h1", "h2")
    own["h2"]["ansible_remote_tmp"] = "/small/tmp"
    big_site.requests.clear()
    run = play(
        [
            task("install", big_site, "/opt/full", {"become": True, "ignore_errors": True}),
            task(
                "again",
                big_site,
                "/opt/full",
                {"become": True, "ignore_errors": True, "vars": {"ansible_remote_tmp": "/tmp/other"}},
            ),
        ],
        hosts=own,
        forks=2,
    )
    good, bad = run.on_hosts("install")["h1"], run.on_hosts("install")["h2"]
    assert good["changed"] and not good["failed"]
    assert bad["failed"] and not bad["changed"], bad
    assert (bad["error"]["side"], bad["error"]["host"], bad["error"]["errno_name"]) == ("target", "h2", "ENOSPC")
    assert bad["error"]["path"].startswith("/small/tmp/") and "bytes free" in bad["msg"] and "\n" not in bad["msg"]
    assert run.on_hosts("again")["h2"]["changed"] and big_site.counts(".zip").requests == 1
    assert fleet.run("h2", "find", "/small", "-name", "*.zip") == ""


@pytest.mark.parametrize("keywords", [{"strategy": "free"}, {"serial": 2}])
def test_strategies_and_batches_share_the_download(keywords, play, fleet, big_site):
    name = "%s-%s" % next(iter(keywords.items()))
    big_site.requests.clear()
    run = play(
        [task("install", big_site, "/opt/" + name, {"become": True})],
        hosts=fleet.inventory(),
        forks=4,
        keywords=keywords,
    )
    assert all(result["changed"] for result in run.on_hosts("install").values()), run.output
    assert big_site.counts(".zip").requests == 1


def test_no_option_of_the_controller_travels(play, fleet, big_site, tmp_path):
    run = play(
        [task("install", big_site, "/opt/traces", {"become": True}, cache_dir=str(tmp_path / "s3cr3t"), sites=None)],
        hosts=fleet.inventory("h1", ansible_pipelining=False),
        env={
            "ANSIBLE_KEEP_REMOTE_FILES": "1",
            "TERRAFORM_BINARY_TOKEN": "t0ken-of-the-controller",
            "TERRAFORM_BINARY_SITES": big_site.url,
        },
    )
    assert run["install"]["changed"], run.output
    sent = glob.glob(fleet.at("h1", "/home/ops/.ansible/tmp/*/AnsiballZ_terraform_binary.py"))
    assert sent
    for path in sent:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        assert "/opt/traces" in text and "s3cr3t" not in text and "t0ken-of-the-controller" not in text


def test_the_genuine_release_reaches_four_hosts_by_one_download(play, fleet, genuine_site, host_platform, tmp_path):
    if host_platform != "linux_amd64":
        pytest.skip("the genuine archive is one for linux_amd64")
    from release_site import Site

    with Site() as site:
        site.put_folder(genuine_site)
        options = {"version": "1.11.4", "base_dir": "/opt/genuine", "sites": [site.url], "link": "/usr/local/bin/tf"}
        run = play([{"name": "install", MODULE: options, "become": True}], hosts=fleet.inventory(), forks=4)
        assert run.returncode == 0, run.output
        assert site.counts(".zip").requests == 1
    for host, result in run.on_hosts("install").items():
        assert result["changed"] and result["size"] == 90579096, result
        assert "Terraform v1.11.4\n" in fleet.run(host, "/usr/local/bin/tf", "version")


class Story:
    """What the role does on three hosts, one play after the other: h1 and h2 with become, h3 as well until it is told not to."""

    STORE, LINK = "/opt/story", "/usr/local/bin/story"
    HOSTS = ("h1", "h2", "h3")
    ROLE = {"ansible.builtin.include_role": {"name": "iac_platform.terraform.terraform_binary"}}

    def __init__(self, play, fleet, site, keys):
        self._play, self._fleet, self._site = play, fleet, site
        self._variables = {"base_dir": self.STORE, "link": self.LINK, "sites": [site.url], "trusted_keys": keys}
        self._before = {host: self.in_remote_tmp(host) for host in self.HOSTS}  # what other tests left

    def in_remote_tmp(self, host):
        return set(
            self._fleet.run(host, "find", "/home/ops", "-path", "*/.ansible/tmp/*", "-name", "terraform*").splitlines()
        )

    def leaves_nothing(self, host):
        return self.in_remote_tmp(host) <= self._before[host]

    def _extra(self, options):
        options = dict(self._variables, **options)
        return {"terraform_binary_" + name: value for name, value in options.items()}

    def tell(self, changed=HOSTS, **options):
        """Run the role with these options: dict of host and result. The recap is that these hosts changed, and none failed."""
        self._site.requests.clear()
        hosts = self._fleet.inventory(*self.HOSTS, ansible_become=True)
        run = self._play([self.ROLE], hosts=hosts, forks=3, extra_vars=self._extra(options))
        assert run.returncode == 0, run.output
        results = run.on_hosts("Put Terraform in place")
        for host in self.HOSTS:
            assert self.recap(run, host, "changed") == int(host in changed), run.output
            assert results[host]["changed"] is (host in changed) and not results[host]["failed"], results[host]
        return results

    def audit(self, folder, dead, **options):
        """Run the audit, with h3 as a plain reader and a host that nobody answers for: (Run, the report)."""
        hosts = self._fleet.inventory(*self.HOSTS, ansible_become=True)
        hosts["h3"]["ansible_become"] = False
        hosts[dead] = dict(hosts["h1"], ansible_port=1)  # nobody listens there
        extra = dict(self._extra(options), terraform_binary_audit_dest=str(folder))
        run = self._play("iac_platform.terraform.audit", hosts=hosts, forks=4, extra_vars=extra)
        with open(str(folder / "terraform-audit.json"), encoding="utf-8") as file:
            return run, json.load(file)

    @staticmethod
    def recap(run, host, what):
        """A count of the recap, as it is on the screen."""
        (line,) = re.findall(r"(?m)^%s +: (.*)$" % host, run.stdout)
        return int(dict(pair.split("=") for pair in line.split())[what])

    def files(self, host):
        """What is in the store, and where the link leads to."""
        found = self._fleet.run(host, "find", self.STORE, "-mindepth", "1", "-type", "f", "-printf", "%P\\n").split()
        return sorted(found), self._fleet.run(host, "readlink", self.LINK).strip()

    def expected(self, linked, *versions):
        """The same for a store with these versions, and lock files of all that were ever in it."""
        names = [version + name for version in versions for name in ("/terraform", "/terraform.json")]
        locks = [".terraform-%s.lock" % name for name in ("1.11.4", "1.9.8", "link")]
        return sorted(names + locks), self.path(linked)

    def path(self, version):
        return "%s/%s/terraform" % (self.STORE, version)


@pytest.mark.skipif(not os.environ.get("TERRAFORM_BINARY_MATRIX"), reason="only in make matrix: two minutes of plays")
def test_the_whole_story_of_a_fleet_with_the_genuine_release(
    play, fleet, genuine_site, signing_key, host_platform, tmp_path
):
    """Install, upgrade, go back, keep, damage, audit, adopt, remove all: by the role, on real hosts."""
    if host_platform != "linux_amd64":
        pytest.skip("the genuine archive is one for linux_amd64")
    from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.hashicorp_key import HASHICORP_KEY
    from release_site import Site

    made, genuine = "1.9.8", "1.11.4"
    with Site(versions=(made,), platforms=(host_platform,), key=signing_key) as site:
        site.put_folder(genuine_site)
        story = Story(play, fleet, site, [HASHICORP_KEY, signing_key.armored])
        path = story.path(genuine)

        for host, result in story.tell(version=made).items():
            assert result["version"] == made and result["verification"]["signer"] == signing_key.fingerprint
            assert result["previous_version"] is None and result["link"] == story.LINK
            assert story.files(host)[1] == story.path(made)

        for host, result in story.tell(version=genuine).items():
            assert (result["previous_version"], result["size"]) == (made, 90579096), result
            assert result["verification"]["signer"] == "C874011F0AB405110D02105534365D9472D7468F"
            assert story.files(host) == story.expected(genuine, genuine, made)
            assert "Terraform v1.11.4\n" in fleet.run(host, story.LINK, "version")
        assert site.counts(".zip").requests == 1
        digest = result["binary_sha256"]

        for host, result in story.tell(version="previous").items():
            assert (result["version"], result["previous_version"], result["downloaded_bytes"]) == (made, genuine, 0)
            assert story.files(host) == story.expected(made, genuine, made)
        assert not site.requests

        for host, result in story.tell(version=genuine, keep=1).items():
            gone = "%s/%s" % (story.STORE, made)
            assert result["removed"] == [gone + "/terraform", gone + "/terraform.json", gone]
            assert result["intact_versions"] == [genuine] and story.files(host) == story.expected(genuine, genuine)
        assert not site.requests

        with open(fleet.at("h1", path), "r+b") as file:
            file.seek(1 << 20)
            file.write(bytes([file.read(1)[0] ^ 1]))
        os.unlink(fleet.at("h2", path + ".json"))
        inode = os.stat(fleet.at("h2", path)).st_ino
        before = {host: story.files(host) for host in story.HOSTS}

        run, report = story.audit(tmp_path, "h5", version=genuine)
        assert run.returncode == 2 and {host: story.files(host) for host in story.HOSTS} == before
        rows = {each["host"]: each for each in report["hosts"]}
        assert {host: row["status"] for host, row in rows.items()} == {
            "h1": "problem",
            "h2": "problem",
            "h3": "ok",
            "h5": "unreachable",
        }, report
        assert "sha256" in " ".join(rows["h1"]["problems"]) and "terraform.json is missing" in rows["h2"]["problems"][0]
        assert rows["h3"]["in_use"] == genuine and not rows["h3"]["problems"]
        assert "refused" in rows["h5"]["problems"][0] and rows["h5"]["info"] is None
        assert [story.recap(run, host, "failed") for host in story.HOSTS] == [1, 1, 0], run.output
        assert [story.recap(run, host, "changed") for host in ("h3", "h5")] == [0, 0]

        results = story.tell(version=genuine, adopt=True, changed=("h1", "h2"))
        words = {host: result["msg"].split()[2] for host, result in results.items()}
        assert words == {"h1": "reinstalled", "h2": "adopted", "h3": "is"}, results
        assert os.stat(fleet.at("h2", path)).st_ino == inode and results["h2"]["binary_sha256"] == digest
        for host in story.HOSTS:
            assert hash_of(fleet.at(host, path)) == digest and story.files(host) == story.expected(genuine, genuine)

    for host, result in story.tell(version="all", state="absent").items():
        assert result["removed"][-1] == story.STORE and result["intact_versions"] == [], result
        left = fleet.run(host, "find", "/opt", "/usr/local/bin", "/tmp", "/home/ops/.ansible", "-path", "*story*")
        assert left == "" and not os.path.lexists(fleet.at(host, story.LINK))
        assert story.leaves_nothing(host)
    story.tell(version="all", state="absent", changed=())


def _python36():
    """The prefix of a Python 3.6 on this machine, or None."""
    names = [shutil.which("python3.6")] + glob.glob(os.path.expanduser("~/.pyenv/versions/3.6*/bin/python3.6"))
    for name in filter(None, names):
        reported = subprocess.run(
            [name, "-c", "import sys; print(sys.base_prefix)"], stdout=subprocess.PIPE, text=True, check=False
        )
        if reported.returncode == 0:
            return reported.stdout.strip()
    return None


def test_a_host_whose_only_python_is_3_6(play, big_site, tmp_path):
    """From ansible-core 2.17 on, AnsibleModule does not start there; the script does."""
    prefix = _python36()
    if prefix is None:
        pytest.skip("there is no Python 3.6 on this machine")
    with SshHosts(str(tmp_path)) as hosts:
        hosts.add("old", python=prefix)
        hosts.await_all()
        run = play([task("install", big_site, "/opt/store", {"become": True})], hosts=hosts.inventory())
        assert run["install"]["changed"], run.output
        assert hosts.run("old", "find", "/usr/bin", "-name", "python3*") == ""
        assert run["install"]["binary_sha256"] == hash_of(hosts.at("old", run["install"]["path"]))


@pytest.fixture(scope="module")
def other_debian(tmp_path_factory):
    """A tar file of another Debian: TERRAFORM_BINARY_DEBIAN, made there if it is missing, else made for this run."""
    path = os.environ.get("TERRAFORM_BINARY_DEBIAN") or str(tmp_path_factory.mktemp("debian") / "trixie.tar")
    if not os.path.exists(path):
        if os.geteuid() or not shutil.which("mmdebstrap"):
            pytest.skip("another Debian takes root and mmdebstrap")
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,sudo,openssh-server", "trixie", path],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if made.returncode:
            pytest.skip("mmdebstrap: %s" % made.stdout.decode("utf-8", "replace").strip()[-300:])
    return path


@pytest.mark.skipif(not os.environ.get("TERRAFORM_BINARY_MATRIX"), reason="only in make matrix: it makes a Debian")
def test_a_host_with_another_debian_and_nothing_but_python(play, big_site, other_debian, tmp_path):
    with SshHosts(str(tmp_path)) as hosts:
        hosts.add("trixie", tree=other_debian)
        hosts.await_all()
        step = task("install", big_site, "/opt/store", {"become": True}, link="/usr/local/bin/terraform")
        run = play([step, dict(step, name="again")], hosts=hosts.inventory())
        assert run["install"]["changed"] and not run["again"]["changed"], run.output
        with open(hosts.at("trixie", "/etc/os-release"), encoding="utf-8") as file:
            assert "VERSION_CODENAME=trixie" in file.read()
        assert hosts.run("trixie", "/usr/local/bin/terraform", "version").startswith("Terraform v" + VERSION)
        for absent in ("unzip", "gpg", "gpgv", "curl"):
            assert not os.path.exists(hosts.at("trixie", "/usr/bin/" + absent))
        with pytest.raises(subprocess.CalledProcessError):
            hosts.run("trixie", "python3", "-c", "import requests")


def test_the_receipts_of_all_hosts_name_the_site(cases, fleet, big_site):
    assert cases[0].on_hosts("root")
    for host in FOUR:
        with open(fleet.at(host, "/opt/store/root/%s/terraform.json" % VERSION), encoding="utf-8") as file:
            receipt = json.load(file)
        assert receipt["origin"] == big_site.url and receipt["signer"] == big_site.key.fingerprint
        assert receipt["platform"].endswith({"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()])
