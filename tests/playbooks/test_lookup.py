# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup terraform_versions in a playbook, beside the module: one play on two hosts, in check mode."""

import json
import pathlib
import re

import pytest
from playbook_run import MODULE

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]

LOOKUP = "iac_platform.terraform.terraform_versions"
TOKEN = "t0ken-of-alice"
REFUSED = {  # words of the message -> an expression
    "platform 'linux_z80' is not known": "query('%s', platform='linux_z80')" % LOOKUP,
    "write '~> 1.13.0' or '= 1.13'": "query('%s', '1.13')" % LOOKUP,
    "sites is given by an option: a token from there goes only to sites from there": "query('%s', sites=site)" % LOOKUP,
    "HTTP 401 Unauthorized": "query('%s', sites=site, url_token=another)" % LOOKUP,
}
ANOTHER = "t0ken-of-nobody"


@pytest.fixture(scope="module")
def run(play, module_site, folder):
    from release_site import misbehaviours

    site = module_site
    site.misbehave("*", misbehaviours.demand("Authorization", "Bearer " + TOKEN))
    listed = {
        "list": "{{ query('%s', '~> 1.13.0', platform='linux_amd64') }}" % LOOKUP,
        "text": "{{ lookup('%s', platform=nothing | default(omit), timeout='30') }}" % LOOKUP,
        "none": "{{ query('%s', '~> 2.0') }}" % LOOKUP,
        "ignored": "{{ query('%s', sites='file:///nowhere', errors='ignore', url_token=another) }}" % LOOKUP,
    }
    tasks = [{"name": name, "ansible.builtin.debug": {"msg": text}} for name, text in listed.items()]
    tasks += [
        {
            "name": "check",
            "ansible.builtin.assert": {"that": "query('%s', '1.13.4', platform='linux_amd64') | length == 1" % LOOKUP},
        },
        {"name": "install", MODULE: dict(version="~> 1.13.0", base_dir=folder, trusted_keys=[site.key.armored])},
    ]
    tasks += [
        {"name": words, "ansible.builtin.debug": {"msg": "{{ %s }}" % text}, "ignore_errors": True}
        for words, text in REFUSED.items()
    ]
    failing = "query('%s', sites=site[0] + '/none', url_token=token, errors='ignore') | length > 0" % LOOKUP
    tasks.append({"name": "until", "ansible.builtin.debug": {"msg": "x"}, "until": failing, "retries": 1, "delay": 0})
    return play(
        tasks,
        hosts=("h1", "h2"),
        keywords={"vars": {"site": [site.url], "another": ANOTHER, "token": TOKEN}},
        check=True,
        verbosity=3,
        env={"TERRAFORM_BINARY_SITES": site.url, "TERRAFORM_BINARY_TOKEN": TOKEN},
    )


def test_what_it_lists(run):
    for host in ("h1", "h2"):
        listed = {name: run.on_hosts(name)[host].get("msg") for name in ("list", "text", "none")}
        assert listed == {"list": ["1.13.4", "1.13.3"], "text": "1.13.4,1.13.3,1.9.8", "none": []}
        assert run.on_hosts("check")[host]["msg"] == "All assertions passed"


def test_the_module_chooses_the_first_and_asks_for_no_other_index(run, module_site):
    for host in ("h1", "h2"):
        assert run.on_hosts("install")[host]["version"] == run.on_hosts("list")[host]["msg"][0]
    assert len([request for request in module_site.requests if request.path == "/terraform/index.json"]) == 2, (
        "one for all that have the token, and one for those who have another"
    )


def test_a_site_that_fails_is_asked_once_for_both_hosts_and_again_by_until(run, module_site):
    assert all(run.on_hosts("until")[host]["failed"] for host in ("h1", "h2"))
    assert len([request for request in module_site.requests if request.path.startswith("/none/")]) == 2


@pytest.mark.parametrize("words", sorted(REFUSED))
def test_what_it_refuses(run, words):
    for host in ("h1", "h2"):
        message = run.on_hosts(words)[host]["msg"]
        assert words in message and "controller: " in message, message


def test_an_error_can_be_ignored(run):
    assert not run.on_hosts("ignored")["h1"].get("failed")


def test_no_secret_is_shown(run):
    assert "controller: " in run.output and TOKEN not in run.output and ANOTHER not in run.output


def test_the_survey_of_the_guide(play, module_site, tmp_path):
    (text,) = [
        found for found in re.findall(r"(?ms)^```yaml\n(.*?)^```$", read("docs/guides/awx.md")) if LOOKUP in found
    ]
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "awx-survey.json").write_text(read("files/awx-survey.json"), encoding="utf-8")
    (tmp_path / "survey.yml").write_text(text, encoding="utf-8")
    environment = {"TERRAFORM_BINARY_SITES": module_site.url, "TERRAFORM_BINARY_TOKEN": TOKEN}
    result = play(str(tmp_path / "survey.yml"), env=environment)["Write the survey"]
    assert result["changed"], result
    before, after = (
        json.loads((tmp_path / name).read_text(encoding="utf-8"))
        for name in ("files/awx-survey.json", "awx-survey.json")
    )
    question = after["spec"].pop(0)
    assert question["variable"] == before["spec"].pop(0)["variable"] == "terraform_binary_version" and after == before
    assert (question["type"], question["default"]) == ("multiplechoice", "1.13.4")
    assert question["choices"] == ["1.13.4", "1.13.3", "1.9.8"]


def read(name):
    return (CHECKOUT / name).read_text(encoding="utf-8")
