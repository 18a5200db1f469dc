# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode creates nothing and says what would be; ``--diff`` shows it as before and after."""

import os

import pytest
from file_snapshots import hash_of, look
from playbook_run import task_args

OLD = "1.13.3"


@pytest.fixture(scope="module")
def compared(play, tasks, module_site, folder):
    """Six requests, in check mode and for real, both with --diff: runs by mode, and the entries around the check."""

    def at(*names):
        return os.path.join(folder, *names)

    def made(name, **options):
        return task_args(module_site, at(name, "store"), link=at(name, "bin", "terraform"), **options)

    plain = tasks.each(
        {
            "upgrade": made("upgrade", version=OLD),
            "remove": made("remove"),
            "mode": made("mode"),
            "same": made("same"),
            "file": task_args(module_site, at("file", "store")),
        }
    )
    os.mkdir(at("file", "bin"))
    with open(at("file", "bin", "terraform"), "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n")
    args_by_host = {
        "new": made("new"),
        "upgrade": made("upgrade"),
        "remove": made("remove", state="absent"),
        "mode": made("mode", mode="0555"),
        "same": made("same"),
        "file": made("file", link_force=True, backup=True),
    }
    before = look(folder)
    check = play.each(args_by_host, check=True, diff=True)
    after = look(folder)
    return {
        "plain": plain,
        "check": check,
        "before": before,
        "after": after,
        "real": tasks.each(args_by_host, diff=True),
    }


CHANGING = ["new", "upgrade", "remove", "mode", "file"]


def test_check_mode_creates_not_even_a_directory(compared, folder):
    assert compared["before"] == compared["after"]
    assert "new" not in compared["before"] and os.path.isdir(os.path.join(folder, "new"))


@pytest.mark.parametrize("name", CHANGING + ["same"])
def test_check_mode_foresees_changed(name, compared):
    predicted, done = compared["check"].each[name], compared["real"].each[name]
    assert not predicted["failed"] and not done["failed"], (predicted, done)
    assert predicted["changed"] is done["changed"] is (name in CHANGING)
    for key in ("removed", "previous_version", "needs_archive", "path", "link"):
        assert predicted[key] == done[key], key


@pytest.mark.parametrize("name", CHANGING)
def test_check_mode_says_would(name, compared):
    result = compared["check"].each[name]
    assert "would be" in result["msg"] and any(step.startswith("target: would ") for step in result["steps"])
    assert "would" not in compared["real"].each[name]["msg"]


@pytest.mark.parametrize("name", CHANGING)
@pytest.mark.parametrize("mode", ["check", "real"])
def test_the_diff_shows_before_and_after(name, mode, compared):
    diff = compared[mode].each[name]["diff"]
    assert set(diff) >= {"before", "after"} and diff["before"] != diff["after"]
    assert {"path", "state"} <= set(diff["before"]) and {"path", "state"} <= set(diff["after"])
    assert diff["before"]["path"] == diff["after"]["path"] == compared[mode].each[name]["path"]


@pytest.mark.parametrize(
    "name,before,after",
    [
        ("new", "absent", "present"),
        ("upgrade", "absent", "present"),
        ("remove", "present", "absent"),
        ("mode", "present", "present"),
    ],
)
def test_the_diff_shows_the_states(name, before, after, compared):
    for mode in ("check", "real"):
        diff = compared[mode].each[name]["diff"]
        assert (diff["before"]["state"], diff["after"]["state"]) == (before, after)


def test_the_diff_shows_modes_links_and_what_a_forced_link_replaces(compared, folder):
    for mode in ("check", "real"):
        results = compared[mode].each
        assert [results["mode"]["diff"][side]["mode"] for side in ("before", "after")] == ["0755", "0555"]
        link = os.path.join(folder, "upgrade", "bin", "terraform")
        led, leads = (results["upgrade"]["diff"][side]["link"][link] for side in ("before", "after"))
        assert led.endswith("/%s/terraform" % OLD) and leads == results["upgrade"]["path"]
        replaced = results["file"]["diff"]["before"]["link"][os.path.join(folder, "file", "bin", "terraform")]
        assert replaced.startswith("10 bytes, sha256 a8076d3d28d21e02")
        assert results["new"]["diff"]["before"].get("size") is None
    binary = results["new"]["path"]
    assert results["new"]["diff"]["after"]["sha256"] == hash_of(binary)
    assert os.readlink(os.path.join(folder, "file", "bin", "terraform")) == results["file"]["path"]


def test_what_a_forced_link_replaces_is_kept(compared, folder):
    link = os.path.join(folder, "file", "bin", "terraform")
    predicted, done = (compared[mode].each["file"] for mode in ("check", "real"))
    assert predicted["backup_file"] is None and predicted["diff"]["after"]["backup"] == link + ".<pid>.<date>~"
    with open(done["backup_file"], encoding="ascii") as file:
        assert file.read() == "#!/bin/sh\n"
    assert done["diff"]["after"]["backup"] == done["backup_file"]


def test_the_diff_of_an_unchanged_run_is_empty(compared):
    for mode in ("check", "real"):
        diff = compared[mode].each["same"]["diff"]
        assert diff["before"] == diff["after"]


def test_the_screen_shows_the_difference(compared):
    screen = compared["check"].output
    assert '-    "state": "absent"' in screen and '+    "state": "present"' in screen, screen


def test_without_diff_there_is_none(compared):
    assert not [name for name, result in compared["plain"].each.items() if result["failed"] or "diff" in result]


def test_an_owner_that_a_task_before_may_make(tasks, module_site, tmp_path):
    """Nothing is fetched, in check mode as in a real run, which refuses."""
    args_by_host = {"new": task_args(module_site, str(tmp_path / "store"), owner="nobody-of-this-name")}
    module_site.requests.clear()
    predicted = tasks.each(args_by_host, check=True).each["new"]
    assert predicted["changed"] and not predicted["failed"] and predicted["needs_archive"] is None, predicted
    assert any("nobody-of-this-name" in warning for warning in predicted["warnings"])
    real = tasks.each(args_by_host).each["new"]
    assert real["failed"] and real["error"]["step"] == "request" and "nobody-of-this-name" in real["msg"], real
    assert module_site.requests == [] and not (tmp_path / "store").exists()
