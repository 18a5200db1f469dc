# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make demo` shows: install, install again, damage, heal.

Usage: python tests/demo/run.py FOLDER

Everything but the release is real: the shipped playbook, ansible-playbook, HTTP, the signature check. The release comes
from a site on this machine and is signed with a key that is made on the spot. Each claim on the screen is checked; the
first that does not hold ends the demonstration with status 1.
"""

import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile

VERSION = "1.13.4"


def main():
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        sys.exit("demo: the stand-in for Terraform runs on Linux on x86_64 or aarch64 only; nothing was done")
    folder = make_folder(pathlib.Path(sys.argv[1]))
    with make_site() as site:
        site.write(folder / "site")
        show(folder, site)


def make_site():
    """A release site on this machine: the one that the tests use."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    from release_site import Site

    return Site(versions=[VERSION])


def make_folder(wanted):
    """An empty folder below which the module accepts a store: nobody else may be able to exchange it."""
    shutil.rmtree(wanted, ignore_errors=True)
    wanted.mkdir(parents=True)
    if all(belongs_to_us(parent.stat()) for parent in wanted.parents):
        return wanted
    return pathlib.Path(tempfile.mkdtemp(prefix="terraform-binary-demo-"))


def belongs_to_us(status):
    """Root or we own the directory, and no others may write there (our own group does, when we are not root)."""
    others = status.st_mode & stat.S_IWOTH or status.st_mode & stat.S_IWGRP and status.st_gid not in (0, os.getegid())
    return status.st_uid in (0, os.geteuid()) and not others


def show(folder, site):
    binary = folder / "terraform-binaries" / VERSION / "terraform"
    link = folder / "bin" / "terraform"
    task_args = {
        "terraform_binary_version": VERSION,
        "terraform_binary_base_dir": str(folder / "terraform-binaries"),
        "terraform_binary_link": str(link),
        "terraform_binary_sites": [site.url],
        "terraform_binary_checksum_policy": "signature",
        "terraform_binary_trusted_keys": [str(folder / "site" / "key.asc")],
        "ansible_python_interpreter": sys.executable,
    }
    variables = folder / "variables.json"
    variables.write_text(json.dumps(task_args, indent=2) + "\n")
    print("A release site is at %s; its releases are signed with a key made a moment ago." % site.url)
    print("The variables are in %s:" % variables)
    print("$ ansible-playbook iac_platform.terraform.install -i localhost, -c local -e @%s" % variables)

    head("1. Nothing is there: fetch, verify, install, link")
    first = play(variables, site, changed=True)
    whole = hash_of(binary)
    claim(
        "%s is there, executable, and the link points to it" % binary,
        os.access(binary, os.X_OK) and os.path.samefile(binary, link),
    )

    head("2. All is there: nothing to do, and nobody is asked")
    second = play(variables, site, changed=False)
    claim("the site was not asked", second == 0)

    head("3. One byte of the binary is flipped: noticed, and healed")
    flip_a_byte(binary)
    claim(
        "the binary is damaged now: its SHA-256 is %s..., it was %s..." % (hash_of(binary)[:12], whole[:12]),
        hash_of(binary) != whole,
    )
    third = play(variables, site, changed=True)
    claim("the binary is whole again: its SHA-256 is %s..." % whole[:12], hash_of(binary) == whole)

    head(
        "The end: run 1 installed (%d requests), run 2 changed nothing (%d), run 3 healed (%d)" % (first, second, third)
    )
    print("  binary  %s\n  receipt %s\n  link    %s" % (binary, binary.with_suffix(".json"), link))
    answer = subprocess.run([str(link), "version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    print("$ %s version\n  %s" % (link, answer.strip()))
    claim("it is the requested version", VERSION in answer)


def play(variables, site, changed):
    """Run the shipped playbook, show what it says of itself, and check what it says it did.

    :returns: int, the number of requests that it made.
    """
    site.requests.clear()
    command = [
        "ansible-playbook",
        "iac_platform.terraform.install",
        "-i",
        "localhost,",
        "-c",
        "local",
        "-e",
        "@%s" % variables,
    ]
    done = subprocess.run(
        command,
        env=dict(os.environ, ANSIBLE_NOCOLOR="1"),
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        print(done.stdout)
    claim("the playbook succeeded", done.returncode == 0)
    for line in done.stdout.splitlines():
        if line.startswith(("terraform_binary: ", "localhost ")):
            print("  " + line)
    recap = re.search(r"^localhost .*\bchanged=(\d+)", done.stdout, re.MULTILINE)
    claim(
        "it says that %s" % ("something was changed" if changed else "nothing was changed"),
        recap is not None and (recap.group(1) != "0") == changed,
    )
    return site.counts().requests


def flip_a_byte(path):
    """As a fault of the disk would: same size, same mode, same time."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def hash_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def head(text):
    print("\n%s" % text, flush=True)


def claim(text, holds):
    """Say what is so, once it is seen to be so."""
    if not holds:
        sys.exit("demo: this does not hold: %s" % text)
    print("  ok: %s" % text, flush=True)


if __name__ == "__main__":
    main()
