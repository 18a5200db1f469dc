# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks one OpenPGP signature: whether its kind counts, what it states, and whether a key made it.

Only RSA with PKCS#1 v1.5 and SHA-256, SHA-384 or SHA-512 counts. Only hashed subpackets state anything. What a
signature means for keys and documents is decided in keys.py and verify.py.
"""

import datetime
import hashlib
import hmac
import struct
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from .packets import (
    CREATED,
    EMBEDDED,
    EXPIRES,
    FLAGS,
    ISSUER,
    ISSUER_FINGERPRINT,
    KEY_EXPIRES,
    RSA,
    PublicKey,
    SignaturePacket,
    new_sha1,
)

# Signature types, RFC 9580 section 5.2.1
DOCUMENT, BINDING, CROSS_CERTIFICATION, DIRECT, KEY_REVOCATION, SUBKEY_REVOCATION, USER_ID_REVOCATION = (
    0x00,
    0x18,
    0x19,
    0x1F,
    0x20,
    0x28,
    0x30,
)
CERTIFICATIONS = (0x10, 0x11, 0x12, 0x13)

# Subpackets that may be critical: those read here, and those without effect on verification (preferences, primary user
# id, features). Notations are not among them, because this collection knows none.
_UNDERSTOOD = frozenset(
    (CREATED, EXPIRES, KEY_EXPIRES, FLAGS, EMBEDDED, ISSUER, ISSUER_FINGERPRINT, 11, 21, 22, 23, 25, 30, 34)
)
_MAY_SIGN = 0x02  # key flag, RFC 9580 section 5.2.3.29

_Digest = Tuple[Callable[[bytes], "hashlib._Hash"], bytes]
# OpenPGP hash algorithm: its function, and the DER prefix of its DigestInfo (RFC 8017 section 9.2, note 1)
_DIGESTS: Dict[int, _Digest] = {
    8: (hashlib.sha256, bytes.fromhex("3031300d060960864801650304020105000420")),
    9: (hashlib.sha384, bytes.fromhex("3041300d060960864801650304020205000430")),
    10: (hashlib.sha512, bytes.fromhex("3051300d060960864801650304020305000440")),
}
# Accepted only for what restricts a key: a forgery could only stop an install.
_WEAK_DIGESTS: Dict[int, _Digest] = {
    2: (new_sha1, bytes.fromhex("3021300906052b0e03021a05000414")),
    11: (hashlib.sha224, bytes.fromhex("302d300d06096086480165030402040500041c")),
}
_DIGEST_NAMES = {1: "MD5", 2: "SHA-1", 3: "RIPEMD-160", 11: "SHA-224", 12: "SHA3-256", 14: "SHA3-512"}


class SignatureFields(NamedTuple):
    """The statements in the hashed subpackets of a signature."""

    created: int  # seconds since the epoch
    expires: Optional[int]  # when the signature expires, seconds since the epoch; None: never
    key_expires: int  # lifetime of the key, seconds after its creation; 0: unlimited
    flags: Optional[int]  # key flags: what the key may do; None: not stated

    @property
    def may_sign(self) -> bool:
        return bool((self.flags or 0) & _MAY_SIGN)


def find_key_invalid_reason(key: PublicKey) -> Optional[str]:
    """Return why a PublicKey cannot be used: its algorithm or its RSA numbers; None if it can."""
    if key.algorithm != RSA:
        return "is of public-key algorithm %d; RSA expected" % key.algorithm
    bits = key.modulus.bit_length()
    if not 2048 <= bits <= 8192:
        return "is an RSA key of %d bits; 2048 to 8192 expected" % bits
    # A long exponent only costs computing time; other programs stop at 64 bits too.
    if key.exponent < 3 or key.exponent % 2 == 0 or key.exponent.bit_length() > 64 or key.modulus % 2 == 0:
        return "has impossible RSA numbers: modulus and exponent must be odd, the exponent 3 or more and short"
    return None


def find_invalid_reason(signature: SignaturePacket) -> Optional[str]:
    """Return why a SignaturePacket does not count, whoever made it; None if it can count."""
    if signature.algorithm != RSA:
        return "is of public-key algorithm %d; RSA expected" % signature.algorithm
    if signature.digest not in _DIGESTS:
        name = _DIGEST_NAMES.get(signature.digest, "hash algorithm %d" % signature.digest)
        return "is over %s; SHA-256, SHA-384 or SHA-512 expected" % name
    for subpacket in signature.hashed + signature.unhashed:
        if subpacket.critical and subpacket.kind not in _UNDERSTOOD:
            return "has a critical subpacket of type %d, which is not understood" % subpacket.kind
    unclear = find_unknown_critical(signature)
    if unclear is None and signature.malformed is not None:
        return "has a malformed subpacket of type %d" % signature.malformed
    return unclear


def find_unknown_critical(signature: SignaturePacket) -> Optional[str]:
    """Return why the statements of a SignaturePacket are ambiguous, or None."""
    seen: Dict[int, List[bytes]] = {}
    for subpacket in signature.hashed:
        seen.setdefault(subpacket.kind, []).append(subpacket.data)
    for kind in (CREATED, EXPIRES, KEY_EXPIRES, FLAGS):
        if len(seen.get(kind, ())) > 1:
            return "says a thing twice (subpacket type %d)" % kind
        if kind != FLAGS and kind in seen and len(seen[kind][0]) != 4:
            return "has a time of %d octets; 4 expected" % len(seen[kind][0])
    if CREATED not in seen:
        return "has no creation time"
    return None


def read_fields(signature: SignaturePacket) -> SignatureFields:
    """Return the SignatureFields of a SignaturePacket for which `find_unknown_critical` returns None."""
    said = {subpacket.kind: subpacket.data for subpacket in signature.hashed}
    created = int.from_bytes(said[CREATED], "big")
    lasts = int.from_bytes(said.get(EXPIRES, b""), "big")  # RFC 9580 section 5.2.3.18: 0 is unlimited
    flags = said.get(FLAGS)
    return SignatureFields(
        created=created,
        expires=created + lasts if lasts else None,
        key_expires=int.from_bytes(said.get(KEY_EXPIRES, b""), "big"),
        flags=None if flags is None else int.from_bytes(flags[:1], "big"),
    )


def issuer_is(signature: SignaturePacket, key: PublicKey) -> bool:
    """Whether a SignaturePacket names this PublicKey as its issuer, and no other key."""
    return bool(signature.issuers) and all(key.fingerprint.endswith(issuer) for issuer in signature.issuers)


def may_name(signature: SignaturePacket, key: PublicKey) -> bool:
    """Whether a SignaturePacket names this PublicKey in any subpacket, hashed or not, or names no issuer at all."""
    named = [
        subpacket.data[-8:]
        for subpacket in signature.hashed + signature.unhashed
        if subpacket.kind in (ISSUER, ISSUER_FINGERPRINT)
    ]
    return not named or bytes.fromhex(key.fingerprint[-16:]) in named


def verify_rsa(key: PublicKey, signature: SignaturePacket, content: bytes, allow_sha1: bool = False) -> bool:
    """Whether this key made this signature over this content, by RSA.

    :param key: PublicKey for which `find_key_invalid_reason` returns None.
    :param signature: SignaturePacket.
    :param content: bytes: the document, or the keys and user id as RFC 9580 section 5.2.4 hashes them.
    :param allow_sha1: bool, also accept SHA-1, SHA-224, and a wrong copy of the hash's first octets. Only for what
        restricts a key.
    """
    known = _DIGESTS.get(signature.digest) or (_WEAK_DIGESTS.get(signature.digest) if allow_sha1 else None)
    if known is None or signature.value is None or signature.value >= key.modulus:
        return False
    new, prefix = known
    digest = new(
        content + signature.hashed_prefix + struct.pack(">BBI", 4, 0xFF, len(signature.hashed_prefix))
    ).digest()
    if digest[:2] != signature.digest_prefix and not allow_sha1:
        return False
    # RFC 8017 sections 8.2.2 and 9.2: build the complete block that the signer must have encrypted, and compare it.
    # Parsing the padding instead has allowed forged signatures (CVE-2006-4339 and its many successors).
    size = (key.modulus.bit_length() + 7) // 8
    expected = b"\x00\x01" + b"\xff" * (size - len(prefix) - len(digest) - 3) + b"\x00" + prefix + digest
    found = pow(signature.value, key.exponent, key.modulus).to_bytes(size, "big")
    return hmac.compare_digest(found, expected)


def find_earliest(*moments: Optional[int]) -> Optional[int]:
    """Return the earliest of some times in seconds, where None means never; None if all are None."""
    return min([moment for moment in moments if moment is not None], default=None)


def format_time(seconds: int) -> str:
    """Format seconds since the epoch as ``2026-11-23T14:39:00Z``."""
    # not time.gmtime: a 32-bit time_t ends in 2038, but a signature can state times until 2242
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(seconds))
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
