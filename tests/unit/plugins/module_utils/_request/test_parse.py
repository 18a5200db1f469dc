# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""P0: what a request may say. Every refusal names its option, in one line, and shows no secret."""

import grp
import os
import pwd

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _argument_spec, _errors, _records
from ansible_collections.iac_platform.terraform.plugins.module_utils._request import parse as parse_module
from support.parsed_params import params, parse, refusal

DIGEST = "1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc"


def test_the_least_that_can_be_said():
    parsed = parse()
    assert (parsed.requested, parsed.version, parsed.state, parsed.policy) == (
        "1.13.4",
        "1.13.4",
        "present",
        "signature",
    )
    assert (parsed.base_dir, parsed.platform, parsed.native) == (_records.DEFAULT_BASE_DIR, "linux_amd64", True)
    assert (parsed.sites, parsed.trusted_keys, parsed.checksum, parsed.archive) == (
        (_records.PUBLIC_SITE,),
        (),
        None,
        None,
    )
    assert (parsed.uid, parsed.gid, parsed.mode, parsed.link) == (None, None, 0o755, None)
    assert (parsed.timeout, parsed.retries, parsed.lock_timeout) == (30, 4, 2000)


def test_a_leading_v_is_dropped_and_what_was_asked_for_is_kept():
    assert parse(version="v1.13.4")[:2] == ("v1.13.4", "1.13.4")


@pytest.mark.parametrize("blank", [None, "", " ", "\t\n"])
def test_blank_and_null_count_as_not_given(blank):
    every = dict(
        (key, blank) for key, spec in _argument_spec.SPEC.items() if key != "version" and spec["type"] != "int"
    )
    assert parse(**every) == parse()


@pytest.mark.parametrize("entries", [[], [""], [" ", None]])
def test_lists_of_nothing_count_as_not_given(entries):
    assert parse(sites=entries, trusted_keys=entries) == parse()


def test_entries_of_lists_are_stripped():
    parsed = parse(sites=["https://one.example", " https://two.example/x/ "])
    assert parsed.sites == ("https://one.example", "https://two.example/x")


# version


@pytest.mark.parametrize(
    "version",
    [
        None,
        "",
        " ",
        "1.1",
        "1.10",
        "1",
        "v1.10",
        1.1,
        1.10,
        1,
        True,
        "latest!",
        "~> 1.x",
        "1.13 .4",
        "../1.13.4",
        "1.13.4/..",
        "1.13.4/../../etc",
        "..",
        "/1.13.4",
        "1.13.x",
        "1.13.4\n1",
        "1.13.4\0",
        "01.13.4",
        "1.13.4+build",
    ],
)
def test_versions_that_are_none(version):
    assert refusal(version=version).startswith("version ")


def test_the_hint_for_a_bare_number_says_what_it_may_have_been():
    assert "'~> 1.1.0' or '~> 1.10.0'" in refusal(version=1.1) and "'~> 1.10.0' or '= 1.10'" in refusal(version="1.10")


@pytest.mark.parametrize("version", ["latest", "~> 1.13.0", ">= 1.9, < 2"])
def test_what_has_to_be_chosen_has_no_version_yet(version):
    parsed = parse(version=version, checksum="%s  terraform_1.13.4_linux_amd64.zip" % DIGEST)
    assert (parsed.requested, parsed.version, parsed.checksum, parsed.offline_ok) == (version, None, None, False)
    assert parsed.wanted.allows("1.13.4")
    chosen = parse_module.parse_request(
        params(version=version, checksum="%s  terraform_1.13.4_linux_amd64.zip" % DIGEST),
        lambda: "linux_amd64",
        "1.13.4",
    )
    assert (chosen.requested, chosen.version, chosen.checksum) == (version, "1.13.4", DIGEST)


def test_an_equals_sign_names_its_version():
    assert parse(version="= 1.10")[:2] == ("= 1.10", "1.10.0")
    assert parse(version="= 1.13.4", checksum_policy="pinned", checksum=DIGEST).version == "1.13.4"


@pytest.mark.parametrize("version", ["latest", "~> 1.13.0"])
def test_what_takes_an_exact_version(version):
    assert "checksum_policy pinned" in refusal(version=version, checksum_policy="pinned", checksum=DIGEST)
    assert "with archive" in refusal(version=version, archive="/x.zip")
    assert parse(version="< 1", state="absent", checksum_policy="pinned", archive="/x.zip").version is None


def test_latest_is_not_removed():
    assert "cannot be removed" in refusal(version="latest", state="absent")


def test_previous_needs_a_link_and_cannot_be_removed():
    parsed = parse(version=" previous ", link="/tf")
    assert (parsed.version, parsed.wanted.is_previous) == (None, True)
    assert "before, and link is not given; set link" in refusal(version="previous")
    assert "before, and is for state: present; name the version" in refusal(
        version="previous", link="/tf", state="absent"
    )
    assert "with archive" in refusal(version="previous", link="/tf", archive="/x.zip")
    assert "needs checksum" in refusal(version="previous", link="/tf", checksum_policy="pinned")


def test_previous_is_not_compared_with_the_checksum_of_another_version():
    for checksum in (DIGEST, "%s  terraform_1.13.4_linux_amd64.zip" % DIGEST):
        given = params(version="previous", link="/tf", checksum_policy="pinned", checksum=checksum)
        found = parse_module.parse_request(given, lambda: "linux_amd64", "1.13.3")
        assert (found.version, found.checksum, found.policy) == ("1.13.3", None, "pinned")


def test_all_is_removed_and_nothing_else():
    assert parse(version=" all ", state="absent").wanted.is_all
    for options in (
        {},
        {"state": "present"},
        {"archive": "/x.zip"},
        {"checksum_policy": "pinned", "checksum": "0" * 64},
    ):
        assert refusal(version="all", **options).startswith(
            "version all is for state: absent, and removes everything; write"
        )


def test_a_version_file_is_not_for_this_side():
    assert "read on the controller" in refusal(version=None, version_file="x")
    assert "read on the controller" in refusal(version="1.13.4", version_file="x")


# base_dir, archive, link


@pytest.mark.parametrize("option", ["base_dir", "archive", "link"])
@pytest.mark.parametrize(
    "path",
    [
        "opt/x",
        "./x",
        "~/x",
        "x",
        "/opt/../etc",
        "/..",
        "/opt/x/..",
        "/",
        "//",
        "/./",
        "/opt/\n",
        "/opt/\0x",
        "/opt/\x1f",
    ],
)
def test_paths_that_are_not_absolute_and_plain(option, path):
    assert refusal(**{option: path}).startswith("%s " % option)


@pytest.mark.parametrize("option", ["base_dir", "archive", "link"])
def test_paths_that_the_system_cannot_name(option):
    assert "locale" in refusal(**{option: "/opt/\ud800"})


@pytest.mark.parametrize("option", ["base_dir", "archive", "link"])
def test_paths_are_normalised(option):
    assert getattr(parse(**{option: "//opt///x/./y/"}), option) == "/opt/x/y"
    assert getattr(parse(**{option: "/opt/..x/y.."}), option) == "/opt/..x/y.."


@pytest.mark.parametrize(
    "link",
    [
        "/opt/b",
        "/opt/b/",
        "/opt",
        "/opt/b/1.13.4",
        "/opt/b/1.13.4/terraform",
        "/opt/b/1.13.3/bin/terraform",
        "/opt/b/v1.2.3",
        "/opt/b/1.14.0-rc1/x",
        "/opt/b/.terraform-link.lock",
        "/opt/b/.tmp.binary.x",
        "/opt//b/./1.13.4/x",
    ],
)
def test_the_link_does_not_lie_in_the_store_or_in_its_way(link):
    assert "link /opt" in refusal(base_dir="/opt/b", link=link)


@pytest.mark.parametrize(
    "link",
    [
        "/opt/b/terraform",
        "/opt/b/current/terraform",
        "/opt/b/.tools/terraform",
        "/opt/b2/1.13.4",
        "/opt/bin",
        "/opt/b.link",
    ],
)
def test_links_beside_the_versions_are_fine(link):
    assert parse(base_dir="/opt/b", link=link).link == link


# checksum and policy


@pytest.mark.parametrize(
    "checksum",
    [
        "abc",
        "x" * 64,
        DIGEST[:-1],
        DIGEST + "0",
        "md5:" + "0" * 32,
        "sha512:" + DIGEST,
        "%s  other.zip" % DIGEST,
        "%s  terraform_1.13.3_linux_amd64.zip" % DIGEST,
        "%s  terraform_1.13.4_linux_arm64.zip" % DIGEST,
        "sha256:",
        "0x12",
    ],
)
def test_checksums_that_are_none(checksum):
    assert refusal(checksum=checksum).startswith("checksum")


@pytest.mark.parametrize(
    "checksum",
    [
        DIGEST,
        DIGEST.upper(),
        "sha256:" + DIGEST,
        " %s\n" % DIGEST,
        "%s  terraform_1.13.4_linux_arm64.zip\n%s  terraform_1.13.4_linux_amd64.zip\n" % ("0" * 64, DIGEST),
    ],
)
def test_checksums(checksum):
    assert parse(checksum=checksum).checksum == DIGEST


def test_the_line_for_the_platform_asked_for_is_used():
    lines = "%s  terraform_1.13.4_linux_arm64.zip\n%s  terraform_1.13.4_linux_amd64.zip\n" % ("0" * 64, DIGEST)
    assert parse(checksum=lines, platform="linux_arm64").checksum == "0" * 64


def test_pinned_needs_a_checksum():
    assert "needs checksum" in refusal(checksum_policy="pinned")
    assert parse(checksum_policy="pinned", checksum=DIGEST).policy == "pinned"
    assert parse(checksum_policy="pinned", state="absent").policy == "pinned"


@pytest.mark.parametrize(
    "site", ["http://mirror.example", "http://192.0.2.1:8080/x", "http://127.0.0.1.example", "http://[2001:db8::1]"]
)
def test_unsigned_sums_over_plain_http_are_refused(site):
    assert "plain http" in refusal(checksum_policy="sha256sums", sites=["https://good.example", site])
    assert parse(checksum_policy="sha256sums", sites=[site], checksum=DIGEST).sites == (site,)
    assert parse(checksum_policy="sha256sums", sites=[site], archive="/x.zip").sites == (site,)
    assert parse(checksum_policy="sha256sums", sites=[site], state="absent").sites == (site,)
    assert parse(checksum_policy="signature", sites=[site]).sites == (site,)


@pytest.mark.parametrize(
    "site",
    [
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://localhost/x",
        "http://[::1]:1",
        "https://mirror.example",
        "file:///srv/x",
    ],
)
def test_unsigned_sums_from_here_or_by_tls(site):
    assert parse(checksum_policy="sha256sums", sites=[site]).sites == (site,)


# sites


@pytest.mark.parametrize(
    "site",
    [
        "https://",
        "https:///x",
        "ftp://host/x",
        "host/x",
        "host.example",
        "https:host",
        "http://host:0",
        "http://host:99999",
        "http://host:port",
        "http://[::1",
        "https://host/?x=1",
        "https://host/#x",
        "https://host?x",
        "file://other/x",
        "file:x",
        "https://ho st/x",
        "https://host/a b",
        "https://host/\nhttps://two",
        "https://host\\@other",
        "\x01https://host",
    ],
)
def test_sites_that_are_none(site):
    assert refusal(sites=[site]).startswith("sites: ")


@pytest.mark.parametrize(
    "origin",
    [
        "https://user:SECRET@host/x",
        "https://SECRET@host/x",
        "user:SECRET@host/x",
        "https:user:SECRET@host",
        "see //SECRET@host",
        "ftp://user:SECRET@host",
        "https://user:S:ECRET@ho@st/x",
        "from https://user:SECRET@host:port/x",
    ],
)
def test_no_password_is_recorded_as_an_origin(origin):
    message = refusal(origin=origin, archive="/x.zip")
    assert message.startswith("origin has a user name or password in it") and "ECRET" not in message


@pytest.mark.parametrize(
    "origin, recorded",
    [
        ("https://host/x?signature=SECRET#SECRET", "https://host/x"),
        ("the ticket of alice@example.com", None),
        ("/srv/x.zip", None),
        ("https://host/@scope/x", None),
        ("s3://bucket/x", None),
        (None, None),
    ],
)
def test_an_origin_is_recorded_as_urls_are_shown(origin, recorded):
    assert parse(origin=origin, archive="/x.zip").origin == (recorded or origin)


@pytest.mark.parametrize(
    "site",
    [
        "https://user:SECRET@host/x",
        "https://SECRET@host",
        "http://SECRET:@host",
        "user:SECRET@host/x",
        "https:user:SECRET@host",
        "https:/user:SECRET@host",
        "ftp://user:SECRET@host",
        "https://user:SECRET@[bad",
        "https://user:SECRET@host:port",
        "https://user:SECRET@ho\u2100st",
        "https://host/?token=SECRET",
        "ftp://host/?token=SECRET",
        "https://user:SECRET @host",
        "https://host:port?token=SECRET",
        "file://SECRET@host/x",
        "https://host/#SECRET",
    ],
)
def test_no_secret_of_a_url_is_shown(site):
    message = refusal(sites=[site])
    assert message.startswith("sites: ") and "SECRET" not in message


@pytest.mark.parametrize(
    "site, kept",
    [
        ("https://host.example", "https://host.example"),
        ("https://host.example/a/b//", "https://host.example/a/b"),
        ("http://host:8080/x", "http://host:8080/x"),
        ("file:///srv/mirror/", "file:///srv/mirror"),
        ("file://localhost/srv", "file://localhost/srv"),
        ("https://host/a@b", "https://host/a@b"),
    ],
)
def test_sites(site, kept):
    assert parse(sites=[site]).sites == (kept,)


# platform


@pytest.mark.parametrize(
    "platform",
    [
        "linux",
        "linux_",
        "_amd64",
        "plan9_amd64",
        "linux_z80",
        "Linux_amd64",
        "linux_amd64/..",
        "linux-amd64",
    ],
)
def test_platforms_that_are_none(platform):
    assert refusal(platform=platform).startswith("platform ")


def test_a_platform_is_native_when_it_is_the_hosts():
    assert parse(platform="linux_amd64").native
    assert not parse(platform="linux_arm64").native
    assert parse(platform="linux_arm64").platform == "linux_arm64"


def test_an_unknown_host_needs_a_platform_and_is_never_native():
    def unknown():
        raise _errors.RequestError("no platform is known")

    with pytest.raises(_errors.RequestError):
        parse_module.parse_request(params(), unknown)
    parsed = parse_module.parse_request(params(platform="linux_amd64"), unknown)
    assert (parsed.platform, parsed.native) == ("linux_amd64", False)


# owner, group, mode


@pytest.mark.parametrize(
    "mode",
    [
        "4755",
        "2755",
        "1755",
        "0777",
        "0775",
        "0757",
        "0666",
        "0022",
        "0055",
        "0000",
        755,
        644,
        0o4755,
        0o777,
        "u=rwx",
        "+x",
        "rwxr-xr-x",
        "0x1ed",
        "0b111",
        "755.0",
        493.0,
        "0o",
        "-755",
        -493,
        "7 5 5",
        "000755",
        "99",
        True,
        False,
        [],
        [755],
        {},
        "7" * 5000,
    ],
)
def test_modes_that_are_refused(mode):
    assert refusal(mode=mode).startswith("mode ")


@pytest.mark.parametrize(
    "mode, words, advice",
    [
        (755, "mode 755 without a leading zero is decimal, in octal 1363", "write 0755, with the zero"),
        (700, "without a leading zero is decimal, in octal 1274", "write 0755, with the zero"),
        (
            0o775,
            "mode 0775 is not allowed: it lets group or others write the binary",
            "write '0755'",
        ),  # 509: nobody wrote that
        ("0775", "mode 0775 is not allowed: it lets group or others write the binary", "write '0755'"),
        ("0o757", "mode 0757 is not allowed: it lets group or others write", "write '0755'"),
        ("04755", "mode 4755 is not allowed: it has a setuid, setgid or sticky bit", "write '0755'"),
        ("0055", "mode 0055 is not allowed: its owner cannot read it", "write '0455'"),
        ("u=rwx,go=rx", "is not octal permission bits", "write 0755, with the zero (in a playbook in quotes: '0755')"),
    ],
)
def test_the_error_for_a_refused_mode_says_what_was_meant(mode, words, advice):
    message = refusal(mode=mode)
    assert words in message and advice in message


def test_no_decimal_that_reads_as_octal_passes():
    """Written without quotes and without a leading zero: whatever is a right mode in octal is refused, not misread."""
    for mode in range(0o1000):
        if not mode & ~0o755 and mode & 0o400:
            assert "without a leading zero is decimal" in refusal(mode=int("%o" % mode))


@pytest.mark.parametrize(
    "mode, bits",
    [
        ("0755", 0o755),
        ("755", 0o755),
        ("0o755", 0o755),
        ("0O755", 0o755),
        (493, 0o755),
        (0o555, 0o555),
        ("0500", 0o500),
        (" 0755 ", 0o755),
        ("'0755'", 0o755),
        ('"755"', 0o755),
        ("00755", 0o755),
        ("0644", 0o644),
    ],
)
def test_modes(mode, bits):
    assert parse(mode=mode).mode == bits


def test_owner_and_group_by_name_and_number():
    me, group = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
    parsed = parse(owner=me.pw_name, group=group.gr_name)
    assert (parsed.uid, parsed.gid) == (me.pw_uid, group.gr_gid)
    parsed = parse(owner="0", group="4294967294")
    assert (parsed.uid, parsed.gid) == (0, 4294967294)


@pytest.mark.parametrize("option", ["owner", "group"])
@pytest.mark.parametrize(
    "name",
    [
        "nobody-of-that-name",
        "-1",
        "1.5",
        "\u0663",
        "\u00b2",
        "a\0b",
        "4294967295",
        "99999999999",
        "9" * 5000,
    ],
)
def test_owners_and_groups_that_are_none(option, name):
    assert refusal(**{option: name}).startswith("%s " % option)


# numbers


@pytest.mark.parametrize(
    "option, number",
    [
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", 86401),
        ("timeout", 10**12),
        ("keep", 0),
        ("keep", -1),
        ("keep", 1001),
        ("retries", 0),
        ("retries", -1),
        ("retries", 1001),
        ("lock_timeout", -1),
        ("lock_timeout", 86401),
    ],
)
def test_numbers_out_of_range(option, number):
    assert refusal(**{option: number}).startswith("%s is %d " % (option, number))


def test_numbers_at_the_edge():
    assert (parse().keep, parse(keep=1).keep, parse(keep=1000).keep) == (None, 1, 1000)
    assert parse(keep=1, state="absent").keep is None, "a removal removes what it is asked for"
    parsed = parse(timeout=1, retries=1, lock_timeout=0)
    assert (parsed.timeout, parsed.retries, parsed.lock_timeout) == (1, 1, 0)
    parsed = parse(timeout=86400, retries=1000, lock_timeout=86400)
    assert (parsed.timeout, parsed.retries, parsed.lock_timeout) == (86400, 1000, 86400)


def test_a_download_request_is_part_of_the_request():
    given = dict(
        checksum=DIGEST,
        trusted_keys=[" KEY "],
        sites=["https://one.example/"],
        timeout=7,
        retries=2,
        archive="/a//b.zip",
    )
    parsed, order = parse(**given), parse_module.parse_download_request(params(**given), "linux_amd64")
    for field in _records.DownloadRequest._fields:
        assert getattr(order, field) == getattr(parsed, field), field
    assert (order.sites, order.archive, order.timeout) == (("https://one.example",), "/a/b.zip", 7)


def test_an_order_knows_no_users_of_the_controller():
    assert (
        parse_module.parse_download_request(
            params(owner="nobody-has-this-name", group="nor-this"), "darwin_arm64"
        ).platform
        == "darwin_arm64"
    )


@pytest.mark.parametrize(
    "options, words",
    [
        ({"version": "1.10"}, "1.10"),
        ({"sites": ["ftp://x"]}, "sites"),
        ({"timeout": 0}, "timeout"),
        ({"checksum_policy": "pinned"}, "checksum"),
        ({"checksum_policy": "sha256sums", "sites": ["http://far.example"]}, "http"),
    ],
)
def test_an_order_is_checked(options, words):
    with pytest.raises(_errors.RequestError) as caught:
        parse_module.parse_download_request(params(**options), "linux_amd64")
    assert words in str(caught.value)


def test_an_order_may_come_before_its_version_and_its_platform():
    lines = "%s  terraform_1.13.4_linux_amd64.zip" % DIGEST
    early = parse_module.parse_download_request(params(version="~> 1.13.0", checksum=lines), None)
    assert (early.version, early.platform, early.checksum) == (None, None, None)
    late = parse_module.parse_download_request(params(version="~> 1.13.0", checksum=lines), "linux_amd64", "1.13.4")
    assert (late.version, late.platform, late.checksum) == ("1.13.4", "linux_amd64", DIGEST)


def test_where_archives_are_kept():
    assert parse_module.parse_cache_options(params()) == (None, 3)
    assert parse_module.parse_cache_options(params(cache_dir=" ", cache_keep=1)) == (None, 1)
    assert parse_module.parse_cache_options(params(cache_dir="/var//cache/x/", cache_keep=1000)) == (
        "/var/cache/x",
        1000,
    )
    for options in ({"cache_dir": "x"}, {"cache_dir": "/a/../b"}, {"cache_keep": 0}, {"cache_keep": 1001}):
        with pytest.raises(_errors.RequestError):
            parse_module.parse_cache_options(params(**options))


@pytest.mark.parametrize(
    "option, example",
    [
        ("ca_path", "/etc/ssl/our-ca.pem"),
        ("client_cert", "/etc/ssl/builder.pem"),
        ("client_key", "/etc/ssl/builder.key"),
        ("link", "/usr/local/bin/terraform"),
        ("base_dir", "/opt/iac-platform/terraform-binaries"),
        ("archive", "/srv/incoming/terraform_1.13.4_linux_amd64.zip"),
    ],
)
def test_a_relative_path_is_shown_one_of_that_option(option, example):
    with pytest.raises(_errors.RequestError) as caught:
        parse(**{option: "some/thing"})
    assert option in str(caught.value) and caught.value.hint == "write it from the root: " + example
