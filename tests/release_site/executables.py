# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Executables for every platform, assembled byte by byte: no compiler, and no binary in git.

Those for ``linux_amd64`` and ``linux_arm64`` are real: a static ELF file of a few hundred bytes that answers
``version -json`` and ``version`` as Terraform does, exits with a chosen status, or hangs. Those for other platforms
carry the right magic bytes and machine number and are never run.

The same arguments give the same bytes, always.
"""

import hashlib
import json
import struct
from typing import NamedTuple

_LOAD_ADDRESS = 0x400000
_ELF_EXECUTABLE = 2
_PADDING_BLOCK = 1 << 20


class _ElfKind(NamedTuple):
    """How the header of an ELF file names its machine (elf.h; the generic ABI, chapter 4)."""

    machine: int
    bits: int
    order: str  # "<" little-endian, ">" big-endian, as in struct


_ELF_KINDS = {
    "386": _ElfKind(3, 32, "<"),
    "arm": _ElfKind(40, 32, "<"),
    "amd64": _ElfKind(62, 64, "<"),
    "arm64": _ElfKind(183, 64, "<"),
    "ppc64le": _ElfKind(21, 64, "<"),
    "riscv64": _ElfKind(243, 64, "<"),
    "s390x": _ElfKind(22, 64, ">"),
}
_ELF_SYSTEMS = {"linux": 0, "solaris": 0, "netbsd": 2, "freebsd": 9, "openbsd": 12}  # EI_OSABI
_MACHO_CPU_TYPES = {"amd64": 0x01000007, "arm64": 0x0100000C}
_PE_MACHINES = {"386": 0x014C, "amd64": 0x8664, "arm64": 0xAA64}

RUNNABLE = ("linux_amd64", "linux_arm64")


def terraform(version, platform, exit_status=0, padding=0, hang=False):
    """A stand-in for the Terraform executable.

    Run with two arguments or more (``version -json``) it prints JSON, with fewer the text of ``version``.

    :param version: str, what it says of itself.
    :param platform: str, ``<os>_<arch>``; one of RUNNABLE can really be run.
    :param exit_status: int, 0 to 255, with which it ends after it has spoken.
    :param padding: int, so many incompressible bytes are appended (they are never loaded into memory).
    :param hang: bool, it prints nothing and sleeps until a signal ends it.
    :returns: bytes of the file.
    :raises ValueError: for a platform that is not in the tables.
    """
    text = _text_answer(version, platform)
    system, arch = _split(platform)
    if platform in RUNNABLE:
        image = _runnable(arch, text, _json_answer(version, platform), exit_status, hang)
    elif system in _ELF_SYSTEMS and arch in _ELF_KINDS:
        image = _elf_header(_ELF_KINDS[arch], _ELF_SYSTEMS[system], 0, 0) + text
    elif system == "darwin" and arch in _MACHO_CPU_TYPES:
        image = struct.pack("<8I", 0xFEEDFACF, _MACHO_CPU_TYPES[arch], 0, 2, 0, 0, 0, 0) + text
    elif system == "windows" and arch in _PE_MACHINES:
        image = _pe_header(_PE_MACHINES[arch], arch == "386") + text
    else:
        raise ValueError("platform %s is not known here" % platform)
    return image + incompressible(padding, seed="%s %s" % (version, platform))


def incompressible(size, seed=""):
    """So many bytes that no compressor makes smaller; the same for the same seed."""
    blocks = []
    for start in range(0, size, _PADDING_BLOCK):
        block = hashlib.shake_128(("%s %d" % (seed, start)).encode())
        blocks.append(block.digest(min(_PADDING_BLOCK, size - start)))
    return b"".join(blocks)


def _split(platform):
    system, _score, arch = platform.partition("_")
    return system, arch


def _text_answer(version, platform):
    return ("Terraform v%s\non %s\n" % (version, platform)).encode()


def _json_answer(version, platform):
    answer = {
        "terraform_version": version,
        "platform": platform,
        "provider_selections": {},
        "terraform_outdated": False,
    }
    return (json.dumps(answer, indent=2) + "\n").encode()


def _elf_header(kind, system, entry, segments):
    """The file header, whose segment table follows it at once (System V ABI, figure 4-3)."""
    wide = kind.bits == 64
    identity = struct.pack("4sBBBB8x", b"\x7fELF", 2 if wide else 1, 1 if kind.order == "<" else 2, 1, system)
    header_size, segment_size = (64, 56) if wide else (52, 32)
    word = "Q" if wide else "I"
    return identity + struct.pack(
        kind.order + "HHI" + 3 * word + "I6H",
        _ELF_EXECUTABLE,
        kind.machine,
        1,
        entry,
        header_size if segments else 0,
        0,
        0,
        header_size,
        segment_size if segments else 0,
        segments,
        0,
        0,
        0,
    )


def _pe_header(machine, narrow):
    """The DOS stub, the COFF header and the magic number of the optional header (PE Format, "File Headers")."""
    dos = b"MZ" + bytes(58) + struct.pack("<I", 64)
    coff = struct.pack("<HHIIIHH", machine, 0, 0, 0, 0, 2, 0x0022)
    return dos + b"PE\0\0" + coff + struct.pack("<H", 0x10B if narrow else 0x20B)


def _runnable(arch, text, answer, exit_status, hang):
    """A static executable for Linux: headers, code, the two texts; one segment to load, and a stack without code."""
    kind = _ELF_KINDS[arch]
    code_start = 64 + 2 * 56
    assemble = {"amd64": _amd64_code, "arm64": _arm64_code}[arch]
    code_size = len(assemble(0, text, answer, exit_status, hang))
    texts_address = _LOAD_ADDRESS + code_start + code_size
    content = assemble(texts_address, text, answer, exit_status, hang) + text + answer
    size = code_start + len(content)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, 0x10000)  # PT_LOAD, read + run
    stack = struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16)  # PT_GNU_STACK
    return _elf_header(kind, 0, _LOAD_ADDRESS + code_start, 2) + load + stack + content


def _amd64_code(texts, text, answer, exit_status, hang):
    """Machine code: ``pause()`` for ever, or ``write(1, …)`` by the number of arguments and ``exit(status)``."""
    if hang:
        return bytes.fromhex("b822000000 0f05 ebf7")  # again: mov eax, 34; syscall; jmp again
    return b"".join(
        [
            b"\xbe" + struct.pack("<I", texts),  # mov esi, text
            b"\xba" + struct.pack("<I", len(text)),  # mov edx, its length
            bytes.fromhex("48833c2403"),  # cmp qword [rsp], 3    (argc)
            bytes.fromhex("720a"),  # jb over the next two
            b"\xbe" + struct.pack("<I", texts + len(text)),  # mov esi, answer
            b"\xba" + struct.pack("<I", len(answer)),  # mov edx, its length
            bytes.fromhex("bf01000000 b801000000 0f05"),  # mov edi, 1; mov eax, 1; syscall    (write)
            b"\xbf" + struct.pack("<I", exit_status),  # mov edi, status
            bytes.fromhex("b83c000000 0f05"),  # mov eax, 60; syscall    (exit)
        ]
    )


def _arm64_code(texts, text, answer, exit_status, hang):
    """The same for AArch64, which has no ``pause``: ``ppoll`` on nothing without a limit."""

    def move(register, value):  # movz Xregister, #value
        return 0xD2800000 | value << 5 | register

    call = 0xD4000001  # svc #0
    if hang:
        words = [move(0, 0), move(1, 0), move(2, 0), move(3, 0), move(8, 73), call, 0x17FFFFFA]  # b six words back
    else:
        words = [
            0xF94003E9,  # ldr x9, [sp]    (argc)
            move(1, texts & 0xFFFF),
            0xF2A00001 | (texts >> 16) << 5,  # movk x1, #texts >> 16, lsl #16
            move(2, len(text)),
            0xF1000D3F,  # cmp x9, #3
            0x54000063,  # b.lo three words on
            0x91000021 | len(text) << 10,  # add x1, x1, #len(text)
            move(2, len(answer)),
            move(0, 1),
            move(8, 64),
            call,  # write(1, …)
            move(0, exit_status),
            move(8, 93),
            call,  # exit(status)
        ]
    return struct.pack("<%dI" % len(words), *words)
