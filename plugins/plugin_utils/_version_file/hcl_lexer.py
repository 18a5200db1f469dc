# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of HCL's native syntax: separates code from strings, heredocs and comments.

Source: https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md. What cannot be parsed is an error with its line.
The error quotes nothing, because the user may have named the wrong file.
"""

import re
from typing import List, Match, NamedTuple, Optional, Pattern

_BLANK = re.compile(r"(?:[ \t]+|#[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_NEWLINE = re.compile(r"\r?\n")
_WORD = re.compile(r"(?:[^\W\d]|[^\x00-\x7f])(?:[\w-]|[^\x00-\x7f])*")  # accepts too much; isidentifier() decides
_HEREDOC = re.compile(r"<<-?((?:[^\W\d]|[^\x00-\x7f])(?:[\w-]|[^\x00-\x7f])*)\r?\n")
_NUMBER = re.compile(r"[0-9](?:[.]?[0-9])*(?:[eE][+-]?[0-9]+)?")
_MARK = re.compile(r"\.\.\.|::|=>|==|!=|<=|>=|&&|\|\||[-+*/%!<>?:.,=(){}\[\]]")
_LITERAL = re.compile(r'(?:[^"\\$%\n\r\udc80-\udcff]+|\\[^\n\r]|\$\$\{|%%\{|[$%](?!\{))+')  # in a string
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_TEMPLATE = re.compile(r"\$\$\{|%%\{|([$%]\{)")  # in a heredoc; the escaped form comes first
_SEAL = re.compile("~?}")
_NO_TEXT = re.compile(
    "[\udc80-\udcff]|\r(?!\n)"
)  # bytes that are not UTF-8 (see confined.py); in a heredoc, a lone carriage return
CLOSING = {"{": "}", "[": "]", "(": ")"}


class UnreadableError(Exception):
    """The text cannot be parsed.

    :param line: int, counted from 1.
    :param reason: str, what is wrong there.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class Token(NamedTuple):
    """A token of the code, or a part of a string or heredoc.

    ``kind`` is name, number, newline, mark (brackets and operators) or end. A string or heredoc starts with quote or
    heredoc and ends with close. Between them are literal, template (the start of an interpolation or directive,
    followed by code) and seal (its end).
    """

    kind: str
    text: str  # as written
    at: int  # position of its first character


class _Level(NamedTuple):
    """A construct that the scanner is inside of."""

    kind: str  # code, string, heredoc
    at: int  # where it starts
    brackets: List[str]  # code: the closing brackets that must follow
    marker: Optional[str]  # heredoc: the word that ends it


class Scanner:
    """Splits text into tokens. Levels are in a list, without recursion, so nesting has no limit."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.tokens: List[Token] = []
        self.levels = [_Level("code", 0, [], None)]
        self._line = (0, -1)  # of a heredoc: a position, and the end of its line

    def scan(self) -> List[Token]:
        """Return all tokens. Raises UnreadableError."""
        steps = {"code": self._code, "string": self._string, "heredoc": self._heredoc}
        while self.at < len(self.text):
            steps[self.levels[-1].kind]()
        level = self.levels[-1]
        if len(self.levels) > 1 or level.brackets:
            raise self.refusal("what begins here does not end", level.at)
        self._emit("end", "", self.at)
        return self.tokens

    def refusal(self, reason: str, at: Optional[int] = None) -> UnreadableError:
        return UnreadableError(self.text.count("\n", 0, self.at if at is None else at) + 1, reason)

    def _take(self, pattern: Pattern[str]) -> Optional[Match[str]]:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def _emit(self, kind: str, text: str, at: int) -> None:
        self.tokens.append(Token(kind, text, at))

    def _open(self, kind: str, at: int, marker: Optional[str] = None) -> None:
        self.levels.append(_Level(kind, at, [], marker))

    def _code(self) -> None:
        if self._take(_BLANK):
            return
        at, level = self.at, self.levels[-1]
        if len(self.levels) > 1 and not level.brackets and self._take(_SEAL):
            self.levels.pop()
            self._emit("seal", "}", at)
            return
        heredoc = self._take(_HEREDOC) if self.text[at] == "<" else None
        if heredoc and _is_name(heredoc.group(1)):
            self._emit("heredoc", "", at)
            self._open("heredoc", at, heredoc.group(1))
            return
        if self.text.startswith(("<<", "/*"), at):
            raise self.refusal("a character is not HCL", at)
        if self.text[at] == '"':
            self.at += 1
            self._emit("quote", '"', at)
            self._open("string", at)
            return
        for kind, pattern in (("newline", _NEWLINE), ("name", _WORD), ("number", _NUMBER), ("mark", _MARK)):
            found = pattern.match(self.text, at)
            if found and (kind != "name" or _is_name(found.group())):
                self.at = found.end()
                if kind == "mark":
                    self._balance(found.group(), at)
                self._emit(kind, found.group(), at)
                return
        raise self.refusal(
            "a byte is not UTF-8" if "\udc80" <= self.text[at] <= "\udcff" else "a character is not HCL", at
        )

    def _balance(self, mark: str, at: int) -> None:
        brackets = self.levels[-1].brackets
        if mark in CLOSING:
            brackets.append(CLOSING[mark])
        elif mark in CLOSING.values() and (not brackets or brackets.pop() != mark):
            raise self.refusal("a bracket closes nothing that is open", at)

    def _string(self) -> None:
        at = self.at
        literal = self._take(_LITERAL)
        if literal:
            self._emit("literal", literal.group(), at)
            try:
                unescaped(literal.group())
            except ValueError as exc:
                raise self.refusal("a string has an escape in it that means nothing", at) from exc
        elif self.text.startswith('"', at):
            self.levels.pop()
            self.at += 1
            self._emit("close", '"', at)
        elif not self._begin_template():
            raise self.refusal("a string does not end on its line, or a byte of it is not UTF-8", self.levels[-1].at)

    def _begin_template(self) -> bool:
        at = self.at
        if not self.text.startswith(("${", "%{"), at):
            return False
        self._emit("template", self.text[at : at + 2], at)
        self._open("code", at)
        self.at += 3 if self.text.startswith("~", at + 2) else 2
        return True

    def _heredoc(self) -> None:
        """Scan the rest of one line, up to the next template."""
        level, at = self.levels[-1], self.at
        if not self._line[0] <= at <= self._line[1]:  # search a line only once: it may have many templates
            end = self.text.find("\n", at)
            self._line = (at, len(self.text) if end < 0 else end)
            strange = _NO_TEXT.search(self.text, at, self._line[1] + 1)
            if strange:
                raise self.refusal("a heredoc has a byte that is not UTF-8, or half a line end", strange.start())
        end = self._line[1]
        if self.text[at - 1] == "\n" and self.text[at:end].strip() == level.marker and end < len(self.text):
            self.levels.pop()
            self.at = end - 1 if self.text.startswith("\r\n", end - 1) else end
            self._emit("close", "", self.at)
            return
        found = _TEMPLATE.search(self.text, at, end)
        while found is not None and not found.group(1):
            found = _TEMPLATE.search(self.text, found.end(), end)
        self.at = found.start() if found else min(end + 1, len(self.text))
        if self.at > at:
            self._emit("literal", self.text[at : self.at], at)
        if found:
            self._begin_template()


def _is_name(text: str) -> bool:
    """Whether a text is a Unicode identifier, with dashes: https://www.unicode.org/reports/tr31/."""
    return text.replace("-", "_").isidentifier()


def unescaped(literal: str) -> str:
    """Return the text of a quoted string's literal. Raises ValueError for an unknown escape."""
    return _ESCAPE.sub(_meaning, literal.replace("$${", "${").replace("%%{", "%{"))


def _meaning(escape: Match[str]) -> str:
    code = escape.group(1)
    if code in _ESCAPED:
        return _ESCAPED[code]
    if len(code) == 1 or 0xD800 <= int(code[1:], 16) <= 0xDFFF or int(code[1:], 16) > 0x10FFFF:
        raise ValueError("an escape that means nothing")
    return chr(int(code[1:], 16))
