# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes OpenPGP keys and signatures for tests: good ones by default, and every kind of bad one on request.

It shares no code with the collection: what it makes is checked by our verification and, as oracles, by gpgv and sqv.
RSA comes from the ``cryptography`` package; the packets are put together here (RFC 4880).

The pieces (`packet`, `subpacket`, `make_signature`, `armor`) are public, so that a test can build what no option
covers.
One name means one pair of RSA keys for the life of the process: two `make_signing_key` calls with the same name and
different options give two copies of one key, as a vendor would publish them before and after an extension.
"""

import base64
import functools
import hashlib
import struct
from typing import NamedTuple, Tuple

from cryptography.hazmat.primitives.asymmetric import rsa

KEY_CREATED = 1704067200  # 2024-01-01T00:00:00Z
SIGNATURE_CREATED = 1735689600  # 2025-01-01T00:00:00Z
DAY = 86400

# Subpackets (RFC 4880 5.2.3.1)
CREATED, SIGNATURE_EXPIRES, KEY_EXPIRES, ISSUER, NOTATION, FLAGS, EMBEDDED, ISSUER_FINGERPRINT = (
    2,
    3,
    9,
    16,
    20,
    27,
    32,
    33,
)
# Signature types (RFC 4880 5.2.1)
BINARY, TEXT, CERTIFICATION, BINDING, CROSS, DIRECT, KEY_REVOCATION, SUBKEY_REVOCATION, UID_REVOCATION = (
    0x00,
    0x01,
    0x13,
    0x18,
    0x19,
    0x1F,
    0x20,
    0x28,
    0x30,
)

_DIGESTS = {  # OpenPGP id, DigestInfo prefix (RFC 8017 9.2 note 1)
    "md5": (1, "3020300c06082a864886f70d020505000410"),
    "sha1": (2, "3021300906052b0e03021a05000414"),
    "sha224": (11, "302d300d06096086480165030402040500041c"),
    "sha256": (8, "3031300d060960864801650304020105000420"),
    "sha384": (9, "3041300d060960864801650304020205000430"),
    "sha512": (10, "3051300d060960864801650304020305000440"),
}


@functools.lru_cache(maxsize=None)
def _numbers(name, bits, exponent):
    return rsa.generate_private_key(public_exponent=exponent, key_size=bits).private_numbers()


@functools.lru_cache(maxsize=None)
def _encrypt(numbers, block):
    # Cached: PKCS#1 v1.5 has no randomness, and tests make the same signatures again and again.
    half_p = pow(int.from_bytes(block, "big"), numbers.dmp1, numbers.p)
    half_q = pow(int.from_bytes(block, "big"), numbers.dmq1, numbers.q)
    return half_q + numbers.q * (numbers.iqmp * (half_p - half_q) % numbers.p)


def mpi(number):
    """A multiprecision integer as RFC 4880 3.2 wants it."""
    return struct.pack(">H", number.bit_length()) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def packet(tag, body, old=False):
    """A packet with its header, in the new format or the old one."""
    if old:
        return struct.pack(">BH", 0x80 | tag << 2 | 1, len(body)) + body
    if len(body) < 192:
        return struct.pack(">BB", 0xC0 | tag, len(body)) + body
    if len(body) < 8384:
        return struct.pack(">BH", 0xC0 | tag, len(body) - 192 + 0xC000) + body
    return struct.pack(">BBI", 0xC0 | tag, 0xFF, len(body)) + body


def subpacket(kind, data, critical=False):
    """A signature subpacket with its length."""
    body = struct.pack(">B", kind | (0x80 if critical else 0)) + data
    if len(body) < 192:
        return struct.pack(">B", len(body)) + body
    return struct.pack(">H", len(body) - 192 + 0xC000) + body


def four(number):
    """A number in four octets, as times and durations are written."""
    return struct.pack(">I", number)


@functools.lru_cache(maxsize=None)
def crc24(data):
    """The checksum of RFC 4880 6.1."""
    crc = 0xB704CE
    for octet in data:
        crc ^= octet << 16
        for _bit in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc & 0xFFFFFF


def armor(data, label="PUBLIC KEY BLOCK", headers=()):
    """ASCII armor: str, ending with a newline."""
    text = base64.b64encode(data).decode()
    lines = ["-----BEGIN PGP %s-----" % label]
    lines += headers
    lines += [""]
    lines += [text[start : start + 64] for start in range(0, len(text), 64)]
    lines += ["=" + base64.b64encode(crc24(data).to_bytes(3, "big")).decode(), "-----END PGP %s-----" % label, ""]
    return "\n".join(lines)


class Pair(NamedTuple):
    """An RSA key pair with its creation time: a primary or a subkey, both halves of it."""

    numbers: object  # RSAPrivateNumbers
    created: int
    version: int = 4
    algorithm: int = 1

    @property
    def body(self):
        """The body of the public key packet."""
        public = self.numbers.public_numbers
        return struct.pack(">BIB", self.version, self.created, self.algorithm) + mpi(public.n) + mpi(public.e)

    @property
    def hashed(self):
        """What a signature over this key hashes."""
        return struct.pack(">BH", 0x99, len(self.body)) + self.body

    @property
    def fingerprint(self):
        return hashlib.sha1(self.hashed).hexdigest().upper()

    def raw(self, block):
        """The RSA private operation on an already padded block."""
        return _encrypt(self.numbers, block)

    def pkcs1(self, digest, value):
        """The padded block that a signature by this key encrypts (RFC 8017 9.2)."""
        size = (self.numbers.public_numbers.n.bit_length() + 7) // 8
        info = bytes.fromhex(_DIGESTS[digest][1]) + value
        return b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info


def make_pair(name, bits=2048, exponent=65537, created=KEY_CREATED):
    """A key pair; the same name, bits and exponent give the same numbers again."""
    return Pair(_numbers(name, bits, exponent), created)


def make_signature(
    pair,
    kind,
    over,
    created=SIGNATURE_CREATED,
    digest="sha256",
    hashed=(),
    unhashed=(),
    issuer="both",
    version=4,
    algorithm=1,
    date=True,
    left=None,
    pad=None,
    write=mpi,
    tail=b"",
    old=False,
    bare=False,
):
    """A signature packet by ``pair``.

    :param kind: the signature type, one of the constants above.
    :param over: bytes, what is signed, as it is hashed before the signature's own fields.
    :param hashed, unhashed: more subpackets, as made by `subpacket`.
    :param issuer: ``both`` (fingerprint hashed, id unhashed), ``hashed``, ``unhashed`` (id only), ``none``,
        or another Pair: the one to be named instead.
    :param date: whether there is a creation time.
    :param left: two octets instead of the right ones.
    :param pad: callable (Pair, digest name, digest value) -> padded block, instead of `Pair.pkcs1`.
    :param write: callable (int) -> bytes for the signature's value, instead of `mpi`.
    :param tail: bytes after the value, inside the packet.
    :param bare: the body alone, for embedding.
    """
    named = issuer if isinstance(issuer, Pair) else pair
    key_id = subpacket(ISSUER, bytes.fromhex(named.fingerprint)[-8:])
    whole = subpacket(ISSUER_FINGERPRINT, b"\x04" + bytes.fromhex(named.fingerprint))
    covered, loose = b"".join(hashed), b"".join(unhashed)
    if date:
        covered = subpacket(CREATED, four(created)) + covered
    if issuer == "hashed":
        covered += key_id + whole
    elif issuer == "both" or isinstance(issuer, Pair):
        covered += whole
        loose += key_id
    elif issuer == "unhashed":
        loose += key_id
    if version == 3:
        head = struct.pack(
            ">BBBIQBB", 3, 5, kind, created, int(named.fingerprint[-16:], 16), algorithm, _DIGESTS[digest][0]
        )
        value = hashlib.new(digest, over + struct.pack(">BI", kind, created)).digest()
    else:
        head = struct.pack(">BBBB", version, kind, algorithm, _DIGESTS[digest][0])
        head += struct.pack(">H", len(covered)) + covered
        value = hashlib.new(digest, over + head + struct.pack(">BBI", version, 0xFF, len(head))).digest()
        head += struct.pack(">H", len(loose)) + loose
    number = pair.raw((pad or Pair.pkcs1)(pair, digest, value))
    body = head + (value[:2] if left is None else left) + write(number) + tail
    return body if bare else packet(2, body, old=old)


def user_id(name):
    """The text of a user id, as bytes."""
    return ("%s (test key) <%s@example.com>" % (name, name.lower())).encode()


def over_user_id(primary, name):
    """What a certification of a user id hashes."""
    return primary.hashed + b"\xb4" + four(len(user_id(name))) + user_id(name)


def certify(primary, name, created=KEY_CREATED, flags=0x01, expires=None, kind=CERTIFICATION, hashed=(), **options):
    """A self-certification: ``expires`` in seconds after the key's creation, ``flags`` None for no key flags."""
    return make_signature(
        primary,
        kind,
        over_user_id(primary, name),
        created=created,
        hashed=_limits(flags, expires) + list(hashed),
        **options,
    )


def bind(
    primary,
    subkey,
    created=KEY_CREATED,
    flags=0x02,
    expires=None,
    cross=True,
    cross_by=None,
    cross_options=None,
    hashed=(),
    unhashed=(),
    cross_hashed_area=False,
    **options,
):
    """A subkey binding.

    :param cross: whether the subkey's own signature (0x19) is embedded, in the unhashed area unless
        ``cross_hashed_area``.
    :param cross_by: the pair that makes that signature, instead of the subkey.
    :param cross_options: more arguments for it, see `make_signature`.
    """
    over = primary.hashed + subkey.hashed
    hashed = _limits(flags, expires) + list(hashed)
    unhashed = list(unhashed)
    if cross:
        chosen = dict(created=created, bare=True)
        chosen.update(cross_options or {})
        inner = make_signature(cross_by or subkey, **dict(dict(kind=CROSS, over=over), **chosen))
        (hashed if cross_hashed_area else unhashed).append(subpacket(EMBEDDED, inner))
    return make_signature(primary, BINDING, over, created=created, hashed=hashed, unhashed=unhashed, **options)


def revoke(primary, subkey=None, created=SIGNATURE_CREATED, by=None, **options):
    """A revocation of the primary, or of the subkey; ``by`` another pair makes it a forged one."""
    kind = SUBKEY_REVOCATION if subkey else KEY_REVOCATION
    over = primary.hashed + (subkey.hashed if subkey else b"")
    return make_signature(by or primary, kind, over, created=created, **options)


def _limits(flags, expires):
    found = []
    if flags is not None:
        found.append(subpacket(FLAGS, struct.pack(">B", flags)))
    if expires is not None:
        found.append(subpacket(KEY_EXPIRES, four(expires)))
    return found


class SigningKey(NamedTuple):
    """A primary with one signing subkey, both halves, and its public block in parts."""

    name: str
    primary: Pair
    subkey: Pair
    parts: Tuple[bytes, ...]  # packets: primary, its revocations, user id, certification, subkey, binding, revocation

    @property
    def binary(self):
        """The public key, binary: what gpgv takes as a keyring."""
        return b"".join(self.parts)

    @property
    def armored(self):
        """The public key, armored: what ``trusted_keys`` takes."""
        return armor(self.binary)

    @property
    def fingerprint(self):
        """Of the primary: upper-case hex."""
        return self.primary.fingerprint

    @property
    def key_id(self):
        """Of the primary, short: 8 hex digits, as in terraform_1.11.4_SHA256SUMS.72D7468F.sig."""
        return self.primary.fingerprint[-8:]

    def sign(
        self,
        document,
        by="subkey",
        created=SIGNATURE_CREATED,
        kind=BINARY,
        expires=None,
        critical=None,
        armored=False,
        **misbehaviour,
    ):
        """A detached signature: bytes.

        :param by: ``subkey`` or ``primary``.
        :param expires: seconds after ``created``.
        :param critical: (type, data) of one more hashed subpacket, marked critical.
        :param misbehaviour: see `make_signature`.
        """
        hashed = list(misbehaviour.pop("hashed", ()))
        if expires is not None:
            hashed.append(subpacket(SIGNATURE_EXPIRES, four(expires)))
        if critical is not None:
            hashed.append(subpacket(critical[0], critical[1], critical=True))
        made = make_signature(
            self.primary if by == "primary" else self.subkey,
            kind,
            document,
            created=created,
            hashed=hashed,
            **misbehaviour,
        )
        return armor(made, "SIGNATURE").encode() if armored else made


def make_signing_key(
    name="Demo",
    bits=2048,
    created=KEY_CREATED,
    exponent=65537,
    primary_bits=None,
    subkey_bits=None,
    subkey_created=None,
    certification=None,
    binding=None,
    revoked=None,
    revocation=None,
):
    """A primary that certifies and a subkey that signs.

    :param name: of the user id, and of the RSA numbers.
    :param bits: of both keys; ``primary_bits`` and ``subkey_bits`` for one of them.
    :param created: seconds since the epoch; ``subkey_created`` for the subkey.
    :param certification: dict of arguments for `certify`; False: no certification.
    :param binding: dict of arguments for `bind`; False: no binding.
    :param revoked: ``primary`` or ``subkey``.
    :param revocation: dict of arguments for `revoke`.
    """
    primary = make_pair(name, primary_bits or bits, exponent, created)
    subkey = make_pair(
        name + " subkey", subkey_bits or bits, exponent, created if subkey_created is None else subkey_created
    )
    parts = [packet(6, primary.body)]
    if revoked == "primary":
        parts.append(revoke(primary, **(revocation or {})))
    parts.append(packet(13, user_id(name)))
    if certification is not False:
        parts.append(certify(primary, name, **dict({"created": created}, **(certification or {}))))
    parts.append(packet(14, subkey.body))
    if binding is not False:
        parts.append(bind(primary, subkey, **dict({"created": subkey.created}, **(binding or {}))))
    if revoked == "subkey":
        parts.append(revoke(primary, subkey, **(revocation or {})))
    return SigningKey(name, primary, subkey, tuple(parts))
