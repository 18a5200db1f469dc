# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One store and many requests: what an installed binary is worth to another policy, another key, another checksum.

Requests are counted: the site is asked only for what the installed binary lacks.
"""

import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors


@pytest.fixture
def digest(site, host):
    """Of the archive for this machine."""
    return site.release("1.13.4").digest(host.platform)


def install(host, site, **options):
    assert host.run(**options)["changed"]
    del site.requests[:]
    return host.picture()


def assert_only_the_receipt_differs(before, after):
    def change(picture):
        return dict(
            (path, what)
            for path, what in picture.items()
            if path not in ("store/1.13.4/terraform.json", "store/.terraform-1.13.4.lock")
        )

    assert change(before) == change(after)


def test_the_signature_policy_installs_and_records_the_signer(served, site, digest):
    result = served.run()
    receipt = served.read_receipt()
    assert (receipt["policy"], receipt["signer"], receipt["signed_at"]) == (
        "signature",
        site.key.fingerprint,
        1735689600,
    )
    assert (receipt["archive_sha256"], receipt["origin"]) == (digest, site.url)
    assert result["verification"] == {
        "policy": "signature",
        "signer": site.key.fingerprint,
        "signed_at": "2025-01-01T00:00:00Z",
        "site": site.url,
    }
    assert result["downloaded_bytes"] == site.counts().bytes > 0


def test_check_mode_asks_for_the_provenance_and_no_more(served, site, digest):
    before = served.picture()
    result = served.check()
    assert served.picture() == before
    assert site.counts(".zip").requests == 0 and site.counts("SHA256SUMS").requests == 1
    assert result["archive_sha256"] == digest and result["verification"]["signer"] == site.key.fingerprint
    assert result["binary_sha256"] is None and result["downloaded_bytes"] == site.counts().bytes


def test_check_mode_knows_an_impossible_version(served):
    with pytest.raises(_errors.FetchError):
        served.check(version="9.9.9")


@pytest.mark.parametrize(
    "weak, strong", [("pinned", "sha256sums"), ("pinned", "signature"), ("sha256sums", "signature")]
)
def test_a_stronger_policy_has_it_verified_again_and_nothing_else(served, site, digest, weak, strong):
    before = install(served, site, checksum_policy=weak, checksum=digest)
    predicted = served.check(checksum_policy=strong)
    assert predicted["changed"] and predicted["needs_archive"] and "verified again" in predicted["msg"]
    del site.requests[:]
    result = served.run(checksum_policy=strong)
    assert result["changed"] and result["verification"]["policy"] == strong
    assert site.counts(".zip").requests == 0 and site.counts().requests == {"sha256sums": 1, "signature": 2}[strong]
    assert_only_the_receipt_differs(before, served.picture())
    assert served.read_receipt()["policy"] == strong and served.read_receipt()["origin"] == site.url
    del site.requests[:]
    assert not served.run(checksum_policy=strong)["changed"] and site.counts().requests == 0


@pytest.mark.parametrize("strong", ["sha256sums", "signature"])
@pytest.mark.parametrize("weak", ["pinned", "sha256sums"])
def test_a_weaker_policy_is_content(served, site, digest, strong, weak):
    before = install(served, site, checksum_policy=strong)
    assert not served.run(checksum_policy=weak, checksum=digest)["changed"]
    assert served.picture() == before and site.counts().requests == 0


def test_a_policy_that_nobody_knows_is_the_weakest(served, site, digest):
    install(served, site)
    served.write_receipt(policy="trust-me")
    assert served.check()["needs_archive"] and any("policy unknown" in line for line in served.lines)
    assert served.run()["changed"] and served.read_receipt()["policy"] == "signature"
    served.write_receipt(policy=None)
    assert served.run(checksum_policy="pinned", checksum=digest)["changed"]
    assert served.read_receipt()["policy"] == "pinned"


def test_another_key_verifies_anew(served, site, untrusted_key):
    before = install(served, site)
    site.publish("1.13.4", key=untrusted_key)
    result = served.run(trusted_keys=[untrusted_key.armored])
    assert result["changed"] and served.read_receipt()["signer"] == untrusted_key.fingerprint
    assert site.counts(".zip").requests == 0
    assert_only_the_receipt_differs(before, served.picture())
    assert not served.run(trusted_keys=[untrusted_key.armored, site.key.armored])["changed"]


def test_another_key_that_did_not_sign_is_refused(served, site, untrusted_key):
    before = install(served, site)
    failure = served.fail(_errors.VerificationError, trusted_keys=[untrusted_key.armored])
    assert not failure.changed and site.counts(".zip").requests == 0
    after = served.picture()
    assert before.pop("store/.terraform-1.13.4.lock")[:4] == after.pop("store/.terraform-1.13.4.lock")[:4]
    assert before == after
    with pytest.raises(_errors.VerificationError):
        served.check(trusted_keys=[untrusted_key.armored])


def test_a_signer_matters_to_the_signature_policy_only(served, site, untrusted_key):
    install(served, site)
    assert not served.run(checksum_policy="sha256sums", trusted_keys=[untrusted_key.armored])["changed"]
    assert site.counts().requests == 0


def test_nothing_is_recorded_while_the_sums_do_not_verify(served, site, digest):
    before = install(served, site, checksum_policy="pinned", checksum=digest)
    site.publish("1.13.4", signature=None)
    failure = served.fail(_errors.FetchError)
    assert not failure.changed
    assert served.picture()["store/1.13.4/terraform.json"] == before["store/1.13.4/terraform.json"]


def test_a_release_that_was_made_anew_is_installed_anew(served, site, digest):
    """The one case where verifying anew needs the archive: the signature is for another one."""
    from release_site import releases

    install(served, site, checksum_policy="pinned", checksum=digest)
    site.publish("1.13.4", archives={served.platform: releases.make_archive("1.13.4", served.platform, padding=9)})
    result = served.run()
    assert result["changed"] and result["size"] == 394 and site.counts(".zip").requests == 1
    assert site.counts("SHA256SUMS").requests == 2 and result["downloaded_bytes"] == site.counts().bytes
    assert not served.run()["changed"]


def test_a_new_file_is_not_given_the_identity_of_the_old_one(signed):
    """The receipt knows neither the policy nor the archive nor the file: the binary is installed again, and then known."""
    signed.write_receipt(policy=None, archive_sha256=None, inode=1)
    assert signed.run(verify="receipt")["changed"]
    assert not signed.run(verify="receipt")["changed"]


def test_damage_and_insufficient_provenance_are_one_repair(served, site, digest):
    install(served, site, checksum_policy="pinned", checksum=digest)
    served.flip(served.binary())
    assert served.run()["changed"] and site.counts(".zip").requests == 1 and site.counts("SHA256SUMS").requests == 1
    assert not served.run()["changed"]


def test_reverification_and_repair_go_together(served, site, digest):
    install(served, site, checksum_policy="pinned", checksum=digest)
    os.chmod(served.binary(), 0o700)
    result = served.run()
    assert result["changed"] and site.counts(".zip").requests == 0
    assert "verified again and repaired" in result["msg"]
    assert served.read_receipt()["policy"] == "signature" and not served.run()["changed"]


def test_the_same_checksum_is_content_and_another_an_error(signed, site, digest):
    assert not signed.run(checksum=digest)["changed"] and site.counts().requests == 0
    before = signed.picture()
    failure = signed.fail(_errors.VerificationError, checksum="0" * 64)
    assert site.counts(".zip").requests == 0 and not failure.changed
    after = signed.picture()
    assert before["store/1.13.4/terraform"] == after["store/1.13.4/terraform"]
    assert before["store/1.13.4/terraform.json"] == after["store/1.13.4/terraform.json"]
    with pytest.raises(_errors.VerificationError):
        signed.check(checksum="0" * 64)


def test_a_receipt_that_names_no_archive_does_not_satisfy_a_checksum(signed, site, digest):
    signed.write_receipt(archive_sha256=None)
    assert not signed.run()["changed"]
    assert signed.run(checksum=digest)["changed"] and signed.read_receipt()["archive_sha256"] == digest


def test_a_bad_archive_from_the_site_never_gets_in(served, site):
    from release_site import misbehaviours

    site.misbehave("*.zip", misbehaviours.flip(at=3))
    failure = served.fail(_errors.VerificationError)
    assert not failure.changed and served.names() == []
    site.behave()
    assert served.run()["changed"]


@pytest.mark.parametrize("name", ["symlink", "duplicate", "bad_crc", "other_file", "bomb"])
def test_an_odd_archive_is_refused_though_it_is_signed(served, site, name):
    from release_site import executables, odd_archives

    odd = odd_archives.REFUSED[name](executables.terraform("1.13.4", served.platform))
    site.publish("1.13.4", archives={served.platform: odd})
    failure = served.fail(_errors.ArchiveError)
    assert not failure.changed and served.names() == []
