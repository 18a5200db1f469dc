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

from ._armor import Malformed, read_armor
from ._errors import RequestError
from ._hashicorp_key import FINGERPRINT, HASHICORP_KEY, KEY_DATE
from ._packets import (PUBLIC_KEY, PUBLIC_SUBKEY, SECRET_KEY, SECRET_SUBKEY, SIGNATURE, USER_ATTRIBUTE, USER_ID, Packet,
                       PublicKey, SignaturePacket, read_packets, read_public_key, read_signature)
from ._signatures import (BINDING, CERTIFICATIONS, CROSS_CERTIFICATION, DIRECT, KEY_REVOCATION, SUBKEY_REVOCATION,
                          USER_ID_REVOCATION, find_flaw, find_key_flaw, find_unclear, is_made_by, may_name, names_only,
                          read_claims)
from ._standing import Member, Part, Statement

_PACKETS = 1000  # in one block of a text; the key of HashiCorp has 9
# HashiCorp's key until April 2021: its private half was exposed (HCSEC-2021-12).
_COMPROMISED = "91A6E7F85D05C65630BEF18951852D87348FFC4C"
# HashiCorp's key, renewed in February 2026 and since published without its older self-signatures. For this key alone
# the oldest ones that there are speak for what it signed before them, else no older release could be verified.
_RENEWED = FINGERPRINT


class Key(NamedTuple):
    """A trusted key."""

    fingerprint: str            # of the primary, 40 upper-case hex digits
    key_id: str                 # of the primary, 8 upper-case hex digits, as in file names
    source: str                 # where we have it from, for messages
    members: Tuple[Member, ...]


class _Placed(NamedTuple):
    """A signature in a text, and what it stands under."""

    primary: Optional[PublicKey]    # None: a revocation certificate that stands alone
    under: Optional[Packet]         # the key, user id or subkey before it
    signature: SignaturePacket


_Keys = List[Tuple[PublicKey, PublicKey]]       # pairs of a primary and itself or one of its subkeys


def read_keys(texts: Tuple[str, ...]) -> Tuple[Key, ...]:
    """The trusted keys in armored texts.

    :param texts: tuple of str, as ``trusted_keys`` gives them; empty: the built-in key of HashiCorp.
    :returns: tuple of Key, in the order in which they first appear.
    :raises RequestError: for a text that is not whole, not public, not version 4 RSA, or holds the key exposed in 2021.
    """
    if not texts:
        return _read_sources((("the built-in key of %s" % KEY_DATE, HASHICORP_KEY),))
    return _read_sources(tuple([("entry %d of trusted_keys" % number, text) for number, text in enumerate(texts, 1)]))


@functools.lru_cache(maxsize=8)     # the same keys are asked for more than once in a run, and by each task of a play
def _read_sources(sources: Tuple[Tuple[str, str], ...]) -> Tuple[Key, ...]:
    """The trusted keys in pairs of where a text is from, and the text: tuple of Key."""
    found: Dict[PublicKey, Tuple[str, List[PublicKey]]] = {}    # a primary -> where it was first found, and its subkeys
    placed: List[_Placed] = []
    for source, text in sources:
        try:
            keys, signatures = _read_text(text)
        except Malformed as exc:
            raise _refuse(source, exc) from exc
        for primary, key in keys:
            subkeys = found.setdefault(primary, (source, []))[1]
            if key not in subkeys and key != primary:
                subkeys.append(key)
        placed += signatures
    if not found:
        raise _refuse("trusted_keys", "it holds revocations only, and no key")
    return tuple([_judge(primary, source, subkeys, placed) for primary, (source, subkeys) in found.items()])


def _refuse(source: str, found: object) -> RequestError:
    return RequestError("%s cannot be used: %s" % (source, found), hint=(
        "give the whole public key as armored text (gpg --armor --export-options export-minimal --export KEY)"))


def _read_text(text: str) -> Tuple[_Keys, List[_Placed]]:
    """The keys in one text, as pairs of a primary and itself or one of its subkeys; and the signatures, as _Placed."""
    keys: _Keys = []
    placed: List[_Placed] = []
    blocks = read_armor(text)
    for label, data in blocks:
        if "PRIVATE" in label:
            raise Malformed("it is a private key, which must not leave its owner; only public keys are taken")
        if label != "PUBLIC KEY BLOCK":
            raise Malformed("it holds an OpenPGP block that is not a PUBLIC KEY BLOCK")
        packets = read_packets(data, _PACKETS)
        if not packets:
            raise Malformed("a block in it is empty")
        _read_block(packets, keys, placed)
    if not blocks:
        raise Malformed("there is no armored public key in it (-----BEGIN PGP PUBLIC KEY BLOCK-----)")
    return keys, placed


def _read_block(packets: List[Packet], keys: _Keys, placed: List[_Placed]) -> None:
    primary: Optional[PublicKey] = None
    under: Optional[Packet] = None
    for packet in packets:
        if packet.tag in (SECRET_KEY, SECRET_SUBKEY):
            raise Malformed("it holds a private key, which must not leave its owner; only public keys are taken")
        if packet.tag == SIGNATURE:
            signature = read_signature(packet.body)
            if primary is None and signature.kind != KEY_REVOCATION:
                raise Malformed("a signature stands before the key")
            placed.append(_Placed(primary, under, signature))
            continue
        if packet.tag not in (PUBLIC_KEY, USER_ID, USER_ATTRIBUTE, PUBLIC_SUBKEY) or (
                primary is None and packet.tag != PUBLIC_KEY):
            raise Malformed("a packet of type %d is out of place" % packet.tag)
        under = packet
        if packet.tag in (PUBLIC_KEY, PUBLIC_SUBKEY):
            public = read_public_key(packet.body)
            if public.fingerprint == _COMPROMISED:
                raise Malformed("it holds the key %s, which was exposed in 2021 (HCSEC-2021-12)" % _COMPROMISED)
            if primary is None or packet.tag == PUBLIC_KEY:
                primary = public
            keys.append((primary, public))


def _judge(primary: PublicKey, source: str, subkeys: List[PublicKey], placed: List[_Placed]) -> Key:
    """One trusted key from everything that was found."""
    flaw = find_key_flaw(primary)
    if flaw:
        raise _refuse(source, "the key %s %s" % (primary.fingerprint, flaw))
    renewed = primary.fingerprint == _RENEWED
    parts, flaw = _read_primary(primary, placed)
    if _is_revoked(primary, KEY_REVOCATION, primary.hashed, placed):
        flaw = "belongs to a revoked key"
    members = [Member(primary, flaw, primary.created, primary.created, parts, None, renewed)]
    for subkey in subkeys:
        binding, own_flaw = _read_subkey(primary, subkey, placed)
        starts, oldest = max(primary.created, subkey.created), min(primary.created, subkey.created)
        members.append(Member(subkey, flaw or own_flaw, starts, oldest, parts, binding, renewed))
    return Key(primary.fingerprint, primary.fingerprint[-8:], source, tuple(members))


def _read_primary(primary: PublicKey, placed: List[_Placed]) -> Tuple[Tuple[Part, ...], Optional[str]]:
    """What is said of a primary key: tuple of Part, one for the key and one for each user id; and a flaw of it all."""
    own = [item for item in placed if item.primary == primary]
    found, unclear = _read_statements(
        primary, primary, primary.hashed, [item for item in own if item.signature.kind == DIRECT],
        Packet(PUBLIC_KEY, primary.body))
    parts = [Part(found)]
    for name in sorted(set(item.under for item in own if item.under is not None and item.under.tag == USER_ID)):
        # RFC 9580 section 5.2.4
        content = primary.hashed + b"\xb4" + len(name.body).to_bytes(4, "big") + name.body
        found, odd = _read_statements(
            primary, primary, content, [item for item in own if item.signature.kind in CERTIFICATIONS], name)
        withdrawals = [item for item in own if item.signature.kind == USER_ID_REVOCATION]
        if any(is_made_by(primary, item.signature, content, even_weak=True) for item in withdrawals):
            found = tuple([one._replace(counts=False) for one in found])
        certain, _odd = _read_statements(primary, primary, content, withdrawals, name)
        parts.append(Part(found, tuple([one.claims.created for one in certain
                                        if one.counts and one.claims.expires is None])))
        unclear = unclear or odd
    return tuple(parts), unclear


def _read_subkey(primary: PublicKey, subkey: PublicKey, placed: List[_Placed]) -> Tuple[Part, Optional[str]]:
    """What is said of a subkey: a Part, and a flaw."""
    content = primary.hashed + subkey.hashed
    flaw = find_key_flaw(subkey)
    if flaw:
        return Part(()), flaw
    if _is_revoked(primary, SUBKEY_REVOCATION, content, placed):
        return Part(()), "is revoked"
    bindings = [item for item in placed if item.signature.kind == BINDING]
    found, unclear = _read_statements(primary, subkey, content, bindings, Packet(PUBLIC_SUBKEY, subkey.body))
    return Part(found), unclear


def _is_revoked(primary: PublicKey, kind: int, content: bytes, placed: List[_Placed]) -> bool:
    # Wherever it stands, with whatever subpackets, even over SHA-1: the way to err here is to believe it.
    return any(item.signature.kind == kind and is_made_by(primary, item.signature, content, even_weak=True)
               for item in placed)


def _read_statements(
    primary: PublicKey, about: PublicKey, content: bytes, items: List[_Placed], place: Packet,
) -> Tuple[Tuple[Statement, ...], Optional[str]]:
    """The self-signatures over some content, wherever they stand: tuple of Statement; and a flaw of the key, or None.

    :param place: the packet that they have to stand under in order to count.
    """
    found = []
    for item in items:
        counts = item.under == place and _is_good(primary, about, item.signature, content)
        # Whoever names another as its maker is not the owner; without this each signature of others would be computed.
        if not counts and not (may_name(item.signature, primary) and is_made_by(
                primary, item.signature, content, even_weak=True)):
            continue
        unclear = find_unclear(item.signature)
        if unclear:
            return (), "has a self-signature that %s" % unclear
        agreed = [Statement(read_claims(inner), True, ()) for inner in item.signature.embedded
                  if counts and inner.kind == CROSS_CERTIFICATION and _is_good(about, about, inner, content)]
        found.append(Statement(read_claims(item.signature), counts, tuple(agreed)))
    return tuple(found), None


def _is_good(maker: PublicKey, about: PublicKey, signature: SignaturePacket, content: bytes) -> bool:
    if not names_only(signature, maker) or find_flaw(signature) or not is_made_by(maker, signature, content):
        return False
    return read_claims(signature).created >= max(maker.created, about.created)
