# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trusted keys: armored texts -> who may sign, and from when until when.

Every block of every text is read and blocks of one key are merged. The newest valid self-signature speaks for the key,
the newest valid binding for a subkey; a verified revocation is final, whatever its reason and date. What others say
of a key (their certifications, revocations by a designated revoker) is not read.
"""

from typing import NamedTuple, Optional, Tuple

from ._armor import Malformed, read_armor
from ._errors import RequestError
from ._hashicorp_key import HASHICORP_KEY, KEY_DATE
from ._packets import (PUBLIC_KEY, PUBLIC_SUBKEY, SECRET_KEY, SECRET_SUBKEY, SIGNATURE, USER_ATTRIBUTE, USER_ID, Packet,
                       PublicKey, SignaturePacket, read_packets, read_public_key, read_signature)
from ._signatures import (BINDING, CERTIFICATIONS, CROSS_CERTIFICATION, DIRECT, KEY_REVOCATION, SUBKEY_REVOCATION,
                          USER_ID_REVOCATION, find_flaw, find_key_flaw, find_sooner, is_made_by, names_only,
                          read_claims)

_PACKETS = 1000  # in one block of a text; the key of HashiCorp has 9
# HashiCorp's key until April 2021: its private half was exposed (HCSEC-2021-12).
_COMPROMISED = "91A6E7F85D05C65630BEF18951852D87348FFC4C"


class Member(NamedTuple):
    """A primary key or a subkey that a signature may name, with all that bears on it."""

    public: PublicKey
    flaw: Optional[str]     # why nothing that it signs counts, None: it may sign
    starts: int             # seconds since the epoch: it and its primary exist since then
    expires: Optional[int]  # seconds since the epoch: the earliest end of both and their self-signatures; None: never
    stated: int             # seconds since the epoch: the date of the newest self-signature that says so


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


class _Standing(NamedTuple):
    """What self-signatures say of a primary or a subkey."""

    flaw: Optional[str]             # None: what follows is said
    may_sign: bool = False
    expires: Optional[int] = None   # seconds since the epoch
    stated: int = 0                 # seconds since the epoch


def read_keys(texts):
    """The trusted keys in armored texts.

    :param texts: tuple of str, as ``trusted_keys`` gives them; empty: the built-in key of HashiCorp.
    :returns: tuple of Key, in the order in which they first appear.
    :raises RequestError: for a text that is not whole, not public, not version 4 RSA, or holds the key exposed in 2021.
    """
    found = {}      # PublicKey of a primary -> where it was first found, and its subkeys
    placed = []
    for number, text in enumerate(texts or (HASHICORP_KEY,), 1):
        source = "entry %d of trusted_keys" % number if texts else "the built-in key of %s" % KEY_DATE
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


def _refuse(source, found):
    return RequestError("%s cannot be used: %s" % (source, found), hint=(
        "give the whole public key as armored text (gpg --armor --export-options export-minimal --export KEY)"))


def _read_text(text):
    """The keys in one text, as pairs of a primary and itself or one of its subkeys; and the signatures, as _Placed."""
    keys, placed = [], []
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


def _read_block(packets, keys, placed):
    primary = under = None
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
            primary = public if packet.tag == PUBLIC_KEY else primary
            keys.append((primary, public))


def _judge(primary, source, subkeys, placed):
    """One trusted key from everything that was found."""
    flaw = find_key_flaw(primary)
    if flaw:
        raise _refuse(source, "the key %s %s" % (primary.fingerprint, flaw))
    own = _judge_primary(primary, placed)
    members = [Member(primary, own.flaw or (None if own.may_sign else "may not sign, say its key flags"),
                      primary.created, own.expires, own.stated)]
    for subkey in subkeys:
        standing = _judge_subkey(primary, subkey, placed)
        members.append(Member(subkey, own.flaw or standing.flaw, max(primary.created, subkey.created),
                              find_sooner(own.expires, standing.expires), max(own.stated, standing.stated)))
    return Key(primary.fingerprint, primary.fingerprint[-8:], source, tuple(members))


def _judge_primary(primary, placed):
    if _is_revoked(primary, KEY_REVOCATION, primary.hashed, placed):
        return _Standing("belongs to a revoked key")
    own = [item for item in placed if item.primary == primary]
    withdrawn = [item.under for item in own if item.signature.kind == USER_ID_REVOCATION and is_made_by(
        primary, item.signature, _over_user_id(primary, item.under), even_weak=True)]
    found = []
    for item in own:
        if item.under.tag == PUBLIC_KEY and item.signature.kind == DIRECT:
            found += _read_valid(primary, primary, item.signature, primary.hashed)
        elif item.under.tag == USER_ID and item.signature.kind in CERTIFICATIONS and item.under not in withdrawn:
            found += _read_valid(primary, primary, item.signature, _over_user_id(primary, item.under))
    # A direct-key signature that only names a designated revoker is silent on both: it must not end an expiry.
    found = [claims for claims in found if claims.flags is not None or claims.key_expires] or found
    if not found:
        return _Standing("belongs to a key without a valid self-signature (over SHA-256 or better)")
    claims = _find_newest(found)
    return _Standing(None, claims.may_sign, _find_end(primary, claims), claims.created)


def _over_user_id(primary, packet):
    # RFC 9580 section 5.2.4
    return primary.hashed + b"\xb4" + len(packet.body).to_bytes(4, "big") + packet.body


def _judge_subkey(primary, subkey, placed):
    content = primary.hashed + subkey.hashed
    flaw = find_key_flaw(subkey)
    if flaw:
        return _Standing(flaw)
    if _is_revoked(primary, SUBKEY_REVOCATION, content, placed):
        return _Standing("is revoked")
    bindings = []
    for item in placed:
        if item.under == (PUBLIC_SUBKEY, subkey.body) and item.signature.kind == BINDING:
            bindings += [(claims, item.signature) for claims in _read_valid(primary, subkey, item.signature, content)]
    if not bindings:
        return _Standing("has no valid binding to its primary key (over SHA-256 or better)")
    claims = _find_newest([claims for claims, _binding in bindings])
    if not claims.may_sign:
        return _Standing("may not sign, say its key flags")
    # RFC 9580 section 5.2.1.9: without the subkey's own word anybody could bind it to his key and claim its signatures.
    crossed = []
    for signature in [inner for said, binding in bindings if said == claims for inner in binding.embedded]:
        if signature.kind == CROSS_CERTIFICATION:
            crossed += _read_valid(subkey, subkey, signature, content)
    if not crossed:
        return _Standing("has no valid cross-certification in its binding")
    cross = _find_newest(crossed)
    end = find_sooner(_find_end(subkey, claims), cross.expires)
    return _Standing(None, True, end, max(claims.created, cross.created))


def _is_revoked(primary, kind, content, placed):
    # Wherever it stands, with whatever subpackets, even over SHA-1: the way to err here is to believe it.
    return any(item.signature.kind == kind and is_made_by(primary, item.signature, content, even_weak=True)
               for item in placed)


def _read_valid(maker, about, signature, content):
    """The Claims of a self-signature as a list of one; empty when it is not the maker's, or cannot count."""
    if not names_only(signature, maker) or find_flaw(signature) or not is_made_by(maker, signature, content):
        return []
    claims = read_claims(signature)
    return [claims] if claims.created >= max(maker.created, about.created) else []


def _find_newest(found):
    # Of two made in the same second the one that allows less, so that the order of blocks decides nothing.
    return max(found, key=lambda claims: (
        claims.created, -(claims.key_expires or 1 << 64), -(claims.expires or 1 << 64), not claims.may_sign))


def _find_end(key, claims):
    return find_sooner(claims.expires, key.created + claims.key_expires if claims.key_expires else None)
