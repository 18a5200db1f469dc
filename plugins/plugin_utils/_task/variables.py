# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and types of options: the module's own, and the role's variables ``terraform_binary_<option>``. Others are refused.

The role's task hands nothing on. Its variables are read here, so that what is not set stays unset, and module_defaults
hold; and so that a name that means nothing is refused instead of ignored.
"""

import difflib
from typing import Any, Callable, Collection, Dict, Mapping

from ...module_utils._argument_spec import SPEC
from ...module_utils._errors import RequestError

MODULE = ROLE = "iac_platform.terraform.terraform_binary"
_PREFIX = "terraform_binary_"
# As ansible-core reads a boolean; blank is not given.
_TRUE, _FALSE = ("true", "yes", "on", "y", "t", "1", "1.0"), ("false", "no", "off", "n", "f", "0", "0.0", "")
RESULT = _PREFIX + "result"  # the fact
REPORT = _PREFIX + "report"  # the switch, and what it makes: see wants_report()
_VARIABLES = {_PREFIX + option: option for option in SPEC}
# Names of the collection's own that are no options: what playbooks take, and what the role leaves behind.
_OTHERS = frozenset(_PREFIX + name for name in ("hosts", "outcome", "report", "result"))
_OPTIONS = frozenset(SPEC).union(*(spec.get("aliases", ()) for spec in SPEC.values()))


def check_options(names: Collection[str]) -> None:
    """Refuse a name that is no option of the module. Raises RequestError."""
    for name in sorted(map(str, names)):
        if name not in _OPTIONS:
            raise RequestError(
                "%s is no option of %s" % (ascii(name[:60])[1:-1], MODULE),
                hint=_suggest(name, "", "ansible-doc %s" % MODULE),
            )


def check_types(arguments: Mapping[str, Any]) -> None:
    """Refuse what YAML, or an AWX survey from ansible-core 2.19 on, made of a text without quotes: true, or 1.1 of 1.10.

    A number without a fraction may be a text, and is let pass; what is no version has words of its own. No value is shown:
    it may be a secret.

    :raises RequestError: a boolean or a number with a fraction where a text or an integer is meant.
    """
    for name in sorted(arguments.keys() & SPEC.keys() - {"version", "version_file"}):
        value, kind = arguments[name], SPEC[name]["type"]
        if kind in ("str", "path", "int") and isinstance(value, (bool, float)):
            raise RequestError(
                "%s is a %s, as YAML and AWX read an answer without quotes, where %s is meant"
                % (
                    name,
                    "boolean" if isinstance(value, bool) else "number with a fraction",
                    "an integer" if kind == "int" else "a text",
                ),
                hint="write a whole number, such as 30"
                if kind == "int"
                else "in a playbook put it in quotes; in AWX put it into a credential or the inventory, not into a survey",
            )


def read_role_variables(
    variables: Mapping[str, Any], template: Callable[[Dict[str, Any]], Dict[str, Any]]
) -> Dict[str, Any]:
    """The module's options, as the role's variables have them.

    :param variables: all variables of the task.
    :param template: callable(dict of one name and value): the same with its templates replaced, without what became
        ``omit``, or with the text that stands for it up to ansible-core 2.18; it raises RequestError.
    :returns: option and value, without those that are not set.
    :raises RequestError: a name that is none of the role's, or one that a fact has: core makes variables of facts, and those go
        over the inventory's.
    """
    for name in sorted(map(str, variables.get("ansible_facts") or ())):
        if name.startswith(_PREFIX) and name != RESULT:
            raise RequestError(
                "%s is among the facts of the host, which may set it to what it likes" % name[:80],
                hint="set it in the inventory, the play or by -e, and not by a cacheable fact; or look who made that fact",
            )
    for name in sorted(variables):
        if name.startswith(_PREFIX) and name not in _VARIABLES and name not in _OTHERS:
            raise RequestError(
                "%s is no variable of the role %s" % (name[:80], ROLE),
                hint=_suggest(name[len(_PREFIX) :], _PREFIX, "ansible-doc -t role %s" % ROLE),
            )
    options = {}
    for name, option in _VARIABLES.items():
        if name in variables:
            for value in template({name: variables[name]}).values():
                if not (isinstance(value, str) and value == variables.get("omit")):
                    options[option] = value
    return options


def report_wanted(variables: Mapping[str, Any], template: Callable[[Dict[str, Any]], Dict[str, Any]]) -> bool:
    """Whether ``terraform_binary_report`` is on: by a boolean, or by the report of a job before.

    A workflow of AWX hands the report of one job to the next one as a variable of that name: where one job was to report, so
    is the next.

    :raises RequestError: anything else.
    """
    found = next(iter(template({REPORT: variables[REPORT]}).values()), None) if REPORT in variables else None
    if isinstance(found, Mapping):
        return True
    text = "" if found is None or found == variables.get("omit") else str(found).strip().lower()
    if text not in _TRUE + _FALSE:
        raise RequestError(
            "%s is %s, which is neither true nor false" % (REPORT, ascii(found)[:60]), hint="write true or false"
        )
    return text in _TRUE


def _suggest(name: str, prefix: str, command: str) -> str:
    near = difflib.get_close_matches(name.lower(), sorted(_OPTIONS), 1)
    return "%s%s lists them" % ("did you mean %s%s? " % (prefix, near[0]) if near else "", command)
