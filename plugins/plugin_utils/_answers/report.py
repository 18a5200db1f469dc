# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an audit as files: HTML for people, JSON for programs, CSV for spreadsheets.

Hosts decide on most of the texts. In HTML, the template engine escapes every value, and a Content-Security-Policy names
the digests of the only script and style that may run. In CSV, no cell begins like a formula.
"""

import base64
import csv
import hashlib
import io
import json
import os
import re
from typing import Any, List, Tuple

import jinja2
import markupsafe

from ...module_utils._records import Params

TEMPLATES = os.path.join(
    os.path.dirname(os.path.realpath(__file__)), "..", "..", "..", "roles", "terraform_binary", "templates"
)
_OF_HOST = ("host", "status", "wanted", "in_use")
_OF_VERSION = (
    "version",
    "intact",
    "reason",
    "platform",
    "policy",
    "signer",
    "signed_at",
    "installed_at",
    "collection",
    "sha256",
    "archive_sha256",
    "size",
    "mode",
    "owner",
    "group",
    "site",
    "path",
)
# A spreadsheet evaluates a cell that begins with one of these, also in full width or after blanks, and some take other
# separators than ours, with quotes around cells.
_FORMULA = re.compile("((?:^|[;,\t\r|])[\\s\"']*)(?=[=+@\t\r\uff1d\uff0b\uff0d\uff20-])")


def render_json(report: Params) -> str:
    """Return the report as JSON."""
    return json.dumps(report, indent=2, ensure_ascii=True) + "\n"


def render_csv(report: Params) -> str:
    """Return one line for each version of each host, and one for a host without any. The first has what is said of the host."""
    output = io.StringIO()
    writer = csv.writer(output)  # lines end with CRLF (RFC 4180)
    writer.writerow(_OF_HOST + _OF_VERSION + ("problems", "notices"))
    for host in report["hosts"]:
        said = ["; ".join(host["problems"]), "; ".join(host["notices"])]
        for version in (host["info"] or {}).get("versions") or [{}]:
            cells = [host[name] for name in _OF_HOST] + [version.get(name) for name in _OF_VERSION] + said
            writer.writerow([_cell(cell) for cell in cells])
            said = ["", ""]
    return output.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    return _FORMULA.sub(r"\1'", text)


def render_html(report: Params) -> str:
    """Return the report as one HTML document, which loads nothing."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _read("audit.css"), _read("audit.js")
    # Our own files, so they are not escaped. Their digests in the policy keep any other script or style from running.
    return environment.get_template("audit.html.j2").render(
        report=report,
        style=markupsafe.Markup(style),
        script=markupsafe.Markup(script),
        sources={"style": _source(style), "script": _source(script)},
    )


def _read(name: str) -> str:
    with open(os.path.join(TEMPLATES, name), encoding="utf-8") as file:
        return file.read()


def _source(text: str) -> str:
    """Return a hash source of a Content-Security-Policy for the text of an element (CSP 3, 2.3.1)."""
    return "'sha256-%s'" % base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def file_contents(report: Params) -> List[Tuple[str, str]]:
    """Return the names of the report's files, and the text of each."""
    return [
        ("terraform-audit.html", render_html(report)),
        ("terraform-audit.json", render_json(report)),
        ("terraform-audit.csv", render_csv(report)),
    ]
