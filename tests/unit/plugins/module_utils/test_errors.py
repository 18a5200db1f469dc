# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error tree: each class carries its step, each instance what the operator needs, in one line."""

import base64
import errno
import json
import os
from urllib.parse import quote

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    MESSAGE_LIMIT,
    FetchError,
    InstallError,
    LockError,
    RequestError,
    TerraformBinaryError,
    compose_message,
    errno_text,
    os_error_context,
    printable,
    quoted,
    redacted,
    redacting,
    to_result,
)

STEPS = {
    "RequestError": "request",
    "FetchError": "fetch",
    "VerificationError": "verify",
    "ClockError": "verify",
    "ArchiveError": "extract",
    "InstallError": "install",
    "LockError": "lock",
    "RunCheckError": "run_check",
    "MissingDependency": "setup",
}


def test_the_tree_is_complete():
    classes = dict(
        (name, value)
        for name, value in vars(_errors).items()
        if isinstance(value, type) and issubclass(value, TerraformBinaryError)
    )
    assert classes.pop("TerraformBinaryError").step == ""
    assert dict((name, value.step) for name, value in classes.items()) == STEPS


def test_a_message_is_one_line_and_the_rest_is_kept():
    error = InstallError("no\n  room\tleft", path="/a", url="https://b/", errno=errno.ENOSPC, hint="make some")
    assert str(error) == "no room left"
    assert (error.path, error.url, error.errno, error.hint) == ("/a", "https://b/", errno.ENOSPC, "make some")
    assert error.changed is False


def test_a_message_has_nothing_in_it_that_moves_a_terminal_or_cannot_be_written():
    assert str(InstallError("left \x1b[2J\u202e and \udcff there, \u00e9")) == "left ?[2J? and ? there, \u00e9"


def test_a_value_of_a_result_is_cleaned_through_and_through():
    value = {
        "a\x1b[2J": ("b\n", ["c\udcff", {"d\u202e": None}]),
        "size": 5,
        "changed": True,
        "\xe9 \u4e2d": "\xe9 \u4e2d",
    }
    assert printable(value) == {
        "a?[2J": ["b?", ["c?", {"d?": None}]],
        "size": 5,
        "changed": True,
        "\xe9 \u4e2d": "\xe9 \u4e2d",
    }


def test_blanks_of_all_kinds_stay():
    assert printable("/opt/a\xa0b\u3000c d") == "/opt/a\xa0b\u3000c d" and printable("a\u2028b\u200bc\td") == "a?b?c?d"


def test_a_failure_is_cleaned():
    error = InstallError("no \udcff", path="/a\udcff\n", url="https://b/\x1b", hint="remove /a\udcff")
    result = to_result(error, "target", "ho\udcffst")
    assert result["msg"] == "no ?; remove /a?"
    assert [result["error"][key] for key in ("path", "url", "hint", "host")] == [
        "/a??",
        "https://b/?",
        "remove /a?",
        "ho?st",
    ]


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, (False, True, None)),
        ({"retry": True, "next_site": False, "status": 503}, (True, False, 503)),
    ],
)
def test_a_fetch_error_says_what_may_be_tried(given, expected):
    error = FetchError("no", url="https://b/", **given)
    assert (error.retry, error.next_site, error.status) == expected
    assert error.url == "https://b/"


def test_what_the_system_says_becomes_an_error_with_act_and_path(tmp_path):
    path = str(tmp_path / "missing")
    with pytest.raises(InstallError) as caught, os_error_context("read the book", path):
        open(path)
    assert str(caught.value) == "read the book %s: No such file or directory (ENOENT)" % path
    assert (caught.value.path, caught.value.errno, caught.value.hint) == (path, errno.ENOENT, InstallError.way_out)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_another_class_may_be_asked_for():
    with pytest.raises(RequestError) as caught, os_error_context("read", "/a", RequestError):
        raise OSError(errno.EIO, "x")
    assert caught.value.errno == errno.EIO


@pytest.mark.parametrize(
    "number, words",
    [
        (errno.EACCES, "let the user"),
        (errno.EPERM, "let the user"),
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "kernel log"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
def test_the_usual_way_out(number, words):
    with pytest.raises(InstallError) as caught, os_error_context("do", "/a"):
        raise OSError(number, "x")
    assert words in caught.value.hint and "choose" not in caught.value.hint


@pytest.mark.parametrize(
    "place, option, rights",
    [
        ("base_dir", "base_dir", "run as a user"),
        ("link", "link", "run as a user"),
        ("cache_dir", "cache_dir", "the user who runs Ansible"),
        ("local_tmp", "local_tmp (ANSIBLE_LOCAL_TEMP)", "who runs Ansible"),
    ],
)
@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_the_way_out_is_that_of_the_place(number, place, option, rights):
    with pytest.raises(InstallError) as caught, os_error_context("do", "/a", place=place):
        raise OSError(number, "x")
    assert caught.value.hint.endswith(", or choose another %s" % option)
    assert (rights in caught.value.hint) == (number in (errno.EACCES, errno.EPERM))


@pytest.mark.parametrize("there, reported", [("sudo", True), ("doas", True), ("su", False), (None, False)])
@pytest.mark.parametrize("place", ["base_dir", "link"])
def test_become_is_named_only_where_the_machine_has_a_way_to_it(place, there, reported, tmp_path, monkeypatch):
    """An execution environment has no sudo: advice to use it would lead nowhere."""
    if there:
        (tmp_path / there).write_text("")
        (tmp_path / there).chmod(0o755)
    monkeypatch.setattr(_errors, "_ALSO", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _errors.hint_for(errno.EACCES, place) == "run as a user who may do this%s, or choose another %s" % (
        " (become: true)" if reported else "",
        place,
    )


def test_a_better_way_out_wins():
    with pytest.raises(InstallError) as caught, os_error_context("do", "/a", hint="ask Ann"):
        raise OSError(errno.EACCES, "x")
    assert caught.value.hint == "ask Ann"


@pytest.mark.parametrize("error", [LockError("held", errno=errno.EAGAIN), ValueError("no"), KeyboardInterrupt()])
def test_what_is_no_error_of_the_system_passes(error):
    with pytest.raises(type(error)) as caught, os_error_context("do", "/a"):
        raise error
    assert caught.value is error


def test_an_error_of_the_system_without_a_number():
    with pytest.raises(InstallError) as caught, os_error_context("do", "/a"):
        raise OSError("the moon is wrong")
    assert str(caught.value) == "do /a: the moon is wrong"


def test_numbers_are_spelled_out():
    assert errno_text(errno.EACCES) == "Permission denied (EACCES)"
    assert errno_text(999999) == "%s (999999)" % os.strerror(999999)
    assert errno_text(None, "whatever") == "whatever"


def test_a_failure_as_ansible_gets_it():
    error = InstallError("no room", path="/a", errno=errno.ENOSPC, hint="make some")
    error.changed = True
    assert to_result(error, "target", "web1") == {
        "msg": "no room; make some",
        "changed": True,
        "error": {
            "step": "install",
            "side": "target",
            "host": "web1",
            "path": "/a",
            "url": None,
            "errno": errno.ENOSPC,
            "errno_name": "ENOSPC",
            "hint": "make some",
        },
    }


def test_a_failure_without_a_number_has_no_name_for_it():
    result = to_result(LockError("no"), "controller", "localhost")
    assert (result["msg"], result["changed"]) == ("no", False)
    assert (result["error"]["errno"], result["error"]["errno_name"]) == (None, None)
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("size, expected", [(MESSAGE_LIMIT, MESSAGE_LIMIT), (MESSAGE_LIMIT + 1, MESSAGE_LIMIT)])
def test_a_long_message_is_cut(size, expected):
    """In its middle, where long paths are."""
    message = to_result(LockError("a" + "x" * (size - 2) + "z"), "target", "web1")["msg"]
    assert expected - 1 <= len(message) <= expected and (message[0], message[-1]) == ("a", "z")
    assert ("x...x" in message) == (size > MESSAGE_LIMIT)


@pytest.mark.parametrize("error", [FetchError, InstallError, RequestError])
def test_an_error_without_a_hint_has_that_of_its_class(error):
    assert error("no").hint == error.way_out and error("no", hint="do that").hint == "do that"
    assert to_result(error("no"), "target", "web1")["msg"] == "no; %s" % error.way_out


def test_what_to_do_is_never_cut():
    message = to_result(InstallError("x" * 1000, hint="do that"), "target", "web1")["msg"]
    assert MESSAGE_LIMIT - 1 <= len(message) <= MESSAGE_LIMIT and message.endswith("x; do that")
    assert to_result(InstallError("x" * 1000, hint="y" * 500), "target", "web1")["msg"].endswith("; " + "y" * 500)


SECRET = "p\\ss/w\u00f6rd of alice"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("it is %s." % SECRET, "it is ********."),
        ("%s, again %s" % (SECRET, SECRET), "********, again ********"),
        ("http://x/p%5Css%2Fw%C3%B6rd%20of%20alice/y", "http://x/********/y"),
        ("beginning with " + quoted(SECRET), "beginning with '********'"),
        ("beginning with " + quoted("'" + SECRET), 'beginning with "\'********"'),
        (quoted("-" * 50 + SECRET), "'%s********'..." % ("-" * 50)),
        (quoted("'" + "-" * 50 + SECRET), '"\'%s********"...' % ("-" * 50)),
        (quoted("-" * 58 + SECRET), "'%sp\\\\'..." % ("-" * 58)),  # so little does not give it away
        ("p\\ss/w\u00f6rd of bob", "p\\ss/w\u00f6rd of bob"),
    ],
)
def test_secrets_are_redacted_however_they_are_written(text, expected):
    assert redacted(text, [SECRET]) == expected


TOKEN = "s.T0ken+of/Alice~42"
CODED = base64.b64encode(TOKEN.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        TOKEN.upper(),
        TOKEN.lower(),
        TOKEN.swapcase(),
        quote(TOKEN),
        quote(TOKEN, safe=""),
        quote(TOKEN, safe="").lower(),
        quote(quote(TOKEN, safe=""), safe=""),
        quote(quote(quote(TOKEN, safe=""), safe=""), safe=""),
        "".join("%%%02x" % ord(char) for char in TOKEN),
        "".join("%%25%02X" % ord(char) for char in TOKEN),
        "s%2et0ken" + TOKEN[7:],
        TOKEN.replace("+", " "),
        TOKEN.replace("+", "%20"),
        TOKEN.replace("/", "\\x2f"),
        "".join("\\x%02x" % ord(char) for char in TOKEN),
        "".join("\\u%04x" % ord(char) for char in TOKEN),
        "".join("\\U%08X" % ord(char) for char in TOKEN),
        CODED,
        CODED.rstrip("="),
        CODED.lower(),
        quote(CODED, safe=""),
        base64.urlsafe_b64encode(TOKEN.encode()).decode(),
    ],
)
def test_secrets_are_redacted_in_other_letters(text):
    reported = redacted("1.0.0-%s (next lower), again %s" % (text, text), ["other", TOKEN])
    assert reported.replace("=", "").replace("%3D", "") == "1.0.0-******** (next lower), again ********"
    assert redacted(quoted("x" * 20 + text, 20 + len(text) // 2), [TOKEN]) == "'%s********'..." % ("x" * 20)


UMLAUTS = "\xc4rger\xdcber\xd6l-2026"


@pytest.mark.parametrize(
    "text",
    [
        UMLAUTS,
        UMLAUTS.lower(),
        UMLAUTS.upper(),
        UMLAUTS.swapcase(),
        quote(UMLAUTS),
        quote(UMLAUTS.lower()),
        quote(UMLAUTS).lower(),
        quote(quote(UMLAUTS)),
        ascii(UMLAUTS)[1:-1],
    ],
)
def test_letters_beyond_ascii_are_redacted_too(text):
    assert redacted("x-%s, y" % text, [UMLAUTS]) == "x-********, y"


def test_a_short_secret_is_redacted_as_it_is():
    assert redacted("an ant, AN ANT, YW50, %61nt", ["ant"]) == "an ********, AN ANT, YW50, %61nt"


@pytest.mark.parametrize("end", ["", "'...", "x4", "%25"])
def test_a_long_row_of_backslashes_takes_no_longer_than_other_text(end):
    """The square of its length would be hours."""
    text = "\\" * 400000 + end
    assert redacted(text, ["s3cr3t-token"]) == text


def test_a_whole_result_is_redacted():
    assert redacted({"SESAME": [1, None, ("x-sesame",)], "a": {"b": True}}, ["sesame"]) == {
        "********": [1, None, ["x-********"]],
        "a": {"b": True},
    }


def test_a_blank_in_a_secret_may_be_several():
    error = FetchError("no open  ses\u00e4me and OPEN%20SES%C3%A4ME")
    error.redact(["open  ses\u00e4me"])
    assert str(error) == "no ******** and ********"


def test_what_to_do_has_no_secret_either():
    error = FetchError("x", hint="versions there: 1.0.0-sesame", path="/sesame")
    error.redact(["sesame"])
    assert (error.hint, error.path) == ("versions there: 1.0.0-********", "/********")


def test_a_secret_within_another_is_redacted_with_it():
    assert redacted("alice-2 and alice", ["alice", "alice-2"]) == "******** and ********"


def test_an_error_is_reported_without_secrets():
    with pytest.raises(FetchError) as caught, redacting(["sesame"]):
        raise FetchError("no sesame from http://x/sesame", url="http://x/sesame")
    assert (str(caught.value), caught.value.url) == ("no ******** from http://x/********", "http://x/********")


HINT = "free some space"


@pytest.mark.parametrize(
    "message, hint, machine, expected",
    [
        ("no room", None, "", "no room"),
        ("no room", HINT, "", "no room; free some space"),
        ("no room", HINT, "web1", "web1: no room; free some space"),
        ("web1 has no room", HINT, "web1", "web1 has no room; free some space"),
        ("web1: no room", None, "web1", "web1: no room"),
        ("controller: no room", None, "control", "control: controller: no room"),
        ("x" * 399 + "z", HINT, "web1", "web1: %s...%sz; %s" % ("x" * 248, "x" * 125, HINT)),
    ],
)
def test_a_failure_is_one_line_and_what_to_do_is_never_cut(message, hint, machine, expected):
    assert compose_message(message, hint, machine) == expected and len(expected) <= MESSAGE_LIMIT


@pytest.mark.parametrize("side, changed", [("target", True), ("controller", False)])
def test_only_an_error_of_the_target_says_that_it_was_changed(side, changed):
    with pytest.raises(_errors.InstallError) as caught, _errors.after_change():
        raise _errors.InstallError("too late", errno=5)
    assert _errors.to_result(caught.value, side, "h")["changed"] is changed


def test_of_a_long_line_urls_and_digests_are_shortened_first():
    url = "https://mirror.example:8443/%s/terraform/1.13.4/terraform_1.13.4_linux_amd64.zip" % ("a" * 200)
    message = "%s has sha256 %s, expected %s" % (url, "0f" * 32, "a1" * 32)
    assert compose_message(message, HINT) == (
        "https://mirror.example:8443/.../terraform_1.13.4_linux_amd64.zip has sha256 0f0f0f0f0f0f..., "
        "expected a1a1a1a1a1a1...; free some space"
    )
    assert compose_message(url) == url and compose_message("sha256 %s" % ("0f" * 32), HINT) == "sha256 %s; %s" % (
        "0f" * 32,
        HINT,
    )


def test_only_a_regular_file_is_opened(tmp_path):
    """A pipe that nobody writes to would be waited for, and a device never ends."""
    (tmp_path / "file").write_text("x")
    os.mkfifo(str(tmp_path / "pipe"))
    os.symlink("pipe", str(tmp_path / "link"))
    with _errors.open_regular(str(tmp_path / "file")) as stream:
        assert stream.read() == b"x"
    for path in (str(tmp_path / "pipe"), str(tmp_path / "link"), "/dev/zero", "/dev/null", str(tmp_path)):
        with pytest.raises(RequestError) as caught, os_error_context("ca_path: read", path, RequestError):
            _errors.open_regular(path)
        assert str(caught.value) == "ca_path: read %s: not a regular file" % path and caught.value.errno is None
    with pytest.raises(FileNotFoundError):
        _errors.open_regular(str(tmp_path / "none"))
