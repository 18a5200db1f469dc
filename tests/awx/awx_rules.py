# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX 24.6.1 takes and refuses: surveys, answers to them, types of credentials. As seen on a real one.

Each function returns a tuple of reasons; an empty one means that AWX takes it. What AWX takes though it is wrong is refused as
well, since nothing of ours is to be like that: those reasons begin with ``taken, but``.
"""

import re

TYPES = ("text", "textarea", "password", "multiplechoice", "multiselect", "integer", "float")
_OF_TYPE = {"integer": int, "float": (int, float)}
_NAMES = re.compile(r"[a-zA-Z_]\w*\Z", re.ASCII)
_TEMPLATE = re.compile(r"{{\s*([\w.]+)\s*}}|{%.*?%}", re.ASCII)


def refuse_survey(survey):
    """Why ``POST job_templates/N/survey_spec/`` would answer 400."""
    reasons = [
        "no %s" % name
        for name, kind in (("name", str), ("description", str), ("spec", list))
        if not isinstance(survey.get(name), kind)
    ]
    if not reasons and not survey["spec"]:
        reasons.append("spec is empty")
    known = set()
    for question in survey["spec"] if not reasons else ():
        reasons += _refuse_question(question)
        if question.get("variable") in known:
            reasons.append("variable twice")
        known.add(question.get("variable"))
    return tuple(reasons)


def _refuse_question(question):
    missing = ["no %s" % name for name in ("type", "question_name", "variable", "required") if name not in question]
    if missing:
        return missing
    reasons, kind = [], question["type"]
    if kind not in TYPES:
        return ["type %s" % kind]
    if not isinstance(question["required"], bool):
        reasons.append("required is no boolean")
    for limit in ("min", "max"):
        value = question.get(limit)
        if value is not None and not isinstance(value, int):
            reasons.append("%s is no integer" % limit)
        if limit == "max" and value == 0:
            reasons.append("taken, but max 0 lets nothing pass")
    default = question.get("default", "")
    if default != "" and not isinstance(default, _OF_TYPE.get(kind, str)):
        reasons.append("default is of another type")
    elif isinstance(default, bool):
        reasons.append("taken, but the default is a boolean")
    if kind in ("multiplechoice", "multiselect"):
        reasons += _refuse_choices(question.get("choices"), default)
    if not _NAMES.match(question["variable"]):
        reasons.append("taken, but %r is no name of a variable" % question["variable"])
    return reasons


def _refuse_choices(choices, default):
    if choices is None:
        return ["no choices"]
    if isinstance(choices, str):
        inside = all(part in choices for part in default.splitlines()) if isinstance(default, str) else True
        return (
            ["taken, but in choices as text a part of one passes"]
            if inside and default not in choices.splitlines() + [""]
            else []
        ) + ([] if inside else ["default is no choice"])
    wanted = default.splitlines() if isinstance(default, str) else []
    return ["default is no choice"] * (
        not set(wanted) <= set(map(repr, choices)) | set(c for c in choices if isinstance(c, str))
    )


def refuse_answers(survey, answers):
    """Why ``POST job_templates/N/launch/`` with these ``extra_vars`` would answer 400, or not use one of them."""
    reasons = ["%s is ignored" % name for name in answers if name not in [q["variable"] for q in survey["spec"]]]
    for question in survey["spec"]:
        name, kind = question["variable"], question["type"]
        if name not in answers:
            if question["required"]:
                reasons.append("%s value missing" % name)  # also where there is a default
            continue
        value = answers[name]
        if kind in ("integer", "float"):
            if isinstance(value, bool) or not isinstance(value, _OF_TYPE[kind]):
                reasons.append("%s is no %s" % (name, kind))
                continue
            size = value
        elif kind == "multiplechoice":
            if value not in _listed(question["choices"]) or not isinstance(value, str):
                reasons.append("%s is no choice" % name)
            continue
        else:
            if not isinstance(value, str):
                reasons.append("%s is no text" % name)
                continue
            size = len(value)
        if value == "" and not question["required"]:
            continue
        if question.get("min") is not None and size < question["min"]:
            reasons.append("%s is too small" % name)
        if question.get("max") is not None and size > question["max"]:
            reasons.append("%s is too large" % name)
    return tuple(reasons)


def answered(survey, answers):
    """What a job gets: the answers, and the defaults of the questions that were not answered."""
    defaults = {question["variable"]: question.get("default", "") for question in survey["spec"]}
    return {name: answers.get(name, value) for name, value in defaults.items()}


def _listed(choices):
    return choices.splitlines() if isinstance(choices, str) else choices


def refuse_credential_type(wanted):
    """Why ``POST credential_types/`` would answer 400."""
    if wanted.get("kind") not in ("cloud", "net"):
        return ("kind is %s" % wanted.get("kind"),)
    inputs, injectors = wanted.get("inputs", {}), wanted.get("injectors", {})
    reasons, known = [], []
    for field in inputs.get("fields", ()):
        if "label" not in field:
            reasons.append("no label")
        if not _NAMES.match(str(field.get("id", ""))):
            reasons.append("id is no name")
        if field.get("id") == "tower":
            reasons.append("id is reserved")
        if field.get("id") in known:
            reasons.append("id twice")
        reasons += ["%s inside a field" % name for name in ("required", "placeholder") if name in field]
        known.append(field.get("id"))
    reasons += ["required names no field"] * (not set(inputs.get("required", ())) <= set(known))
    known += ["tower.filename"] + ["tower.filename.%s" % name.partition(".")[2] for name in injectors.get("file", {})]
    for name in injectors.get("env", {}):
        if name.startswith("ANSIBLE_") or name in ("PATH", "HOME"):
            reasons.append("env name %s" % name)
    for kind in injectors:
        for template in injectors[kind].values():
            if not isinstance(template, str) or not template.isascii():
                reasons.append("template is no plain text")
                continue
            names = [found[1] for found in _TEMPLATE.finditer(template) if found[1]]
            reasons += ["%s is undefined" % name for name in names if name not in known]
    return tuple(reasons)
