# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads through a squid that opens TLS: the authorities that come with requests are asked, too.

The other ways to be trusted are tried by playbooks, in test_proxies_and_trust.
"""

import pytest
from support.transfers import BODY, NAME, Transfer

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def inspected(signing_key, monkeypatch, tmp_path):
    """(URL of a site that is reached through the proxy alone, path of the proxy's authority, Squid)."""
    servers = pytest.importorskip("real_servers")
    site_module = pytest.importorskip("release_site")
    authority, inspector = (site_module.certificates.Authority(name) for name in ("Origin", "Inspector"))
    (tmp_path / "inspector.pem").write_text(inspector.pem)
    context = authority.server_context(names=(servers.PLACE,))
    with site_module.Site(key=signing_key, tls=context) as site:
        site.put(NAME, BODY)
        with servers.squid(inspector=inspector, origins=authority.pem) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            yield site.url.replace("127.0.0.1", servers.PLACE), str(tmp_path / "inspector.pem"), proxy


def test_an_authority_among_those_of_requests_is_trusted(inspected, monkeypatch):
    url, bundle, proxy = inspected
    monkeypatch.setattr(pytest.importorskip("requests").certs, "where", lambda: bundle)
    transfer = Transfer(url).succeeded()
    assert ("GET", transfer.url) in [(asked.method, asked.url.partition("?")[0]) for asked in proxy.asked()]


def test_an_authority_among_none_is_not(inspected):
    url, _bundle, proxy = inspected
    transfer = Transfer(url, retries=4).failed("TLS: ")
    assert "(issued by 'Inspector')" in str(transfer.error)
    assert "ca_path" in transfer.error.hint and "trust store" in transfer.error.hint
    assert [asked.method for asked in proxy.asked() if asked.method in ("CONNECT", "GET")] == ["CONNECT"] * 2
