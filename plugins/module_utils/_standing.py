# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the self-signatures of a key say of it at one moment: may it sign, and until when.

In force is the newest self-signature that counts and was made by then. Where several are of that second, and where
self-signatures that do not count by themselves (weak hash, wrong place, not understood) are as new or newer, the
strictest of what all of them say holds: what restricts a key is honoured, what extends it has to be beyond doubt.
"""

from typing import List, NamedTuple, Optional, Tuple

from ._packets import PublicKey
from ._signatures import Claims, find_sooner, write_time


class Statement(NamedTuple):
    """A self-signature: the owner of a key made it, about the key itself, a user id of it, or a subkey."""

    claims: Claims
    counts: bool                        # False: it can only restrict
    agreed: Tuple["Statement", ...]     # of a binding: the subkey's own signatures in it, those that count


class Part(NamedTuple):
    """All statements about one thing."""

    statements: Tuple[Statement, ...]
    withdrawn: Tuple[int, ...] = ()     # dates of revocations of this user id that are beyond doubt


class Member(NamedTuple):
    """A primary key or a subkey that a signature may name, with all that bears on it."""

    public: PublicKey
    flaw: Optional[str]         # why nothing that it signs counts, at any moment
    starts: int                 # seconds since the epoch: it and its primary exist since then
    oldest: int                 # seconds since the epoch: the older of both exists since then
    parts: Tuple[Part, ...]     # about the primary and each of its user ids
    binding: Optional[Part]     # about the subkey; None: it is the primary
    renewed: bool               # its older self-signatures are not published: see `_keys`


class Standing(NamedTuple):
    """What is said of a member at one moment."""

    flaw: Optional[str]             # why what it signs then does not count; None: it does
    expires: Optional[int] = None   # seconds since the epoch: the earliest of all ends that are said; None: never
    stated: int = 0                 # seconds since the epoch: when the newest of what is in force was said


def find_standing(member: Member, moment: int) -> Standing:
    """The Standing of a Member at a moment in seconds since the epoch."""
    if member.flaw:
        return Standing(member.flaw)
    direct, *named = [_find_in_force(part, moment, member.renewed) for part in member.parts]
    names = _leave_withdrawn(named, member.parts[1:], moment)
    said = direct + names
    if not any(one.counts for one in said):
        return Standing("belongs to a key without a valid self-signature of %s or before (over SHA-256 or better)" % (
            write_time(moment)))
    # Some count what is said of the primary from the creation of the subkey, where that has no end of its own.
    ends = [_find_end(one.claims, member.oldest) for one in said]
    if member.binding is None:
        # Some ask the newest user id alone: each has to say it, while a word about the key itself may be silent on it.
        permissions = [one.claims.may_sign for one in said if one in names or one.claims.flags is not None]
    else:
        bindings = _find_in_force(member.binding, moment, member.renewed)
        if not any(one.counts for one in bindings):
            return Standing("has no valid binding to its primary key of %s or before (over SHA-256 or better)" % (
                write_time(moment)))
        permissions = [one.claims.may_sign for one in bindings]
        ends += [_find_end(one.claims, member.public.created) for one in bindings]
        for one in bindings:
            agreed = _find_in_force(Part(one.agreed), moment, member.renewed)
            # RFC 9580 section 5.2.1.9: without it anybody could bind the subkey to his key and claim its signatures.
            if one.counts and one.claims.may_sign and not agreed:
                return Standing("has no valid cross-certification in its binding")
            ends += [inner.claims.expires for inner in agreed]
            said = said + [one] + agreed
    if not permissions or not all(permissions):
        return Standing("may not sign, say its key flags")
    return Standing(None, find_sooner(*ends), max(one.claims.created for one in said))


def _find_in_force(part: Part, moment: int, renewed: bool) -> List[Statement]:
    counting = [one.claims.created for one in part.statements if one.counts]
    if renewed and counting:
        moment = max(moment, min(counting))
    newest = max([created for created in counting if created <= moment], default=0)
    return [one for one in part.statements if newest <= one.claims.created <= moment]


def _leave_withdrawn(names: List[List[Statement]], parts: Tuple[Part, ...], moment: int) -> List[Statement]:
    """What the user ids say, as one list, without those whose last word is that they are withdrawn."""
    found: List[Statement] = []
    others = any(one.counts for name in names for one in name)
    for name, part in zip(names, parts):
        last = max([one.claims.created for one in name], default=0)
        # Of a withdrawn user id nothing counts, but where there is no other, some still ask it: it restricts.
        if not (others and any(last <= date <= moment for date in part.withdrawn)):
            found += name
    return found


def _find_end(claims: Claims, created: int) -> Optional[int]:
    return find_sooner(claims.expires, created + claims.key_expires if claims.key_expires else None)
