# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first half: which files of which site are asked for, in which order, and what stops it.

Against a real site with real signatures; what needs neither runs on Python 3.6, too.
"""

import errno
import hashlib
import json
import os
import shutil
import socket
import time

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors, _records, _source
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import atomic_file
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory as directory_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import signers

NAME = "terraform_1.13.4_%s.zip"
SUMS = "terraform_1.13.4_SHA256SUMS"


class Place:
    """A host's requests, and a folder for what is fetched."""

    def __init__(self, host, directory):
        self.host = host
        self.directory = directory
        self.archive_name = NAME % host.platform

    def source(self, **options):
        return self.host.source(self.host.parsed(**options))

    def provenance(self, **options):
        return self.source(**options).provenance()

    def fetch(self, **options):
        """The VerifiedArchive, and its bytes."""
        with atomic_file.PendingFile(self.directory, "archive") as sink:
            archive = self.source(**options).archive(sink)
            with archive.file:
                return archive, archive.file.read()

    def refusal(self, error, **options):
        """The error that a fetch ends with; nothing of it is left."""
        with pytest.raises(error) as caught:
            self.fetch(**options)
        assert os.listdir(self.directory.path) == [], "the spool is still there"
        return caught.value


@pytest.fixture
def place(host):
    os.mkdir(host.at("spool"))
    with directory_module.open_trusted_directory(
        host.at("spool"), "base_dir", directory_module.trusted_owners(), None
    ) as directory:
        yield Place(host, directory)


@pytest.fixture
def online(place, served):
    """A place whose requests name the site and its key."""
    return place


@pytest.fixture
def wrong():
    """What can go wrong between us and a site."""
    return pytest.importorskip("release_site").misbehaviours


def paths(site):
    return [request.path.rpartition("/")[2] for request in site.requests]


# the order of things


def test_the_sums_are_signed_then_read_then_the_archive_is_asked_for(online, site):
    archive, data = online.fetch()
    release = site.release("1.13.4")
    assert paths(site) == [SUMS, "%s.%s.sig" % (SUMS, site.key.key_id), online.archive_name]
    assert data == release.archives[online.host.platform] and archive.size == len(data)
    provenance = archive.provenance
    assert (provenance.policy, provenance.archive_name, provenance.site) == ("signature", online.archive_name, site.url)
    assert (provenance.archive_sha256, provenance.signer) == (hashlib.sha256(data).hexdigest(), site.key.fingerprint)
    assert provenance.signed_at == 1735689600
    assert archive.downloaded_bytes == site.counts().bytes
    assert (archive.version, archive.platform) == ("1.13.4", online.host.platform)
    assert archive.path == "%s/terraform/1.13.4/%s" % (site.url, online.archive_name)


@pytest.mark.parametrize("policy, asked", [("signature", 2), ("sha256sums", 1), ("pinned", 0)])
def test_the_provenance_is_known_without_the_archive(online, site, policy, asked):
    digest = site.release("1.13.4").digest(online.host.platform)
    provenance = online.provenance(checksum_policy=policy, checksum=digest)
    assert site.counts(".zip").requests == 0 and site.counts().requests == asked
    assert (provenance.policy, provenance.archive_sha256) == (policy, digest)
    assert provenance.downloaded_bytes == site.counts().bytes
    assert (provenance.signer is not None) is (policy == "signature")


def test_unsigned_sums_need_no_signature(online, site):
    archive, data = online.fetch(checksum_policy="sha256sums")
    assert paths(site) == [SUMS, online.archive_name]
    assert (archive.provenance.policy, archive.provenance.signer, archive.provenance.signed_at) == (
        "sha256sums",
        None,
        None,
    )
    assert archive.provenance.archive_sha256 == hashlib.sha256(data).hexdigest()


def test_a_pinned_archive_needs_no_sums(online, site):
    site.put("terraform/1.13.4/" + SUMS, b"nonsense")
    digest = site.release("1.13.4").digest(online.host.platform)
    archive, data = online.fetch(checksum_policy="pinned", checksum=digest)
    assert paths(site) == [online.archive_name]
    assert hashlib.sha256(data).hexdigest() == digest and archive.provenance.policy == "pinned"


def test_a_folder_is_a_site(online, site):
    site.write(online.host.at("mirror"))
    archive, data = online.fetch(sites=["file://" + online.host.at("mirror")])
    assert data == site.release("1.13.4").archives[online.host.platform]
    assert site.counts().requests == 0 and archive.downloaded_bytes == 0


@pytest.mark.parametrize("spoilt", [SUMS, NAME, "", ".."])
def test_an_unsigned_folder_that_others_can_write_is_no_site(online, site, spoilt):
    """What a file's neighbour says of it is as good as the rights on both, and on the directories above."""
    site.write(online.host.at("mirror"))
    sites = ["file://" + online.host.at("mirror")]
    folder = online.host.at("mirror", "terraform", "1.13.4")
    assert online.fetch(sites=sites, checksum_policy="sha256sums")[0].provenance.policy == "sha256sums"
    path = os.path.normpath(os.path.join(folder, spoilt.replace(NAME, online.archive_name)))
    os.chmod(path, 0o777)
    failure = online.refusal(_errors.VerificationError, sites=sites + [site.url], checksum_policy="sha256sums")
    assert "%s can be written by others" % path in str(failure) and "checksum_policy signature" in failure.hint
    assert site.counts().requests == 0, "the next site is not asked in place of it"
    digest = site.release("1.13.4").digest(online.host.platform)
    for reason in (
        {"checksum_policy": "signature"},
        {"checksum": digest, "checksum_policy": "sha256sums"},
        {"checksum": digest, "checksum_policy": "pinned"},
    ):
        assert online.fetch(sites=sites, **reason)[0].provenance.archive_sha256 == digest


def test_an_unsigned_index_that_others_can_write_chooses_nothing(online, site):
    site.write(online.host.at("mirror"))
    place = "file://" + online.host.at("mirror")
    os.chmod(online.host.at("mirror", "terraform", "index.json"), 0o666)
    assert "1.13.4" in online.source(version="~> 1.13.0", sites=[place]).listing(place)
    with pytest.raises(_errors.VerificationError):
        online.source(version="~> 1.13.0", sites=[place], checksum_policy="sha256sums").listing(place)


# signatures


@pytest.mark.parametrize(
    "behaviour, arguments",
    [
        *[("status", (status,)) for status in (400, 401, 403, 404, 410, 500, 503)],
        ("redirect", ("http://127.0.0.1:9/login",)),
        ("redirect_loop", ()),
        ("close_before_reply", ()),
        ("garbage_status", ()),
        ("html_200", ()),
        ("replace", (b"",)),
        ("replace", (b'{"errors": [{"status": 404}]}',)),
        ("replace", (bytes(70000),)),
    ],
    ids=str,
)
def test_whatever_is_wrong_with_the_keys_own_signature_the_plain_one_is_asked_for(
    online, site, wrong, behaviour, arguments
):
    site.misbehave("*.%s.sig" % site.key.key_id, getattr(wrong, behaviour)(*arguments))
    online.fetch()
    assert [name for name in paths(site) if name != "login"][-2:] == [SUMS + ".sig", online.archive_name]
    assert any("; asking for %s.sig" % SUMS in line for line in online.host.lines)


@pytest.mark.parametrize("data", [b"\x88\x01x", b"-----BEGIN PGP SIGNATURE-----\n", None])
def test_a_keys_own_signature_that_was_read_and_refuses_ends_it(online, site, wrong, data):
    specific = "%s.%s.sig" % (SUMS, site.key.key_id)
    if data is None:
        good = site.files["terraform/1.13.4/" + specific].body
        data = good[:-1] + bytes([good[-1] ^ 1])
    site.misbehave("*." + site.key.key_id + ".sig", wrong.replace(data))
    failure = online.refusal(_errors.VerificationError)
    assert specific in str(failure) and site.counts(SUMS + ".sig").requests == 0


def test_when_the_plain_signature_fails_too_its_error_is_reported(online, site, wrong):
    site.misbehave("*.%s.sig" % site.key.key_id, wrong.status(500))
    site.misbehave("*SHA256SUMS.sig", wrong.status(410))
    failure = online.refusal(_errors.FetchError)
    assert failure.status == 410 and failure.url.endswith(SUMS + ".sig") and site.counts(SUMS + ".sig").requests == 1


def test_no_signature_at_all(online, site):
    site.publish("1.13.4", signature=None)
    assert online.refusal(_errors.FetchError).status == 404
    assert site.counts(".zip").requests == 0


def test_several_keys_each_may_have_its_own_signature(online, site, untrusted_key):
    online.fetch(trusted_keys=[untrusted_key.armored, site.key.armored])
    assert paths(site)[1:3] == ["%s.%s.sig" % (SUMS, key.key_id) for key in (untrusted_key, site.key)]


def test_another_key_is_refused_and_no_archive_asked_for(online, site, untrusted_key):
    failure = online.refusal(_errors.VerificationError, trusted_keys=[untrusted_key.armored])
    assert "not trusted" in str(failure) and site.counts(".zip").requests == 0
    assert failure.hint == "name the key that signed it in trusted_keys, if you trust it, or name another site"
    failure = online.refusal(_errors.VerificationError, trusted_keys=[])
    assert (
        "upgrade this collection (its built-in key is of 2026-02-18)" in failure.hint and "trusted_keys" in failure.hint
    )
    with pytest.raises(_errors.VerificationError):
        online.provenance(trusted_keys=[untrusted_key.armored])


def test_signed_sums_with_another_line_in_them_are_refused(online, site):
    evil = site.release("1.13.4").sums.replace(b"0", b"1")
    site.put("terraform/1.13.4/" + SUMS, evil)
    online.refusal(_errors.VerificationError)
    assert site.counts(".zip").requests == 0


def test_the_signature_is_checked_before_the_sums_are_read(online, site):
    """Sums that nobody signed are not even parsed: their own fault is not what is reported."""
    site.put("terraform/1.13.4/" + SUMS, b"nonsense\n")
    assert "signature " in str(online.refusal(_errors.VerificationError))
    assert "line 1" in str(online.refusal(_errors.VerificationError, checksum_policy="sha256sums"))


def test_a_warning_about_the_signature_is_said(online, site):
    from release_site import make_signing_key

    old = make_signing_key("Old", certification={"expires": 2 * 366 * 86400})  # it was good when it signed
    site.publish("1.13.4", key=old)
    assert online.provenance(trusted_keys=[old.armored]).signer == old.fingerprint
    assert any("expired" in warning for warning in online.host.warnings)


# digests


def test_a_checksum_that_is_not_the_signed_one(online, site):
    failure = online.refusal(_errors.VerificationError, checksum="0" * 64)
    assert "0" * 64 in str(failure) and failure.url.endswith(SUMS) and site.counts(".zip").requests == 0
    with pytest.raises(_errors.VerificationError):
        online.provenance(checksum="0" * 64)


@pytest.mark.parametrize("policy", ["signature", "sha256sums", "pinned"])
def test_a_wrong_digest_is_tried_once_more_from_a_clean_file(online, site, wrong, policy):
    site.misbehave("*.zip", wrong.flip(at=3), times=1)
    archive, data = online.fetch(checksum_policy=policy, checksum=site.release("1.13.4").digest(online.host.platform))
    assert site.counts(".zip").requests == 2 and data == site.release("1.13.4").archives[online.host.platform]
    assert archive.downloaded_bytes == site.counts().bytes, "all that came over the network counts"
    assert any("once more" in line for line in online.host.lines)


@pytest.mark.parametrize("policy", ["signature", "sha256sums", "pinned"])
def test_a_digest_that_stays_wrong(online, site, wrong, policy):
    site.misbehave("*.zip", wrong.flip(at=3))
    digest = site.release("1.13.4").digest(online.host.platform)
    failure = online.refusal(_errors.VerificationError, checksum_policy=policy, checksum=digest, retries=4)
    assert site.counts(".zip").requests == 2 and "expected %s" % digest in str(failure) and failure.url.endswith(".zip")
    assert failure.hint.endswith("run again, or look what the site sends")


def test_no_build_for_the_platform(online, site):
    failure = online.refusal(_errors.RequestError, platform="linux_s390x", sites=[site.url, site.url])
    assert "linux_s390x" in str(failure) and site.counts(SUMS).requests == 1


# sites


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return "http://127.0.0.1:%d" % free.getsockname()[1]


def test_a_dead_site_then_a_good_one(online, site):
    archive, _data = online.fetch(sites=[closed_port(), "file:///nonexistent", site.url])
    assert archive.provenance.site == site.url
    assert sum("site failed" in line for line in online.host.lines) == 2 and online.host.warnings == []
    assert online.provenance(sites=[closed_port(), site.url]).site == site.url


@pytest.mark.parametrize("status, warned", [(404, False), (500, False), (401, True), (403, True)])
def test_the_next_site_is_asked_when_one_refuses(online, site, wrong, status, warned):
    site.misbehave("/bad/*", wrong.status(status))
    archive, _data = online.fetch(sites=[site.url + "/bad", site.url])
    assert archive.provenance.site == site.url and bool(online.host.warnings) is warned


def test_an_archive_that_fails_on_one_site_is_taken_from_the_next(online, site, wrong):
    site.write(online.host.at("mirror"))
    site.misbehave("*.zip", wrong.truncate(at=100))
    archive, data = online.fetch(sites=[site.url, "file://" + online.host.at("mirror")])
    assert archive.provenance.site.startswith("file:") and data == site.release("1.13.4").archives[online.host.platform]


@pytest.mark.parametrize("fault", ["signature", "archive", "sums", "checksum"])
def test_what_does_not_verify_stops_everything(online, site, wrong, untrusted_key, fault):
    site.write(online.host.at("mirror"))
    options = {}
    if fault == "signature":
        site.publish("1.13.4", key=untrusted_key)
    elif fault == "archive":
        site.misbehave("*.zip", wrong.flip(at=3))
    elif fault == "sums":
        site.misbehave("*" + SUMS, wrong.replace(site.release("1.13.4").sums.upper()))
    else:
        options = {"checksum": "0" * 64}
    good = "file://" + online.host.at("mirror")
    online.refusal(_errors.VerificationError, sites=[site.url, good], **options)
    assert not any(good in line for line in online.host.lines), "another site was asked"


def test_all_sites_fail(online, site):
    failure = online.refusal(_errors.FetchError, sites=[site.url + "/none", "file:///nonexistent"])
    assert "all 2 sites failed" in str(failure) and site.url in str(failure) and "file:///nonexistent" in str(failure)
    assert failure.hint and not failure.retry


def test_the_only_site_fails_with_its_own_words(online, site):
    failure = online.refusal(_errors.FetchError, sites=[site.url + "/none"])
    assert failure.status == 404 and "all 1 sites" not in str(failure)


def test_a_key_that_is_none(online):
    for key in ("nonsense", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"):
        with pytest.raises(_errors.RequestError):
            signers.trusted_signers((key,))
        assert online.refusal(_errors.RequestError, trusted_keys=[key])


# given archives


@pytest.fixture
def given(online, site):
    """Options for an archive of the site, with the files beside it."""
    site.write(online.host.at("mirror"))
    folder = online.host.at("mirror", "terraform", "1.13.4")
    os.unlink(os.path.join(folder, "%s.%s.sig" % (SUMS, site.key.key_id)))
    return dict(archive=os.path.join(folder, online.archive_name), sites=["http://192.0.2.1"])


def test_a_given_archive_asks_no_site(online, site, given):
    archive, data = online.fetch(**given)
    assert site.counts().requests == 0 and archive.downloaded_bytes == 0
    assert data == site.release("1.13.4").archives[online.host.platform]
    assert (archive.provenance.signer, archive.provenance.site) == (site.key.fingerprint, given["archive"])
    assert archive.path == given["archive"]
    assert online.provenance(origin="https://mirror.example", **given).site == "https://mirror.example"


def test_the_signature_beside_a_given_archive_may_have_the_keys_name(online, site, given):
    plain = os.path.join(os.path.dirname(given["archive"]), SUMS + ".sig")
    named = plain.replace(".sig", ".%s.sig" % site.key.key_id)
    os.rename(plain, named)
    assert online.fetch(**given)[0].provenance.signer == site.key.fingerprint
    with open(plain, "wb") as file:  # the key's own comes first, and is the one that is read
        file.write(b"nonsense")
    assert online.fetch(**given)[0].provenance.signer == site.key.fingerprint
    os.rename(plain, named)
    with pytest.raises(_errors.VerificationError) as caught:
        online.fetch(**given)
    assert named in str(caught.value)


@pytest.mark.parametrize("origin, warned", [(None, 1), ("https://mirror.example", 0)])
def test_who_has_fetched_a_given_archive_was_warned_then(online, site, given, origin, warned):
    from release_site import make_signing_key

    old = make_signing_key("Old", certification={"expires": 2 * 366 * 86400})
    site.publish("1.13.4", key=old)
    site.write(online.host.at("mirror"))
    online.provenance(trusted_keys=[old.armored], origin=origin, **given)
    assert len(online.host.warnings) == warned and sum("expired" in line for line in online.host.lines) == 1


@pytest.mark.parametrize(
    "policy, needed", [("signature", (SUMS, SUMS + ".sig")), ("sha256sums", (SUMS,)), ("pinned", ())]
)
def test_what_has_to_lie_beside_it(online, site, given, policy, needed):
    folder = os.path.dirname(given["archive"])
    options = dict(given, checksum_policy=policy, checksum=site.release("1.13.4").digest(online.host.platform))
    for name in (SUMS, SUMS + ".sig"):
        if name not in needed:
            os.unlink(os.path.join(folder, name))
    assert online.fetch(**options)[0].provenance.policy == policy
    for name in needed:
        os.rename(os.path.join(folder, name), os.path.join(folder, "away"))
        failure = online.refusal(_errors.RequestError, **options)
        assert failure.path == os.path.join(folder, name) and "No such file" in str(failure)
        assert failure.hint == "put it beside the archive: checksum_policy %s needs it" % policy
        os.rename(os.path.join(folder, "away"), os.path.join(folder, name))


@pytest.mark.parametrize("spoilt", [SUMS, NAME, "", ".."])
def test_an_unsigned_archive_that_others_can_write_is_refused(online, site, given, spoilt):
    unsigned = dict(given, checksum_policy="sha256sums")
    assert online.fetch(**unsigned)[0].provenance.policy == "sha256sums"
    path = os.path.normpath(os.path.join(os.path.dirname(given["archive"]), spoilt.replace(NAME, online.archive_name)))
    os.chmod(path, 0o777)
    failure = online.refusal(_errors.VerificationError, **unsigned)
    assert "%s can be written by others" % path in str(failure) and "checksum_policy signature" in failure.hint
    with pytest.raises(_errors.VerificationError) as caught:
        online.provenance(**unsigned)
    assert str(caught.value) == str(failure), "check mode says so, too"
    digest = site.release("1.13.4").digest(online.host.platform)
    for reason in (
        {"checksum_policy": "signature"},
        {"checksum": digest, "checksum_policy": "sha256sums"},
        {"checksum": digest, "checksum_policy": "pinned"},
    ):
        assert online.fetch(**dict(given, **reason))[0].provenance.archive_sha256 == digest


def test_a_given_archive_has_to_match_as_well(online, given):
    with open(given["archive"], "ab") as file:
        file.write(b"x")
    failure = online.refusal(_errors.VerificationError, **given)
    assert failure.path == given["archive"] and failure.url is None and failure.hint.endswith("; copy it there again")
    assert online.provenance(**given), "the provenance of the release is another question"


def test_signed_sums_beside_it_that_nobody_trusted_signed(online, given, untrusted_key):
    failure = online.refusal(_errors.VerificationError, trusted_keys=[untrusted_key.armored], **given)
    assert failure.path.endswith(SUMS + ".sig") and failure.url is None


def test_a_checksum_that_is_not_the_one_beside_it(online, given):
    failure = online.refusal(_errors.VerificationError, checksum="0" * 64, **given)
    assert failure.path.endswith(SUMS) and failure.url is None


@pytest.mark.parametrize("name, cap", [(SUMS, _records.SUMS_CAP), (SUMS + ".sig", _records.SIGNATURE_CAP)])
def test_what_lies_beside_it_is_read_up_to_a_limit(online, given, name, cap):
    path = os.path.join(os.path.dirname(given["archive"]), name)
    os.truncate(path, cap + 1)
    failure = online.refusal(_errors.RequestError, **given)
    assert failure.path == path and "larger than %d bytes" % cap in str(failure)
    os.truncate(path, cap)
    assert "larger" not in str(online.refusal(_errors.VerificationError, **given))


# without a site: Python 3.6, too


def test_a_pinned_archive_is_read(place):
    options = place.host.offer()
    archive, data = place.fetch(**options)
    assert hashlib.sha256(data).hexdigest() == options["checksum"] and archive.size == len(data)
    provenance = archive.provenance
    assert (provenance.policy, provenance.signer, provenance.site) == ("pinned", None, options["archive"])
    assert any("archive read: %d bytes" % len(data) in line for line in place.host.lines)


@pytest.mark.parametrize("kind", ["directory", "fifo", "missing"])
def test_a_given_archive_that_is_no_file(place, kind):
    options = place.host.offer()
    os.unlink(options["archive"])
    if kind == "directory":
        os.mkdir(options["archive"])
    elif kind == "fifo":
        os.mkfifo(options["archive"])
    failure = place.refusal(_errors.RequestError, **options)
    assert failure.path == options["archive"]
    assert "not a regular file" in str(failure) or failure.errno == errno.ENOENT


def test_a_given_archive_may_be_reached_by_a_link(place):
    options = place.host.offer()
    shutil.move(options["archive"], place.host.at("real.zip"))
    os.symlink("real.zip", options["archive"])
    assert place.fetch(**options)[0].size == os.path.getsize(place.host.at("real.zip"))


def test_a_given_archive_is_read_up_to_a_limit(place, monkeypatch):
    options = place.host.offer()
    size = os.path.getsize(options["archive"])
    monkeypatch.setattr(_source, "ARCHIVE_CAP", size)
    place.fetch(**options)
    monkeypatch.setattr(_source, "ARCHIVE_CAP", size - 1)
    assert "larger than %d bytes" % (size - 1) in str(place.refusal(_errors.RequestError, **options))


def test_a_huge_sparse_file_is_refused_for_its_size_not_for_our_disk(place, monkeypatch):
    options = place.host.offer()
    try:
        os.truncate(options["archive"], 1 << 43)
    except OSError:
        pytest.skip("no such large files on this file system")
    monkeypatch.setattr(_source, "ARCHIVE_CAP", 1 << 20)
    assert "larger than" in str(place.refusal(_errors.RequestError, **options))


class Swapper:
    """A sink in whose middle somebody writes to the archive that is being read; what was written stays written."""

    def __init__(self, sink, path):
        self._sink = sink
        self._path = path

    def __getattr__(self, name):
        return getattr(self._sink, name)

    def write(self, data):
        self._sink.write(data)
        with open(self._path, "r+b") as file:
            file.write(b"evil" * 1000)


def test_what_is_written_to_a_given_archive_after_it_was_read_does_not_get_in(place):
    options = place.host.offer(padding=3 << 20)
    with open(options["archive"], "rb") as file:
        published = file.read()
    with atomic_file.PendingFile(place.directory, "archive") as sink:
        archive = place.source(**options).archive(Swapper(sink, options["archive"]))
        with archive.file:
            assert archive.file.read() == published
    with open(options["archive"], "rb") as file:
        assert file.read() != published


# the index

INDEX = "index.json"


def test_a_listing_is_fetched_once(online, site):
    source = online.source(version="latest")
    listing = source.listing(site.url)
    assert sorted(listing) == ["1.13.3", "1.13.4", "1.9.8"] and online.host.platform in listing["1.13.4"]
    assert source.listing(site.url) is listing and site.counts(INDEX).requests == 1
    assert source.index_bytes == site.counts().bytes
    chosen = source.with_version(online.host.parsed(version="1.13.4"))
    assert chosen.listing(site.url) is listing and chosen.index_bytes == source.index_bytes
    assert site.counts(INDEX).requests == 1


def test_a_listing_that_is_none(online, site, wrong):
    site.misbehave("*index.json", wrong.replace(b"[]"))
    with pytest.raises(_errors.FetchError, match="index http.* is a JSON list"):
        online.source(version="latest").listing(site.url)


def test_an_exact_version_never_asks_for_the_index(online, site):
    online.fetch()
    online.provenance()
    assert site.counts(INDEX).requests == 0


def test_the_hint_for_a_missing_version_lists_those_that_are_there(online, site):
    failure = online.refusal(_errors.FetchError, version="1.13.9")
    assert failure.status == 404 and failure.hint == "versions there: 1.13.4 (next lower, newest 1.13)"
    assert site.counts(INDEX).requests == 1


SECRET = "t0ken-of-alice"


@pytest.mark.parametrize("secret", [SECRET, SECRET.upper()])
def test_an_index_repeats_no_token(online, site, wrong, secret):
    listing = json.dumps(
        {
            "name": "terraform",
            "versions": {
                "1.13.3-" + secret: {"builds": [{"os": "linux", "arch": "amd64"}]},
                "1.13.2-0.%s" % secret: {"builds": [{"os": "linux", "arch": "amd64"}]},
            },
        }
    )
    site.misbehave("*index.json", wrong.replace(listing.encode()))
    failure = online.refusal(_errors.FetchError, version="1.13.9", platform="linux_amd64", url_token=SECRET)
    assert (
        failure.hint == "versions there: 1.13.3-******** (next lower), 1.13.3-******** (newest 1.13)".partition(", ")[0]
    )
    site.behave()
    site.misbehave("*index.json", wrong.replace(json.dumps({"name": secret}).encode()))
    with pytest.raises(_errors.FetchError) as caught:
        online.source(version="latest", url_token=SECRET).listing(site.url)
    assert secret not in str(caught.value)


def test_a_version_that_is_listed_and_not_there_was_not_copied_or_is_being_published(online, site):
    del site.files["terraform/1.13.4/" + SUMS]
    hint = online.refusal(_errors.FetchError).hint
    assert (
        hint.startswith("the index lists it, and the site lacks the file: copy it there") and "being published" in hint
    )


@pytest.mark.parametrize("policy", ["signature", "sha256sums"])
@pytest.mark.parametrize("status", [404, 410])
def test_an_archive_that_the_sums_name_and_the_site_lacks(online, site, wrong, policy, status):
    site.misbehave("*.zip", wrong.status(status))
    failure = online.refusal(_errors.FetchError, checksum_policy=policy)
    assert failure.url.endswith(".zip") and failure.hint.startswith(
        "SHA256SUMS there has it, so there is a build, and this site"
    )
    assert site.counts(INDEX).requests == 0


def test_an_archive_of_a_release_that_was_signed_just_now_is_being_published(online, site):
    now = int(time.time())
    for signed, words in (
        (now, "minutes ago, so it is being published"),
        (now - 2 * 86400, "this site lacks the file"),
    ):
        site.publish("1.13.4", signature=site.key.sign(site.release("1.13.4").sums, created=signed))
        del site.files["terraform/1.13.4/" + online.archive_name]
        assert words in online.refusal(_errors.FetchError).hint


def test_the_hint_for_a_missing_pinned_archive_says_what_the_index_has(online, site):
    del site.files["terraform/1.13.4/" + online.archive_name]
    checksum = site.release("1.13.4").digest(online.host.platform)
    assert "being published" in online.refusal(_errors.FetchError, checksum_policy="pinned", checksum=checksum).hint


@pytest.mark.parametrize("status", [403, 404, 410])
def test_sums_without_a_signature_are_reported_as_that(online, site, wrong, status):
    site.misbehave("*.sig", wrong.status(status))
    for sites in ([site.url], [closed_port(), site.url]):
        hint = online.refusal(_errors.FetchError, sites=sites).hint
        assert hint == (
            "SHA256SUMS is there without its signature: copy %s.sig there, too; or give checksum, with "
            "checksum_policy pinned" % SUMS
        )


@pytest.mark.parametrize("folder, above", [("/terraform", ""), ("/terraform/1.13.4", ""), ("/repo/terraform", "/repo")])
def test_the_products_folder_is_no_site(online, site, folder, above):
    expected = "name the folder above terraform in sites: %s%s" % (site.url, above)
    assert online.refusal(_errors.FetchError, sites=[site.url + folder]).hint == expected
    with pytest.raises(_errors.FetchError) as caught:
        online.source(version="latest", sites=[site.url + folder]).listing(site.url + folder)
    assert caught.value.hint == expected


def test_a_folder_of_that_name_may_be_a_site(online, site, tmp_path):
    site.write(str(tmp_path / "terraform"))
    assert online.provenance(sites=["file://%s/terraform" % tmp_path]).signer == site.key.fingerprint


def test_the_hint_for_a_missing_platform_says_since_when_it_is_there(online, site):
    site.publish("1.9.9", platforms=("linux_s390x",))
    failure = online.refusal(_errors.RequestError, platform="linux_s390x")
    assert "lists darwin_arm64, linux_amd64" in str(failure)
    assert failure.hint == "choose another version or platform: the first version with a build for linux_s390x is 1.9.9"


@pytest.mark.parametrize("behaviour", ["html_200", "empty", "close_before_reply"])
def test_without_an_index_the_first_error_is_reported(online, site, wrong, behaviour):
    site.misbehave("*index.json", getattr(wrong, behaviour)())
    failure = online.refusal(_errors.FetchError, version="1.13.9", retries=4)
    assert "SHA256SUMS" in str(failure) and "HTTP 404" in str(failure) and "look whether the site has" in failure.hint
    assert site.counts(INDEX).requests == 1, "one try"


def test_what_fails_for_another_reason_asks_for_no_index(online, site, wrong):
    site.misbehave("*_SHA256SUMS", wrong.status(500))
    online.refusal(_errors.FetchError)
    site.behave()
    site.misbehave("*.sig", wrong.status(404))
    online.refusal(_errors.FetchError)
    site.behave()
    online.refusal(_errors.VerificationError, checksum="0" * 64)
    assert site.counts(INDEX).requests == 0


def test_a_second_site_that_has_it_keeps_the_index_out(online, site):
    from release_site import Site

    with Site(versions=("1.13.3",), key=site.key) as first:
        online.fetch(sites=[first.url, site.url])
        assert first.counts(INDEX).requests == site.counts(INDEX).requests == 0


# the controller's half


def test_what_was_verified_can_be_handed_on(online, site):
    release = site.release("1.13.4")
    source = online.source()
    source.provenance()
    assert source.verification_files == {SUMS: release.sums, SUMS + ".sig": release.signatures[SUMS + ".sig"]}
    source = online.source(checksum_policy="sha256sums")
    source.provenance()
    assert source.verification_files == {SUMS: release.sums}
    source = online.source(checksum_policy="pinned", checksum=release.digest(online.host.platform))
    source.provenance()
    assert source.verification_files == {}


def test_what_was_not_found_good_is_not_handed_on(online, site, wrong):
    site.misbehave("*.sig", wrong.flip())
    source = online.source()
    with pytest.raises(_errors.VerificationError):
        source.provenance()
    assert source.verification_files == {}


def test_the_cache_is_asked_before_the_archive_is(online, site):
    offered = []

    def cache(provenance, fetch):
        offered.append(provenance)
        return "from the cache"

    assert online.source().through_cache(cache) == "from the cache"
    assert [provenance.archive_sha256 for provenance in offered] == [
        site.release("1.13.4").digest(online.host.platform)
    ]
    assert site.counts(".zip").requests == 0


def test_a_cache_that_lacks_it_fetches_it_from_the_next_site_too(online, site):
    def cache(provenance, fetch):
        with atomic_file.PendingFile(online.directory, "archive") as sink:
            archive = fetch(sink)
            archive.file.close()
            return provenance.site, archive.size

    found = online.source(sites=["http://127.0.0.1:9", site.url]).through_cache(cache)
    assert found == (site.url, len(site.release("1.13.4").archives[online.host.platform]))
