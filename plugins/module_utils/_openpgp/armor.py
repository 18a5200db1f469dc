# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decodes ASCII armor into binary OpenPGP data (RFC 9580 section 6.2), or raises MalformedError.

Messages never quote the text: a user may have pasted a secret by mistake.
"""

import base64
from typing import Iterator, List, Tuple

TEXT_LIMIT = 256 * 1024  # characters


class MalformedError(ValueError):
    """The data is not OpenPGP, or not the part of OpenPGP that is read here. The message quotes nothing from it."""


def read_armor(text: str) -> List[Tuple[str, bytes]]:
    """Decode ASCII armor (RFC 9580 section 6.2).

    Other lines before, between and after the blocks are ignored. The checksum is optional but must match, as in gpg: a
    damaged text should be reported as damaged.

    :param text: str, at most TEXT_LIMIT characters.
    :returns: list of (label, bytes), the label without "BEGIN PGP": ``PUBLIC KEY BLOCK``.
    :raises MalformedError: the armor is incomplete or damaged.
    """
    if len(text) > TEXT_LIMIT:
        raise MalformedError("it is longer than %d characters" % TEXT_LIMIT)
    blocks = []
    lines = iter([line.strip(" \t\r") for line in text.split("\n")])
    for line in lines:
        if line.startswith("-----BEGIN PGP ") and line.endswith("-----") and line.count("-----") == 2:
            label = line[15:-5]
            blocks.append((label, _read_block(label, lines)))
        elif "-----" in line:
            raise MalformedError("dashes that are no BEGIN or END line of OpenPGP armor (were its line breaks lost?)")
    return blocks


def _read_block(label: str, lines: Iterator[str]) -> bytes:
    for line in lines:
        if not line:
            break
        if ":" not in line:
            raise MalformedError("the empty line is missing between the armor's first lines and its data")
    body, checksum = [], None
    for line in lines:
        if line == "-----END PGP %s-----" % label:
            break
        if checksum is not None and line:
            raise MalformedError("something follows the armor's checksum")
        if line.startswith("="):
            checksum = _decode(line[1:])
        else:
            body.append(line)
    else:
        raise MalformedError("the armor has no END line: it was cut")
    data = _decode("".join(body))
    if checksum is not None and checksum != _crc24(data):
        raise MalformedError("the armor's checksum does not match: the text was damaged")
    return data


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as exc:
        raise MalformedError("the armor is not base64") from exc


def _crc24(data: bytes) -> bytes:
    # RFC 9580 section 6.1.1, eight bits at a time
    table = []
    for octet in range(256):
        crc = octet << 16
        for _bit in range(8):
            crc = crc << 1 ^ (0x1864CFB if crc & 0x800000 else 0)
        table.append(crc & 0xFFFFFF)
    crc = 0xB704CE
    for octet in data:
        crc = (crc << 8 & 0xFFFFFF) ^ table[crc >> 16 ^ octet]
    return crc.to_bytes(3, "big")
