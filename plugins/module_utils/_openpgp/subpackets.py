# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the form of each known signature subpacket (RFC 9580 section 5.2.3).

This includes subpackets that decide nothing here: a signature that breaks the rules proves nothing for sure, and other
verifiers, sqv among them, refuse it as a whole.
"""

from typing import Callable, Dict

ISSUER, EMBEDDED, ISSUER_FINGERPRINT = 16, 32, 33
CREATED, EXPIRES, KEY_EXPIRES, FLAGS = 2, 3, 9, 27


def _is_bool(data: bytes) -> bool:
    return data in (b"\0", b"\1")


def _is_time(data: bytes) -> bool:
    return len(data) == 4


def _is_notation(data: bytes) -> bool:
    # flags, two lengths, a name and a value
    name, value = int.from_bytes(data[4:6], "big"), int.from_bytes(data[6:8], "big")
    if len(data) < 8 or len(data) != 8 + name + value:
        return False
    try:
        data[8 : 8 + name].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_fingerprint(data: bytes) -> bool:
    # of a version 4 key: sqv accepts no other
    return data[:1] == b"\4" and len(data) == 21


# Other types may hold anything. packets.py parses embedded signatures, and refuses bad ones.
_FORMS: Dict[int, Callable[[bytes], object]] = {
    CREATED: _is_time,
    EXPIRES: _is_time,
    4: _is_bool,  # exportable certification
    5: lambda data: len(data) == 2,  # trust: level and amount
    6: lambda data: data.endswith(b"\0"),  # regular expression
    7: _is_bool,  # revocable
    KEY_EXPIRES: _is_time,
    ISSUER: lambda data: len(data) == 8,
    12: lambda data: len(data) == 22 and data[0] & 0x80,  # revocation key: class, algorithm, fingerprint
    20: _is_notation,
    25: _is_bool,  # primary user id
    29: lambda data: data,  # reason for revocation: code and text
    ISSUER_FINGERPRINT: _is_fingerprint,
    31: lambda data: len(data) >= 2,  # signature target: two algorithms and a hash
    35: _is_fingerprint,  # intended recipient
    37: lambda data: not data,  # attested certifications: allowed only in a signature type of their own
}


def is_well_formed(kind: int, data: bytes) -> bool:
    """Whether a subpacket of this type may have this content (bytes)."""
    return bool(_FORMS[kind](data)) if kind in _FORMS else True
