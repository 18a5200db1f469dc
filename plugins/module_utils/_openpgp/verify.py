# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies a detached OpenPGP signature: returns who made it, or refuses.

`verify` accepts only a version 4 RSA signature over exactly this document, made by a trusted key or by a signing subkey
bound to one, and valid when the signature was made. It refuses what it does not understand. One invalid signature by a
trusted key refuses the whole file. Signatures by unknown keys are skipped, but at least one valid signature by a
trusted key must remain.
"""

from typing import List, NamedTuple, Optional, Tuple, Type

from .._errors import ClockError, VerificationError
from .hashicorp_key import KEY_DATE, OTHER_KEYS, OTHER_SUBKEYS
from .keys import SigningKey, TrustedKey, find_key_status, read_keys
from .packets import SIGNATURE, MalformedError, SignaturePacket, read_armor, read_packets, read_signature
from .signatures import DOCUMENT, SignatureFields, find_invalid_reason, format_time, issuer_is, read_fields, verify_rsa

__all__ = ("TrustedKey", "Signature", "read_keys", "verify")

SIGNATURE_LIMIT = 64 * 1024  # octets of a signature file
_SIGNATURES = 32  # most packets in it
_PACKET = b"\x80"  # RFC 9580 section 4.2: the first bit of a packet is always set; that of text never is
_AHEAD = 30 * 60  # seconds that a date may lie ahead of this host's clock, as in sqv

_CHANGED_HINT = "do not use this release: fetch it again, from the original site; if this stays so, ask its publisher"
_CLOCK_HINT = "set the clock of the machine that checked this"
_KEY_HINT = (
    "do not use this release; for a new key of its publisher, or one with its older self-signatures, upgrade this "
    "collection or set trusted_keys"
)


class Signature(NamedTuple):
    """A valid signature."""

    fingerprint: str  # of the signer's primary key, 40 upper-case hex digits
    key_id: str  # of the key that made the signature, 16 upper-case hex digits
    created: int  # seconds since the epoch
    warnings: Tuple[str, ...]  # for the operator, although the signature is valid


class _Refusal(NamedTuple):
    """Why a signature by a trusted key is not valid."""

    found: str
    hint: str
    error: Type[VerificationError] = VerificationError


def verify(document: bytes, signature: bytes, keys: Tuple[TrustedKey, ...], now: int, name: str) -> Signature:
    """Verify a detached signature.

    :param document: bytes, exactly as they were signed.
    :param signature: bytes of the signature file, binary or armored.
    :param keys: tuple of TrustedKey, from `read_keys`.
    :param now: int, seconds since the epoch: the caller's clock.
    :param name: str, the path or URL of the signature, for messages.
    :returns: Signature, the first valid one in the file.
    :raises VerificationError: the file is malformed, no signature is by a trusted key, or one by a trusted key is
        invalid.
    """
    try:
        packets = _read_file(signature)
    except MalformedError as exc:
        raise _make_error(
            name,
            "is not a detached OpenPGP signature that is supported: %s" % exc,
            ("fetch it again; a proxy or login page may have answered in its place"),
        ) from exc
    good: List[Signature] = []
    unknown: List[str] = []
    for packet in packets:
        candidates = [
            (key, member)
            for key in keys
            for member in key.members
            if any(member.public.fingerprint.endswith(issuer) for issuer in packet.issuers)
        ]
        if candidates:
            good.append(_check_signature(document, packet, candidates, now, name))
        else:
            unknown += packet.issuers[:1]
    if not good:
        trusted = ["%s (%s)" % (key.fingerprint, key.source) for key in keys]
        raise _make_error(
            name,
            "is by key %s, which is not trusted; trusted: %s" % (_list(unknown), _list(trusted)),
            _find_way_out(unknown, keys),
        )
    return good[0]


def _find_way_out(unknown: List[str], keys: Tuple[TrustedKey, ...]) -> str:
    """Return a hint about signatures by unknown keys: a known key that made them or is in trusted_keys."""
    for key in keys:
        if key.fingerprint in OTHER_KEYS:
            return (
                "%s is %s, which signs no release of Terraform; HashiCorp's release key is "
                "built in: leave trusted_keys out" % (key.source, OTHER_KEYS[key.fingerprint])
            )
    (release,) = read_keys(())
    for issuer in unknown:
        if any(member.public.fingerprint.endswith(issuer) for member in release.members):
            return "that is HashiCorp's release key, which is built in: leave trusted_keys out, or add it there"
        for fingerprint, what in OTHER_KEYS.items():
            if fingerprint.endswith(issuer) or issuer in OTHER_SUBKEYS.get(fingerprint, ()):
                return "that is %s, which signs no release of Terraform: look what the site has there" % what
    if keys != (release,):
        return "name the key that signed it in trusted_keys, if you trust it, or name another site"
    return "upgrade this collection (its built-in key is of %s), or name the key in trusted_keys" % KEY_DATE


def may_be_signature(data: bytes) -> bool:
    """Whether bytes start like a signature file, binary or armored. If not, a server sent something else."""
    return data[:1] >= _PACKET or b"-----BEGIN PGP" in data


def _list(names: List[str]) -> str:
    # a message has 400 characters, including its hint
    return ", ".join(names[:2]) + (" and %d more" % len(names[2:]) if names[2:] else "")


def _make_error(
    name: str,
    found: str,
    hint: str,
    error: Type[VerificationError] = VerificationError,
) -> VerificationError:
    url = name if "://" in name else None
    return error("signature %s %s" % (name, found), path=None if url else name, url=url, hint=hint)


def _read_file(signature: bytes) -> List[SignaturePacket]:
    """Parse the signatures in a file, each of which must name its issuer: list of SignaturePacket."""
    if len(signature) > SIGNATURE_LIMIT:
        raise MalformedError("it is longer than %d octets" % SIGNATURE_LIMIT)
    if signature[:1] < _PACKET:
        blocks = read_armor(signature.decode("latin-1"))
        if [label for label, _data in blocks] != ["SIGNATURE"]:
            raise MalformedError("it is neither binary nor one armored PGP SIGNATURE")
        signature = blocks[0][1]
    found = []
    for packet in read_packets(signature, _SIGNATURES):
        if packet.tag != SIGNATURE:
            raise MalformedError("a packet of type %d is in it; signatures only are expected" % packet.tag)
        found.append(read_signature(packet.body))
    if not found:
        raise MalformedError("there is no signature in it")
    if not all(packet.issuers for packet in found):
        raise MalformedError("it does not say which key made it")
    return found


def _check_signature(
    document: bytes,
    packet: SignaturePacket,
    candidates: List[Tuple[TrustedKey, SigningKey]],
    now: int,
    name: str,
) -> Signature:
    """Return the Signature for a packet that names one or more trusted keys.

    Two keys may share a 64-bit key id, so each candidate is tried.
    """
    refused = []
    for key, member in candidates:
        refusal = _find_refusal(document, packet, member, now)
        if refusal is None:
            created = read_fields(packet).created
            today = find_key_status(member, max(now, created))
            ended = today.invalid_reason
            if today.expires is not None and today.expires <= now:
                ended = "expired on %s" % format_time(today.expires)
            warnings = (
                (
                    "key %s of %s %s: what it signed before still counts; to verify newer releases, upgrade this "
                    "collection, or name a renewed copy of the key in trusted_keys"
                    % (member.public.fingerprint[-16:], key.fingerprint, ended),
                )
                if ended
                else ()
            )
            return Signature(key.fingerprint, member.public.fingerprint[-16:], created, warnings)
        refused.append((key, member, refusal))
    key, member, refusal = refused[0]
    raise _make_error(
        name,
        "by key %s of %s %s" % (member.public.fingerprint[-16:], key.fingerprint, refusal.found),
        refusal.hint,
        refusal.error,
    )


def _find_refusal(document: bytes, packet: SignaturePacket, member: SigningKey, now: int) -> Optional[_Refusal]:
    """Return why a packet is not a valid signature by this trusted key, or None if it is valid."""
    invalid_reason = find_invalid_reason(packet)
    if invalid_reason:
        return _Refusal(invalid_reason, _CHANGED_HINT)
    if packet.kind != DOCUMENT:
        return _Refusal("is of class 0x%02X; 0x00, a binary document, expected" % packet.kind, _CHANGED_HINT)
    if not issuer_is(packet, member.public):
        return _Refusal("names another key as well", _CHANGED_HINT)
    if member.invalid_reason:
        return _Refusal("does not count: the key %s" % member.invalid_reason, _KEY_HINT)
    if not verify_rsa(member.public, packet, document):
        return _Refusal("does not match its document: one of them was changed or damaged", _CHANGED_HINT)
    return _check_validity_period(read_fields(packet), member, now)


def _check_validity_period(fields: SignatureFields, member: SigningKey, now: int) -> Optional[_Refusal]:
    dated, clock = "is dated %s" % format_time(fields.created), "the clock says %s" % format_time(now)
    if fields.created > now + _AHEAD:
        return _Refusal("%s, in the future: %s" % (dated, clock), _CLOCK_HINT, ClockError)
    if fields.created < member.valid_from:
        return _Refusal("%s, before its key was made on %s" % (dated, format_time(member.valid_from)), _CHANGED_HINT)
    key_status = find_key_status(member, fields.created)
    if key_status.invalid_reason:
        return _Refusal("does not count: the key %s" % key_status.invalid_reason, _KEY_HINT)
    if key_status.self_signature_created > now + _AHEAD:
        return _Refusal(
            "cannot be checked: its key's own signature is dated %s, in the future: %s"
            % (format_time(key_status.self_signature_created), clock),
            _CLOCK_HINT,
            ClockError,
        )
    if key_status.expires is not None and fields.created >= key_status.expires:
        return _Refusal(
            "%s, after its key expired on %s" % (dated, format_time(key_status.expires)),
            ("upgrade this collection, or name a renewed copy of the key in trusted_keys"),
        )
    if fields.expires is not None and fields.expires <= now:
        return _Refusal(
            "%s and expired on %s: %s" % (dated, format_time(fields.expires), clock),
            ("ask its publisher for a new signature, or set the clock of the machine that checked this"),
            ClockError,
        )
    return None
