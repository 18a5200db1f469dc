# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""version: previous: one step back, once, without a download, to what the link really pointed to before."""

import errno
import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import symlink
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import apply, link_history

OLD, NEW, NEWEST = "1.13.3", "1.13.4", "1.14.0"


class Upgraded:
    """A host whose link was at OLD and is at NEW; ``back`` is what goes back from there."""

    def __init__(self, host):
        self.host = host
        self.link = host.at("bin", "terraform")
        for version in (OLD, NEW):
            self.install(version)

    def install(self, version, **options):
        result = self.host.module(**dict(self.host.offer(version), link=self.link, **options))
        assert result["changed"] and self.target == version
        return result

    def back(self, check=False, **options):
        # The checksum is that of the version that is gone back from, as where it is in a variable.
        self.host.defaults = {"link": self.link, "checksum_policy": "pinned", "checksum": "0" * 64}
        return self.host.module(check, **dict({"version": "previous"}, **options))

    def refuse(self, error=_errors.RequestError, **options):
        """The failure of going back, which check mode has as well, and which changes nothing."""
        with pytest.raises(error) as predicted:
            self.back(check=True, **options)
        before = self.host.picture()
        with pytest.raises(error) as caught:
            self.back(**options)
        assert str(caught.value) == str(predicted.value) and self.host.picture() == before and not caught.value.changed
        return caught.value

    @property
    def target(self):
        return os.path.basename(os.path.dirname(os.readlink(self.link)))

    def point(self, target):
        os.unlink(self.link)
        os.symlink(target, self.link)


@pytest.fixture
def upgraded(host):
    return Upgraded(host)


def test_it_goes_back_and_stays_there(upgraded):
    predicted = upgraded.back(check=True)
    assert predicted["changed"] and predicted["version"] == OLD and predicted["needs_archive"] is False
    assert predicted["diff"]["after"]["link"] == {upgraded.link: upgraded.host.binary(OLD)} and upgraded.target == NEW
    result = upgraded.back()
    assert result["changed"] and upgraded.target == OLD
    assert (result["version"], result["previous_version"], result["requested"]) == (OLD, NEW, "previous")
    assert upgraded.host.lines[0] == "link %s pointed to %s before it was switched to %s" % (upgraded.link, OLD, NEW)
    again = upgraded.back()
    assert not again["changed"] and upgraded.target == OLD and again["version"] == OLD
    assert len(upgraded.host.lines) == 1
    assert upgraded.host.lines[0].startswith("link %s went back from %s to %s already; " % (upgraded.link, NEW, OLD))


def test_after_an_upgrade_it_goes_back_again(upgraded):
    upgraded.back()
    upgraded.host.defaults = {}
    upgraded.install(NEW)
    assert upgraded.host.read_receipt(NEW)["previous"] == {upgraded.link: OLD}
    assert upgraded.back()["changed"] and upgraded.target == OLD


def test_an_ordinary_run_with_an_older_version_is_a_step_like_any_other(upgraded):
    upgraded.install(OLD)
    assert upgraded.back()["changed"] and upgraded.target == NEW


def test_going_back_and_then_on_by_another_version_leaves_no_trace(upgraded):
    upgraded.back()
    upgraded.host.defaults = {}
    upgraded.install(NEWEST)
    upgraded.install(OLD)
    assert upgraded.host.read_receipt(OLD)["went_back"] == []
    assert upgraded.back()["version"] == NEWEST, "it went there in the usual way"


def test_each_link_has_its_own_history(upgraded):
    other = upgraded.host.at("bin", "tf")
    upgraded.host.module(**dict(upgraded.host.offer(NEWEST), link=other))
    upgraded.host.module(**dict(upgraded.host.offer(NEW), link=other))
    assert upgraded.host.read_receipt(NEW)["previous"] == {upgraded.link: OLD, other: NEWEST}
    assert upgraded.back(link=other)["version"] == NEWEST
    assert upgraded.back()["version"] == OLD and os.readlink(other) == upgraded.host.binary(NEWEST)


def test_the_mode_is_repaired_on_the_way(upgraded):
    os.chmod(upgraded.host.binary(OLD), 0o700)
    assert upgraded.back()["changed"] and os.stat(upgraded.link).st_mode & 0o777 == 0o755


def test_a_repair_does_not_forget_it(upgraded):
    upgraded.back()
    for version in (OLD, NEW):
        upgraded.host.flip(upgraded.host.binary(version))
    upgraded.host.defaults = {}
    upgraded.host.module(**dict(upgraded.host.offer(NEW)))
    upgraded.host.module(**dict(upgraded.host.offer(OLD), link=upgraded.link))
    assert not upgraded.back()["changed"] and upgraded.target == OLD
    upgraded.point(upgraded.host.binary(NEW))
    assert upgraded.back()["changed"] and upgraded.target == OLD


# nothing to go back to


@pytest.mark.parametrize("link", ["absent", "elsewhere", "dangling", "no store"])
def test_a_link_that_means_no_version_of_the_store(upgraded, link):
    os.unlink(upgraded.link)
    if link in ("elsewhere", "dangling"):
        os.symlink("/usr/bin/env" if link == "elsewhere" else "nowhere", upgraded.link)
    options = {}
    if link == "no store":
        os.symlink(upgraded.host.binary(NEW), upgraded.link)
        options["base_dir"] = upgraded.host.at("other")
    failure = upgraded.refuse(**options)
    assert "there is nothing to go back to: link %s points to no version below" % upgraded.link in str(failure)
    assert failure.path == upgraded.link and "write the version" in failure.hint


def test_a_file_in_place_of_the_link(upgraded):
    os.unlink(upgraded.link)
    open(upgraded.link, "w").close()
    upgraded.refuse(_errors.InstallError)
    assert "nothing to go back to" in str(upgraded.refuse(link_force=True))


@pytest.mark.parametrize("others", [True, False])
def test_a_receipt_that_records_nothing(upgraded, others):
    """Of an older collection, or of a link that was not switched by us."""
    upgraded.host.write_receipt(NEW, previous=None, went_back=None)
    if not others:
        os.unlink(upgraded.host.binary(OLD))
    failure = upgraded.refuse()
    assert "what link %s pointed to before %s is not known: the receipt of %s" % (upgraded.link, NEW, NEW) in str(
        failure
    )
    assert failure.hint == "write the version; %s" % (
        "installed and intact: %s" % OLD if others else "no other one is installed and intact"
    )


@pytest.mark.parametrize("how", ["no receipt", "broken", "no directory"])
def test_a_version_without_a_receipt_records_nothing(upgraded, how):
    if how == "broken":
        upgraded.host.overwrite(upgraded.host.receipt(NEW), b"{")
    else:
        os.unlink(upgraded.host.receipt(NEW))
    if how == "no directory":
        os.unlink(upgraded.host.binary(NEW))
        os.rmdir(os.path.dirname(upgraded.host.binary(NEW)))
    failure = upgraded.refuse()
    assert "is not known" in str(failure) and OLD in failure.hint


def test_a_link_from_elsewhere_records_nothing(upgraded):
    """What it meant before is no version of this store, and what it meant before that is not asked for."""
    upgraded.install(OLD)
    upgraded.point("/opt/other/1.12.0/terraform")
    upgraded.install(NEW)
    assert upgraded.host.read_receipt(NEW)["previous"] is None
    assert "is not known" in str(upgraded.refuse())


def test_a_link_through_another_link_is_known(upgraded):
    os.symlink(upgraded.host.binary(OLD), upgraded.host.at("bin", "current"))
    upgraded.point("current")
    upgraded.install(NEW)
    assert upgraded.back()["changed"] and upgraded.target == OLD


@pytest.mark.parametrize("how", ["the link", "base_dir", "relative", "through a link"])
def test_another_spelling_of_the_same_version_is_no_step(upgraded, how):
    """As after the store was moved, and a link was left in its place."""
    os.symlink("store", upgraded.host.at("alias"))
    options = {}
    if how == "base_dir":
        options["base_dir"] = upgraded.host.at("alias")
    elif how == "through a link":
        os.symlink(upgraded.host.binary(NEW), upgraded.host.at("bin", "current"))
        upgraded.point("current")
    else:
        upgraded.point("%s/%s/terraform" % (upgraded.host.at("alias") if how == "the link" else "../store", NEW))
    before = os.readlink(upgraded.link)
    upgraded.install(NEW, **options)
    assert os.readlink(upgraded.link) != before
    assert upgraded.host.read_receipt(NEW)["previous"] == {upgraded.link: OLD}
    assert upgraded.back(**options)["version"] == OLD and upgraded.target == OLD
    before = os.readlink(upgraded.link)
    assert not upgraded.back(**options)["changed"] and os.readlink(upgraded.link) == before


def test_a_disk_that_cannot_be_read_is_no_link_from_elsewhere(upgraded, monkeypatch):
    """os.path.realpath() hides such errors."""
    monkeypatch.setattr(link_history.os.path, "realpath", lambda path: path)
    upgraded.install(NEWEST)
    assert upgraded.host.read_receipt(NEWEST)["previous"] == {upgraded.link: NEW}


def test_a_link_that_is_gone_is_forgotten(upgraded):
    """Otherwise a receipt would grow for ever."""
    for name in ("one", "two"):
        upgraded.host.module(**dict(upgraded.host.offer(OLD), link=upgraded.host.at(name)))
        upgraded.host.module(**dict(upgraded.host.offer(NEW), link=upgraded.host.at(name)))
    os.unlink(upgraded.host.at("one"))
    upgraded.host.module(**dict(upgraded.host.offer(OLD), link=upgraded.host.at("three")))
    upgraded.host.module(**dict(upgraded.host.offer(NEW), link=upgraded.host.at("three")))
    assert sorted(upgraded.host.read_receipt(NEW)["previous"]) == sorted(
        [upgraded.link, upgraded.host.at("two"), upgraded.host.at("three")]
    )


# what is there, and not as it should be


@pytest.mark.parametrize(
    "damage, words",
    [
        ("cut", "has 1 bytes"),
        ("flipped", "has sha256"),
        ("gone", "is missing"),
        ("removed", "is not installed"),
        ("weak", "was verified by policy pinned"),
    ],
)
def test_nothing_is_downloaded_for_it(upgraded, damage, words):
    path = upgraded.host.binary(OLD)
    {
        "cut": lambda: os.truncate(path, 1),
        "flipped": lambda: upgraded.host.flip(path),
        "gone": lambda: os.unlink(path),
        "removed": lambda: [os.unlink(path), os.unlink(upgraded.host.receipt(OLD)), os.rmdir(os.path.dirname(path))],
        "weak": lambda: None,
    }[damage]()
    failure = upgraded.refuse(checksum_policy="signature" if damage == "weak" else "pinned")
    assert "cannot be linked without a download: " in str(failure) and words in str(failure)
    assert failure.hint == "write version: '1.13.3', which downloads what is missing" and upgraded.target == NEW


# crashes, and other runs at the same time


def test_the_record_is_there_before_the_link_moves_and_counts_only_then(upgraded, monkeypatch):
    def stop(*args):
        raise _errors.InstallError("stopped", path="/", errno=errno.EIO)

    with monkeypatch.context() as patch:
        patch.setattr(symlink, "switch_link", stop)
        with pytest.raises(_errors.InstallError):
            upgraded.install(NEWEST)
        assert upgraded.host.read_receipt(NEWEST)["previous"] == {upgraded.link: NEW} and upgraded.target == NEW
        with pytest.raises(_errors.InstallError):
            upgraded.back()
        assert upgraded.host.read_receipt(OLD)["went_back"] == [upgraded.link] and upgraded.target == NEW
    assert upgraded.back()["version"] == OLD, "what a killed run has written does not count"
    assert not upgraded.back()["changed"]


def between(monkeypatch, upgraded, target):
    """Another run switches the link after this one has made its plan."""
    switch = apply._switch_link

    def late(run, base, link):
        monkeypatch.undo()
        upgraded.point(target)
        switch(run, base, link)

    monkeypatch.setattr(apply, "_switch_link", late)


def test_what_another_run_has_switched_meanwhile_is_what_was_before(upgraded, monkeypatch):
    between(monkeypatch, upgraded, upgraded.host.binary(OLD))
    upgraded.install(NEWEST)
    assert upgraded.host.read_receipt(NEWEST)["previous"] == {upgraded.link: OLD}
    assert upgraded.back()["version"] == OLD


def test_a_link_that_another_run_has_taken_on_does_not_go_back(upgraded, monkeypatch):
    upgraded.host.module(**upgraded.host.offer(NEWEST))
    upgraded.host.write_receipt(NEWEST, links=[upgraded.link], previous={upgraded.link: NEW})
    between(monkeypatch, upgraded, upgraded.host.binary(NEWEST))
    with pytest.raises(_errors.InstallError) as caught:
        upgraded.back()
    assert "was switched to %s meanwhile" % upgraded.host.binary(NEWEST) in str(caught.value)
    assert upgraded.target == NEWEST and "run again" in caught.value.hint


def test_an_upgrade_while_it_waits_for_the_lock_is_not_jumped_over(upgraded, monkeypatch):
    """The plan that is made under the lock already sees the link at the newest version."""
    locked_in = apply._locked_in

    def late(*arguments):
        monkeypatch.undo()
        upgraded.host.defaults = {}
        upgraded.install(NEWEST)
        return locked_in(*arguments)

    monkeypatch.setattr(apply, "_locked_in", late)
    with pytest.raises(_errors.InstallError) as caught:
        upgraded.back()
    assert "so %s is not the version before it" % OLD in str(caught.value) and upgraded.target == NEWEST
    assert upgraded.back()["version"] == NEW


def test_a_link_that_another_run_has_taken_back_is_right(upgraded, monkeypatch):
    between(monkeypatch, upgraded, upgraded.host.binary(OLD))
    upgraded.back()
    assert upgraded.target == OLD


def test_a_receipt_of_a_newer_collection_is_left_alone(upgraded):
    upgraded.host.write_receipt(OLD, format=2)
    before = upgraded.host.read_receipt(OLD)
    upgraded.back()
    assert upgraded.target == OLD and upgraded.host.read_receipt(OLD) == before
