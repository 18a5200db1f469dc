# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command: make a site, serve it until interrupted, or only lay it out."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys

import pytest
from support.system import PATIENCE, finished, started
from support.web import get_url

release_site = pytest.importorskip("release_site")

TESTS = os.path.dirname(os.path.dirname(release_site.__file__))
MODULE = [sys.executable, "-m", "release_site"]


def end(process):
    """Interrupt it; returns what it still had to say."""
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0
    return rest


@contextlib.contextmanager
def running(*arguments):
    """The running command and the words that it printed first: URL, path of the key."""
    with started(MODULE + list(arguments), cwd=TESTS, stdout=subprocess.PIPE, universal_newlines=True) as process:
        said = [process.stdout.readline().split() for _line in range(2)]
        assert [words[0] for words in said] == ["site:", "key:"]
        yield process, said[0][1], said[1][1]


def test_serve(tmp_path):
    with running(
        "--versions", "1.13.4, 1.9.8", "--directory", str(tmp_path), "--misbehave", "*.zip", "truncate(at=5)", "1"
    ) as (process, url, key):
        path = "/terraform/1.9.8/terraform_1.9.8_linux_amd64.zip"
        with pytest.raises(http.client.IncompleteRead) as cut:
            get_url(url + path).read()
        whole = get_url(url + path).read()
        assert whole == (tmp_path / path[1:]).read_bytes()
        assert cut.value.partial == whole[:5] and cut.value.expected == len(whole) - 5
        assert key == str(tmp_path / "key.asc")
        assert (tmp_path / "key.asc").read_text().startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
        rest = end(process)
    assert rest.splitlines() == ["GET %s 200 5 truncate" % path, "GET %s 200 %d honest" % (path, len(whole))]


def test_serve_tls(tmp_path):
    with running("--versions", "1.13.4", "--platforms", "linux_amd64", "--directory", str(tmp_path), "--tls") as (
        process,
        url,
        _key,
    ):
        words = process.stdout.readline().split()
        end(process)
    assert url.startswith("https://127.0.0.1:")
    assert words == ["ca:", str(tmp_path / "ca.pem")]
    assert (tmp_path / "ca.pem").read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_write_run_as_a_folder(tmp_path):
    folder = os.path.join(TESTS, "release_site")
    said = finished(
        [
            sys.executable,
            folder,
            "--write",
            str(tmp_path),
            "--versions",
            "1.13.4",
            "--platforms",
            "linux_amd64,linux_s390x",
        ],
        stdout=subprocess.PIPE,
        universal_newlines=True,
        check=True,
    ).stdout
    assert said.splitlines() == ["site: file://%s" % tmp_path, "key: %s/key.asc" % tmp_path]
    url = "file://%s/terraform/1.13.4/terraform_1.13.4_linux_s390x.zip" % tmp_path
    assert get_url(url).read().startswith(b"PK")


@pytest.mark.parametrize(
    "behaviour, words",
    [
        ("no_such(1)", "no_such is no behaviour"),
        ("truncate", "is not a behaviour like"),
        ("truncate(at=open('x'))", "is not a behaviour like"),
    ],
)
def test_refused_behaviours(tmp_path, behaviour, words):
    ended = finished(
        MODULE + ["--write", str(tmp_path), "--misbehave", "*", behaviour, "0"],
        cwd=TESTS,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    assert ended.returncode == 2 and words in ended.stderr
    assert os.listdir(str(tmp_path)) == []
