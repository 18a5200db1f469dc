# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays that ask three hosts for a version: one installs, one has it, one is refused; and what came of them.

hosts = make_hosts(site, store)         # store: callable(host) -> str
seen = seam(play, "import_role", hosts)
seen.recap["refused"]["failed"], seen.facts["installs"], seen.run
"""

import glob
import json
import os
import pathlib
import re
import tempfile
from typing import Any, Dict, NamedTuple

from playbook_run import MODULE, VERSION, Run, task_args

ROLE = MODULE
MISSING = "1.13.99"  # a version that the site does not have
FORMS = ("module", "roles", "import_role", "include_role")
REPORTED = re.compile(r'"msg": "controller: |msg: .?controller: ')


class Seen(NamedTuple):
    """A play that is through."""

    run: Run
    facts: Dict[str, Any]  # host and fact, as the cache of facts has it; None: there is none
    hosts: Dict[str, Any]  # host and variables

    @property
    def recap(self):
        """dict of host and dict of what the recap counts."""
        return recap(self.run)


def make_hosts(site, store, **more):
    """dict of host and its variables.

    :param store: callable(host) -> str, its base directory.
    :param more: dict of variables for all of them.
    """
    hosts = {}
    for host in ("installs", "unchanged", "refused"):
        options = task_args(site, store(host), version=MISSING if host == "refused" else VERSION)
        hosts[host] = dict({"terraform_binary_" + option: value for option, value in options.items()}, **more)
    return hosts


def form_of(form, own):
    """The keywords of a play that asks for what the variables say, and leaves the result in ``terraform_binary_outcome``."""
    options = {
        option: "{{ terraform_binary_%s }}" % option
        for option in ("version", "base_dir", "sites", "trusted_keys", "retries")
    }
    reported = {"notify": "reported"}
    if form == "module":
        return {
            "tasks": [
                dict(
                    {"name": "Put Terraform in place", MODULE: options, "register": "terraform_binary_outcome"},
                    **reported,
                    **own,
                )
            ]
        }
    if form == "roles":
        return {"roles": [dict({"role": ROLE}, **own)]}
    if form == "import_role":
        return {"tasks": [dict({"ansible.builtin.import_role": {"name": ROLE}}, **reported, **own)]}
    return {
        "tasks": [
            {
                "ansible.builtin.include_role": {"name": ROLE, "apply": dict(reported, **own)},
                **{key: own[key] for key in own.keys() & {"tags"}},
            }
        ]
    }


def seam(play, form, hosts, own=None, around=None, keywords=None, env=None):
    """Run a form of the play: Seen.

    :param own: dict, keywords of the task or role; ``around``: of a block around it; ``keywords``: of the play.
    """
    made = form_of(form, own or {})
    if around:
        made["tasks"] = [dict(around, block=made["tasks"])]
    after = {"name": "after", "ansible.builtin.debug": {"msg": "{{ terraform_binary_outcome.path | default('none') }}"}}
    last = {"post_tasks" if "roles" in made else "tasks": made.get("tasks", []) + [after]}
    handlers = {"handlers": [{"name": "reported", "ansible.builtin.debug": {"msg": "handled"}}]}
    facts = tempfile.mkdtemp(dir=play.folder)
    run = play(
        [],
        hosts=hosts,
        keywords=dict(made, **handlers, **last, **(keywords or {})),
        env=dict(
            {"ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": facts},
            **(env or {}),
        ),
    )
    return Seen(run, read_facts(facts, hosts), hosts)


def read_facts(folder, hosts):
    """The fact of each host, as the cache of facts has it; None: there is none."""
    found = {}
    for host in hosts:
        paths = glob.glob(os.path.join(folder, "*" + host))  # with a prefix from ansible-core 2.19 on
        kept = json.loads(pathlib.Path(paths[0]).read_text(encoding="utf-8")) if paths else {}
        if "__payload__" in kept:  # likewise
            kept = json.loads(kept["__payload__"])
        found[host] = kept.get("terraform_binary_result")
    return found


def recap(run):
    """dict of host and dict of what the recap counts."""
    lines = re.findall(r"(?m)^(\w+) +: (ok=.*)$", run.stdout)
    return {host: {key: int(count) for key, count in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in lines}
