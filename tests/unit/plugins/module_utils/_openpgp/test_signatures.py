# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One signature by itself: what counts, what it claims, and whether a key made it. On genuine ones."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import packets, signatures
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.hashicorp_key import HASHICORP_KEY

# The subpackets whose meaning is known here (RFC 9580 section 5.2.3.7): times, flags, issuers, embedded signature;
# preferences, primary user id, features.
UNDERSTOOD = {2, 3, 9, 27, 16, 33, 32, 11, 21, 22, 23, 25, 30, 34}


def read_certification(text):
    """The primary key of an armored text, its first certification, and what that is over."""
    ((_label, data),) = packets.read_armor(text)
    key, user_id, certification = packets.read_packets(data, 20)[:3]
    primary = packets.read_public_key(key.body)
    content = primary.hashed + b"\xb4" + len(user_id.body).to_bytes(4, "big") + user_id.body
    return primary, packets.read_signature(certification.body), content


PRIMARY, CERTIFICATION, CONTENT = read_certification(HASHICORP_KEY)


def with_subpacket(kind, data, critical=False):
    return CERTIFICATION._replace(hashed=CERTIFICATION.hashed + (packets.Subpacket(kind, critical, data),))


def test_genuine_certification_is_good():
    assert signatures.find_key_invalid_reason(PRIMARY) is None
    assert signatures.find_invalid_reason(CERTIFICATION) is None
    assert signatures.verify_rsa(PRIMARY, CERTIFICATION, CONTENT)
    fields = signatures.read_fields(CERTIFICATION)
    assert (fields.created, fields.expires, fields.flags, fields.may_sign) == (1771456464, None, 0x03, True)
    assert signatures.format_time(PRIMARY.created + fields.key_expires) == "2030-03-01T23:14:24Z"


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one._replace(digest=8),
        lambda one: one._replace(digest=2),
        lambda one: one._replace(digest=99),
        lambda one: one._replace(hashed_prefix=one.hashed_prefix[:-1]),
        lambda one: one._replace(value=one.value + 1),
        lambda one: one._replace(value=0),
        lambda one: one._replace(value=None),
        lambda one: one._replace(value=one.value + PRIMARY.modulus),
        lambda one: one._replace(value=PRIMARY.modulus),
    ],
    ids=["SHA-256", "SHA-1", "unknown hash", "covered", "value", "zero", "no value", "beyond", "modulus"],
)
def test_changed_certification_is_not_made_by_the_key(change):
    assert not signatures.verify_rsa(PRIMARY, change(CERTIFICATION), CONTENT)
    assert not signatures.verify_rsa(PRIMARY, change(CERTIFICATION), CONTENT, allow_sha1=True)


def test_a_wrong_copy_of_the_hash_does_not_lift_a_restriction():
    changed = CERTIFICATION._replace(digest_prefix=b"\0\0")
    assert not signatures.verify_rsa(PRIMARY, changed, CONTENT)
    assert signatures.verify_rsa(PRIMARY, changed, CONTENT, allow_sha1=True)


@pytest.mark.parametrize(
    "issuers, may",
    [
        ((), True),
        (((16, "34365D9472D7468F"),), True),
        (((33, "04C874011F0AB405110D02105534365D9472D7468F"),), True),
        (((16, "34365D9472D7468E"),), False),
        (((33, "04C874011F0AB405110D02105534365D9472D7468E"),), False),
        (((16, "34365D9472D7468E"), (16, "34365D9472D7468F")), True),
    ],
    ids=["nobody", "id", "fingerprint", "another id", "another fingerprint", "both"],
)
@pytest.mark.parametrize("area", ["hashed", "unhashed"])
def test_who_may_have_made_it(issuers, may, area):
    named = tuple(packets.Subpacket(kind, False, bytes.fromhex(data)) for kind, data in issuers)
    assert (
        signatures.may_name(CERTIFICATION._replace(**dict({"hashed": (), "unhashed": ()}, **{area: named})), PRIMARY)
        == may
    )


def test_nothing_else_was_signed():
    assert not signatures.verify_rsa(PRIMARY, CERTIFICATION, CONTENT + b"\n")
    assert not signatures.verify_rsa(PRIMARY._replace(modulus=PRIMARY.modulus + 2), CERTIFICATION, CONTENT)
    assert not signatures.verify_rsa(PRIMARY._replace(exponent=3), CERTIFICATION, CONTENT)


def test_weak_hashes_count_on_request_only(genuine):
    with open(genuine + "/keys/hashicorp_348FFC4C_compromised-2021.asc") as file:
        primary, certification, content = read_certification(file.read())
    assert certification.digest == 2
    assert not signatures.verify_rsa(primary, certification, content)
    assert signatures.verify_rsa(primary, certification, content, allow_sha1=True)
    assert not signatures.verify_rsa(primary, certification, content + b"!", allow_sha1=True)


@pytest.mark.parametrize("kind", range(128))
def test_critical_subpackets_have_to_be_understood(kind):
    invalid_reason = signatures.find_invalid_reason(
        CERTIFICATION._replace(unhashed=(packets.Subpacket(kind, True, b""),))
    )
    assert invalid_reason == (
        None if kind in UNDERSTOOD else "has a critical subpacket of type %d, which is not understood" % kind
    )
    invalid_reason = signatures.find_invalid_reason(with_subpacket(kind, b"", critical=True))
    assert (invalid_reason or "").startswith("has a critical subpacket") == (kind not in UNDERSTOOD)
    assert (
        signatures.find_invalid_reason(CERTIFICATION._replace(unhashed=(packets.Subpacket(kind, False, b""),))) is None
    )


@pytest.mark.parametrize(
    "digest, name",
    [
        (1, "MD5"),
        (2, "SHA-1"),
        (3, "RIPEMD-160"),
        (11, "SHA-224"),
        (12, "SHA3-256"),
        (14, "SHA3-512"),
        (0, "hash algorithm 0"),
        (4, "hash algorithm 4"),
        (7, "hash algorithm 7"),
        (13, "hash algorithm 13"),
        (255, "hash algorithm 255"),
    ],
)
def test_other_hashes_are_named(digest, name):
    found = signatures.find_invalid_reason(CERTIFICATION._replace(digest=digest))
    assert found == "is over %s; SHA-256, SHA-384 or SHA-512 expected" % name


@pytest.mark.parametrize("kind", [2, 9, 27])
def test_a_thing_said_twice_makes_it_invalid(kind):
    assert (
        signatures.find_invalid_reason(with_subpacket(kind, b"\0\0\0\1"))
        == "says a thing twice (subpacket type %d)" % kind
    )


@pytest.mark.parametrize("data, flags", [(b"", 0), (b"\x02", 2), (b"\x01\x02", 1)])
def test_key_flags_are_the_first_octet(data, flags):
    kept = tuple(one for one in CERTIFICATION.hashed if one.kind != 27)
    fields = signatures.read_fields(CERTIFICATION._replace(hashed=kept + (packets.Subpacket(27, False, data),)))
    assert (fields.flags, fields.may_sign) == (flags, flags == 2)
    fields = signatures.read_fields(CERTIFICATION._replace(hashed=kept))
    assert (fields.flags, fields.may_sign) == (None, False)


def test_signature_end_is_counted_from_its_date():
    assert signatures.read_fields(with_subpacket(3, b"\0\0\0\x0a")).expires == 1771456474
    assert signatures.read_fields(with_subpacket(3, b"\0\0\0\0")).expires is None


@pytest.mark.parametrize(
    "moments, sooner", [((), None), ((None,), None), ((None, 5), 5), ((7, 5, None), 5), ((0, 5), 0)]
)
def test_sooner(moments, sooner):
    assert signatures.find_earliest(*moments) == sooner


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "1970-01-01T00:00:00Z"), (1795444000.9, "2026-11-23T14:26:40Z"), (0xFFFFFFFF * 2, "2242-03-16T12:56:30Z")],
)
def test_time_is_written(seconds, text):
    assert signatures.format_time(seconds) == text
