# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads OpenPGP, armored or binary, into records: packets, public keys, signatures. It verifies nothing.

It reads only what this collection needs of RFC 4880 and RFC 9580. It refuses anything else with MalformedError and
never guesses. It checks every length against the data and limits every count, and no data may remain at the end. It
also checks the form of subpackets that decide nothing here: a signature that breaks the rules proves nothing for sure,
and other verifiers, sqv among them, refuse it as a whole.
Messages never quote the data: a user may have pasted a secret by mistake.
"""

import base64
import hashlib
import struct
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

# Packet types, RFC 9580 section 5
SIGNATURE, SECRET_KEY, PUBLIC_KEY, SECRET_SUBKEY, MARKER, USER_ID, PUBLIC_SUBKEY, USER_ATTRIBUTE = (
    2,
    5,
    6,
    7,
    10,
    13,
    14,
    17,
)
# Subpacket types, RFC 9580 section 5.2.3.7
ISSUER, EMBEDDED, ISSUER_FINGERPRINT = 16, 32, 33
CREATED, EXPIRES, KEY_EXPIRES, FLAGS = 2, 3, 9, 27
RSA = 1  # the only public-key algorithm that counts, RFC 9580 section 9.1
_RSA_SIGN_ONLY = 3  # deprecated; with the same numbers

TEXT_LIMIT = 256 * 1024  # characters of armor
_SUBPACKETS = 64  # most subpackets in one area of a signature
_BODY_LIMIT = 0xFFFF  # octets of a key: its length is hashed as two octets


class MalformedError(ValueError):
    """The data is not OpenPGP, or not the part of OpenPGP that is read here. The message quotes nothing from it."""


class Packet(NamedTuple):
    """A packet: its type and its content."""

    tag: int
    body: bytes


class PublicKey(NamedTuple):
    """A version 4 public key or subkey."""

    body: bytes  # content of its packet
    created: int  # seconds since the epoch
    algorithm: int
    modulus: int  # 0: not RSA
    exponent: int  # 0: not RSA
    fingerprint: str  # 40 upper-case hex digits

    @property
    def hashed(self) -> bytes:
        """The bytes that a signature over this key hashes (RFC 9580 section 5.2.4)."""
        return b"\x99" + struct.pack(">H", len(self.body)) + self.body


class Subpacket(NamedTuple):
    """A subpacket of a signature."""

    kind: int
    critical: bool
    data: bytes


class SignaturePacket(NamedTuple):
    """A version 4 signature as written, not verified."""

    kind: int  # signature type: 0x00 a document, 0x18 a subkey binding, ...
    algorithm: int
    digest: int  # hash algorithm
    hashed: Tuple[Subpacket, ...]  # covered by the signature
    unhashed: Tuple[Subpacket, ...]  # not covered: hints only
    hashed_prefix: bytes  # the covered fields, as they are hashed
    digest_prefix: bytes  # the first two octets of the hash
    value: Optional[int]  # None: not RSA
    # The keys named as issuer: fingerprints or key ids (the last 16 digits of one) in upper-case hex. From the hashed
    # subpackets; only if those name no key, from the unhashed ones.
    issuers: Tuple[str, ...]
    embedded: Tuple["SignaturePacket", ...]  # signatures in its subpackets, hashed or not; one level deep
    malformed: Optional[int]  # type of its first malformed subpacket, hashed, unhashed or embedded


def read_armor(text: str) -> List[Tuple[str, bytes]]:
    """Decode ASCII armor (RFC 9580 section 6.2).

    Other lines before, between and after the blocks are ignored. The checksum is optional but must match, as in gpg: a
    damaged text should be reported as damaged.

    :param text: str, at most TEXT_LIMIT characters.
    :returns: list of (label, bytes), the label without "BEGIN PGP": ``PUBLIC KEY BLOCK``.
    :raises MalformedError: the armor is incomplete or damaged.
    """
    if len(text) > TEXT_LIMIT:
        raise MalformedError("it is longer than %d characters" % TEXT_LIMIT)
    blocks = []
    lines = iter([line.strip(" \t\r") for line in text.split("\n")])
    for line in lines:
        if line.startswith("-----BEGIN PGP ") and line.endswith("-----") and line.count("-----") == 2:
            label = line[15:-5]
            blocks.append((label, _read_block(label, lines)))
        elif "-----" in line:
            raise MalformedError("dashes that are no BEGIN or END line of OpenPGP armor (were its line breaks lost?)")
    return blocks


def _read_block(label: str, lines: Iterator[str]) -> bytes:
    for line in lines:
        if not line:
            break
        if ":" not in line:
            raise MalformedError("the empty line is missing between the armor's first lines and its data")
    body, checksum = [], None
    for line in lines:
        if line == "-----END PGP %s-----" % label:
            break
        if checksum is not None and line:
            raise MalformedError("something follows the armor's checksum")
        if line.startswith("="):
            checksum = _decode(line[1:])
        else:
            body.append(line)
    else:
        raise MalformedError("the armor has no END line: it was cut")
    data = _decode("".join(body))
    if checksum is not None and checksum != _crc24(data):
        raise MalformedError("the armor's checksum does not match: the text was damaged")
    return data


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as exc:
        raise MalformedError("the armor is not base64") from exc


def _crc24(data: bytes) -> bytes:
    # RFC 9580 section 6.1.1, eight bits at a time
    table = []
    for octet in range(256):
        crc = octet << 16
        for _bit in range(8):
            crc = crc << 1 ^ (0x1864CFB if crc & 0x800000 else 0)
        table.append(crc & 0xFFFFFF)
    crc = 0xB704CE
    for octet in data:
        crc = (crc << 8 & 0xFFFFFF) ^ table[crc >> 16 ^ octet]
    return crc.to_bytes(3, "big")


def read_packets(data: bytes, most: int) -> List[Packet]:
    """Split binary data into packets, without marker packets.

    :param data: bytes.
    :param most: int, the most packets to accept.
    :returns: list of Packet.
    :raises MalformedError: a length is partial or indeterminate, data is cut off or remains, or there are too many
        packets.
    """
    packets: List[Packet] = []
    start = 0
    while start < len(data):
        if len(packets) == most:
            raise MalformedError("there are more than %d packets in it" % most)
        tag, start, size = _read_header(data, start)
        packets.append(Packet(tag, _cut(data, start, size)))
        start += size
    return [packet for packet in packets if packet != (MARKER, b"PGP")]


def _read_header(data: bytes, start: int) -> Tuple[int, int, int]:
    first = data[start]
    if not first & 0x80:
        raise MalformedError("octet %d is not the start of an OpenPGP packet" % start)
    if first & 0x40:
        return (first & 0x3F,) + _read_length(data, start + 1, 224)
    if first & 3 == 3:
        raise MalformedError("a packet of indeterminate length")
    width = 1 << (first & 3)
    size = int.from_bytes(_cut(data, start + 1, width), "big")
    return first >> 2 & 0x0F, start + 1 + width, size


def _read_length(data: bytes, start: int, two_until: int) -> Tuple[int, int]:
    # RFC 9580 sections 4.2.1 and 5.2.3.7: packets and subpackets differ in where the two-octet lengths end.
    first = _cut(data, start, 1)[0]
    if first < 192:
        return start + 1, first
    if first < two_until:
        return start + 2, (first - 192 << 8) + _cut(data, start + 1, 1)[0] + 192
    if first < 255:
        raise MalformedError("a packet of partial length")
    return start + 5, int.from_bytes(_cut(data, start + 1, 4), "big")


def _cut(data: bytes, start: int, size: int) -> bytes:
    if start + size > len(data):
        raise MalformedError("it was cut: %d octets are missing" % (start + size - len(data)))
    return data[start : start + size]


def _read_integers(data: bytes, count: int) -> List[int]:
    # Multiprecision integers, RFC 9580 section 3.2: the bit count is exact, and nothing follows the last integer.
    found = []
    start = 0
    for _index in range(count):
        bits = int.from_bytes(_cut(data, start, 2), "big")
        number = int.from_bytes(_cut(data, start + 2, (bits + 7) // 8), "big")
        if number.bit_length() != bits:
            raise MalformedError("a number of %d bits is said to have %d" % (number.bit_length(), bits))
        found.append(number)
        start += 2 + (bits + 7) // 8
    if start != len(data):
        raise MalformedError("something follows the numbers of a key or signature")
    return found


def read_public_key(body: bytes) -> PublicKey:
    """Parse the content of a public key or subkey packet into a PublicKey.

    :param body: bytes, the content of the packet.
    :raises MalformedError: the version is not 4, or the packet is cut off. Algorithms other than RSA pass, without
        numbers.
    """
    if body[:1] != b"\x04":
        raise MalformedError("a key of version %s; version 4 expected" % (body[0] if body else "none"))
    if len(body) > _BODY_LIMIT:
        raise MalformedError("a key of %d octets" % len(body))
    created, algorithm = struct.unpack(">IB", _cut(body, 1, 5))
    modulus, exponent = _read_integers(body[6:], 2) if algorithm == RSA else (0, 0)
    bare = PublicKey(body, created, algorithm, modulus, exponent, "")
    return bare._replace(fingerprint=new_sha1(bare.hashed).hexdigest().upper())


def new_sha1(data: bytes) -> "hashlib._Hash":
    """SHA-1 as an identifier. Hosts in FIPS mode allow it if it is marked as not used for security."""
    try:
        return hashlib.sha1(data, usedforsecurity=False)
    except TypeError:  # Python 3.8 and older, except RHEL 8's
        return hashlib.sha1(data)


def read_signature(body: bytes, nested: bool = False) -> SignaturePacket:
    """Parse the content of a signature packet into a SignaturePacket.

    :param body: bytes, the content of the packet.
    :param nested: bool, this signature is itself embedded.
    :raises MalformedError: the version is not 4, data is cut off or remains (in embedded signatures too), or embedded
        signatures are two levels deep.
    """
    if body[:1] != b"\x04":
        raise MalformedError("a signature of version %s; version 4 expected" % (body[0] if body else "none"))
    kind, algorithm, digest, size = struct.unpack(">BBBH", _cut(body, 1, 5))
    hashed = _read_subpackets(_cut(body, 6, size))
    start = 6 + size
    loose = int.from_bytes(_cut(body, start, 2), "big")
    unhashed = _read_subpackets(_cut(body, start + 2, loose))
    rest = start + 2 + loose
    digest_prefix = _cut(body, rest, 2)
    value = _read_integers(body[rest + 2 :], 1)[0] if algorithm in (RSA, _RSA_SIGN_ONLY) else None
    inside = [data for found, _critical, data in hashed + unhashed if found == EMBEDDED]
    if nested and inside:
        raise MalformedError("a signature within a signature within a signature")
    embedded = [read_signature(data, nested=True) for data in inside]
    odd = [found for found, _critical, data in hashed + unhashed if not _is_well_formed(found, data)]
    # The values of other algorithms are not parsed, so nothing shows whether they are well-formed.
    odd += [EMBEDDED for one in embedded if one.malformed is not None or one.value is None]
    return SignaturePacket(
        kind,
        algorithm,
        digest,
        hashed,
        unhashed,
        body[:start],
        digest_prefix,
        value,
        _read_issuers(hashed) or _read_issuers(unhashed),
        tuple(embedded),
        odd[0] if odd else None,
    )


def _read_subpackets(area: bytes) -> Tuple[Subpacket, ...]:
    found: List[Subpacket] = []
    start = 0
    while start < len(area):
        if len(found) == _SUBPACKETS:
            raise MalformedError("more than %d subpackets in a signature" % _SUBPACKETS)
        start, size = _read_length(area, start, 255)
        if not size:
            raise MalformedError("a subpacket without a type")
        body = _cut(area, start, size)
        found.append(Subpacket(body[0] & 0x7F, bool(body[0] & 0x80), body[1:]))
        start += size
    return tuple(found)


def _read_issuers(area: Tuple[Subpacket, ...]) -> Tuple[str, ...]:
    found = []
    for kind, _critical, data in area:
        if kind == ISSUER:
            if len(data) != 8:
                raise MalformedError("an issuer of %d octets in a signature" % len(data))
            found.append(data.hex().upper())
        elif kind == ISSUER_FINGERPRINT:
            if len(data) != 21 or data[0] != 4:
                raise MalformedError("an issuer fingerprint of %d octets in a signature" % len(data))
            found.append(data[1:].hex().upper())
    return tuple(found)


def _is_well_formed(kind: int, data: bytes) -> bool:
    """Whether a subpacket of this type may have this content (bytes)."""
    return bool(_FORMS[kind](data)) if kind in _FORMS else True


def _is_bool(data: bytes) -> bool:
    return data in (b"\0", b"\1")


def _is_time(data: bytes) -> bool:
    return len(data) == 4


def _is_notation(data: bytes) -> bool:
    # flags, two lengths, a name and a value
    name, value = int.from_bytes(data[4:6], "big"), int.from_bytes(data[6:8], "big")
    if len(data) < 8 or len(data) != 8 + name + value:
        return False
    try:
        data[8 : 8 + name].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_fingerprint(data: bytes) -> bool:
    # of a version 4 key: sqv accepts no other
    return data[:1] == b"\4" and len(data) == 21


# Other types may hold anything. read_signature() parses embedded signatures, and refuses bad ones.
_FORMS: Dict[int, Callable[[bytes], object]] = {
    CREATED: _is_time,
    EXPIRES: _is_time,
    4: _is_bool,  # exportable certification
    5: lambda data: len(data) == 2,  # trust: level and amount
    6: lambda data: data.endswith(b"\0"),  # regular expression
    7: _is_bool,  # revocable
    KEY_EXPIRES: _is_time,
    ISSUER: lambda data: len(data) == 8,
    12: lambda data: len(data) == 22 and data[0] & 0x80,  # revocation key: class, algorithm, fingerprint
    20: _is_notation,
    25: _is_bool,  # primary user id
    29: lambda data: data,  # reason for revocation: code and text
    ISSUER_FINGERPRINT: _is_fingerprint,
    31: lambda data: len(data) >= 2,  # signature target: two algorithms and a hash
    35: _is_fingerprint,  # intended recipient
    37: lambda data: not data,  # attested certifications: allowed only in a signature type of their own
}
