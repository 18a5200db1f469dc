# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain script in the place of the module, through ansible-playbook: what core makes of it, and when it does not run."""

import os
import stat
import subprocess

import pytest
from playbook_run import MODULE, task, task_args
from support.system import needs_root

NOTICE = "the module itself runs, not a script: "
# Lets a program run where SELinux seems to be on; $0 is the program.
_SELINUX = """#!/bin/sh
exec unshare --mount sh -c 'mount -t tmpfs tmpfs /sys/fs && mkdir /sys/fs/selinux && touch /sys/fs/selinux/enforce &&
exec "$0" "$@"' %s "$@"
"""


def story(site, folder):
    """Tasks: install, once more, damaged in check mode, removed."""
    link = str(folder / "terraform")
    return [
        task("install", site, folder / "store", link=link),
        task("again", site, folder / "store", link=link),
        {"name": "damage", "ansible.builtin.copy": {"dest": str(folder / "store/1.13.4/terraform"), "content": "x"}},
        task("refuse", site, folder / "store", link=str(folder)),
        dict(task("foresee", site, folder / "store", link=link), check_mode=True),
        task("remove", site, folder / "store", link=link, state="absent"),
    ]


STORY = ("install", "again", "refuse", "foresee", "remove")


@pytest.fixture(scope="module")
def runs(play, module_site, tmp_path_factory):
    """The same story by the script and by the module itself: dict of reason and (Run, its folder)."""
    found = {}
    for reason in ("", "as a test wants it"):
        folder = tmp_path_factory.mktemp("story")
        env = {"ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_PIPELINING": "0", "ANSIBLE_REMOTE_TMP": str(folder / "tmp")}
        usual = {"version": "1.13.4", "base_dir": str(folder / "store"), "sites": [module_site.url]}
        look = {"name": "look", MODULE: usual, "check_mode": True, "ignore_errors": True}  # without keys of our own
        tasks = story(module_site, folder) + [look, {"name": "ping", "ansible.builtin.ping": {}}]
        found[reason] = play(tasks, env=dict(env, NO_SCRIPT=reason), verbosity=4, diff=True), folder
    return found


def comparable(value, folder):
    """A result without what differs from run to run."""
    if isinstance(value, dict):
        volatile = ("checked_at", "invocation", "exception", "ansible_facts")
        return {
            name.replace(str(folder), "FOLDER"): comparable(one, folder)
            for name, one in value.items()
            if name not in volatile
        }
    if isinstance(value, list):
        return [comparable(one, folder) for one in value if "/.tmp." not in str(one) and "staged." not in str(one)]
    return value.replace(str(folder), "FOLDER") if isinstance(value, str) else value


@pytest.mark.parametrize("name", STORY)
def test_both_give_the_same_result(runs, name):
    (script, of_script), (module, of_module) = runs.values()
    expected = comparable(module[name], of_module)
    assert comparable(script[name], of_script) == expected
    assert expected["failed"] == (name == "refuse") and expected["changed"] == (name not in ("again", "refuse"))


def test_who_looks_closely_is_told_that_the_module_runs(runs):
    (script, _folder), (module, _other) = runs.values()
    assert NOTICE not in script.output
    assert NOTICE + "as a test wants it" in module.output


def test_no_source_and_no_packed_source_is_on_the_screen(runs):
    run, _folder = runs[""]
    assert "Using module file" in run.output, "it was asked for"
    for secret in ("class PendingFile", "b64decode", "def run_module", "SOURCES"):
        assert secret not in run.output
    assert max(map(len, run.output.splitlines())) < 20_000
    for name in STORY:
        assert set(run[name]["invocation"]["module_args"]) >= {"version", "base_dir"} and "def " not in str(run[name])


def test_a_look_is_smaller_than_a_ping(runs):
    _run, folder = runs[""]
    sizes = {"AnsiballZ_terraform_binary.py": [], "AnsiballZ_ping.py": []}
    for place, _folders, names in os.walk(str(folder / "tmp")):
        for name in names:
            if name in sizes:
                sizes[name].append(os.path.getsize(os.path.join(place, name)))
    (ping,) = sizes["AnsiballZ_ping.py"]
    looks = sizes["AnsiballZ_terraform_binary.py"]
    assert len(looks) >= 6 and min(looks) < ping and max(looks) < 1.5 * ping, (looks, ping)


def test_the_background_takes_the_module(play, module_site, tmp_path):
    """A job outlives the connection, which only core's own wrapper for modules arranges."""
    later = dict(task("later", module_site, tmp_path / "store"), **{"async": 60, "poll": 1})
    run = play([later], verbosity=2)
    assert run["later"]["changed"] and not run["later"]["failed"]


@needs_root
@pytest.mark.parametrize("setype", [None, "bin_t"])
def test_a_host_with_selinux_gets_the_module(play, module_site, tmp_path, setype):
    """Labels take libselinux, which only AnsibleModule wraps; there is none here, so that it then sees no SELinux."""
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("nothing can be mounted here that others do not see, as in a chroot")
    python = tmp_path / "python"
    python.write_text(_SELINUX % os.path.realpath(play.program).replace("ansible-playbook", "python"))
    python.chmod(stat.S_IRWXU)
    host = {"ansible_python_interpreter": str(python)}
    options = {} if setype is None else {"setype": setype}
    tasks = [task("install", module_site, tmp_path / "store", **options)]
    run = play(tasks + [dict(tasks[0], name="again")], hosts={"h": host}, verbosity=2)
    assert run["install"]["changed"] and not run["install"]["failed"] and not run["again"]["changed"]
    assert run.output.count(NOTICE + "SELinux is on there") == (1 if setype is None else 3)


def test_no_option_and_no_fact_becomes_code(play, module_site, tmp_path):
    """Core puts the arguments into the script as they are, and the facility of the log, which may be a fact, behind them."""
    code = "__import__('os').system('touch %s')" % (tmp_path / "entered")
    owners = {
        "marker": "<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>'+str(%s) #" % code,
        "quotes": '"""+str(%s)+r"""' % code,
        "cookie": "coding: unicode_escape ';import os;%s#" % code,
        "backslash": "\\",
        "facility": "syslog.LOG_USER",
        "mirror": "https://encoding:8443/x",
    }
    variables = {"facility": {"ansible_syslog_facility": 'LOG_USER""";%s;x=r"""' % code}}
    for pipelining in ("0", "1"):
        run = play.each(
            {name: task_args(module_site, tmp_path / name, owner=owner) for name, owner in owners.items()},
            variables=variables,
            env={"ANSIBLE_PIPELINING": pipelining},
            verbosity=2,
        )
        for name, result in run.each.items():
            assert result["failed"] and "owner" in result["msg"], (name, result["msg"])
        reason = NOTICE + "ansible_syslog_facility is no name of a facility"
        assert 1 <= run.output.count(NOTICE) == run.output.count(reason)
    assert not (tmp_path / "entered").exists()


def test_a_script_that_cannot_start_is_a_failure(play, module_site, tmp_path):
    """And never a host where nothing is to do."""
    python = tmp_path / "python"
    hosts = {}
    for name, body in (
        ("silent", "exit 0"),
        ("killed", "kill -9 $$"),
        ("text", "echo all is well"),
        ("json", "echo '{}'"),
    ):
        python = tmp_path / name
        python.write_text("#!/bin/sh\n%s\n" % body)
        python.chmod(stat.S_IRWXU)
        hosts[name] = {"ansible_python_interpreter": str(python)}
    run = play(
        [{"name": "each", MODULE: task_args(module_site, tmp_path / "store"), "ignore_errors": True}], hosts=hosts
    )
    for name, result in run.each.items():
        assert result["failed"] and not result["changed"] and result["msg"].startswith(name), (name, result)
