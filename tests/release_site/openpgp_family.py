# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A family of OpenPGP keys and signatures, good but for a few oddities each: member N is the same in every process.

What `openpgp_maker` makes on request is combined by chance here: self-signatures in ties and out of order, weak hashes,
ends of keys, subkeys and signatures, revocations, back-signatures, subpackets known and unknown, critical or not, well
and badly formed, in either area, several user ids, direct-key signatures, several blocks, two signatures.
"""

import functools
import itertools
import random
from typing import NamedTuple, Tuple

from . import openpgp_maker as maker
from .openpgp_maker import DAY, KEY_CREATED, SIGNATURE_CREATED

DOCUMENT = b"0123456789abcdef  terraform_1.13.4_linux_amd64.zip\n"
_LIFE = SIGNATURE_CREATED - KEY_CREATED
_SMALL = [number for number in range(3, 2000, 2) if all(number % other for other in range(3, int(number**0.5) + 1, 2))]


class _Public(NamedTuple):
    n: int
    e: int


class _Numbers(NamedTuple):
    """The private half of an RSA key of four primes, which signs four times as fast as one of two."""

    public_numbers: _Public
    primes: Tuple[int, ...]
    exponents: Tuple[int, ...]  # for each prime
    factors: Tuple[int, ...]  # for each prime: 1 modulo it, 0 modulo the others


class _Pair(maker.Pair):
    def raw(self, block):
        return _encrypt(self.numbers, block)


@functools.lru_cache(maxsize=None)
def _encrypt(numbers, block):
    value = int.from_bytes(block, "big")
    return (
        sum(
            factor * pow(value, exponent, prime)
            for prime, exponent, factor in zip(numbers.primes, numbers.exponents, numbers.factors)
        )
        % numbers.public_numbers.n
    )


class Member(NamedTuple):
    """Trusted keys, binary, each a block of its own; and a signature over DOCUMENT."""

    blocks: Tuple[bytes, ...]
    signature: bytes
    oddities: Tuple[str, ...]  # what was done to it, in words


@functools.lru_cache(maxsize=None)
def _make_numbers(name):
    """RSA of 2048 bits that depends on the name alone: worthless, but the same in each process."""
    source = random.Random(name)
    primes = tuple(_find_prime(source) for _index in range(4))
    n = primes[0] * primes[1] * primes[2] * primes[3]
    return _Numbers(
        _Public(n, 65537),
        primes,
        tuple(pow(65537, -1, prime - 1) for prime in primes),
        tuple(n // prime * pow(n // prime, -1, prime) for prime in primes),
    )


def _find_prime(source):
    while True:
        number = source.getrandbits(512) | 15 << 508 | 1
        if (
            all(number % small for small in _SMALL)
            and (number - 1) % 65537
            and all(pow(base, number - 1, number) == 1 for base in (2, 3, 5))
        ):
            return number


def _make_pair(name, created=KEY_CREATED):
    return _Pair(_make_numbers(name), created)


_DATES = (
    KEY_CREATED - DAY,
    KEY_CREATED + 1,
    KEY_CREATED + 100 * DAY,
    SIGNATURE_CREATED - 1,
    SIGNATURE_CREATED,
    SIGNATURE_CREATED + 1,
    SIGNATURE_CREATED + 100 * DAY,
)
_LIVES = (0, _LIFE - 1, _LIFE, _LIFE + 1, 100 * DAY, 3650 * DAY)  # of a key, from its creation
# contents of subpackets: some right for one kind, most wrong for others
_CONTENTS = (
    b"",
    b"\0",
    b"\1",
    b"\2",
    b"\0\0",
    b"x\0",
    b"\0\0\0\1",
    b"\x7f\0\0\0",
    b"\0\0\0\0\1",
    b"\x80\0\0\0\0\1\0\1ab",
    b"\x80\0\0\0\0\1\0\1\xff!",
    b"\x80\0\0\0\0\2\0\1ab",
    b"\x80\1" + b"\xab" * 20,
    b"\0\1" + b"\xab" * 20,
    b"\4" + b"\xcd" * 20,
    b"\4" + b"\xcd" * 19,
    b"\6" + b"\xcd" * 32,
    b"\3" + b"\xcd" * 20,
    b"\xab" * 8,
    b"\xab" * 7,
    b"\4\x19\1\x08\0\0\0\0ab\0\2\3",
    b"\4\0\x16\x08\0\0\0\0abc",
    b"\4\x19\1\x08\0\2\1\5\0\0ab\0\2\3",
    b"what?" * 60,
)
_KINDS = tuple(range(1, 41)) + (99, 100, 110, 127)


class _Dice:
    """Chance that is the same with every version of Python, and a list of what it chose."""

    def __init__(self, seed):
        self._source = random.Random(seed)
        self.oddities = []

    def pick(self, choices):
        return choices[int(self._source.random() * len(choices))]

    def odd(self, percent, what):
        """Whether to do something odd, which is noted then."""
        found = self._source.random() * 100 < percent
        if found:
            self.oddities.append(what)
        return found

    def date(self, usual, percent=18):
        return self.pick(_DATES) if self.odd(percent, "date") else usual

    def life(self, percent=18):
        return self.pick(_LIVES) if self.odd(percent, "life") else None

    def subpackets(self):
        kind, content = self.pick(_KINDS), self.pick(_CONTENTS)
        made = maker.subpacket(kind, content, critical=self.pick((False, False, True)))
        how = self.pick(("plain",) * 8 + ("long length", "empty one", "beyond the area"))
        if how == "long length":
            made = b"\xff" + maker.four(len(content) + 1) + maker.subpacket(kind, content)[-len(content) - 1 :]
        elif how == "empty one":
            made = b"\0"
        elif how == "beyond the area":
            made = b"\x20" + made[1:]
        self.oddities.append("subpacket %d %r %s" % (kind, content[:12], how))
        return [made]

    def quirk(self, percent, unrelated):
        """Arguments for `make_signature` that make a signature odd, mostly none."""
        if not self.odd(percent, "quirk"):
            return {}
        made = self.pick(
            (
                {"digest": "sha224"},
                {"digest": "sha224"},
                {"digest": "sha1"},
                {"digest": "md5"},
                {"digest": "sha384"},
                {"digest": "sha512"},
                {"issuer": "none"},
                {"issuer": "unhashed"},
                {"issuer": "hashed"},
                {"issuer": unrelated},
                {"left": b"\0\0"},
                {"algorithm": 3},
                {"date": False},
                {"hashed": "new"},
                {"hashed": "new"},
                {"unhashed": "new"},
                {"hashed": [maker.subpacket(maker.CREATED, maker.four(KEY_CREATED))]},
                {
                    "hashed": [
                        maker.subpacket(maker.SIGNATURE_EXPIRES, maker.four(self.pick((0, 1, DAY, _LIFE, 3650 * DAY))))
                    ]
                },
                {"hashed": [maker.subpacket(maker.SIGNATURE_EXPIRES, maker.four(self.pick((DAY, 3650 * DAY))))]},
                {"unhashed": [maker.subpacket(maker.SIGNATURE_EXPIRES, maker.four(1))]},
                {"unhashed": [maker.subpacket(maker.KEY_EXPIRES, maker.four(1))]},
                {"hashed": [maker.subpacket(25, b"\1")]},
                {"tail": b"\0"},
                {"version": 3},
            )
        )
        self.oddities.append("%s" % sorted(made))
        return dict((name, self.subpackets() if value == "new" else value) for name, value in made.items())


def _put(options, **more):
    """Options with more subpackets."""
    options = dict(options)
    for name, subpackets in more.items():
        options[name] = list(options.get(name, ())) + subpackets
    return options


def _reason(dice):
    code = dice.pick((None, 0, 1, 2, 3, 32))
    return [] if code is None else [maker.subpacket(29, bytes([code]) + b"why")]


def _certify(dice, primary, name, flags, unrelated):
    options = dice.quirk(6, unrelated)
    if dice.odd(6, "primary user id"):
        options = _put(options, hashed=[maker.subpacket(25, b"\1")])
    return maker.certify(
        primary,
        name,
        created=dice.date(KEY_CREATED),
        expires=dice.life(),
        kind=dice.pick((0x13, 0x13, 0x10, 0x11, 0x12)),
        flags=dice.pick((1, 2, 3, None)) if dice.odd(8, "flags") else flags,
        **options,
    )


def _bind(dice, primary, subkey, unrelated):
    options, cross = dice.quirk(6, unrelated), dice.quirk(6, unrelated)
    created = dice.date(subkey.created)
    if dice.odd(10, "date of the cross-certification"):
        cross["created"] = dice.pick(_DATES)
    how = dice.pick(("missing", "of another", "hashed", "two")) if dice.odd(8, "cross-certification") else None
    if how == "two":
        options = _put(
            options,
            unhashed=[
                maker.subpacket(
                    maker.EMBEDDED,
                    maker.make_signature(
                        subkey, maker.CROSS, primary.hashed + subkey.hashed, bare=True, created=dice.pick(_DATES)
                    ),
                )
            ],
        )
    return maker.bind(
        primary,
        subkey,
        created=created,
        expires=dice.life(),
        cross=how != "missing",
        cross_options=cross,
        cross_by=unrelated if how == "of another" else None,
        cross_hashed_area=how == "hashed",
        flags=dice.pick((0x0C, 0x22, 0, None)) if dice.odd(6, "flags of the subkey") else 2,
        **options,
    )


def _revoke(dice, primary, subkey, unrelated):
    return maker.revoke(
        primary,
        subkey,
        created=dice.pick(_DATES),
        by=unrelated if dice.odd(15, "forged") else None,
        **_put(dice.quirk(25, primary), hashed=_reason(dice)),
    )


def _make_blocks(dice, primary, subkey, unrelated):
    """The copies of one key: each of its signatures is in one of them or in both."""
    flags = dice.pick((1, 1, 3))
    things = [[maker.packet(6, primary.body)]]
    for _index in range(dice.pick((0, 0, 0, 0, 1, 2))):
        options = dice.quirk(6, unrelated)
        hashed = [maker.subpacket(maker.FLAGS, bytes([flags]))] if dice.odd(50, "flags of the key") else []
        life = dice.life(30)
        hashed += [] if life is None else [maker.subpacket(maker.KEY_EXPIRES, maker.four(life))]
        things[0].append(
            maker.make_signature(
                primary, maker.DIRECT, primary.hashed, created=dice.date(KEY_CREATED), **_put(options, hashed=hashed)
            )
        )
    if dice.odd(5, "key revoked"):
        things[0].append(_revoke(dice, primary, None, unrelated))
    for name in ("Demo", "Second", "Third")[: dice.pick((1, 1, 1, 2, 3))]:
        certifications = [
            _certify(dice, primary, name, flags, unrelated) for _index in range(dice.pick((1, 1, 1, 2, 3)))
        ]
        if dice.odd(6, "user id revoked"):
            certifications.append(
                maker.make_signature(
                    primary,
                    maker.UID_REVOCATION,
                    maker.over_user_id(primary, name),
                    created=dice.pick(_DATES),
                    **_put(dice.quirk(25, unrelated), hashed=_reason(dice)),
                )
            )
        things.append([maker.packet(13, maker.user_id(name))] + certifications)
    bound = [maker.packet(14, subkey.body)] + [
        _bind(dice, primary, subkey, unrelated) for _index in range(dice.pick((1, 1, 1, 2, 3)))
    ]
    if dice.odd(5, "subkey revoked"):
        bound.append(_revoke(dice, primary, subkey, unrelated))
    things.append(bound)
    if dice.odd(10, "second subkey"):
        things.append([maker.packet(14, unrelated.body), _bind(dice, primary, subkey=unrelated, unrelated=subkey)])
    if dice.odd(6, "out of place"):
        from_, to = dice.pick(things), dice.pick(things)
        if len(from_) > 1:
            to.append(from_.pop())
    copies = dice.pick((1, 1, 1, 1, 2))
    found = []
    for number in range(copies):
        block = b""
        for thing in things:
            kept = [one for one in thing[1:] if copies == 1 or dice.odd(60, "in block %d" % number)]
            block += thing[0] + b"".join(reversed(kept) if dice.pick((False, True)) else kept)
        found.append(block)
    return found


def _sign(dice, signer, now, unrelated):
    options = dice.quirk(10, unrelated)
    created = dice.date(SIGNATURE_CREATED, 12)
    if dice.odd(4, "about now"):
        created = now + dice.pick((25, 35, 23 * 60)) * 60
    if dice.odd(5, "end"):
        options = _put(
            options, hashed=[maker.subpacket(maker.SIGNATURE_EXPIRES, maker.four(dice.pick((0, 1, DAY, 36500 * DAY))))]
        )
    kind = dice.pick((0x01, 0x02, 0x10, 0x18, 0x40, 0x50)) if dice.odd(2, "class") else 0
    return maker.make_signature(
        signer, kind, DOCUMENT + (b"!" if dice.odd(2, "changed") else b""), created=created, **options
    )


def make_member(number, now):
    """Member `number` of the family; `now`, in seconds since the epoch, is what signatures from the future are ahead of."""
    dice = _Dice("family %d" % number)
    primary = _make_pair("family primary")
    subkey = _make_pair("family subkey", KEY_CREATED + dice.pick((0, 0, 0, DAY, -DAY)))
    unrelated = _make_pair("family unrelated")
    blocks = _make_blocks(dice, primary, subkey, unrelated)
    signature = _sign(dice, primary if dice.odd(12, "by the primary") else subkey, now, unrelated)
    if dice.odd(6, "two signatures"):
        signature += _sign(dice, dice.pick((primary, subkey, unrelated)), now, unrelated)
    if dice.odd(10, "another key"):
        other = [
            maker.packet(6, unrelated.body),
            maker.packet(13, maker.user_id("Demo")),
            _certify(dice, unrelated, "Demo", 3, primary),
        ]
        if dice.odd(60, "which has the subkey, too"):
            other += [maker.packet(14, subkey.body), _bind(dice, subkey=subkey, primary=unrelated, unrelated=primary)]
        if dice.odd(15, "revoked"):
            other.insert(1, _revoke(dice, unrelated, None, primary))
        blocks.insert(dice.pick((0, len(blocks))), b"".join(other))
    return Member(tuple(blocks), signature, tuple(dice.oddities))


def make_subpackets(step=1):
    """Signatures by one good key, with each kind of subpacket in each of many forms, or each ``step``-th: list of Member."""
    primary, subkey = _make_pair("family primary"), _make_pair("family subkey")
    block = b"".join(
        [
            maker.packet(6, primary.body),
            maker.packet(13, maker.user_id("Demo")),
            maker.certify(primary, "Demo"),
            maker.packet(14, subkey.body),
            maker.bind(primary, subkey),
        ]
    )
    contents = _CONTENTS + (maker.make_signature(subkey, 0, DOCUMENT, bare=True),)
    forms = itertools.product(contents, ("hashed", "unhashed"), _KINDS, (False, True))
    return [
        Member(
            (block,),
            maker.make_signature(subkey, 0, DOCUMENT, **{area: [maker.subpacket(kind, content, critical)]}),
            ("%s %d %r %s" % (area, kind, content[:20], critical),),
        )
        for content, area, kind, critical in itertools.islice(forms, 0, None, step)
    ]
