# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real ansible-playbook on playbooks that tests write, and what every task gave.

    run = play([task("install", site, store)], check=True)
    run["install"]["changed"]           # the result of the task of that name, on the only host
    run.on_hosts("install")["h2"]       # where there are more
    run = play.each({"a": task_args(site, store), "b": task_args(site, other_store)})
    run.each["a"]["changed"]            # the results of tasks that ran at once

The ansible-playbook is the one beside this interpreter. It sees this checkout as the collection, and nothing of the
user's own Ansible: no configuration, no home, no proxies, no choice of whom to trust.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile

MODULE = "iac_platform.terraform.terraform_binary"
INFO = "iac_platform.terraform.terraform_binary_info"
VERSION = "1.13.4"
SIDES = ("controller", "target")  # where downloads happen
TIME_LIMIT = 900  # seconds for one run: only so that a hang is seen as one

_HERE = os.path.dirname(os.path.abspath(__file__))
FOREIGN = ("ANSIBLE_", "TERRAFORM_BINARY_", "PYTHONPATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_")


def task_args(site, store, **options):
    """The module's options for a release of a Site; ``options`` are put in place of those that are set here."""
    usual = dict(version=VERSION, base_dir=str(store), sites=[site.url], trusted_keys=[site.key.armored], retries=1)
    return dict(usual, **options)


def task(name, site, store, keywords=None, **options):
    """A task that asks for a release of a Site, and whose failure does not end the play.

    :param keywords: dict of keywords beside the module, in place of ``ignore_errors``.
    """
    own = {"ignore_errors": True} if keywords is None else keywords
    return dict({"name": name, MODULE: task_args(site, store, **options)}, **own)


class Run:
    """One ansible-playbook, under way or (after ``finish``) through.

    ``returncode``, ``stdout``, ``stderr``; ``lines`` with ``host``, ``task``, ``status`` and ``result`` of each task.
    """

    def __init__(self, process, lines_file):
        self.process = process  # it leads a process group of its own
        self._lines_file = lines_file
        self.stdout = self.stderr = self.returncode = None
        self.lines = []

    @classmethod
    def of(cls, lines, output):
        """A run that is through: its lines and its output."""
        run = cls(None, None)
        run.lines, run.stdout, run.stderr, run.returncode = lines, output, "", 0
        return run

    def finish(self):
        """Wait for its end: returns itself."""
        try:
            self.stdout, self.stderr = self.process.communicate(timeout=TIME_LIMIT)
        finally:
            self.end()
        self.returncode = self.process.returncode
        if os.path.exists(self._lines_file):
            with open(self._lines_file, encoding="utf-8") as file:
                self.lines = [json.loads(line) for line in file]
        for line in self.lines:
            line["result"].setdefault("changed", False)
            line["result"]["failed"] = line["status"] in ("failed", "ignored", "unreachable")  # core takes it out
        return self

    def end(self):
        """Kill what is left of it: its workers, too, which wait for ever when their parent is killed alone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def output(self):
        """All that was on the screen."""
        return self.stdout + self.stderr

    def __getitem__(self, name):
        """The result of the task of that name, which ran once."""
        results = self.on_hosts(name)
        assert len(results) == 1, "%s ran on %d hosts:\n%s" % (name, len(results), self.output)
        return next(iter(results.values()))

    def on_hosts(self, name):
        """dict of host and result of the task of that name."""
        found = {line["host"]: line["result"] for line in self.lines if line["task"] == name}
        assert found, "no task %s ran:\n%s" % (name, self.output)
        return found

    @property
    def each(self):
        """dict of name and result of a run of ``Player.each``."""
        return self.on_hosts("each")

    def status(self, name):
        """``ok``, ``failed``, ``ignored``, ``skipped`` or ``unreachable``: of the last host's task of that name."""
        return next(line["status"] for line in reversed(self.lines) if line["task"] == name)


class Player:
    """Starts runs, each in a folder of its own.

    :param folder: str, for what runs leave behind.
    :param collections: str, the folder with ``ansible_collections/`` in it.
    """

    def __init__(self, folder, collections):
        self.folder = folder
        self.collections = collections
        self.program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
        self._runs = []

    def end(self):
        """Kill what is left of runs that no test has waited for."""
        for run in self._runs:
            if run.returncode is None:
                run.end()

    def __call__(self, tasks, **how):
        """``start`` and wait."""
        return self.start(tasks, **how).finish()

    def each(self, args_by_host, **how):
        """``start_each`` and wait."""
        return self.start_each(args_by_host, **how).finish()

    def start_each(self, args_by_host, variables=None, environments=None, keywords_of_task=None, **how):
        """Ask for different things at once, each on a host of its own: what costs time is the start of a module.

        :param args_by_host: dict of name and the module's options.
        :param variables: dict of name and variables of that host.
        :param environments: dict of name and the task's ``environment`` there.
        :param keywords_of_task: dict, beside those that are set here.
        :returns: Run, in which each name is a host and the task is called ``each``.
        """
        tasks = [
            dict(
                {
                    "name": "each",
                    MODULE: None,
                    "args": "{{ task_args }}",
                    "ignore_errors": True,
                    "environment": "{{ surroundings }}",
                },
                **(keywords_of_task or {}),
            )
        ]
        hosts = {
            name: dict(
                (variables or {}).get(name, {}), task_args=options, surroundings=(environments or {}).get(name, {})
            )
            for name, options in args_by_host.items()
        }
        return self.start(tasks, hosts=hosts, **dict({"forks": 4}, **how))

    def start(
        self,
        tasks,
        hosts=("localhost",),
        keywords=None,
        check=False,
        diff=False,
        forks=5,
        env=None,
        extra_vars=None,
        verbosity=0,
        arguments=(),
    ):
        """
        :param tasks: list of tasks for one play; or str, the name of a playbook in a collection.
        :param hosts: names, or dict of name and variables; all are this machine.
        :param keywords: dict of keywords for the play, such as ``vars``, ``roles``, ``module_defaults``.
        :param env: dict, beside what is set here, or in its place.
        :param extra_vars: dict.
        :param verbosity: int, the number of -v.
        :returns: Run.
        """
        folder = tempfile.mkdtemp(dir=self.folder)
        playbook = tasks
        if not isinstance(tasks, str):
            play = dict({"hosts": "all", "gather_facts": False, "tasks": tasks}, **(keywords or {}))
            playbook = _write_json(folder, "play.json", [play])
        inventory = _write_json(folder, "inventory.json", _inventory(hosts))
        command = [self.program, "-i", inventory, "--forks", str(forks)] + list(arguments)
        command += ["--check"] * check + ["--diff"] * diff + ["-" + "v" * verbosity] * bool(verbosity)
        if extra_vars is not None:
            command += ["-e", "@" + _write_json(folder, "extra.json", extra_vars)]
        lines_file = os.path.join(folder, "results.jsonl")
        process = subprocess.Popen(
            command + [playbook],
            env=self._environment(lines_file, env),
            cwd=folder,
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._runs.append(Run(process, lines_file))
        return self._runs[-1]

    def _environment(self, lines_file, more):
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(FOREIGN) and not name.lower().endswith("_proxy")
        }
        usual = dict(
            kept,
            ANSIBLE_ASYNC_DIR=os.path.join(self.folder, "home", "async"),
            ANSIBLE_CALLBACK_PLUGINS=os.path.join(_HERE, "callback_plugins"),
            ANSIBLE_CALLBACKS_ENABLED="json_lines",
            ANSIBLE_COLLECTIONS_PATH=self.collections,
            ANSIBLE_CONFIG=_write_text(self.folder, "ansible.cfg", "[defaults]\n"),
            ANSIBLE_INJECT_FACT_VARS="0",
            ANSIBLE_HOME=os.path.join(self.folder, "home"),
            ANSIBLE_LOCALHOST_WARNING="0",
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_PIPELINING="1",
            ANSIBLE_REMOTE_TMP=os.path.join(self.folder, "home", "tmp"),
            JSON_LINES_FILE=lines_file,
            LC_ALL="C.UTF-8",
        )
        return dict(usual, **(more or {}))


def _inventory(hosts):
    variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    own = hosts if isinstance(hosts, dict) else {name: {} for name in hosts}
    return {"all": {"vars": variables, "hosts": own}}


def _write_json(folder, name, value):
    """JSON, which is YAML."""
    return _write_text(folder, name, json.dumps(value, indent=1))


def _write_text(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
