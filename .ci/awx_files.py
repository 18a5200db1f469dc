# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make files/awx-survey.json and files/awx.json of playbooks/vars/awx.yml and the variables of playbooks/awx.yml.

With --check nothing is written: the return code says whether the files are as they should be. Needs
ansible-core 2.19 or later.
"""

import json
import pathlib
import sys

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROOT = pathlib.Path(__file__).resolve().parent.parent


def variables():
    """What both files say, with their templates replaced: dict."""
    loader = DataLoader()
    (play,) = loader.load_from_file(str(ROOT / "playbooks" / "awx.yml"), trusted_as_template=True)
    data = loader.load_from_file(str(ROOT / "playbooks" / "vars" / "awx.yml"), trusted_as_template=True)
    given = dict(data, **play["vars"])
    given.pop("ansible_python_interpreter")
    templar = Templar(loader=loader, variables=given)
    return {name: plain(templar.template(given[name])) for name in given}


def plain(value):
    """A value of plain types. From ansible-core 2.19 on what is in a list or dict is only evaluated when it is asked for."""
    if isinstance(value, dict):
        return {plain(key): plain(value[key]) for key in value}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value).replace("{  {", "{{").replace("{  %", "{%") if isinstance(value, str) else value


def exported(found):
    """What `awx import` takes: everything by its natural key, nothing of what differs from site to site."""
    organization = {"name": found["awx_organization"], "type": "organization"}
    project = {"organization": organization, "name": found["controller_projects"][0]["name"], "type": "project"}
    return {
        "credential_types": [
            dict(one, natural_key={"name": one["name"], "kind": one["kind"], "type": "credential_type"}, managed=False)
            for one in found["controller_credential_types"]
        ],
        "projects": [dict(one, organization=organization, natural_key=project) for one in found["controller_projects"]],
        "job_templates": [_template(one, organization, project) for one in found["controller_templates"]],
        "workflow_job_templates": [_workflow(one, organization) for one in found["controller_workflows"]],
    }


def _template(one, organization, project):
    left_out = ("inventory", "execution_environment", "credentials", "survey_spec", "organization", "project")
    return dict(
        {key: value for key, value in one.items() if key not in left_out},
        project=project,
        inventory=None,
        extra_vars=json.dumps(one["extra_vars"]),
        related={"survey_spec": one["survey_spec"]},
        natural_key={"organization": organization, "name": one["name"], "type": "job_template"},
    )


def _workflow(one, organization):
    key = {"organization": organization, "name": one["name"], "type": "workflow_job_template"}

    def node_key(identifier):
        return {"workflow_job_template": key, "identifier": identifier, "type": "workflow_job_template_node"}

    nodes = [
        {
            "identifier": node["identifier"],
            "natural_key": node_key(node["identifier"]),
            "unified_job_template": {
                "organization": organization,
                "name": node["unified_job_template"]["name"],
                "type": "job_template",
            },
            "related": {
                kind: [node_key(other["identifier"]) for other in others]
                for kind, others in node.get("related", {}).items()
            },
        }
        for node in one["workflow_nodes"]
    ]
    left_out = ("inventory", "survey_spec", "workflow_nodes", "organization")
    return dict(
        {name: value for name, value in one.items() if name not in left_out},
        organization=organization,
        natural_key=key,
        related={"survey_spec": one["survey_spec"], "workflow_nodes": nodes},
    )


def main():
    found = variables()
    wrong = []
    for name, value in (("awx-survey.json", found["awx_survey"]), ("awx.json", exported(found))):
        path, text = ROOT / "files" / name, json.dumps(value, indent=2) + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        wrong.append(name)
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
    for name in wrong:
        print("files/%s %s" % (name, "is not what .ci/awx_files.py makes" if "--check" in sys.argv[1:] else "made"))
    return 1 if wrong and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
