# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback that writes what every task gave as a line of JSON, since none in ansible-core does (2.15 to 2.21)."""

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: json_lines
type: notification
short_description: One line of JSON for each result of a task
description:
  - Appends to the file that the environment variable JSON_LINES_FILE names.
  - Where NO_SCRIPT has a reason in it, the action plugin takes it for one to run the module itself.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "json_lines"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if os.environ.get("NO_SCRIPT"):  # the module itself is to run: before the action plugin takes this name
            from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task import script

            script.find_obstacle = lambda *dummy: os.environ["NO_SCRIPT"]

    def v2_runner_on_ok(self, result):
        self._write(result, "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result):
        self._write(result, "unreachable")

    def v2_runner_on_skipped(self, result):
        self._write(result, "skipped")

    def _write(self, result, status):
        # Since 2.19 there are host, task and result; before, they had an underscore.
        public = hasattr(result, "task")
        host, task, values = (getattr(result, name if public else "_" + name) for name in ("host", "task", "result"))
        line = {"host": host.get_name(), "task": task.name, "status": status, "result": values}
        with open(os.environ["JSON_LINES_FILE"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=_as_text) + "\n")


def _as_text(value):
    """Warnings and errors of 2.19 and later are records with a chain of events: their message is what counts."""
    event = getattr(value, "event", None)
    return str(value if event is None else event.msg)
