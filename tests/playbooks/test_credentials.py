# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials: what a URL carries of them appears nowhere, however much Ansible is asked to tell."""

import pytest
from playbook_run import wish

PASSWORD = "s3cr3t-w0rd"
TOKEN = "presigned-t0ken"

# Sites that are refused before anything is asked, and what the message says; {host} is the site's.
REFUSED = {
    "user-and-password": (["http://alice:%s@{host}" % PASSWORD], "user name or password"),
    "second-of-two": (["http://{host}", "https://alice:%s@mirror.example.com/x" % PASSWORD], "mirror.example.com"),
    "in-one-text": ("http://{host},http://alice:%s@{host}" % PASSWORD, "user name or password"),
    "only-a-token": (["https://%s@{host}" % TOKEN], "user name or password"),
    "with-a-slash": (["http://alice:%s/x@{host}" % PASSWORD], "sites"),
    "no-scheme": (["alice:%s@{host}" % PASSWORD], "sites"),
    "other-scheme": (["ftp://alice:%s@{host}" % PASSWORD], "sites"),
    "query": (["http://{host}/?X-Token=%s" % TOKEN], "query"),
}


@pytest.fixture(scope="module")
def told(play, module_site, tmp_path_factory):
    """All of them at -vvv, and two sites that redirect to where secrets are: (Run, the requests that came)."""
    from release_site import misbehaviours
    store = tmp_path_factory.mktemp("credentials") / "store"
    host = module_site.url.partition("//")[2]
    wishes = {name: wish(module_site, store, sites=_at(host, sites)) for name, (sites, _words) in REFUSED.items()}
    module_site.requests.clear()
    refused = play.each(wishes, arguments=["-vvv"])
    asked = module_site.counts().requests
    module_site.misbehave("*/1.13.3/*", misbehaviours.redirect("http://bob:%s@127.0.0.1:9{path}" % PASSWORD))
    module_site.misbehave("*/1.9.8/*", misbehaviours.redirect("http://127.0.0.1:9{path}?X-Signature=%s" % TOKEN))
    redirected = play.each({version: wish(module_site, store, version=version) for version in ("1.13.3", "1.9.8")},
                           arguments=["-vvv"])
    return refused, asked, redirected


def _at(host, sites):
    if isinstance(sites, str):
        return sites.replace("{host}", host)
    return [site.replace("{host}", host) for site in sites]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_site_with_credentials_in_it_is_refused(name, told):
    result = told[0].each[name]
    assert result["failed"] and not result["changed"], result
    assert result["error"]["step"] == "request" and REFUSED[name][1] in result["msg"]
    assert "\n" not in result["msg"] and len(result["msg"]) <= 400


def test_nobody_was_asked(told):
    assert told[1] == 0


@pytest.mark.parametrize("name", sorted(REFUSED))
@pytest.mark.parametrize("secret", [PASSWORD, TOKEN])
def test_no_result_has_a_secret(name, secret, told):
    assert secret not in str(told[0].each[name])


@pytest.mark.parametrize("secret", [PASSWORD, TOKEN])
def test_the_screen_has_no_secret_at_vvv(secret, told):
    shown = [line for line in told[0].output.splitlines() if secret in line]
    assert not shown, "\n".join(shown)


@pytest.mark.parametrize("version", ["1.13.3", "1.9.8"])
def test_a_redirect_gives_no_secret_away(version, told):
    run = told[2]
    result = run.each[version]
    assert result["failed"] and result["error"]["step"] == "fetch", result
    for secret in (PASSWORD, TOKEN):
        assert secret not in run.output and secret not in str(result)


def test_the_role_gives_none_away_either(play, module_site, tmp_path):
    site = "http://alice:%s@%s" % (PASSWORD, module_site.url.partition("//")[2])
    options = wish(module_site, tmp_path / "store", sites=[site])
    variables = {"terraform_binary_" + name: value for name, value in options.items()}
    run = play("iac_platform.terraform.install", extra_vars=variables, arguments=["-vvv"])
    assert run.returncode == 2 and "user name or password" in run.output
    assert PASSWORD not in run.output
