# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a certificate: real ones, and bytes that are none."""

import random
import ssl

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import certificates as certificates_module


@pytest.fixture(scope="module")
def der():
    """callable(names, days) -> the bytes of a certificate by an authority called Demo CA."""
    certificates = pytest.importorskip("release_site").certificates
    authority = certificates.Authority()

    def issue(names=("example.com", "192.0.2.1", "2001:db8::1"), days=(-1, 365)):
        return ssl.PEM_cert_to_DER_cert(authority.issue(names, days).partition("-----BEGIN PRIVATE")[0])

    return issue


def test_what_is_read(der):
    found = certificates_module.read_certificate(der())
    assert (found.issuer, found.names) == ("Demo CA", ("example.com", "192.0.2.1", "2001:db8::1"))
    assert found.starts < found.ends and found.starts.endswith("Z")


def test_an_end_after_2049_is_read_too(der):
    assert (
        certificates_module.read_certificate(der(days=(-1, 40 * 365))).ends > "2060"
    )  # GeneralizedTime (RFC 5280, 4.1.2.5)


def test_the_authorities_that_come_with_requests_are_read():
    requests = pytest.importorskip("requests")
    context = ssl.create_default_context(cafile=requests.certs.where())
    for known, data in zip(context.get_ca_certs(), context.get_ca_certs(True)):
        found = certificates_module.read_certificate(data)
        names = {name: value for part in known["issuer"] for name, value in part}
        assert found.issuer == names.get("commonName", names.get("organizationName"))
        assert [ssl.cert_time_to_seconds(known[when]) for when in ("notBefore", "notAfter")] == [
            ssl.cert_time_to_seconds(_as_openssl(text)) for text in (found.starts, found.ends)
        ]


def _as_openssl(text):
    """2026-11-23T14:39:00Z as ``Nov 23 14:39:00 2026 GMT``."""
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    return "%s %2d %s %s GMT" % (months[int(text[5:7]) - 1], int(text[8:10]), text[11:19], text[:4])


def test_bytes_that_are_none_end_in_an_error_that_is_expected(der):
    whole, chance = der(), random.Random(1)
    broken = [b"", b"0", b"\x30\x84\xff\xff\xff\xff", whole[:-1]]
    for _number in range(3000):
        data = bytearray(whole)
        for _flip in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        broken.append(bytes(data))
    refused = 0
    for data in broken:
        try:
            certificates_module.read_certificate(data)
        except (ValueError, IndexError):
            refused += 1
    assert 100 < refused < len(broken)
