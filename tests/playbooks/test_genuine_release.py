# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job over the genuine release 1.11.4, by HTTP, with the built-in key of HashiCorp."""

import os
import subprocess

import pytest
from file_snapshots import empty, flip_a_bit, hash_of, look
from playbook_run import MODULE

VERSION = "1.11.4"
ARCHIVE = "1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc"
BINARY = "268000fca5c61021c6396893d9483007ba589ad9d0aaccbd7dfa8c78bf7dbe23"
ARCHIVE_SIZE, SIZE = 27841443, 90579096
SIGNER = "C874011F0AB405110D02105534365D9472D7468F"


@pytest.fixture(scope="module")
def chain(play, genuine_site, folder, host_platform):
    """Install, again, and twice a damage with check and repair: each step's result and what was asked of the site."""
    if host_platform != "linux_amd64":
        pytest.skip("the genuine release at hand is of linux_amd64")
    from release_site import Site

    store, link = os.path.join(folder, "store"), os.path.join(folder, "terraform")
    binary = os.path.join(store, VERSION, "terraform")
    results, asked, same = {}, {}, {}
    with Site() as site:
        site.put_folder(genuine_site)

        def ask(name, check=False):
            site.requests.clear()
            before = look(store)
            options = {"version": VERSION, "base_dir": store, "sites": [site.url], "link": link}
            results[name] = play([{"name": name, MODULE: options}], check=check)[name]
            asked[name] = site.counts()
            same[name] = look(store) == before

        ask("install")
        ask("again")
        for damage in (flip_a_bit, empty):
            damage(binary)
            ask("check " + damage.__name__, check=True)
            ask("repair " + damage.__name__)
            assert hash_of(binary) == BINARY
    return {"results": results, "asked": asked, "same": same, "binary": binary, "site": site.url}


def test_it_installs_the_genuine_binary(chain, folder):
    result = chain["results"]["install"]
    assert result["changed"] and not result["failed"], result
    assert (result["binary_sha256"], result["archive_sha256"], result["size"]) == (BINARY, ARCHIVE, SIZE)
    assert result["path"] == chain["binary"] == os.readlink(os.path.join(folder, "terraform"))
    assert result["verification"] == {
        "policy": "signature",
        "signer": SIGNER,
        "signed_at": "2025-04-09T13:35:39Z",
        "site": chain["site"],
    }
    assert chain["asked"]["install"].bytes == result["downloaded_bytes"] > ARCHIVE_SIZE


def test_it_runs(chain):
    home = os.path.dirname(chain["binary"])
    environment = {"PATH": os.defpath, "HOME": home, "CHECKPOINT_DISABLE": "1"}
    answer = subprocess.check_output([chain["binary"], "version"], env=environment, cwd=home)
    assert answer.startswith(b"Terraform v1.11.4\n")


def test_the_second_run_changes_nothing_and_asks_nobody(chain):
    result = chain["results"]["again"]
    assert not result["changed"] and not result["failed"], result
    assert chain["same"]["again"] and chain["asked"]["again"].requests == 0
    assert len(result["steps"]) <= 2


@pytest.mark.parametrize("damage", ["flip_a_bit", "empty"])
def test_a_damage_is_seen_in_check_mode_and_repaired(damage, chain):
    check, repair = chain["results"]["check " + damage], chain["results"]["repair " + damage]
    assert check["changed"] and chain["same"]["check " + damage], check
    assert chain["asked"]["check " + damage].bytes < 65536  # the sums and their signature, not the archive
    assert repair["changed"] and not repair["failed"] and repair["binary_sha256"] == BINARY, repair
