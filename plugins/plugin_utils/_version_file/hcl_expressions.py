# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the syntax of an HCL expression and finds its end. It does not evaluate the expression.

Operands and operators alternate. Open constructs are in a list, without recursion, so nesting has no limit. Source:
https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md.
"""

from typing import Callable, List, Optional

from .hcl_lexer import CLOSING, Token, UnreadableError

_BINARY = frozenset(("+", "-", "*", "/", "%", "==", "!=", "<", ">", "<=", ">=", "&&", "||"))
_BEGINNINGS = {"quote": "string", "heredoc": "string"}


class _Frame:
    """An open construct: paren, call, tuple, index, object, for, condition, template, string; or value, the whole."""

    def __init__(self, kind: str, closing: Optional[str] = None, around: Optional["_Frame"] = None) -> None:
        self.kind = kind
        self.ignores_lines: bool = (
            around.ignores_lines if around and kind == "condition" else kind not in ("value", "object")
        )
        self.closing = closing  # the mark that ends it
        self.phase = ""  # object: key, value; for: in, key, value, group, if; call: rest after ...
        self.directives: List[str] = []  # string: its if and for directives that are still open


class Expression:
    """Parses one expression.

    :param tokens: list of Token.
    :param at: int, the index of its first token.
    :param refusal: callable(reason, at) -> the error to raise.
    """

    def __init__(self, tokens: List[Token], at: int, refusal: Callable[[str, int], UnreadableError]) -> None:
        self.tokens = tokens
        self.at = at
        self.refusal = refusal
        self.frames = [_Frame("value")]
        self.wants = True  # an operand is expected
        self.signed = False  # and the last token was a - or ! before it

    def find_end(self) -> int:
        """Return the index of the first token after the expression. Raises UnreadableError."""
        while True:
            token, frame = self.tokens[self.at], self.frames[-1]
            if frame.kind == "string":
                self._follow_string(frame, token)
            elif token.kind == "newline" and self._ignores_lines():
                self.at += 1
            elif frame.kind == "value" and not self.wants and (token.kind in ("newline", "end") or token.text == "}"):
                return self.at
            elif self.wants:
                self._operand(frame, token)
            else:
                self._operator(frame, token)

    def _ignores_lines(self) -> bool:
        return self.frames[-1].ignores_lines

    def _wrong(self, token: Token) -> UnreadableError:
        return self.refusal("an expression cannot be read", token.at)

    def _take(self, *texts: str, kind: str = "mark") -> bool:
        """Take the next token if it has one of these texts, and say whether it does. Skips lines that do not matter."""
        if self._ignores_lines():
            self._skip_lines()
        token = self.tokens[self.at]
        found = token.kind == kind and (not texts or token.text in texts)
        self.at += found
        return found

    def _push(self, kind: str, closing: Optional[str] = None, wants: bool = True) -> None:
        self.frames.append(_Frame(kind, closing, self.frames[-1]))
        self.wants = wants

    def _operand(self, frame: _Frame, token: Token) -> None:
        if frame.kind == "object" and frame.phase in ("", "next") and token.kind == "newline":
            self.at += 1
            return
        self.at += 1
        signed, self.signed = self.signed, token.kind == "mark" and token.text in ("-", "!")
        may_close = frame.kind in ("object", "tuple", "call") and frame.phase in ("", "next") and not signed
        if may_close and token.text == frame.closing:
            self._close()
        elif token.kind in _BEGINNINGS:
            self._push("string")
        elif token.kind == "number":
            if token.text.count(".") > 1:
                raise self._wrong(token)
            self.wants = False
        elif token.kind == "name":
            self._name()
        elif token.kind == "mark" and token.text in CLOSING:
            self._bracket(token)
        elif not self.signed:
            raise self._wrong(token)
        if frame.kind == "object" and frame.phase in ("", "next"):
            frame.phase = "key"

    def _name(self) -> None:
        self.wants = False
        while self._take("::"):
            if not self._take(kind="name"):
                raise self._wrong(self.tokens[self.at])
        if self._take("("):
            self._push("call", ")")

    def _bracket(self, token: Token) -> None:
        closing = CLOSING[token.text]
        if token.text == "(":
            self._push("paren", closing)
            return
        mark = self.at
        self._skip_lines()
        if self._take("for", kind="name"):
            self._push("for", closing)
            self.frames[-1].phase = "in"
            self._loop_names()
            return
        self.at = mark
        self._push("tuple" if token.text == "[" else "object", closing)

    def _loop_names(self) -> None:
        """Parse what follows for: one or two names, and in. Raises UnreadableError."""
        for last in (False, True):
            if not self._take(kind="name"):
                raise self._wrong(self.tokens[self.at])
            if last or not self._take(","):
                break
        if not self._take("in", kind="name"):
            raise self._wrong(self.tokens[self.at])

    def _skip_lines(self) -> None:
        while self.tokens[self.at].kind == "newline":
            self.at += 1

    def _operator(self, frame: _Frame, token: Token) -> None:
        self.at += 1
        if token.kind == "seal" and frame.kind == "template":
            self.frames.pop()
        elif token.kind == "newline" and frame.kind == "object" and frame.phase == "value":
            frame.phase, self.wants = "", True
        elif token.kind == "name" and token.text == "if" and frame.kind == "for" and frame.phase in ("value", "group"):
            frame.phase, self.wants = "if", True
        elif token.kind != "mark":
            raise self._wrong(token)
        elif token.text in _BINARY and frame.phase not in ("rest", "group"):
            self.wants = True
        elif token.text == "." and frame.phase not in ("rest", "group"):
            self._attribute()
        elif token.text == "[" and frame.phase not in ("rest", "group"):
            if self._take("*"):
                if not self._take("]"):
                    raise self._wrong(token)
            else:
                self._push("index", "]")
        elif token.text == "?":
            self._push("condition")
        else:
            self._separator(frame, token)

    def _attribute(self) -> None:
        if self._take(kind="name") or self._take("*"):
            return
        token = self.tokens[self.at]
        if not self._take(kind="number") or "." in token.text:
            raise self._wrong(token)

    def _separator(self, frame: _Frame, token: Token) -> None:
        """Handle a token that ends an operand and is not an operator, depending on the open construct."""
        kind, phase, text = frame.kind, frame.phase, token.text
        if kind == "condition" and text == ":":
            self.frames.pop()
            self.wants = True
        elif text == frame.closing and (
            kind in ("paren", "call", "tuple", "index")
            or kind == "object"
            and phase == "value"
            or kind == "for"
            and phase in ("value", "group", "if")
        ):
            self._close()
        elif kind in ("call", "tuple") and text == "," and phase != "rest":
            frame.phase, self.wants = "next", True
        elif kind == "call" and text == "..." and phase != "rest":
            frame.phase = "rest"
        elif kind == "object" and phase == "key" and text in ("=", ":"):
            frame.phase, self.wants = "value", True
        elif kind == "object" and phase == "value" and text == ",":
            frame.phase, self.wants = "next", True
        elif kind == "for" and phase == "in" and text == ":":
            frame.phase, self.wants = "key" if frame.closing == "}" else "value", True
        elif kind == "for" and phase == "key" and text == "=>":
            frame.phase, self.wants = "value", True
        elif kind == "for" and phase == "value" and text == "..." and frame.closing == "}":
            frame.phase = "group"
        else:
            raise self._wrong(token)

    def _close(self) -> None:
        self.frames.pop()
        self.wants = False

    def _follow_string(self, frame: _Frame, token: Token) -> None:
        """Parse the next part of a string or heredoc."""
        self.at += 1
        if token.kind == "close":
            if frame.directives:
                raise self._wrong(token)
            self._close()
        elif token.kind == "template" and token.text == "${":
            self._push("template")
        elif token.kind == "template":
            self._directive(frame)

    def _directive(self, frame: _Frame) -> None:
        """Parse %{if ...}, %{else}, %{endif}, %{for ... in ...} or %{endfor}."""
        self._skip_lines()
        word, last = self.tokens[self.at], (frame.directives or [""])[-1]
        if not self._take("if", "else", "endif", "for", "endfor", kind="name"):
            raise self._wrong(word)
        if word.text in ("if", "for"):
            frame.directives.append(word.text)
            if word.text == "for":
                self._loop_names()
            self._push("template")
            return
        if word.text == "else" and last == "if":
            frame.directives[-1] = "else"
        elif word.text == "endif" and last in ("if", "else") or word.text == "endfor" and last == "for":
            frame.directives.pop()
        else:
            raise self._wrong(word)
        self._skip_lines()
        if not self._take(kind="seal"):
            raise self._wrong(self.tokens[self.at])
