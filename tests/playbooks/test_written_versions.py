# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A version as it stands in a playbook without quotes, or is the answer of an AWX survey."""

import os

import pytest

# What stands in a playbook without quotes, or is the answer of an AWX survey, which newer cores give a type.
WRITTEN = {
    "1.10": "may have been 1.1 or 1.10", "1": "may have been 1.1 or 1.10", "yes": "boolean true", "~": "not given",
    "2026-01-01": "date 2026-01-01", "": "not given", "[1.13.4]": "is a list", "{a: b}": "is a mapping",
    "'{{ answer }}'": "may have been 1.1 or 1.10", "'{{ blank }}'": "not given",
}
YAML = """\
    - name: {name}
      ignore_errors: true
      iac_platform.terraform.terraform_binary:
        base_dir: {folder}/never
        sites: ["file:///nowhere"]
        version: {value}
"""


@pytest.fixture(scope="module")
def written(play, folder):
    """All of them, as tasks of one playbook."""
    playbook, answers = os.path.join(folder, "play.yml"), os.path.join(folder, "answers.yml")
    with open(playbook, "w", encoding="ascii") as file:
        file.write("- hosts: all\n  gather_facts: false\n  tasks:\n")
        for number, value in enumerate(WRITTEN):
            file.write(YAML.replace("{name}", str(number)).replace("{folder}", folder).replace("{value}", value))
    with open(answers, "w", encoding="ascii") as file:
        file.write("answer: !unsafe '1.10'\nblank: !unsafe ''\n")
    run = play(playbook, arguments=["-e", "@" + answers])
    return {value: run[str(number)] for number, value in enumerate(WRITTEN)}


@pytest.mark.parametrize("value", WRITTEN)
def test_what_yaml_and_surveys_make_of_a_version(value, written, folder):
    result = written[value]
    assert result["failed"] and WRITTEN[value] in result["msg"] and result["error"]["step"] == "request", result
    assert not os.path.exists(os.path.join(folder, "never"))
