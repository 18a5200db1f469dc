# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""allow_downgrade: false: a link that means a newer version stays, and everything else is as it was."""

import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import apply

OLDER = "1.9.8"  # as text it would be newer


@pytest.fixture
def strict(installed):
    """A host with a link to 1.13.4 that must not move to an older version."""
    installed.run(link=installed.at("tf"))
    installed.defaults.update(link=installed.at("tf"), allow_downgrade=False)
    return installed


def point(host, target):
    os.unlink(host.at("tf"))
    os.symlink(target, host.at("tf"))


def test_an_older_version_is_refused_before_anything(strict):
    failure = strict.refuse(_errors.RequestError, **strict.offer(OLDER))
    assert "%s points to 1.13.4, and 1.9.8 is older" % strict.at("tf") in str(failure)
    assert failure.path == strict.at("tf") and "allow_downgrade: true" in failure.hint and "1.13.4" in failure.hint
    assert strict.run(**dict(strict.offer(OLDER), allow_downgrade=True))["changed"], "which is the default"


@pytest.mark.parametrize("version", ["1.13.5", "1.14.0-rc1"])
def test_a_newer_version_and_the_same_one_pass(strict, version):
    assert not strict.run()["changed"]
    assert strict.run(**strict.offer(version))["previous_version"] == "1.13.4"


def test_the_pre_release_of_the_linked_version_is_older(strict):
    assert "1.13.4-rc1 is older" in str(strict.refuse(_errors.RequestError, **strict.offer("1.13.4-rc1")))


@pytest.mark.parametrize(
    "target",
    [
        "other/1.14.0/terraform",
        "./other/../other/1.14.0/terraform",
        "{folder}/other/1.14.0/terraform",
        "{folder}/other/current",
        "{folder}/gone/1.14.0/terraform",
        "1.14.0/terraform",
    ],
)
def test_the_version_is_that_of_the_path_where_the_link_ends(strict, target):
    """Of another store, through other links, or dangling."""
    os.makedirs(strict.at("other", "1.14.0"))
    open(strict.at("other", "1.14.0", "terraform"), "w").close()
    os.symlink("1.14.0/terraform", strict.at("other", "current"))
    point(strict, target.format(folder=strict.folder))
    assert "points to 1.14.0, and 1.13.4 is older" in str(strict.refuse(_errors.RequestError))


def test_the_version_of_a_link_to_a_binary_under_another_name_is_that_of_its_own_target(strict):
    os.makedirs(strict.at("other", "1.14.0"))
    os.symlink(strict.binary(), strict.at("other", "elsewhere"))
    os.rename(strict.binary(), strict.at("tf-1"))
    os.symlink(strict.at("tf-1"), strict.at("other", "1.14.0", "terraform"))
    point(strict, strict.at("other", "1.14.0", "terraform"))
    assert "points to 1.14.0" in str(strict.refuse(_errors.RequestError))


@pytest.mark.parametrize("target", ["/usr/bin/env", "nowhere", "/opt/1.14/terraform", "/opt/01.14.0/terraform"])
def test_a_link_to_what_has_no_version_may_move(strict, target):
    point(strict, target)
    assert strict.run()["changed"] and os.readlink(strict.at("tf")) == strict.binary()


def test_a_file_has_no_version(strict):
    os.unlink(strict.at("tf"))
    open(strict.at("tf"), "w").close()
    assert strict.run(link_force=True)["changed"]


def test_without_a_link_and_for_a_removal_it_says_nothing(strict):
    older = strict.offer(OLDER)
    assert strict.run(**dict(older, link=None))["changed"]
    assert strict.run(**dict(older, state="absent"))["changed"] and os.path.islink(strict.at("tf"))


def test_going_back_on_purpose_is_no_accident(strict):
    assert strict.run(**strict.offer("1.14.0"))["changed"]
    strict.defaults.update(version="previous", archive=None)
    assert strict.module()["version"] == "1.13.4"


def test_a_link_that_moved_on_meanwhile_is_not_taken_back(strict, monkeypatch):
    """Another run has switched it to a newer version after the plan was made."""
    older, switch = strict.offer(OLDER), apply._switch_link
    point(strict, "nowhere")

    def late(run, base, link):
        point(strict, "/opt/other/1.14.0/terraform")
        switch(run, base, link)

    monkeypatch.setattr(apply, "_switch_link", late)
    failure = strict.fail(_errors.RequestError, **older)
    assert "points to 1.14.0" in str(failure) and failure.changed, "the binary is there"
    assert os.readlink(strict.at("tf")) == "/opt/other/1.14.0/terraform"
