# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Armor, packets, keys, signatures and subpackets as records: what is read; everything else is refused by Malformed."""

import base64
import hashlib

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import packets as packets_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.hashicorp_key import HASHICORP_KEY
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.packets import MalformedError

DATA = bytes(bytearray(range(100)))
LABEL = "PUBLIC KEY BLOCK"


def armor(body=None, label=LABEL, checksum="", headers="", end=None):
    body = base64.b64encode(DATA).decode() if body is None else body
    end = end or "-----END PGP %s-----" % label
    return "-----BEGIN PGP %s-----\n%s\n%s\n%s%s\n" % (label, headers, body, checksum and checksum + "\n", end)


def checksum_of(data):
    """CRC-24 bit by bit, as the RFC's own example does it, in other words than the code."""
    crc = 0xB704CE
    for octet in bytearray(data):
        for bit in range(7, -1, -1):
            top = (crc >> 23) ^ (octet >> bit & 1)
            crc = (crc << 1 & 0xFFFFFF) ^ (0x864CFB if top else 0)
    return "=" + base64.b64encode(crc.to_bytes(3, "big")).decode()


@pytest.mark.parametrize(
    "text",
    [
        armor(),
        armor(checksum=checksum_of(DATA)),
        armor(checksum=checksum_of(DATA) + "\n"),
        armor(headers="Version: GnuPG v2\nComment: Größe\n"),
        armor().replace("\n", "\r\n"),
        "".join("      %s \t\n" % line for line in armor().split("\n")),
        "pub  rsa4096 2021-04-19\n" + armor() + "that was it\n",
        armor(body="\n".join(base64.b64encode(DATA).decode()[start : start + 20] for start in range(0, 136, 20))),
    ],
    ids=["plain", "checksum", "empty line after it", "headers", "crlf", "indented", "text around", "short lines"],
)
def test_armor_is_read(text):
    assert packets_module.read_armor(text) == [(LABEL, DATA)]


def test_every_block_is_read():
    assert packets_module.read_armor(armor() + armor(label="SIGNATURE")) == [(LABEL, DATA), ("SIGNATURE", DATA)]
    assert packets_module.read_armor("no block here") == []


@pytest.mark.parametrize(
    "text, found",
    [
        (armor(checksum="=AAAA"), "checksum does not match"),
        (armor(checksum="=AAA"), "not base64"),
        (armor(checksum=checksum_of(DATA) + "\nAAAA"), "follows the armor's checksum"),
        (armor(body="AAA"), "not base64"),
        (armor(body="AAA!AAAA"), "not base64"),
        (armor(body="AAAö"), "not base64"),
        (armor().replace("\n\n", "\n"), "empty line is missing"),
        (armor().replace("-----END PGP PUBLIC KEY BLOCK-----\n", ""), "no END line"),
        (armor(end="-----END PGP SIGNATURE-----"), "no END line"),
        ("-----BEGIN PGP PUBLIC KEY BLOCK-----", "no END line"),
        (armor().replace("\n", " "), "line breaks lost"),
        (armor().replace("\n", "\\n"), "line breaks lost"),
        ("-----BEGIN OPENSSH KEY-----\n", "no BEGIN or END line"),
        ("-----BEGIN PGP SIGNATURE----- x\n", "no BEGIN or END line"),
        (armor(end="-----END PGP PUBLIC KEY BLOCK"), "no END line"),
        (armor() + "-----END PGP PUBLIC KEY BLOCK-----\n", "no BEGIN or END line"),
        ("x" * (packets_module.TEXT_LIMIT + 1), "longer than 262144 characters"),
    ],
)
def test_armor_that_is_not_whole_is_refused(text, found):
    with pytest.raises(MalformedError, match=found):
        packets_module.read_armor(text)


def test_text_of_the_limit_is_read():
    assert packets_module.read_armor("x" * packets_module.TEXT_LIMIT) == []


@pytest.mark.parametrize(
    "data, packets",
    [
        (b"", []),
        (b"\xc2\x01a", [(2, b"a")]),
        (b"\xc2\x00\xcd\x02ab", [(2, b""), (13, b"ab")]),
        (b"\xc2\xbf" + b"a" * 191, [(2, b"a" * 191)]),
        (b"\xc2\xc0\x00" + b"a" * 192, [(2, b"a" * 192)]),
        (b"\xc2\xdf\xff" + b"a" * 8383, [(2, b"a" * 8383)]),
        (b"\xc2\xff\x00\x00\x00\x01a", [(2, b"a")]),
        (b"\x88\x01a", [(2, b"a")]),
        (b"\x89\x00\x01a", [(2, b"a")]),
        (b"\x8a\x00\x00\x00\x01a", [(2, b"a")]),
        (b"\xb4\x01a", [(13, b"a")]),
        (b"\xca\x03PGP\xc2\x01a", [(2, b"a")]),
        (b"\xca\x03GPG", [(10, b"GPG")]),
    ],
    ids=repr,
)
def test_packets_are_read(data, packets):
    assert packets_module.read_packets(data, 2) == packets


@pytest.mark.parametrize(
    "data, found",
    [
        (b"a", "octet 0 is not the start"),
        (b"\xc2\x01a\n", "octet 3 is not the start"),
        (b"\xc2", "cut: 1 octets are missing"),
        (b"\xc2\x02a", "cut: 1 octets"),
        (b"\xc2\xc0", "cut: 1 octets"),
        (b"\xc2\xff\x00\x00", "cut: 2 octets"),
        (b"\xc2\xff\xff\xff\xff\xffa", "cut: 4294967294 octets"),
        (b"\x89\x00", "cut: 1 octets"),
        (b"\xc2\xe0a", "partial length"),
        (b"\xc2\xfea", "partial length"),
        (b"\x8ba", "indeterminate length"),
        (b"\xc2\x00\xc2\x00\xc2\x00", "more than 2 packets"),
        (b"\xca\x03PGP" * 3, "more than 2 packets"),
    ],
    ids=repr,
)
def test_packets_that_are_not_whole_are_refused(data, found):
    with pytest.raises(MalformedError, match=found):
        packets_module.read_packets(data, 2)


def public_key(body=b"\x04\x60\x7d\xfb\x19\x01" + b"\x00\x09\x01\x01" + b"\x00\x02\x03"):
    return packets_module.read_public_key(body)


def test_public_key_is_read():
    key = public_key()
    assert (key.created, key.algorithm, key.modulus, key.exponent) == (0x607DFB19, 1, 257, 3)
    assert key.hashed == b"\x99\x00\x0d" + key.body
    assert key.fingerprint == hashlib.sha1(key.hashed).hexdigest().upper()


def test_fingerprints_of_the_genuine_key():
    ((_label, data),) = packets_module.read_armor(HASHICORP_KEY)
    found = [
        packets_module.read_public_key(packet.body).fingerprint
        for packet in packets_module.read_packets(data, 20)
        if packet.tag in (packets_module.PUBLIC_KEY, packets_module.PUBLIC_SUBKEY)
    ]
    assert found[0] == "C874011F0AB405110D02105534365D9472D7468F"
    assert found[-1] == "374EC75B485913604A831CC7C820C6D5CD27AB87"


def test_another_algorithm_passes_without_numbers():
    key = public_key(b"\x04\x60\x7d\xfb\x19\x16whatever")
    assert (key.algorithm, key.modulus, key.exponent) == (22, 0, 0)


def test_key_of_the_limit_is_read():
    assert public_key(b"\x04\x60\x7d\xfb\x19\x16" + b"a" * 0xFFF9).hashed[:3] == b"\x99\xff\xff"


@pytest.mark.parametrize(
    "body, found",
    [
        (b"", "version none"),
        (b"\x03\x60\x7d\xfb\x19\x01", "version 3"),
        (b"\x05\x60\x7d\xfb\x19\x01", "version 5"),
        (b"\x06\x60\x7d\xfb\x19\x01", "version 6"),
        (b"\x04\x60\x7d", "cut"),
        (b"\x04\x60\x7d\xfb\x19\x01\x00\x09\x01\x01", "cut"),
        (b"\x04\x60\x7d\xfb\x19\x01\x00\x09\x01\x01\x00\x02\x03\x00", "something follows the numbers"),
        (b"\x04\x60\x7d\xfb\x19\x01\x00\x0a\x01\x01\x00\x02\x03", "a number of 9 bits is said to have 10"),
        (b"\x04\x60\x7d\xfb\x19\x01\x00\x10\x00\x01\x00\x02\x03", "a number of 1 bits is said to have 16"),
        (b"\x04\x60\x7d\xfb\x19\x01\x00\x08\x01\x01\x00\x02\x03", "a number of 1 bits is said to have 8"),
        (b"\x04\x60\x7d\xfb\x19\x16" + b"a" * 0xFFFA, "a key of 65536 octets"),
    ],
    ids=[
        "empty",
        "v3",
        "v5",
        "v6",
        "cut",
        "one number",
        "more",
        "bits too many",
        "leading zero",
        "bits too few",
        "huge",
    ],
)
def test_public_key_that_is_not_whole_is_refused(body, found):
    with pytest.raises(MalformedError, match=found):
        public_key(body)


def signature(hashed=b"\x05\x02\x00\x00\x00\x01", unhashed=b"", head=b"\x04\x00\x01\x08", tail=b"\xab\xcd\x00\x02\x03"):
    return packets_module.read_signature(
        head + len(hashed).to_bytes(2, "big") + hashed + len(unhashed).to_bytes(2, "big") + unhashed + tail
    )


def test_signature_is_read():
    found = signature(unhashed=b"\x02\xe3a\x01\x07")
    assert (found.kind, found.algorithm, found.digest) == (0, 1, 8)
    assert found.hashed == ((2, False, b"\x00\x00\x00\x01"),)
    assert found.unhashed == ((0x63, True, b"a"), (7, False, b""))
    assert found.hashed_prefix == b"\x04\x00\x01\x08\x00\x06\x05\x02\x00\x00\x00\x01"
    assert (found.digest_prefix, found.value) == (b"\xab\xcd", 3)


def test_long_subpackets_are_read():
    for size, length in ((191, b"\xbf"), (192, b"\xc0\x00"), (16319, b"\xfe\xff"), (16320, b"\xff\x00\x00\x3f\xc0")):
        found = signature(hashed=length + b"\x63" + b"a" * (size - 1))
        assert [len(subpacket.data) for subpacket in found.hashed] == [size - 1]


@pytest.mark.parametrize(
    "hashed, unhashed, issuers",
    [
        (b"", b"", ()),
        (b"\x09\x10" + b"\xab" * 8, b"", ("AB" * 8,)),
        (b"", b"\x09\x10" + b"\xab" * 8, ("AB" * 8,)),
        (b"\x16\x21\x04" + b"\xcd" * 20, b"\x09\x10" + b"\xab" * 8, ("CD" * 20,)),
        (b"\x09\x10" + b"\xab" * 8 + b"\x16\x21\x04" + b"\xcd" * 20, b"", ("AB" * 8, "CD" * 20)),
    ],
    ids=["none", "hashed", "unhashed is a hint", "hashed counts", "both"],
)
def test_issuers_are_read(hashed, unhashed, issuers):
    assert signature(hashed, unhashed).issuers == issuers


@pytest.mark.parametrize(
    "hashed",
    [
        b"\x08\x10" + b"\xab" * 7,
        b"\x15\x21\x04" + b"\xcd" * 19,
        b"\x22\x21\x06" + b"\xcd" * 32,
        b"\x16\x21\x05" + b"\xcd" * 20,
        b"\x01\x21",
        b"\x01\x10",
    ],
    ids=["short id", "short fingerprint", "version 6", "version 5", "empty fingerprint", "empty id"],
)
def test_odd_issuers_are_refused(hashed):
    with pytest.raises(MalformedError, match="an issuer"):
        signature(hashed)


@pytest.mark.parametrize(
    "changes, found",
    [
        (dict(head=b"\x03\x00\x01\x08"), "version 3"),
        (dict(head=b"\x05\x00\x01\x08"), "version 5"),
        (dict(head=b"\x06\x00\x01\x08"), "version 6"),
        (dict(tail=b"\xab"), "cut: 1 octets"),
        (dict(tail=b"\xab\xcd"), "cut: 2 octets"),
        (dict(tail=b"\xab\xcd\x00\x02\x03\x00"), "something follows"),
        (dict(tail=b"\xab\xcd\x00\x03\x03"), "a number of 2 bits is said to have 3"),
        (dict(hashed=b"\x06\x02\x00\x00\x00\x01"), "cut: 1 octets"),
        (dict(unhashed=b"\xff\x00"), "cut"),
        (dict(hashed=b"\x00"), "a subpacket without a type"),
        (dict(hashed=b"\x01\x63" * 65), "more than 64 subpackets"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_signature_that_is_not_whole_is_refused(changes, found):
    with pytest.raises(MalformedError, match=found):
        signature(**changes)


@pytest.mark.parametrize("size", range(15))
def test_cut_signature_is_refused(size):
    whole = b"\x04\x00\x01\x08\x00\x00\x00\x02\x01\x63\xab\xcd\x00\x02\x03"
    assert packets_module.read_signature(whole).value == 3
    with pytest.raises(MalformedError, match="cut|version none"):
        packets_module.read_signature(whole[:size])


def test_sixty_four_subpackets_are_read():
    assert len(signature(hashed=b"\x01\x63" * 64).hashed) == 64


def test_a_signature_by_another_algorithm_passes_without_value():
    assert signature(head=b"\x04\x00\x16\x08", tail=b"\xab\xcdwhatever").value is None


def test_embedded_signatures_are_read_one_deep():
    inner = b"\x04\x19\x01\x08\x00\x00\x00\x00\xab\xcd\x00\x02\x03"
    middle = b"\x04\x19\x01\x08\x00\x00\x00\x0f\x0e\x20" + inner + b"\xab\xcd\x00\x02\x02"
    with pytest.raises(MalformedError, match="a signature within a signature within a signature"):
        signature(unhashed=b"\x1d\x20" + middle)
    found = signature(hashed=b"\x0e\x20" + inner, unhashed=b"\x0e\x20" + inner[:-1] + b"\x02")
    assert [(one.kind, one.value, one.embedded) for one in found.embedded] == [(0x19, 3, ()), (0x19, 2, ())]
    with pytest.raises(MalformedError, match="cut: 1 octets"):
        signature(unhashed=b"\x0d\x20" + inner[:-1])


NOTATION = b"\x80\0\0\0\0\1\0\1ab"


@pytest.mark.parametrize(
    "kind, good, bad",
    [
        (2, (b"\0\0\0\1",), (b"", b"abc", b"abcde")),
        (3, (b"\0\0\0\1",), (b"", b"abc", b"abcde")),
        (9, (b"\0\0\0\1",), (b"", b"abc", b"abcde")),
        (4, (b"\0", b"\1"), (b"", b"\2", b"\0\0")),
        (7, (b"\0", b"\1"), (b"", b"\2", b"\0\0")),
        (25, (b"\0", b"\1"), (b"", b"\2", b"\0\0")),
        (5, (b"\1\x78",), (b"", b"\1", b"\1\2\3")),
        (6, (b"\0", b"x\0"), (b"", b"x")),
        (
            12,
            (b"\x80\1" + b"\xab" * 20, b"\xc0\1" + b"\xab" * 20),
            (b"", b"\0\1" + b"\xab" * 20, b"\x80\1" + b"\xab" * 19, b"\x80\1" + b"\xab" * 21),
        ),
        (20, (NOTATION, b"\0" * 8), (b"", b"\0" * 7, NOTATION[:-1], NOTATION + b"c", NOTATION.replace(b"a", b"\xff"))),
        (29, (b"\1", b"\0because"), (b"",)),
        (31, (b"\1\x08", b"\1\x08hash"), (b"", b"\1")),
        (
            35,
            (b"\4" + b"\xcd" * 20,),
            (b"", b"\4" + b"\xcd" * 19, b"\4" + b"\xcd" * 21, b"\3" + b"\xcd" * 20, b"\6" + b"\xcd" * 32),
        ),
        (
            33,
            (b"\4" + b"\xcd" * 20,),
            (b"", b"\4" + b"\xcd" * 19, b"\4" + b"\xcd" * 21, b"\3" + b"\xcd" * 20, b"\6" + b"\xcd" * 32),
        ),
        (16, (b"\xab" * 8,), (b"", b"\xab" * 7, b"\xab" * 9)),
        (37, (b"",), (b"\xab" * 32,)),
    ],
)
def test_known_subpacket(kind, good, bad):
    assert [data for data in good if not packets_module._is_well_formed(kind, data)] == []
    assert [data for data in bad if packets_module._is_well_formed(kind, data)] == []


@pytest.mark.parametrize("kind", [0, 1, 8, 11, 21, 22, 23, 24, 26, 27, 28, 30, 34, 99, 127])
def test_other_subpackets_may_hold_anything(kind):
    assert all(packets_module._is_well_formed(kind, data) for data in (b"", b"\0", b"what?"))
