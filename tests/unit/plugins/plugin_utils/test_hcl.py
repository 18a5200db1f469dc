# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks like an argument and is none, and what is one all the same: HCL as people write it, and as they should not."""


import pytest

from ansible_collections.iac_platform.terraform.plugins.plugin_utils import _hcl, _hcl_tokens

BLOCK = 'terraform {\n  required_version = "~> 1.9.0"\n}\n'


def found(text):
    return [tuple(argument) for argument in _hcl.find_arguments(text, "terraform", "required_version")]


def refusal(text):
    with pytest.raises(_hcl_tokens.Unreadable) as caught:
        found(text)
    return caught.value.line, caught.value.reason


@pytest.mark.parametrize("text", [
    'terraform { required_version = "~> 1.9.0" }', 'terraform {required_version="~> 1.9.0"}', BLOCK,
    BLOCK.replace("\n", "\r\n"), BLOCK.rstrip("\n"), '\tterraform\t{\n\trequired_version\t=\t"~> 1.9.0"\t# why\n}',
    'terraform { # here\n/* and\n here */ required_version /* = "0" */ = /* it is */ "~> 1.9.0" // so\n}',
    'terraform {\n required_providers {\n  required_version = "0"\n }\n backend "s3" { required_version = "0" }\n'
    ' required_version = "~> 1.9.0"\n}',
    'terraform {\n  experiments = [\n    a,\n    b\n  ]\n  x = {\n   required_version = "0"\n }\n'
    ' required_version = "~> 1.9.0"\n}',
    'x = "terraform { required_version = \\"0\\" }"\n' + BLOCK,
    'x "y" {\n  terraform { required_version = "0" }\n}\n' + BLOCK,
    'x y {\n  z = "}"\n w = "${"}"}"\n}\n' + BLOCK,
])
def test_the_argument_is_found(text):
    assert [value for _line, value in found(text)] == ["~> 1.9.0"]


@pytest.mark.parametrize("decoy", [
    '# %s', '// %s', '/* %s */', '/* a\n%s\n*/', 'x = <<EOT\n%s\nEOT\n', 'x = <<-EOT\n  %s\n  EOT\n', 'x = "%s"',
    "x = [<<A\n%s\nA\n, 1]\n",
    'x = <<EOT\n${ "%s" }\nEOT\n', 'x = <<EOT\nEOT here\n %s\n\t EOT \n', 'x = <<EOT\n${<<IN\nEOT\n%s\nIN\n}\nEOT\n',
    'x = <<EOT\n${1}EOT\n%s\nEOT\n',
    'x = <<EOT\n$${ %s\nEOT\n', 'x = <<EOT\n%%%%{ "unbalanced\n%s\nEOT\n',
    'x = <<EOT\n%%{ if a }\n%s\n%%{ endif }\nEOT\n',
    'x = "%%{ if "a" == "}" }%s%%{ endif }"', 'x = "${a ? "${b}%s" : "}"}"', 'x = "$${%s"', 'x = "\\\\"\ny = "%s"',
    'x = "a\\"%s"',
    'x = "${ {a = "%s"}.a }"', 'x = "$${ $ %% $$ %%%% }"\ny = "%s"',
    'x = {\n  terraform = { required_version = "%s" }\n}',
])
def test_what_is_not_code_is_no_argument(decoy):
    inner = 'terraform { required_version = 0 }'
    text = "%s\n%s" % (decoy % inner, BLOCK)
    assert [value for _line, value in found(text)] == ["~> 1.9.0"]


def test_every_block_counts_and_lines_are_told():
    text = '\n\nterraform {\n\n  required_version = ">= 1.9"\n}\n# x\nterraform {}\nterraform {\n  required_version = "< 2"\n}\n'
    assert found(text) == [(5, ">= 1.9"), (10, "< 2")]


@pytest.mark.parametrize("written, value", [
    (r'\u003e= 1', ">= 1"), (r'\U0000003e= 1', ">= 1"), (r'a\tb\n\r\"\\', 'a\tb\n\r"\\'), ("$${x}", "${x}"),
    ("%%{x}", "%{x}"),
    ("$1 % 2 $$ 3", "$1 % 2 $$ 3"), ("", ""), ("\u00e9", "\u00e9"),
])
def test_escapes(written, value):
    assert found('terraform {\n required_version = "%s"\n}' % written) == [(2, value)]


@pytest.mark.parametrize("text", [
    "", "\n", "# nothing", "terraform {}", "terraform {\n}", 'required_version = "1"', 'x { required_version = "1" }',
    'terraform {\n  Required_version = "1"\n required_version_x = "1"\n}', 'terraforms { required_version = "1" }',
])
def test_no_argument(text):
    assert found(text) == []


@pytest.mark.parametrize("value", [
    '"${var.x}"', '"a${1}"', '"%{ if a }b%{ endif }"', "var.x", "1.9", "null", "true", '["1.9"]', '("1.9")',
    '"1" == "1"', '"1", "2"',
    '<<EOT\n1.9\nEOT', "", '= "1.9"', '"1" "2"', 'join("", ["1"])', '{ a = "1.9" }',
])
def test_a_value_that_is_no_plain_string(value):
    assert refusal('\nterraform {\n  required_version = %s\n}\n' % value)[0] == 3


@pytest.mark.parametrize("text, line, words", [
    ('terraform {\n required_version = "1"\n required_version = "1"\n}', 3, "twice in one block"),
    ('terraform "x" {\n}', 1, "takes no labels"), ('\nterraform x {\n}', 2, "takes no labels"),
    ('terraform {\n required_version = "\\x"\n}', 2, "escape"),
    ('terraform {\n required_version = "\\uD"\n}', 2, "escape"),
    ('terraform {\n required_version = "\\UFFFFFFFF"\n}', 2, "escape"),
    ('terraform {\n', 1, "does not end"), ('x = "a\nb"', 1, "does not end on its line"),
    ('\nx = "${', 2, "does not end"),
    ("x = <<EOT\nEO\n", 1, "does not end"), ("x = <<EOT \nEOT\n", 1, "not HCL"), ("\n/* a", 2, "not HCL"),
    ("x = 'a'", 1, "not HCL"),
    ("x = `a`", 1, "not HCL"), ("x = \0", 1, "not HCL"), ("x = 1\r", 1, "not HCL"), ("}", 1, "closes nothing"),
    ("x = [)", 1, "closes nothing"),
    ("x {\n)\n}", 2, "closes nothing"), ('"x" = 1', 1, "was expected"), ("1 = 2", 1, "was expected"),
    ("x\n{\n}", 1, "neither"),
    ("x", 1, "neither"), ("x , y", 1, "neither"), ("terraform {\n 5 = 1\n}", 2, "was expected"),
    ('x = "${ ] }"', 1, "closes nothing"),
])
def test_what_cannot_be_followed(text, line, words):
    found_line, reason = refusal(text)
    assert found_line == line and words in reason


def test_no_nesting_is_too_deep_and_no_file_too_long():
    deep = 20000
    assert found('x = "%s%s"\n%s' % ('${"' * deep, '"}' * deep, BLOCK)) == [(3, "~> 1.9.0")]
    assert found('x = %s%s\n%s' % ("[" * deep, "]" * deep, BLOCK)) == [(3, "~> 1.9.0")]
    assert found('x = "%s"\n%s' % ("a$" * 100000, BLOCK)) == [(3, "~> 1.9.0")]


def test_property_decoys_around_a_block_change_nothing():
    """Any text is harmless inside of a comment, a string or a heredoc that holds it."""
    from properties import hypothesis
    some = hypothesis.strategies
    character = some.sampled_from('{}[]()"\\$%#/*<-EOT \n=.x\u00e9') | some.characters(blacklist_categories=("Cs", "Cc"))
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

    decoy = some.builds(lambda make, content: make(content), some.sampled_from([quoted, heredoc, comment, line_comment]), text)

    @hypothesis.given(some.lists(decoy, max_size=3), some.lists(decoy, max_size=3))
    def check(before, inside):
        source = "\n".join(before) + '\nterraform {\n%s\nrequired_version = "~> 1.9.0"\n}\n' % "\n".join(
            one.replace("x =", "x%d =" % number, 1) for number, one in enumerate(inside))
        assert [value for _line, value in found(source)] == ["~> 1.9.0"]

    check()


def test_property_any_text_ends_in_arguments_or_in_a_line():
    from properties import hypothesis
    some = hypothesis.strategies
    pieces = some.lists(some.sampled_from([
        "terraform", "required_version", " ", "=", '"', "{", "}", "[", "]", "(", ")", "${", "%{", "$${", "<<EOT\n",
        "EOT", "\n", "\\", "#",
        "/*", "*/", "1.9", ",", "~> 1", "\r\n", "'"]), max_size=25).map("".join)

    @hypothesis.given(some.one_of(pieces, some.text(max_size=40)))
    def check(text):
        try:
            arguments = found(text)
        except _hcl_tokens.Unreadable as refused:
            assert refused.reason and 1 <= refused.line <= text.count("\n") + 1
            return
        assert all("required_version" in text.split("\n")[line - 1] for line, _value in arguments)

    check()
