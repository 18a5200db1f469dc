# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs no archive and no network: switching a link back and forth, repairing a mode, removing a version.

The site is switched off all the while, and a removal never asks for one.
"""

import os

import pytest
from file_snapshots import names
from playbook_run import task

OLD, NEW = "1.13.3", "1.13.4"


@pytest.fixture(scope="module")
def store(folder):
    return os.path.join(folder, "store")


@pytest.fixture(scope="module")
def link(folder):
    return os.path.join(folder, "bin", "terraform")


@pytest.fixture(scope="module")
def story(tasks, module_site, store, link):
    """One task after the other, the site being switched off after the installs: dict of name and result."""
    tasks([task("old", module_site, store, version=OLD), task("new", module_site, store, version=NEW)])
    module_site.stop()
    module_site.requests.clear()

    def ask(name, **options):
        return task(name, module_site, store, **options)

    def run_all(steps):
        return {line["task"]: line["result"] for line in tasks(steps).lines}

    found = run_all(
        [
            ask("link to old", version=OLD, link=link),
            ask("link to old again", version=OLD, link=link),
            ask("upgrade", version=NEW, link=link),
            ask("roll back", version=OLD, link=link),
        ]
    )
    os.chmod("%s/%s/terraform" % (store, NEW), 0o700)
    found.update(
        run_all(
            [
                ask("repair mode", version=NEW),
                ask("other mode", version=NEW, mode="0555"),
                ask("remove linked", version=OLD, state="absent"),
                ask("remove new", version=NEW, state="absent"),
                ask("remove new again", version=NEW, state="absent"),
            ]
        ),
        **{"link before": os.readlink(link)},
    )
    found.update(
        run_all(
            [
                ask("remove with link", version=OLD, state="absent", link=link),
                ask("remove unknown", version="9.9.9", state="absent"),
            ]
        )
    )
    requests = module_site.counts().requests
    module_site.start()
    assert requests == 0
    return found


@pytest.mark.parametrize(
    "name,changed,previous",
    [
        ("link to old", True, None),
        ("link to old again", False, OLD),
        ("upgrade", True, OLD),
        ("roll back", True, NEW),
        ("repair mode", True, None),
        ("other mode", True, None),
        ("remove new", True, None),
        ("remove new again", False, None),
        ("remove with link", True, OLD),
        ("remove unknown", False, None),
    ],
)
def test_it_works_without_a_site(name, changed, previous, story):
    result = story[name]
    assert not result["failed"] and result["changed"] is changed, result
    assert result["previous_version"] == previous
    assert result["downloaded_bytes"] == 0 and result["needs_archive"] is False


@pytest.mark.parametrize("name,after", [("link to old", OLD), ("upgrade", NEW), ("roll back", OLD)])
def test_the_link_and_its_history_are_reported(name, after, story, store, link):
    result, path = story[name], "%s/%s/terraform" % (store, after)
    line = "target: link switched: %s -> %s (before: " % (link, path)
    assert len([step for step in result["steps"] if step.startswith(line)]) == 1, result["steps"]
    assert (result["link"], result["path"]) == (link, path)


def test_the_link_stayed_where_the_roll_back_put_it(story, store):
    assert story["link before"] == "%s/%s/terraform" % (store, OLD)


@pytest.mark.parametrize(
    "name,words", [("repair mode", "mode 0700, expected 0755"), ("other mode", "mode 0755, expected 0555")]
)
def test_a_mode_is_repaired_in_place(name, words, story):
    assert any(words in step for step in story[name]["steps"]), story[name]["steps"]
    assert not any("binary written" in step for step in story[name]["steps"])


def test_a_version_that_a_link_leads_to_is_not_removed(story, link, store):
    result = story["remove linked"]
    assert result["failed"] and not result["changed"], result
    assert (result["error"]["step"], result["error"]["path"]) == ("request", link)
    assert link in result["msg"] and "%s/%s/terraform" % (store, OLD) in result["msg"]


def test_a_removal_names_all_that_goes(story, store, link):
    new = "%s/%s" % (store, NEW)
    assert story["remove new"]["removed"] == [new + "/terraform", new + "/terraform.json", new]
    old = "%s/%s" % (store, OLD)
    assert story["remove with link"]["removed"] == [link, old + "/terraform", old + "/terraform.json", old]
    assert story["remove new again"]["removed"] == []


def test_nothing_but_locks_is_left(story, store, link):
    assert names(store) == [".terraform-%s.lock" % version for version in (OLD, NEW)] + [".terraform-link.lock"]
    assert names(os.path.dirname(link)) == []


def test_a_removal_touches_nothing_that_is_not_ours(tasks, module_site, tmp_path):
    """A binary without a receipt stays; another user's file beside ours stays and is named in a warning."""
    foreign, shared = tmp_path / "foreign", tmp_path / "shared"
    (foreign / NEW).mkdir(parents=True)
    (foreign / NEW / "terraform").write_bytes(b"mine")
    tasks([task("install", module_site, shared)])
    (shared / NEW / "notes.txt").write_bytes(b"mine")
    run = tasks(
        [task("foreign", module_site, foreign, state="absent"), task("shared", module_site, shared, state="absent")]
    )
    assert run["foreign"]["failed"] and "receipt" in run["foreign"]["msg"], run["foreign"]
    assert names(str(foreign)) == ["%s/" % NEW, "%s/terraform" % NEW]
    assert run["shared"]["changed"] and not run["shared"]["failed"], run["shared"]
    assert any("notes.txt" in warning for warning in run["shared"]["warnings"])
    assert "%s/notes.txt" % NEW in names(str(shared)) and "%s/terraform" % NEW not in names(str(shared))


def test_a_binary_that_does_not_run_gets_no_link(tasks, module_site, tmp_path, host_platform):
    """The link stays at what works; in the next run the binary is tried again; ``run_check: false`` is believed."""
    from release_site import releases

    archive = releases.make_archive("1.50.0", host_platform, exit_status=3)
    module_site.publish("1.50.0", archives={host_platform: archive})
    link = str(tmp_path / "terraform")
    path = str(tmp_path / "store" / "1.50.0" / "terraform")
    run = tasks(
        [
            task("works", module_site, tmp_path / "store", link=link),
            task("does not", module_site, tmp_path / "store", version="1.50.0", link=link),
            task("still not", module_site, tmp_path / "store", version="1.50.0", link=link),
        ]
    )
    kept = os.readlink(link)
    believed = tasks([task("believed", module_site, tmp_path / "store", version="1.50.0", link=link, run_check=False)])
    assert run["works"]["changed"] and not run["works"]["failed"], run["works"]
    for name, changed in (("does not", True), ("still not", False)):
        result = run[name]
        assert result["failed"] and result["changed"] is changed, result
        assert (result["error"]["step"], result["error"]["path"]) == ("run_check", path)
        assert "exit status 3" in result["msg"] and "run_check: false" in result["error"]["hint"]
        assert result["previous_version"] == NEW
    assert kept == str(tmp_path / "store" / NEW / "terraform")
    assert believed["believed"]["changed"] and os.readlink(link) == path, believed["believed"]
