# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The executables: real where they can be, recognizable everywhere."""

import json
import platform as machine
import shutil
import signal
import subprocess
import sys
import zlib

import pytest
from support.system import PATIENCE, finished, started, state_of, wait_until

pytest.importorskip("release_site")

from release_site import executables

NATIVE = {"x86_64": "linux_amd64", "aarch64": "linux_arm64"}.get(machine.machine())
EMULATORS = {"linux_amd64": "qemu-x86_64", "linux_arm64": "qemu-aarch64"}


@pytest.fixture(params=executables.RUNNABLE)
def run(request, tmp_path):
    """A callable that makes an executable and runs it by ``finished`` or ``started``, here or in an emulator."""
    platform = request.param
    before = []
    if platform != NATIVE or not sys.platform.startswith("linux"):
        emulator = shutil.which(EMULATORS[platform])
        if not emulator:
            pytest.skip("%s runs neither here nor in an emulator (Debian: qemu-user)" % platform)
        before = [emulator]

    def execute(*arguments, by=finished, **how):
        file = tmp_path / "terraform"
        file.write_bytes(executables.terraform("1.13.4", platform, **how))
        file.chmod(0o755)
        command = before + [str(file)] + list(arguments)
        return by(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={})

    execute.platform = platform
    return execute


def test_version_json(run):
    ended = run("version", "-json")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads(ended.stdout) == {
        "terraform_version": "1.13.4",
        "platform": run.platform,
        "provider_selections": {},
        "terraform_outdated": False,
    }


@pytest.mark.parametrize("arguments", [["version"], []])
def test_version(run, arguments):
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout.decode()) == (0, "Terraform v1.13.4\non %s\n" % run.platform)


@pytest.mark.parametrize("exit_status", [1, 127, 255])
def test_exit_status(run, exit_status):
    ended = run("version", "-json", exit_status=exit_status)
    assert ended.returncode == exit_status
    assert json.loads(ended.stdout)["terraform_version"] == "1.13.4"


def test_padding(run):
    assert run("version", "-json", padding=100_000).returncode == 0


def test_hang(run):
    with run("version", "-json", hang=True, by=started) as process:
        assert wait_until(lambda: state_of(process.pid) in "SZ" and state_of(process.pid)) == "S"
        process.terminate()
        assert process.communicate(timeout=PATIENCE) == (b"", b"") and process.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    "platform, magic",
    [
        ("linux_amd64", "7f454c46 02 01 01 00 0000000000000000 0200 3e00"),
        ("linux_arm64", "7f454c46 02 01 01 00 0000000000000000 0200 b700"),
        ("linux_386", "7f454c46 01 01 01 00 0000000000000000 0200 0300"),
        ("linux_arm", "7f454c46 01 01 01 00 0000000000000000 0200 2800"),
        ("linux_s390x", "7f454c46 02 02 01 00 0000000000000000 0002 0016"),
        ("linux_ppc64le", "7f454c46 02 01 01 00 0000000000000000 0200 1500"),
        ("freebsd_amd64", "7f454c46 02 01 01 09 0000000000000000 0200 3e00"),
        ("openbsd_386", "7f454c46 01 01 01 0c 0000000000000000 0200 0300"),
        ("darwin_amd64", "cffaedfe 07000001"),
        ("darwin_arm64", "cffaedfe 0c000001"),
        ("windows_amd64", "4d5a"),
    ],
)
def test_magic(platform, magic):
    assert executables.terraform("1.13.4", platform).startswith(bytes.fromhex(magic.replace(" ", "")))


@pytest.mark.parametrize(
    "platform, number", [("windows_386", 0x14C), ("windows_amd64", 0x8664), ("windows_arm64", 0xAA64)]
)
def test_windows_machine(platform, number):
    image = executables.terraform("1.13.4", platform)
    start = int.from_bytes(image[0x3C:0x40], "little")
    assert image[start : start + 4] == b"PE\0\0"
    assert int.from_bytes(image[start + 4 : start + 6], "little") == number


def test_unknown_platform():
    for platform in ("plan9_amd64", "linux_mips", "darwin_386", "windows_arm", "linux"):
        with pytest.raises(ValueError, match="platform %s is not known" % platform):
            executables.terraform("1.13.4", platform)


def test_versions_differ_everywhere():
    for platform in ("linux_amd64", "linux_386", "darwin_arm64", "windows_amd64"):
        assert executables.terraform("1.13.4", platform) != executables.terraform("1.13.3", platform)


def test_incompressible():
    data = executables.incompressible((1 << 20) + 5, "seed")
    assert len(data) == (1 << 20) + 5
    assert len(zlib.compress(data)) > len(data)
    assert data == executables.incompressible((1 << 20) + 5, "seed")
    assert data != executables.incompressible((1 << 20) + 5, "other")
    assert executables.incompressible(0) == b""
