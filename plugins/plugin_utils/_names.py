# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of options: the module's own, and the role's variables ``terraform_binary_<option>``. Others are refused.

The role's task hands nothing on. Its variables are read here, so that what is not set stays unset, and module_defaults
hold; and so that a name that means nothing is refused instead of ignored.
"""

import difflib
from typing import Any, Callable, Collection, Dict, Mapping

from ..module_utils._errors import RequestError
from ..module_utils._model import SPEC

MODULE = ROLE = "iac_platform.terraform.terraform_binary"
_PREFIX = "terraform_binary_"
_VARIABLES = {_PREFIX + option: option for option in SPEC}
# Names of the collection's own that are no options: what playbooks take, and what the role leaves behind.
_OTHERS = frozenset(_PREFIX + name for name in ("hosts", "outcome", "result"))
_OPTIONS = frozenset(SPEC).union(*(spec.get("aliases", ()) for spec in SPEC.values()))


def check_options(names: Collection[str]) -> None:
    """Refuse a name that is no option of the module. Raises RequestError."""
    for name in sorted(map(str, names)):
        if name not in _OPTIONS:
            raise RequestError("%s is no option of %s" % (ascii(name[:60])[1:-1], MODULE),
                               hint=_suggest(name, "", "ansible-doc %s" % MODULE))


def read_role_variables(variables: Mapping[str, Any], template: Callable[[Dict[str, Any]], Dict[str, Any]]) -> Dict[str, Any]:
    """The module's options, as the role's variables have them.

    :param variables: all variables of the task.
    :param template: callable(dict of one name and value): the same with its templates replaced, without what became
        ``omit``, or with the text that stands for it up to ansible-core 2.18; it raises RequestError.
    :returns: option and value, without those that are not set.
    :raises RequestError: a name that is none of the role's.
    """
    for name in sorted(variables):
        if name.startswith(_PREFIX) and name not in _VARIABLES and name not in _OTHERS:
            raise RequestError("%s is no variable of the role %s" % (name[:80], ROLE),
                               hint=_suggest(name[len(_PREFIX):], _PREFIX, "ansible-doc -t role %s" % ROLE))
    options = {}
    for name, option in _VARIABLES.items():
        if name in variables:
            for value in template({name: variables[name]}).values():
                if not (isinstance(value, str) and value == variables.get("omit")):
                    options[option] = value
    return options


def _suggest(name: str, prefix: str, command: str) -> str:
    near = difflib.get_close_matches(name.lower(), sorted(_OPTIONS), 1)
    return "%s%s lists them" % ("did you mean %s%s? " % (prefix, near[0]) if near else "", command)
