# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""P0 of the network's options: what is refused, by which words, and that no refusal shows a secret."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _records
from support.parsed_params import parse, refusal

SITE = "https://mirror.example.com/hashicorp"
SECRET = "s3cr3t-w0rd"
DIGEST = "1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc"


def refused(**options):
    message = refusal(**dict({"sites": [SITE]}, **options))
    assert SECRET not in message
    return message


def test_nothing_is_given():
    assert parse().access == _records.ConnectionOptions()


def test_everything_is_given():
    access = parse(
        sites=[SITE],
        url_username="alice",
        url_password=SECRET,
        url_headers={"X-Api-Key": SECRET, "X-Number": 7},
        ca_path="/ca//bundle.pem/",
        client_cert="/c.pem",
        client_key="/k.pem",
        validate_certs=False,
        use_proxy=False,
        http_agent="ours/1.0",
    ).access
    assert access == _records.ConnectionOptions(
        username="alice",
        password=SECRET,
        headers=(("X-Api-Key", SECRET), ("X-Number", "7")),
        ca_path="/ca/bundle.pem",
        client_cert="/c.pem",
        client_key="/k.pem",
        validate_certs=False,
        use_proxy=False,
        http_agent="ours/1.0",
    )


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(url_password=SECRET), "url_password is given without url_username"),
        (dict(url_token=SECRET, url_username="alice"), "url_token and url_username are both given"),
        (dict(url_token=SECRET, url_headers={"authorization": SECRET}), "url_headers has Authorization beside"),
        (dict(url_username="alice", url_headers={"Authorization": SECRET}), "url_headers has Authorization beside"),
        (dict(url_username="alice:" + SECRET), "url_username has a colon"),
        (dict(url_username="alice\n"), "url_username has a colon or a control character"),
        (dict(url_username="alice", url_password=SECRET + "\n"), "url_password has a control character"),
        (dict(url_token="Bearer " + SECRET), "url_token has blanks"),
        (dict(url_token=SECRET + "\u00e9"), "url_token has blanks or characters that are not printable ASCII"),
        (dict(url_headers={"X Y": SECRET}), "url_headers: 'X Y' is not the name of a header"),
        (dict(url_headers={"X:": SECRET}), "url_headers: 'X:' is not the name of a header"),
        (dict(url_headers={"": SECRET}), "url_headers: '' is not the name of a header"),
        (
            dict(url_headers={"X-Key": SECRET + "\r\nHost: evil"}),
            "url_headers: the value of X-Key is blank, or has line ends",
        ),
        (dict(url_headers={"X-Key": SECRET + "\u20ac"}), "url_headers: the value of X-Key"),
        (dict(url_headers={"X-Key": " "}), "url_headers: the value of X-Key is blank"),
        (dict(client_key="/k.pem"), "client_key is given without client_cert"),
        (dict(client_cert="c.pem"), "client_cert 'c.pem' is not an absolute path"),
        (dict(client_key="../k.pem"), "client_key '../k.pem' is not an absolute path"),
        (dict(ca_path="ca.pem"), "ca_path 'ca.pem' is not an absolute path"),
        (dict(http_agent="a\nb"), "http_agent has control characters"),
        (dict(http_agent="\u20ac"), "http_agent has control characters or characters beyond Latin-1"),
    ],
)
def test_what_is_refused(options, words):
    assert words in refused(**options)


@pytest.mark.parametrize(
    "name",
    [
        "Range",
        "if-range",
        "Accept-Encoding",
        "Host",
        "Connection",
        "Content-Length",
        "Transfer-Encoding",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Proxy-Authorization",
    ],
)
def test_headers_of_the_download_itself_are_refused(name):
    assert "url_headers: %s is a header that the download itself decides on" % name in refused(
        url_headers={name: SECRET}
    )


def test_null_headers_are_left_out():
    assert parse(sites=[SITE], url_headers={"X-Key": None, "X-Other": "x"}).access.headers == (("X-Other", "x"),)


@pytest.mark.parametrize(
    "sites",
    [
        None,
        [_records.PUBLIC_SITE],
        [_records.PUBLIC_SITE + ":443/x"],
        ["https://releases.hashicorp.com./x"],
        ["http://mirror.example.com"],
        ["http://mirror.example.com", _records.PUBLIC_SITE],
        ["http://127.1", "http://localhost."],
        ["file:///srv/mirror"],
        ["FILE:///srv/mirror", "file://localhost/srv"],
        ["file:///srv/mirror", _records.PUBLIC_SITE],
    ],
)
@pytest.mark.parametrize(
    "options",
    [
        dict(url_username="alice"),
        dict(url_token=SECRET),
        dict(url_headers={"X-Key": SECRET}),
        dict(client_cert="/c.pem"),
    ],
)
def test_credentials_for_nobody_are_refused(sites, options):
    assert "none of the sites may be shown them" in refused(sites=sites, **options)
    assert parse(sites=sites, state="absent", **options).state == "absent"
    assert parse(sites=sites, archive="/x.zip", **options).archive == "/x.zip"


@pytest.mark.parametrize(
    "sites",
    [
        [SITE],
        [SITE, _records.PUBLIC_SITE],
        ["http://127.0.0.1:8377"],
        ["http://mirror.example.com", SITE],
        ["file:///srv/mirror", SITE],
        ["HTTPS://mirror.example.com"],
    ],
)
def test_credentials_for_somebody_are_taken(sites):
    assert parse(sites=sites, url_token=SECRET).access.token == SECRET


def test_a_certificate_is_for_a_site_that_speaks_tls():
    assert "none of the sites may be shown them" in refused(sites=["http://127.0.0.1:8377"], client_cert="/c.pem")
    assert parse(sites=["HTTPS://mirror.example.com"], client_cert="/c.pem").access.client_cert == "/c.pem"


@pytest.mark.parametrize(
    "site", [_records.PUBLIC_SITE, "https://RELEASES.hashicorp.com:443/x", "http://releases.hashicorp.com"]
)
def test_the_public_site_is_not_trusted_blindly(site):
    assert "validate_certs false is refused for %s" % site in refused(sites=[SITE, site], validate_certs=False)
    assert not parse(sites=[SITE], validate_certs=False).access.validate_certs


def test_unsigned_sums_of_anybody_are_refused():
    words = "sha256sums with validate_certs false (%s)" % SITE
    assert words in refused(checksum_policy="sha256sums", validate_certs=False)
    assert (
        parse(sites=[SITE], checksum_policy="sha256sums", validate_certs=False, checksum=DIGEST).policy == "sha256sums"
    )
