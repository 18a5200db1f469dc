# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever keys and signatures chance makes: what we accept, sqv accepts too."""

import functools
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import RequestError, VerificationError
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import verify
from support import tiers

pytest.importorskip("cryptography")
if sys.version_info < (3, 9):
    pytest.skip("the release site, which makes the signatures, needs Python 3.9", allow_module_level=True)
if not shutil.which("sqv"):
    pytest.skip("no sqv on this machine", allow_module_level=True)
family = pytest.importorskip("release_site.openpgp_family")
maker = pytest.importorskip("release_site.openpgp_maker")

SIZE = 2400 if tiers.FULL else 60 if tiers.QUICK else 240
SAMPLE = 3  # of what we refuse, sqv is asked about each third


@functools.lru_cache(maxsize=1)
def read_keys(blocks):
    return verify.read_keys(tuple(maker.armor(block) for block in blocks))


def is_accepted(member, now):
    try:
        verify.verify(family.DOCUMENT, member.signature, read_keys(member.blocks), now, "/tmp/sums.sig")
    except (RequestError, VerificationError):
        return False
    return True


def is_good_to_sqv(member, folder):
    """What sqv says. Left to itself it takes nothing from the future at all: half an hour is what its library allows."""
    paths = []
    for name, data in (
        ("keyring", b"".join(member.blocks)),
        ("signature", member.signature),
        ("document", family.DOCUMENT),
    ):
        paths.append(os.path.join(folder, name))
        with open(paths[-1], "wb") as file:
            file.write(data)
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 30 * family.DAY))
    done = subprocess.run(
        ["sqv", "--not-after", tomorrow, "--keyring"] + paths,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    shutil.rmtree(folder)
    return done.returncode == 0


def ask_sqv(members, tmp_path):
    """What sqv says of each of some members."""

    def ask(number):
        folder = str(tmp_path / str(number))
        os.mkdir(folder)
        return is_good_to_sqv(members[number], folder)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(ask, range(len(members))))


def test_sqv_accepts_whatever_we_accept(tmp_path, proof):
    now = int(time.time())
    made = [family.make_member(number, now) for number in range(SIZE)]
    accepted = [member for member in made if is_accepted(member, now)]
    refused = [member for member in made if member not in accepted][::SAMPLE]
    good = ask_sqv(accepted + refused, tmp_path)
    laxer = [member for member, fine in zip(accepted, good) if not fine]
    stricter = sum(good[len(accepted) :])
    proof(
        "%d keys and signatures beside sqv: we accept %d, and so does it; of %d that we refuse it accepts %d"
        % (SIZE, len(accepted), len(refused), stricter)
    )
    tiers.check_floor("T9", SIZE)
    assert not laxer, "\n".join(
        "member %d: %s" % (made.index(member), "; ".join(member.oddities)) for member in laxer[:5]
    )
    assert len(accepted) > SIZE // 5, "the family is too odd: nothing is tried"
    assert len(refused) - stricter > SIZE // 20 and stricter > SIZE // 100, "the family is not odd enough"


def test_sqv_accepts_every_subpacket_that_we_accept(tmp_path, proof):
    now = int(time.time())
    made = family.make_subpackets(1 if tiers.FULL else 200 if tiers.QUICK else 40)
    accepted = [member for member in made if is_accepted(member, now)]
    refused = [member for member in made if member not in accepted][:: 10 * SAMPLE]
    good = ask_sqv(accepted + refused, tmp_path)
    laxer = [member.oddities for member, fine in zip(accepted, good) if not fine]
    proof("%d forms of subpackets beside sqv: we accept %d, and so does it" % (len(made), len(accepted)))
    assert not laxer
    assert len(accepted) > len(made) // 4 and good[len(accepted) :].count(False) > 0
