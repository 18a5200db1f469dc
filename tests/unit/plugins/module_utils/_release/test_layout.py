# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release consists of: genuine lists of digests, and every way in which one can be wrong."""

import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._release import layout

URL = "https://releases.example.com/terraform/1.13.4/terraform_1.13.4_SHA256SUMS"
PATH = "/srv/archives/terraform_1.13.4_SHA256SUMS"
A, B, C = 64 * "a", 64 * "b", 32 * "0f"


def sums(*lines):
    return "".join("%s\n" % line for line in lines).encode("utf-8")


def line(digest, platform, version="1.13.4"):
    return "%s  terraform_%s_%s.zip" % (digest, version, platform)


GOOD = sums(line(A, "linux_amd64"), line(B, "darwin_arm64"), line(C, "windows_amd64"))


def refusal(document, error=_errors.VerificationError, version="1.13.4", platform="linux_amd64", where=URL):
    """The error for a document: one clear line about where it came from."""
    with pytest.raises(error) as caught:
        layout.find_archive(document, version, platform, where)
    assert caught.type is error
    assert where in str(caught.value)
    assert (caught.value.url, caught.value.path) == ((where, None) if "://" in where else (None, where))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    return caught.value


def test_names():
    assert layout.sums_name("1.13.4") == "terraform_1.13.4_SHA256SUMS"
    assert layout.archive_name("1.13.4", "linux_amd64") == "terraform_1.13.4_linux_amd64.zip"
    assert (
        layout.release_url("https://example.com:8443/a", "1.13.4", "x")
        == "https://example.com:8443/a/terraform/1.13.4/x"
    )
    assert layout.signature_names("1.13.4", ["72D7468F", "348ffc4c"]) == (
        "terraform_1.13.4_SHA256SUMS.72D7468F.sig",
        "terraform_1.13.4_SHA256SUMS.348FFC4C.sig",
        "terraform_1.13.4_SHA256SUMS.sig",
    )
    assert layout.signature_names("1.13.4", []) == ("terraform_1.13.4_SHA256SUMS.sig",)


@pytest.mark.parametrize(
    "system, machine, platform",
    [
        ("Linux", "x86_64", "linux_amd64"),
        ("Linux", "aarch64", "linux_arm64"),
        ("Linux", "armv7l", "linux_arm"),
        ("Linux", "i686", "linux_386"),
        ("Linux", "s390x", "linux_s390x"),
        ("Linux", "ppc64le", "linux_ppc64le"),
        ("Darwin", "arm64", "darwin_arm64"),
        ("FreeBSD", "amd64", "freebsd_amd64"),
        ("FreeBSD", "i386", "freebsd_386"),
        ("OpenBSD", "amd64", "openbsd_amd64"),
        ("NetBSD", "amd64", "netbsd_amd64"),
        ("SunOS", "i86pc", "solaris_amd64"),
        ("Windows", "AMD64", "windows_amd64"),
    ],
)
def test_detect_platform(system, machine, platform):
    assert layout.detect_platform(system, machine) == platform
    assert layout.check_platform(platform) == platform


@pytest.mark.parametrize("system, machine", [("Linux", "mips"), ("AIX", "x86_64"), ("", ""), ("Linux\n", "x86_64")])
def test_no_platform_is_known(system, machine):
    with pytest.raises(_errors.RequestError) as caught:
        layout.detect_platform(system, machine)
    assert ascii(system) in str(caught.value) and ascii(machine) in str(caught.value)
    assert caught.value.hint == "set platform, such as linux_amd64"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "linux",
        "linux_",
        "_amd64",
        "amd64_linux",
        "linux_amd64.zip",
        "linux-amd64",
        "linux_amd64_v2",
        "linux_x86_64",
        "Linux_amd64",
        "linux_amd64\n",
        " linux_amd64",
        "../linux_amd64",
        "linux_../amd64",
        "l\u0131nux_amd64",
        "x" * 100000,
    ],
)
def test_check_platform(text):
    with pytest.raises(_errors.RequestError) as caught:
        layout.check_platform(text)
    assert "linux" in str(caught.value) and "s390x" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_every_archive_of_every_genuine_release_is_found(genuine):
    folder = os.path.join(genuine, "terraform")
    found = 0
    for name in sorted(os.listdir(folder)):
        if not name.endswith("_SHA256SUMS"):
            continue
        version = name.split("_")[1]
        with open(os.path.join(folder, name), "rb") as file:
            document = file.read()
        for expected in document.decode("ascii").splitlines():
            digest, archive = expected.split()
            platform = archive[len("terraform_%s_" % version) : -len(".zip")]
            assert layout.find_archive(document, version, platform, name) == (archive, digest)
            assert layout.checksum_of(document.decode("ascii"), version, platform) == digest
            assert layout.check_platform(platform) == platform
            found += 1
    assert found > 16 * 12


def test_genuine_sums_of_another_vendor_are_refused(genuine):
    with open(os.path.join(genuine, "opentofu", "tofu_1.8.5_SHA256SUMS"), "rb") as file:
        error = refusal(file.read(), version="1.8.5")
    assert "names no file of terraform 1.8.5: its first name is 'tofu_1.8.5_" in str(error)


@pytest.mark.parametrize(
    "document",
    [
        GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"  ", b" *"),
        GOOD.replace(b".zip", b".zip \t "),
        GOOD.replace(b".zip", b".zip \r"),
        GOOD[:-1],
        GOOD + b"\n\n",
        GOOD + b" \r\n\t\n",
        GOOD + sums(line(A, "linux_amd64", "1.13.3"), "%s  terraform_1.13.4_SBOM.json" % A),
    ],
)
def test_accepted(document):
    assert layout.find_archive(document, "1.13.4", "linux_amd64", URL) == ("terraform_1.13.4_linux_amd64.zip", A)


@pytest.mark.parametrize(
    "odd",
    [
        line(A[:-1], "netbsd_386"),
        line(A + "a", "netbsd_386"),
        line(A.upper(), "netbsd_386"),
        line("g" + A[1:], "netbsd_386"),
        line("\u0661" + A[1:], "netbsd_386"),
        line("\xe9" + A[2:], "netbsd_386"),
        line(A, "netbsd_386").replace("  ", " "),
        line(A, "netbsd_386").replace("  ", "   "),
        line(A, "netbsd_386").replace("  ", "\t"),
        line(A, "netbsd_386").replace("  ", "  ./"),
        line(A, "netbsd_386").replace("  ", "  ../"),
        line(A, "netbsd_386").replace("  ", "  /"),
        line(A, "netbsd_386").replace("  ", "  C:\\"),
        line(A, "netbsd_386").replace("  ", "  **"),
        line(A, "netbsd_386") + " more",
        line(A, "netbsd_386") + "\0",
        line(A, "netbsd_386") + "\r\r",
        line(A, "netbsd_386") + "\xa0",
        line(A, "netbsd_386") + "\x0b" + line(A, "solaris_amd64"),
        " " + line(A, "netbsd_386"),
        A,
        A + "  ",
        A + "  .",
        A + "  ..",
        A + "  " + "terraform_\u0661",
        "# comment",
        "-----BEGIN PGP SIGNED MESSAGE-----",
        "",
        " ",
        "SHA256 (terraform_1.13.4_netbsd_386.zip) = " + A,
        line(32 * "a", "netbsd_386"),
    ],
)
def test_a_malformed_line_refuses_the_whole(odd):
    document = sums(line(B, "darwin_arm64"), odd, line(A, "linux_amd64"))
    error = refusal(document)
    assert ", line 2 is not a SHA-256 digest, two blanks and a file name (" in str(error)
    with pytest.raises(_errors.RequestError, match="checksum, line 2 is not a SHA-256 digest"):
        layout.checksum_of(document.decode("utf-8"), "1.13.4", "linux_amd64")


def test_a_blank_line_in_front_is_refused():
    assert "line 1 is not" in str(refusal(b"\n" + GOOD))


@pytest.mark.parametrize("where", ["https://x.example/s", "file:///srv/x/s", PATH])
@pytest.mark.parametrize("found", [b"ROOT:x:0:0:\x1b[31m", b"ROOT: " + b"x" * 100000, b"<p>ROOT", b"ROOT" * 15])
def test_what_is_no_such_line_is_not_quoted(where, found):
    """By a link or a redirect it may be anything that we can read."""
    for document in (found, sums(line(A, "linux_amd64")) + found):
        error = refusal(document, where=where)
        assert "ROOT" not in str(error) and str(len(found)) in str(error)


def test_a_path_is_named_as_such():
    refusal(b"nonsense", where=PATH)


@pytest.mark.parametrize(
    "double",
    [
        line(B, "linux_amd64"),
        line(A, "linux_amd64"),
        line(B, "linux_amd64").replace("  ", " *"),
        line(C, "darwin_arm64") + " ",
    ],
)
def test_a_name_given_twice_refuses_the_whole(double):
    document = GOOD + sums(double)
    assert "line 4 names 'terraform_1.13.4_" in str(refusal(document))
    with pytest.raises(_errors.RequestError, match="a second time"):
        layout.checksum_of(document.decode("ascii"), "1.13.4", "linux_amd64")


@pytest.mark.parametrize(
    "name",
    [
        "terraform_1.13.4_linux_amd64.zip.bak",
        "xterraform_1.13.4_linux_amd64.zip",
        "terraform_1.13.4_linux_amd64_zip",
        "terraform_1.13.4_linux_arm64.zip",
        "Terraform_1.13.4_linux_amd64.zip",
        "terraform_1.13.4_linux_amd64.ZIP",
        "terraform_1.13.4_linux_amd64",
        "terraform_1x13.4_linux_amd64.zip",
        "terraform_1.13.40_linux_amd64.zip",
    ],
)
def test_only_exactly_our_name_counts(name):
    document = sums("%s  %s" % (A, name), line(B, "darwin_arm64"))
    error = refusal(document, _errors.RequestError)
    assert "terraform 1.13.4 has no build for linux_amd64: %s lists darwin_arm64" % URL in str(error)


def test_no_build_names_the_platforms_there_are():
    document = GOOD + sums(line(A, "openbsd_arm", "1.13.3"), "%s  terraform_1.13.4_SBOM.json" % A)
    error = refusal(document, _errors.RequestError, platform="linux_s390x")
    assert str(error).endswith("lists darwin_arm64, linux_amd64, windows_amd64")
    assert error.hint


def test_sums_of_another_version():
    document = sums(line(A, "linux_amd64", "1.13.3"), line(B, "darwin_arm64", "1.13.3"))
    assert str(refusal(document)).endswith("names no file of terraform 1.13.4: it is of version '1.13.3'")


def test_a_dot_of_the_version_is_a_dot():
    document = sums(line(A, "linux_amd64", "1x13.4"))
    assert "it is of version '1x13.4'" in str(refusal(document))


@pytest.mark.parametrize("document", [b"", b"\n", b" \r\n\n"])
def test_an_empty_document(document):
    assert "is empty" in str(refusal(document))


@pytest.mark.parametrize(
    "document",
    [
        b"<!DOCTYPE html><html><head><title>Login \x07</title>",
        b"\n  <html>",
        b"\xef\xbb\xbf<HTML>",
        b"<?xml version='1.0'?><Error/>",
    ],
)
def test_a_web_page(document):
    error = refusal(document)
    assert "is a web page, not a list of SHA-256 digests (%d bytes)" % len(document) in str(error)
    assert "login page" in error.hint


@pytest.mark.parametrize(
    "document",
    [
        b"PK\3\4\0\0",
        b"\x89\x02\x33",
        b"\xff\xfe1\x001\x00",
        b'{"name": 1}',
        b"\0" * 1000,
    ],
)
def test_something_else(document):
    assert "line 1 is not" in str(refusal(document))


# Releases 0.12.0-alpha3 to alpha9: hashicorp/terraform issue 19588.

ODD = "terraform_0.12.0-alpha4_terraform_0.12.0-alpha4_linux_amd64.zip"


def test_the_doubled_name_is_found():
    document = sums("%s  %s" % (A, ODD), "%s  %s" % (B, ODD.replace("amd64", "arm")))
    assert layout.find_archive(document, "0.12.0-alpha4", "linux_amd64", URL) == (ODD, A)
    error = refusal(document, _errors.RequestError, "0.12.0-alpha4", "linux_arm64")
    assert str(error).endswith("lists linux_amd64, linux_arm")


def test_the_doubled_name_beside_the_usual_one_is_refused():
    document = sums("%s  %s" % (A, ODD), line(A, "linux_amd64", "0.12.0-alpha4"))
    error = refusal(document, version="0.12.0-alpha4")
    assert "names both terraform_0.12.0-alpha4_linux_amd64.zip and %s" % ODD in str(error)
    with pytest.raises(_errors.RequestError, match="names both"):
        layout.checksum_of(document.decode("ascii"), "0.12.0-alpha4", "linux_amd64")


@pytest.mark.parametrize(
    "name",
    [
        "terraform_0.12.0-alpha4_terraform_0.12.0-alpha3_linux_amd64.zip",
        "terraform_0.12.0-alpha3_terraform_0.12.0-alpha4_linux_amd64.zip",
        3 * "terraform_0.12.0-alpha4_" + "linux_amd64.zip",
    ],
)
def test_other_doublings_do_not_count(name):
    document = sums("%s  %s" % (A, name), line(B, "linux_arm", "0.12.0-alpha4"))
    refusal(document, _errors.RequestError, "0.12.0-alpha4")


# The option checksum.


@pytest.mark.parametrize(
    "text",
    [
        C,
        C.upper(),
        "sha256:" + C,
        "SHA256:" + C.upper(),
        " %s\n" % C,
        line(C, "linux_amd64"),
        line(C, "linux_amd64").replace("  ", " *"),
        "\n%s\n%s\n" % (line(A, "darwin_arm64"), line(C, "linux_amd64")),
        "%s\r\n%s\r\n" % (line(A, "darwin_arm64"), line(C, "linux_amd64")),
    ],
)
def test_checksum(text):
    assert layout.checksum_of(text, "1.13.4", "linux_amd64") == C


@pytest.mark.parametrize(
    "text, message",
    [
        (40 * "a", "checksum has 40 characters, the length of SHA-1"),
        (32 * "a", "the length of MD5"),
        (128 * "a", "the length of SHA-512"),
        ("sha256:" + 40 * "a", "the length of SHA-1"),
        (63 * "a", "checksum has 63 characters, where SHA-256 has 64 hex digits"),
        (65 * "a", "checksum has 65 characters"),
        ("sha256:", "checksum has 0 characters"),
        ("sha256:" + 64 * "g", "checksum has 64 characters"),
        ("sha1:" + 40 * "a", "begins with sha1: and not with sha256:"),
        ("md5:" + 32 * "a", "begins with md5:"),
        ("sha512:" + 64 * "a", "begins with sha512:"),
        ("https://example.com/SHA256SUMS", "begins with https:"),
        ("", "line 1 is not"),
        ("nonsense", "line 1 is not"),
        (64 * "g", "line 1 is not"),
        ("sha256: " + C, "line 1 is not"),
        ("\u0661" + C[1:], "line 1 is not"),
        ("\ud800", "line 1 is not"),
        ("%s %s" % (C, C), "line 1 is not"),
        ("%s\n%s" % (C, C), "line 1 is not"),
        ("%s %s" % (line(A, "linux_amd64"), line(B, "darwin_arm64")), "line 1 is not"),
        (
            line(C, "linux_arm64"),
            "has no line for terraform_1.13.4_linux_amd64.zip, only for terraform_1.13.4_linux_arm64.zip",
        ),
        (line(C, "linux_amd64", "1.13.3"), "only for terraform_1.13.3_linux_amd64.zip"),
    ],
)
def test_other_checksums_are_refused(text, message):
    with pytest.raises(_errors.RequestError) as caught:
        layout.checksum_of(text, "1.13.4", "linux_amd64")
    assert message in str(caught.value)
    assert caught.value.hint


def test_property_a_digest_found_stood_on_our_line():
    from support.properties import hypothesis

    strategies = hypothesis.strategies
    pieces = strategies.sampled_from(
        [
            b"\n",
            b"\r",
            b" ",
            b"  ",
            b" *",
            b"\t",
            b"\0",
            b"\xff",
            b"<",
            b"a",
            A.encode(),
            B.encode(),
            b"/",
            b"..",
            b"terraform_1.13.4_linux_amd64.zip",
            b"terraform_1.13.3_linux_amd64.zip",
            b"terraform_1.13.4_",
            b".zip",
        ]
    )

    @hypothesis.given(
        strategies.lists(strategies.one_of(pieces, strategies.binary(max_size=3)), max_size=12),
        strategies.integers(0, len(GOOD)),
        strategies.integers(0, len(GOOD)),
    )
    def check(parts, start, end):
        document = GOOD[:start] + b"".join(parts) + GOOD[end:]
        try:
            name, digest = layout.find_archive(document, "1.13.4", "linux_amd64", URL)
        except (_errors.VerificationError, _errors.RequestError) as error:
            assert str(error).isprintable() and len(str(error)) < 1000
            return
        ours = [row for row in document.split(b"\n") if row[66:].rstrip() == name.encode()]
        assert [row[:64].decode() for row in ours] == [digest]
        assert layout.checksum_of(document.decode("ascii"), "1.13.4", "linux_amd64") == digest

    check()


def test_what_a_file_of_this_host_holds_is_not_shown():
    """It may be a link to a file that only root may read, and messages end up in logs."""
    secret = b"root:$6$salt$secret:20228:0:99999:7:::\n"
    for document in (secret, b"<secret>"):
        with pytest.raises(_errors.VerificationError) as caught:
            layout.find_archive(document, "1.13.4", "linux_amd64", "/srv/incoming/terraform_1.13.4_SHA256SUMS")
        assert "secret" not in str(caught.value)
        assert "bytes" in str(caught.value)
