# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks names and types of options: those of the module, and the role's variables ``terraform_binary_<option>``.

The role's task passes no options. Its variables are read here, so that unset ones stay unset and module_defaults apply,
and so that an unknown name is refused, not ignored.
"""

import difflib
from typing import Any, Callable, Collection, Dict, Mapping

from ...module_utils._argument_spec import SPEC
from ...module_utils._errors import RequestError

MODULE = ROLE = "iac_platform.terraform.terraform_binary"
_PREFIX = "terraform_binary_"
# Values that ansible-core reads as true and false; blank counts as not given.
_TRUE, _FALSE = ("true", "yes", "on", "y", "t", "1", "1.0"), ("false", "no", "off", "n", "f", "0", "0.0", "")
RESULT = _PREFIX + "result"  # the fact
REPORT = _PREFIX + "report"  # the switch, and the report itself: see report_wanted()
_VARIABLES = {_PREFIX + option: option for option in SPEC}
# The collection's own names that are not options: variables of its role and playbooks, and what the role sets.
_MORE = ("audit_dest", "audit_fail", "hosts", "report")
_OTHERS = frozenset(_PREFIX + name for name in (*_MORE, "audit_info", "audit_report", "outcome", "result"))
OF_CORE = ("inventory_hostname", "omit")  # ansible-core's own: a fact of that name overrides them
_OPTIONS = frozenset(SPEC).union(*(spec.get("aliases", ()) for spec in SPEC.values()))


def check_options(
    names: Collection[str], options: Collection[str] = _OPTIONS, plugin: str = MODULE, kind: str = ""
) -> None:
    """Refuse a name that is not an option of a plugin, by default of the module. Raises RequestError.

    :param kind: str, how ansible-doc is told what kind of plugin it is.
    """
    for name in sorted(map(str, names)):
        if name not in options:
            raise RequestError(
                "%s is no option of %s" % (ascii(name[:60])[1:-1], plugin),
                hint=_suggest(name, "", "ansible-doc %s%s" % (kind, plugin), options),
            )


def check_types(arguments: Mapping[str, Any], spec: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what YAML (or an AWX survey, from ansible-core 2.19) made of an unquoted text: true, or 1.1 from 1.10.

    A whole number may be a text, and passes. Versions have their own messages. No value is shown: it may be a secret.

    :raises RequestError: a text or an integer was expected, but the value is a boolean or a number with a fraction.
    """
    for name in sorted(arguments.keys() & spec.keys() - {"version", "version_file"}):
        value, kind = arguments[name], spec[name]["type"]
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
    """Return the module's options from the role's variables.

    :param variables: all variables of the task.
    :param template: callable(dict of one name and value) -> the same with templates evaluated, without an omitted
        value, or with the placeholder that stands for ``omit`` up to ansible-core 2.18; raises RequestError.
    :returns: dict of option and value, without unset ones.
    :raises RequestError: as check_variables().
    """
    check_variables(variables)
    options = {}
    for name, option in _VARIABLES.items():
        if name in variables:
            for value in template({name: variables[name]}).values():
                if not (isinstance(value, str) and value == variables.get("omit")):
                    options[option] = value
    return options


def check_facts(variables: Mapping[str, Any]) -> None:
    """Refuse facts with names of the role's variables, or of core's own that it uses: facts override them as variables.

    :raises RequestError: there is one.
    """
    for name in sorted(map(str, variables.get("ansible_facts") or ())):
        if name.startswith(_PREFIX) and name != RESULT or name in OF_CORE:
            raise RequestError(
                "%s is among the facts of the host, which may set it to what it likes" % name[:80],
                hint="set it in the inventory, the play or by -e, and not by a cacheable fact; or look who made that fact",
            )


def check_variables(variables: Mapping[str, Any]) -> None:
    """Refuse a variable that looks like one of the role's and is none, or that is a fact. Raises RequestError."""
    check_facts(variables)
    for name in sorted(variables):
        if name.startswith(_PREFIX) and name not in _VARIABLES and name not in _OTHERS:
            raise RequestError(
                "%s is no variable of the role %s" % (name[:80], ROLE),
                hint=_suggest(name[len(_PREFIX) :], _PREFIX, "ansible-doc -t role %s" % ROLE, (*SPEC, *_MORE)),
            )


def report_wanted(variables: Mapping[str, Any], template: Callable[[Dict[str, Any]], Dict[str, Any]]) -> bool:
    """Whether ``terraform_binary_report`` is on, by a boolean or by the report of an earlier job.

    An AWX workflow passes the report of one job to the next as a variable of that name. So if one job reports, the next
    one does too.

    :param variables, template: as for read_role_variables().
    :raises RequestError: it is anything else.
    """
    if isinstance(variables.get(REPORT), Mapping):
        return True  # with what targets said in it: no template is evaluated there
    found = next(iter(template({REPORT: variables[REPORT]}).values()), None) if REPORT in variables else None
    if isinstance(found, Mapping):
        return True
    text = "" if found is None or found == variables.get("omit") else str(found).strip().lower()
    if text not in _TRUE + _FALSE:
        raise RequestError(
            "%s is %s, which is neither true nor false" % (REPORT, ascii(found)[:60]), hint="write true or false"
        )
    return text in _TRUE


def _suggest(name: str, prefix: str, command: str, options: Collection[str] = _OPTIONS) -> str:
    near = difflib.get_close_matches(name.lower(), sorted(options), 1)
    return "%s%s lists them" % ("did you mean %s%s? " % (prefix, near[0]) if near else "", command)
