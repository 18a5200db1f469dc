# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the counts of the last full runs into the page: ``python tests/proof/page.py build/proof.json docs/proof.md``.

The figures are those that the runs counted themselves; of a tier that did not pass, or was never run, the page says so.
"""

import importlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
tiers = importlib.import_module("tiers")    # beside this folder, which the line above makes known

BEGIN, END = "<!-- counts: make proof-page writes what follows -->\n", "<!-- end of counts -->\n"


def rows(counts):
    """The table: a line for each tier."""
    yield "| tier | floor | last full run | date | commit |\n"
    yield "| --- | --- | --- | --- | --- |\n"
    for name, tier in tiers.TIERS.items():
        last = counts.get(name, {"counts": "not run yet", "date": "", "commit": ""})
        yield "| %s | %s %s | %s | %s | %s |\n" % (
            name, "{:,}".format(tier.floor), tier.what, last["counts"].replace("|", "\\|"), last["date"], last["commit"])


def write(counts_path, page_path):
    with open(counts_path, encoding="utf-8") as file:
        counts = json.load(file)
    with open(page_path, encoding="utf-8") as file:
        page = file.read()
    start, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    with open(page_path, "w", encoding="utf-8") as file:
        file.write(page[:start] + "\n" + "".join(rows(counts)) + "\n" + page[end:])


if __name__ == "__main__":
    write(*sys.argv[1:])
