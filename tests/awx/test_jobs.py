# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped playbooks as jobs of AWX; the long form (TERRAFORM_BINARY_MATRIX) has more answers, users and kinds of jobs."""

import os
import pathlib
import shutil
import sys

import pytest
from ansible.release import __version__

LONG = pytest.mark.skipif(not os.environ.get("TERRAFORM_BINARY_MATRIX"), reason="the long form: make matrix")
AS_ANOTHER = pytest.mark.skipif(
    os.geteuid() != 0
    or not shutil.which("setpriv")
    or not all(folder.stat().st_mode & 0o001 for folder in pathlib.Path(sys.executable).parents),
    reason="root and setpriv become another user, who has to reach %s" % sys.executable,
)
VERSION, TOKEN = "1.13.4", "SECRET-OF-MIRROR"
LOOK, FAIL = "Put Terraform in place", "Fail with what the module said"
AUDIT, DRIFT = "See what would change", "Fail where something is wrong or would change"
CORE = tuple(int(part) for part in __version__.split(".")[:2])
OTHER_UID = 45321  # in no list of accounts


@pytest.fixture(scope="module")
def mirror(signing_key):
    """A mirror that speaks TLS with a certificate of its own authority: 1.13.3 and 1.13.4."""
    from release_site import Site

    with Site(versions=("1.13.3", VERSION), key=signing_key, tls=True) as site:
        yield site


@pytest.fixture(scope="module")
def credential(mirror, folder):
    """The environment that the type of credential of playbooks/awx.yml makes, with everything filled in."""
    path = os.path.join(folder, "ca")
    with open(path, "w", encoding="ascii") as file:
        file.write(mirror.ca_pem)
    os.chmod(path, 0o644)
    return {"TERRAFORM_BINARY_SITES": mirror.url, "TERRAFORM_BINARY_TOKEN": TOKEN, "REQUESTS_CA_BUNDLE": path}


@pytest.fixture(scope="module")
def launch(jobs, folder, mirror, credential):
    """callable(playbook, hosts, answers, **how) -> Job: with what the template says, and the version unless it is answered."""

    def run(playbook, hosts=None, answers=None, template=None, base_dir=folder + "/{{ inventory_hostname }}", **how):
        own = {
            "terraform_binary_report": True,
            "terraform_binary_trusted_keys": [mirror.key.armored],
            "terraform_binary_base_dir": base_dir,
        }
        return jobs.run(
            playbook,
            answers=dict({"terraform_binary_version": VERSION}, **(answers or {})),
            environment=credential,
            template={key: value for key, value in dict(own, **(template or {})).items() if value is not None},
            hosts={name: {} for name in hosts or ()},
            **how,
        )

    return run


@pytest.fixture(scope="module")
def installed(launch, mirror):
    """The first job, with every question answered, in quotes and blank as people do it."""
    mirror.requests.clear()
    job = launch(
        "install",
        ["one", "two"],
        {
            "terraform_binary_version": '"%s"' % VERSION,
            "terraform_binary_checksum_policy": "signature",
            "terraform_binary_run_check": "true",
            "terraform_binary_hosts": "",
            "terraform_binary_link": "",
        },
        switches="--diff",
    )
    return job, list(mirror.requests)


@pytest.fixture(scope="module")
def audited(launch, installed):
    """The next job of a workflow, which gets the artifacts of the one before; limited, as a launch may be."""
    return launch("audit", ["one", "two", "new", "other"], template=installed[0].artifacts, switches="-l two:new")


def test_a_job_installs_on_all_hosts(installed, folder):
    job = installed[0]
    assert job.status == "successful" and job.returncode == 0, job.events
    for host in ("one", "two"):
        path = "%s/%s/%s/terraform" % (folder, host, VERSION)
        assert os.access(path, os.X_OK) and job.results(LOOK)[host]["verification"]["policy"] == "signature"
        assert job.report[host]["path"] == path and job.report[host]["changed"] and not job.report[host]["failed"]


def test_the_credential_reaches_the_mirror_and_is_in_no_event(installed):
    job, requests = installed
    assert {request.headers.get("authorization") for request in requests} == {"Bearer " + TOKEN}
    assert len([request for request in requests if request.path.endswith(".zip")]) == 1  # one download for all hosts
    assert TOKEN not in str(job.events) + job.stdout


def test_what_changed_is_a_live_event_of_each_host(installed):
    reported = [
        line for line in installed[0].live if "Terraform %s installed" % VERSION in line
    ]  # others may say who waits
    assert sorted(line.partition("[")[2].partition("]")[0] for line in reported) == ["one", "two"]


def test_events_are_small_and_the_diff_is_among_them(installed):
    events = installed[0].events
    assert max(len(str(event)) for event in events) < 20000
    assert len([event for event in events if event["event"] == "runner_on_file_diff"]) == 2


def test_the_fact_of_each_host_is_cached_under_the_name_of_this_core(installed):
    """AWX 24.6.1 knows the name of the host alone: from core 2.19 on its tab of facts stays as it is."""
    assert set(installed[0].facts) == {("s1_" if CORE >= (2, 19) else "") + host for host in ("one", "two")}


def test_an_audit_is_red_where_a_host_has_drifted(audited, folder):
    line = "Terraform %s would be installed at %s/new/%s/terraform" % (VERSION, folder, VERSION)
    assert audited.status == "failed" and audited.returncode != 0
    assert set(audited.results(AUDIT)) == {"two", "new"}
    assert audited.results(DRIFT)["new"]["msg"] == line and set(audited.stats["failures"]) == {"new"}
    assert not os.path.exists(os.path.join(folder, "new"))


def test_an_audit_reports_what_would_change_and_why(audited):
    assert {
        host: (found["changed"], found["failed"], "would be installed" in found["msg"])
        for host, found in audited.report.items()
    } == {"two": (False, False, False), "new": (True, False, True)}


@AS_ANOTHER
def test_in_a_container_of_a_random_user_without_a_home(launch, folder, monkeypatch):
    place = os.path.join(folder, "tmp")
    os.mkdir(place)
    os.chmod(place, 0o1777)
    monkeypatch.setenv("TMPDIR", place)
    job = launch("install_localhost", base_dir=None, uid=OTHER_UID, home=False)
    path = "%s/terraform-binaries-%d/%s/terraform" % (place, OTHER_UID, VERSION)
    assert job.status == "successful" and job.report["localhost"]["path"] == path, job.output
    assert os.stat(path).st_uid == OTHER_UID


# The long form

ANSWERS = {  # name: (answers, words in the failure; None: it succeeds)
    "blank-answers": (
        {
            "terraform_binary_%s" % name: ""
            for name in ("state", "link", "mode", "owner", "retries", "offline_ok", "checksum", "download", "url_token")
        },
        None,
    ),
    "right-answers": (
        {
            "terraform_binary_mode": "0755",
            "terraform_binary_run_check": "yes",
            "terraform_binary_retries": "3",
            "terraform_binary_timeout": 30,
            "terraform_binary_progress": "false",
        },
        None,
    ),
    "1.10": ({"terraform_binary_version": "1.10"}, "~> 1.10.0"),
    "nothing": ({"terraform_binary_version": ""}, "version is not given"),
    "blanks": ({"terraform_binary_version": "  "}, "version is not given"),
    "date": ({"terraform_binary_version": "2026-11-27"}, "2026-11-27"),
    "list": ({"terraform_binary_version": "[1, 2]"}, "[1, 2]"),
    "template": ({"terraform_binary_version": "{{ 1 + 1 }}"}, "{{ 1 + 1 }}"),
    "unknown": ({"terraform_binary_vresion": VERSION}, "did you mean terraform_binary_version"),
}


@LONG
@pytest.mark.parametrize("name", ANSWERS)
def test_answers_of_a_survey(name, launch):
    answers, words = ANSWERS[name]
    job = launch("install", [name], answers)
    assert job.status == ("failed" if words else "successful"), job.report
    if words is not None:
        error = job.report[name]["error"]
        assert words in error and error == job.results(FAIL)[name]["msg"]


@LONG
@pytest.mark.parametrize(
    "answers",
    [{"terraform_binary_mode": "755"}, {"terraform_binary_retries": "yes"}, {"terraform_binary_url_token": "1.10"}],
    ids=str,
)
def test_what_newer_cores_make_of_an_answer_is_refused_with_what_to_write(answers, launch):
    """Up to ansible-core 2.18 answers stay texts: 755 is a mode then, 1.10 a token, and only yes is no number."""
    (name,) = answers
    job = launch("install", ["odd"], answers)
    report = job.report["odd"]
    if CORE < (2, 19) and "retries" not in name:
        assert not report["failed"]
    else:
        assert report["failed"] and name[len("terraform_binary_") :] in report["error"]
        assert "mode" not in name or "write 0755, with the zero" in report["error"]


@LONG
def test_a_check_job_is_green_and_changes_nothing(launch, folder):
    job = launch("install", ["checked"], switches="--check")
    assert job.status == "successful" and job.report["checked"]["changed"] and not os.path.exists(folder + "/checked")


@LONG
def test_an_audit_is_green_where_all_is_right_and_red_again_after_a_removal(launch, installed):
    assert launch("audit", ["one"]).status == "successful"
    removed = launch("remove", ["one"])
    assert removed.status == "successful" and removed.report["one"]["changed"]
    assert launch("audit", ["one"]).status == "failed"
    nothing = launch("remove", ["one"], {"terraform_binary_version": ""})
    assert nothing.status == "failed" and "version is not given" in nothing.report["one"]["error"]


@LONG
def test_slices_know_nothing_of_each_other(launch):
    for part in (["s1", "s3"], ["s2"]):
        job = launch("install", part)
        assert job.status == "successful" and set(job.report) == set(part) and len(job.facts) == len(part)


@LONG
@AS_ANOTHER
@pytest.mark.parametrize("uid", [OTHER_UID, 1000])
def test_in_a_container_with_a_home(launch, uid):
    job = launch("install_localhost", base_dir=None, uid=uid)
    assert job.status == "successful" and "/runner/.local/share/terraform-binaries/" in job.report["localhost"]["path"]


@LONG
@AS_ANOTHER
def test_where_one_may_not_write_the_hint_says_what_to_do(launch, folder):
    os.makedirs(folder + "/closed", exist_ok=True)
    job = launch("install", ["localhost"], base_dir=folder + "/closed/store", uid=OTHER_UID)
    assert job.status == "failed" and "may not write to" in job.report["localhost"]["error"]
    assert "choose another base_dir" in job.report["localhost"]["error"]


@LONG
def test_as_root_the_place_is_that_which_is_given(launch, folder):
    job = launch("install_localhost", base_dir=folder + "/own")
    assert job.status == "successful" and job.report["localhost"]["path"].startswith(folder + "/own/")
