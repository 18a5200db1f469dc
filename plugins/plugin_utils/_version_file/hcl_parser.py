# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses enough of HCL's native syntax to find an argument of a top-level block with certainty.

It parses the whole file as Terraform does, and reports what is not HCL with its line. It does not check which blocks
and arguments exist, because each version of Terraform adds some. But no argument is allowed outside of all blocks.
"""

from typing import Iterator, List, NamedTuple, Optional, Set, Tuple

from .hcl_expressions import Expression
from .hcl_lexer import Scanner, Token, unescaped

_Said = Tuple[Tuple[str, ...], Token, List[Token]]  # names of the outermost two blocks, name token, value tokens


class Argument(NamedTuple):
    """An argument with a plain string as its value."""

    line: int
    value: str


class _Block:
    """The body of a block, or of the file, during parsing."""

    def __init__(self, names: Tuple[str, ...] = (), one_line: bool = False) -> None:
        self.names = names  # of the block, outermost first; at most two
        self.one_line = one_line
        self.arguments: Set[str] = set()


class _File:
    """Parses tokens into bodies: arguments and blocks. Open bodies are in a list, without recursion."""

    def __init__(self, text: str) -> None:
        scanner = Scanner(text)
        self.text, self.refusal = text, scanner.refusal
        self.tokens = scanner.scan()
        self.at = 0
        self.open = [_Block()]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += token.kind != "end"
        return token

    def peek(self) -> str:
        """Return the kind of the next token, or its text if it is a mark."""
        token = self.tokens[self.at]
        return token.kind if token.kind != "mark" else token.text

    def arguments(self) -> Iterator[_Said]:
        """Yield all arguments: (names of its outermost two blocks, name, value tokens). Raises UnreadableError."""
        while True:
            token, block = self.take(), self.open[-1]
            if token.kind == "newline" and not block.one_line:
                continue
            if token.kind == "end":
                return
            if token.text == "}" and token.kind == "mark":
                self.open.pop()
                self._end_line("a block")
            elif token.kind != "name":
                raise self.refusal("an argument or a block was expected", token.at)
            elif self.peek() == "=":
                yield self._argument(token, block)
            elif block.one_line:
                raise self.refusal("a block on one line holds one argument, and no block", token.at)
            else:
                self._begin_block(token, block)

    def _argument(self, name: Token, block: _Block) -> _Said:
        if not block.names:
            raise self.refusal("an argument is outside of all blocks", name.at)
        if name.text in block.arguments:
            raise self.refusal(
                "%s is there twice in one block" % (name.text if name.text == "required_version" else "an argument"),
                name.at,
            )
        block.arguments.add(name.text)
        self.take()
        first = self.at
        self.at = Expression(self.tokens, first, self.refusal).find_end()
        if not block.one_line:
            self._end_line("an argument")
        elif self.peek() != "}":
            raise self.refusal("a block on one line holds one argument, and ends on it", name.at)
        return block.names, name, [token for token in self.tokens[first : self.at] if token.kind != "newline"]

    def _begin_block(self, name: Token, block: _Block) -> None:
        labels = 0
        while self.peek() != "{":
            token = self.take()
            if token.kind == "quote":
                while self.peek() == "literal":
                    self.take()
                token = self.take()
            if token.kind not in ("name", "close"):
                raise self.refusal("neither an argument nor a block begins like this", name.at)
            labels += 1
        self.take()
        if labels and name.text == "terraform" and not block.names:
            raise self.refusal("the block terraform takes no labels", name.at)
        self.open.append(_Block((block.names + (name.text,))[:2], self.peek() != "newline"))

    def _end_line(self, what: str) -> None:
        """Skip the end of a line. Raises UnreadableError if there is more on the line."""
        token = self.take()
        if token.kind not in ("newline", "end"):
            raise self.refusal("%s is not the last on its line" % what, token.at)


def find_arguments(text: str, block: str, name: str) -> List[Argument]:
    """Return the values of an argument in all top-level blocks of a type.

    :param text: str, a file in HCL's native syntax; bytes that are not UTF-8 are decoded as confined.py does.
    :param block: str, the type of the blocks: ``terraform``.
    :param name: str, the argument, directly in the block: ``required_version``. ``null`` counts as not given.
    :returns: list of Argument, in the order of the file.
    :raises UnreadableError: the text cannot be parsed, or a value is not one plain string.
    """
    file = _File(text[1:] if text.startswith("\ufeff") else text)
    found, line, counted = [], 1, 0
    for blocks, argument, value in file.arguments():
        if blocks == (block,) and argument.text == name:
            line, counted = line + file.text.count("\n", counted, argument.at), argument.at
            said = _constant(value)
            if said is None:
                raise file.refusal("%s is not one plain string in quotes" % name, argument.at)
            if said != "null" or value[-1].kind != "name":
                found.append(Argument(line, said))
    return found


def _constant(tokens: List[Token]) -> Optional[str]:
    """Evaluate a literal (string, number, null; also in parentheses) to its text; None for any other expression."""
    depth = 0
    while len(tokens) - 2 * depth > 2 and (tokens[depth].text, tokens[-1 - depth].text) == ("(", ")"):
        depth += 1
    tokens = tokens[depth : len(tokens) - depth]
    kinds = [token.kind for token in tokens]
    if kinds[:2] == ["quote", "template"] and kinds[-2:] == ["seal", "close"] and kinds.count("template") == 1:
        return _constant(tokens[2:-2])  # "${...}" has the value of its content
    if kinds[0] in ("quote", "heredoc") and kinds[-1] == "close" and set(kinds[1:-1]) <= {"literal"}:
        text = "".join(token.text for token in tokens[1:-1])
        return unescaped(text) if kinds[0] == "quote" else text.replace("$${", "${").replace("%%{", "%{")
    if kinds == ["number"]:
        return plain_number(tokens[0].text)
    return "null" if kinds == ["name"] and tokens[0].text == "null" else None


def plain_number(text: str) -> str:
    """Return a number as Terraform converts it to a string: without trailing zeros."""
    return text.rstrip("0").rstrip(".") if "." in text and text.replace(".", "").isdigit() else text
