# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trusted keys: armored texts -> the keys that may sign, and what their owners say of them.

Every block of every text is read and blocks of one key are merged. A verified revocation is final, whatever its reason
and date; what self-signatures say is judged for the moment of a signature, by `_standing`. What others say of a key
(their certifications, revocations by a designated revoker) is not read.
"""

import functools
from typing import Dict, List, NamedTuple, Optional, Tuple

from .._errors import RequestError
from .armor import MalformedError, read_armor
from .hashicorp_key import FINGERPRINT, HASHICORP_KEY, KEY_DATE
from .key_status import SelfSignature, SelfSignatures, SigningKey
from .packets import (
    PUBLIC_KEY,
    PUBLIC_SUBKEY,
    SECRET_KEY,
    SECRET_SUBKEY,
    SIGNATURE,
    USER_ATTRIBUTE,
    USER_ID,
    Packet,
    PublicKey,
    SignaturePacket,
    read_packets,
    read_public_key,
    read_signature,
)
from .signatures import (
    BINDING,
    CERTIFICATIONS,
    CROSS_CERTIFICATION,
    DIRECT,
    KEY_REVOCATION,
    SUBKEY_REVOCATION,
    USER_ID_REVOCATION,
    find_invalid_reason,
    find_key_invalid_reason,
    find_unknown_critical,
    issuer_is,
    may_name,
    read_fields,
    verify_rsa,
)

_PACKETS = 1000  # in one block of a text; the key of HashiCorp has 9
# HashiCorp's key until April 2021: its private half was exposed (HCSEC-2021-12).
_COMPROMISED = "91A6E7F85D05C65630BEF18951852D87348FFC4C"
# HashiCorp's key, renewed in February 2026 and since published without its older self-signatures. For this key alone
# the oldest ones that there are speak for what it signed before them, else no older release could be verified.
_RENEWED = FINGERPRINT


class TrustedKey(NamedTuple):
    """A trusted key."""

    fingerprint: str  # of the primary, 40 upper-case hex digits
    key_id: str  # of the primary, 8 upper-case hex digits, as in file names
    source: str  # where we have it from, for messages
    members: Tuple[SigningKey, ...]


class _PlacedSignature(NamedTuple):
    """A signature in a text, and what it stands under."""

    primary: Optional[PublicKey]  # None: a revocation certificate that stands alone
    under: Optional[Packet]  # the key, user id or subkey before it
    signature: SignaturePacket


_Keys = List[Tuple[PublicKey, PublicKey]]  # pairs of a primary and itself or one of its subkeys


def read_keys(texts: Tuple[str, ...]) -> Tuple[TrustedKey, ...]:
    """The trusted keys in armored texts.

    :param texts: tuple of str, as ``trusted_keys`` gives them; empty: the built-in key of HashiCorp.
    :returns: tuple of Key, in the order in which they first appear.
    :raises RequestError: for a text that is not whole, not public, not version 4 RSA, or holds the key exposed in 2021.
    """
    if not texts:
        return _read_sources((("the built-in key of %s" % KEY_DATE, HASHICORP_KEY),))
    return _read_sources(tuple([("entry %d of trusted_keys" % number, text) for number, text in enumerate(texts, 1)]))


@functools.lru_cache(maxsize=8)  # the same keys are asked for more than once in a run, and by each task of a play
def _read_sources(sources: Tuple[Tuple[str, str], ...]) -> Tuple[TrustedKey, ...]:
    """The trusted keys in pairs of where a text is from, and the text: tuple of Key."""
    found: Dict[PublicKey, Tuple[str, List[PublicKey]]] = {}  # a primary -> where it was first found, and its subkeys
    placed: List[_PlacedSignature] = []
    for source, text in sources:
        try:
            keys, signatures = _read_text(text)
        except MalformedError as exc:
            raise _refuse(source, exc) from exc
        for primary, key in keys:
            subkeys = found.setdefault(primary, (source, []))[1]
            if key not in subkeys and key != primary:
                subkeys.append(key)
        placed += signatures
    if not found:
        raise _refuse("trusted_keys", "it holds revocations only, and no key")
    return tuple([_check_key(primary, source, subkeys, placed) for primary, (source, subkeys) in found.items()])


def _refuse(source: str, found: object) -> RequestError:
    return RequestError(
        "%s cannot be used: %s" % (source, found),
        hint=("give the whole public key as armored text (gpg --armor --export-options export-minimal --export KEY)"),
    )


def _read_text(text: str) -> Tuple[_Keys, List[_PlacedSignature]]:
    """The keys in one text, as pairs of a primary and itself or one of its subkeys; and the signatures, as _Placed."""
    keys: _Keys = []
    placed: List[_PlacedSignature] = []
    blocks = read_armor(text)
    for set_context, data in blocks:
        if "PRIVATE" in set_context:
            raise MalformedError("it is a private key, which must not leave its owner; only public keys are taken")
        if set_context != "PUBLIC KEY BLOCK":
            raise MalformedError("it holds an OpenPGP block that is not a PUBLIC KEY BLOCK")
        packets = read_packets(data, _PACKETS)
        if not packets:
            raise MalformedError("a block in it is empty")
        _read_block(packets, keys, placed)
    if not blocks:
        raise MalformedError("there is no armored public key in it (-----BEGIN PGP PUBLIC KEY BLOCK-----)")
    return keys, placed


def _read_block(packets: List[Packet], keys: _Keys, placed: List[_PlacedSignature]) -> None:
    primary: Optional[PublicKey] = None
    under: Optional[Packet] = None
    for packet in packets:
        if packet.tag in (SECRET_KEY, SECRET_SUBKEY):
            raise MalformedError("it holds a private key, which must not leave its owner; only public keys are taken")
        if packet.tag == SIGNATURE:
            signature = read_signature(packet.body)
            if primary is None and signature.kind != KEY_REVOCATION:
                raise MalformedError("a signature stands before the key")
            placed.append(_PlacedSignature(primary, under, signature))
            continue
        if packet.tag not in (PUBLIC_KEY, USER_ID, USER_ATTRIBUTE, PUBLIC_SUBKEY) or (
            primary is None and packet.tag != PUBLIC_KEY
        ):
            raise MalformedError("a packet of type %d is out of place" % packet.tag)
        under = packet
        if packet.tag in (PUBLIC_KEY, PUBLIC_SUBKEY):
            public = read_public_key(packet.body)
            if public.fingerprint == _COMPROMISED:
                raise MalformedError("it holds the key %s, which was exposed in 2021 (HCSEC-2021-12)" % _COMPROMISED)
            if primary is None or packet.tag == PUBLIC_KEY:
                primary = public
            keys.append((primary, public))


def _check_key(primary: PublicKey, source: str, subkeys: List[PublicKey], placed: List[_PlacedSignature]) -> TrustedKey:
    """One trusted key from everything that was found."""
    invalid_reason = find_key_invalid_reason(primary)
    if invalid_reason:
        raise _refuse(source, "the key %s %s" % (primary.fingerprint, invalid_reason))
    renewed = primary.fingerprint == _RENEWED
    parts, invalid_reason = _read_primary(primary, placed)
    if _is_revoked(primary, KEY_REVOCATION, primary.hashed, placed):
        invalid_reason = "belongs to a revoked key"
    members = [SigningKey(primary, invalid_reason, primary.created, primary.created, parts, None, renewed)]
    for subkey in subkeys:
        binding, own_flaw = _read_subkey(primary, subkey, placed)
        starts, oldest = max(primary.created, subkey.created), min(primary.created, subkey.created)
        members.append(SigningKey(subkey, invalid_reason or own_flaw, starts, oldest, parts, binding, renewed))
    return TrustedKey(primary.fingerprint, primary.fingerprint[-8:], source, tuple(members))


def _read_primary(
    primary: PublicKey, placed: List[_PlacedSignature]
) -> Tuple[Tuple[SelfSignatures, ...], Optional[str]]:
    """What is said of a primary key: tuple of Part, one for the key and one for each user id; and a flaw of it all."""
    own = [item for item in placed if item.primary == primary]
    found, unclear = _read_self_signatures(
        primary,
        primary,
        primary.hashed,
        [item for item in own if item.signature.kind == DIRECT],
        Packet(PUBLIC_KEY, primary.body),
    )
    parts = [SelfSignatures(found)]
    for name in sorted(set(item.under for item in own if item.under is not None and item.under.tag == USER_ID)):
        # RFC 9580 section 5.2.4
        content = primary.hashed + b"\xb4" + len(name.body).to_bytes(4, "big") + name.body
        found, odd = _read_self_signatures(
            primary, primary, content, [item for item in own if item.signature.kind in CERTIFICATIONS], name
        )
        withdrawals = [item for item in own if item.signature.kind == USER_ID_REVOCATION]
        if any(verify_rsa(primary, item.signature, content, allow_sha1=True) for item in withdrawals):
            found = tuple([one._replace(counts=False) for one in found])
        certain, _odd = _read_self_signatures(primary, primary, content, withdrawals, name)
        parts.append(
            SelfSignatures(
                found, tuple([one.fields.created for one in certain if one.counts and one.fields.expires is None])
            )
        )
        unclear = unclear or odd
    return tuple(parts), unclear


def _read_subkey(
    primary: PublicKey, subkey: PublicKey, placed: List[_PlacedSignature]
) -> Tuple[SelfSignatures, Optional[str]]:
    """What is said of a subkey: a Part, and a flaw."""
    content = primary.hashed + subkey.hashed
    invalid_reason = find_key_invalid_reason(subkey)
    if invalid_reason:
        return SelfSignatures(()), invalid_reason
    if _is_revoked(primary, SUBKEY_REVOCATION, content, placed):
        return SelfSignatures(()), "is revoked"
    bindings = [item for item in placed if item.signature.kind == BINDING]
    found, unclear = _read_self_signatures(primary, subkey, content, bindings, Packet(PUBLIC_SUBKEY, subkey.body))
    return SelfSignatures(found), unclear


def _is_revoked(primary: PublicKey, kind: int, content: bytes, placed: List[_PlacedSignature]) -> bool:
    # Wherever it stands, with whatever subpackets, even over SHA-1: the way to err here is to believe it.
    return any(
        item.signature.kind == kind and verify_rsa(primary, item.signature, content, allow_sha1=True) for item in placed
    )


def _read_self_signatures(
    primary: PublicKey,
    about: PublicKey,
    content: bytes,
    items: List[_PlacedSignature],
    place: Packet,
) -> Tuple[Tuple[SelfSignature, ...], Optional[str]]:
    """The self-signatures over some content, wherever they stand: tuple of Statement; and a flaw of the key, or None.

    :param place: the packet that they have to stand under in order to count.
    """
    found = []
    for item in items:
        counts = item.under == place and _is_good(primary, about, item.signature, content)
        # Whoever names another as its maker is not the owner; without this each signature of others would be computed.
        if not counts and not (
            may_name(item.signature, primary) and verify_rsa(primary, item.signature, content, allow_sha1=True)
        ):
            continue
        unclear = find_unknown_critical(item.signature)
        if unclear:
            return (), "has a self-signature that %s" % unclear
        agreed = [
            SelfSignature(read_fields(inner), True, ())
            for inner in item.signature.embedded
            if counts and inner.kind == CROSS_CERTIFICATION and _is_good(about, about, inner, content)
        ]
        found.append(SelfSignature(read_fields(item.signature), counts, tuple(agreed)))
    return tuple(found), None


def _is_good(maker: PublicKey, about: PublicKey, signature: SignaturePacket, content: bytes) -> bool:
    if not issuer_is(signature, maker) or find_invalid_reason(signature) or not verify_rsa(maker, signature, content):
        return False
    return read_fields(signature).created >= max(maker.created, about.created)
