# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real action plugin and the real module on many tasks, each in a forked process, without starting ansible-playbook.

    run = tasks([task("install", site, store)], check=True)
    run["install"]["changed"]
    run = tasks.each({"a": task_args(site, store), "b": task_args(site, other_store)})
    run.each["a"]["changed"]

It takes what the Player of playbook_run takes, as far as it is about a task, and gives the same kind of results. Sockets,
files, archives and the binary that is run are real; AnsibleModule and ActionBase are core's own. What is left out is what
lies between the two: the executor, the templates (but for ``inventory_hostname``), the connection and its wrapper around the
module. That is what playbook tests are for. A start of a module costs a hundredth of what it costs there.
"""

import collections
import contextlib
import gc
import io
import json
import multiprocessing
import multiprocessing.connection
import os
import tempfile
import time
import traceback
import types
import uuid

import requests  # which the action plugin imports when it downloads: here, once for all tasks
from ansible import constants
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.template import Templar
from ansible.utils.display import Display
from ansible_collections.iac_platform.terraform.plugins.action import terraform_binary, terraform_binary_info
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.script import _Loaders as Loaders
from playbook_run import FOREIGN, INFO, MODULE, Run
from support.module_target import run_module, serving

ACTIONS = {MODULE: terraform_binary.ActionModule, INFO: terraform_binary_info.ActionModule}
TIME_LIMIT = 300  # seconds for one task: only so that a hang is seen as one


class TaskRunner:
    """Runs tasks, each in a process of its own; for a body of ``with``.

    :param folder: str, for what runs leave behind.
    :param obstacle: str or None, why the module itself has to run and not a script.
    """

    def __init__(self, folder, obstacle=None):
        self.folder = folder
        self._obstacle = obstacle
        self._target = self._serving = None

    def __enter__(self):
        assert requests.Session
        connection_loader.get("local", PlayContext(), os.devnull)  # core reads what it documents once
        gc.freeze()  # or each forked process would copy the pages of all that pytest has
        kept = {
            name: value
            for name, value in os.environ.items()
            if name == "PYTHONPATH" or not name.startswith(FOREIGN) and not name.lower().endswith("_proxy")
        }
        self._serving = serving(self.folder, dict(kept, LC_ALL="C.UTF-8"))
        self._target = self._serving.__enter__()
        return self

    def __exit__(self, *exc_info):
        self._serving.__exit__(*exc_info)

    def each(self, args_by_host, variables=None, environments=None, **how):
        """Ask for different things at once, each on a host of its own, in a task that is called ``each``."""
        hosts = {
            name: dict(
                (variables or {}).get(name, {}), task_args=options, surroundings=(environments or {}).get(name, {})
            )
            for name, options in args_by_host.items()
        }
        return self(
            [{"name": "each", MODULE: "task_args", "environment": "surroundings"}],
            hosts=hosts,
            **dict({"forks": 16}, **how),
        )

    def __call__(self, tasks, hosts=("localhost",), check=False, diff=False, forks=5, env=None, verbosity=0):
        """Run tasks one after the other, each on all hosts at once.

        :param tasks: list of tasks with one of the modules; of the keywords, ``check_mode`` and ``environment`` count.
        :param hosts: names, or dict of name and variables.
        :param env: dict, the controller's environment beside what is there and is not Ansible's.
        :param verbosity: int, as the number of -v.
        :returns: Run.
        """
        own = hosts if isinstance(hosts, dict) else {name: {} for name in hosts}
        folder = tempfile.mkdtemp(dir=self.folder)
        lines, output = [], ""
        for each in tasks:
            jobs = []
            task_id = str(uuid.uuid4())
            for host, variables in own.items():
                module = MODULE if MODULE in each else INFO
                arguments, environment = each[module], each.get("environment", {})
                if isinstance(arguments, str):
                    arguments, environment = variables[arguments], variables[environment]
                jobs.append(
                    Job(
                        self._target,
                        each["name"],
                        host,
                        variables,
                        _filled(arguments, host),
                        environment,
                        task_id,
                        folder,
                        each.get("check_mode", check),
                        diff,
                        env or {},
                        verbosity,
                        module,
                        self._obstacle,
                    )
                )
            for job, (result, shown) in zip(jobs, _run_all(jobs, forks)):
                status = "failed" if result.get("failed") else "ok"
                lines.append({"host": job.host, "task": job.task, "status": status, "result": result})
                output += shown
        return Run.of(lines, output)


Job = collections.namedtuple(
    "Job", "target task host variables arguments environment task_id folder check diff env verbosity module obstacle"
)


def _filled(value, host):
    """With the one template filled in that tests use beside those of the playbooks."""
    if isinstance(value, dict):
        return {key: _filled(item, host) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, host) for item in value]
    return value.replace("{{ inventory_hostname }}", host) if isinstance(value, str) else value


def _run_all(jobs, forks):
    """The (result, output) of each job, at most ``forks`` at once. The processes end with this call, whatever happens."""
    context = multiprocessing.get_context("fork")
    answers, waiting, running = {}, list(enumerate(jobs)), {}
    try:
        while waiting or running:
            while waiting and len(running) < forks:
                number, job = waiting.pop(0)
                reader, writer = context.Pipe(duplex=False)
                process = context.Process(target=_answer, args=(job, writer), daemon=True)
                process.start()
                writer.close()
                running[reader] = (number, process, time.monotonic() + TIME_LIMIT)
            patience = max(0, min(ends for _number, _process, ends in running.values()) - time.monotonic())
            ready = multiprocessing.connection.wait(running, patience)
            assert ready, "a task took more than %d s: %s" % (
                TIME_LIMIT,
                [jobs[number] for number, _process, _ends in running.values()],
            )
            for reader in ready:
                number, process, _ends = running.pop(reader)
                try:
                    answers[number] = reader.recv()
                except EOFError as exc:
                    raise AssertionError("the process of %r ended without an answer" % (jobs[number],)) from exc
                finally:
                    reader.close()
                    process.join()
    finally:
        for _number, process, _ends in running.values():
            process.kill()
            process.join()
    for number, (result, shown) in answers.items():
        assert result is not None, "%r:\n%s" % (jobs[number], shown)
    return [answers[number] for number in range(len(jobs))]


def _answer(job, writer):
    """In a process of its own: what core would do with the task, between the strategy and the connection."""
    screen = io.StringIO()
    try:
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
            result = _run(job)
        answer = json.loads(json.dumps(result, default=_as_text)), screen.getvalue()
    except BaseException:  # whatever it is, the test has to see it
        answer = None, screen.getvalue() + traceback.format_exc()
    writer.send(answer)
    writer.close()
    os._exit(0)  # past pytest, whose copy this process is


def _run(job):
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(job.env)
    action = _make_action(job)
    result = action.run(task_vars=dict(job.variables, inventory_hostname=job.host))
    result.setdefault("changed", False)
    result["failed"] = bool(result.get("failed"))
    return result


def _make_action(job):
    class Action(ACTIONS[job.module]):
        """The action plugin, with the module run by a target that is already there."""

        def _execute_module(self, module_name=None, module_args=None, task_vars=None, wrap_async=False, **dummy):
            assert module_name == job.module and not wrap_async
            self._update_module_args(module_name, module_args, task_vars)
            return run_module(
                job.target,
                json.loads(json.dumps(module_args, default=str)),
                job.environment,
                script=isinstance(self._shared_loader_obj, Loaders),
                module=module_name.rpartition(".")[2],
            )

    for plugin in (terraform_binary, terraform_binary_info):
        plugin.find_obstacle = lambda *args: job.obstacle
    constants.DEFAULT_LOCAL_TMP = job.folder  # shared by all tasks of a run, as by all forks of ansible-playbook
    Display().verbosity = job.verbosity
    loader = DataLoader()
    loader.set_basedir(job.folder)
    task = Task()
    task.args, task.check_mode, task.diff, task.environment = job.arguments, job.check, job.diff, [job.environment]
    task._uuid = job.task_id
    context = PlayContext()
    return Action(
        task=task,
        connection=connection_loader.get("local", context, os.devnull),
        play_context=context,
        loader=loader,
        templar=Templar(loader=loader, variables=dict(job.variables)),
        shared_loader_obj=types.SimpleNamespace(module_loader=None),  # before ansible-core 2.19
    )


def _as_text(value):
    event = getattr(value, "event", None)  # a warning of ansible-core 2.19 and later
    return str(value if event is None else event.msg)
