# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of AWX, row by row as the real one answered; and what we ship, against them."""

import os

import pytest
from awx_rules import refuse_answers, refuse_credential_type, refuse_survey

FILES = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "files")
QUESTION = {"type": "text", "question_name": "Version", "variable": "v", "required": False}
CHOICE = dict(QUESTION, type="multiplechoice", choices=["signature", "sha256sums"])
WITHOUT = object()


def survey(*questions, **fields):
    """A survey of these questions, or of one that is right; a field that is WITHOUT is left out."""
    made = dict({"name": "", "description": "", "spec": list(questions or [QUESTION])}, **fields)
    return {name: value for name, value in made.items() if value is not WITHOUT}


def question(base=None, **fields):
    made = dict(QUESTION if base is None else base, **fields)
    return {name: value for name, value in made.items() if value is not WITHOUT}


SURVEYS = {  # name: (survey, the word in the reason; None: it is taken)
    "no name": (survey(name=WITHOUT), "no name"),
    "no description": (survey(description=WITHOUT), "no description"),
    "no questions": (survey(spec=[]), "empty"),
    "no spec": (survey(spec=WITHOUT), "no spec"),
    **{
        "no " + name: (survey(question(**{name: WITHOUT})), "no " + name)
        for name in ("type", "question_name", "variable", "required")
    },
    "required as text": (survey(question(required="true")), "no boolean"),
    "a boolean": (survey(question(type="boolean")), "type boolean"),
    **{"text, default %r" % value: (survey(question(default=value)), "another type") for value in (None, 5, True)},
    "integer, default as text": (survey(question(type="integer", default="30")), "another type"),
    "max as text": (survey(question(max="10")), "max is no integer"),
    "max 1.5": (survey(question(max=1.5)), "max is no integer"),
    "no choices": (survey(question(CHOICE, choices=WITHOUT)), "no choices"),
    "default is no choice": (survey(question(CHOICE, default="pinned")), "no choice"),
    "booleans as choices": (survey(question(CHOICE, choices=[True, False], default="true")), "no choice"),
    "multiselect, default as list": (
        survey(question(CHOICE, type="multiselect", default=["signature"])),
        "another type",
    ),
    "twice": (survey(QUESTION, QUESTION), "twice"),
    "choices as list": (survey(CHOICE), None),
    "choices as text": (survey(question(CHOICE, choices="signature\nsha256sums", default="signature")), None),
    "default blank": (survey(question(CHOICE, default="")), None),
    "integer, default blank": (survey(question(type="integer", default="")), None),
    "integer": (survey(question(type="integer", default=30)), None),
    "no limits": (survey(question(min=None, max=None)), None),
    "unknown keys": (survey(question(new=True)), None),
    "integer, default true": (survey(question(type="integer", default=True)), "taken, but"),
    "max 0": (survey(question(max=0)), "taken, but"),
    "variable a b": (survey(question(variable="a b")), "taken, but"),
    "variable a.b": (survey(question(variable="a.b")), "taken, but"),
    "a part of a choice": (survey(question(CHOICE, choices="signature\nsha256sums", default="sign")), "taken, but"),
}
ASKED = survey(
    question(min=1, max=5),
    question(CHOICE, variable="c"),
    question(variable="b", type="multiplechoice", choices=["true"]),
    question(variable="i", type="integer", min=1, max=30),
)
REQUIRED = survey(question(required=True, default="x"))
ANSWERS = {
    "not a choice": (ASKED, {"c": "pinned"}, "no choice"),
    "a boolean for a choice": (ASKED, {"b": True}, "no choice"),
    "blank for a choice": (ASKED, {"c": ""}, "no choice"),
    "null": (ASKED, {"v": None}, "no text"),
    "null for a choice": (ASKED, {"c": None}, "no choice"),
    "null for an integer": (ASKED, {"i": None}, "no integer"),
    "text for an integer": (ASKED, {"i": "20"}, "no integer"),
    "blank for an integer": (ASKED, {"i": ""}, "no integer"),
    "5 for text": (ASKED, {"v": 5}, "no text"),
    "1.1 for text": (ASKED, {"v": 1.1}, "no text"),
    "true for text": (ASKED, {"v": True}, "no text"),
    "too long": (ASKED, {"v": "123456"}, "too large"),
    "too large": (ASKED, {"i": 31}, "too large"),
    "too small": (ASKED, {"i": 0}, "too small"),
    "no question": (ASKED, {"terraform_binary_link": "/x"}, "ignored"),
    "required, though it has a default": (REQUIRED, {}, "value missing"),
    "blanks": (ASKED, {"v": "  "}, None),
    "a template": (ASKED, {"v": "{{1}}"}, None),
    "nothing": (ASKED, {}, None),
}
FIELD = {"id": "sites", "label": "Sites"}


def credential_type(*fields, env=None, file=None, kind="cloud", required=(), extra_vars=None):
    injectors = {"env": env or {}, "file": file or {}, "extra_vars": extra_vars or {}}
    return {
        "kind": kind,
        "inputs": {"fields": list(fields or [FIELD]), "required": list(required)},
        "injectors": injectors,
    }


CREDENTIAL_TYPES = {
    "another kind": (credential_type(kind="ssh"), "kind"),
    "env ANSIBLE_*": (credential_type(env={"ANSIBLE_X": "x"}), "env name"),
    "env PATH": (credential_type(env={"PATH": "x"}), "env name"),
    "undefined": (credential_type(env={"X": "{{ token }}"}), "undefined"),
    "not ASCII": (credential_type(env={"X": "\u00fc"}), "no plain text"),
    "no text": (credential_type(env={"X": 5}), "no plain text"),
    "required inside": (credential_type(dict(FIELD, required=True)), "inside a field"),
    "placeholder inside": (credential_type(dict(FIELD, placeholder="x")), "inside a field"),
    "no label": (credential_type({"id": "x"}), "no label"),
    "tower": (credential_type(dict(FIELD, id="tower")), "reserved"),
    "a-b": (credential_type(dict(FIELD, id="a-b")), "no name"),
    "twice": (credential_type(FIELD, FIELD), "twice"),
    "env": (
        credential_type(env={"TERRAFORM_BINARY_SITES": "{{ sites }}", "https_proxy": "", "REQUESTS_CA_BUNDLE": "x"}),
        None,
    ),
    "file": (
        credential_type(
            dict(FIELD, id="ca", multiline=True),
            file={"template.ca": "{{ ca }}"},
            required=["ca"],
            extra_vars={"x": "{% if ca %}{{ tower.filename.ca }}{% endif %}"},
        ),
        None,
    ),
}


def check(reasons, word):
    assert reasons == () if word is None else any(word in reason for reason in reasons), reasons


@pytest.mark.parametrize("name", SURVEYS)
def test_a_survey(name):
    check(refuse_survey(SURVEYS[name][0]), SURVEYS[name][1])


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name):
    check(refuse_answers(*ANSWERS[name][:2]), ANSWERS[name][2])


@pytest.mark.parametrize("name", CREDENTIAL_TYPES)
def test_a_type_of_credential(name):
    check(refuse_credential_type(CREDENTIAL_TYPES[name][0]), CREDENTIAL_TYPES[name][1])
