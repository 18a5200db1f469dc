# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluates the self-signatures of a key at one moment: may it sign, and until when.

The newest self-signature that counts and existed at that moment is in force. If several share its second, or if
self-signatures that do not count on their own (weak hash, wrong position, not understood) are as new or newer, the
strictest combination of all of them applies. A restriction is honored even in doubt; an extension must be beyond doubt.
"""

from typing import List, NamedTuple, Optional, Tuple

from .packets import PublicKey
from .signatures import SignatureFields, find_earliest, format_time


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
    renewed: bool  # its older self-signatures are not published: see keys.py


class KeyStatus(NamedTuple):
    """The status of a signing key at one moment."""

    invalid_reason: Optional[str]  # why its signatures of that moment do not count; None: they do
    expires: Optional[int] = None  # seconds since the epoch: the earliest stated expiry; None: never
    self_signature_created: int = 0  # seconds since the epoch: the newest self-signature in force


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
