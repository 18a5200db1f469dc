# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the API of AWX: the collections and verbs that the modules of awx.awx use, with the rules of awx_rules.

What is made is kept in memory; what the real one would refuse is refused. Nothing runs.
"""

import http.server
import json
import os
import re
import threading
import urllib.parse

from awx_rules import refuse_credential_type, refuse_survey

TOKEN = "stand-in-token"
KINDS = {
    "organizations": "organization",
    "credential_types": "credential_type",
    "credentials": "credential",
    "execution_environments": "execution_environment",
    "projects": "project",
    "inventories": "inventory",
    "hosts": "host",
    "job_templates": "job_template",
    "workflow_job_templates": "workflow_job_template",
    "workflow_job_template_nodes": "workflow_job_template_node",
}
LINKED = ("galaxy_credentials", "credentials", "success_nodes", "failure_nodes", "always_nodes")


class Refused(Exception):
    """What the API answers with 400."""


class StandIn:
    """For a body of ``with``: ``url``, ``things`` by collection, ``requests`` as (verb, path).

    :param checkout: str, the folder whose playbooks the project has.
    """

    def __init__(self, checkout):
        self._checkout = checkout
        self.things = {kind: {} for kind in KINDS}
        self.requests = []
        self._number = 0
        self._put("organizations", {"name": "Default"})
        self._put("credentials", {"name": "Ansible Galaxy", "organization": None})
        self._put("inventories", {"name": "Production", "organization": 1})
        self._put("credentials", {"name": "SSH key", "organization": 1})

    def __enter__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                path, _mark, query = self.path.partition("?")
                outer.requests.append((self.command, path))
                if self.headers.get("Authorization") != "Bearer " + TOKEN:
                    status, answer = 401, {"detail": "no"}
                else:
                    try:
                        status, answer = outer.answer(self.command, path, dict(urllib.parse.parse_qsl(query)), body)
                    except Refused as exc:
                        status, answer = 400, {"error": str(exc)}
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("X-API-Product-Name", "AWX")
                self.send_header("X-API-Product-Version", "24.6.1")
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any

            def log_message(self, *dummy):
                """Not on the screen."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *dummy):
        self._server.shutdown()
        self._server.server_close()

    def named(self, kind):
        """dict of name and thing of a collection."""
        return {thing.get("name") or thing["identifier"]: thing for thing in self.things[kind].values()}

    def answer(self, verb, path, query, body):
        """(status, what to answer)."""
        parts = [part for part in path.split("/") if part][2:]  # api, v2
        if parts == ["unified_job_templates"]:
            parts = [query["type"] + "s"]
        if parts[0] == "project_updates":
            return 200, {"status": "successful", "finished": "now", "failed": False}
        kind = parts[0]
        if kind not in KINDS:
            return 404, {}
        if len(parts) == 1:
            return self._of_collection(verb, kind, query, body)
        thing = self.things[kind].get(int(parts[1]))
        if thing is None:
            return 404, {}
        if len(parts) == 2:
            return self._of_thing(verb, kind, thing, body)
        if parts[2] == "survey_spec":
            if verb == "POST":
                self._refuse(refuse_survey(body))
                thing["_survey"] = body
            return 200, thing["_survey"]
        if parts[2] in LINKED:
            return self._of_link(verb, thing["_linked"].setdefault(parts[2], []), body)
        return 404, {}

    def _of_collection(self, verb, kind, query, body):
        if verb == "POST":
            return 201, self._shown(self._put(kind, body))
        found = [
            self._shown(thing)
            for thing in self.things[kind].values()
            if all(str(thing.get(name)) == value for name, value in query.items() if name != "type")
        ]
        return 200, {"count": len(found), "next": None, "previous": None, "results": found}

    def _of_thing(self, verb, kind, thing, body):
        if verb == "DELETE":
            if thing["id"] in [one.get("credential_type") for one in self.things["credentials"].values()]:
                raise Refused("credential type is in use")
            del self.things[kind][thing["id"]]
            if kind == "workflow_job_templates":
                nodes = self.things["workflow_job_template_nodes"]
                self.things["workflow_job_template_nodes"] = {
                    number: node for number, node in nodes.items() if node["workflow_job_template"] != thing["id"]
                }
            return 204, None
        if verb == "PATCH":
            self._check(kind, dict(thing, **body))
            thing.update(body)
        return 200, self._shown(thing)

    def _of_link(self, verb, linked, body):
        if verb == "POST":
            if body.get("disassociate"):
                linked.remove(body["id"])
            else:
                linked.append(body["id"])
            return 204, None
        return 200, {"count": len(linked), "next": None, "results": [{"id": number} for number in linked]}

    def _put(self, kind, body):
        self._check(kind, body)
        if kind == "job_templates":  # whatever was sent
            body = dict(body, organization=self.things["projects"][body["project"]]["organization"])
        self._number += 1
        thing = dict(
            body, id=self._number, type=KINDS[kind], url="/api/v2/%s/%d/" % (kind, self._number), _linked={}, _survey={}
        )
        thing["related"] = {"survey_spec": thing["url"] + "survey_spec/"}
        thing["summary_fields"] = {"current_update": {"id": 1}} if kind == "projects" else {}
        if kind == "projects":
            thing["scm_revision"] = "0" * 40
        self.things[kind][thing["id"]] = thing
        return thing

    def _check(self, kind, body):
        """What the API checks of a thing when it is made or changed."""
        if kind == "credential_types":
            self._refuse(refuse_credential_type(body))
        if kind == "job_templates":
            if body["playbook"] not in playbooks_of(self._checkout):
                raise Refused("Playbook not found for project.")
            if not body.get("inventory") and not body.get("ask_inventory_on_launch"):
                raise Refused("Job Template must provide 'inventory' or allow prompting for it.")
            json.loads(body["extra_vars"])
        if kind == "credentials" and "inputs" in body:
            type_of = self.things["credential_types"][body["credential_type"]]
            known = [field["id"] for field in type_of["inputs"]["fields"]]
            if not set(body["inputs"]) <= set(known) or not set(type_of["inputs"].get("required", ())) <= set(
                body["inputs"]
            ):
                raise Refused("inputs do not fit the type")

    def _shown(self, thing):
        shown = {name: value for name, value in thing.items() if not name.startswith("_")}
        if "inputs" in thing and thing["type"] == "credential":
            fields = self.things["credential_types"][thing["credential_type"]]["inputs"]["fields"]
            secret = [field["id"] for field in fields if field.get("secret")]
            shown["inputs"] = {
                name: "$encrypted$" if name in secret else value for name, value in thing["inputs"].items()
            }
        return shown

    @staticmethod
    def _refuse(reasons):
        if reasons:
            raise Refused("; ".join(reasons))


def playbooks_of(checkout):
    """What AWX lists of a project: files with ``hosts:`` or ``import_playbook:``, but for those of roles and tasks."""
    found = []
    for parent, _folders, names in os.walk(os.path.join(checkout, "playbooks")):
        place = os.path.relpath(parent, checkout)
        for name in names:
            if name.endswith((".yml", ".yaml")) and not {"roles", "tasks"} & set(place.split(os.sep)):
                with open(os.path.join(parent, name), encoding="utf-8") as file:
                    if re.search(
                        r"^\s*-?\s*(?:hosts|(?:ansible\.builtin\.)?import_playbook):", file.read(), re.MULTILINE
                    ):
                        found.append(os.path.join(place, name))
    return sorted(found)
