# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enough of HCL's native syntax to find an argument of a top-level block, and to be certain of it.

Bodies are read, expressions are only skipped. What cannot be followed is an error with its line.
"""

import re
from typing import NamedTuple

from ._hcl_tokens import CLOSING, Scanner, Unreadable

_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class Argument(NamedTuple):
    """An argument whose value is a plain string."""

    line: int
    value: str


class _Body:
    """Reads tokens as the bodies of HCL: arguments and blocks."""

    def __init__(self, scanner):
        self.refusal = scanner.refusal
        self.tokens = scanner.scan()
        self.next = 0

    def take(self):
        token = self.tokens[self.next]
        self.next += token.kind != "end"
        return token

    def items(self, end):
        """What is in a body up to its end: (name, value tokens) of an argument, (name, labels) of a block.

        A block's own items are to be taken next, or skip() is to be called. Generator of (Token, list, bool: a block).
        """
        while True:
            token = self.take()
            if token.kind == "newline":
                continue
            if token.kind == end or token.text == end and token.kind == "mark":
                return
            if token.kind != "name":
                raise self.refusal("an argument or a block was expected", token.at)
            if self.tokens[self.next].text == "=":
                self.take()
                yield token, self._value(), False
            else:
                yield token, self._labels(token), True

    def _value(self):
        """The tokens of an expression, which ends with its line or before the brace that ends its block."""
        found, depth = [], 0
        while True:
            token = self.tokens[self.next]
            if token.kind == "end" or not depth and (token.kind == "newline" or token.kind == "mark" and token.text == "}"):
                return found
            if token.kind == "mark":
                depth += (token.text in CLOSING) - (token.text in CLOSING.values())
            found.append(self.take())

    def _labels(self, name):
        labels = []
        while True:
            token = self.take()
            if token.kind == "mark" and token.text == "{":
                return labels
            if token.kind not in ("name", "string"):
                raise self.refusal("neither an argument nor a block begins like this", name.at)
            labels.append(token)

    def skip(self):
        """Go behind the end of the block whose beginning was just taken."""
        depth = 1
        while depth:
            token = self.take()
            if token.kind == "mark":
                depth += (token.text == "{") - (token.text == "}")


def find_arguments(text, block, name):
    """The values of an argument in all top-level blocks of a type.

    :param text: str, a file in HCL's native syntax.
    :param block: str, the type of the blocks, which take no labels: ``terraform``.
    :param name: str, the argument: ``required_version``. It is found directly in the block only.
    :returns: list of Argument, in the order of the file.
    :raises Unreadable: the text cannot be followed, or a value is not one plain quoted string.
    """
    body, found = _Body(Scanner(text)), []
    for item, labels, is_block in body.items("end"):
        if not is_block:
            continue
        if item.text != block:
            body.skip()
            continue
        if labels:
            raise body.refusal("the block %s takes no labels" % block, item.at)
        values = []
        for inner, value, is_block in body.items("}"):
            if is_block:
                body.skip()
            elif inner.text == name:
                values.append(Argument(body.refusal("", inner.at).line, _plain(body, inner, value)))
        if len(values) > 1:
            raise Unreadable(values[1].line, "%s is there twice in one block" % name)
        found += values
    return found


def _plain(body, name, value):
    """What an argument's value says. Raises Unreadable for all but a plain string."""
    if [token.kind for token in value] != ["string"] or value[0].template:
        raise body.refusal("%s is not one plain string in quotes" % name.text, name.at)
    try:
        return _ESCAPE.sub(_meaning, value[0].text.replace("$${", "${").replace("%%{", "%{"))
    except ValueError as exc:
        raise body.refusal("%s has an escape in it that means nothing" % name.text, name.at) from exc


def _meaning(escape):
    code = escape.group(1)
    if code in _ESCAPED:
        return _ESCAPED[code]
    if len(code) == 1 or int(code[1:], 16) > 0x10FFFF:
        raise ValueError("an escape that means nothing")
    return chr(int(code[1:], 16))
