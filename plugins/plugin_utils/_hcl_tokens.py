# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tokens of HCL's native syntax: what is code, and what is inside of a string, a heredoc or a comment.

Source: https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md. What cannot be followed is an error with its line.
It quotes nothing: the file may be another one than was meant.
"""

import re
from typing import List, NamedTuple, Optional

_BLANK = re.compile(r"[ \t]+|#[^\n]*|//[^\n]*|/\*.*?\*/", re.DOTALL)
_NEWLINE = re.compile(r"\r?\n")
_NAME = re.compile(r"[^\W\d][\w-]*|_[\w-]*")
_HEREDOC = re.compile(r"<<-?([^\W\d][\w-]*|_[\w-]*)\r?\n")
_NUMBER = re.compile(r"[0-9][0-9A-Za-z.]*")
_LITERAL = re.compile(r'(?:[^"\\$%\n\r]+|\\[^\n\r]|\$\$\{|%%\{|[$%](?!\{))+')     # in a string
_TEMPLATE = re.compile(r"\$\$\{|%%\{|([$%]\{)")     # in a heredoc; an escaped one first
CLOSING = {"{": "}", "[": "]", "(": ")"}


class Unreadable(Exception):
    """What cannot be followed.

    :param line: int, counted from 1.
    :param reason: str, what is wrong there.
    """

    def __init__(self, line, reason):
        super().__init__(reason)
        self.line = line
        self.reason = reason


class Token(NamedTuple):
    """A part of the code; what is inside of strings and heredocs is not code."""

    kind: str               # name, string, heredoc, newline, mark (one character), other, end
    text: str               # as written; of a string what is between its quotes
    at: int                 # where it begins, in characters
    template: bool = False  # a string or heredoc with an interpolation or a directive in it


class _Level(NamedTuple):
    """What the scanner is inside of."""

    kind: str               # code, string, heredoc
    at: int                 # where it began
    brackets: List[str]     # code: the closing brackets that are awaited
    marker: Optional[str]   # heredoc: what ends it


class Scanner:
    """From text to tokens. The levels are a list and not a recursion: no nesting is too deep."""

    def __init__(self, text):
        self.text = text
        self.at = 0
        self.tokens = []
        self.levels = [_Level("code", 0, [], None)]
        self.template = False   # seen in the string or heredoc that is a part of the code

    def scan(self):
        """All tokens. Raises Unreadable."""
        steps = {"code": self._code, "string": self._string, "heredoc": self._heredoc}
        while self.at < len(self.text):
            steps[self.levels[-1].kind]()
        level = self.levels[-1]
        if len(self.levels) > 1 or level.brackets:
            raise self.refusal("what begins here does not end", level.at)
        self.tokens.append(Token("end", "", self.at))
        return self.tokens

    def refusal(self, reason, at=None):
        return Unreadable(self.text.count("\n", 0, self.at if at is None else at) + 1, reason)

    def _take(self, pattern):
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def _emit(self, kind, text, at, template=False):
        if len(self.levels) == 1:
            self.tokens.append(Token(kind, text, at, template))

    def _open(self, kind, at, marker=None):
        if len(self.levels) == 1:
            self.template = False
        elif kind == "code":
            self.template = True
        self.levels.append(_Level(kind, at, [], marker))

    def _code(self):
        if self._take(_BLANK):
            return
        at, char = self.at, self.text[self.at]
        for kind, pattern in (("newline", _NEWLINE), ("name", _NAME), ("other", _NUMBER)):
            found = self._take(pattern)
            if found:
                self._emit(kind, found.group(), at)
                return
        heredoc = self._take(_HEREDOC)
        if heredoc:
            self._open("heredoc", at, heredoc.group(1))
            return
        if self.text.startswith(("<<", "/*"), at) or char in "'`" or not char.isprintable():
            raise self.refusal("a character is not HCL")
        self.at += 1
        if char == '"':
            self._open("string", at)
        else:
            self._mark(char, at)

    def _mark(self, char, at):
        """A bracket or another single character; the brace that ends a template returns to its string."""
        brackets = self.levels[-1].brackets
        if char in CLOSING:
            brackets.append(CLOSING[char])
        elif char in CLOSING.values():
            if not brackets and char == "}" and len(self.levels) > 1:
                self.levels.pop()
                return
            if not brackets or brackets.pop() != char:
                raise self.refusal("a bracket closes nothing that is open", at)
        self._emit("mark", char, at)

    def _string(self):
        if self._take(_LITERAL):
            return
        if self.text.startswith('"', self.at):
            level = self.levels.pop()
            self._emit("string", self.text[level.at + 1:self.at], level.at, self.template)
            self.at += 1
        elif self.text.startswith(("${", "%{"), self.at):
            self._open("code", self.at)
            self.at += 2
        else:
            raise self.refusal("a string does not end on its line", self.levels[-1].at)

    def _heredoc(self):
        """The rest of one line, up to a template if there is one."""
        level = self.levels[-1]
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        begins_line = self.text[self.at - 1] == "\n"
        if begins_line and self.text[self.at:end].strip() == level.marker:
            self.levels.pop()
            self._emit("heredoc", self.text[level.at:end], level.at, self.template)
            self.at = end - 1 if self.text.startswith("\r\n", end - 1) else end
            return
        while True:
            found = _TEMPLATE.search(self.text, self.at, end)
            if found is None:
                self.at = min(end + 1, len(self.text))
                return
            self.at = found.end()
            if found.group(1):
                self._open("code", found.start())
                return
