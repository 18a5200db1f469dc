# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks like an argument and is none, and what is one all the same: HCL as people write it, and as they should not."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._version_file import hcl_lexer, hcl_parser
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._version_file.hcl_expressions import Expression


def locals_with(code):
    return "locals {\n%s\n}\n" % code


BLOCK = 'terraform {\n  required_version = "~> 1.9.0"\n}\n'


def found(text):
    return [tuple(argument) for argument in hcl_parser.find_arguments(text, "terraform", "required_version")]


def refusal(text):
    with pytest.raises(hcl_lexer.UnreadableError) as caught:
        found(text)
    return caught.value.line, caught.value.reason


@pytest.mark.parametrize(
    "text",
    [
        'terraform { required_version = "~> 1.9.0" }',
        'terraform {required_version="~> 1.9.0"}',
        BLOCK,
        BLOCK.replace("\n", "\r\n"),
        BLOCK.rstrip("\n"),
        '\tterraform\t{\n\trequired_version\t=\t"~> 1.9.0"\t# why\n}',
        'terraform { # here\n/* and\n here */ required_version /* = "0" */ = /* it is */ "~> 1.9.0" // so\n}',
        'terraform {\n required_providers {\n  required_version = "0"\n }\n backend "s3" { required_version = "0" }\n'
        ' required_version = "~> 1.9.0"\n}',
        'terraform {\n  experiments = [\n    a,\n    b\n  ]\n  x = {\n   required_version = "0"\n }\n'
        ' required_version = "~> 1.9.0"\n}',
        locals_with('x = "terraform { required_version = \\"0\\" }"') + BLOCK,
        'x "y" {\n  terraform { required_version = "0" }\n}\n' + BLOCK,
        'x y {\n  z = "}"\n w = "${"}"}"\n}\n' + BLOCK,
    ],
)
def test_the_argument_is_found(text):
    assert [value for _line, value in found(text)] == ["~> 1.9.0"]


@pytest.mark.parametrize(
    "decoy",
    [
        "# %s",
        "// %s",
        "/* %s */",
        "/* a\n%s\n*/",
        "x = <<EOT\n%s\nEOT\n",
        "x = <<-EOT\n  %s\n  EOT\n",
        'x = "%s"',
        "x = [<<A\n%s\nA\n, 1]\n",
        'x = <<EOT\n${ "%s" }\nEOT\n',
        "x = <<EOT\nEOT here\n %s\n\t EOT \n",
        "x = <<EOT\n${<<IN\nEOT\n%s\nIN\n}\nEOT\n",
        "x = <<EOT\n${1}EOT\n%s\nEOT\n",
        "x = <<EOT\n$${ %s\nEOT\n",
        'x = <<EOT\n%%%%{ "unbalanced\n%s\nEOT\n',
        "x = <<EOT\n%%{ if a }\n%s\n%%{ endif }\nEOT\n",
        'x = "%%{ if "a" == "}" }%s%%{ endif }"',
        'x = "${a ? "${b}%s" : "}"}"',
        'x = "$${%s"',
        'x = "\\\\"\ny = "%s"',
        'x = "a\\"%s"',
        'x = "${ {a = "%s"}.a }"',
        'x = "$${ $ %% $$ %%%% }"\ny = "%s"',
        'x = {\n  terraform = { required_version = "%s" }\n}',
    ],
)
def test_what_is_not_code_is_no_argument(decoy):
    inner = "terraform { required_version = 0 }"
    text = locals_with(decoy % inner) + BLOCK
    assert [value for _line, value in found(text)] == ["~> 1.9.0"]


def test_every_block_counts_and_lines_are_reported():
    text = '\n\nterraform {\n\n  required_version = ">= 1.9"\n}\n# x\nterraform {}\nterraform {\n  required_version = "< 2"\n}\n'
    assert found(text) == [(5, ">= 1.9"), (10, "< 2")]


@pytest.mark.parametrize(
    "written, value",
    [
        (r"\u003e= 1", ">= 1"),
        (r"\U0000003e= 1", ">= 1"),
        (r"a\tb\n\r\"\\", 'a\tb\n\r"\\'),
        ("$${x}", "${x}"),
        ("%%{x}", "%{x}"),
        ("$1 % 2 $$ 3", "$1 % 2 $$ 3"),
        ("", ""),
        ("\u00e9", "\u00e9"),
    ],
)
def test_escapes(written, value):
    assert found('terraform {\n required_version = "%s"\n}' % written) == [(2, value)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "# nothing",
        "terraform {}",
        "terraform {\n}",
        "terraform { required_version = null }",
        'x { required_version = "1" }',
        'terraform {\n  Required_version = "1"\n required_version_x = "1"\n}',
        'terraforms { required_version = "1" }',
    ],
)
def test_no_argument(text):
    assert found(text) == []


@pytest.mark.parametrize(
    "value",
    [
        '"${var.x}"',
        '"a${1}"',
        '"%{ if a }b%{ endif }"',
        "var.x",
        "true",
        '["1.9"]',
        '(["1.9"])',
        '"${x}${"1"}"',
        '"1" == "1"',
        '"1", "2"',
        "<<EOT\n${1.9}\nEOT",
        "",
        '= "1.9"',
        'true ? "1" : "2"',
        '["1"][0]',
        '"1" "2"',
        'join("", ["1"])',
        '{ a = "1.9" }',
    ],
)
def test_a_value_that_is_no_plain_string(value):
    assert refusal("\nterraform {\n  required_version = %s\n}\n" % value)[0] == 3


@pytest.mark.parametrize(
    "text, line, words",
    [
        ('terraform {\n required_version = "1"\n required_version = "1"\n}', 3, "twice in one block"),
        ('terraform "x" {\n}', 1, "takes no labels"),
        ("\nterraform x {\n}", 2, "takes no labels"),
        ('terraform {\n required_version = "\\x"\n}', 2, "escape"),
        ('terraform {\n required_version = "\\uD"\n}', 2, "escape"),
        ('terraform {\n required_version = "\\UFFFFFFFF"\n}', 2, "escape"),
        ("terraform {\n", 1, "does not end"),
        ('x = "a\nb"', 1, "does not end on its line"),
        ('\nx = "${', 2, "does not end"),
        ("x = <<EOT\nEO\n", 1, "does not end"),
        ("x = <<EOT \nEOT\n", 1, "not HCL"),
        ("\n/* a", 2, "not HCL"),
        ("x = 'a'", 1, "not HCL"),
        ("x = `a`", 1, "not HCL"),
        ("x = \0", 1, "not HCL"),
        ("x = 1\r", 1, "not HCL"),
        ("}", 1, "closes nothing"),
        ("x = [)", 1, "closes nothing"),
        ("x {\n)\n}", 2, "closes nothing"),
        ('"x" = 1', 1, "was expected"),
        ("1 = 2", 1, "was expected"),
        ("x\n{\n}", 1, "neither"),
        ("x", 1, "neither"),
        ("x , y", 1, "neither"),
        ("terraform {\n 5 = 1\n}", 2, "was expected"),
        ('x = "${ ] }"', 1, "closes nothing"),
        ("x = 1", 1, "outside of all blocks"),
        ("a {}\nterraform = {}", 2, "outside of all blocks"),
        ("a {\n x = 1\n x = 2\n}", 3, "an argument is there twice"),
        ('a {\n x = "\\q"\n}', 2, "escape"),
        ('a {\n x = "\\ud800"\n}', 2, "escape"),
        ('a "\\q" {\n}', 1, "escape"),
        ('a "${b}" {\n}', 1, "neither"),
        ('terraform { required_version = "1"\n}', 1, "on one line"),
        ("a { x = 1, y = 2 }", 1, "cannot be read"),
        ("a { b {} }", 1, "on one line"),
        ("a { x = 1 y = 2 }", 1, "cannot be read"),
        ("a {\n x = 1 }", 2, "not the last on its line"),
        ("a {} b {}", 1, "not the last on its line"),
        ("a {\n} x", 2, "not the last on its line"),
        ("a {\n x = <<E\n\rE\nE\n}", 3, "heredoc"),
        ("a {\n x = <<E\n\udcff\nE\n}", 3, "heredoc"),
        ("\udcff", 1, "not UTF-8"),
        ('a {\n x = "\udcff"\n}', 2, "not UTF-8"),
        ("\n\ufeff", 2, "not HCL"),
        ("a\u00b2 {}", 1, "not HCL"),
    ],
)
def test_what_cannot_be_followed(text, line, words):
    found_line, reason = refusal(text)
    assert found_line == line and words in reason


EXPRESSIONS = [
    "1 + 2 * -3 >= 4 && !false || true ? 1 : 2",
    "[1][*]",
    "[for a in [1] : a if a > 0]",
    "{for k, v in {} : k => v...}",
    "f(1, 2...)",
    "[1,]",
    "{a = 1,}",
    "{\n a : 1\n 'b'\n}".replace("'b'", '"b" = 2, (c) = 3'),
    "a.b[0].*.c",
    "a::b::c(1)",
    "(\n1\n+ 2\n)",
    '"${~ 1 ~}"',
    '"${ {a = 1}.a }"',
    '"%{ if a }b%{ else }c%{ endif }%{ for x, y in z ~}d%{~ endfor }"',
    "[\nfor a in b :\n a\n]",
    "{}",
    "[]",
    "f()",
    "- -1",
    "1e5",
    "1.5",
    "[<<E\na\nE\n, 1]",
    "{\n a = <<E\na\nE\n b = 1\n}",
    "a ? b : c ? d : e",
    "[for a, b in c : f(a...)]",
    "x.0.y",
    "{ (a) = b[*].c, d : e }",
    "{for a in b : a => c if d}",
    '"${\n1\n}"',
    "<<-E\n  %{ if a }\n  b\n  %{ endif }\n  E",
    "{\n\n}",
    "!a",
    "e\u0301",
    "[a.\nb]",
    "(a\n.b\n[\n*\n])",
    "x.1e3",
    "[for\na\n,\nb\nin c : a\n::b(1)]",
]
NO_EXPRESSIONS = [
    "",
    "1 +",
    "1 2",
    "* 1",
    "1\n + 2",
    "{a = 1 b = 2}",
    "[1,,2]",
    "[,1]",
    "1.2.3",
    "1a",
    "0x10",
    "~1",
    "2 ^ 3",
    "true & false",
    "1;",
    "@",
    "a ?",
    "a ? b",
    "a ? b :",
    ".5",
    "a.",
    "a[",
    "a[]",
    "a[1",
    "f(1",
    "f(1...,2)",
    "f(...)",
    "(1",
    "()",
    "{a}",
    "{a = }",
    "{= 1}",
    "[for a in b]",
    "[for in b : a]",
    "{for a in b : c}",
    "[for a, in b : c]",
    "[for a in b : c => d]",
    "[for a in b : c...]",
    '"${}"',
    '"${1 2}"',
    '"%{ if a }"',
    '"%{ endif }"',
    '"%{ else }"',
    '"%{ nothing }"',
    '"%{ if a }b%{ endfor }"',
    '"%{ for a }%{ endfor }"',
    "a.0.0",
    "a.'b'".replace("'", '"'),
    "a[*",
    "1 : 2",
    "a = b",
    "a::",
    "a ? (b : c)",
    "{a = 1\n, b = 2}",
    "[for a in b : c if]",
    '"%{ if a }%{ else }%{ else }%{ endif }"',
    "a ? b\n : c",
    "{for a in b : c => d... e}",
    "f(a... + 1)",
    "a[*]b",
    "[1, -]",
    "[-]",
    "f(-)",
    "{-}",
    "[1\u00a0]",
    "a.\nb",
]


@pytest.mark.parametrize("code", EXPRESSIONS)
def test_expressions_are_followed(code):
    assert found(locals_with("x = %s\ny = 1" % code) + BLOCK) == [(5 + code.count("\n") + 1, "~> 1.9.0")]


@pytest.mark.parametrize("code", NO_EXPRESSIONS)
def test_what_is_no_expression_is_refused_with_its_line(code):
    line, _reason = refusal("locals {\n\nx = %s\n}\n" % code + BLOCK)
    assert 3 <= line <= 5 + code.count("\n")


@pytest.mark.parametrize(
    "value, said",
    [
        ('("~> 1.9")', "~> 1.9"),
        ('(("~> 1.9"))', "~> 1.9"),
        ('(\n"~> 1.9"\n)', "~> 1.9"),
        ('"${"~> 1.9"}"', "~> 1.9"),
        ("1.9", "1.9"),
        ("1.10", "1.1"),
        ("2", "2"),
        ("<<E\n~> 1.9\nE", "~> 1.9\n"),
        ("<<-E\n  ~> 1.9\n  E", "  ~> 1.9\n"),
    ],
)
def test_a_value_that_stands_for_itself(value, said):
    assert found("terraform {\n required_version = %s\n}\n" % value) == [(2, said)]


def test_comments_may_have_any_bytes():
    foreign = "\udcff\x00\r\u2028\ufeff"
    for comment in ("# %s\n", "// %s\n", "/* %s */\n"):
        assert found(comment % foreign + BLOCK) and found("\ufeff" + comment % foreign + BLOCK)


def test_no_nesting_is_too_deep_and_no_file_too_long():
    deep = 5000
    for value in (
        '"%s%s"' % ('${"' * deep, '"}' * deep),
        "[" * deep + "]" * deep,
        '"%s"' % ("a$" * 25000),
        "(" * deep + "1" + ")" * deep,
    ):
        assert found(locals_with("x = " + value) + BLOCK) == [(5, "~> 1.9.0")]
    assert found("a {\n" * deep + "}\n" * deep + BLOCK) == [(2 * deep + 2, "~> 1.9.0")]


def test_property_decoys_around_a_block_change_nothing():
    """Any text is harmless inside of a comment, a string or a heredoc that holds it."""
    from support.properties import hypothesis

    some = hypothesis.strategies
    character = some.sampled_from('{}[]()"\\$%#/*<-EOT \n=.x\u00e9') | some.characters(
        blacklist_categories=("Cs", "Cc")
    )
    text = some.text(character, max_size=40)

    def quoted(content):
        for plain, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("${", "$${"), ("%{", "%%{")):
            content = content.replace(plain, escape)
        usable = not content.endswith(("$", "%")) and "$$${" not in content and "%%%{" not in content
        return 'x = "%s"' % content if usable else "x = 1"

    def heredoc(content):
        lines = content.replace("${", "$ {").replace("%{", "% {").split("\n")
        return "x = <<END\n%s\nEND" % "\n".join(line for line in lines if line.strip() != "END")

    def comment(content):
        return "/* %s */" % content.replace("*", "+")

    def line_comment(content):
        return "# %s" % content.replace("\n", " ")

    decoy = some.builds(
        lambda make, content: make(content), some.sampled_from([quoted, heredoc, comment, line_comment]), text
    )

    @hypothesis.given(some.lists(decoy, max_size=3), some.lists(decoy, max_size=3))
    def check(before, inside):
        def numbered(lines):
            return "\n".join(one.replace("x =", "x%d =" % number, 1) for number, one in enumerate(lines))

        source = locals_with(numbered(before)) + '\nterraform {\n%s\nrequired_version = "~> 1.9.0"\n}\n' % numbered(
            inside
        )
        assert [value for _line, value in found(source)] == ["~> 1.9.0"]

    check()


def test_property_any_text_ends_in_arguments_or_in_a_line():
    from support.properties import hypothesis

    some = hypothesis.strategies
    pieces = some.lists(
        some.sampled_from(
            [
                "terraform",
                "required_version",
                " ",
                "=",
                '"',
                "{",
                "}",
                "[",
                "]",
                "(",
                ")",
                "${",
                "%{",
                "$${",
                "<<EOT\n",
                "EOT",
                "\n",
                "\\",
                "#",
                "/*",
                "*/",
                "1.9",
                ",",
                "~> 1",
                "\r\n",
                "'",
            ]
        ),
        max_size=25,
    ).map("".join)

    @hypothesis.given(some.one_of(pieces, some.text(max_size=40)))
    def check(text):
        try:
            arguments = found(text)
        except hcl_lexer.UnreadableError as refused:
            assert refused.reason and 1 <= refused.line <= text.count("\n") + 1
            return
        assert all("required_version" in text.split("\n")[line - 1] for line, _value in arguments)

    check()


# what takes no longer for being nested: counted, not timed


class Counted(list):
    """A list that counts the elements of its slices, and refuses to be gone through."""

    copied = 0

    def __getitem__(self, place):
        found = super().__getitem__(place)
        if not isinstance(place, slice):
            return found
        Counted.copied += len(found)
        return Counted(found)

    def __reversed__(self):
        raise AssertionError("all that is open is gone through for one token")


def test_parentheses_are_taken_off_at_once(monkeypatch):
    monkeypatch.setattr(Counted, "copied", 0)
    tokens = Counted(hcl_lexer.Scanner("(" * 2000 + '"1"' + ")" * 2000).scan()[:-1])
    assert hcl_parser._constant(tokens) == "1" and Counted.copied <= 2 * len(tokens)


def test_what_is_open_is_not_gone_through():
    scanner = hcl_lexer.Scanner("a ? (b ? " * 500 + "c" + " : d) : e" * 500 + "\n")
    tokens = scanner.scan()
    expression = Expression(tokens, 0, scanner.refusal)
    expression.frames = Counted(expression.frames)
    assert expression.find_end() == len(tokens) - 2


class CountedText(str):
    """A text that counts the characters which find() goes over."""

    passed = 0

    def find(self, *where):
        start = where[1] if len(where) > 1 else 0
        found = super().find(*where)
        CountedText.passed += (len(self) if found < 0 else found) - start
        return found


def test_a_line_of_a_heredoc_is_looked_through_once(monkeypatch):
    monkeypatch.setattr(CountedText, "passed", 0)
    text = CountedText("x = <<E\n%s\nE\n" % ("${1}" * 2000))
    assert len(hcl_lexer.Scanner(text).scan()) > 2000 and CountedText.passed <= 2 * len(text)


class CountedLines(str):
    passed = 0

    def count(self, *where):
        start, end = (where + (0, len(self))[len(where) - 1 :])[1:]
        CountedLines.passed += end - start
        return super().count(*where)


def test_lines_are_counted_once(monkeypatch):
    monkeypatch.setattr(CountedLines, "passed", 0)
    text = CountedLines('terraform {\n required_version = "1"\n}\n' * 200)
    assert [line for line, _value in found(text)] == list(range(2, 602, 3)) and CountedLines.passed <= len(text)
