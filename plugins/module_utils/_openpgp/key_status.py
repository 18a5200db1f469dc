# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the self-signatures of a key say of it at one moment: may it sign, and until when.

In force is the newest self-signature that counts and was made by then. Where several are of that second, and where
self-signatures that do not count by themselves (weak hash, wrong place, not understood) are as new or newer, the
strictest of what all of them say holds: what restricts a key is honoured, what extends it has to be beyond doubt.
"""

from typing import List, NamedTuple, Optional, Tuple

from .packets import PublicKey
from .signatures import SignatureFields, find_earliest, format_time


class SelfSignature(NamedTuple):
    """A self-signature: the owner of a key made it, about the key itself, a user id of it, or a subkey."""

    fields: SignatureFields
    counts: bool  # False: it can only restrict
    agreed: Tuple["SelfSignature", ...]  # of a binding: the subkey's own signatures in it, those that count


class SelfSignatures(NamedTuple):
    """All statements about one thing."""

    statements: Tuple[SelfSignature, ...]
    withdrawn: Tuple[int, ...] = ()  # dates of revocations of this user id that are beyond doubt


class SigningKey(NamedTuple):
    """A primary key or a subkey that a signature may name, with all that bears on it."""

    public: PublicKey
    invalid_reason: Optional[str]  # why nothing that it signs counts, at any moment
    valid_from: int  # seconds since the epoch: it and its primary exist since then
    oldest: int  # seconds since the epoch: the older of both exists since then
    parts: Tuple[SelfSignatures, ...]  # about the primary and each of its user ids
    binding: Optional[SelfSignatures]  # about the subkey; None: it is the primary
    renewed: bool  # its older self-signatures are not published: see `_keys`


class KeyStatus(NamedTuple):
    """What is said of a member at one moment."""

    invalid_reason: Optional[str]  # why what it signs then does not count; None: it does
    expires: Optional[int] = None  # seconds since the epoch: the earliest of all ends that are said; None: never
    self_signature_created: int = 0  # seconds since the epoch: when the newest of what is in force was said


def find_key_status(member: SigningKey, moment: int) -> KeyStatus:
    """The Standing of a Member at a moment in seconds since the epoch."""
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
    # Some count what is said of the primary from the creation of the subkey, where that has no end of its own.
    ends = [_find_end(one.fields, member.oldest) for one in said]
    if member.binding is None:
        # Some ask the newest user id alone: each has to say it, while a word about the key itself may be silent on it.
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
            # RFC 9580 section 5.2.1.9: without it anybody could bind the subkey to his key and claim its signatures.
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
    """What the user ids say, as one list, without those whose last word is that they are withdrawn."""
    found: List[SelfSignature] = []
    others = any(one.counts for name in names for one in name)
    for name, part in zip(names, parts):
        last = max([one.fields.created for one in name], default=0)
        # Of a withdrawn user id nothing counts, but where there is no other, some still ask it: it restricts.
        if not (others and any(last <= date <= moment for date in part.withdrawn)):
            found += name
    return found


def _find_end(fields: SignatureFields, created: int) -> Optional[int]:
    return find_earliest(fields.expires, created + fields.key_expires if fields.key_expires else None)
