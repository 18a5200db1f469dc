# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""T1: whatever a site, a disk or a thief puts there, a parser answers or refuses: no other exception, no hang, little memory.

Each parser starts from genuine files and changes them. It runs in a process of its own with a limit on its memory.
A new parser is a new line in PARSERS.
"""

import contextlib
import gc
import io
import multiprocessing
import os
import resource
import signal
import sys
from typing import Callable, NamedTuple

import faults
import pytest
import sweeps
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import TerraformBinaryError
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import receipt as receipt_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import zip_archive
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import packets, verify
from ansible_collections.iac_platform.terraform.plugins.module_utils._records import Receipt
from ansible_collections.iac_platform.terraform.plugins.module_utils._release import index, layout
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions import constraint, version
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._version_file import hcl_lexer, hcl_parser
from support import tiers
from support.properties import hypothesis

from_ = hypothesis.strategies

MEMORY = 256 << 20  # bytes that a parser, and what makes its examples, may take beside what is there
SECONDS = 10  # of processor time for one example: how busy the machine is does not count
HOURS = 2 * 3600  # seconds, for all of them
NOW = 1795444000  # seconds since the epoch
WORDS = (
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff" * 4,
    b"\0" * 4,
    b"PK\5\6",
    b"PK\1\2",
    b"PK\3\4",
    b"PK\6\7",
    b"-----END PGP",
    b"=",
    b"{" * 40,
    b"[" * 40,
    b'"',
    b"1e999",
    b"NaN",
    b"null",
    b"  ",
    b"*",
    b"..",
    b"9" * 400,
)


class Complaint(Exception):
    """How a parser refuses that returns its reason."""


def _files(genuine, folder, *endings):
    found, folder = [], os.path.join(genuine(), folder)
    for name in sorted(os.listdir(folder)):
        if name.endswith(endings):
            with open(os.path.join(folder, name), "rb") as file:
                found.append(file.read())
    return found


def _archives(_genuine):
    """Laid out like the genuine one, which is too big to be changed ten thousand times, and all the odd ones."""
    from release_site import executables, odd_archives

    binary = executables.terraform("1.13.4", "linux_amd64")
    return [make(binary) for odd in (odd_archives.HARMLESS, odd_archives.REFUSED) for make in odd.values()]


def _inflate(data):
    binary = zip_archive.find_executable(io.BytesIO(data), "linux_amd64", "/tmp/a.zip")
    zip_archive.extract(binary, lambda block: None)


def _receipts(_genuine):
    receipt = Receipt(
        1,
        "terraform",
        "1.13.4",
        "linux_amd64",
        "a" * 64,
        90579096,
        "signature",
        "C" * 40,
        1744205739,
        "b" * 64,
        "https://releases.hashicorp.com",
        "1.13.4",
        ("/usr/local/bin/terraform",),
        "2026-01-01T00:00:00Z",
        "0.1.0",
        1,
        2,
        ("/tmp belongs to 1000:1000",),
    )
    return [
        receipt_module.receipt_bytes(receipt),
        receipt_module.receipt_bytes(receipt._replace(format=2, policy=None, links=())),
    ]


def _parse_receipt(data):
    receipt, complaint = receipt_module.parse_receipt(data)
    if complaint is not None:
        raise Complaint(complaint)
    assert receipt_module.parse_receipt(receipt_module.receipt_bytes(receipt)) == (receipt, None)


def _blocks(genuine):
    texts = _files(genuine, "keys", ".asc")
    return [data for text in texts for _label, data in packets.read_armor(text.decode())] + _files(
        genuine, "terraform", ".sig"
    )


def _read_packets(data):
    for tag, body in packets.read_packets(data, 64):
        reader = {2: packets.read_signature, 6: packets.read_public_key, 14: packets.read_public_key}.get(tag)
        if reader is not None:
            reader(body)


OUR_KEYS = verify.read_keys(())
CONSTRAINTS = [
    b"~> 1.13.0",
    b">= 1.9, < 2.0",
    b"= 1.10",
    b"!= 1.13.4-rc1",
    b"latest",
    b"v1.13.4",
    b"~>1",
    b"> 0.12.0-alpha3,<=1",
]
HCL = [
    b'terraform {\n  required_version = "~> 1.9"\n  backend "s3" {\n    key = "${var.a}/b"\n  }\n}\n',
    b'# one\n// two\n/* three */\nlocals {\n  a = <<-EOT\n    terraform { required_version = "1" }\n'
    b'    ${join(",", ["x"])}\n  EOT\n}\n',
    b'terraform { required_version = "= 1.10" }\nterraform {\n  required_version = ">= 1.2, < 2" # why\n}\n',
    b'x = "a\\"b%{ if true }c%{ endif }"\ny = { "z" = [1, 2.5, null] }\nterraform {\n}\n',
]


class Parser(NamedTuple):
    """One parser, what it starts from, and how it refuses."""

    read: Callable  # callable(bytes)
    corpus: Callable  # callable(callable() -> folder of genuine data) -> list of bytes
    refusal: type  # of exception


PARSERS = {
    "zip": Parser(_inflate, _archives, TerraformBinaryError),
    "packets": Parser(_read_packets, _blocks, packets.MalformedError),
    "armor": Parser(
        lambda data: packets.read_armor(data.decode("latin-1")),
        lambda genuine: _files(genuine, "keys", ".asc"),
        packets.MalformedError,
    ),
    "signature": Parser(
        lambda data: verify.verify(b"document", data, OUR_KEYS, NOW, "/tmp/sums.sig"),
        lambda genuine: _files(genuine, "terraform", ".sig") + _files(genuine, "opentofu", ".gpgsig"),
        TerraformBinaryError,
    ),
    "keys": Parser(
        lambda data: verify.read_keys((data.decode("latin-1"),)),
        lambda genuine: _files(genuine, "keys", ".asc"),
        TerraformBinaryError,
    ),
    "sums": Parser(
        lambda data: layout.find_archive(data, "1.11.4", "linux_amd64", "https://releases.hashicorp.com/sums"),
        lambda genuine: _files(genuine, "terraform", "SUMS") + _files(genuine, "opentofu", "SUMS"),
        TerraformBinaryError,
    ),
    "checksum": Parser(
        lambda data: layout.checksum_of(data.decode("latin-1"), "1.11.4", "linux_amd64"),
        lambda genuine: _files(genuine, "terraform", "SUMS"),
        TerraformBinaryError,
    ),
    "version": Parser(
        lambda data: version.parse_exact(data.decode("latin-1")),
        lambda genuine: _files(genuine, "versions", ".txt")[0].split(b"\n"),
        TerraformBinaryError,
    ),
    "constraint": Parser(
        lambda data: constraint.parse_version_spec(data.decode("latin-1")),
        lambda _genuine: CONSTRAINTS,
        TerraformBinaryError,
    ),
    "index": Parser(
        lambda data: index.parse_index(data, "https://releases.hashicorp.com/terraform/index.json"),
        lambda genuine: _files(genuine, "index", ".json"),
        TerraformBinaryError,
    ),
    "hcl": Parser(
        lambda data: hcl_parser.find_arguments(data.decode("latin-1"), "terraform", "required_version"),
        lambda _genuine: HCL,
        hcl_lexer.UnreadableError,
    ),
    "receipt": Parser(_parse_receipt, _receipts, Complaint),
}


def changed(corpus):
    """A strategy: one of the corpus, with some of its bytes taken out and others put in."""
    piece = from_.one_of(
        from_.binary(max_size=8),
        from_.sampled_from(WORDS),
        from_.builds(
            lambda source, start, size: source[start % (len(source) or 1) :][:size],
            from_.sampled_from(corpus),
            from_.integers(0, 1 << 20),
            from_.integers(0, 200),
        ),
    )
    edit = from_.tuples(from_.integers(0, 1 << 20), from_.one_of(from_.just(1), from_.integers(0, 300)), piece)

    def apply(data, edits):
        for place, taken, put in edits:
            at = place % (len(data) + 1)
            data = data[:at] + put + data[at + taken :]
        return data

    return from_.builds(apply, from_.sampled_from(corpus), from_.lists(edit, max_size=4))


def fuzz(parser, corpus):
    """Every example within the limits: how many were answered, how many refused. Raises what no parser may raise."""
    counts = [0, 0]

    @hypothesis.settings(suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(changed(corpus))
    def check(data):
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            parser.read(data)
            counts[0] += 1
        except parser.refusal as error:
            assert str(error).isprintable()
            counts[1] += 1
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    check()
    return counts


def within_limits(parser, corpus):
    def hang(signum, frame):
        raise AssertionError("no answer within %s s" % SECONDS)

    signal.signal(signal.SIGPROF, hang)
    with open("/proc/self/statm", encoding="ascii") as file:
        there = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (there + MEMORY, there + MEMORY))
    gc.freeze()  # there is no need to look through what pytest left, each time
    gc.enable()  # each failed example leaves a circle of frames
    return fuzz(parser, corpus)


def try_parser(name, corpus):
    return faults.run(lambda: within_limits(PARSERS[name], corpus), patience=HOURS)


@pytest.fixture(scope="module")
def begun(request):
    """All parsers that have a corpus here, some of them at once: dict of name and the result to come."""
    corpora = {}
    for name, parser in PARSERS.items():
        with contextlib.suppress(pytest.skip.Exception):  # its own test will say so
            corpora[name] = parser.corpus(lambda: request.getfixturevalue("genuine"))
    with multiprocessing.get_context("fork").Pool(sweeps.PROCESSES, sweeps.be_nice) as pool:
        yield {name: pool.apply_async(try_parser, (name, corpus)) for name, corpus in corpora.items()}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_answers_or_refuses(name, begun, request, proof):
    if name not in begun:
        request.getfixturevalue("genuine")  # which says why there is none
    ending = begun[name].get(HOURS)
    assert not ending.traceback and not ending.signal, ending.traceback
    answered, refused = ending.answer
    proof("%s: %s answered, %s refused" % (name, "{:,}".format(answered), "{:,}".format(refused)))
    assert refused and (answered or name == "signature")  # that one is asked about another document
    tiers.check_floor("T1", answered + refused)


def go_on(data):
    while True:
        pass


@pytest.mark.parametrize(
    "read, words, seconds",
    [
        (lambda data: 1 // (len(data) % 7), "ZeroDivisionError", SECONDS),
        (lambda data: bytearray(2 * MEMORY), "MemoryError", SECONDS),
        (go_on, "no answer within 0.01 s", 0.01),
    ],
)
def test_a_parser_that_does_not_keep_its_word_is_found(read, words, seconds, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SECONDS", seconds)
    ending = faults.run(lambda: within_limits(Parser(read, None, TerraformBinaryError), [b"something"]), patience=HOURS)
    assert words in ending.traceback
