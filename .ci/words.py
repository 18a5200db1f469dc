# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find words that this project has replaced, in all text files that git knows or would add.

.ci/old_words.txt lists the words and what to say instead; docs/decisions/0021 has the reason. Prints file, line, word and
replacement for each. With --check the return code says whether there was one.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OLD_WORDS = ".ci/old_words.txt"
# History keeps its words, and the licence its own.
EXEMPT = ("changelogs/", "CHANGELOG.rst", "docs/decisions/0021", "LICENSES/", OLD_WORDS)


def read_rules(text):
    """The rules in a list of words: list of (compiled pattern, replacement).

    A line has a regular expression, two or more blanks, and the replacement; # begins a comment. An expression matches whole
    words, in upper and lower case. An underscore or a digit ends a word, so that names in code are found, too.

    :raises ValueError: a line that has no replacement, or whose expression is invalid.
    """
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        pattern, replacement = [*re.split(r"\s{2,}", line.strip(), maxsplit=1), ""][:2]
        try:
            compiled = re.compile(r"(?<![^\W\d_])(?:%s)(?![^\W\d_])" % pattern, re.IGNORECASE)
        except re.error as exc:
            raise ValueError("line %d: %s" % (number, exc)) from exc
        if not replacement:
            raise ValueError("line %d: %s has no replacement" % (number, pattern))
        rules.append((compiled, replacement))
    return rules


def find_words(rules, text):
    """The old words in a text: generator of (line number, word, replacement), in the order of lines."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, replacement in rules:
            for match in pattern.finditer(line):
                yield number, match.group(), replacement


def list_files(root):
    """The files to be checked, as paths below ``root``: list of str."""
    command = ["git", "ls-files", "-coz", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout.decode("utf-8").split("\0")
    return sorted(name for name in set(listed) if name and not name.startswith(EXEMPT) and (root / name).is_file())


def main(arguments, root=ROOT):
    rules = read_rules((root / OLD_WORDS).read_text(encoding="utf-8"))
    found = False
    for name in list_files(root):
        try:
            text = (root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:  # not a text file
            continue
        for number, word, replacement in find_words(rules, text):
            print("%s:%d: %s: say %s" % (name, number, word, replacement))
            found = True
    return 1 if found and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
