# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate for what targets answer: what the module says passes, whatever is wrong with it is refused as a whole."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._release import layout
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers import gate

DIGEST = "0123456789abcdef" * 4
PATH = "/opt/store/1.13.4/terraform"
HONEST = {
    "failed": False,
    "changed": True,
    "msg": "Terraform 1.13.4 installed",
    "steps": ["target: one", "target: two"],
    "version": "1.13.4",
    "requested": "~> 1.13.0",
    "path": PATH,
    "link": "/usr/local/bin/terraform",
    "previous_version": "1.13.3",
    "base_dir": "/opt/store",
    "platform": "linux_amd64",
    "binary_sha256": DIGEST,
    "archive_sha256": DIGEST,
    "size": 90579096,
    "downloaded_bytes": 27843419,
    "needs_archive": True,
    "verification": {
        "policy": "signature",
        "signer": "C874011F0AB405110D02105534365D9472D7468F",
        "signed_at": "2025-04-09T13:35:39Z",
        "site": "https://releases.hashicorp.com",
    },
    "intact_versions": ["1.13.3", "1.14.0-rc1"],
    "removed": [],
    "backup_file": "/usr/local/bin/terraform.1.2025~",
}
FAILURE = {
    "failed": True,
    "changed": False,
    "msg": "open /opt: denied",
    "steps": [],
    "previous_version": None,
    "error": {
        "step": "run_check",
        "side": "target",
        "host": "web1",
        "path": "/opt",
        "url": None,
        "errno": 13,
        "errno_name": "EACCES",
        "hint": "become",
    },
}


def read(raw, job=False, **asked):
    return gate.read_answer(raw, "web1", gate.Asked(**dict({"base_dir": None, "link": None}, **asked)), job)


def refusal(raw, **asked):
    with pytest.raises(gate.AnswerError) as caught:
        read(raw, **asked)
    message = str(caught.value)
    assert message.startswith("web1 answered what this module does not say: ") and message.isprintable()
    assert len(message) < 400 and caught.value.step == "plan" and caught.value.hint
    return message


def test_what_the_module_says_passes_and_comes_out_again():
    raw = gate.as_raw(
        read(HONEST, version="1.13.4", platform="linux_amd64", base_dir="/opt/store", link="/usr/local/bin/terraform")
    )
    assert raw == HONEST


@pytest.mark.parametrize("needs", [True, None])
def test_a_version_that_the_host_chooses_costs_no_download(needs):
    """For version: previous, whatever version a host names would be downloaded."""
    assert read(dict(HONEST, needs_archive=False), downloads=False).version == "1.13.4"
    assert "needs_archive is '%s', expected False" % needs in refusal(
        dict(HONEST, needs_archive=needs), downloads=False
    )


@pytest.mark.parametrize(
    "path",
    [
        "/opt/store",
        "/opt/store/1.13.3",
        "/opt/store/.terraform-1.13.3.lock",
        "/usr/local/bin/terraform",
    ],
)
def test_what_was_removed_is_below_the_base_dir_or_the_link(path):
    assert read(dict(HONEST, removed=[path])).removed == (path,)
    for lie in ("/etc" + path, path + "/../../../etc", "1.13.3", "/opt/store2/x", "/usr/local/bin"):
        assert "expected paths below /opt/store" in refusal(dict(HONEST, removed=[path, lie])), lie


def test_nothing_is_removed_unless_that_was_asked_for():
    assert "expected nothing, since nothing was to be removed" in refusal(
        dict(HONEST, removed=["/opt/store/1.13.3"]), removes=False
    )
    assert read(HONEST, removes=False).removed == ()


def test_a_failure_passes_and_comes_out_again():
    raw = gate.as_raw(read(FAILURE, version="1.13.4"))
    assert raw == {name: value for name, value in FAILURE.items() if value is not None or name == "previous_version"}
    assert "previous_version" in raw


def test_of_what_it_printed_at_length_the_ends_are_kept():
    text = "\n".join("line %d" % number for number in range(40000))
    found = gate.as_raw(read({"failed": True, "msg": "MODULE FAILURE", "module_stderr": text}))["module_stderr"]
    assert found.startswith("line 0\n") and found.endswith("line 39999") and len(found) < 66000 and "\n...\n" in found


def test_what_python_printed_before_it_ended_passes():
    raw = {
        "failed": True,
        "msg": "MODULE FAILURE\nSee stdout",
        "module_stderr": "Traceback\n  one\x1b[31m\n",
        "rc": 1,
        "module_stdout": "",
        "exception": "(traceback unavailable)",
    }
    found = gate.as_raw(read(raw, version="1.13.4"))
    assert found["msg"] == "MODULE FAILURE See stdout" and found["rc"] == 1
    assert found["module_stderr"] == "Traceback\n  one?[31m\n" and found["changed"] is False


def test_facts_and_what_the_module_never_says_do_not_pass():
    raw = dict(
        HONEST,
        ansible_facts={"ansible_python_interpreter": "/tmp/evil"},
        ansible_included_var_files=["/etc/shadow"],
        add_host={"host_name": "evil"},
        _ansible_delegated_vars={},
        results=[1],
    )
    assert gate.as_raw(read(raw)) == HONEST


@pytest.mark.parametrize("raw", [None, [], "text", 5])
def test_a_result_is_a_mapping(raw):
    assert "a result is" in refusal(raw)


@pytest.mark.parametrize(
    "name, value",
    [
        ("version", "1.13.4'\n!touch /tmp/x\n'"),
        ("version", "1.13.4/../../../api?x="),
        ("version", "v1.13.4"),
        ("version", "1.13"),
        ("version", "1.13.4 "),
        ("version", ["1.13.4"]),
        ("version", 5),
        ("version", "1.13.4-" + "a" * 500),
        ("version", "latest"),
        ("platform", 5),
        ("platform", "linux_amd64/.."),
        ("platform", "linux"),
        ("platform", "linux_amd64\n"),
        ("binary_sha256", "0" * 63),
        ("binary_sha256", DIGEST + "\n"),
        ("archive_sha256", DIGEST.upper()),
        ("archive_sha256", 1),
        ("size", -1),
        ("size", "5"),
        ("size", True),
        ("size", 1 << 80),
        ("size", 1.5),
        ("downloaded_bytes", "x"),
        ("downloaded_bytes", -5),
        ("needs_archive", "yes"),
        ("needs_archive", 1),
        ("changed", "true"),
        ("changed", 0),
        ("failed", "no"),
        ("steps", 5),
        ("steps", "line"),
        ("steps", [5]),
        ("steps", ["x"] * 10001),
        ("steps", ["x" * 9000]),
        ("removed", {"a": 1}),
        ("removed", [None]),
        ("intact_versions", ["1.13.4", "../x"]),
        ("intact_versions", "1.13.4"),
        ("intact_versions", ["1.0.0"] * 1000000),
        ("intact_versions", [1.10]),
        ("path", 5),
        ("path", "/" + "x" * 9000),
        ("link", {}),
        ("previous_version", 5),
        ("base_dir", []),
        ("requested", 1.10),
        ("msg", ["text"]),
        ("msg", "x" * 70000),
        ("verification", "good"),
        ("verification", {"policy": "none"}),
        ("verification", {"signer": "x"}),
        ("verification", {"signed_at": "yesterday"}),
        ("verification", {"site": 5}),
        ("verification", {"policy": 5}),
        ("diff", [[[[[[[[[[1]]]]]]]]]]),
        ("diff", ["x"] * 20000),
        ("warnings", ["x" * 70000]),
        ("diff", 5),
        ("diff", ["x"]),
        ("diff", {"before": float("nan")}),
        ("diff", {"after": float("-inf")}),
        ("diff", {"before": 10**30}),
        ("uid", float("inf")),
        ("rc", "0"),
        ("uid", "0"),
        ("owner", 5),
        ("mode", 0o755),
        ("warnings", 5),
        ("warnings", "text"),
        ("warnings", {"a": 1}),
        ("warnings", ["  controller: forged"]),
        ("invocation", "text"),
        ("steps", ["controller: forged"]),
        ("steps", ["target: a", "b"]),
        ("steps", ["\ntarget: a"]),
        ("path", "relative"),
        ("path", "/opt/store/../x"),
        ("link", "bin/terraform"),
        ("link", "/usr/../x"),
        ("base_dir", "store"),
        ("backup_file", "terraform.1~"),
        ("backup_file", "/etc/shadow"),
        ("base_dir", None),
        ("path", None),
        ("path", "/opt/store/1.13.3/terraform"),
        ("path", "/tmp/evil"),
        ("error", "text"),
        ("error", {"errno": "13"}),
        ("error", {"step": "a b"}),
        ("error", {"errno_name": "x\n"}),
        ("error", {"path": 5}),
        ("ansible_job_id", "../x"),
        ("ansible_job_id", 5),
    ],
)
def test_whatever_is_wrong_is_refused(name, value):
    assert refusal(dict(HONEST, **{name: value})).split(": ")[1].startswith(name)


def test_another_version_or_platform_than_was_asked_for_is_refused():
    assert "version is '1.13.4', expected 1.13.3, which was asked for" in refusal(HONEST, version="1.13.3")
    assert "platform is 'linux_amd64', expected linux_arm64" in refusal(HONEST, platform="linux_arm64")
    assert "expected one that was asked for" in refusal(HONEST, allows=lambda version: False)
    assert "version is 'None', expected 1.13.4" in refusal(dict(HONEST, version=None), version="1.13.4")
    assert "platform is 'None', expected a platform" in refusal(dict(HONEST, platform=None))
    assert read(HONEST, allows=lambda version: version == "1.13.4").version == "1.13.4"


def test_texts_are_printable_wherever_they_stand():
    evil = "a\x1b]0;x\x07\n[WARNING]: forged\u202e"
    answer = read(
        dict(
            HONEST,
            msg=evil,
            steps=["target: " + evil],
            requested=evil,
            removed=[PATH + evil],
            warnings=[evil],
            diff={evil: [evil]},
            invocation={"module_args": {"a": evil}},
            owner=evil,
        )
    )

    def texts(value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for pair in value.items():
                yield from texts(list(pair))
        elif isinstance(value, (list, tuple)):
            for one in value:
                yield from texts(one)

    found = [text for text in texts(gate.as_raw(answer)) if "forged" in text]
    assert len(found) == 9 and all(text.isprintable() for text in found)


def test_a_job_in_the_background_passes_with_what_core_needs():
    job = {"ansible_job_id": "j123.45", "results_file": "/home/a/.ansible_async/j123.45", "started": 1, "finished": 0}
    assert gate.as_raw(read(dict(job, changed=True, failed=False, evil="x"), version="1.13.4", job=True)) == dict(
        job, changed=True
    )
    assert refusal(dict(job, started="yes"), job=True)


@pytest.mark.parametrize("failed", [0, 1, False, True])
def test_what_starts_a_job_may_say_failed_as_a_number(failed):
    """As async_wrapper does up to ansible-core 2.18."""
    job = {"ansible_job_id": "j123.45", "results_file": "/home/a/.ansible_async/j123.45", "started": 1, "finished": 0}
    assert read(dict(job, failed=failed), version="1.13.4", job=True).failed is bool(failed)
    assert refusal(dict(job, failed=2), job=True) and refusal(dict(HONEST, failed=0), version="1.13.4")


def test_a_job_that_nobody_started_is_refused():
    """It would pass without its version and platform being looked at."""
    job = {"ansible_job_id": "j123.45", "results_file": "/x", "started": 1, "finished": 0}
    assert "ansible_job_id" in refusal(dict(HONEST, version="1.9.8", **job), version="1.13.4")


@pytest.mark.parametrize(
    "name, lie, asked",
    [
        ("base_dir", "/srv/evil", {"base_dir": "/opt/store"}),
        ("link", "/usr/bin/passwd", {"link": "/usr/local/bin/terraform"}),
        ("link", None, {"link": "/usr/local/bin/terraform"}),
        ("link", "/usr/local/bin/terraform", {"link": ""}),
    ],
)
def test_a_place_that_was_not_asked_for_is_refused(name, lie, asked):
    claimed = dict(HONEST, backup_file=None, **{name: lie})
    if name == "base_dir":
        claimed["path"] = PATH.replace("/opt/store", lie)
    if asked["link" if name == "link" else name] == "":
        assert "link is " in refusal(claimed, **asked)
        return
    read(claimed)  # it is in order in itself
    assert "%s is %s, expected %s, which was asked for" % (name, ascii(str(lie)), asked[name]) in refusal(
        claimed, **asked
    )


def test_without_a_version_there_is_no_path():
    unknown = dict(HONEST, version=None, path=None)
    assert gate.as_raw(read(unknown))["path"] is None
    assert "path is" in refusal(dict(unknown, path=PATH))


@pytest.mark.parametrize(
    "given, expected",
    [
        (None, "/opt/iac-platform/terraform-binaries"),
        ("/opt/x/", "/opt/x"),
        ("//opt//./x", "/opt/x"),
        ("/opt/\tx", "/opt/?x"),
        ("~/x", None),
        ("~alice/x", None),
        ("/opt/$X", None),
        ("$HOME/x", None),
        ("/opt/\u00e9 x", "/opt/\u00e9 x"),
    ],
)
def test_a_path_is_reported_as_the_module_does_or_left_to_the_host(given, expected):
    assert gate.asked_path(given, "/opt/iac-platform/terraform-binaries") == expected


def test_no_link_is_no_link():
    assert gate.asked_path(None, "") == ""


def test_all_texts_together_are_bounded():
    line = "target: " + "x" * 8000
    assert len(read(dict(HONEST, steps=[line] * 100)).steps) == 100
    for lie in (
        {"steps": [line] * 140},
        {"steps": [line] * 70, "removed": [line] * 70},
        {"steps": [line] * 70, "diff": {"before": {str(number): line for number in range(70)}}},
        {"intact_versions": ["1.13.4-" + "a" * 50] * 10000, "steps": [line] * 70},
        {"warnings": [line] * 140},
    ):
        assert "all text is 'longer', expected at most 1048576 characters" in refusal(dict(HONEST, **lie)), sorted(lie)


def test_no_line_of_an_exception_looks_like_one_of_ansible():
    forged = "Traceback\n\n[WARNING]: forged\r\nPLAY RECAP\u2028ok: [web2]"
    found = gate.as_raw(read({"failed": True, "msg": "x", "exception": forged, "module_stdout": "a\nb"}))
    assert found["exception"] == "    Traceback\n\n    [WARNING]: forged?\n    PLAY RECAP?ok: [web2]"
    assert found["module_stdout"] == "a\nb"


@pytest.mark.parametrize(
    "path",
    [
        "relative",
        "/tmp/a'b",
        "/tmp/a\n!touch /tmp/x",
        "/tmp/a b",
        "/tmp/$(x)",
        "/tmp/a;b",
        "/tmp/a\x0b",
        "/tmp/a\n",
        '/tmp/"x',
    ],
)
def test_a_directory_that_a_target_names_has_plain_characters(path):
    with pytest.raises(gate.AnswerError) as caught:
        gate.check_target_path(path, "web1")
    assert "its temporary directory is" in str(caught.value) and str(caught.value).isprintable()


def test_an_ordinary_directory_passes():
    gate.check_target_path("/home/ops/.ansible/tmp/ansible-tmp-1764.5-2_x~+", "web1")


@pytest.mark.parametrize(
    "make",
    [
        lambda bad: layout.archive_name(bad, "linux_amd64"),
        lambda bad: layout.archive_name("1.13.4", bad),
        layout.sums_name,
        lambda bad: layout.signature_names("1.13.4", [bad]),
        lambda bad: layout.release_url("https://a.example", bad, "x.zip"),
        lambda bad: layout.release_url("https://a.example", "1.13.4", bad),
    ],
)
@pytest.mark.parametrize("bad", ["a'b", "a\nb", "a/b", "a b", "%2e", "a\n", "\x1b[31m"])
def test_no_name_of_a_file_is_made_of_other_characters(make, bad):
    with pytest.raises(_errors.RequestError):
        make(bad)
