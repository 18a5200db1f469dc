# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the bytes, the answer is a Key, a good Signature over this document, or a refusal: no other error, no hang."""

import base64
import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import RequestError, VerificationError
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import packets as packets_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import verify
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.hashicorp_key import HASHICORP_KEY
from support.properties import hypothesis

from_ = hypothesis.strategies

NOW = 1795444000
HASHICORP = "C874011F0AB405110D02105534365D9472D7468F"
BUILT_IN = verify.read_keys(())
((_LABEL, KEY),) = packets_module.read_armor(HASHICORP_KEY)

settings = hypothesis.settings(
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def release(genuine):
    """A genuine SHA256SUMS and its signature."""
    name = os.path.join(genuine, "terraform", "terraform_1.11.4_SHA256SUMS")
    with open(name, "rb") as document, open(name + ".sig", "rb") as signature:
        return document.read(), signature.read()


def armor(data, label="PUBLIC KEY BLOCK"):
    text = base64.b64encode(data).decode()
    return "-----BEGIN PGP %s-----\n\n%s\n-----END PGP %s-----\n" % (label, text, label)


def apply(edits, data):
    """Change data: each edit takes some octets out at a place (in 1/65536 of the length) and puts others there."""
    for place, taken, put in edits:
        at = place * len(data) >> 16
        data = data[:at] + put + data[at + taken :]
    return data


edits = from_.lists(
    from_.tuples(from_.integers(0, 65535), from_.integers(0, 40), from_.binary(max_size=40)), min_size=1, max_size=4
)
# One octet for another: it gets further than cutting and pasting, because lengths stay right.
nudges = from_.lists(
    from_.tuples(from_.integers(0, 65535), from_.just(1), from_.binary(min_size=1, max_size=1)), min_size=1, max_size=4
)
packet = from_.builds(
    lambda tag, body: bytes(bytearray([0xC0 | tag, 0xFF])) + len(body).to_bytes(4, "big") + body,
    from_.sampled_from([2, 2, 2, 5, 6, 6, 10, 13, 14, 17]),
    from_.builds(
        lambda head, tail: head + tail,
        from_.sampled_from(
            [
                b"",
                b"\4",
                b"\4\0\1\x08\0\0\0\0",
                b"\4\x18\1\x08\0\6\5\2\0\0\0\1\0\0ab",
                b"\4\0\0\0\0\1\0\x08\xff\0\2\3",
                b"PGP",
            ]
        ),
        from_.binary(max_size=60),
    ),
)
packets = from_.lists(packet, max_size=6).map(b"".join)


def refused_or_good(document, signature, keys):
    """The Signature, or None when it was refused as it should be."""
    try:
        found = verify.verify(document, signature, keys, NOW, "/tmp/sums.sig")
    except VerificationError as error:
        assert str(error).startswith("signature /tmp/sums.sig ") and error.hint
        return None
    assert found.fingerprint == HASHICORP
    return found


def read_or_refused(text):
    """The keys, or None when the text was refused as it should be."""
    try:
        return verify.read_keys((text,))
    except RequestError as error:
        assert "trusted_keys cannot be used: " in str(error) and error.hint
        return None


@settings
@hypothesis.given(from_.one_of(from_.binary(max_size=300), packets))
def test_no_bytes_are_a_signature_by_accident(data):
    assert refused_or_good(b"document", data, BUILT_IN) is None
    assert refused_or_good(b"document", armor(data, "SIGNATURE").encode(), BUILT_IN) is None


@settings
@hypothesis.given(from_.one_of(edits, nudges))
def test_changed_signature_file(release, changes):
    document, signature = release
    changed = apply(changes, signature)
    found = refused_or_good(document, changed, BUILT_IN)
    assert found is None or (found.created, found.key_id) == (1744205739, "C820C6D5CD27AB87")
    assert refused_or_good(document + b"\n", changed, BUILT_IN) is None


@settings
@hypothesis.given(from_.one_of(edits, nudges))
def test_changed_document(release, changes):
    document, signature = release
    changed = apply(changes, document)
    assert (refused_or_good(changed, signature, BUILT_IN) is None) == (changed != document)


@settings
@hypothesis.given(from_.one_of(edits, nudges))
def test_changed_key_file(release, changes):
    for keys in (
        read_or_refused(armor(apply(changes, KEY))),
        read_or_refused(apply(changes, HASHICORP_KEY.encode()).decode("latin-1")),
    ):
        if keys is not None:
            refused_or_good(release[0], release[1], keys)


@settings
@hypothesis.given(from_.one_of(from_.text(), from_.binary(max_size=200).map(armor), packets.map(armor)))
def test_no_text_is_a_key_by_accident(text):
    keys = read_or_refused(text)
    assert keys is None or HASHICORP not in [key.fingerprint for key in keys]


@settings
@hypothesis.given(from_.one_of(from_.binary(max_size=200), packets), from_.integers(0, 8))
def test_packets_are_whole_or_malformed(data, most):
    try:
        found = packets_module.read_packets(data, most)
    except packets_module.MalformedError as error:
        assert str(error)
    else:
        assert len(found) <= most
        assert sum(len(one.body) + 2 for one in found) <= len(data)


@settings
@hypothesis.given(from_.binary(max_size=200), from_.sampled_from(["\n", "\r\n", "\n  "]), from_.integers(1, 80))
def test_armor_keeps_every_octet(data, ending, width):
    text = base64.b64encode(data).decode()
    lines = [text[start : start + width] for start in range(0, len(text), width)]
    hypothesis.assume(not any(line.startswith("=") for line in lines))  # there it would be the checksum
    lines = ["-----BEGIN PGP SIGNATURE-----", ""] + lines + ["-----END PGP SIGNATURE-----", ""]
    assert packets_module.read_armor(ending.join(lines)) == [("SIGNATURE", data)]
