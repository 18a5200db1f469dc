# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``version: all`` with ``state: absent``, and what other removals say of what they pass over and leave."""

import os

import pytest
from file_snapshots import names
from playbook_run import task

VERSIONS = ("1.13.3", "1.13.4", "1.14.0-rc1")
FILES = ("terraform", "terraform.json")


@pytest.fixture(scope="module")
def site(module_site):
    module_site.publish("1.14.0-rc1")
    return module_site


@pytest.fixture
def store(tasks, site, tmp_path):
    """A store with three versions, of which one is a pre-release, and a link to it."""
    place = str(tmp_path / "store")
    run = tasks(
        [task(version, site, place, version=version) for version in VERSIONS[:2]]
        + [task("linked", site, place, version=VERSIONS[2], link=place + ".link")]
    )
    assert run["linked"]["changed"], run["linked"]
    return place


def both(tasks, site, store, **options):
    """The result of check mode, and that of the run, which agree."""
    step = task("remove", site, store, **dict({"state": "absent"}, **options))
    before = names(store)
    checked = tasks([step], check=True, diff=True)["remove"]
    assert names(store) == before
    done = tasks([step], diff=True)["remove"]
    for name in ("failed", "changed", "removed", "version", "diff"):
        assert checked[name] == done[name], name
    assert ("ansible_facts" in checked) is not checked["changed"] and not any(
        os.path.lexists(path) for path in done["removed"]
    )
    again = tasks([step])["remove"]
    assert not again["changed"] and not again["failed"] and again["removed"] == [] and len(again["steps"]) <= 2, again
    return checked, done


def test_everything_goes(tasks, site, store):
    link = store + ".link"
    checked, done = both(tasks, site, store, version="all", link=link)
    folders = {version: os.path.join(store, version) for version in VERSIONS}
    expected = [os.path.join(folders[version], name) for version in VERSIONS for name in FILES + ("",)]
    expected = [path.rstrip("/") for path in expected]
    expected.insert(6, link)
    assert done["removed"] == expected + ["%s/.terraform-%s.lock" % (store, name) for name in VERSIONS + ("link",)] + [
        store
    ]
    assert not os.path.lexists(store) and not os.path.lexists(link)
    assert done["msg"] == "Terraform removed with all of %s" % store
    assert checked["msg"] == "Terraform would be removed with all of %s" % store
    assert ["target: would remove: %s" % path for path in done["removed"]] == checked["steps"]
    assert done["version"] == "1.14.0-rc1" and done["requested"] == "all" and done["previous_version"] == "1.14.0-rc1"
    assert done["intact_versions"] == [] and done["ansible_facts"]["terraform_binary_result"]["versions"] == {}
    assert done["diff"][-1]["after"]["removed"] == done["removed"][-5:]


def test_what_is_not_ours_stays_and_is_named(tasks, site, store):
    os.makedirs(os.path.join(store, "1.2.3"))
    for path in ("1.2.3/terraform", "1.13.3/notes", "readme"):
        with open(os.path.join(store, path), "w", encoding="ascii"):
            pass
    checked, done = both(tasks, site, store, version="all", link=store + ".link")
    left = "left: %s: what else is in it is not ours, or came meanwhile: 1.13.3, 1.2.3, readme" % store
    assert done["msg"].endswith("; " + left) and checked["msg"].endswith(left) and "target: " + left in done["steps"]
    for words in ("1.2.3 has a binary without a receipt", left):
        assert any(words in line for line in done["warnings"])
    assert names(store) == [".terraform-1.13.3.lock", "1.13.3/", "1.13.3/notes", "1.2.3/", "1.2.3/terraform", "readme"]


def test_empty_and_half_removed_versions_go_too(tasks, site, store):
    os.makedirs(os.path.join(store, "1.0.0"))
    os.unlink(os.path.join(store, "1.13.3", "terraform"))
    os.rename(os.path.join(store, "1.13.4", "terraform.json"), os.path.join(store, "1.13.4", ".tmp.receipt.aaaaaaaa"))
    os.unlink(os.path.join(store, "1.13.4", "terraform"))
    both(tasks, site, store, version="all", link=store + ".link")
    assert not os.path.lexists(store)


def test_a_link_into_a_store_that_is_gone_goes(tasks, site, tmp_path):
    store, link = str(tmp_path / "gone"), str(tmp_path / "link")
    os.symlink(store + "/1.13.4/terraform", link)
    assert both(tasks, site, store, version="all", link=link)[1]["removed"] == [link]


def test_nothing_goes_while_another_link_leads_to_a_version(tasks, site, store):
    before = names(store)
    result = tasks([task("remove", site, store, version="all", state="absent")])["remove"]
    assert result["failed"] and not result["changed"] and store + ".link" in result["msg"] and names(store) == before


def test_where_there_is_nothing(tasks, site, tmp_path):
    result = both(tasks, site, str(tmp_path / "never"), version="all")[1]
    assert result["msg"] == "there is nothing of this module below %s" % (tmp_path / "never") and not result["changed"]
    assert result["version"] is None


def test_a_constraint_says_what_it_passes_over_and_the_last_removal_what_it_leaves(tasks, site, store):
    checked, done = both(tasks, site, store, version=">= 0")
    line = (
        "target: passed over, since >= 0 does not match: 1.14.0-rc1; a pre-release is matched by version: all, and by "
        "constraints that name one of the same numbers"
    )
    assert line in checked["steps"] and line in done["steps"] and sorted(os.listdir(store))[-1] == "1.14.0-rc1"
    checked, done = both(tasks, site, store, version="1.14.0-rc1", link=store + ".link")
    line = "target: left: %s, with 4 lock files in it; version: all removes these, too" % store
    assert line in checked["steps"] and line in done["steps"]
    assert both(tasks, site, store, version="all")[1]["removed"][-1] == store


def test_final_versions_that_do_not_match_are_passed_over_too(tasks, site, store):
    done = both(tasks, site, store, version="< 1.13.4")[1]
    assert done["steps"][0].startswith(
        "target: passed over, since < 1.13.4 does not match: 1.13.4, 1.14.0-rc1; a pre-release"
    )
    assert not any("left: " in line for line in done["steps"])


@pytest.mark.parametrize("download", ["controller", "target"])
def test_all_is_not_installed(download, tasks, site, tmp_path):
    result = tasks([task("install", site, tmp_path / "store", version="all", download=download)])["install"]
    assert (
        result["failed"] and "version all is for state: absent" in result["msg"] and "write 'latest'" in result["msg"]
    )
    assert not os.path.exists(str(tmp_path / "store"))


def test_from_end_to_end(play, tasks, site, store):
    done = play([task("remove", site, store, version="all", state="absent", link=store + ".link")])["remove"]
    assert done["changed"] and not os.path.lexists(store) and done["removed"][-1] == store, done
