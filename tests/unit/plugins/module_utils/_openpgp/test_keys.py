# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be given as a trusted key, and that everything else is refused with its entry named and nothing of it shown."""

import sys

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import RequestError
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import key_status, signatures
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import keys as keys_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.hashicorp_key import (
    FINGERPRINT,
    HASHICORP_KEY,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.packets import PublicKey

HASHICORP = "C874011F0AB405110D02105534365D9472D7468F"
LINES = HASHICORP_KEY.split("\n")


@pytest.fixture
def maker():
    pytest.importorskip("cryptography")
    if sys.version_info < (3, 9):
        pytest.skip("the release site, which makes the keys, needs Python 3.9")
    return pytest.importorskip("release_site.openpgp_maker")


def test_built_in_key_is_read():
    (key,) = keys_module.read_keys(())
    assert key.fingerprint == FINGERPRINT, "what a run compares receipts with, without reading the key"
    assert (key.fingerprint, key.key_id, key.source) == (HASHICORP, "72D7468F", "the built-in key of 2026-02-18")
    reasons = [key_status.find_key_status(member, 1771456522).invalid_reason for member in key.members]
    assert reasons == [None, "may not sign, say its key flags", None, None]


def test_given_keys_replace_the_built_in_one(maker):
    demo, other = maker.make_signing_key("Demo"), maker.make_signing_key("Other")
    keys = keys_module.read_keys((demo.armored, other.armored))
    assert [(key.fingerprint, key.key_id, key.source) for key in keys] == [
        (demo.fingerprint, demo.key_id, "entry 1 of trusted_keys"),
        (other.fingerprint, other.key_id, "entry 2 of trusted_keys"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        HASHICORP_KEY.replace("\n", "\r\n"),
        "    " + HASHICORP_KEY.replace("\n", "\n    "),
        "pub   rsa4096 2021-04-19 [SC] [expires: 2030-03-01]\n" + HASHICORP_KEY,
        HASHICORP_KEY.replace("\n\n", "\nComment: from the vendor\n\n"),
        "\n".join(line for line in LINES if not line.startswith("=")),
        HASHICORP_KEY * 3,
    ],
    ids=["crlf", "indented", "text before", "armor header", "no checksum", "three times"],
)
def test_key_is_read_in_any_wrapping(text):
    assert [key.fingerprint for key in keys_module.read_keys((text,))] == [HASHICORP]


@pytest.mark.parametrize(
    "text, found",
    [
        ("", "there is no armored public key in it"),
        ("/etc/terraform/key.asc", "there is no armored public key in it"),
        (HASHICORP, "there is no armored public key in it"),
        ("\x99\x02\x0d\x04\x60", "there is no armored public key in it"),
        (HASHICORP_KEY.replace("\n", " "), "line breaks lost"),
        (HASHICORP_KEY[:3000], "no END line"),
        (HASHICORP_KEY.replace(LINES[20], ""), "checksum does not match"),
        ("\n".join(LINES[:40] + LINES[-2:]).replace("KEY BLOCK-----\n\n", "KEY BLOCK-----\n\n"), "it was cut"),
        (
            HASHICORP_KEY.replace("PUBLIC KEY BLOCK", "SIGNATURE"),
            "it holds an OpenPGP block that is not a PUBLIC KEY BLOCK",
        ),
        (HASHICORP_KEY.replace("PUBLIC KEY BLOCK", "PRIVATE KEY BLOCK"), "it is a private key"),
        ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----", "a block in it is empty"),
        (HASHICORP_KEY + "x" * 300000, "longer than 262144 characters"),
    ],
    ids=lambda value: "" if "\n" in value else value[:30],
)
def test_text_that_is_no_whole_public_key_is_refused(text, found):
    for number, texts in ((1, (text,)), (2, (HASHICORP_KEY, text))):
        with pytest.raises(
            RequestError, match="entry %d of trusted_keys cannot be used: .*%s" % (number, found)
        ) as caught:
            keys_module.read_keys(texts)
        assert "gpg --armor" in caught.value.hint
        assert LINES[20][:20] not in repr(caught.value) and LINES[2][:20] not in repr(caught.value)


def packets(maker, *tags_and_bodies):
    return maker.armor(b"".join(maker.packet(tag, body) for tag, body in tags_and_bodies))


def refuse(text, found):
    with pytest.raises(RequestError, match="entry 1 of trusted_keys cannot be used: .*" + found):
        keys_module.read_keys((text,))


@pytest.mark.parametrize("tag", [5, 7])
@pytest.mark.parametrize("label", ["PUBLIC KEY BLOCK", "PRIVATE KEY BLOCK"])
def test_private_key_is_refused_and_not_shown(maker, tag, label):
    demo = maker.make_signing_key("Demo")
    secret = demo.primary.numbers.d.to_bytes(256, "big")
    body = demo.primary.body + b"\0" + maker.mpi(demo.primary.numbers.d) + b"\0\0"
    text = maker.armor(demo.binary + maker.packet(tag, body), label)
    with pytest.raises(RequestError, match="private key, which must not leave its owner") as caught:
        keys_module.read_keys((text,))
    shown = "%r %s %r" % (caught.value, caught.value.hint, caught.value.__cause__)
    assert secret.hex()[:16] not in shown
    assert not any(line[:16] in shown for line in text.split("\n")[2:-3])


@pytest.mark.parametrize("version", [2, 3, 5, 6])
def test_key_of_another_version_is_refused(maker, version):
    pair = maker.make_pair("Demo")._replace(version=version)
    refuse(packets(maker, (6, pair.body), (13, b"x")), "a key of version %d; version 4 expected" % version)
    refuse(packets(maker, (6, maker.make_pair("Demo").body), (14, pair.body)), "a key of version %d" % version)


def test_signature_of_another_version_is_refused(maker):
    demo = maker.make_signing_key("Demo")
    refuse(maker.armor(demo.binary + demo.sign(b"", version=3)), "a signature of version 3; version 4 expected")


@pytest.mark.parametrize("algorithm", [2, 3, 17, 22])
def test_key_of_another_algorithm_is_refused(maker, algorithm):
    pair = maker.make_pair("Demo")._replace(algorithm=algorithm)
    refuse(packets(maker, (6, pair.body), (13, b"x")), "is of public-key algorithm %d; RSA expected" % algorithm)


def test_short_key_is_refused(maker):
    short = maker.make_signing_key("Small", bits=1024)
    refuse(short.armored, "the key %s is an RSA key of 1024 bits; 2048 to 8192 expected" % short.fingerprint)


def test_subkey_of_another_algorithm_does_not_matter(maker):
    demo = maker.make_signing_key("Demo")
    odd = demo.subkey._replace(algorithm=18, created=maker.KEY_CREATED + 1)
    (key,) = keys_module.read_keys(
        (maker.armor(demo.binary + maker.packet(14, odd.body) + maker.bind(demo.primary, odd)),)
    )
    assert [member.invalid_reason for member in key.members[1:]] == [
        None,
        "is of public-key algorithm 18; RSA expected",
    ]


@pytest.mark.parametrize(
    "place, tag, found",
    [
        (0, 13, "a packet of type 13 is out of place"),
        (0, 14, "is out of place"),
        (0, 17, "a packet of type 17 is out of place"),
        (0, 2, "a signature stands before the key"),
        (3, 8, "a packet of type 8 is out of place"),
        (3, 11, "a packet of type 11 is out of place"),
        (3, 12, "a packet of type 12 is out of place"),
        (3, 60, "a packet of type 60 is out of place"),
        (5, 11, "a packet of type 11 is out of place"),
    ],
)
def test_packet_out_of_place_is_refused(maker, place, tag, found):
    demo = maker.make_signing_key("Demo")
    body = {2: demo.sign(b"", bare=True), 14: demo.subkey.body}.get(tag, b"x")
    parts = list(demo.parts)
    parts.insert(place, maker.packet(tag, body))
    refuse(maker.armor(b"".join(parts)), found)


def test_trailing_data_is_refused(maker):
    refuse(maker.armor(maker.make_signing_key("Demo").binary + b"\n"), "is not the start of an OpenPGP packet")


def test_broken_cross_certification_is_refused(maker):
    binding = dict(cross=False, unhashed=[maker.subpacket(maker.EMBEDDED, b"\4\x19\1")])
    refuse(maker.make_signing_key("Demo", binding=binding).armored, "it was cut")


def test_too_many_packets_are_refused(maker):
    demo = maker.make_signing_key("Demo").binary
    assert keys_module.read_keys((maker.armor(demo + maker.packet(13, b"x") * 995),))
    refuse(maker.armor(demo + maker.packet(13, b"x") * 996), "there are more than 1000 packets in it")


def test_revocations_alone_are_no_key(maker):
    demo = maker.make_signing_key("Demo")
    with pytest.raises(RequestError, match="trusted_keys cannot be used: it holds revocations only"):
        keys_module.read_keys((maker.armor(maker.revoke(demo.primary)),))


def test_key_exposed_in_2021_is_refused_as_a_subkey_too(maker, genuine):
    with open(genuine + "/keys/hashicorp_348FFC4C_compromised-2021.asc") as file:
        ((_label, data),) = keys_module.read_armor(file.read())
    body = keys_module.read_packets(data, 20)[0].body
    refuse(packets(maker, (6, maker.make_pair("Demo").body), (14, body)), "exposed in 2021")


def public(modulus=(1 << 2047) + 1, exponent=65537, algorithm=1):
    return PublicKey(b"", 0, algorithm, modulus, exponent, "")


@pytest.mark.parametrize(
    "key, invalid_reason",
    [
        (public(), None),
        (public(exponent=3), None),
        (public(exponent=(1 << 64) - 1), None),
        (public(modulus=(1 << 8192) - 1), None),
        (public(modulus=(1 << 2047) - 1), "is an RSA key of 2047 bits; 2048 to 8192 expected"),
        (public(modulus=(1 << 8192) + 1), "is an RSA key of 8193 bits; 2048 to 8192 expected"),
        (public(modulus=1 << 2047), "has impossible RSA numbers"),
        (public(exponent=0), "has impossible RSA numbers"),
        (public(exponent=1), "has impossible RSA numbers"),
        (public(exponent=2), "has impossible RSA numbers"),
        (public(exponent=65536), "has impossible RSA numbers"),
        (public(exponent=(1 << 64) + 1), "has impossible RSA numbers"),
        (public(algorithm=3), "is of public-key algorithm 3; RSA expected"),
    ],
    ids=lambda value: "" if isinstance(value, PublicKey) else str(value)[:20],
)
def test_rsa_numbers(key, invalid_reason):
    assert str(signatures.find_key_invalid_reason(key)).startswith(str(invalid_reason))
