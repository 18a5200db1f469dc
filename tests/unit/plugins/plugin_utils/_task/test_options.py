# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a target may see, and what the controller's environment stands in for."""

import sys

import pytest

if sys.version_info < (3, 9):
    pytest.skip("controller code needs Python 3.9", allow_module_level=True)

from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._argument_spec import SPEC, TO_TARGET
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task import options as options_module


def test_no_credential_is_for_the_target():
    secrets = set(option for option, spec in SPEC.items() if spec.get("no_log"))
    assert secrets == {"url_password", "url_token", "url_headers"}
    assert TO_TARGET < set(SPEC) and not (secrets | {"url_username", "client_cert", "client_key"}) & TO_TARGET


def test_what_is_not_listed_stays_here():
    given = {"version": "1.13.4", "cache_dir": "/x", "progress": False, "unheard_of": "SECRET"}
    assert options_module.target_arguments(given) == {"version": "1.13.4"}


def test_sites_from_the_environment_stand_in_for_the_option():
    environ = {"TERRAFORM_BINARY_SITES": " https://one.example\thttps://two.example/x \n"}
    assert options_module.apply_environment({}, environ, {})["sites"] == [
        "https://one.example",
        "https://two.example/x",
    ]
    assert options_module.apply_environment({"sites": ["https://own.example"]}, environ, {})["sites"] == [
        "https://own.example"
    ]
    assert options_module.apply_environment({"version": "1.13.4"}, {"TERRAFORM_BINARY_SITES": " "}, {}) == {
        "version": "1.13.4"
    }


CREDENTIAL = {"TERRAFORM_BINARY_TOKEN": " SECRET \n", "TERRAFORM_BINARY_SITES": "https://one.example"}
SITES = {"sites": ["https://one.example"]}
OWN = [{"url_token": "own"}, {"url_username": "alice", "url_password": "own"}]
ELSEWHERE = [
    {"sites": ["https://two.example"]},
    {"sites": "https://one.example"},
    {"sites": "https://releases.hashicorp.com"},
    {"sites": ["file:///srv/mirror"]},
]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"download": "target"}, "download: target would hand it to the hosts"),
        ({"download": " target "}, "download: target would hand it to the hosts"),
        ({"ca_path": "/tmp/mine.pem"}, "ca_path, given by an option"),
        ({"validate_certs": False}, "validate_certs: false"),
        ({"validate_certs": "No"}, "validate_certs: false"),
        ({"validate_certs": 0}, "validate_certs: false"),
        ({"validate_certs": -0.0}, "validate_certs: false"),
        ({"validate_certs": "maybe"}, "validate_certs: false"),
    ],
)
def test_a_token_of_the_environment_is_shown_to_nobody_whom_an_option_chose(options, words):
    with pytest.raises(_errors.RequestError) as caught:
        options_module.apply_environment(options, CREDENTIAL, {})
    assert words in str(caught.value) and "SECRET" not in "%s %s" % (caught.value, caught.value.hint)


def test_options_that_decide_nothing_do_not_matter():
    for options in ({"download": "controller"}, {"validate_certs": "yes"}, {"validate_certs": 1}, {"use_proxy": False}):
        assert options_module.apply_environment(options, CREDENTIAL, {})["url_token"] == "SECRET"


def test_a_token_in_the_environment_stands_in_for_the_option():
    assert options_module.apply_environment({}, CREDENTIAL, {}) == dict(SITES, url_token="SECRET")
    for own in OWN:
        assert options_module.apply_environment(own, CREDENTIAL, {}) == dict(SITES, **own)


@pytest.mark.parametrize("arguments", ELSEWHERE)
def test_a_token_in_the_environment_is_not_for_sites_of_an_option(arguments):
    """Which may be a survey's answer."""
    for environ in (CREDENTIAL, {"TERRAFORM_BINARY_TOKEN": "SECRET"}):
        with pytest.raises(_errors.RequestError) as caught:
            options_module.apply_environment(arguments, environ, {})
        assert "TERRAFORM_BINARY_TOKEN is set for the controller, and sites is given by an option" in str(caught.value)
        assert "one AWX credential" in caught.value.hint and "SECRET" not in str(caught.value)
    for own in OWN:
        given = dict(arguments, **own)
        assert options_module.apply_environment(given, CREDENTIAL, {}) == given


@pytest.mark.parametrize("name", options_module.TRUST)
def test_a_token_of_the_environment_is_shown_to_nobody_whom_the_tasks_environment_chose(name):
    of_task = {name: "/tmp/mine.pem"}
    with pytest.raises(_errors.RequestError) as caught:
        options_module.apply_environment({}, dict(CREDENTIAL, **of_task), of_task)
    assert "%s is in the task's environment" % name in str(caught.value)
    assert options_module.apply_environment({}, dict(CREDENTIAL, **of_task), {})["url_token"] == "SECRET"


def test_a_token_in_the_environment_is_not_for_sites_of_the_tasks_environment():
    of_task = {"TERRAFORM_BINARY_SITES": "https://two.example"}
    with pytest.raises(_errors.RequestError) as caught:
        options_module.apply_environment({}, dict(CREDENTIAL, **of_task), of_task)
    assert "TERRAFORM_BINARY_SITES is in the task's environment" in str(caught.value)


@pytest.mark.parametrize("sites", [{}, {"TERRAFORM_BINARY_SITES": " "}])
def test_a_token_in_the_environment_is_not_for_the_default(sites):
    with pytest.raises(_errors.RequestError) as caught:
        options_module.apply_environment({}, dict(sites, TERRAFORM_BINARY_TOKEN="SECRET"), {})
    assert "TERRAFORM_BINARY_SITES is not set" in str(caught.value) and "one AWX credential" in caught.value.hint


@pytest.mark.parametrize(
    "arguments",
    [
        dict(where, **what)
        for where in ELSEWHERE + [{}]
        for what in ({"state": "absent"}, {"state": " absent "}, {"archive": "/x.zip"})
    ],
)
def test_a_token_in_the_environment_is_left_out_where_no_site_is_asked(arguments):
    assert options_module.apply_environment(arguments, {"TERRAFORM_BINARY_TOKEN": "SECRET"}, {}) == arguments
    assert "url_token" not in options_module.apply_environment(arguments, CREDENTIAL, {})


def test_a_site_that_is_none_is_refused_before_anything_is_logged():
    with pytest.raises(_errors.RequestError) as caught:
        options_module.apply_environment({}, {"TERRAFORM_BINARY_SITES": "https://alice:SECRET@one.example"}, {})
    assert "SECRET" not in str(caught.value)


def test_a_token_in_the_tasks_environment_is_refused():
    with pytest.raises(_errors.RequestError) as caught:
        options_module.apply_environment({}, {"TERRAFORM_BINARY_TOKEN": "SECRET"}, {"TERRAFORM_BINARY_TOKEN": "SECRET"})
    assert "travels to the target" in str(caught.value) and "SECRET" not in str(caught.value)


class Encrypted:
    """As core's AnsibleVaultEncryptedUnicode up to 2.18."""

    __ENCRYPTED__ = True

    def __str__(self):
        return "plain"


def test_encrypted_values_become_text_at_any_depth():
    given = {
        "version": Encrypted(),
        "url_headers": {"X": Encrypted()},
        "sites": [Encrypted(), ["a", Encrypted()]],
        "mode": 493,
    }
    assert options_module.decrypt_values(given) == {
        "version": "plain",
        "url_headers": {"X": "plain"},
        "sites": ["plain", ["a", "plain"]],
        "mode": 493,
    }
