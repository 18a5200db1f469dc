# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target for module_target: a process that has the modules loaded, and a forked copy of itself for each run of one.

    python module_server.py SOCKET

Nothing of the controller is loaded here, as on a real target. It ends when its standard input does. A request is one line
of JSON, ``{"module": its name, "arguments": {...}, "environment": {...}, "hidden": a package that cannot be imported, or null,
"script": whether it is to run without AnsibleModule}``; the answer is what it printed, and then the end.
"""

import json
import os
import select
import signal
import socket
import sys
import traceback

import requests  # which the module imports when it downloads: here, once for all runs
from ansible.module_utils import basic
from ansible_collections.iac_platform.terraform.plugins.module_utils._run import info_script, script
from ansible_collections.iac_platform.terraform.plugins.modules import terraform_binary, terraform_binary_info

MODULES = {"terraform_binary": terraform_binary, "terraform_binary_info": terraform_binary_info}
SCRIPTS = {"terraform_binary": script, "terraform_binary_info": info_script}


def serve(path):
    """Answer on a UNIX socket until standard input ends."""
    assert requests.Session
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the copies
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(100)
        print("ready", flush=True)
        while True:
            ready, _none, _nothing = select.select([listener, sys.stdin], [], [])
            if listener not in ready:
                return
            connection, _address = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    _answer(connection)


def _answer(connection):
    """One run of the module. The process ends with it, as the module's own does."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection.makefile("r", encoding="utf-8") as stream:
        request = json.loads(stream.readline())
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, number in ((nothing, 0), (connection.fileno(), 1), (connection.fileno(), 2)):
        os.dup2(source, number)
    connection.close()
    os.environ.update(request["environment"])
    if request["hidden"]:
        sys.modules[request["hidden"]] = None  # the next import of it fails
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": request["arguments"]}).encode("utf-8")
    basic._ANSIBLE_PROFILE = "legacy"  # plain JSON, from ansible-core 2.19 on
    try:
        if request["script"]:
            SCRIPTS[request["module"]].run_script(json.dumps(request["arguments"]).encode("utf-8"))
        else:
            MODULES[request["module"]].main()
    except SystemExit:
        pass
    except BaseException:  # what a target would show instead of JSON
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
