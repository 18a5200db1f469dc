# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root modules of odd forms, and the genuine Terraform as the oracle: what it reads is read, what it refuses is refused.

Each row asks for a version that the oracle is not, so that it says of each requirement that it reads: unsupported. The rows hold
without the oracle as well; where there is none, only its word is missing.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import zipfile
from random import Random

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import RequestError
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._version_file.hcl_lexer import UnreadableError
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._version_file.hcl_parser import find_arguments
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._version_file.read import read_version_file
from support import tiers

ASKED = "> 99"
R = b'terraform {\n  required_version = "> 99"\n}\n'
J = b'{"terraform": {"required_version": "> 99"}}'
NONE = b'{"terraform": {}}'


def value(written):
    return b"terraform {\n  required_version = %s\n}\n" % written


def beside(expression):
    return R + b"locals {\n  x = %s\n}\n" % expression


# main.tf, and the line that is refused; 0: it is read.
MODULES = {
    "plain": (R, 0),
    "one line": (b'terraform { required_version = "> 99" }', 0),
    "no line end": (R[:-1], 0),
    "byte in comment": (b"# \xff\xfe\n" + R, 0),
    "latin-1 in //": (b"// caf\xe9\n" + R, 0),
    "byte in /* */": (b"/* \xff */" + R, 0),
    "byte in string": (beside(b'"\xff"'), 5),
    "byte in heredoc": (beside(b"<<E\n\xff\nE"), 6),
    "byte in name": (R + b"x\xff {}\n", 4),
    "byte in requirement": (value(b'"> 99\xff"'), 2),
    "byte in label": (R + b'variable "x\xff" {}\n', 4),
    "byte bare": (R + b"\xff\n", 4),
    "mark": (b"\xef\xbb\xbf" + R, 0),
    "two marks": (2 * b"\xef\xbb\xbf" + R, 1),
    "mark later": (R + b"\xef\xbb\xbf", 4),
    "mark in comment": (b"# \xef\xbb\xbf\n" + R, 0),
    "utf-16 without mark": (R.decode().encode("utf-16-le"), 1),
    "dos": (R.replace(b"\n", b"\r\n"), 0),
    "mac": (R.replace(b"\n", b"\r"), 1),
    "cr in comment": (b"# a\rb\n" + R, 0),
    "cr": (b"\r" + R, 1),
    "cr in string": (beside(b'"a\rb"'), 5),
    "cr in heredoc": (beside(b"<<E\na\rb\nE"), 6),
    "dos heredoc": (beside(b"<<E\r\na\r\nE"), 0),
    "nul in comment": (b"# \0\n" + R, 0),
    "nul in string": (R + b'variable "x" {\n  default = "\0"\n}\n', 0),
    "nul": (b"\0" + R, 1),
    "form feed": (b"\f" + R, 1),
    "no-break space": ("\u00a0".encode() + R, 1),
    "line separator in comment": ("# \u2028\n".encode() + R, 0),
    "comment at end": (R + b"# x", 0),
    "open comment": (R + b"/* x", 4),
    "parentheses": (value(b'("> 99")'), 0),
    "lines in them": (value(b'(\n"> 99"\n)'), 0),
    "wrapped": (value(b'"${"> 99"}"'), 0),
    "heredoc": (value(b"<<E\n> 99\nE"), 0),
    "indented": (value(b"<<-E\n    > 99\n  E"), 0),
    "number": (value(b"99"), 0),
    "number with zeros": (value(b"99.10"), 0),
    "null": (R + value(b"null"), 0),
    "function": (value(b'join("", ["> 99"])'), 2),
    "reference": (value(b"local.x"), 2),
    "list": (value(b'["> 99"]'), 2),
    "true": (value(b"true"), 2),
    "empty": (value(b'""'), 2),
    "blank": (value(b'" "'), 2),
    "twice": (value(b'"> 99"\n  required_version = "> 99"'), 3),
    "two blocks": (R + R, 0),
    "label": (R.replace(b" {", b' "x" {'), 1),
    "quoted name": (R.replace(b"required_version", b'"required_version"'), 2),
    "colon": (value(b"").replace(b"=", b': "> 99"'), 2),
    "argument outside": (R + b"x = 1\n", 4),
    "single quotes": (value(b"'> 99'"), 2),
    "backticks": (value(b"`> 99`"), 2),
    "escape": (value(b'"\\u003e 99"'), 0),
    "escaped blanks": (value(b'"\\n> 99\\t\\r\\n"'), 0),
    "no escape": (value(b'"\\x> 99"'), 2),
    "no escape elsewhere": (beside(b'"\\x"'), 5),
    "surrogate": (beside(b'"\\ud800"'), 5),
    "short escape": (beside(b'"\\u12"'), 5),
    "two on a line": (b'terraform { required_version = "> 99", x = 1 }', 1),
    "block in a line": (b'terraform { required_version = "> 99" backend "local" {} }', 1),
    "line in a line": (b'terraform { required_version = "> 99"\n}', 1),
    "brace in line": (b'terraform {\n required_version = "> 99" }', 2),
    "two blocks in a line": (R[:-1] + b" locals {}\n", 3),
    "brace below": (b"terraform\n{\n}\n" + R, 1),
    "value below": (b'terraform {\n required_version =\n "> 99"\n}\n', 2),
    "equals below": (b'terraform {\n required_version\n = "> 99"\n}\n', 2),
    "comment over lines": (value(b'/* \n */ "> 99"'), 0),
    "interpolations": (beside(b'"${"${"}"}"}" '), 0),
    "escaped ones": (beside(b'"$${ %%{ $ % $$"'), 0),
    "string over lines": (beside(b'"a\nb"'), 5),
    "heredoc's blanks": (beside(b"<<E \na\nE"), 5),
    "heredoc's end": (beside(b"<<E\na\n\t E  "), 0),
    "heredoc's no-break space": (beside("<<E\na\n\u00a0E".encode()), 0),
    "heredoc in list": (beside(b"[<<E\na\nE\n, 1]"), 0),
    "unicode name": (R + "locals {\n  \u00e9-\u4e2d = 1\n}\n".encode(), 0),
    "combining": (R + "locals {\n  e\u0301 = 1\n}\n".encode(), 0),
    "superscript": (R + "locals {\n  a\u00b2 = 1\n}\n".encode(), 5),
    "emoji": (R + "locals {\n  \U0001f600 = 1\n}\n".encode(), 5),
    "operators": (beside(b"1 + 2 * -3 >= 4 && !false || true ? 1 : 2"), 0),
    "for": (beside(b"{for k, v in {} : k => v...}"), 0),
    "half an expression": (beside(b"1 +"), 5),
    "two expressions": (beside(b"1 2"), 5),
    "three dots": (beside(b"1.2.3"), 5),
    "hexadecimal": (beside(b"0x10"), 5),
    "semicolon": (beside(b"1;"), 5),
    "caret": (beside(b"2 ^ 3"), 5),
    "no comma": (beside(b"{a=1 b=2}"), 5),
    "double comma": (beside(b"[1,,2]"), 5),
    "wrong bracket": (beside(b"[1)"), 5),
    "left open": (R[:-2], 1),
    "closed twice": (R + b"}\n", 4),
    "directive left open": (beside(b'"%{ if true }"'), 5),
}
# What stands in the string: what Terraform takes it for, "" for nothing.
TEXTS = {
    ">99": ">99",
    " > 99 ": "> 99",
    ">\t99": ">\t99",
    "> 99 , > 98": "> 99 , > 98",
    "99.1.2": "99.1.2",
    "v99.1.2": "v99.1.2",
    "99": "= 99",
    "99.1": "= 99.1",
    "99.1.2+x": "= 99.1.2+x",
    "099.1": "= 099.1",
    "99.1.2.0": "= 99.1.2.0",
    "~> 99.1.2.0": "~> 99.1.2.0",
    "> 99,": "",
    ",> 99": "",
    "> 99 > 98": "",
    "== 99": "",
    "=> 99": "",
    "^99": "",
    "~99": "",
    "99.x": "",
    "*": "",
    "latest": "",
    "> 99-rc1": "",
    "99.1.2-rc1": "",
    "> 99.": "",
    "> .9": "",
    "> 9 9": "",
    "> = 99": "",
    "V99": "",
    "> 99 || < 9": "",
    "'> 99'": "",
    "> 99 # x": "",
    "\u00a0> 99": "",
    "> 99\u2003": "",
    "\\u000c> 99": "> 99",
    "\\u000b> 99": "",
    "99 99": "",
    "1e3": "",
    "> 99999999999999999999": "",
}
MODULES.update(("text %r" % text, (value(b'"%s"' % text.encode()), 0 if taken else 2)) for text, taken in TEXTS.items())
JSON = {
    "plain": (J, 0),
    "list": (b"[%s]" % J, 0),
    "list of blocks": (b'{"terraform": [{"required_version": "> 99"}]}', 0),
    "two": (J[:-1] + b', "terraform": {}}', 0),
    "lists of lists": (b'{"terraform": [[{"required_version": "> 99"}], null]}', 0),
    "byte in comment": (b'{"//": "\xff", ' + J[1:], 0),
    "byte": (J.replace(b"99", b"99\xff"), 1),
    "mark": (b"\xef\xbb\xbf" + J, 1),
    "number": (J.replace(b'"> 99"', b"99.10"), 0),
    "true": (J.replace(b'"> 99"', b"true"), 1),
    "array": (J.replace(b'"> 99"', b'["> 99"]'), 1),
    "template": (J.replace(b"> 99", b"${1}"), 1),
    "blanks": (J.replace(b"> 99", b"\\r\\n > 99 "), 0),
    "nan": (b'{"//": NaN, ' + J[1:], 1),
    "comma": (J[:-1] + b",}", 1),
    "comment": (b"// x\n" + J, 1),
    "twice": (J[:-2] + b',\n"required_version": "> 99"}}', 2),
    "text": (b'{"terraform": "x"}', 1),
    "null in list": (b"[null, %s]" % J, 1),
    "number alone": (b"5", 1),
    "empty": (b"", 1),
    "more": (J + J, 1),
    "control": (b'{"//": "\x01", ' + J[1:], 1),
    "leading zero": (b'{"//": 01, ' + J[1:], 1),
    "escape in name": (J.replace(b"terra", b"terr\\u0061"), 0),
    "surrogate": (b'{"//": "\\ud800", ' + J[1:], 0),
    "open": (J[:-1], 1),
    "form feed": (b"\f" + J, 1),
}
# Several files: whether the requirement is the one that counts, or which file is refused.
OTHER = R.replace(b"> 99", b"> 1")
FILES = {
    "override": ({"main.tf": OTHER, "override.tf": R}, None),
    "named override": ({"main.tf": OTHER, "x_override.tf.json": J}, None),
    "last override": ({"main.tf": OTHER, "a_override.tf": OTHER, "b_override.tf": R}, None),
    "empty override": ({"main.tf": R, "override.tf": b""}, None),
    "replaced nonsense": ({"main.tf": R.replace(b"> 99", b"1.x"), "override.tf": R}, "main.tf"),
    "replaced pre-release": ({"main.tf": R.replace(b"> 99", b"> 1-rc1"), "override.tf": R}, None),
    "backup": ({"main.tf": R, "x.tf~": b"{"}, None),
    "hidden": ({"main.tf": R, ".x.tf": b"{"}, None),
    "emacs": ({"main.tf": R, "#x.tf#": b"{"}, None),
    "hash": ({"main.tf": R, "#x.tf": b"{"}, "#x.tf"),
    "upper case": ({"main.tf": R, "X.TF": b"{"}, None),
    "json beside": ({"main.tf": b"", "x.tf.json": J}, None),
}
ROWS = {
    "hcl, " + name: ({"main.tf": content}, line and "main.tf:%d" % line) for name, (content, line) in MODULES.items()
}
ROWS.update(
    ("json, " + name, ({"main.tf.json": content}, line and "main.tf.json:%d" % line))
    for name, (content, line) in JSON.items()
)
ROWS.update(("files, " + name, (files, place)) for name, (files, place) in FILES.items())


@pytest.fixture
def row(request, tmp_path):
    """(the folder of a root module, where it is refused)."""
    files, place = ROWS[request.param]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path, place


@pytest.mark.parametrize("row", sorted(ROWS), indirect=True)
def test_what_we_say(row):
    folder, place = row
    if place:
        with pytest.raises(RequestError) as caught:
            read_version_file(str(folder))
        assert "%s/%s" % (folder, place) in str(caught.value)
    else:
        assert "99" in read_version_file(str(folder)).version


@pytest.fixture(scope="module")
def oracle(genuine_site, tmp_path_factory):
    """The genuine Terraform 1.11.4: callable(folder) -> dict of the errors that it finds, by summary, with (file, line)."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the genuine Terraform is one for linux_amd64")
    folder = tmp_path_factory.mktemp("oracle")
    listed = os.listdir(os.path.join(genuine_site, "terraform", "1.11.4"))
    name = min(name for name in listed if name.endswith(".zip"))
    with zipfile.ZipFile(os.path.join(genuine_site, "terraform", "1.11.4", name)) as archive:
        path = archive.extract("terraform", str(folder))
    os.chmod(path, 0o755)
    environment = {"PATH": "/nowhere", "HOME": str(folder), "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}

    def run(module, *arguments):
        return subprocess.run(
            [path, *arguments],
            cwd=str(module),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        ).stdout

    def ask(module):
        found = {}
        for one in json.loads(run(module, "validate", "-json").decode("utf-8"))["diagnostics"]:
            if one["severity"] == "error":
                where = one.get("range", {"filename": None, "start": {"line": None}})
                found.setdefault(one["summary"], set()).add((where["filename"], where["start"]["line"]))
        return found

    ask.run = run
    yield ask
    shutil.rmtree(str(folder))


UNSUPPORTED = "Unsupported Terraform Core version"


@pytest.mark.parametrize("row", sorted(ROWS)[:: 1 if tiers.FULL else 3], indirect=True)  # the oracle takes its time
def test_what_terraform_says(row, oracle):
    folder, place = row
    errors = oracle(folder)
    if not place:
        assert set(errors) == {UNSUPPORTED}
        return
    assert set(errors) - {UNSUPPORTED}
    name, line = re.match(r"(.*?)(?::([0-9]+))?\Z", place).groups()
    lines = set.union(*errors.values())
    assert any(found == (name, int(line)) if line else found[0] == name for found in lines), lines


MUTATED = """\
# c
terraform {
  required_version = "~> 1.9" # x
  backend "s3" {
    bucket = "a-${var.b}-%{ if var.c }d%{ else }e%{ endif }"
  }
}
locals {
  a = [for k, v in var.m : { (k) = v.x[0], "b" : v.*.y } if v != null]
  b = { for k in ["x", 1.5e3, -2] : k => f(k, g::h(1)...)... }
  c = a ? b : !c && d || (1 + 2 * 3 % 4 >= 5 / 6)
  d = <<-EOT
    text ${a.b["c"]} $${x} %%{y} "q"
    %{ for a, b in c ~}
    ${~ a ~}
    %{ endfor ~}
  EOT
  e = { a = 1, b : 2
    "c" = [1, 2,]
  }
  f = a[*].b.0.c
}
x "y" z { a = 1 }
y {}
/* c */
"""
PIECES = re.findall(r'\s+|\w+|"|\$\{|%\{|.', MUTATED)
MORE = [
    "<<A\n",
    "A\n",
    "EOT",
    "\\",
    "~",
    "!",
    "null",
    "%{endif}",
    "%{else}",
    "\r\n",
    "\t",
    "'",
    ";",
    "&",
    "//",
    "/*",
    "*/",
    "\u00e9",
    "\u00a0",
]


def mutated(random):
    pieces = list(PIECES)
    for _number in range(random.choice([1, 1, 1, 2, 3])):
        at = random.randrange(len(pieces))
        pieces[at : at + random.choice([0, 1])] = random.choice([[], [random.choice(PIECES + MORE)]])
    return "".join(pieces)


def test_terraform_reads_the_same_of_mutated_files(oracle, tmp_path):
    """One run of ``terraform fmt`` for all: it refuses each that is not HCL, whatever Terraform would make of its words."""
    random = Random(1)
    texts = {
        "f%05d.tf" % number: mutated(random) for number in range(10000 if tiers.FULL else 150 if tiers.QUICK else 500)
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode("utf-8"))
    said = oracle.run(tmp_path, "fmt", "-check", "-list=false", "-no-color").decode("utf-8", "replace")
    refused = set(re.findall(r"on (f[0-9]+[.]tf) line", said))
    assert len(texts) // 5 < len(refused) < len(texts)
    for name, text in texts.items():
        try:
            find_arguments(text, "terraform", "required_version")
            reason = None
        except UnreadableError as exc:
            reason = exc.reason
        beyond = reason is not None and any(
            words in reason for words in ("outside of all", "takes no labels", "not one plain")
        )
        assert beyond or (reason is not None) == (name in refused), (text, reason)


def test_there_are_enough_rows():
    assert len(ROWS) > 150
