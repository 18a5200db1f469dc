# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a version_file says: files of one version, and folders of root modules."""

import os
import tempfile

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions import constraint as constraint_module
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._version_file import read as read_module
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._version_file import required_version
from support.system import NOBODY, ROOT, as_plain_user, open_descriptors


class Folder:
    """A folder to write files into, and to read as a version_file."""

    def __init__(self, path):
        self.path = str(path)

    def at(self, name):
        return os.path.join(self.path, name)

    def write(self, **files):
        """Names are given with two underscores for a dot."""
        for name, content in files.items():
            with open(self.at(name.replace("__", ".")), "wb") as file:
                file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
        return self

    def file(self, content):
        """What a .terraform-version of this content says."""
        self.write(**{"__terraform-version": content})
        return read_module.read_version_file(self.at(".terraform-version"))

    def module(self, **files):
        self.write(**files)
        return read_module.read_version_file(self.path)

    def refusal(self, read, *args, **files):
        with pytest.raises(_errors.RequestError) as caught:
            read(*args, **files)
        message = str(caught.value)
        assert (
            message.startswith("version_file: ") and caught.value.path.startswith(self.path) and message.isprintable()
        )
        return message.replace(self.path, "")


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def require(*constraints):
    return "".join('terraform {\n  required_version = "%s"\n}\n' % constraint for constraint in constraints)


# .terraform-version


@pytest.mark.parametrize(
    "content, version, text, line",
    [
        ("1.10.5", "1.10.5", "1.10.5", 1),
        ("1.10.5\n", "1.10.5", "1.10.5", 1),
        ("\r\n \r\n 1.10.5 \r\n", "1.10.5", "1.10.5", 3),
        ("# ours\n\nv1.10.5 # pinned\n", "v1.10.5", "v1.10.5", 3),
        (b"\xef\xbb\xbf1.10.5\n", "1.10.5", "1.10.5", 1),
        ("1.10\n", "= 1.10", "1.10", 1),
        ("v1.10", "= v1.10", "v1.10", 1),
        ("1", "= 1", "1", 1),
        ("latest\n", "latest", "latest", 1),
        ("~> 1.10.0\n", "~> 1.10.0", "~> 1.10.0", 1),
        (">= 1.9, < 2\n", ">= 1.9, < 2", ">= 1.9, < 2", 1),
        ("1.14.0-rc1", "1.14.0-rc1", "1.14.0-rc1", 1),
        ("1.10.5\n1.9.0\nnonsense", "1.10.5", "1.10.5", 1),
    ],
)
def test_a_version_file(content, version, text, line, folder):
    assert folder.file(content) == (version, text, "%s:%d" % (folder.at(".terraform-version"), line))


@pytest.mark.parametrize(
    "content, words",
    [
        ("", "there is no version in /.terraform-version"),
        ("\n# nothing\n \n", "there is no version in"),
        ("latest:^1.9\n", "/.terraform-version:1 has latest:..., which is tfenv's own word"),
        ("\nlatest:", ":2 has latest:..., which"),
        ("min-required", "tfenv's own word"),
        ("latest-allowed", "tfenv's own word"),
        ("latest-pre:1", "tfenv's own word"),
        ("terraform 1.10.5", "/.terraform-version:1 is a line of .tool-versions, expected one version"),
        ("terraform\t1.10.5 1.9.8", "is a line of .tool-versions"),
        ("opentofu 1.8.0", "is a line of .tool-versions"),
        ('required_version = "~> 1.9"', ":1 is HCL, expected one version"),
        ("terraform {", "is HCL"),
        ("terraform_version = '1.9.8'", "is HCL"),
        ('"1.10.5"', ":1 has quotes around it, expected one version"),
        ("'1.10'", "has quotes around it"),
        ("1.10.5\x001", "what is there is neither"),
        ("1.10.5x y", "what is there is neither a version nor a constraint: (not shown)"),
        ("latest, 1.10.5", "(not shown)"),
        ("1.10.5, 1.10.6, 1.10.7", "neither a version nor a constraint: 1.10.5, 1.10.6, 1.10..."),
        ("1" * 64, "neither a version nor a constraint: %s..." % ("1" * 20)),
        ("\n\n>= 1.x", ":3: version '>= 1.x' is not a constraint"),
        ("1.10.x", ":1: version '1.10.x'"),
        (b"1.10.5\xff", ":1 is not UTF-8"),
        (b"\xff\xfe1\x00", "/.terraform-version is UTF-16, expected UTF-8"),
        (b"1" * ((1 << 20) + 1), "is larger than 1048576 bytes"),
        ("= 1.0.0, = 2.0.0", "exclude each other"),
    ],
)
def test_a_version_file_that_says_nothing(content, words, folder):
    assert words in folder.refusal(folder.file, content)


@pytest.mark.parametrize(
    "content, hint",
    [
        ("latest:^1.8", "write ~> 1.8.0 instead"),
        ("latest:^1.8.", "write ~> 1.8.0 instead"),
        ("latest:1.8", "write ~> 1.8.0 instead"),
        ("latest:^1\\.8\\.", "write ~> 1.8.0 instead"),
        ("latest:^1\\.8\\.[0-9]+$", "write ~> 1.8.0 instead"),
        ("latest:^1.8.*", "write ~> 1.8.0 instead"),
        ("latest:^0.12", "write ~> 0.12.0 instead"),
        ("latest:^1", "write ~> 1.0 instead"),
        ("latest:^1.8.3$", "write 1.8.3 instead"),
        ("latest:1.8.3", "write 1.8.3 instead"),
        ("latest:^1.8\\.\\d+$", "write ~> 1.8.0 instead"),
        ("latest:", "write latest instead"),
        ("latest:.*", "write latest instead"),
        ("latest-stable", "write latest instead"),
        ("latest:^1.[0-8]", "write a constraint, such as ~> 1.10.0, or latest, instead"),
        ("latest:rc", "write a constraint, such as"),
        (
            "latest-pre",
            "a pre-release is chosen only by a constraint that names one: write >= 1.14.0-alpha1, or latest for",
        ),
        ("min-required", "name the folder of the root module in version_file, which says what is required: /"),
        ("latest-allowed", "name the folder of the root module in version_file, which says what is required: /"),
        ("1.10.x", "write ~> 1.10.0"),
        ("^1.10", "write ~> 1.10 or ~> 1.10.0"),
        ("Latest", "write latest"),
        ("stable", "write latest"),
        ('"1.10"', "write ~> 1.10.0 or = 1.10"),
        ("terraform 1.10.5", "write 1.10.5"),
        ("Terraform v1.10.5", "write 1.10.5"),
        ('required_version = "~> 1.9"', "write ~> 1.9"),
        ("=> 1.2", "write >= 1.2"),
        ("V1.10.5", "write 1.10.5"),
        ("terraform {", "write one version bare, such as 1.10.5, or latest"),
        ("nonsense", "write one version bare, such as 1.10.5"),
    ],
)
def test_what_to_write_into_a_version_file(content, hint, folder):
    folder.write(**{"__terraform-version": content})
    with pytest.raises(_errors.RequestError) as caught:
        read_module.read_version_file(folder.at(".terraform-version"))
    assert caught.value.hint.replace(folder.path, "/").startswith(hint)
    line = caught.value.hint[len("write ") : -len(" instead") if content.startswith("latest") else None]
    if " or " not in line and " such as " not in line and line.startswith(tuple("~=>1l")):
        assert folder.file(line).version == line  # what is offered is taken


@pytest.mark.parametrize(
    "text, hint",
    [
        ("1.10.x", 'write "~> 1.10.0"'),
        ("^1.10", 'write "~> 1.10" or "~> 1.10.0"'),
        ("=> 1.2", 'write ">= 1.2"'),
        ("latest", 'write a constraint, such as "~> 1.10.0"'),
        ("stable", 'write a constraint, such as "~> 1.10.0"'),
        ("", 'write a constraint, such as "~> 1.10.0"'),
        (">= 1.9 < 2", 'write ">= 1.9, < 2"'),
    ],
)
def test_what_to_write_into_a_module(text, hint, folder):
    folder.write(main__tf=require(text))
    with pytest.raises(_errors.RequestError) as caught:
        read_module.read_version_file(folder.path)
    assert caught.value.hint.startswith(hint) and "latest" not in caught.value.hint


def test_what_is_no_file(folder):
    os.mkfifo(folder.at("pipe"))
    assert "is not a regular file" in folder.refusal(read_module.read_version_file, folder.at("pipe"))
    assert "No such file" in folder.refusal(read_module.read_version_file, folder.at("missing"))


@pytest.mark.parametrize("name", ["main.tf", "main.tf.json"])
def test_one_file_of_a_module_is_not_the_module(name, folder):
    folder.write(**{name: require("1.10.5")})
    assert "is one file of a root module" in folder.refusal(read_module.read_version_file, folder.at(name))


# root modules


def test_all_constraints_of_a_module_count(folder):
    found = folder.module(
        main__tf=require("~> 1.9", ">= 1.9.2"),
        versions__tf=require(">= 1.9.2"),
        more__tf__json='{\n "terraform": {\n  "required_version": "< 1.12"\n }\n}',
    )
    assert found.version == found.text == "~> 1.9, >= 1.9.2, < 1.12"
    assert found.places == ", ".join(
        "%s:%d (%s)" % (folder.at(name), line, text)
        for name, line, text in (
            ("main.tf", 2, "~> 1.9"),
            ("main.tf", 5, ">= 1.9.2"),
            ("more.tf.json", 3, "< 1.12"),
            ("versions.tf", 2, ">= 1.9.2"),
        )
    )


@pytest.mark.parametrize(
    "text, version",
    [
        ("1.10.5", "1.10.5"),
        ("1.10", "= 1.10"),
        ("= 1.10", "= 1.10"),
        (" ~> 1.9 ", "~> 1.9"),
        (">= 1.9,< 2", ">= 1.9,< 2"),
    ],
)
def test_one_constraint(text, version, folder):
    assert folder.module(main__tf=require(text)).version == version


@pytest.mark.parametrize(
    "name",
    [".hidden.tf", "main.tf~", "#main.tf#", "main.tfvars", "main.tf.bak", "main.hcl", "main.tofu", "x.tftest.hcl"],
)
def test_files_that_are_not_of_the_module(name, folder):
    folder.write(**{name: require("> 99")})
    os.mkdir(folder.at("modules.tf"))
    assert folder.module(main__tf=require("~> 1.9")).version == "~> 1.9"


@pytest.mark.parametrize("name", ["override.tf", "x_override.tf", "override.tf.json", "x_override.tf.json"])
def test_an_override_file_replaces_all_others(name, folder):
    text = require("~> 1.10") if name.endswith("f") else '{"terraform": {"required_version": "~> 1.10"}}'
    folder.write(**{name: text})
    assert folder.module(main__tf=require("~> 1.9"), zebra__tf=require("> 1")).version == "~> 1.10"


def test_the_last_override_file_with_a_constraint_decides(folder):
    assert (
        folder.module(
            main__tf=require("~> 1.9"),
            a_override__tf=require("~> 1.10", "> 1"),
            b_override__tf=require("~> 1.11"),
            c_override__tf="terraform {}",
            myoverride__tf=require("> 9"),
        ).version
        == "~> 1.11"
    )


@pytest.mark.parametrize(
    "content, values",
    [
        ("{}", []),
        ("[]", []),
        ('{"terraform": []}', []),
        ('{"terraform": {}}', []),
        ('{"//": "required_version", "x": 1e999}', []),
        ('{"terraform": {"required_version": "~> 1.9", "//": {"required_version": "0"}}}', ["~> 1.9"]),
        ('{"terraform": [{"required_version": "~> 1.9"}, {}, {"required_version": "< 2"}]}', ["~> 1.9", "< 2"]),
        (
            '[{"terraform": {"required_version": "~> 1.9"}}, {"x": {"terraform": {"required_version": "0"}}}]',
            ["~> 1.9"],
        ),
        ('{"terraform": {"required_version": "~> 1.9"}, "terraform": {"required_version": "< 2"}}', ["~> 1.9", "< 2"]),
        ('{"terraform": {"backend": {"required_version": "0"}, "required_version": "\\u003e 1"}}', ["> 1"]),
        ('{"x": %s}' % ("9" * 100000), []),
        ('{"terraform": null}', []),
        ('{"terraform": [[]]}', []),
        ('{"terraform": [null, {}]}', []),
        ('{"terraform": {"required_version": null}}', []),
        ('{"terraform": {"required_version": 1.10}}', ["1.1"]),
        ('{"terraform": %s{"required_version": "> 1"}%s}' % ("[" * 900, "]" * 900), ["> 1"]),
        ('{"terraform": [[{"required_version": 2}]]}', ["2"]),
        (b'{"//": "\xff\xfe", "terraform": {"required_version": "> 1"}}', ["> 1"]),
    ],
)
def test_json(content, values, folder):
    folder.write(main__tf=require(">= 1"), x__tf__json=content)
    assert [one.text for one in required_version.read_module(folder.path)] == [">= 1"] + values


@pytest.mark.parametrize(
    "content, words",
    [
        ("{", "/x.tf.json:1 cannot be read: it is no JSON from column 2 on"),
        ("5", "the file is neither"),
        ("null", "the file is neither"),
        ('["x"]', "the file is neither"),
        ('{\n"terraform": "x"}', "/x.tf.json:2 cannot be read: terraform is neither"),
        ('{"terraform": [[5]]}', "terraform is neither"),
        ('{"terraform": [null, true]}', "terraform is neither"),
        ("[null]", "the file is neither"),
        (
            '{"terraform": {\n"required_version": true}}',
            "/x.tf.json:2 cannot be read: required_version is not one plain string",
        ),
        ('{"//":\nNaN}', "/x.tf.json:2 cannot be read: NaN is no JSON"),
        ('{"//": -Infinity}', "-Infinity is no JSON"),
        (b"\xef\xbb\xbf{}", "/x.tf.json:1 cannot be read: it is no JSON from column 1 on"),
        (b'{"terraform": {"required_version": "1\xff"}}', "/x.tf.json:1, required_version cannot be read"),
        ('{"terraform": {"required_version": ["1.9"]}}', "not one plain string"),
        ('{"terraform": {"required_version": "${x}"}}', "not one plain"),
        ('{"terraform": {"required_version": "1", "required_version": "1"}}', "twice"),
        ("[" * 200000, "nested too deep"),
        (
            '{\n\n"terraform": {"required_version": "1.x"}}',
            "/x.tf.json:3, required_version cannot be read: version '1.x'",
        ),
    ],
)
def test_json_that_cannot_be_read(content, words, folder):
    assert words in folder.refusal(folder.module, main__tf=require(">= 1"), x__tf__json=content)


@pytest.mark.parametrize(
    "files, words",
    [
        ({"main__tf": ""}, "no required_version in the 1 .tf and .tf.json files of "),
        ({}, "no required_version in the 0 "),
        (
            {"main__tf": "\n\nterraform {\n required_version = var.x\n}"},
            "/main.tf:4 cannot be read: required_version is not one plain string",
        ),
        ({"main__tf": "terraform {"}, "/main.tf:1 cannot be read"),
        ({"main__tf": b"\n\xff"}, "/main.tf:2 cannot be read: a byte is not UTF-8"),
        (
            {"main__tf": require("~> 1.x")},
            "/main.tf:2, required_version cannot be read: version '~> 1.x' is not a constraint",
        ),
        ({"main__tf": require("")}, "/main.tf:2, required_version cannot be read"),
        (
            {"main__tf": require("latest")},
            "/main.tf:2, required_version cannot be read: version 'latest' is not a constraint",
        ),
        ({"main__tf": require(">= 1.9.0-rc1")}, "/main.tf:2, required_version >= 1.9.0-rc1 names a pre-release"),
        ({"main__tf": require("1.9.0-rc1")}, "names a pre-release"),
        (
            {"main__tf": require("1.9.0"), "other__tf": require("~> 1.10")},
            "cannot be had together: /main.tf:2 (1.9.0), /other.tf:2 (~> 1.10)",
        ),
        ({"main__tf": b" " * ((1 << 20) + 1)}, "larger than 1048576 bytes"),
    ],
)
def test_a_module_that_cannot_be_read(files, words, folder):
    assert words in folder.refusal(folder.module, **files)


def test_a_file_in_utf_8_with_its_mark_and_with_dos_line_ends(folder):
    text = b"\xef\xbb\xbf# \xc3\xa9\r\n" + require("~> 1.9").replace("\n", "\r\n").encode()
    assert folder.module(main__tf=text).places == "%s:3 (~> 1.9)" % folder.at("main.tf")


@pytest.mark.parametrize(
    "content",
    [b"# caf\xe9\n%s", b"// \xff\n%s", b"/* \xfe\n */\n%s", b"%s# \xff", b"\xef\xbb\xbf%s", b"# \x00\r \x07\n%s"],
)
def test_bytes_in_comments_do_not_matter(content, folder):
    assert folder.module(main__tf=content % require("~> 1.9").encode()).version == "~> 1.9"
    assert folder.file(b"# caf\xe9\n1.10.5 # \xff\n").version == "1.10.5"


@pytest.mark.parametrize("blank", [" ", "\t", "\\n", "\\r\\n", "\\t", "\\u000c"])
def test_blanks_around_a_requirement_mean_nothing(blank, folder):
    for text, version in (("1.10.5", "1.10.5"), ("1.10", "= 1.10"), ("~> 1.9", "~> 1.9")):
        found = folder.module(main__tf=require(blank + text + blank))
        assert (found.version, found.text) == (version, text)
    written = ">=%s1.9%s,%s< 2%s" % (4 * (blank,))
    assert constraint_module.parse_version_spec(folder.module(main__tf=require(written)).version).allows("1.9.0")
    assert (
        folder.module(
            main__tf="",
            main__tf__json='{"terraform": {"required_version": "%s"}}'
            % (blank.replace("\t", "\\t") + "1.10" + blank.replace("\t", "\\t")),
        ).version
        == "= 1.10"
    )


@pytest.mark.parametrize("blank", ["\u00a0", "\u2003", "\\u0085", "\\u000b"])
def test_blanks_that_terraform_refuses_are_refused(blank, folder):
    for text in (blank + "1.10.5", ">= 1.9,%s< 2" % blank):
        assert "/main.tf:2, required_version cannot be read" in folder.refusal(folder.module, main__tf=require(text))


@pytest.mark.parametrize(
    "text, version",
    [("1.10.5+ent", "= 1.10.5+ent"), ("01.10.5", "= 01.10.5"), ("1.10.5.0", "= 1.10.5.0"), ("v1.10.5", "v1.10.5")],
)
def test_a_bare_requirement_in_another_form(text, version, folder):
    assert folder.module(main__tf=require(text)).version == version
    assert constraint_module.parse_version_spec(version).version == "1.10.5"


def test_what_an_override_file_replaces_has_to_be_right_all_the_same(folder):
    folder.write(override__tf=require("~> 1.10"))
    assert "/main.tf:2, required_version cannot be read" in folder.refusal(folder.module, main__tf=require("1.x"))
    assert folder.module(main__tf=require(">= 1.9.0-rc1")).version == "~> 1.10"


def test_too_many_files(folder):
    for number in range(1001):
        open(folder.at("f%d.tf" % number), "w").close()
    assert "has more than 1000 .tf and .tf.json files" in folder.refusal(folder.module)


def test_a_folder_that_cannot_be_listed(folder):
    assert "version_file: open" in folder.refusal(required_version.read_module, folder.at("missing"))


def test_the_files_of_a_module_are_bounded_together(folder):
    comment = "#" + "x" * 900000
    parts = {"a__tf": comment, "b__tf": comment, "main__tf": require("~> 1.9")}
    assert folder.module(**parts).version == "~> 1.9"
    for name, content in (("c__tf", comment), ("c_override__tf", comment), ("c__tf__json", '{"//": "%s"}' % comment)):
        message = folder.refusal(folder.module, **{name: content})
        assert "have more than 2097152 characters together" in message
        os.remove(folder.at(name.replace("__", ".")))


def test_of_many_places_some_are_named(folder):
    found = folder.module(main__tf=require(*["~> 1.9"] * 300))
    assert found.places.count("main.tf:") == 10 and found.places.endswith(" and 290 more") and found.version == "~> 1.9"


# links


@pytest.fixture
def inside(folder):
    """A folder in the folder, and a secret beside it."""
    os.makedirs(folder.at("inside/deep"))
    folder.write(**{"secret": "1.2.3\n"})
    return Folder(folder.at("inside")).write(
        **{"pinned": "1.10.5\n", "deep/pinned": "1.9.8\n", "deep/main__tf": require("~> 1.9")}
    )


@pytest.mark.parametrize(
    "target, version",
    [
        ("pinned", "1.10.5"),
        ("./pinned", "1.10.5"),
        ("deep/pinned", "1.9.8"),
        ("deep//pinned", "1.9.8"),
        ("deep/../pinned", "1.10.5"),
        ("deep/up", "1.10.5"),
        ("way/pinned", "1.9.8"),
        ("deep/../way/up", "1.10.5"),
    ],
)
def test_a_link_inside_of_the_folder_is_followed(inside, target, version):
    os.symlink("../pinned", inside.at("deep/up"))
    os.symlink("deep", inside.at("way"))
    os.symlink(target, inside.at(".terraform-version"))
    assert read_module.read_version_file(inside.at(".terraform-version")).version == version


@pytest.mark.parametrize(
    "target",
    [
        "../secret",
        "deep/../../secret",
        "{top}/secret",
        "{top}/inside/pinned",
        "/proc/self/environ",
        "/dev/stdin",
        "..",
        ".",
        "out/secret",
        "deep/out/secret",
        "way/../secret",
        "deep/up",
        "again",
        "round",
        "/nowhere/x",
        "../inside/pinned",
    ],
)
def test_a_link_out_of_the_folder_is_not(folder, inside, target):
    os.symlink("..", inside.at("out"))
    os.symlink(folder.path, inside.at("deep/out"))
    os.symlink("deep", inside.at("way"))
    os.symlink("../../secret", inside.at("deep/up"))
    os.symlink("round", inside.at("again"))
    os.symlink("again", inside.at("round"))
    os.symlink(target.format(top=folder.path), inside.at(".terraform-version"))
    os.symlink(target.format(top=folder.path), inside.at("main.tf"))
    for read, path in ((inside.at(".terraform-version"), ".terraform-version"), (inside.path, "main.tf")):
        if os.path.isdir(read) and read != inside.path:
            continue  # the folder of a root module, as the user has named it
        message = inside.refusal(read_module.read_version_file, read)
        expected = "is a symbolic link that leads out of its folder" if target not in (".", "way/../secret") else ""
        assert "/%s" % path in message and expected in message and "1.2.3" not in message


def test_the_folder_itself_may_be_a_link(folder, inside):
    os.symlink("inside/deep", folder.at("current"))
    assert read_module.read_version_file(folder.at("current")).version == "~> 1.9"
    assert read_module.read_version_file(folder.at("current/pinned")).version == "1.9.8"


@pytest.mark.parametrize(
    "target, good",
    [
        ("inside/deep", True),
        ("./inside//deep", True),
        ("inside/../inside/deep", True),
        ("{top}/inside/deep", True),
        ("inside/way", True),
        ("inside/up", False),
        ("../project/inside/deep", False),
        ("..", False),
        ("inside/../../other", False),
        ("{above}/other", False),
        ("{above}", False),
        ("{top}-2/x", False),
        ("inside/out/project/inside/deep", False),
        ("inside/far/deep", False),
        ("again", False),
        ("/etc", False),
        ("/proc/self/cwd", False),
        ("{top}/../other", False),
    ],
)
@pytest.mark.parametrize("name", ["", "/pinned"])
def test_a_link_on_the_way_stays_below_its_directory(tmp_path, target, good, name):
    """Who commits to the repository may have put it there."""
    for each in ("project/inside/deep", "other", "project-2/x"):
        os.makedirs(str(tmp_path / each))
        Folder(tmp_path / each).write(pinned="1.9.8\n", main__tf=require("1.9.8"))
    top = Folder(tmp_path / "project")
    for link, place in (
        ("inside/way", "deep"),
        ("inside/up", "../inside/deep"),
        ("inside/out", "../.."),
        ("inside/far", str(tmp_path / "project/inside")),
        ("again", "round"),
        ("round", "again"),
    ):
        os.symlink(place, top.at(link))
    os.symlink(target.format(top=top.path, above=tmp_path), top.at("current"))
    if good:
        assert read_module.read_version_file(top.at("current") + name).version == "1.9.8"
        return
    with pytest.raises(_errors.RequestError) as caught:
        read_module.read_version_file(top.at("current") + name)
    assert "1.9.8" not in str(caught.value) and caught.value.path.startswith(top.path)


@pytest.mark.skipif(not ROOT, reason="only root can make what only root can change")
@pytest.mark.parametrize(
    "mode, owner, user, good",
    [
        (0o755, 0, NOBODY, True),
        (0o777, 0, NOBODY, False),
        (0o775, 0, NOBODY, False),
        (0o755, NOBODY, NOBODY, False),
        (0o755, 0, 0, False),
    ],
)
def test_a_link_that_root_made_is_followed_by_others(mode, owner, user, good):
    """As /var/lib/x -> /data/x; root itself cannot distinguish it from one that it has checked out."""
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        for name in ("way", "data"):
            os.mkdir(os.path.join(top, name))
        Folder(os.path.join(top, "data")).write(pinned="1.9.8\n")
        os.symlink(os.path.join(top, "data"), os.path.join(top, "way", "x"))
        os.chown(os.path.join(top, "way"), owner, owner)
        os.chmod(os.path.join(top, "way"), mode)

        def read():
            try:
                return read_module.read_version_file(os.path.join(top, "way", "x", "pinned")).version
            except _errors.RequestError as exc:
                return str(exc)

        reported = as_plain_user(read, user, user)
        assert (reported == "1.9.8") is good and (good or "leads out of the directory that it lies in" in reported), (
            reported
        )


@pytest.mark.skipif(not os.path.islink("/bin"), reason="there is no link in the root directory")
def test_links_in_the_root_directory_are_followed():
    with pytest.raises(_errors.RequestError, match="no required_version in the 0 "):
        read_module.read_version_file("/bin")


def test_a_hard_link_is_a_file(folder, inside):
    os.link(folder.at("secret"), inside.at(".terraform-version"))
    assert read_module.read_version_file(inside.at(".terraform-version")).version == "1.2.3"


def test_a_link_to_nothing_inside_is_reported_as_such(inside):
    os.symlink("gone", inside.at("main.tf"))
    assert "version_file: read /main.tf: No such file" in inside.refusal(inside.module)


def test_no_descriptor_is_left(folder, inside):
    os.symlink("deep/../deep/pinned", inside.at("good"))
    os.symlink("deep/../../secret", inside.at("bad"))
    before = open_descriptors()
    read_module.read_version_file(inside.at("good"))
    inside.refusal(read_module.read_version_file, inside.at("bad"))
    assert open_descriptors() == before


# what is shown of a file

SECRET = "s3cretpassw0rd"


@pytest.mark.parametrize(
    "content",
    [
        SECRET,
        "\n # x\n%s\n" % SECRET,
        "1.2.3 %s" % SECRET,
        "latest:%s" % SECRET,
        "latest-pre:%s" % SECRET,
        "1.2.%s" % SECRET,
        ">= 1.9, %s" % SECRET,
        "password: %s" % SECRET,
        "%s = 1.0.0" % SECRET,
        SECRET * 200,
        "1.2.3\t%s" % SECRET,
        "$ANSIBLE_VAULT;1.1;AES256;%s" % SECRET,
        b"\xff" + SECRET.encode(),
        "x" * 10 + SECRET,
        "1.0.0, =%s" % SECRET,
    ],
)
def test_nothing_else_of_a_version_file_is_shown(folder, content):
    with pytest.raises(_errors.RequestError) as caught:
        folder.file(content)
    assert_not_shown(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        SECRET,
        "%s = " % SECRET,
        "%s {" % SECRET,
        "a %s b" % SECRET,
        '"%s" = 1' % SECRET,
        "'%s'" % SECRET,
        "x = <<%s" % SECRET,
        "\x00%s" % SECRET,
        "x = %s]" % SECRET,
        'terraform "%s" {}' % SECRET,
        "terraform {\n%s" % SECRET,
        'x = "%s' % SECRET,
        "\u00e9%s\x07" % SECRET,
        "terraform {\nrequired_version = %s\n}" % SECRET,
        require(SECRET),
        require("1.0.0, " + SECRET),
        require("\\q" + SECRET),
        require("\\U00110000" + SECRET),
        require("${%s}" % SECRET),
        require("1.0.0-" + SECRET),
        require("~> 1.0-" + SECRET),
        require("= 1.0+" + SECRET) + require("= 2.0"),
        require("1.0.0") + require("< 1, != 1.0-" + SECRET),
    ],
)
def test_nothing_else_of_a_module_is_shown(folder, content):
    with pytest.raises(_errors.RequestError) as caught:
        folder.module(main__tf=content)
    assert_not_shown(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        SECRET,
        '{"%s' % SECRET,
        '"%s"' % SECRET,
        '{"terraform": "%s"}' % SECRET,
        '{"terraform": {"required_version": "%s"}}' % SECRET,
        '{"x": "\\q%s"}' % SECRET,
        '{"x": "\x01%s"}' % SECRET,
        '{"x": "\\u12%s"}' % SECRET,
        "{} %s" % SECRET,
        "[%s" % SECRET,
        '{"terraform": {"required_version": ["%s"]}}' % SECRET,
        '{"terraform": [["%s"]]}' % SECRET,
    ],
)
def test_nothing_else_of_a_module_in_json_is_shown(folder, content):
    with pytest.raises(_errors.RequestError) as caught:
        folder.module(main__tf__json=content)
    assert_not_shown(caught.value)


def assert_not_shown(error):
    text = "%s; %s" % (error, error.hint)
    assert not [SECRET[at : at + 3] for at in range(len(SECRET) - 2) if SECRET[at : at + 3] in text], text
