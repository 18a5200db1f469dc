# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half against real sites: what is kept for later tasks and runs, and from whom it is taken."""

import contextlib
import os
import sys

import pytest

if sys.version_info < (3, 9):
    pytest.skip("controller code needs Python 3.9", allow_module_level=True)

from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import client
from ansible_collections.iac_platform.terraform.plugins.module_utils._request import parse
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._cache import store
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._cache import run as run_module
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._download import release
from support.parsed_params import params

PLATFORM = "linux_amd64"
VERSION = "1.13.4"
SUMS = "terraform_%s_SHA256SUMS" % VERSION
ZIP = "terraform_%s_%s.zip" % (VERSION, PLATFORM)


class Controller:
    """A run on the controller, with a cache_dir. Each delivery of another ``task`` is of a round of its own."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.lines, self.warnings = [], []
        self.environ = {}

    def log(self, line, warning=False):
        self.lines.append(line)
        if warning:
            self.warnings.append(line)

    @contextlib.contextmanager
    def delivery(self, task="one", version=VERSION, platform=PLATFORM, **options):
        order = parse.parse_download_request(params(version=version, retries=1, **options), platform)
        with store.open_run_dir(self.folder, "run") as run, store.open_cache_dir(
            os.path.join(self.folder, "kept")
        ) as kept:
            cache = run_module.RunCache(run, store.Store(kept, self.log, 3), self.log, print, task, "web1")
            yield release.ControllerDownload(order, cache, self.environ, self.log)

    def obtain(self, task="one", **options):
        with self.delivery(task, **options) as delivery:
            return delivery.obtain()

    def provenance(self, task="one", **options):
        with self.delivery(task, **options) as delivery:
            return delivery.provenance()

    def listing(self, site, task="one", **options):
        with self.delivery(task, version="~> 1.13.0", **options) as delivery:
            return delivery.listing(site.url)

    def kept(self):
        """How many documents outlast the run."""
        return len([name for name in os.listdir(os.path.join(self.folder, "kept")) if name.endswith(".document")])


@pytest.fixture
def controller(tmp_path):
    return Controller(tmp_path)


@pytest.fixture
def other(signing_key):
    """A second site with the same releases."""
    from release_site import Site

    with Site(versions=(VERSION,), key=signing_key) as running:
        yield running


@pytest.fixture
def wrong():
    from release_site import misbehaviours

    return misbehaviours


def both(site, other):
    return dict(sites=[site.url, other.url], trusted_keys=[site.key.armored])


def asked(site):
    """What a site was asked for since the last call: names of files."""
    names = [request.path.rpartition("/")[2] for request in site.requests]
    del site.requests[:]
    return names


def test_what_was_found_good_is_not_asked_for_again(controller, site, other):
    controller.obtain(**both(site, other))
    assert asked(site) == [SUMS, "%s.%s.sig" % (SUMS, site.key.key_id), ZIP] and controller.kept() == 2
    controller.obtain("two", **both(site, other))
    assert asked(site) == asked(other) == []


@pytest.mark.parametrize("broken", ["*.sig", "*.zip"])
def test_documents_of_a_site_that_then_failed_are_asked_for_again(controller, site, other, wrong, broken):
    site.misbehave(broken, wrong.status(404))
    staged = controller.obtain(**both(site, other))
    assert staged.provenance.site == other.url and SUMS in asked(site) and controller.kept() == 2
    site.behave()
    assert controller.obtain("two", **both(site, other)).provenance.site == site.url
    assert SUMS in asked(site)


def test_verification_files_for_something_else_than_what_came_are_not_cached(controller, site, other, wrong):
    site.misbehave("*.zip", wrong.replace(b"another archive"))
    with pytest.raises(_errors.VerificationError):
        controller.obtain(**both(site, other))
    assert SUMS in asked(site) and controller.kept() == 0
    site.behave()
    controller.obtain("two", **both(site, other))
    assert SUMS in asked(site)


def test_documents_that_nobody_trusted_signed_are_not_kept(controller, site, other, untrusted_key):
    for _times in range(2):
        with pytest.raises(_errors.VerificationError):
            controller.provenance(**dict(both(site, other), trusted_keys=[untrusted_key.armored]))
        assert controller.kept() == 0


def test_what_takes_the_place_of_kept_documents_has_to_be_good_too(controller, site, other, wrong, tmp_path):
    """Those of the first site do not do any more, and are read anew; then that site fails."""
    from release_site import releases

    controller.obtain(**both(site, other))
    later = Controller(tmp_path / "later")
    os.mkdir(later.folder)
    os.rename(os.path.join(controller.folder, "kept"), os.path.join(later.folder, "kept"))
    assert later.kept() == 2
    other.publish(VERSION, archives={PLATFORM: releases.make_archive(VERSION, PLATFORM, padding=7)})
    site.misbehave("*.sig", wrong.status(404))
    provenance = later.provenance(checksum=other.release(VERSION).digest(PLATFORM), **both(site, other))
    assert any("no longer verifies, downloading again" in line for line in later.lines)
    assert (provenance.site, later.kept()) == (other.url, 2)


def test_an_index_is_asked_for_once(controller, site, other):
    controller.listing(site, **both(site, other))
    controller.obtain(**both(site, other))
    controller.listing(site, "two", **both(site, other))
    assert asked(site).count("index.json") == 1


@pytest.mark.parametrize("broken", ["*_SHA256SUMS", "*.zip"])
def test_the_index_of_a_site_that_then_failed_is_asked_for_again(controller, site, other, wrong, broken):
    site.misbehave(broken, wrong.status(404))
    for each in (site, other):
        controller.listing(each, **both(site, other))
    assert controller.obtain(**both(site, other)).provenance.site == other.url
    for each in (site, other):
        controller.listing(each, "two", **both(site, other))
    assert asked(site).count("index.json") == 2 and asked(other).count("index.json") == 1


def test_no_index_stays_where_all_sites_failed(controller, site, other, wrong):
    controller.listing(site, **both(site, other))
    for each in (site, other):
        each.misbehave("*_SHA256SUMS", wrong.status(404))
    with pytest.raises(_errors.FetchError):
        controller.obtain(**both(site, other))
    controller.listing(site, "two", **both(site, other))
    assert asked(site).count("index.json") > 1


def test_an_index_that_is_none_is_not_kept_for_another_ones_sake(controller, site, other, wrong):
    site.misbehave("*index.json", wrong.replace(b"[]"))
    with pytest.raises(_errors.FetchError):
        controller.listing(site, **both(site, other))
    controller.listing(other, **both(site, other))
    site.behave()
    assert controller.listing(site, "two", **both(site, other))


@pytest.fixture
def folder_site(controller, site):
    """Options for a folder of the controller as the site, and where its files of the version are."""
    place = os.path.join(controller.folder, "mirror")
    site.write(place)
    return dict(sites=["file://" + place], trusted_keys=[site.key.armored]), os.path.join(place, "terraform", VERSION)


@pytest.mark.parametrize("spoilt", [SUMS, ZIP, ""])
def test_an_unsigned_folder_that_others_can_write_is_refused(controller, folder_site, spoilt):
    options, folder = folder_site
    os.chmod(os.path.join(folder, spoilt), 0o777)
    with pytest.raises(_errors.VerificationError) as caught:
        controller.obtain("one", checksum_policy="sha256sums", **options)
    os.chmod(os.path.join(folder, spoilt), 0o755)
    assert controller.obtain("two", checksum_policy="sha256sums", **options).archive
    assert "%s can be written by others" % os.path.normpath(os.path.join(folder, spoilt)) in str(caught.value)


def test_what_a_strict_neighbour_read_there_is_not_for_a_lax_one(controller, folder_site):
    options, folder = folder_site
    os.chmod(os.path.join(folder, SUMS), 0o666)
    assert controller.provenance(**options).policy == "signature"
    with pytest.raises(_errors.VerificationError) as caught:
        controller.provenance(checksum_policy="sha256sums", **options)
    assert "can be written by others" in str(caught.value)


def test_what_a_lax_neighbour_is_refused_is_not_refused_to_a_strict_one(controller, folder_site):
    options, folder = folder_site
    os.chmod(os.path.join(folder, ZIP), 0o666)
    with pytest.raises(_errors.VerificationError):
        controller.obtain(checksum_policy="sha256sums", **options)
    assert controller.obtain(**options).provenance.policy == "signature"


def test_what_a_strict_neighbour_got_by_plain_http_is_not_for_a_lax_one(controller, site, monkeypatch):
    """Who believes signatures does not mind who listens there."""

    def refuse(url, what, why):
        raise _errors.VerificationError("another user listens there")

    monkeypatch.setattr(client, "check_listener", refuse)
    options = dict(sites=[site.url], trusted_keys=[site.key.armored])
    assert controller.provenance(**options).policy == "signature"
    with pytest.raises(_errors.VerificationError, match="another user listens there"):
        controller.provenance(checksum_policy="sha256sums", **options)


# one checksum for all hosts

OTHER_PLATFORM = "linux_arm64"


def pinned(site):
    """Options of hosts of all platforms, with the checksum of one of them."""
    return dict(sites=[site.url], checksum_policy="pinned", checksum=site.release(VERSION).digest(PLATFORM))


@pytest.mark.parametrize("platforms", [(PLATFORM, OTHER_PLATFORM), (OTHER_PLATFORM, PLATFORM)])
def test_one_checksum_for_hosts_of_two_platforms_is_each_ones_own_affair(controller, site, platforms):
    for platform in platforms:
        if platform == PLATFORM:
            assert controller.obtain(platform=platform, **pinned(site)).archive
            continue
        with pytest.raises(_errors.VerificationError) as caught:
            controller.obtain(platform=platform, **pinned(site))
        assert OTHER_PLATFORM in str(caught.value) and "another platform" in caught.value.hint
    assert {ZIP, ZIP.replace(PLATFORM, OTHER_PLATFORM)} <= set(asked(site))


@pytest.mark.parametrize("change", [dict(platform=OTHER_PLATFORM), dict(version="1.13.5"), dict(site="other")])
def test_an_archive_of_the_same_digest_is_not_taken_for_another_one(controller, site, other, change):
    """Nor is what came of it in an earlier run."""
    assert controller.obtain(**pinned(site)).archive
    options = dict(pinned(site), **change)
    if options.pop("site", None):
        options["sites"] = [other.url]
        assert controller.obtain(**options).archive and asked(other) == [ZIP]
        return
    with pytest.raises((_errors.VerificationError, _errors.FetchError)):
        controller.obtain(**options)


def test_a_failure_is_reported_to_hosts_that_want_the_same(controller, site):
    for _host in range(3):
        with pytest.raises(_errors.VerificationError):
            controller.obtain(platform=OTHER_PLATFORM, **pinned(site))
    assert asked(site) == [ZIP.replace(PLATFORM, OTHER_PLATFORM)] * 2  # once more from a clean file, in one try


@pytest.mark.parametrize("policy", ["signature", "sha256sums"])
def test_a_checksum_beside_signed_sums_is_each_ones_own_affair_too(controller, site, policy):
    options = dict(pinned(site), checksum_policy=policy, trusted_keys=[site.key.armored])
    for _times in range(2):
        with pytest.raises(_errors.VerificationError) as caught:
            controller.obtain(platform=OTHER_PLATFORM, **options)
        assert "another platform" in caught.value.hint
        assert controller.obtain(**options).archive


def test_an_expired_key_is_a_warning_once_a_run(controller, site, tmp_path):
    from release_site import make_signing_key

    old = make_signing_key("Old", certification={"expires": 2 * 366 * 86400})  # it was good when it signed
    for version in (VERSION, "1.13.3"):
        site.publish(version, key=old)
        for task in ("one", "two"):
            controller.obtain(task, version=version, sites=[site.url], trusted_keys=[old.armored])
    (warning,) = controller.warnings
    assert "expired on " in warning and "upgrade this collection" in warning and controller.lines.count(warning) == 4
    os.mkdir(str(tmp_path / "later"))
    later = Controller(tmp_path / "later")
    later.provenance(sites=[site.url], trusted_keys=[old.armored])
    assert later.warnings == [warning]


# the controller's Python


@pytest.mark.parametrize(
    "mark, hint",
    [
        ("pipx_metadata.json", "pipx inject ansible-core requests; "),
        ("uv-receipt.toml", "uv tool install --with requests ansible-core; "),
        (None, "%s -m pip install requests; " % sys.executable),
        ("", "install python3-requests (dnf, apt), or %s -m pip" % sys.executable),
    ],
)
@pytest.mark.parametrize("policy", ["signature", "pinned"])
def test_requests_that_is_missing_on_the_controller(controller, site, monkeypatch, mark, hint, policy):
    prefix = os.path.join(controller.folder, "ansible-core")
    os.mkdir(prefix)
    if mark:
        with open(os.path.join(prefix, mark), "w", encoding="ascii"):
            pass
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(sys, "base_prefix", prefix if mark == "" else "/usr")
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(_errors.MissingDependency) as caught:
        controller.obtain(**dict(pinned(site), checksum_policy=policy))
    assert "requests is not installed for the controller's Python, %s (" % sys.executable in str(caught.value)
    assert caught.value.hint.startswith(hint) and "download: controller" not in caught.value.hint


def test_copies_of_one_certificate_are_one_and_the_same(controller, site, tmp_path):
    """What is decrypted for each host has a name of its own."""
    from release_site.certificates import Authority

    authority, other = Authority(), Authority()
    for name, text in (("one", authority.pem), ("two", authority.pem), ("three", other.pem)):
        (tmp_path / name).write_text(text)
    counts = []
    for name in ("one", "two", "three"):
        controller.provenance(sites=[site.url], trusted_keys=[site.key.armored], ca_path=str(tmp_path / name))
        counts.append(len(asked(site)))
    assert counts == [2, 0, 2]


@pytest.mark.parametrize("name", ["SSL_CERT_DIR", "no_proxy"])
def test_whom_an_environment_trusts_decides_on_what_is_shared(controller, site, name):
    for value in ("", "/one", "/one", "/two"):
        controller.environ = {name: value}
        controller.provenance(sites=[site.url], trusted_keys=[site.key.armored])
    assert len(asked(site)) == 3 * 2
