# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module many times as on a target, without a new Python each time: the client of module_server."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

_SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "module_server.py")


@contextlib.contextmanager
def serving(folder, environment=None):
    """A process that runs the module when it is asked to, for the body.

    :param folder: str, for its socket.
    :param environment: dict or None, its environment in place of ours.
    :yields: str, the path of its socket, for run_module().
    """
    path = os.path.join(folder, "target")
    server = subprocess.Popen(
        [sys.executable, _SERVER, path],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert server.stdout.readline() == b"ready\n", "the target does not start"
        yield path
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.communicate()


def run_module(target, arguments, environment=None, hidden=None, script=False, module="terraform_binary"):
    """One run of a module.

    :param target: str, from serving().
    :param arguments: dict, the module's, with those of AnsibleModule's own that begin with ``_ansible_``.
    :param environment: dict or None, what comes to the environment there.
    :param hidden: str or None, a package that cannot be imported there.
    :param script: bool, without AnsibleModule, as the plain script runs it.
    :param module: str, its name without that of the collection.
    :returns: dict, its answer; warnings as texts.
    """
    request = {
        "module": module,
        "arguments": arguments,
        "environment": {name: str(value) for name, value in (environment or {}).items()},
        "hidden": hidden,
        "script": script,
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(target)
        connection.sendall(json.dumps(request, default=str).encode("utf-8") + b"\n")
        with connection.makefile("rb") as stream:
            answer = stream.read().decode("utf-8")
    result = json.loads(answer)  # one JSON document and nothing beside it
    if "warnings" in result:  # from ansible-core 2.19 on they are records, which core would read
        result["warnings"] = [line["event"]["msg"] if isinstance(line, dict) else line for line in result["warnings"]]
    return result
