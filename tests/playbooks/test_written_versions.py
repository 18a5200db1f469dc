# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A version as it stands in a playbook without quotes, or is the answer of an AWX survey."""

import functools
import os

import pytest

# What stands in a playbook without quotes, or is the answer of an AWX survey, which newer cores give a type.
WRITTEN = {
    "1.10": "as '~> 1.1.0' or '~> 1.10.0'",
    "1": "is the number 1, and YAML",
    "yes": "boolean true",
    "~": "not given",
    "2026-01-01": "date 2026-01-01",
    "": "not given",
    "[1.13.4]": "is a list",
    "{a: b}": "is a mapping",
    "'{{ answer }}'": "'~> 1.10.0'",
    "'{{ blank }}'": "not given",
}
# Blanks around a version mean nothing, however they came there. Nothing is installed by that name, so it says so.
BLANKS = {
    "' 1.2.3 '": "1.2.3",
    '"1.2.3\\t"': "1.2.3",
    '"\\r\\n v1.2.3\\r\\n"': "1.2.3",
    "|\n          1.2.3\n": "1.2.3",
    ">\n\n          1.2.3\n\n": "1.2.3",
    "'{{ padded }}'": "1.2.3",
    "' >= 1 ,  <2 '": None,
    '"\\u00a0< 2\\n"': None,
}
YAML = """\
    - name: {name}
      ignore_errors: true
      iac_platform.terraform.terraform_binary:
        base_dir: {folder}/never
        sites: ["file:///nowhere"]
        version: {value}
        state: {state}
"""


@pytest.fixture(scope="module")
def written(play, folder):
    """All of them, as tasks of one playbook."""
    playbook, answers = os.path.join(folder, "play.yml"), os.path.join(folder, "answers.yml")
    with open(playbook, "w", encoding="ascii") as file:
        file.write("- hosts: all\n  gather_facts: false\n  tasks:\n")
        for number, value in enumerate([*WRITTEN, *BLANKS]):
            values = {
                "name": str(number),
                "folder": folder,
                "value": value,
                "state": "present" if value in WRITTEN else "absent",
            }
            file.write(functools.reduce(lambda text, name: text.replace("{%s}" % name, values[name]), values, YAML))
    with open(answers, "w", encoding="ascii") as file:
        file.write("answer: !unsafe '1.10'\nblank: !unsafe ''\npadded: !unsafe ' 1.2.3 '\n")
    run = play(playbook, arguments=["-e", "@" + answers])
    return {value: run[str(number)] for number, value in enumerate([*WRITTEN, *BLANKS])}


@pytest.mark.parametrize("value", WRITTEN)
def test_what_yaml_and_surveys_make_of_a_version(value, written, folder):
    result = written[value]
    assert result["failed"] and WRITTEN[value] in result["msg"] and result["error"]["step"] == "request", result
    assert not os.path.exists(os.path.join(folder, "never"))


@pytest.mark.parametrize("value", BLANKS)
def test_blanks_around_a_version_mean_nothing(value, written):
    result = written[value]
    assert not result["failed"] and not result["changed"] and result["version"] == BLANKS[value], result
    assert result["requested"].strip() == result["requested"]
