# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trusted keys: what may be given as one, and what self-signatures say at a moment.

Everything else is refused with its entry named and nothing of it shown. The newest self-signature by then counts, the
strictest of several, and what cannot count restricts.
"""

import sys

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import RequestError
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import signatures
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import keys as keys_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.hashicorp_key import (
    FINGERPRINT,
    HASHICORP_KEY,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.keys import (
    KeyStatus,
    SelfSignature,
    SelfSignatures,
    SigningKey,
    find_key_status,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.packets import PublicKey
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.signatures import SignatureFields

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
    reasons = [find_key_status(member, 1771456522).invalid_reason for member in key.members]
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


PRIMARY_MADE, SUBKEY_MADE = 1000, 2000


class Public:
    """As much of a key as a standing needs."""

    def __init__(self, created):
        self.created = created


def log(created, end=None, flags=3, counts=True, until=None, agreed=()):
    """A statement; ends are moments, of the key and of the statement itself."""
    return SelfSignature(SignatureFields(created, until, end and end - PRIMARY_MADE, flags), counts, tuple(agreed))


def primary(*parts, **changes):
    return SigningKey(Public(PRIMARY_MADE), None, PRIMARY_MADE, PRIMARY_MADE, parts, None, False)._replace(**changes)


def subkey(*bindings, **changes):
    parts = (SelfSignatures((log(PRIMARY_MADE, flags=1),)),)
    return SigningKey(
        Public(PRIMARY_MADE), None, PRIMARY_MADE, PRIMARY_MADE, parts, SelfSignatures(bindings), False
    )._replace(**changes)


AGREED = log(PRIMARY_MADE)
NOBODY = "belongs to a key without a valid self-signature of 1970-01-01T00:25:00Z or before (over SHA-256 or better)"
UNBOUND = "has no valid binding to its primary key of 1970-01-01T00:25:00Z or before (over SHA-256 or better)"


@pytest.mark.parametrize(
    "said, moment, expires, stated",
    [
        ([log(1000)], 1000, None, 1000),
        ([log(1000, 5000), log(1500)], 1499, 5000, 1000),
        ([log(1000, 5000), log(1500)], 1500, None, 1500),
        ([log(1500), log(1000, 5000)], 1500, None, 1500),
        ([log(1500), log(1500, 5000)], 1500, 5000, 1500),
        ([log(1500, 5000), log(1500, 6000)], 1500, 5000, 1500),
        ([log(1500), log(1500, until=5000)], 1500, 5000, 1500),
        ([log(1500), log(1500, 5000, counts=False)], 1500, 5000, 1500),
        ([log(1500), log(1600, 5000, counts=False)], 1600, 5000, 1600),
        ([log(1500), log(1600, 5000, counts=False)], 1599, None, 1500),
        ([log(1500), log(1499, 5000, counts=False)], 1600, None, 1500),
        ([log(1500, 5000), log(1600, counts=False)], 1600, 5000, 1600),
    ],
    ids=str,
)
def test_ends(said, moment, expires, stated):
    assert find_key_status(primary(SelfSignatures(()), SelfSignatures(tuple(said))), moment) == KeyStatus(
        None, expires, stated
    )


@pytest.mark.parametrize(
    "parts", [(), (log(1501),), (log(1000, counts=False),), (log(1501), log(1000, counts=False))], ids=str
)
def test_without_a_word_that_counts_nothing_holds(parts):
    found = find_key_status(primary(SelfSignatures(()), SelfSignatures(parts)), 1500)
    assert found.invalid_reason == NOBODY


@pytest.mark.parametrize(
    "key, names, may",
    [
        ([], [[log(1000, flags=2)]], True),
        ([], [[log(1000, flags=1)]], False),
        ([], [[log(1000, flags=None)]], False),
        ([log(1000, flags=None)], [[log(1000, flags=2)]], True),
        ([log(1000, flags=2)], [[log(1000, flags=None)]], False),
        ([log(1000, flags=1)], [[log(1000, flags=2)]], False),
        ([log(1000, flags=2)], [], True),
        ([log(1000, flags=None)], [], False),
        ([], [[log(1000, flags=2)], [log(1000, flags=1)]], False),
        ([], [[log(1000, flags=2), log(1000, flags=1)]], False),
        ([], [[log(1000, flags=2), log(1500, flags=1, counts=False)]], False),
        ([], [[log(1000, flags=2), log(1501, flags=1)]], True),
    ],
    ids=str,
)
def test_who_may_sign(key, names, may):
    found = find_key_status(primary(SelfSignatures(tuple(key)), *[SelfSignatures(tuple(said)) for said in names]), 1500)
    assert found.invalid_reason == (None if may else "may not sign, say its key flags")


@pytest.mark.parametrize(
    "withdrawn, moment, expires",
    [
        ((), 1500, 1400),
        ((1300,), 1500, None),
        ((1500,), 1500, None),
        ((1501,), 1500, 1400),
        ((1000,), 1500, None),
        ((999,), 1500, 1400),
        ((999, 1300), 1500, None),
    ],
)
def test_a_withdrawn_user_id_says_nothing(withdrawn, moment, expires):
    gone, other = SelfSignatures((log(1000, 1400, counts=False),), withdrawn), SelfSignatures((log(1000),))
    assert find_key_status(primary(SelfSignatures(()), gone, other), moment).expires == expires
    assert find_key_status(primary(SelfSignatures((log(1000),)), gone), moment).expires == 1400


@pytest.mark.parametrize(
    "bindings, invalid_reason",
    [
        ([log(1000, agreed=[AGREED])], None),
        ([], UNBOUND),
        ([log(1501, agreed=[AGREED])], UNBOUND),
        ([log(1000, counts=False)], UNBOUND),
        ([log(1000, agreed=[log(1501)])], "has no valid cross-certification in its binding"),
        ([log(1000, agreed=[AGREED]), log(1000)], "has no valid cross-certification in its binding"),
        ([log(1000, agreed=[AGREED]), log(1000, flags=1)], "may not sign, say its key flags"),
        ([log(1000, agreed=[AGREED]), log(1200, flags=None, counts=False)], "may not sign, say its key flags"),
        ([log(1000, agreed=[AGREED]), log(1501)], None),
    ],
    ids=str,
)
def test_bindings(bindings, invalid_reason):
    assert find_key_status(subkey(*bindings), 1500).invalid_reason == invalid_reason


def test_every_end_of_a_subkey_counts():
    def expires(binding, **changes):
        return find_key_status(subkey(binding, **changes), 1500).expires

    assert expires(log(1000, agreed=[AGREED])) is None
    assert expires(log(1000, 9000, agreed=[AGREED])) == 9000
    assert expires(log(1000, 9000, until=8000, agreed=[AGREED])) == 8000
    assert expires(log(1000, 9000, agreed=[log(1000, until=7000)])) == 7000
    assert expires(log(1000, 9000, agreed=[log(1000, until=7000), log(1000)])) == 7000
    assert expires(log(1000, 9000, agreed=[AGREED]), parts=(SelfSignatures((log(1000, 6000),)),)) == 6000
    assert expires(log(1000, 9000, agreed=[AGREED]), parts=(SelfSignatures((log(1000, 6000),)),), oldest=900) == 5900


def test_the_renewed_key_speaks_for_what_it_signed_before():
    parts = (SelfSignatures(()), SelfSignatures((log(3000, 9000), log(4000, 8000))))
    assert find_key_status(primary(*parts), 1500).invalid_reason
    assert find_key_status(primary(*parts, renewed=True), 1500) == KeyStatus(None, 9000, 3000)
    assert find_key_status(primary(*parts, renewed=True), 4000) == KeyStatus(None, 8000, 4000)
    known = (SelfSignatures(()), SelfSignatures((log(1400, 5000), log(3000, 9000))))
    assert find_key_status(primary(*known, renewed=True), 1500) == KeyStatus(None, 5000, 1400)
    assert find_key_status(
        primary(SelfSignatures(()), SelfSignatures((log(3000, counts=False),)), renewed=True), 1500
    ).invalid_reason


def test_an_invalid_key_is_invalid_at_any_moment():
    assert find_key_status(primary(SelfSignatures((log(1000),)), invalid_reason="is revoked"), 1500) == KeyStatus(
        "is revoked"
    )
