# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup against real sites, good and bad ones: what it lists, what it refuses, whom it asks, and what it lets out."""

import collections
import multiprocessing
import os
import stat
import sys
import types

import pytest

if sys.version_info < (3, 9):
    pytest.skip("controller code needs Python 3.9", allow_module_level=True)

yaml = pytest.importorskip("yaml")
constants = pytest.importorskip("ansible.constants")
AnsibleLookupError = pytest.importorskip("ansible.errors").AnsibleLookupError
DataLoader = pytest.importorskip("ansible.parsing.dataloader").DataLoader
VaultLib, VaultSecret = (
    getattr(pytest.importorskip("ansible.parsing.vault"), name) for name in ("VaultLib", "VaultSecret")
)
lookup = pytest.importorskip("ansible_collections.iac_platform.terraform.plugins.lookup.terraform_versions")

from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors, _source  # noqa: E402
from ansible_collections.iac_platform.terraform.plugins.module_utils._argument_spec import SPEC  # noqa: E402
from ansible_collections.iac_platform.terraform.plugins.module_utils._request import network  # noqa: E402

TOKEN = "t0ken-of-alice"
SITES, VARIABLE = "TERRAFORM_BINARY_SITES", "TERRAFORM_BINARY_TOKEN"
FINAL = ["1.13.4", "1.13.3", "1.9.8"]


class Run:
    """One run of Ansible: ``lookup()`` is a lookup of it, ``lines`` and ``warnings`` are what they displayed."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.local_tmp = folder / "ansible-local"
        self.local_tmp.mkdir()
        self.lines, self.warnings = [], []
        self.loader = DataLoader()
        self.loader.set_basedir(str(folder))
        self.loader.set_vault_secrets([("default", VaultSecret(b"a password"))])
        monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(self.local_tmp))
        monkeypatch.setattr(lookup.display, "vvv", self.lines.append)
        monkeypatch.setattr(lookup.display, "warning", self.warnings.append)
        for name in list(os.environ):
            if name.startswith("TERRAFORM_BINARY_") or name.lower().endswith("_proxy"):
                monkeypatch.delenv(name)

    def lookup(self, *terms, variables=None, **options):
        options.setdefault("retries", 1)
        plugin = lookup.LookupModule(loader=self.loader, templar=None)
        return plugin.run(list(terms), variables=dict({"inventory_hostname": "web1"}, **(variables or {})), **options)

    def refusal(self, *terms, **options):
        """The message: one line, which begins with the machine, says what to do, and has no secret in it."""
        with pytest.raises(AnsibleLookupError) as caught:
            self.lookup(*terms, **options)
        message = str(caught.value)
        assert message.startswith("controller: ") and "; " in message and message.isprintable(), message
        assert len(message) <= _errors.MESSAGE_LIMIT and caught.value.__cause__ is None, message
        assert TOKEN not in message + "".join(self.lines + self.warnings)
        return message


@pytest.fixture
def run(tmp_path, monkeypatch):
    return Run(tmp_path, monkeypatch)


@pytest.fixture
def other(signing_key):
    """A second site, with newer versions."""
    from release_site import Site

    with Site(versions=("1.13.4", "1.14.0-rc1", "1.14.0"), key=signing_key) as running:
        yield running


@pytest.fixture
def secure(signing_key):
    """A site with TLS, and a certificate of an authority of its own."""
    from release_site import Site

    with Site(versions=("1.13.4",), key=signing_key, tls=True) as running:
        yield running


@pytest.fixture
def wrong():
    from release_site import misbehaviours

    return misbehaviours


@pytest.mark.parametrize(
    "terms, expected",
    [
        ([], FINAL),
        ([None, "", " "], FINAL),
        (["latest"], ["1.13.4"]),
        (["~> 1.13.0"], ["1.13.4", "1.13.3"]),
        (["< 1.13.4, != 1.13.3"], ["1.9.8"]),
        (["v1.13.3"], ["1.13.3"]),
        (["1.13.9"], []),
        (["~> 2.0"], []),
        (["= 1.13.3"], ["1.13.3"]),
        (["1.9.8", "latest", "~> 1.13.0"], FINAL),
        ([["1.9.8", "~> 1.13.0"]], FINAL),
        (["1.14.0-rc1"], ["1.14.0-rc1"]),
        ([">= 1.14.0-alpha1"], ["1.14.0-rc1"]),
        (["all"], ["1.14.0-rc1"] + FINAL),
    ],
)
def test_what_matches_comes_newest_first(run, site, terms, expected):
    site.publish("1.14.0-rc1")
    assert run.lookup(*terms, sites=[site.url]) == expected and not run.warnings


def test_only_versions_that_the_platform_has_a_build_of(run, site):
    site.publish("1.13.5", platforms=("linux_arm64",))
    site.publish("1.13.6", platforms=())
    assert run.lookup(sites=[site.url], platform="linux_amd64") == FINAL
    assert run.lookup("latest", sites=[site.url], platform="linux_arm64") == ["1.13.5"]
    assert run.lookup(sites=[site.url]) == ["1.13.5"] + FINAL, "a version that nobody can install"
    assert "platform 'linux_z80' is not known" in run.refusal(sites=[site.url], platform="linux_z80")


def test_the_first_site_that_has_one(run, site, other):
    sites = [site.url, other.url]
    assert run.lookup(sites=sites) == FINAL and not other.requests
    assert run.lookup("~> 1.14.0", sites=sites) == ["1.14.0"]
    assert run.lookup("~> 1.14.0", "1.9.8", sites=",".join(sites)) == ["1.14.0", "1.9.8"]
    assert run.lookup("~> 1.15.0", sites=sites, platform="linux_amd64") == [] and not run.warnings
    assert any(
        line == "controller: ~> 1.15.0: %s lists 3 versions, and none for linux_amd64 that matches" % other.url
        for line in run.lines
    ), run.lines


def test_a_site_that_fails_is_passed_over(run, site, other, wrong):
    site.misbehave("*", wrong.status(403))
    assert run.lookup("~> 1.14.0", sites=[site.url, other.url]) == ["1.14.0"]
    assert len(run.warnings) == 1 and run.warnings[0].startswith("controller: site failed: %s: " % site.url)


def test_that_nobody_has_it_is_not_said_while_a_site_is_silent(run, site, other, wrong):
    site.misbehave("*", wrong.status(404))
    message = run.refusal("~> 1.15.0", sites=[site.url, other.url])
    assert "no site has ~> 1.15.0: %s lists 3 versions, and none that matches | index from " % other.url in message


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("status", (401,), "HTTP 401"),
        ("status", (404,), "HTTP 404 Not Found; look whether the site has this file"),
        ("status", (410,), "HTTP 410"),
        ("status", (503,), "try again later"),
        ("html_200", (), "is a web page"),
        ("empty", (), "is not JSON"),
        ("replace", (b"{}",), "has no versions in it; look what answers at that URL"),
        ("replace", (b'{"name": "vault", "versions": {}}',), "is about vault"),
        ("replace", (b"[\x1b[31m\n",), "is not JSON"),
        ("truncate", (100,), "ended too early"),
        ("endless_body", (), "at most"),
        ("endless_headers", (), "index from "),
        ("redirect_loop", (), "redirect"),
        ("close_before_reply", (), "look at the network"),
        ("garbage_status", (), "is not HTTP/1.1"),
    ],
)
def test_a_site_that_sends_something_else(run, site, wrong, monkeypatch, name, arguments, words):
    monkeypatch.setattr(_source, "INDEX_CAP", 1 << 16)
    site.misbehave("*index.json", getattr(wrong, name)(*arguments))
    message = run.refusal(sites=[site.url], url_token=TOKEN)
    assert words in message and "an exact version" not in message, message


def test_a_folder_without_an_index(run, tmp_path):
    assert run.refusal("1.13.4", sites=["file://%s" % tmp_path]).endswith("; look whether that folder has this file")
    above = run.refusal(sites=["file://%s/terraform" % tmp_path])
    assert above.endswith("; name the folder above terraform in sites: file://%s" % tmp_path)


def test_a_site_is_asked_once_a_run(run, site, tmp_path, monkeypatch):
    assert run.lookup(sites=[site.url]) == FINAL
    site.publish("1.13.5")
    assert run.lookup("latest", "1.9.8", sites=[site.url], platform="linux_amd64") == ["1.13.4", "1.9.8"]
    assert site.counts("index.json").requests == len(site.requests) == 1
    assert run.lookup("latest", sites=[site.url], url_token=TOKEN) == ["1.13.5"], "others may see other files"
    (tmp_path / "next").mkdir()
    assert Run(tmp_path / "next", monkeypatch).lookup("latest", sites=[site.url]) == ["1.13.5"]


def test_a_site_that_failed_is_not_asked_again_for_each_host_of_a_task(run, site, wrong, monkeypatch):
    site.misbehave("*", wrong.status(500))
    worker = multiprocessing.current_process()
    monkeypatch.setattr(worker, "_task", types.SimpleNamespace(_uuid="one"), raising=False)
    monkeypatch.setattr(lookup, "_TRIES", collections.Counter())
    assert "HTTP 500" in run.refusal(sites=[site.url])
    monkeypatch.setattr(lookup, "_TRIES", collections.Counter())  # another host, so another process
    message = run.refusal("latest", sites=[site.url], variables={"inventory_hostname": "web2"})
    assert message.endswith("failed for web1 (HTTP 500 Internal Server Error); see web1") and len(site.requests) == 1
    run.refusal(sites=[site.url])
    assert len(site.requests) == 2, "the next attempt, by until for example"
    monkeypatch.setattr(worker, "_task", types.SimpleNamespace(_uuid="two"))
    run.refusal(sites=[site.url])
    assert len(site.requests) == 3, "the next task"


def test_without_a_task_each_lookup_asks_a_site_that_failed(run, site, wrong):
    site.misbehave("*", wrong.status(500), times=2)
    for _times in range(2):
        assert "HTTP 500" in run.refusal(sites=[site.url])
    assert run.lookup(sites=[site.url]) == FINAL


def test_what_came_and_was_no_index_is_asked_for_again(run, site, wrong):
    site.misbehave("*", wrong.replace(b"{}"), times=1)
    assert "has no versions in it" in run.refusal(sites=[site.url])
    assert run.lookup(sites=[site.url]) == FINAL


def test_what_is_written_only_we_can_read(run, site):
    run.lookup(sites=[site.url])
    modes = {
        stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode)
        for folder, folders, names in os.walk(str(run.local_tmp))
        for name in folders + names
    }
    assert modes == {0o700, 0o600}


def test_credentials_go_to_the_named_site_and_are_not_shown(run, site, other, wrong):
    site.misbehave("*index.json", wrong.demand("Authorization", "Bearer " + TOKEN))
    assert run.lookup("latest", sites=[site.url], url_token=TOKEN) == ["1.13.4"]
    site.behave()
    site.misbehave("*index.json", wrong.redirect(other.url + "/{path}?token=" + TOKEN))
    assert run.lookup("latest", sites=[site.url], url_token=TOKEN, timeout=29) == ["1.14.0"]
    assert "Authorization" not in other.requests[-1].headers
    assert TOKEN not in "".join(run.lines + run.warnings)
    assert "are not for the public site" in run.refusal(url_token=TOKEN)
    assert "url_token and url_username are both given" in run.refusal(
        sites=[site.url], url_token=TOKEN, url_username="alice"
    )


def test_a_secret_in_what_a_site_says_is_masked(run, site, wrong):
    site.misbehave("*index.json", wrong.redirect("http://127.0.0.1:1/" + TOKEN))
    message = run.refusal(sites=[site.url], url_token=TOKEN)
    assert "127.0.0.1:1/********" in message, message


def test_a_secret_in_any_line_or_error_is_masked(run, site, monkeypatch):
    """Whoever made it: what follows is what would be left if a step forgot."""

    def fail(order, listing_of, log):
        for warning in (False, True):
            log("as %s says\n" % TOKEN, warning)
        raise _errors.FetchError("as %s says" % TOKEN, hint="ask %s" % TOKEN)

    monkeypatch.setattr(lookup, "offered_versions", fail)
    assert run.refusal(sites=[site.url], url_token=TOKEN) == "controller: as ******** says; ask ********"
    assert run.lines == run.warnings == ["controller: as ******** says?"]


def test_secrets_of_ansible_vault(run, site, wrong):
    """Up to ansible-core 2.18 they come as objects; from 2.19 on as text."""

    class Encrypted:
        __ENCRYPTED__ = True

        def __str__(self):
            return TOKEN

    site.misbehave("*index.json", wrong.demand("X-Key", TOKEN))
    assert run.lookup("latest", sites=[site.url], url_headers={"X-Key": Encrypted()}) == ["1.13.4"]


@pytest.mark.parametrize(
    "omitted, variables", [("__omit_place_holder__5", {"omit": "__omit_place_holder__5"}), (lookup._OMIT, {})]
)
def test_omit_and_blank_count_as_not_given(run, site, omitted, variables):
    found = run.lookup(
        omitted, sites=[site.url], platform=omitted, url_token=omitted, ca_path=" ", timeout=None, variables=variables
    )
    assert found == FINAL and "Authorization" not in site.requests[0].headers


def test_sites_and_token_of_the_environment(run, site, wrong, monkeypatch):
    site.misbehave("*index.json", wrong.demand("Authorization", "Bearer " + TOKEN))
    monkeypatch.setenv(SITES, site.url)
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert run.lookup("latest") == ["1.13.4"]
    refused = run.refusal(sites=[site.url])
    assert "%s is set for the controller, and sites is given by an option" % VARIABLE in refused
    assert "ca_path, given by an option" in run.refusal(ca_path="/tmp/mine.pem")
    monkeypatch.delenv(SITES)
    assert "%s is not set" % SITES in run.refusal()


def test_an_authority_of_ones_own(run, secure):
    assert "ca_path" in run.refusal(sites=[secure.url])
    (run.folder / "files").mkdir()
    (run.folder / "files" / "ours.pem").write_text(secure.ca_pem)
    assert run.lookup(sites=[secure.url], ca_path="ours.pem") == ["1.13.4"]
    assert run.lookup(sites=[secure.url], validate_certs=False) == ["1.13.4"]
    assert "validate_certs false is refused" in run.refusal(validate_certs=False)
    assert "neither a file nor a folder on the controller" in run.refusal(sites=[secure.url], ca_path="theirs.pem")
    assert not run.warnings


def test_a_file_that_ansible_vault_encrypted(run, secure, monkeypatch):
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(run.local_tmp))
    encrypted = run.folder / "ours.pem"
    encrypted.write_bytes(VaultLib([("default", VaultSecret(b"a password"))]).encrypt(secure.ca_pem))
    assert run.lookup(sites=[secure.url], ca_path="ours.pem") == ["1.13.4"]
    assert not run.loader._tempfiles, "a decrypted copy stays"
    encrypted.write_bytes(VaultLib([("default", VaultSecret(b"another"))]).encrypt(secure.ca_pem))
    message = run.refusal(sites=[secure.url], ca_path="ours.pem")
    assert "is encrypted by ansible-vault, and is not decrypted" in message and "--vault-id" in message


@pytest.mark.parametrize(
    "terms, options, words",
    [
        (["1.10"], {}, "write '~> 1.10.0' or '= 1.10'"),
        ([1.1], {}, "version is the number 1.1"),
        ([{"a": 1}], {}, "version is a mapping"),
        (["newest please"], {}, "version "),
        ([], {"site": "https://one.example"}, "did you mean sites? ansible-doc -t lookup iac_platform.terraform."),
        ([], {"version": "1.13.4"}, "version is no option of iac_platform.terraform.terraform_versions"),
        ([], {"trusted_keys": ["x"]}, "trusted_keys is no option"),
        ([], {"timeout": True}, "timeout is a boolean"),
        ([], {"timeout": 0}, "timeout is 0 seconds"),
        ([], {"retries": "many"}, "retries"),
        ([], {"url_headers": {"Host": TOKEN}}, "url_headers: Host"),
        ([], {"url_headers": "=" + TOKEN}, "headers"),
        ([], {"sites": ["https://alice:%s@one.example" % TOKEN]}, "user name or password"),
        ([], {"sites": ["ftp://one.example"]}, "http, https or file"),
    ],
)
def test_what_is_refused_before_anything_is_asked(run, terms, options, words):
    assert words in run.refusal(*terms, **options)
    assert not os.listdir(str(run.local_tmp))


def test_what_helps_without_requests(run, site, monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    message = run.refusal(sites=[site.url])
    assert "requests is not installed" in message and "download: target" not in message and "archive" not in message
    assert message.endswith(lookup.how_to_install("requests"))


def test_a_long_wait_for_another_process_is_logged(run):
    plugin = lookup.LookupModule(loader=run.loader, templar=None)
    plugin._secrets = ()
    plugin._log_waiting("index.json")
    assert run.lines == ["controller: waiting for the download of index.json for another host"]


def test_no_option_about_connections_is_left_out():
    read = set()

    class Recorded(dict):
        def __getitem__(self, name):
            read.add(name)
            return super().__getitem__(name)

    network.parse_connection_options(Recorded((name, spec.get("default")) for name, spec in SPEC.items()))
    assert len(read) > 8 and read <= lookup.OPTIONS


def test_the_options_are_those_of_the_module():
    documented = yaml.safe_load(lookup.DOCUMENTATION)["options"]
    del documented["_terms"]
    names = set(documented).union(*(entry.get("aliases", ()) for entry in documented.values()))
    assert names == lookup.OPTIONS
    for name, entry in documented.items():
        spec = {key: value for key, value in SPEC[name].items() if key != "no_log"}
        assert {key: value for key, value in entry.items() if key != "description"} == spec, name


def test_no_fact_of_a_host_names_the_site_that_gets_the_token(run, site):
    """A fact overrides the inventory, and the example of the documentation takes the role's variable."""
    for facts in ({"terraform_binary_sites": ["https://evil.example"]}, {"terraform_binary_url_token": "x"}):
        message = run.refusal(sites=[site.url], url_token=TOKEN, variables={"ansible_facts": facts})
        assert "is among the facts of the host" in message
    assert not site.requests
    assert run.lookup(sites=[site.url], variables={"ansible_facts": {"terraform_binary_result": {}}})
