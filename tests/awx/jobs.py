# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as AWX runs them: the files that it writes, sent by ansible-runner's transmit, run by its worker, read by its process.

    jobs = Jobs(folder, checkout)
    job = jobs.run("install", answers={"terraform_binary_version": "1.13.4"}, hosts={"one": {...}})
    job.status, job.artifacts

The folder of the worker stands in for /runner. Nothing is isolated: there is no container.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

BIN = os.path.dirname(sys.executable)
TIME_LIMIT = 600  # seconds for one job: only so that a hang is seen as one
INVENTORY = "#! /usr/bin/env python3\n# -*- coding: utf-8 -*-\nprint(%r)\n"


class Job:
    """A job that is through.

    ``status``; ``events`` in their order; ``artifacts``; ``facts`` by file name; ``stdout``.
    """

    def __init__(self, folder, returncode):
        self.returncode = returncode
        self.folder = os.path.join(folder, "artifacts", "1")
        self.status = self._read("status")
        self.stdout = self._read("stdout")
        self.events = []
        events = os.path.join(self.folder, "job_events")
        for name in os.listdir(events) if os.path.isdir(events) else ():
            if name.endswith(".json") and "partial" not in name:
                self.events.append(json.loads(self._read(os.path.join("job_events", name))))
        self.events.sort(key=lambda event: event["counter"])
        last = [event["event_data"] for event in self.events if event["event"] == "playbook_on_stats"]
        self.artifacts = last[-1].get("artifact_data", {}) if last else {}
        self.stats = last[-1] if last else {}

    def _read(self, name):
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8") as file:
            return file.read()

    @property
    def output(self):
        """What was on the screen."""
        return "\n".join(event["stdout"] for event in self.events)

    @property
    def facts(self):
        """dict of file name and what is in it, as the fact cache left it."""
        folder = os.path.join(self.folder, "fact_cache")
        return {
            name: json.loads(self._read(os.path.join("fact_cache", name)))
            for name in (os.listdir(folder) if os.path.isdir(folder) else ())
        }

    def results(self, name):
        """dict of host and result of the task of that name."""
        return {
            event["event_data"]["host"]: event["event_data"]["res"]
            for event in self.events
            if event["event"] in ("runner_on_ok", "runner_on_failed") and event["event_data"]["task"] == name
        }

    @property
    def report(self):
        return self.artifacts.get("terraform_binary_report")

    @property
    def live(self):
        """The lines of ours that came while the job ran."""
        said = [event["stdout"] for event in self.events if event["event"] == "verbose"]
        return [line for line in said if "terraform_binary: [" in line]


class Jobs:
    """Starts jobs, each in folders of its own.

    :param folder: str, for what jobs leave behind.
    :param checkout: str, the project.
    """

    def __init__(self, folder, checkout):
        self._folder = folder
        self._checkout = checkout
        self.collections = os.path.join(folder, "requirements_collections")
        install_requirements(checkout, self.collections, os.path.join(folder, "galaxy"))

    def run(
        self,
        playbook,
        answers=None,
        template=None,
        hosts=None,
        switches="",
        environment=None,
        uid=None,
        home=True,
        own=None,
        collections="",
    ):
        """
        :param playbook: str, the name of one of ours, or of one in ``own``.
        :param answers: dict, those of the survey, as texts.
        :param template: dict, the extra variables of the template, or of the job before.
        :param hosts: dict of name and variables.
        :param switches: str, for ansible-playbook, such as ``--check``.
        :param environment: dict, the credential's.
        :param uid: int, who the job runs as, in no list of accounts.
        :param home: bool, there is a home.
        :param own: dict of name and text of further files of the project.
        :param collections: str, a folder with further collections.
        :returns: Job.
        """
        from ansible_runner import interface

        folder = tempfile.mkdtemp(dir=self._folder)
        os.chmod(folder, 0o755)
        private, runner, done = (os.path.join(folder, name) for name in ("private", "runner", "done"))
        self._write(private, answers or {}, template or {}, hosts or {}, switches)
        for name, text in (own or {}).items():
            path = os.path.join(private, "project", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        os.mkdir(runner)
        sent, answered = (os.path.join(folder, name) for name in ("sent", "answered"))
        paths = "%s/requirements_collections:%s:/usr/share/ansible/collections" % (
            runner,
            collections or "~/.ansible/collections",
        )
        variables = dict(
            ANSIBLE_FORCE_COLOR="True",
            ANSIBLE_HOST_KEY_CHECKING="False",
            ANSIBLE_INVENTORY_UNPARSED_FAILED="True",
            ANSIBLE_RETRY_FILES_ENABLED="False",
            ANSIBLE_COLLECTIONS_PATH=paths,
            ANSIBLE_PIPELINING="True",
            MAX_EVENT_RES="700000",
            JOB_ID="1",
            INVENTORY_ID="1",
            AWX_PRIVATE_DATA_DIR=private,
            **(environment or {}),
        )
        with open(sent, "wb") as output:
            interface.run(
                streamer="transmit",
                _output=output,
                private_data_dir=private,
                playbook="playbooks/%s.yml" % playbook,
                ident="1",
                envvars=variables,
                fact_cache_type="jsonfile",
                suppress_env_files=True,
                quiet=True,
            )
        returncode = self._work(runner, sent, answered, uid, home)
        with open(answered, "rb") as answers_file:
            interface.run(streamer="process", _input=answers_file, private_data_dir=done, ident="1", quiet=True)
        return Job(done, returncode)

    def _work(self, runner, sent, answered, uid, home):
        """ansible-runner worker: what it returned."""
        kept = ("TMPDIR", "TESTS_OF_TERRAFORM", "PYTHONPYCACHEPREFIX")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment.update(PATH="%s:/usr/local/bin:/usr/bin:/bin" % BIN, LC_ALL="C.UTF-8")
        if home:
            environment["HOME"] = runner
        command = []
        if uid is not None:
            os.chown(runner, uid, 0)
            environment.pop("PYTHONPYCACHEPREFIX", None)
            environment["USER"] = "runner"  # as the entry point of an execution environment has it; core wants a name
            # This Python may lie where only root may look: the right to read is kept, the right to write is not.
            command = [
                "setpriv",
                "--reuid=%d" % uid,
                "--regid=0",
                "--clear-groups",
                "--inh-caps=-all,+dac_read_search",
                "--ambient-caps=-all,+dac_read_search",
                "--bounding-set=-all,+dac_read_search",
            ]
        command += [sys.executable, "-m", "ansible_runner", "worker", "--private-data-dir", runner]
        with open(sent, "rb") as source, open(answered, "wb") as target, open(answered + ".log", "wb") as log:
            return subprocess.run(
                command,
                stdin=source,
                stdout=target,
                stderr=log,
                env=environment,
                cwd="/",
                timeout=TIME_LIMIT,
                check=False,
            ).returncode

    def _write(self, private, answers, template, hosts, switches):
        for name in ("env", "inventory", "project"):
            os.makedirs(os.path.join(private, name))
        shutil.copytree(os.path.join(self._checkout, "playbooks"), os.path.join(private, "project", "playbooks"))
        shutil.copytree(self.collections, os.path.join(private, "requirements_collections"))
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {
            "all": {"hosts": list(hosts)},
            "_meta": {"hostvars": {name: dict(local, **variables) for name, variables in hosts.items()}},
        }
        own = dict(
            template, awx_job_id=1, awx_job_launch_type="manual", awx_user_name="admin", awx_inventory_name="Production"
        )
        for name, text in (
            (
                "env/extravars",
                "".join(
                    ["%s: %s\n" % (json.dumps(key), json.dumps(value)) for key, value in own.items()]
                    + ["%s: %s\n" % (_unsafe(key), _unsafe(value)) for key, value in answers.items()]
                ),
            ),
            ("env/cmdline", "-u root %s" % switches),
            (
                "env/settings",
                json.dumps({"job_timeout": 0, "suppress_ansible_output": True, "suppress_output_file": True}),
            ),
            ("inventory/hosts", INVENTORY % json.dumps(inventory)),
        ):
            with open(os.path.join(private, name), "w", encoding="utf-8") as file:
                file.write(text)
        os.chmod(os.path.join(private, "inventory", "hosts"), 0o700)


def _unsafe(value):
    """A value of an answer as AWX writes it."""
    return "!unsafe '%s'" % value.replace("'", "''") if isinstance(value, str) else json.dumps(value)


def install_requirements(checkout, folder, home):
    """What AWX's update of a project does with collections/requirements.yml."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    environment.update(ANSIBLE_HOME=home, HOME=home, ANSIBLE_NOCOLOR="1", LC_ALL="C.UTF-8")
    os.makedirs(home, exist_ok=True)
    galaxy = os.path.join(BIN, "ansible-galaxy")
    done = subprocess.run(
        [galaxy, "collection", "install", "-r", "collections/requirements.yml", "-p", folder, "--force"],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    with contextlib.suppress(FileNotFoundError):  # the heaviest part of it; no job reads it
        shutil.rmtree(os.path.join(folder, "ansible_collections", "iac_platform", "terraform", "tests"))
