# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HashiCorp and OpenTofu really signed: accepted with the right key, refused with every other and after any change."""

import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    ClockError,
    RequestError,
    VerificationError,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import hashicorp_key
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import verify as verify_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp.keys import find_key_status

HASHICORP = "C874011F0AB405110D02105534365D9472D7468F"
SIGNING_SUBKEY = "C820C6D5CD27AB87"
OPENTOFU = "E3E6E43D84CB852EADB0051D0C0AF313E5FD9F80"
NOW = 1795444000  # 2026-11-23T14:26:40Z
VERSIONS = (
    "0.11.15",
    "0.12.31",
    "0.15.5",
    "1.0.11",
    "1.1.9",
    "1.2.9",
    "1.5.7",
    "1.6.6",
    "1.8.5",
    "1.9.8",
    "1.10.5",
    "1.11.4",
    "1.12.2",
    "1.14.8",
    "1.14.9",
    "1.15.8",
)
RENEWED, EXPIRED, TWO_BLOCKS = (
    "hashicorp_72D7468F_expires-2030-03-01.asc",
    "hashicorp_72D7468F_expired-2026-04-18.asc",
    "hashicorp_pgp-key.txt_two-blocks.asc",
)


def read(*parts):
    with open(os.path.join(*parts), "rb") as file:
        return file.read()


def release(genuine, version):
    """A genuine SHA256SUMS and its signature."""
    name = os.path.join(genuine, "terraform", "terraform_%s_SHA256SUMS" % version)
    return read(name), read(name + ".sig")


def opentofu(genuine):
    return (
        read(genuine, "opentofu", "tofu_1.8.5_SHA256SUMS"),
        read(genuine, "opentofu", "tofu_1.8.5_SHA256SUMS.gpgsig"),
    )


def key_text(genuine, name):
    return read(genuine, "keys", name).decode()


def verify(document, signature, *texts, **changes):
    keys = verify_module.read_keys(texts)
    return verify_module.verify(
        document, signature, keys, changes.get("now", NOW), changes.get("name", "/tmp/sums.sig")
    )


def test_built_in_key_is_the_published_one(genuine):
    assert hashicorp_key.HASHICORP_KEY.encode() == read(genuine, "keys", RENEWED)


def test_built_in_key_is_what_its_file_says():
    (key,) = verify_module.read_keys(())
    assert (key.fingerprint, key.key_id) == (HASHICORP, "72D7468F")
    (signing,) = [member for member in key.members if member.public.fingerprint.endswith(SIGNING_SUBKEY)]
    assert signing.public.fingerprint == "374EC75B485913604A831CC7C820C6D5CD27AB87"
    # 2030-03-01T23:14:24Z and 2026-02-18T23:15:22Z: also for what it signed before, for its older word is not published
    for moment in (1650353382, NOW):
        assert find_key_status(signing, moment) == (None, 1898637264, 1771456522)
    assert hashicorp_key.KEY_DATE == "2026-02-18"


@pytest.mark.parametrize("version", VERSIONS)
def test_genuine_release_is_accepted(genuine, version):
    found = verify(*release(genuine, version))
    assert (found.fingerprint, found.key_id, found.warnings) == (HASHICORP, SIGNING_SUBKEY, ())
    assert 1650353382 <= found.created <= 1783963519


def test_no_genuine_release_is_left_out(genuine):
    names = [name for name in os.listdir(os.path.join(genuine, "terraform")) if name.endswith(".sig")]
    assert sorted(names) == sorted("terraform_%s_SHA256SUMS.sig" % version for version in VERSIONS)


def test_genuine_opentofu_is_accepted_with_its_key_only(genuine):
    found = verify(*opentofu(genuine) + (key_text(genuine, "opentofu_E5FD9F80.asc"),))
    assert (found.fingerprint, found.key_id, found.created) == (OPENTOFU, OPENTOFU[-16:], 1730752359)
    with pytest.raises(VerificationError, match="by key %s, which is not trusted" % OPENTOFU):
        verify(*opentofu(genuine))


def own_key():
    return pytest.importorskip("release_site").make_signing_key("Own").armored


OTHERS = {
    "hashicorp_package-signing_A621E701.asc": "HashiCorp's key for Linux packages",
    "opentofu_E5FD9F80.asc": "OpenTofu's key",
}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_another_key_does_not_verify_it_and_is_named_for_what_it_is(genuine, name):
    for before in ((), (own_key(),)):
        with pytest.raises(VerificationError, match="by key %s, which is not trusted" % SIGNING_SUBKEY) as caught:
            verify(*release(genuine, "1.11.4") + before + (key_text(genuine, name),))
        assert caught.value.hint == (
            "entry %d of trusted_keys is %s, which signs no release of Terraform; HashiCorp's release key is built in: leave "
            "trusted_keys out" % (len(before) + 1, OTHERS[name])
        )


def test_the_release_key_is_named_where_others_are_trusted(genuine):
    with pytest.raises(VerificationError) as caught:
        verify(*release(genuine, "1.11.4") + (own_key(),))
    assert caught.value.hint == (
        "that is HashiCorp's release key, which is built in: leave trusted_keys out, or add it there"
    )


def test_the_known_keys_are_those_of_their_owners(genuine):
    keys = [key for name in OTHERS for key in verify_module.read_keys((key_text(genuine, name),))]
    assert {key.fingerprint for key in keys} == set(hashicorp_key.OTHER_KEYS)
    ids = {key.fingerprint: [member.public.fingerprint[-16:] for member in key.members] for key in keys}
    assert all(set(named) <= set(ids[fingerprint]) for fingerprint, named in hashicorp_key.OTHER_SUBKEYS.items())


def test_the_key_exposed_in_2021_is_refused(genuine):
    compromised = key_text(genuine, "hashicorp_348FFC4C_compromised-2021.asc")
    for texts in (
        (compromised,),
        (hashicorp_key.HASHICORP_KEY, compromised),
        (hashicorp_key.HASHICORP_KEY + compromised,),
    ):
        with pytest.raises(RequestError, match="entry %d of trusted_keys .* exposed in 2021" % len(texts)):
            verify_module.read_keys(texts)


def test_the_hint_for_an_unknown_signer_says_what_to_do(genuine):
    with pytest.raises(VerificationError) as caught:
        verify(*opentofu(genuine), name="https://example.com/tofu.sig")
    assert OPENTOFU in str(caught.value)
    assert "the built-in key of 2026-02-18" in str(caught.value)
    assert "that is OpenTofu's key, which signs no release of Terraform" in caught.value.hint
    assert (caught.value.url, caught.value.path) == ("https://example.com/tofu.sig", None)


def test_a_path_is_named_as_a_path(genuine):
    with pytest.raises(VerificationError, match="signature /tmp/sums.sig ") as caught:
        verify(*opentofu(genuine))
    assert (caught.value.url, caught.value.path) == (None, "/tmp/sums.sig")


def test_swapped_signatures_are_refused(genuine):
    document, _signature = release(genuine, "1.11.4")
    _document, signature = release(genuine, "1.12.2")
    with pytest.raises(VerificationError, match="does not match its document"):
        verify(document, signature)


@pytest.mark.parametrize(
    "change",
    [
        lambda sums: b"",
        lambda sums: sums[:-1],
        lambda sums: sums[1:],
        lambda sums: sums + b"\n",
        lambda sums: sums.replace(b"\n", b"\r\n"),
        lambda sums: b"0" + sums[1:] if sums[:1] != b"0" else b"1" + sums[1:],
        lambda sums: sums[:700] + bytes(bytearray([bytearray(sums)[700] ^ 1])) + sums[701:],
        lambda sums: sums.upper(),
        lambda sums: sums * 2,
        lambda sums: b"\n".join(reversed(sums.split(b"\n"))),
    ],
    ids=["empty", "cut", "cut in front", "longer", "crlf", "first", "one bit", "upper", "twice", "reordered"],
)
def test_changed_document_is_refused(genuine, change):
    document, signature = release(genuine, "1.11.4")
    with pytest.raises(VerificationError, match="does not match its document"):
        verify(change(document), signature)


def test_signature_with_any_octet_changed_is_refused(genuine):
    document, signature = release(genuine, "1.11.4")
    keys = verify_module.read_keys(())
    for place in range(len(signature)):
        changed = bytearray(signature)
        changed[place] ^= 0x10
        with pytest.raises(VerificationError):
            verify_module.verify(document, bytes(changed), keys, NOW, "/tmp/sums.sig")


def test_cut_signature_is_refused(genuine):
    document, signature = release(genuine, "1.11.4")
    keys = verify_module.read_keys(())
    for size in range(len(signature)):
        with pytest.raises(VerificationError, match="is not a detached OpenPGP signature"):
            verify_module.verify(document, signature[:size], keys, NOW, "/tmp/sums.sig")


@pytest.mark.parametrize("name", [RENEWED, TWO_BLOCKS])
@pytest.mark.parametrize("version", ["0.11.15", "1.14.8", "1.14.9", "1.15.8"])
def test_renewed_key_counts_whatever_stands_before_it(genuine, name, version):
    found = verify(*release(genuine, version) + (key_text(genuine, name),))
    assert (found.fingerprint, found.warnings) == (HASHICORP, ())


@pytest.mark.parametrize("order", [(EXPIRED, RENEWED), (RENEWED, EXPIRED)])
def test_copies_of_one_key_in_several_entries_are_one_key(genuine, order):
    texts = tuple(key_text(genuine, name) for name in order)
    (key,) = verify_module.read_keys(texts)
    assert key.fingerprint == HASHICORP
    assert len(key.members) == 4
    assert verify(*release(genuine, "1.14.9") + texts).warnings == ()


def test_an_expired_key_verifies_what_it_signed_before(genuine):
    found = verify(*release(genuine, "1.14.8") + (key_text(genuine, EXPIRED),))
    (warning,) = found.warnings
    assert "expired on 2026-04-18T21:50:17Z: what it signed before still counts" in warning
    assert "/" not in warning, "hosts and releases get the same text"


def test_an_expired_key_does_not_verify_what_it_signed_after(genuine):
    with pytest.raises(
        VerificationError, match="dated 2026-04-20T18:14:18Z, after its key expired on 2026-04-18T21:50:17Z"
    ):
        verify(*release(genuine, "1.14.9") + (key_text(genuine, EXPIRED),))


def test_expired_key_does_not_warn_before_it_expires(genuine):
    texts = (key_text(genuine, EXPIRED),)
    assert verify(*release(genuine, "1.14.8") + texts, now=1776549016).warnings == ()
    assert len(verify(*release(genuine, "1.14.8") + texts, now=1776549017).warnings) == 1


def test_a_key_that_was_renewed_after_the_clock_cannot_be_checked(genuine):
    with pytest.raises(ClockError, match="cannot be checked: its key's own signature is dated 2026-02-18T23:15:22Z"):
        verify(*release(genuine, "0.11.15"), now=1700000000)
    assert verify(*release(genuine, "0.11.15"), now=1771456522 - 1800).warnings == ()


def test_slow_clock_is_named(genuine):
    with pytest.raises(VerificationError, match="in the future: the clock says 1970-01-01T00:00:10Z") as caught:
        verify(*release(genuine, "1.15.8"), now=10)
    assert "set the clock of the machine that checked this" in caught.value.hint
