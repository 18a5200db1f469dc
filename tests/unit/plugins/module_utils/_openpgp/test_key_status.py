# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What self-signatures say at a moment: the newest by then, the strictest of several, and what cannot count restricts."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.key_status import (
    KeyStatus,
    SelfSignature,
    SelfSignatures,
    SigningKey,
    find_key_status,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.signatures import SignatureFields

PRIMARY_MADE, SUBKEY_MADE = 1000, 2000


class Public:
    """As much of a key as a standing needs."""

    def __init__(self, created):
        self.created = created


def log(created, end=None, flags=3, counts=True, until=None, agreed=()):
    """A statement; ends are moments, of the key and of the statement itself."""
    return SelfSignature(SignatureFields(created, until, end and end - PRIMARY_MADE, flags), counts, tuple(agreed))


def primary(*parts, **changes):
    return SigningKey(Public(PRIMARY_MADE), None, PRIMARY_MADE, PRIMARY_MADE, parts, None, False)._replace(**changes)


def subkey(*bindings, **changes):
    parts = (SelfSignatures((log(PRIMARY_MADE, flags=1),)),)
    return SigningKey(
        Public(PRIMARY_MADE), None, PRIMARY_MADE, PRIMARY_MADE, parts, SelfSignatures(bindings), False
    )._replace(**changes)


AGREED = log(PRIMARY_MADE)
NOBODY = "belongs to a key without a valid self-signature of 1970-01-01T00:25:00Z or before (over SHA-256 or better)"
UNBOUND = "has no valid binding to its primary key of 1970-01-01T00:25:00Z or before (over SHA-256 or better)"


@pytest.mark.parametrize(
    "said, moment, expires, stated",
    [
        ([log(1000)], 1000, None, 1000),
        ([log(1000, 5000), log(1500)], 1499, 5000, 1000),
        ([log(1000, 5000), log(1500)], 1500, None, 1500),
        ([log(1500), log(1000, 5000)], 1500, None, 1500),
        ([log(1500), log(1500, 5000)], 1500, 5000, 1500),
        ([log(1500, 5000), log(1500, 6000)], 1500, 5000, 1500),
        ([log(1500), log(1500, until=5000)], 1500, 5000, 1500),
        ([log(1500), log(1500, 5000, counts=False)], 1500, 5000, 1500),
        ([log(1500), log(1600, 5000, counts=False)], 1600, 5000, 1600),
        ([log(1500), log(1600, 5000, counts=False)], 1599, None, 1500),
        ([log(1500), log(1499, 5000, counts=False)], 1600, None, 1500),
        ([log(1500, 5000), log(1600, counts=False)], 1600, 5000, 1600),
    ],
    ids=str,
)
def test_ends(said, moment, expires, stated):
    assert find_key_status(primary(SelfSignatures(()), SelfSignatures(tuple(said))), moment) == KeyStatus(
        None, expires, stated
    )


@pytest.mark.parametrize(
    "parts", [(), (log(1501),), (log(1000, counts=False),), (log(1501), log(1000, counts=False))], ids=str
)
def test_without_a_word_that_counts_nothing_holds(parts):
    found = find_key_status(primary(SelfSignatures(()), SelfSignatures(parts)), 1500)
    assert found.invalid_reason == NOBODY


@pytest.mark.parametrize(
    "key, names, may",
    [
        ([], [[log(1000, flags=2)]], True),
        ([], [[log(1000, flags=1)]], False),
        ([], [[log(1000, flags=None)]], False),
        ([log(1000, flags=None)], [[log(1000, flags=2)]], True),
        ([log(1000, flags=2)], [[log(1000, flags=None)]], False),
        ([log(1000, flags=1)], [[log(1000, flags=2)]], False),
        ([log(1000, flags=2)], [], True),
        ([log(1000, flags=None)], [], False),
        ([], [[log(1000, flags=2)], [log(1000, flags=1)]], False),
        ([], [[log(1000, flags=2), log(1000, flags=1)]], False),
        ([], [[log(1000, flags=2), log(1500, flags=1, counts=False)]], False),
        ([], [[log(1000, flags=2), log(1501, flags=1)]], True),
    ],
    ids=str,
)
def test_who_may_sign(key, names, may):
    found = find_key_status(primary(SelfSignatures(tuple(key)), *[SelfSignatures(tuple(said)) for said in names]), 1500)
    assert found.invalid_reason == (None if may else "may not sign, say its key flags")


@pytest.mark.parametrize(
    "withdrawn, moment, expires",
    [
        ((), 1500, 1400),
        ((1300,), 1500, None),
        ((1500,), 1500, None),
        ((1501,), 1500, 1400),
        ((1000,), 1500, None),
        ((999,), 1500, 1400),
        ((999, 1300), 1500, None),
    ],
)
def test_a_withdrawn_user_id_says_nothing(withdrawn, moment, expires):
    gone, other = SelfSignatures((log(1000, 1400, counts=False),), withdrawn), SelfSignatures((log(1000),))
    assert find_key_status(primary(SelfSignatures(()), gone, other), moment).expires == expires
    assert find_key_status(primary(SelfSignatures((log(1000),)), gone), moment).expires == 1400


@pytest.mark.parametrize(
    "bindings, invalid_reason",
    [
        ([log(1000, agreed=[AGREED])], None),
        ([], UNBOUND),
        ([log(1501, agreed=[AGREED])], UNBOUND),
        ([log(1000, counts=False)], UNBOUND),
        ([log(1000, agreed=[log(1501)])], "has no valid cross-certification in its binding"),
        ([log(1000, agreed=[AGREED]), log(1000)], "has no valid cross-certification in its binding"),
        ([log(1000, agreed=[AGREED]), log(1000, flags=1)], "may not sign, say its key flags"),
        ([log(1000, agreed=[AGREED]), log(1200, flags=None, counts=False)], "may not sign, say its key flags"),
        ([log(1000, agreed=[AGREED]), log(1501)], None),
    ],
    ids=str,
)
def test_bindings(bindings, invalid_reason):
    assert find_key_status(subkey(*bindings), 1500).invalid_reason == invalid_reason


def test_every_end_of_a_subkey_counts():
    def expires(binding, **changes):
        return find_key_status(subkey(binding, **changes), 1500).expires

    assert expires(log(1000, agreed=[AGREED])) is None
    assert expires(log(1000, 9000, agreed=[AGREED])) == 9000
    assert expires(log(1000, 9000, until=8000, agreed=[AGREED])) == 8000
    assert expires(log(1000, 9000, agreed=[log(1000, until=7000)])) == 7000
    assert expires(log(1000, 9000, agreed=[log(1000, until=7000), log(1000)])) == 7000
    assert expires(log(1000, 9000, agreed=[AGREED]), parts=(SelfSignatures((log(1000, 6000),)),)) == 6000
    assert expires(log(1000, 9000, agreed=[AGREED]), parts=(SelfSignatures((log(1000, 6000),)),), oldest=900) == 5900


def test_the_renewed_key_speaks_for_what_it_signed_before():
    parts = (SelfSignatures(()), SelfSignatures((log(3000, 9000), log(4000, 8000))))
    assert find_key_status(primary(*parts), 1500).invalid_reason
    assert find_key_status(primary(*parts, renewed=True), 1500) == KeyStatus(None, 9000, 3000)
    assert find_key_status(primary(*parts, renewed=True), 4000) == KeyStatus(None, 8000, 4000)
    known = (SelfSignatures(()), SelfSignatures((log(1400, 5000), log(3000, 9000))))
    assert find_key_status(primary(*known, renewed=True), 1500) == KeyStatus(None, 5000, 1400)
    assert find_key_status(
        primary(SelfSignatures(()), SelfSignatures((log(3000, counts=False),)), renewed=True), 1500
    ).invalid_reason


def test_an_invalid_key_is_invalid_at_any_moment():
    assert find_key_status(primary(SelfSignatures((log(1000),)), invalid_reason="is revoked"), 1500) == KeyStatus(
        "is revoked"
    )
