# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of each known subpacket: right, and wrong in length or content."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import subpackets

NOTATION = b"\x80\0\0\0\0\1\0\1ab"


@pytest.mark.parametrize(
    "kind, good, bad",
    [
        (2, (b"\0\0\0\1",), (b"", b"abc", b"abcde")),
        (3, (b"\0\0\0\1",), (b"", b"abc", b"abcde")),
        (9, (b"\0\0\0\1",), (b"", b"abc", b"abcde")),
        (4, (b"\0", b"\1"), (b"", b"\2", b"\0\0")),
        (7, (b"\0", b"\1"), (b"", b"\2", b"\0\0")),
        (25, (b"\0", b"\1"), (b"", b"\2", b"\0\0")),
        (5, (b"\1\x78",), (b"", b"\1", b"\1\2\3")),
        (6, (b"\0", b"x\0"), (b"", b"x")),
        (
            12,
            (b"\x80\1" + b"\xab" * 20, b"\xc0\1" + b"\xab" * 20),
            (b"", b"\0\1" + b"\xab" * 20, b"\x80\1" + b"\xab" * 19, b"\x80\1" + b"\xab" * 21),
        ),
        (20, (NOTATION, b"\0" * 8), (b"", b"\0" * 7, NOTATION[:-1], NOTATION + b"c", NOTATION.replace(b"a", b"\xff"))),
        (29, (b"\1", b"\0because"), (b"",)),
        (31, (b"\1\x08", b"\1\x08hash"), (b"", b"\1")),
        (
            35,
            (b"\4" + b"\xcd" * 20,),
            (b"", b"\4" + b"\xcd" * 19, b"\4" + b"\xcd" * 21, b"\3" + b"\xcd" * 20, b"\6" + b"\xcd" * 32),
        ),
        (
            33,
            (b"\4" + b"\xcd" * 20,),
            (b"", b"\4" + b"\xcd" * 19, b"\4" + b"\xcd" * 21, b"\3" + b"\xcd" * 20, b"\6" + b"\xcd" * 32),
        ),
        (16, (b"\xab" * 8,), (b"", b"\xab" * 7, b"\xab" * 9)),
        (37, (b"",), (b"\xab" * 32,)),
    ],
)
def test_known_subpacket(kind, good, bad):
    assert [data for data in good if not subpackets.is_well_formed(kind, data)] == []
    assert [data for data in bad if subpackets.is_well_formed(kind, data)] == []


@pytest.mark.parametrize("kind", [0, 1, 8, 11, 21, 22, 23, 24, 26, 27, 28, 30, 34, 99, 127])
def test_other_subpackets_may_hold_anything(kind):
    assert all(subpackets.is_well_formed(kind, data) for data in (b"", b"\0", b"what?"))
