# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What .ci/words.py finds in files, and what it leaves alone."""

import importlib.util
import os
import shutil
import subprocess

import pytest

CHECKOUT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
SPECIFICATION = importlib.util.spec_from_file_location("words_script", os.path.join(CHECKOUT, ".ci", "words.py"))
WORDS = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(WORDS)
RULES = "# a comment\n\ncats?  dog\nhot[ _]dog   sausage, roll\n"


def found(text):
    return list(WORDS.find_words(WORDS.read_rules(RULES), text))


@pytest.mark.parametrize("text", ["cat", "Cats.", "a_cat = 1", "def test_cat_2():", "(CATS)", "two\u00a0cats", "cat2"])
def test_whole_words_are_found_in_prose_and_in_names(text):
    ((number, word, replacement),) = found(text)
    assert number == 1 and word.lower() in ("cat", "cats") and replacement == "dog"


@pytest.mark.parametrize("text", ["concatenate", "category", "scat", "\u00e9cat", "hot-dog", "# a comment", ""])
def test_parts_of_other_words_are_not_found(text):
    assert found(text) == []


def test_each_is_found_with_its_line():
    assert found("x\na hot dog and a cat\n\nhot_dog") == [
        (2, "cat", "dog"),
        (2, "hot dog", "sausage, roll"),
        (4, "hot_dog", "sausage, roll"),
    ]


@pytest.mark.parametrize(
    "line, words", [("cat dog", "line 2: cat dog has no replacement"), ("ca(t  dog", "line 2: missing")]
)
def test_a_bad_line_of_the_list_is_named(line, words):
    with pytest.raises(ValueError, match=words):
        WORDS.read_rules("\n%s\n" % line)


def test_the_list_of_this_project_can_be_read():
    with open(os.path.join(CHECKOUT, WORDS.OLD_WORDS), encoding="utf-8") as file:
        assert len(WORDS.read_rules(file.read())) > 20


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_text_files_are_checked_but_for_those_that_are_exempt(tmp_path, capsys):
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    files = {
        WORDS.OLD_WORDS: RULES,
        ".gitignore": "build/\n",
        "build/made": "cat",
        "changelogs/fragments/one.yml": "cat",
        "docs/decisions/0021-words.md": "cat",
        "good": "dog\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"cat \xff")
    assert WORDS.main(["--check"], tmp_path) == 0 and capsys.readouterr().out == ""
    (tmp_path / "docs" / "bad.md").write_text("One\ncat.\n", encoding="utf-8")
    assert WORDS.main(["--check"], tmp_path) == 1 and WORDS.main([], tmp_path) == 0
    assert capsys.readouterr().out == "docs/bad.md:2: cat: say dog\n" * 2
