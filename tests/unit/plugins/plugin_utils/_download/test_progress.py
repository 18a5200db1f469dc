# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines about a download, against a clock of the test's own."""

import sys

import pytest

if sys.version_info < (3, 9):
    pytest.skip("controller code needs Python 3.9", allow_module_level=True)

from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers.gate import Asked, read_answer
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._download.progress import (
    ProgressSink,
    describe_change,
    in_units,
)

MB = 1000 * 1000


class Sink:
    """Counts what it is given."""

    sha256 = "digest"

    def __init__(self):
        self.size = 0
        self.reserved = None
        self.restarts = 0

    def check_free_space(self, size):
        self.reserved = size

    def write(self, data):
        self.size += len(data)

    def restart(self):
        self.size = 0
        self.restarts += 1

    def reader(self):
        return "reader"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def download():
    """callable(blocks, total): the lines, each with the second of its own, for pairs of (seconds since then, bytes)."""

    def run(blocks, total=None):
        clock, sink, lines = Clock(), Sink(), []
        watched = ProgressSink(sink, "a.zip", lambda line: lines.append((clock.now - 100.0, line)), clock)
        if total is not None:
            watched.check_free_space(total)
        for seconds, count in blocks:
            clock.now += seconds
            watched.write(bytes(count))
        return lines

    return run


def test_a_short_download_says_nothing(download):
    assert download([(0.1, MB)] * 19, 19 * MB) == []


def test_one_that_ends_just_after_two_seconds_says_that_it_did(download):
    assert download([(0.5, MB)] * 4, 4 * MB) == [(2.0, "a.zip: 100 % of 4.0 MB, 2.0 MB/s")]


def test_at_most_one_line_for_each_quarter(download):
    lines = download([(0.125, MB)] * 100, 100 * MB)
    assert [line for _seconds, line in lines] == [
        "a.zip: %d %% of 100.0 MB, 8.0 MB/s" % part for part in (25, 50, 75, 100)
    ]


def test_a_slow_one_has_a_line_each_ten_seconds(download):
    lines = download([(0.125, 125)] * 280, 100 * MB)
    assert [seconds for seconds, _line in lines] == [10.0, 20.0, 30.0]
    assert lines[0][1] == "a.zip: 0 % of 100.0 MB, 1.0 kB/s"


def test_an_unknown_size_has_no_per_cent(download):
    assert download([(1, 500000)] * 25) == [(10.0, "a.zip: 5.0 MB, 500.0 kB/s"), (20.0, "a.zip: 10.0 MB, 500.0 kB/s")]


def test_a_new_try_begins_at_nothing():
    clock, sink, lines = Clock(), Sink(), []
    watched = ProgressSink(sink, "a.zip", lines.append, clock)
    for _try in range(2):
        watched.restart()
        watched.check_free_space(4 * MB)
        clock.now += 3
        watched.write(bytes(2 * MB))
    assert lines == ["a.zip: 50 % of 4.0 MB, 666.7 kB/s"] * 2
    assert sink.restarts == 2 and sink.reserved == 4 * MB and watched.size == sink.size == 2 * MB
    assert watched.sha256 == "digest" and watched.reader() == "reader"


@pytest.mark.parametrize(
    "count, text", [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (27841443, "27.8 MB"), (5 * 10**9, "5.0 GB")]
)
def test_bytes_for_people(count, text):
    assert in_units(count) == text


HASHICORP = "C874011F0AB405110D02105534365D9472D7468F"
INSTALLED = {
    "changed": True,
    "msg": "Terraform 1.13.4 installed at /opt/t",
    "version": "1.13.4",
    "previous_version": None,
    "base_dir": "/opt",
    "path": "/opt/1.13.4/terraform",
    "platform": "linux_amd64",
}
SIGNED = {"policy": "signature", "signer": HASHICORP, "signed_at": "2025-04-09T13:35:39Z", "site": None}


@pytest.mark.parametrize(
    "more, line",
    [
        ({}, "Terraform 1.13.4 installed at /opt/t"),
        ({"previous_version": "1.13.4"}, "Terraform 1.13.4 installed at /opt/t"),
        (
            {"previous_version": "1.10.5", "verification": SIGNED},
            "Terraform 1.13.4 installed at /opt/t (was 1.10.5), signed by HashiCorp 2025-04-09",
        ),
        (
            {"msg": INSTALLED["msg"] + "; removed (keep: 1): 1.10.5", "previous_version": "1.10.5"},
            "Terraform 1.13.4 installed at /opt/t (was 1.10.5); removed (keep: 1): 1.10.5",
        ),
        (
            {"verification": dict(SIGNED, signer="0" * 40)},
            "Terraform 1.13.4 installed at /opt/t, signed by the key %s 2025-04-09" % ("0" * 40),
        ),
        (
            {"verification": dict(SIGNED, policy="pinned", signer=None, signed_at=None)},
            "Terraform 1.13.4 installed at /opt/t",
        ),
        (
            {"msg": "Terraform 1.13.4 removed", "version": "1.13.4", "previous_version": "1.13.4"},
            "Terraform 1.13.4 removed",
        ),
    ],
)
def test_a_change_in_one_line(more, line):
    assert describe_change(read_answer(dict(INSTALLED, **more), "web1", Asked(base_dir="/opt"))) == line
