# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads trusted keys from armored texts, and tells whether a key may sign at one moment, and until when.

It reads every block of every text and merges blocks of the same key. A verified revocation is final, whatever its
reason and date. It ignores what others say about a key: their certifications, and revocations by a designated revoker.

At one moment, the newest self-signature that counts and existed by then is in force. If several share its second, or if
self-signatures that do not count on their own (weak hash, wrong position, not understood) are as new or newer, the
strictest combination of all of them applies. A restriction is honored even in doubt; an extension must be beyond doubt.
"""

import functools
from typing import Dict, List, NamedTuple, Optional, Tuple

from .._errors import RequestError
from .hashicorp_key import FINGERPRINT, HASHICORP_KEY, KEY_DATE
from .packets import (
    PUBLIC_KEY,
    PUBLIC_SUBKEY,
    SECRET_KEY,
    SECRET_SUBKEY,
    SIGNATURE,
    USER_ATTRIBUTE,
    USER_ID,
    MalformedError,
    Packet,
    PublicKey,
    SignaturePacket,
    read_armor,
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
    SignatureFields,
    find_earliest,
    find_invalid_reason,
    find_key_invalid_reason,
    find_unknown_critical,
    format_time,
    issuer_is,
    may_name,
    read_fields,
    verify_rsa,
)

_PACKETS = 1000  # most packets in one block; HashiCorp's key has 9
# HashiCorp's key until April 2021. Its private half was exposed (HCSEC-2021-12).
_COMPROMISED = "91A6E7F85D05C65630BEF18951852D87348FFC4C"
# HashiCorp renewed its key in February 2026 and has since published it without the older self-signatures. For this key
# alone, the oldest published self-signatures also apply to earlier signatures. Otherwise no older release could be
# verified.
_RENEWED = FINGERPRINT


class SelfSignature(NamedTuple):
    """A signature by a key's owner about the key itself, one of its user ids, or a subkey."""

    fields: SignatureFields
    counts: bool  # False: it can only restrict
    agreed: Tuple["SelfSignature", ...]  # in a binding: the subkey's own embedded signatures that count


class SelfSignatures(NamedTuple):
    """All self-signatures about one key, user id or subkey."""

    statements: Tuple[SelfSignature, ...]
    withdrawn: Tuple[int, ...] = ()  # dates of valid revocations of this user id


class SigningKey(NamedTuple):
    """A primary key or subkey that a signature may name, with everything that affects its validity."""

    public: PublicKey
    invalid_reason: Optional[str]  # why no signature by it counts, at any moment
    valid_from: int  # seconds since the epoch: when both it and its primary exist
    oldest: int  # seconds since the epoch: when the older of the two exists
    parts: Tuple[SelfSignatures, ...]  # about the primary and each of its user ids
    binding: Optional[SelfSignatures]  # about the subkey; None: this is the primary
    renewed: bool  # its older self-signatures are not published: see _RENEWED


class TrustedKey(NamedTuple):
    """A trusted key."""

    fingerprint: str  # of the primary, 40 upper-case hex digits
    key_id: str  # of the primary, 8 upper-case hex digits, as in file names
    source: str  # where the key comes from, for messages
    members: Tuple[SigningKey, ...]


class KeyStatus(NamedTuple):
    """The status of a signing key at one moment."""

    invalid_reason: Optional[str]  # why its signatures of that moment do not count; None: they do
    expires: Optional[int] = None  # seconds since the epoch: the earliest stated expiry; None: never
    self_signature_created: int = 0  # seconds since the epoch: the newest self-signature in force


class _PlacedSignature(NamedTuple):
    """A signature in a text, and its position."""

    primary: Optional[PublicKey]  # None: a revocation certificate on its own
    under: Optional[Packet]  # the preceding key, user id or subkey
    signature: SignaturePacket


_Keys = List[Tuple[PublicKey, PublicKey]]  # pairs of a primary, and itself or one of its subkeys


def read_keys(texts: Tuple[str, ...]) -> Tuple[TrustedKey, ...]:
    """Read the trusted keys in armored texts.

    :param texts: tuple of str, as in ``trusted_keys``; empty: HashiCorp's built-in key.
    :returns: tuple of TrustedKey, in the order of first appearance.
    :raises RequestError: a text is incomplete, is not a public key, is not version 4 RSA, or has the key exposed in
        2021.
    """
    if not texts:
        return _read_sources((("the built-in key of %s" % KEY_DATE, HASHICORP_KEY),))
    return _read_sources(tuple([("entry %d of trusted_keys" % number, text) for number, text in enumerate(texts, 1)]))


@functools.lru_cache(maxsize=8)  # a run needs the same keys several times, and so does each task of a play
def _read_sources(sources: Tuple[Tuple[str, str], ...]) -> Tuple[TrustedKey, ...]:
    """Read the trusted keys in pairs of (where a text comes from, the text): tuple of TrustedKey."""
    found: Dict[PublicKey, Tuple[str, List[PublicKey]]] = {}  # a primary -> its first source, and its subkeys
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
    """Parse one text: its keys as pairs of a primary, and itself or one of its subkeys; and its signatures."""
    keys: _Keys = []
    placed: List[_PlacedSignature] = []
    blocks = read_armor(text)
    for label, data in blocks:
        if "PRIVATE" in label:
            raise MalformedError("it is a private key, which must not leave its owner; only public keys are taken")
        if label != "PUBLIC KEY BLOCK":
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
    """Combine everything about one primary key into a TrustedKey."""
    invalid_reason = find_key_invalid_reason(primary)
    if invalid_reason:
        raise _refuse(source, "the key %s %s" % (primary.fingerprint, invalid_reason))
    renewed = primary.fingerprint == _RENEWED
    parts, invalid_reason = _read_primary(primary, placed)
    if _is_revoked(primary, KEY_REVOCATION, primary.hashed, placed):
        invalid_reason = "belongs to a revoked key"
    members = [SigningKey(primary, invalid_reason, primary.created, primary.created, parts, None, renewed)]
    for subkey in subkeys:
        binding, own_reason = _read_subkey(primary, subkey, placed)
        starts, oldest = max(primary.created, subkey.created), min(primary.created, subkey.created)
        members.append(SigningKey(subkey, invalid_reason or own_reason, starts, oldest, parts, binding, renewed))
    return TrustedKey(primary.fingerprint, primary.fingerprint[-8:], source, tuple(members))


def _read_primary(
    primary: PublicKey, placed: List[_PlacedSignature]
) -> Tuple[Tuple[SelfSignatures, ...], Optional[str]]:
    """Read the self-signatures of a primary key (first those of the key, then of each user id); why it is invalid."""
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
    """Read the bindings of a subkey: its SelfSignatures, and why it is invalid."""
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
    # Count a revocation in any position, with any subpackets, even over SHA-1: believing it is the safe side.
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
    """Read the self-signatures over some content, in any position; and why the key is invalid, or None.

    :param place: the packet that a self-signature must follow in order to count.
    """
    found = []
    for item in items:
        counts = item.under == place and _is_good(primary, about, item.signature, content)
        # A signature that names another issuer is not a self-signature. This check saves the RSA computation for those.
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


def find_key_status(member: SigningKey, moment: int) -> KeyStatus:
    """Return the KeyStatus of a SigningKey at a moment in seconds since the epoch."""
    if member.invalid_reason:
        return KeyStatus(member.invalid_reason)
    direct, *named = [_find_in_force(part, moment, member.renewed) for part in member.parts]
    names = _without_revoked(named, member.parts[1:], moment)
    said = direct + names
    if not any(one.counts for one in said):
        return KeyStatus(
            "belongs to a key without a valid self-signature of %s or before (over SHA-256 or better)"
            % (format_time(moment))
        )
    # Some verifiers count the primary's key lifetime from the creation of the subkey, if that has no lifetime of its
    # own.
    ends = [_find_end(one.fields, member.oldest) for one in said]
    if member.binding is None:
        # Some verifiers read the newest user id alone, so each must allow signing; a direct-key signature may leave it
        # open.
        permissions = [one.fields.may_sign for one in said if one in names or one.fields.flags is not None]
    else:
        bindings = _find_in_force(member.binding, moment, member.renewed)
        if not any(one.counts for one in bindings):
            return KeyStatus(
                "has no valid binding to its primary key of %s or before (over SHA-256 or better)"
                % (format_time(moment))
            )
        permissions = [one.fields.may_sign for one in bindings]
        ends += [_find_end(one.fields, member.public.created) for one in bindings]
        for one in bindings:
            agreed = _find_in_force(SelfSignatures(one.agreed), moment, member.renewed)
            # RFC 9580 section 5.2.1.9: without it, anybody could bind the subkey to another key and claim its
            # signatures.
            if one.counts and one.fields.may_sign and not agreed:
                return KeyStatus("has no valid cross-certification in its binding")
            ends += [inner.fields.expires for inner in agreed]
            said = said + [one] + agreed
    if not permissions or not all(permissions):
        return KeyStatus("may not sign, say its key flags")
    return KeyStatus(None, find_earliest(*ends), max(one.fields.created for one in said))


def _find_in_force(part: SelfSignatures, moment: int, renewed: bool) -> List[SelfSignature]:
    counting = [one.fields.created for one in part.statements if one.counts]
    if renewed and counting:
        moment = max(moment, min(counting))
    newest = max([created for created in counting if created <= moment], default=0)
    return [one for one in part.statements if newest <= one.fields.created <= moment]


def _without_revoked(
    names: List[List[SelfSignature]], parts: Tuple[SelfSignatures, ...], moment: int
) -> List[SelfSignature]:
    """Join the self-signatures of the user ids, without the user ids whose newest signature is a revocation."""
    found: List[SelfSignature] = []
    others = any(one.counts for name in names for one in name)
    for name, part in zip(names, parts):
        last = max([one.fields.created for one in name], default=0)
        # A revoked user id counts for nothing. But if there is no other, some verifiers still read it, so it restricts.
        if not (others and any(last <= date <= moment for date in part.withdrawn)):
            found += name
    return found


def _find_end(fields: SignatureFields, created: int) -> Optional[int]:
    return find_earliest(fields.expires, created + fields.key_expires if fields.key_expires else None)
