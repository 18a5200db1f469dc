# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Made keys and signatures: the good ones are accepted, also by gpgv and sqv; each bad one is refused for its own reason.

The bad ones are near misses: good but for the one thing that they are named after.
"""

import shutil
import subprocess
import sys
from typing import NamedTuple, Tuple

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    ClockError,
    VerificationError,
    to_result,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import packets, signatures
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import verify as verify_module

pytest.importorskip("cryptography")
if sys.version_info < (3, 9):
    pytest.skip("the release site, which makes the signatures, needs Python 3.9", allow_module_level=True)
maker = pytest.importorskip("release_site.openpgp_maker")

DOCUMENT = b"0123456789abcdef  terraform_1.13.4_linux_amd64.zip\n"
DAY = maker.DAY
KEY_CREATED, SIGNED = maker.KEY_CREATED, maker.SIGNATURE_CREATED  # 2024-01-01, 2025-01-01
NOW = SIGNED + 150 * DAY
BEFORE_SIGNED, AFTER_SIGNED = 300 * DAY, 400 * DAY  # as lifetimes of a key made on 2024-01-01
UNKNOWN = 99  # a subpacket type that nobody uses


class Case(NamedTuple):
    """Trusted keys, binary, each armored as an entry of its own; and a signature over DOCUMENT."""

    blocks: Tuple[bytes, ...]
    signature: bytes

    @property
    def texts(self):
        return tuple(maker.armor(block) for block in self.blocks)


def demo(**options):
    return maker.make_signing_key("Demo", **options)


def other(**options):
    return maker.make_signing_key("Other", **options)


def signed(key, **how):
    """A case of a key and a signature by it."""
    return Case((key.binary,), key.sign(DOCUMENT, **how))


def build(first=(), certifications=None, between=(), bindings=None, last=()):
    """The Demo key with other parts at each place of its block; each place is a list of packets."""
    key = demo()
    public, user_id, certification, subkey, binding = key.parts
    parts = [
        public,
        *first,
        user_id,
        *([certification] if certifications is None else certifications),
        *between,
        subkey,
        *([binding] if bindings is None else bindings),
        *last,
    ]
    return key._replace(parts=tuple(parts))


def certify(**how):
    return maker.certify(demo().primary, "Demo", **how)


def bind(**how):
    return maker.bind(demo().primary, demo().subkey, **how)


def direct(hashed, created=KEY_CREATED):
    primary = demo().primary
    return maker.make_signature(primary, maker.DIRECT, primary.hashed, created=created, hashed=hashed)


def flags(value):
    return maker.subpacket(maker.FLAGS, bytes([value]))


def critical(kind=UNKNOWN, data=b"what?"):
    return maker.subpacket(kind, data, critical=True)


def second_user_id():
    return [maker.packet(13, maker.user_id("Second")), maker.certify(demo().primary, "Second")]


def revoke_user_id(**how):
    primary = demo().primary
    return maker.make_signature(primary, maker.UID_REVOCATION, maker.over_user_id(primary, "Demo"), **how)


def both(*signatures):
    return Case((demo().binary,), b"".join(signatures))


def adopt(**how):
    """The Other key with the subkey of Demo bound to it."""
    mine, theirs = other(), demo().subkey
    return mine._replace(
        subkey=theirs, parts=mine.parts[:3] + (maker.packet(14, theirs.body), maker.bind(mine.primary, theirs, **how))
    )


def partial(key):
    body = key.sign(DOCUMENT, bare=True)
    return b"\xc2\xe8" + body[:256] + bytes([len(body) - 256]) + body[256:]


def expire(seconds):
    """A lifetime of the signature that carries it."""
    return maker.subpacket(maker.SIGNATURE_EXPIRES, maker.four(seconds))


GOOD = {
    "SHA-256": lambda: signed(demo()),
    "SHA-384": lambda: signed(demo(), digest="sha384"),
    "SHA-512": lambda: signed(demo(), digest="sha512"),
    "old packet format": lambda: signed(demo(), old=True),
    "armored": lambda: signed(demo(), armored=True),
    "issuer only in the unhashed area": lambda: signed(demo(), issuer="unhashed"),
    "issuer only in the hashed area": lambda: signed(demo(), issuer="hashed"),
    "by a primary that may sign": lambda: signed(demo(certification=dict(flags=0x03)), by="primary"),
    "by a primary that may sign, with a revoker named later": lambda: signed(
        build(
            certifications=[certify(flags=3)],
            first=[direct([maker.subpacket(12, b"\x80\x01" + b"\xab" * 20)], KEY_CREATED + DAY)],
        ),
        by="primary",
    ),
    "RSA of 3072 bits": lambda: signed(maker.make_signing_key("Big", subkey_bits=3072)),
    "exponent 3": lambda: signed(maker.make_signing_key("Three", exponent=3)),
    "key and binding over SHA-512": lambda: signed(
        demo(certification=dict(digest="sha512"), binding=dict(digest="sha512", cross_options=dict(digest="sha384")))
    ),
    "cross-certification in the hashed area": lambda: signed(demo(binding=dict(cross_hashed_area=True))),
    "another embedded signature beside it": lambda: signed(
        demo(binding=dict(unhashed=[maker.subpacket(maker.EMBEDDED, demo().sign(DOCUMENT, bare=True))]))
    ),
    "certification of class 0x10": lambda: signed(demo(certification=dict(kind=0x10))),
    "certification of class 0x11": lambda: signed(demo(certification=dict(kind=0x11))),
    "certification of class 0x12": lambda: signed(demo(certification=dict(kind=0x12))),
    "known critical subpackets": lambda: signed(
        demo(certification=dict(hashed=[critical(11, b"\x09"), critical(30, b"\x01")])),
        date=False,
        hashed=[critical(maker.CREATED, maker.four(SIGNED)), critical(maker.SIGNATURE_EXPIRES, maker.four(3650 * DAY))],
    ),
    "unknown subpackets that are not critical": lambda: signed(
        demo(),
        hashed=[
            maker.subpacket(UNKNOWN, b"what?"),
            maker.subpacket(maker.NOTATION, b"\x80\0\0\0\0\1\0\1ab"),
            maker.subpacket(35, b"\4" + b"\xcd" * 20),
            maker.subpacket(4, b"\1"),
            maker.subpacket(7, b"\0"),
            maker.subpacket(5, b"\1\x78"),
            maker.subpacket(6, b"x\0"),
            maker.subpacket(31, b"\1\x08" + b"\xab" * 32),
        ],
    ),
    "subkey younger than its primary": lambda: signed(demo(subkey_created=KEY_CREATED + 90 * DAY)),
    "signature with a long life": lambda: signed(demo(), expires=3650 * DAY),
    "signature without end": lambda: signed(demo(), expires=0),
    "key without end": lambda: signed(demo(certification=dict(expires=0), binding=dict(expires=0))),
    "marker packet": lambda: both(maker.packet(10, b"PGP"), demo().sign(DOCUMENT)),
    "unknown signer, then ours": lambda: both(other().sign(DOCUMENT), demo().sign(DOCUMENT)),
    "ours, then an unknown signer": lambda: both(demo().sign(DOCUMENT), other().sign(DOCUMENT)),
    "unknown signer over another document": lambda: both(other().sign(b"another"), demo().sign(DOCUMENT)),
    "unknown signer of another algorithm": lambda: both(
        other().sign(DOCUMENT, algorithm=22, write=lambda value: maker.mpi(value >> 1800) + maker.mpi(value >> 1800)),
        demo().sign(DOCUMENT),
    ),
    "two trusted keys": lambda: Case((other().binary, demo().binary), demo().sign(DOCUMENT) + other().sign(DOCUMENT)),
    "two keys in one block": lambda: Case((other().binary + demo().binary,), demo().sign(DOCUMENT)),
    "extended, old copy first": lambda: Case(
        (
            demo(certification=dict(expires=BEFORE_SIGNED)).binary,
            demo(certification=dict(expires=3650 * DAY, created=KEY_CREATED + DAY)).binary,
        ),
        demo().sign(DOCUMENT),
    ),
    "extended, old copy last": lambda: Case(
        (
            demo(certification=dict(expires=3650 * DAY, created=KEY_CREATED + DAY)).binary,
            demo(certification=dict(expires=BEFORE_SIGNED)).binary,
        ),
        demo().sign(DOCUMENT),
    ),
    "binding extended": lambda: signed(
        build(bindings=[bind(expires=BEFORE_SIGNED), bind(created=KEY_CREATED + DAY, expires=3650 * DAY)])
    ),
    "older certification over SHA-1 that was shorter": lambda: signed(
        build(certifications=[certify(digest="sha1", expires=BEFORE_SIGNED), certify(created=KEY_CREATED + DAY)])
    ),
    "certification over MD5, which proves nothing": lambda: signed(
        build(certifications=[certify(), certify(created=KEY_CREATED + DAY, digest="md5", expires=BEFORE_SIGNED)])
    ),
    "restricted after the signature": lambda: signed(
        build(
            certifications=[certify(), certify(created=SIGNED + 1, expires=3650 * DAY)],
            bindings=[bind(), bind(created=SIGNED + 1, expires=3650 * DAY)],
        )
    ),
    "withdrawn user id that had ended": lambda: signed(
        build(certifications=[certify(expires=BEFORE_SIGNED), revoke_user_id(), *second_user_id()])
    ),
    "direct-key signature alone": lambda: signed(build(first=[direct([flags(1)])], certifications=[])),
    "direct-key signature that names a revoker": lambda: signed(
        build(first=[direct([maker.subpacket(12, b"\x80\x01" + b"\xab" * 20)], KEY_CREATED + DAY)])
    ),
    "certified by a third party": lambda: signed(
        build(
            certifications=[
                certify(),
                maker.make_signature(
                    other().primary,
                    maker.CERTIFICATION,
                    maker.over_user_id(demo().primary, "Demo"),
                    hashed=[critical()],
                ),
            ]
        )
    ),
    "one user id of two revoked": lambda: signed(
        build(certifications=[certify(), revoke_user_id(), *second_user_id()])
    ),
    "forged revocation of the key": lambda: signed(build(first=[maker.revoke(demo().primary, by=other().primary)])),
    "forged revocation of the subkey": lambda: signed(
        build(last=[maker.revoke(demo().primary, demo().subkey, by=other().primary)])
    ),
    "revocation of another key": lambda: Case((demo().binary, other(revoked="primary").binary), demo().sign(DOCUMENT)),
    "revocation of another algorithm": lambda: signed(
        build(
            first=[
                maker.revoke(
                    demo().primary,
                    algorithm=17,
                    write=(lambda value: maker.mpi(value >> 1800) + maker.mpi(value >> 1800)),
                )
            ]
        )
    ),
    "revocation over MD5, which proves nothing": lambda: signed(
        build(first=[maker.revoke(demo().primary, digest="md5")])
    ),
    "forged revocation of the user id": lambda: signed(
        build(
            certifications=[
                certify(),
                maker.make_signature(other().primary, maker.UID_REVOCATION, maker.over_user_id(demo().primary, "Demo")),
            ]
        )
    ),
    "revocation of another key that stands alone": lambda: Case(
        (demo().binary, maker.revoke(other().primary)), demo().sign(DOCUMENT)
    ),
    "certification that names its maker in the unhashed area": (
        lambda: signed(demo(certification=dict(issuer="unhashed"), binding=dict(issuer="unhashed")))
    ),
    "user attribute": lambda: signed(build(between=[maker.packet(17, b"\x02\x01x")])),
    "subkey bound to two keys that it agreed to": lambda: Case((adopt().binary, demo().binary), demo().sign(DOCUMENT)),
    "adopted without consent beside the true key": lambda: Case(
        (adopt(cross=False).binary, demo().binary), demo().sign(DOCUMENT)
    ),
}


def prefixed(prefix, kind=1, tail=0, filler=b"\xff"):
    """A maker of padded blocks that a careless verifier takes for good ones."""

    def pad(pair, _digest, value):
        size = (pair.numbers.public_numbers.n.bit_length() + 7) // 8
        info = bytes.fromhex(prefix) + value
        return bytes([0, kind]) + filler * (size - len(info) - tail - 3) + b"\0" + info + b"\x2a" * tail

    return pad


SHA256 = "3031300d060960864801650304020105000420"
CLASS = "is of class 0x%02X; 0x00, a binary document, expected"
BROKEN = "does not match its document"
UNREADABLE = "is not a detached OpenPGP signature that is supported: "
NO_SELF_SIGNATURE = "belongs to a key without a valid self-signature"
NO_BINDING = "has no valid binding to its primary key"
NO_CROSS = "has no valid cross-certification"
MAY_NOT = "may not sign, say its key flags"

BAD = {
    # the signature
    "SHA-1": (lambda: signed(demo(), digest="sha1"), "is over SHA-1; SHA-256, SHA-384 or SHA-512 expected"),
    "SHA-224": (lambda: signed(demo(), digest="sha224"), "is over SHA-224"),
    "MD5": (lambda: signed(demo(), digest="md5"), "is over MD5"),
    "text document": (lambda: signed(demo(), kind=0x01), CLASS % 0x01),
    "standalone": (lambda: signed(demo(), kind=0x02), CLASS % 0x02),
    "timestamp": (lambda: signed(demo(), kind=0x40), CLASS % 0x40),
    "version 3": (lambda: signed(demo(), version=3), UNREADABLE + "a signature of version 3"),
    "version 5": (lambda: signed(demo(), version=5), UNREADABLE + "a signature of version 5"),
    "version 6": (lambda: signed(demo(), version=6), UNREADABLE + "a signature of version 6"),
    "version 3 by an unknown signer": (
        lambda: both(demo().sign(DOCUMENT), other().sign(DOCUMENT, version=3)),
        UNREADABLE + "a signature of version 3",
    ),
    "RSA sign-only": (lambda: signed(demo(), algorithm=3), "is of public-key algorithm 3; RSA expected"),
    "unknown critical subpacket": (lambda: signed(demo(), critical=(UNKNOWN, b"?")), "critical subpacket of type 99"),
    "unknown critical subpacket in the unhashed area": (
        lambda: signed(demo(), unhashed=[critical()]),
        "critical subpacket of type 99",
    ),
    "critical notation": (
        lambda: signed(demo(), critical=(maker.NOTATION, b"\x80\0\0\0\0\1\0\1ab")),
        "critical subpacket of type 20",
    ),
    "critical regular expression": (lambda: signed(demo(), critical=(6, b"x\0")), "critical subpacket of type 6"),
    "no creation time": (lambda: signed(demo(), date=False), "has no creation time"),
    "creation time in the unhashed area": (
        lambda: signed(demo(), date=False, unhashed=[maker.subpacket(maker.CREATED, maker.four(SIGNED))]),
        "has no creation time",
    ),
    "two creation times": (
        lambda: signed(demo(), hashed=[maker.subpacket(maker.CREATED, maker.four(SIGNED))]),
        "says a thing twice .subpacket type 2",
    ),
    "two ends": (
        lambda: signed(demo(), hashed=[expire(3650 * DAY)], expires=3650 * DAY),
        "says a thing twice .subpacket type 3",
    ),
    "creation time of three octets": (
        lambda: signed(demo(), date=False, hashed=[maker.subpacket(maker.CREATED, b"abc")]),
        "has a time of 3 octets",
    ),
    "end of five octets": (
        lambda: signed(demo(), hashed=[maker.subpacket(maker.SIGNATURE_EXPIRES, b"abcde")]),
        "has a time of 5 octets",
    ),
    "signature expired": (
        lambda: signed(demo(), expires=NOW - SIGNED),
        "expired on 2025-05-31T00:00:00Z: the clock says 2025-05-31T00:00:00Z",
    ),
    "future": (
        lambda: signed(demo(), created=NOW + 1801),
        "is dated 2025-05-31T00:30:01Z, in the future: the clock says 2025-05-31T00:00:00Z",
    ),
    "malformed intended recipient": (
        lambda: signed(demo(), hashed=[maker.subpacket(35, b"\4" + b"\xcd" * 19)]),
        "has a malformed subpacket of type 35",
    ),
    "malformed subpacket in the unhashed area": (
        lambda: signed(demo(), unhashed=[maker.subpacket(25, b"\2")]),
        "has a malformed subpacket of type 25",
    ),
    "malformed issuer in the unhashed area": (
        lambda: signed(demo(), unhashed=[maker.subpacket(33, b"\4")]),
        "has a malformed subpacket of type 33",
    ),
    "malformed subpacket in an embedded signature": (
        lambda: signed(
            demo(),
            hashed=[
                maker.subpacket(maker.EMBEDDED, demo().sign(DOCUMENT, bare=True, hashed=[maker.subpacket(29, b"")]))
            ],
        ),
        "has a malformed subpacket of type 32",
    ),
    "embedded signature of another algorithm": (
        lambda: signed(
            demo(), hashed=[maker.subpacket(maker.EMBEDDED, demo().sign(DOCUMENT, bare=True, algorithm=22))]
        ),
        "has a malformed subpacket of type 32",
    ),
    "signature embedded two deep": (
        lambda: signed(
            demo(),
            hashed=[
                maker.subpacket(
                    maker.EMBEDDED,
                    demo().sign(
                        DOCUMENT, bare=True, hashed=[maker.subpacket(maker.EMBEDDED, demo().sign(DOCUMENT, bare=True))]
                    ),
                )
            ],
        ),
        UNREADABLE + "a signature within a signature within a signature",
    ),
    "before the key": (
        lambda: signed(demo(certification=dict(flags=3)), by="primary", created=KEY_CREATED - 1),
        "before its key was made on 2024-01-01T00:00:00Z",
    ),
    "before the subkey": (
        lambda: signed(demo(subkey_created=SIGNED + 1)),
        "before its key was made on 2025-01-01T00:00:01Z",
    ),
    "before the primary": (
        lambda: signed(demo(created=SIGNED + 1, subkey_created=KEY_CREATED, binding=dict(created=SIGNED + 1))),
        "before its key was made",
    ),
    "left octets": (lambda: signed(demo(), left=b"\0\0"), BROKEN),
    "value of zero": (lambda: signed(demo(), write=lambda value: b"\0\0"), BROKEN),
    "value beyond the modulus": (
        lambda: signed(demo(), write=lambda value: maker.mpi(value + demo().subkey.numbers.public_numbers.n)),
        BROKEN,
    ),
    "leading zero": (
        lambda: signed(demo(), write=lambda value: b"\x08\x08" + value.to_bytes(257, "big")),
        UNREADABLE + "a number of",
    ),
    "bit count one too high": (
        lambda: signed(
            demo(),
            write=lambda value: (
                (value.bit_length() + 1).to_bytes(2, "big") + value.to_bytes((value.bit_length() + 8) // 8, "big")
            ),
        ),
        UNREADABLE + "a number of",
    ),
    "more after the value": (lambda: signed(demo(), tail=b"\0"), UNREADABLE + "something follows"),
    "short padding with a tail": (lambda: signed(demo(), pad=prefixed(SHA256, tail=150)), BROKEN),
    "no padding at all": (lambda: signed(demo(), pad=prefixed(SHA256, tail=202)), BROKEN),
    "one octet of tail": (lambda: signed(demo(), pad=prefixed(SHA256, tail=1)), BROKEN),
    "block type 2": (lambda: signed(demo(), pad=prefixed(SHA256, kind=2)), BROKEN),
    "block type 0": (lambda: signed(demo(), pad=prefixed(SHA256, kind=0, filler=b"\0")), BROKEN),
    "another filler": (lambda: signed(demo(), pad=prefixed(SHA256, filler=b"\xfe")), BROKEN),
    "DigestInfo without parameters": (
        lambda: signed(demo(), pad=prefixed("302f300b0609608648016503040201" + "0420")),
        BROKEN,
    ),
    "DigestInfo of another hash": (
        lambda: signed(demo(), pad=prefixed("3031300d060960864801650304020205000420")),
        BROKEN,
    ),
    "bare hash": (lambda: signed(demo(), pad=prefixed("")), BROKEN),
    "exponent 3, cube root of a short padding": (
        lambda: Case((maker.make_signing_key("Three", exponent=3).binary,), cube_root()),
        BROKEN,
    ),
    # whom it names
    "no issuer": (lambda: signed(demo(), issuer="none"), UNREADABLE + "it does not say which key"),
    "no issuer beside a good one": (
        lambda: both(demo().sign(DOCUMENT), other().sign(DOCUMENT, issuer="none")),
        UNREADABLE + "it does not say which key",
    ),
    "two keys claim it, neither may": (
        lambda: Case((demo(revoked="subkey").binary, adopt(cross=False).binary), demo().sign(DOCUMENT)),
        "the key is revoked",
    ),
    "unknown signer": (lambda: Case((demo().binary,), other().sign(DOCUMENT)), "which is not trusted"),
    "ours, but hashed it names another": (lambda: signed(demo(), issuer=other().subkey), "which is not trusted"),
    "ours, but it names another as well": (
        lambda: signed(demo(), hashed=[maker.subpacket(maker.ISSUER, bytes.fromhex(other().subkey.fingerprint)[-8:])]),
        "names another key as well",
    ),
    "another's, but it names ours": (
        lambda: Case((demo().binary,), other().sign(DOCUMENT, issuer=demo().subkey)),
        BROKEN,
    ),
    "no keys at all": (lambda: Case((), demo().sign(DOCUMENT)), "trusted: C874011F0AB405110D02105534365D9472D7468F"),
    # the file
    "empty": (lambda: both(b""), UNREADABLE + "it is neither binary nor"),
    "a web page": (lambda: both(b"<!DOCTYPE html><html>login</html>"), UNREADABLE + "it is neither binary nor"),
    "reserved packet": (lambda: both(b"\x80\0"), UNREADABLE + "a packet of type 0"),
    "only a marker": (lambda: both(maker.packet(10, b"PGP")), UNREADABLE + "there is no signature in it"),
    "tail": (lambda: both(demo().sign(DOCUMENT), b"\n"), UNREADABLE + "octet 3.. is not the start"),
    "partial length": (lambda: both(partial(demo())), UNREADABLE + "a packet of partial length"),
    "indeterminate length": (
        lambda: both(b"\x8b" + demo().sign(DOCUMENT, bare=True)),
        UNREADABLE + "a packet of indeterminate length",
    ),
    "compressed": (lambda: both(maker.packet(8, b"\0" + demo().sign(DOCUMENT))), UNREADABLE + "a packet of type 8"),
    "document included": (
        lambda: both(demo().sign(DOCUMENT), maker.packet(11, b"b\0\0\0\0\0" + DOCUMENT)),
        UNREADABLE + "a packet of type 11",
    ),
    "33 signatures": (lambda: both(demo().sign(DOCUMENT) * 33), UNREADABLE + "there are more than 32 packets"),
    "too long": (
        lambda: both(maker.packet(10, b"PGP"), maker.packet(2, b"\4" + b"x" * 65536)),
        UNREADABLE + "it is longer than 65536 octets",
    ),
    "armored as something else": (
        lambda: both(maker.armor(demo().sign(DOCUMENT), "MESSAGE").encode()),
        UNREADABLE + "it is neither binary nor",
    ),
    "armored twice": (lambda: both(demo().sign(DOCUMENT, armored=True) * 2), UNREADABLE + "it is neither binary nor"),
    "good, then changed, by the same key": (lambda: both(demo().sign(DOCUMENT), demo().sign(DOCUMENT + b"!")), BROKEN),
    "changed, then good, by the same key": (lambda: both(demo().sign(DOCUMENT + b"!"), demo().sign(DOCUMENT)), BROKEN),
    "good, and over SHA-1 by another trusted key": (
        lambda: Case((demo().binary, other().binary), demo().sign(DOCUMENT) + other().sign(DOCUMENT, digest="sha1")),
        "is over SHA-1",
    ),
    # the key
    "primary may not sign": (lambda: signed(demo(), by="primary"), MAY_NOT),
    "primary without key flags in its newest certification": (
        lambda: signed(
            build(
                certifications=[certify(flags=3), certify(flags=None, created=KEY_CREATED + 1)],
                first=[direct([flags(3)])],
            ),
            by="primary",
        ),
        MAY_NOT,
    ),
    "primary without key flags for one user id": (
        lambda: signed(
            build(
                certifications=[
                    certify(flags=3),
                    maker.packet(13, maker.user_id("Second")),
                    maker.certify(demo().primary, "Second", flags=None),
                ]
            ),
            by="primary",
        ),
        MAY_NOT,
    ),
    "primary may not sign, says a direct-key signature": (
        lambda: signed(build(certifications=[certify(flags=3)], first=[direct([flags(1)])]), by="primary"),
        MAY_NOT,
    ),
    "primary without key flags": (lambda: signed(demo(certification=dict(flags=None)), by="primary"), MAY_NOT),
    "key expired": (
        lambda: signed(demo(certification=dict(expires=BEFORE_SIGNED))),
        "after its key expired on 2024-10-27T00:00:00Z",
    ),
    "key expires in the second of the signature": (
        lambda: signed(demo(certification=dict(expires=SIGNED - KEY_CREATED))),
        "after its key expired on 2025-01-01",
    ),
    "key shortened": (
        lambda: signed(build(certifications=[certify(), certify(created=KEY_CREATED + 1, expires=BEFORE_SIGNED)])),
        "after its key expired",
    ),
    "key shortened by a direct-key signature": (
        lambda: signed(
            build(
                first=[
                    direct([flags(1), maker.subpacket(maker.KEY_EXPIRES, maker.four(BEFORE_SIGNED))], KEY_CREATED + 1)
                ]
            )
        ),
        "after its key expired",
    ),
    "key shortened without a word on flags": (
        lambda: signed(
            build(certifications=[certify(), certify(created=KEY_CREATED + 1, flags=None, expires=BEFORE_SIGNED)])
        ),
        "after its key expired",
    ),
    "key expiring, with a revoker named later": (
        lambda: signed(
            build(
                certifications=[certify(expires=BEFORE_SIGNED)],
                first=[direct([maker.subpacket(12, b"\x80\x01" + b"\xab" * 20)], KEY_CREATED + DAY)],
            )
        ),
        "after its key expired",
    ),
    "key shortened in the same second": (
        lambda: signed(build(certifications=[certify(expires=BEFORE_SIGNED), certify()])),
        "after its key expired",
    ),
    "key shortened in the same second, named last": (
        lambda: signed(build(certifications=[certify(), certify(expires=BEFORE_SIGNED)])),
        "after its key expired",
    ),
    "self-signature with an end in the same second": (
        lambda: signed(build(certifications=[certify(hashed=[expire(BEFORE_SIGNED)]), certify()])),
        "after its key expired",
    ),
    "self-signature with an end in the same second, named last": (
        lambda: signed(build(certifications=[certify(), certify(hashed=[expire(BEFORE_SIGNED)])])),
        "after its key expired",
    ),
    "key shortened over SHA-1": (
        lambda: signed(
            build(certifications=[certify(), certify(created=KEY_CREATED + 1, digest="sha1", expires=BEFORE_SIGNED)])
        ),
        "after its key expired",
    ),
    "key shortened over SHA-224": (
        lambda: signed(
            build(certifications=[certify(), certify(created=KEY_CREATED + 1, digest="sha224", expires=BEFORE_SIGNED)])
        ),
        "after its key expired",
    ),
    "key shortened by what is not understood": (
        lambda: signed(
            build(
                certifications=[certify(), certify(created=KEY_CREATED + 1, hashed=[critical()], expires=BEFORE_SIGNED)]
            )
        ),
        "after its key expired",
    ),
    "key shortened by a certification out of place": (
        lambda: signed(
            build(certifications=[certify()], last=[certify(created=KEY_CREATED + 1, expires=BEFORE_SIGNED)])
        ),
        "after its key expired",
    ),
    "key shortened by an RSA sign-only signature": (
        lambda: signed(
            build(certifications=[certify(), certify(created=KEY_CREATED + 1, algorithm=3, expires=BEFORE_SIGNED)])
        ),
        "after its key expired",
    ),
    "key shortened, with a wrong copy of the hash": (
        lambda: signed(
            build(certifications=[certify(), certify(created=KEY_CREATED + 1, left=b"\0\0", expires=BEFORE_SIGNED)])
        ),
        "after its key expired",
    ),
    "key shortened by one that names its maker unhashed only": (
        lambda: signed(
            build(
                certifications=[
                    certify(),
                    certify(
                        created=KEY_CREATED + 1,
                        issuer=other().primary,
                        expires=BEFORE_SIGNED,
                        unhashed=[maker.subpacket(maker.ISSUER, bytes.fromhex(demo().primary.fingerprint)[-8:])],
                    ),
                ]
            )
        ),
        "after its key expired",
    ),
    "one user id of two ended": (
        lambda: signed(build(certifications=[certify(expires=BEFORE_SIGNED), *second_user_id()])),
        "after its key expired",
    ),
    "user id that had ended withdrawn after the signature": (
        lambda: signed(
            build(
                certifications=[certify(expires=BEFORE_SIGNED), revoke_user_id(created=SIGNED + 1), *second_user_id()]
            )
        ),
        "after its key expired",
    ),
    "user id that had ended withdrawn over SHA-1": (
        lambda: signed(
            build(certifications=[certify(expires=BEFORE_SIGNED), revoke_user_id(digest="sha1"), *second_user_id()])
        ),
        "after its key expired",
    ),
    "user id that had ended withdrawn, then certified": (
        lambda: signed(
            build(
                certifications=[
                    certify(expires=BEFORE_SIGNED, created=KEY_CREATED + DAY),
                    revoke_user_id(created=KEY_CREATED),
                    *second_user_id(),
                ]
            )
        ),
        "after its key expired",
    ),
    "user id that had ended withdrawn for a while": (
        lambda: signed(
            build(
                certifications=[
                    certify(expires=BEFORE_SIGNED),
                    revoke_user_id(created=KEY_CREATED, hashed=[expire(DAY)]),
                    *second_user_id(),
                ]
            )
        ),
        "after its key expired",
    ),
    "the only user id withdrawn, had ended": (
        lambda: signed(
            build(first=[direct([flags(1)])], certifications=[certify(expires=BEFORE_SIGNED), revoke_user_id()])
        ),
        "after its key expired",
    ),
    "end of the key, counted from its older subkey": (
        lambda: signed(
            demo(
                created=KEY_CREATED,
                subkey_created=KEY_CREATED - 200 * DAY,
                binding=dict(created=KEY_CREATED),
                certification=dict(expires=AFTER_SIGNED),
            )
        ),
        "after its key expired",
    ),
    "key revived after the signature": (
        lambda: signed(build(certifications=[certify(expires=BEFORE_SIGNED), certify(created=SIGNED + 1)])),
        "after its key expired",
    ),
    "key revived after the signature, in another block": (
        lambda: Case(
            (
                demo(certification=dict(created=SIGNED + 1)).binary,
                demo(certification=dict(expires=BEFORE_SIGNED)).binary,
            ),
            demo().sign(DOCUMENT),
        ),
        "after its key expired",
    ),
    "certification that says a thing twice, beside a good one": (
        lambda: signed(build(certifications=[certify(), certify(created=KEY_CREATED - 1, hashed=[flags(1)])])),
        "has a self-signature that says a thing twice",
    ),
    "certification without a date beside a good one": (
        lambda: signed(build(certifications=[certify(), certify(date=False)])),
        "has a self-signature that has no creation time",
    ),
    "malformed certification": (
        lambda: signed(demo(certification=dict(hashed=[maker.subpacket(4, b"\2")]))),
        NO_SELF_SIGNATURE,
    ),
    "key shortened in a second block": (
        lambda: Case(
            (demo().binary, demo(certification=dict(expires=BEFORE_SIGNED, created=KEY_CREATED + 1)).binary),
            demo().sign(DOCUMENT),
        ),
        "after its key expired",
    ),
    "self-signature expired": (
        lambda: signed(demo(certification=dict(hashed=[expire(BEFORE_SIGNED)]))),
        "after its key expired",
    ),
    "key extended over SHA-1": (
        lambda: signed(
            build(certifications=[certify(expires=BEFORE_SIGNED), certify(created=KEY_CREATED + 1, digest="sha1")])
        ),
        "after its key expired",
    ),
    "key extended by another": (
        lambda: signed(
            build(
                certifications=[
                    certify(expires=BEFORE_SIGNED),
                    maker.make_signature(
                        other().primary,
                        maker.CERTIFICATION,
                        maker.over_user_id(demo().primary, "Demo"),
                        hashed=[flags(1)],
                        issuer=demo().primary,
                    ),
                ]
            )
        ),
        "after its key expired",
    ),
    "no certification": (lambda: signed(demo(certification=False)), NO_SELF_SIGNATURE),
    "certification over SHA-1": (lambda: signed(demo(certification=dict(digest="sha1"))), NO_SELF_SIGNATURE),
    "certification not understood": (lambda: signed(demo(certification=dict(hashed=[critical()]))), NO_SELF_SIGNATURE),
    "certification before the key": (
        lambda: signed(demo(certification=dict(created=KEY_CREATED - 1))),
        NO_SELF_SIGNATURE,
    ),
    "certification of another class": (lambda: signed(demo(certification=dict(kind=0x16))), NO_SELF_SIGNATURE),
    "certification of another user id": (
        lambda: signed(build(certifications=[maker.certify(demo().primary, "Second")])),
        NO_SELF_SIGNATURE,
    ),
    "direct-key signature over a user id": (
        lambda: signed(build(certifications=[direct([flags(1)])])),
        NO_SELF_SIGNATURE,
    ),
    "certification of a user attribute": (
        lambda: signed(build(certifications=[maker.packet(17, maker.user_id("Demo")), certify()])),
        NO_SELF_SIGNATURE,
    ),
    "certification that names nobody": (lambda: signed(demo(certification=dict(issuer="none"))), NO_SELF_SIGNATURE),
    "certification that names another as well": (
        lambda: signed(
            demo(
                certification=dict(
                    hashed=[maker.subpacket(maker.ISSUER, bytes.fromhex(other().primary.fingerprint)[-8:])]
                )
            )
        ),
        NO_SELF_SIGNATURE,
    ),
    "certification that names another": (
        lambda: signed(demo(certification=dict(issuer=other().primary))),
        NO_SELF_SIGNATURE,
    ),
    "document that reads like the key": (
        lambda: signed(
            build(
                certifications=[],
                first=[maker.make_signature(demo().primary, maker.BINARY, demo().primary.hashed, hashed=[flags(3)])],
            )
        ),
        NO_SELF_SIGNATURE,
    ),
    "certification by another": (
        lambda: signed(
            build(
                certifications=[
                    maker.make_signature(
                        other().primary,
                        maker.CERTIFICATION,
                        maker.over_user_id(demo().primary, "Demo"),
                        hashed=[flags(1)],
                    )
                ]
            )
        ),
        NO_SELF_SIGNATURE,
    ),
    "user id revoked": (lambda: signed(build(certifications=[certify(), revoke_user_id()])), NO_SELF_SIGNATURE),
    "user id revoked over SHA-1": (
        lambda: signed(build(certifications=[certify(), revoke_user_id(digest="sha1")])),
        NO_SELF_SIGNATURE,
    ),
    "key revoked": (lambda: signed(demo(revoked="primary")), "belongs to a revoked key"),
    "key revoked, by the primary itself": (
        lambda: signed(demo(revoked="primary", certification=dict(flags=3)), by="primary"),
        "belongs to a revoked key",
    ),
    "key revoked after the signature": (
        lambda: signed(demo(revoked="primary", revocation=dict(created=SIGNED + 9 * DAY))),
        "belongs to a revoked key",
    ),
    "key revoked as superseded": (
        lambda: signed(demo(revoked="primary", revocation=dict(hashed=[maker.subpacket(29, b"\x01new key")]))),
        "belongs to a revoked key",
    ),
    "key revoked over SHA-1": (
        lambda: signed(demo(revoked="primary", revocation=dict(digest="sha1"))),
        "belongs to a revoked key",
    ),
    "key revoked over SHA-224": (
        lambda: signed(demo(revoked="primary", revocation=dict(digest="sha224"))),
        "belongs to a revoked key",
    ),
    "key revoked with a critical subpacket": (
        lambda: signed(demo(revoked="primary", revocation=dict(hashed=[critical()]))),
        "belongs to a revoked key",
    ),
    "key revoked at the end of the block": (
        lambda: signed(build(last=[maker.revoke(demo().primary)])),
        "belongs to a revoked key",
    ),
    "key revoked and certified anew": (
        lambda: signed(build(first=[maker.revoke(demo().primary)], certifications=[certify(created=SIGNED + DAY)])),
        "belongs to a revoked key",
    ),
    "key revoked in a second block": (
        lambda: Case((demo().binary, demo(revoked="primary").binary), demo().sign(DOCUMENT)),
        "belongs to a revoked key",
    ),
    "key revoked by a certificate that stands alone": (
        lambda: Case((demo().binary, maker.revoke(demo().primary)), demo().sign(DOCUMENT)),
        "belongs to a revoked key",
    ),
    "self-signature in the future": (
        lambda: signed(demo(certification=dict(created=NOW + 1801))),
        NO_SELF_SIGNATURE + " of 2025-01-01T00:00:00Z or before",
    ),
    "self-signature a second too late": (
        lambda: signed(demo(certification=dict(created=SIGNED + 1))),
        NO_SELF_SIGNATURE + " of 2025-01-01T00:00:00Z or before",
    ),
    # the subkey
    "subkey expired": (lambda: signed(demo(binding=dict(expires=BEFORE_SIGNED))), "after its key expired"),
    "subkey shortened": (
        lambda: signed(build(bindings=[bind(), bind(created=KEY_CREATED + 1, expires=BEFORE_SIGNED)])),
        "after its key expired",
    ),
    "binding expired": (lambda: signed(demo(binding=dict(hashed=[expire(BEFORE_SIGNED)]))), "after its key expired"),
    "cross-certification expired": (
        lambda: signed(demo(binding=dict(cross_options=dict(hashed=[expire(BEFORE_SIGNED)])))),
        "after its key expired",
    ),
    "subkey revoked": (lambda: signed(demo(revoked="subkey")), "the key is revoked"),
    "subkey revoked after the signature": (
        lambda: signed(demo(revoked="subkey", revocation=dict(created=SIGNED + 9 * DAY))),
        "the key is revoked",
    ),
    "subkey revoked over SHA-1": (
        lambda: signed(demo(revoked="subkey", revocation=dict(digest="sha1"))),
        "the key is revoked",
    ),
    "subkey revoked and bound anew": (
        lambda: signed(build(last=[maker.revoke(demo().primary, demo().subkey), bind(created=SIGNED + DAY)])),
        "the key is revoked",
    ),
    "subkey revoked in a second block": (
        lambda: Case((demo().binary, demo(revoked="subkey").binary), demo().sign(DOCUMENT)),
        "the key is revoked",
    ),
    "no binding": (lambda: signed(demo(binding=False)), NO_BINDING),
    "binding over SHA-1": (lambda: signed(demo(binding=dict(digest="sha1"))), NO_BINDING),
    "binding not understood": (lambda: signed(demo(binding=dict(hashed=[critical()]))), NO_BINDING),
    "binding before the subkey": (
        lambda: signed(demo(subkey_created=KEY_CREATED + DAY, binding=dict(created=KEY_CREATED))),
        NO_BINDING,
    ),
    "binding before the primary": (
        lambda: signed(demo(subkey_created=KEY_CREATED - DAY, binding=dict(created=KEY_CREATED - 1))),
        NO_BINDING,
    ),
    "binding by another": (
        lambda: signed(build(bindings=[maker.bind(other().primary, demo().subkey, issuer=demo().primary)])),
        NO_BINDING,
    ),
    "binding of another subkey": (
        lambda: signed(build(bindings=[maker.bind(demo().primary, other().subkey)])),
        NO_BINDING,
    ),
    "binding that names nobody": (lambda: signed(demo(binding=dict(issuer="none"))), NO_BINDING),
    "binding under another subkey": (
        lambda: signed(build(bindings=[maker.packet(14, other().subkey.body), bind()])),
        NO_BINDING,
    ),
    "binding of another class": (
        lambda: signed(
            build(
                bindings=[
                    maker.make_signature(
                        demo().primary,
                        maker.CERTIFICATION,
                        demo().primary.hashed + demo().subkey.hashed,
                        hashed=[flags(2)],
                    )
                ]
            )
        ),
        NO_BINDING,
    ),
    "binding may not sign": (lambda: signed(demo(binding=dict(flags=0x0C))), MAY_NOT),
    "binding without key flags": (lambda: signed(demo(binding=dict(flags=None))), MAY_NOT),
    "binding with two key flags": (
        lambda: signed(demo(binding=dict(hashed=[flags(2)]))),
        "has a self-signature that says a thing twice",
    ),
    "subkey shortened over SHA-224": (
        lambda: signed(build(bindings=[bind(), bind(created=KEY_CREATED + 1, digest="sha224", expires=BEFORE_SIGNED)])),
        "after its key expired",
    ),
    "subkey revived after the signature": (
        lambda: signed(build(bindings=[bind(expires=BEFORE_SIGNED), bind(created=SIGNED + 1)])),
        "after its key expired",
    ),
    "binding over SHA-1 takes the right to sign": (
        lambda: signed(build(bindings=[bind(), bind(created=KEY_CREATED + 1, flags=0x0C, digest="sha1")])),
        MAY_NOT,
    ),
    "binding after the signature": (
        lambda: signed(demo(binding=dict(created=SIGNED + 1, cross_options=dict(created=KEY_CREATED)))),
        NO_BINDING + " of 2025-01-01T00:00:00Z or before",
    ),
    "binding for signing after the signature": (
        lambda: signed(build(bindings=[bind(flags=0x0C), bind(created=SIGNED + 1)])),
        MAY_NOT,
    ),
    "malformed binding": (lambda: signed(demo(binding=dict(hashed=[maker.subpacket(35, b"\4")]))), NO_BINDING),
    "malformed subpacket in the unhashed area of the binding": (
        lambda: signed(demo(binding=dict(unhashed=[maker.subpacket(12, b"\x80")]))),
        NO_BINDING,
    ),
    "malformed cross-certification beside a good one": (
        lambda: signed(
            demo(
                binding=dict(
                    unhashed=[
                        maker.subpacket(
                            maker.EMBEDDED, demo().sign(DOCUMENT, bare=True, hashed=[maker.subpacket(37, b"x")])
                        )
                    ]
                )
            )
        ),
        NO_BINDING,
    ),
    "cross-certification after the signature": (
        lambda: signed(demo(binding=dict(cross_options=dict(created=SIGNED + 1)))),
        NO_CROSS,
    ),
    "cross-certification only in one of two bindings of the same second": (
        lambda: signed(build(bindings=[bind(), bind(cross=False)])),
        NO_CROSS,
    ),
    "cross-certification only in a newer binding over SHA-1": (
        lambda: signed(build(bindings=[bind(cross=False), bind(created=KEY_CREATED + 1, digest="sha1")])),
        NO_CROSS,
    ),
    "cross-certification expired, of two of the same second": (
        lambda: signed(
            demo(
                binding=dict(
                    cross_options=dict(hashed=[expire(BEFORE_SIGNED)]),
                    unhashed=[
                        maker.subpacket(
                            maker.EMBEDDED,
                            maker.make_signature(
                                demo().subkey,
                                maker.CROSS,
                                demo().primary.hashed + demo().subkey.hashed,
                                created=KEY_CREATED,
                                bare=True,
                            ),
                        )
                    ],
                )
            )
        ),
        "after its key expired",
    ),
    "key flags in the unhashed area": (lambda: signed(demo(binding=dict(flags=None, unhashed=[flags(2)]))), MAY_NOT),
    "newest binding may not sign": (
        lambda: signed(build(bindings=[bind(), bind(created=KEY_CREATED + 1, flags=0x0C)])),
        MAY_NOT,
    ),
    "newest binding may not sign, in another block": (
        lambda: Case(
            (demo(binding=dict(created=KEY_CREATED + 1, flags=0x0C)).binary, demo().binary), demo().sign(DOCUMENT)
        ),
        MAY_NOT,
    ),
    "binding of the same second may not sign": (lambda: signed(build(bindings=[bind(flags=0x0C), bind()])), MAY_NOT),
    "binding of the same second may not sign, named last": (
        lambda: signed(build(bindings=[bind(), bind(flags=0x0C)])),
        MAY_NOT,
    ),
    "no cross-certification": (lambda: signed(demo(binding=dict(cross=False))), NO_CROSS),
    "cross-certification only in an older binding": (
        lambda: signed(build(bindings=[bind(), bind(created=KEY_CREATED + 1, cross=False)])),
        NO_CROSS,
    ),
    "cross-certification by another": (
        lambda: signed(build(bindings=[bind(cross_by=other().subkey, cross_options=dict(issuer=demo().subkey))])),
        NO_CROSS,
    ),
    "cross-certification by the primary": (lambda: signed(build(bindings=[bind(cross_by=demo().primary)])), NO_CROSS),
    "cross-certification over SHA-1": (lambda: signed(demo(binding=dict(cross_options=dict(digest="sha1")))), NO_CROSS),
    "cross-certification not understood": (
        lambda: signed(demo(binding=dict(cross_options=dict(hashed=[critical()])))),
        NO_CROSS,
    ),
    "cross-certification of another class": (
        lambda: signed(demo(binding=dict(cross_options=dict(kind=maker.BINDING)))),
        NO_CROSS,
    ),
    "cross-certification that names nobody": (
        lambda: signed(demo(binding=dict(cross_options=dict(issuer="none")))),
        NO_CROSS,
    ),
    "cross-certification of another primary": (
        lambda: signed(demo(binding=dict(cross_options=dict(over=other().primary.hashed + demo().subkey.hashed)))),
        NO_CROSS,
    ),
    "cross-certification before the subkey": (
        lambda: signed(demo(binding=dict(cross_options=dict(created=KEY_CREATED - 1)))),
        NO_CROSS,
    ),
    "cross-certification in the future": (
        lambda: signed(demo(binding=dict(cross_options=dict(created=NOW + 1801)))),
        NO_CROSS,
    ),
    "binding in the future": (
        lambda: signed(demo(binding=dict(created=NOW + 1801, cross_options=dict(created=KEY_CREATED)))),
        NO_BINDING,
    ),
    "adopted without consent": (lambda: signed(adopt(cross=False)), NO_CROSS),
    "subkey of 1024 bits": (
        lambda: signed(maker.make_signing_key("Small", subkey_bits=1024)),
        "is an RSA key of 1024 bits; 2048 to 8192 expected",
    ),
    "subkey with exponent 1": (lambda: signed(without_secret()), "has impossible RSA numbers"),
}


def cube_root():
    """A signature that nobody's private key made: with e = 3 a careless verifier can be served by a cube root.

    Bleichenbacher's forgery of 2006 needs a document whose padded hash is followed by enough garbage to choose freely.
    """
    key = maker.make_signing_key("Three", exponent=3)

    def forge(pair, digest, value):
        block = prefixed(SHA256, tail=195)(pair, digest, value)
        wanted = int.from_bytes(block, "big") >> 8 * 195 << 8 * 195
        low, high = 0, 1 << 700
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if middle**3 < wanted else (low, middle)
        cubed = (low**3).to_bytes(256, "big")
        assert cubed[:61] == block[:61], "the cube has to begin as a good block does"
        return cubed

    return key.sign(DOCUMENT, pad=forge)


def without_secret():
    """The Demo key with a subkey whose exponent is 1: everybody can sign with it."""
    key = demo()
    numbers = key.subkey.numbers
    subkey = key.subkey._replace(
        numbers=type(numbers)(
            numbers.p, numbers.q, 1, 1, 1, numbers.iqmp, type(numbers.public_numbers)(1, numbers.public_numbers.n)
        )
    )
    parts = key.parts[:3] + (maker.packet(14, subkey.body), maker.bind(key.primary, subkey))
    return key._replace(subkey=subkey, parts=parts)


def verify(case, now=NOW):
    return verify_module.verify(DOCUMENT, case.signature, verify_module.read_keys(case.texts), now, "/tmp/sums.sig")


@pytest.mark.parametrize("name", GOOD)
def test_good_signature_is_accepted(name):
    found = verify(GOOD[name]())
    assert found.created == SIGNED
    assert len(found.fingerprint) == 40 and len(found.key_id) == 16
    assert found.warnings == ()


@pytest.mark.parametrize("name", BAD)
def test_bad_signature_is_refused(name):
    make, found = BAD[name]
    with pytest.raises(VerificationError, match=found) as caught:
        verify(make())
    assert caught.value.hint
    assert caught.value.path == "/tmp/sums.sig"
    assert len(str(caught.value)) + len(caught.value.hint) < 400


def test_signer_is_named():
    found = verify(signed(demo()))
    assert (found.fingerprint, found.key_id) == (demo().primary.fingerprint, demo().subkey.fingerprint[-16:])
    found = verify(GOOD["by a primary that may sign"]())
    assert (found.fingerprint, found.key_id) == (demo().primary.fingerprint, demo().primary.fingerprint[-16:])
    assert verify(GOOD["adopted without consent beside the true key"]()).fingerprint == demo().fingerprint


def test_first_good_signature_is_the_answer():
    first, second = demo().sign(DOCUMENT), other().sign(DOCUMENT, created=SIGNED + 1)
    keys = (demo().binary, other().binary)
    assert verify(Case(keys, first + second)).fingerprint == demo().fingerprint
    assert verify(Case(keys, second + first)).fingerprint == other().fingerprint


@pytest.mark.parametrize(
    "expiring",
    [
        dict(certification=dict(expires=AFTER_SIGNED)),
        dict(binding=dict(expires=AFTER_SIGNED)),
        dict(certification=dict(hashed=[expire(AFTER_SIGNED)])),
    ],
    ids=["key", "subkey", "self-signature"],
)
def test_expired_since_is_a_warning(expiring):
    case = signed(demo(**expiring))
    end = KEY_CREATED + AFTER_SIGNED
    assert verify(case, now=end - 1).warnings == ()
    (warning,) = verify(case, now=end).warnings
    assert demo().subkey.fingerprint[-16:] in warning
    assert "expired on 2025-02-04T00:00:00Z: what it signed before still counts; " in warning
    assert "upgrade this collection" in warning and "trusted_keys" in warning


def test_what_was_said_later_is_a_warning():
    no_longer = build(bindings=[bind(), bind(created=SIGNED + 1, flags=0x0C)])
    (warning,) = verify(signed(no_longer)).warnings
    assert "may not sign, say its key flags: what it signed before still counts" in warning
    assert demo().subkey.fingerprint[-16:] in warning
    shortened = build(certifications=[certify(), certify(created=SIGNED + 1, expires=BEFORE_SIGNED)])
    assert "expired on 2024-10-27T00:00:00Z: " in verify(signed(shortened)).warnings[0]
    extended = build(certifications=[certify(expires=AFTER_SIGNED), certify(created=SIGNED + 1)])
    assert verify(signed(extended)).warnings == ()


@pytest.mark.parametrize("name", ["future", "signature expired"])
def test_a_quarrel_with_the_clock_names_the_machine(name):
    with pytest.raises(ClockError) as caught:
        verify(BAD[name][0]())
    result = to_result(caught.value, "controller", "awx-1")
    assert "the clock says 2025-05-31T00:00:00Z (checked by the controller, awx-1); " in result["msg"]
    assert "set the clock of the machine that checked this" in result["msg"]
    assert (result["error"]["step"], result["error"]["side"]) == ("verify", "controller")


def test_the_edges_of_time():
    assert verify(signed(demo(), created=NOW + 1800)).created == NOW + 1800
    assert verify(signed(demo(), created=KEY_CREATED)).created == KEY_CREATED
    assert verify(signed(demo(), expires=NOW - SIGNED + 1)).created == SIGNED
    assert verify(signed(demo(certification=dict(expires=SIGNED - KEY_CREATED + 1))), now=SIGNED).warnings == ()
    on_time = demo(certification=dict(created=SIGNED), binding=dict(created=SIGNED, cross_options=dict(created=SIGNED)))
    assert verify(signed(on_time)).created == SIGNED


def test_the_furthest_dates_have_names():
    with pytest.raises(VerificationError, match="is dated 2106-02-07T06:28:15Z, in the future"):
        verify(signed(demo(), created=0xFFFFFFFF))
    assert "2242" not in str(verify(signed(demo(certification=dict(expires=0xFFFFFFFF)))))


def test_thirty_two_signatures_are_read():
    assert verify(both(demo().sign(DOCUMENT) * 32)).created == SIGNED


def padded(size):
    """A case whose signature file has this many octets: a good signature, and a long one by an unknown signer."""

    def fill(last):
        areas = [maker.subpacket(UNKNOWN, b"x" * 15000)] * 4 + [maker.subpacket(UNKNOWN, b"x" * last)]
        return both(demo().sign(DOCUMENT), other().sign(DOCUMENT, unhashed=areas))

    return fill(1000 + size - len(fill(1000).signature))


def test_a_file_of_the_limit_is_read():
    assert len(padded(65536).signature) == 65536
    assert verify(padded(65536)).created == SIGNED
    with pytest.raises(VerificationError, match="longer than 65536 octets"):
        verify(padded(65537))


def test_unknown_signers_are_listed_briefly():
    untrusted = [
        maker.make_signature(other().subkey, 0, DOCUMENT, issuer=maker.Pair(other().subkey.numbers, created))
        for created in range(5)
    ]
    with pytest.raises(VerificationError, match="by key [0-9A-F]{40}, [0-9A-F]{40} and 3 more, which is not trusted"):
        verify(both(*untrusted))


# Oracles: what we accept, gpgv and sqv accept too.


@pytest.fixture
def files(tmp_path):
    """Lay out a case as files: keyring, signature, document."""

    def write(case):
        paths = []
        for name, data in (("keyring", b"".join(case.blocks)), ("signature", case.signature), ("document", DOCUMENT)):
            path = tmp_path / name
            path.write_bytes(data)
            paths.append(str(path))
        return paths

    return write


def run(*command):
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False
    )


def ask_gpgv(keyring, signature, document):
    """What gpgv says of each signature: list of status words. It knows no other time than now."""
    if not shutil.which("gpgv"):
        pytest.skip("no gpgv on this machine")
    done = run("gpgv", "--homedir", keyring + ".d", "--status-fd", "1", "--keyring", keyring, signature, document)
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("[GNUPG:]")]


def is_good_to_gpgv(status):
    return "VALIDSIG" in status and not {"BADSIG", "REVKEYSIG", "EXPSIG"} & set(status)


def is_good_to_sqv(keyring, signature, document):
    if not shutil.which("sqv"):
        pytest.skip("no sqv on this machine")
    return run("sqv", "--keyring", keyring, signature, document).returncode == 0


# Of two keys with one subkey gpgv takes the first.
@pytest.mark.parametrize("name", sorted(set(GOOD) - {"adopted without consent beside the true key"}))
def test_gpgv_accepts_what_we_accept(name, files):
    assert is_good_to_gpgv(ask_gpgv(*files(GOOD[name]())))


@pytest.mark.parametrize("name", GOOD)
def test_sqv_accepts_what_we_accept(name, files):
    assert is_good_to_sqv(*files(GOOD[name]()))


def test_a_weak_hash_counts_for_revocations_only():
    public = packets.read_public_key(demo().subkey.body)
    signature = packets.read_signature(demo().sign(DOCUMENT, digest="sha1", bare=True))
    assert signatures.verify_rsa(public, signature, DOCUMENT, allow_sha1=True)
    assert not signatures.verify_rsa(public, signature, DOCUMENT)


def test_gpgv_refuses_a_changed_document(files):
    keyring, signature, document = files(signed(demo()))
    with open(document, "ab") as file:
        file.write(b"!")
    assert not is_good_to_gpgv(ask_gpgv(keyring, signature, document))


# Bits that neither the signature covers nor anything decides by: type and content of a hint, or that it is critical.
ACCEPTED_CHANGES = {"both": 71, "hashed": 0, "unhashed": 1}


@pytest.mark.parametrize("issuer", sorted(ACCEPTED_CHANGES))
def test_gpgv_accepts_every_changed_signature_that_we_accept(issuer, files):
    (key,) = verify_module.read_keys((demo().armored,))
    signature = demo().sign(DOCUMENT, issuer=issuer)
    accepted = []
    for place in range(len(signature) * 8):
        changed = bytearray(signature)
        changed[place // 8] ^= 1 << place % 8
        try:
            verify_module.verify(DOCUMENT, bytes(changed), (key,), NOW, "/tmp/sums.sig")
        except VerificationError:
            continue
        accepted.append(bytes(changed))
    assert len(accepted) == ACCEPTED_CHANGES[issuer]
    for changed in accepted:
        assert is_good_to_gpgv(ask_gpgv(*files(both(changed)))), changed.hex()
