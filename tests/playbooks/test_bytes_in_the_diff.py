# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diff of check mode says how many bytes a run would fetch and free, by the whole task on both sides.

Check mode asks a site for SHA256SUMS and its signature, and with --diff for the size of the archive, which it does not
download.
"""

import os

import playbook_run
import pytest
from playbook_run import MODULE, VERSION

OLD, OLDER = "1.13.3", "1.9.8"
NOT_KNOWN = "not known before the download"


@pytest.fixture(params=playbook_run.SIDES)
def run(request, tasks, module_site, tmp_path):
    """callable(check, **options): the result of one task on the host, with its diff."""

    def act(check=False, diff=True, **options):
        arguments = playbook_run.task_args(
            module_site, tmp_path / "store", **dict({"download": request.param}, **options)
        )
        result = tasks([{"name": "run", MODULE: arguments}], check=check, diff=diff)["run"]
        assert not result["failed"], result
        return result

    act.side = request.param
    yield act
    module_site.behave()


def size_of(tmp_path, *versions):
    return sum(os.stat(str(tmp_path / "store" / version / "terraform")).st_size for version in versions)


def bytes_in(result):
    """What the diff says of bytes: dict."""
    assert not [name for name in result["diff"]["before"] if name.startswith("bytes")]
    return {name: value for name, value in result["diff"]["after"].items() if name.startswith("bytes")}


@pytest.fixture
def size(module_site, host_platform):
    """Bytes of the archive of VERSION."""
    return len(module_site.release(VERSION).archives[host_platform])


def asked_for(module_site):
    """What was requested, sorted: pairs of the end of the name, and the header Range."""
    ends = ("SHA256SUMS", "sig", "zip")
    return sorted(
        (next(end for end in ends if request.path.endswith(end)), request.headers.get("Range"))
        for request in module_site.requests
    )


def test_an_upgrade_that_removes_two_versions(run, tmp_path, module_site, size):
    link = str(tmp_path / "tf")
    for version in (OLDER, OLD):
        run(version=version)
    run(version=OLD, link=link)
    freed = size_of(tmp_path, OLDER, OLD)
    del module_site.requests[:]
    predicted = run(check=True, keep=1, link=link)
    assert bytes_in(predicted) == {"bytes_to_fetch": size, "bytes_freed": freed}
    assert module_site.requests[-1].sent == 1 and asked_for(module_site) == [
        ("SHA256SUMS", None),
        ("sig", None),
        ("zip", "bytes=0-0"),
    ]
    del module_site.requests[:]
    assert "diff" not in run(check=True, diff=False) and ("zip", "bytes=0-0") not in asked_for(module_site)
    diff = predicted["diff"]
    assert (diff["before_header"], diff["after_header"]) == tuple(
        "%s: Terraform %s" % (link, version) for version in (OLD, VERSION)
    )
    module_site.behave()
    done = run(keep=1, link=link)
    assert bytes_in(done) == {"bytes_freed": freed} and done["downloaded_bytes"] > 0
    assert not bytes_in(run(check=True, keep=1, link=link)), "nothing is left to do"


def test_a_site_of_files_and_a_given_archive_have_a_size(run, tmp_path, module_site, host_platform):
    module_site.write(str(tmp_path / "a site"))
    archive = tmp_path / "a site" / "terraform" / VERSION / ("terraform_%s_%s.zip" % (VERSION, host_platform))
    for options in ({"sites": ["file://%s/a%%20site" % tmp_path]}, {"archive": str(archive)}):
        assert bytes_in(run(check=True, **options)) == {"bytes_to_fetch": os.stat(str(archive)).st_size}
    os.unlink(str(archive))
    options = {"sites": ["file://%s/a%%20site" % tmp_path]}
    assert bytes_in(run(check=True, **options)) == {"bytes_to_fetch": NOT_KNOWN}


@pytest.mark.parametrize(
    "name, arguments, known",
    [
        ("range_ignored", (), True),  # the whole is announced, and not read
        ("no_length", (), True),  # but Content-Range says it
        ("range_without_header", (), False),
        ("status", (500,), False),
        ("status", (403,), False),
        ("close_before_reply", (), False),
        ("garbage_status", (), False),
        ("redirect_loop", (), False),
    ],
)
def test_a_site_that_does_not_say_the_size_is_no_error(run, module_site, size, name, arguments, known):
    from release_site import misbehaviours

    module_site.misbehave("*.zip", getattr(misbehaviours, name)(*arguments))
    del module_site.requests[:]
    found = run(check=True)
    assert bytes_in(found) == {"bytes_to_fetch": size if known else NOT_KNOWN}
    assert [name for name, _part in asked_for(module_site)].count("zip") <= 6


def test_all_hosts_ask_for_the_size_once(tasks, module_site, size, tmp_path):
    arguments = playbook_run.task_args(module_site, tmp_path / "{{ inventory_hostname }}", download="controller")
    del module_site.requests[:]
    run = tasks([{"name": "run", MODULE: arguments}], hosts=["a", "b", "c"], check=True, diff=True)
    found = {host: bytes_in(result) for host, result in run.on_hosts("run").items()}
    assert found == dict.fromkeys("abc", {"bytes_to_fetch": size})
    assert asked_for(module_site) == [("SHA256SUMS", None), ("sig", None), ("zip", "bytes=0-0")]


def test_an_archive_in_the_cache_is_not_fetched(run, tmp_path, module_site, size):
    cache = {"cache_dir": str(tmp_path / "cache")}
    assert bytes_in(run(check=True, **cache)) == {"bytes_to_fetch": size}
    assert not (tmp_path / "cache").exists()
    run(**dict(cache, base_dir=str(tmp_path / "other")))
    expected = 0 if run.side == "controller" else size  # a target has no cache
    assert bytes_in(run(check=True, **cache)) == {"bytes_to_fetch": expected}
    for folder in (tmp_path / "cache").glob("*/archive.zip") if run.side == "controller" else ():
        os.unlink(str(folder))
    assert bytes_in(run(check=True, **cache)) == {"bytes_to_fetch": size}


def test_where_only_the_documents_are_fetched_no_archive_is(run, module_site, host_platform):
    pin = {"checksum_policy": "pinned", "checksum": module_site.release(VERSION).digest(host_platform)}
    run(**pin)
    predicted = run(check=True)
    assert predicted["needs_archive"] and "verified again" in predicted["msg"] and not bytes_in(predicted)


def test_a_removal_says_what_each_version_frees(run, tmp_path):
    sizes = {}
    for version in (OLDER, OLD, VERSION):
        run(version=version)
        sizes[version] = size_of(tmp_path, version)
    results = [run(check=check, version="all", state="absent") for check in (True, False)]
    for result in results:
        diffs = {each["before"]["path"].split("/")[-2]: each["after"] for each in result["diff"][:-1]}
        assert {version: after["bytes_freed"] for version, after in diffs.items()} == sizes
        assert "bytes_freed" not in result["diff"][-1]["after"], "lock files have no bytes"
    assert not run(check=True, version="all", state="absent")["diff"]
