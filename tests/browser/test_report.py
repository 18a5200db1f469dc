# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an audit as people use it: in a headless Chromium, with mouse, keyboard, phone, paper, and axe-core.

TERRAFORM_BINARY_CHROMIUM names the browser where it is not on the PATH, and TERRAFORM_BINARY_AXE the file axe.min.js of the npm
package axe-core.
"""

import os

import pytest

report_module = pytest.importorskip("ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers.report")

from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers import (  # noqa: E402  pylint: disable=wrong-import-position
    audit,
)
from support.browser import browser, find_browser  # noqa: E402  pylint: disable=wrong-import-position
from support.fleet import damaged, fleet, info, link, right, version  # noqa: E402  pylint: disable=wrong-import-position

AXE = os.environ.get("TERRAFORM_BINARY_AXE")
HOSTS = 40
SHOWN = "Array.from(document.querySelectorAll('#table tbody tr')).filter(row => !row.hidden)"
NAMES = SHOWN + ".map(row => row.cells[0].textContent)"
PHONE = {"width": 360, "height": 640, "deviceScaleFactor": 2, "mobile": True}


def make(answers):
    return audit.make_report(audit.audit_hosts(answers), "2026-11-30T00:00:00Z", "0.1.0")


@pytest.fixture(scope="module")
def chromium():
    program = find_browser()
    if not program:
        pytest.skip("there is no Chromium (Debian: chromium)")
    with browser(program) as page:
        yield page


@pytest.fixture
def show(chromium, tmp_path):
    """Open the report about answers: callable(answers) -> the Page."""

    def show(answers):
        path = tmp_path / "report.html"
        path.write_text(report_module.render_html(make(answers)), encoding="utf-8")
        chromium.send("Emulation.clearDeviceMetricsOverride")
        chromium.send("Emulation.setEmulatedMedia", media="", features=[])
        chromium.open(path)
        return chromium

    return show


@pytest.fixture
def page(show):
    return show(fleet(HOSTS))


def click(page, selector):
    page.run("document.querySelector(%r).click()" % selector)


def press_head(page, name):
    page.run(
        "Array.from(document.querySelectorAll('#table thead button')).find(b => b.textContent === %r).click()" % name
    )


def column(page, number):
    return page.run(SHOWN + ".map(row => row.cells[%d].textContent.trim())" % number)


def choose(page, words="", status=""):
    page.run(
        "(() => { for (const [id, value, event] of [['words', %r, 'input'], ['status', %r, 'change']]) {"
        " const field = document.getElementById(id); field.value = value; field.dispatchEvent(new Event(event)); } })()"
        % (words, status)
    )
    return page.run("document.getElementById('shown').textContent")


def test_the_numbers_on_the_page_are_those_of_the_json(page):
    report = make(fleet(HOSTS))
    shown = page.run(
        "Object.fromEntries(Array.from(document.querySelectorAll('.totals dd')).map(e => [e.id.slice(6), +e.textContent]))"
    )
    assert shown == report["totals"]
    rows = page.run(
        "Array.from(document.querySelectorAll('.versions tbody tr')).map(r => Array.from(r.cells).map(c => c.textContent))"
    )
    assert [[row[0]] + [int(cell) for cell in row[1:2] + row[3:]] for row in rows] == [
        [each[name] for name in ("version", "hosts", "in_use", "not_intact", "unsigned")] for each in report["versions"]
    ]
    widths = page.run("Array.from(document.querySelectorAll('.bar .wrong')).map(e => e.getAttribute('width'))")
    assert widths == ["%.2f%%" % (100 * each["not_intact"] / HOSTS) for each in report["versions"]]
    assert column(page, 0) == [each["host"] for each in report["hosts"]]


def test_columns_sort_by_their_kind_and_say_so(page):
    names = page.run(NAMES)
    press_head(page, "Host")
    assert page.run(NAMES) == names[::-1]
    assert page.run("document.querySelector('#table th[aria-sort=descending]').textContent") == "Host"
    press_head(page, "Status")
    order = ["Unreachable", "Problem", "Notice", "OK"]
    assert column(page, 1) == sorted(column(page, 1), key=order.index) and column(page, 1)[0] == "Unreachable"
    assert page.run("document.querySelectorAll('#table th[aria-sort=none]').length") == 5


def test_versions_sort_as_numbers_and_a_pre_release_before_its_release(show):
    numbers = ["1.9.8", "1.13.4", "1.13.10", "1.14.0", "1.14.0-rc1", "0.12.31"]
    page = show({number: (info(version(number)), None) for number in numbers})
    press_head(page, "In use")
    assert column(page, 2) == ["0.12.31", "1.9.8", "1.13.4", "1.13.10", "1.14.0-rc1", "1.14.0"]


def test_words_and_status_filter_and_the_count_is_announced(page):
    assert choose(page, status="unreachable") == "1 of 40 hosts" and column(page, 1) == ["Unreachable"]
    assert choose(page, words="WEB0012 would") == "1 of 40 hosts" and column(page, 0) == ["web0012.example.com"]
    details = "Array.from(document.querySelectorAll('details')).filter(e => !e.hidden).map(e => e.textContent)"
    assert len(page.run(details)) == 1 and "web0012.example.com" in page.run(details)[0]
    assert choose(page, words="no such host") == "0 of 40 hosts"
    assert choose(page) == "40 of 40 hosts"
    assert page.run("document.getElementById('shown').getAttribute('role')") == "status"


def test_a_name_leads_to_open_details(page):
    click(page, "#table tbody tr:nth-child(2) a")
    page.run("new Promise(done => setTimeout(done, 0))")
    assert page.run("location.hash") == "#host-2" and page.run("document.getElementById('host-2').open")
    assert page.run("document.activeElement.parentNode.id") == "host-2"
    assert "web0001.example.com" in page.run("document.activeElement.textContent")
    assert page.run("document.querySelectorAll('details[open]').length") == 1


def test_all_of_it_is_in_reach_of_the_keyboard(page):
    seen = []
    for _number in range(12):
        page.press("Tab", 9)
        seen.append(page.run("document.activeElement.id || document.activeElement.textContent.trim().slice(0, 20)"))
    assert seen[0] == "Skip to the hosts" and {"theme", "words", "status", "Host", "Status"} <= set(seen), seen
    page.run("document.querySelector('#table thead button').focus()")
    names = page.run(NAMES)
    page.press("Enter", 13, "\r")
    assert page.run(NAMES) == names[::-1]


def test_colours_follow_the_system_and_the_button(page):
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.run(background) == "rgb(255, 255, 255)"
    click(page, "#theme")
    assert (
        page.run(background) == "rgb(20, 24, 31)"
        and page.run("document.getElementById('theme').textContent") == "Light"
    )
    click(page, "#theme")
    assert page.run(background) == "rgb(255, 255, 255)"
    page.run("delete document.documentElement.dataset.theme")
    page.send("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert page.run(background) == "rgb(20, 24, 31)"


def test_it_fits_a_phone(page):
    page.send("Emulation.setDeviceMetricsOverride", **PHONE)
    assert page.run("document.documentElement.scrollWidth") <= PHONE["width"]
    tables = page.run("Array.from(document.querySelectorAll('.scroll')).map(e => [e.scrollWidth, e.clientWidth])")
    assert len(tables) == 2 and all(inner <= outer for inner, outer in tables), "a column is out of sight"
    assert page.run("document.querySelectorAll('details').forEach(e => { e.open = true })") is None
    assert page.run("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_name_of_usual_length_is_in_one_line(page):
    page.send("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    lines = "Array.from(document.querySelectorAll('#table tbody th a')).map(e => e.getClientRects().length)"
    assert set(page.run(lines)) == {1}


def test_details_give_the_size_in_bytes_and_one_dash_for_what_is_not_there(show):
    page = show({"one": (info(version("1.13.4")), None), "two": (info(damaged("1.13.4")), None)})
    facts = "Array.from(document.querySelectorAll('.facts div')).map(e => e.innerText.replace(/\\s+/g, ' '))"
    page.run("document.querySelectorAll('details').forEach(e => { e.open = true })")
    found = page.run(facts)
    assert {"Size 90579096 bytes", "Mode, owner, group 0755 root:root", "Size –", "Mode, owner, group –"} <= set(found)


def test_paper_has_no_buttons_and_the_details_of_problems(page):
    page.send("Emulation.setEmulatedMedia", media="print", features=[])
    assert page.run("getComputedStyle(document.getElementById('filters')).display") == "none"
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    problems = make(fleet(HOSTS))["totals"]["problem"]
    assert page.run("document.querySelectorAll('details[open]').length") == problems
    assert len(page.send("Page.printToPDF")["data"]) > 10000


def test_nothing_is_requested_and_a_foreign_script_does_not_run(page):
    requests = [params["request"]["url"] for name, params in page.events if name == "Network.requestWillBeSent"]
    assert len(requests) == 1 and requests[0].startswith("file://"), requests
    page.run(
        "(() => { const e = document.createElement('script'); e.textContent = 'window.evil = 1'; document.body.appendChild(e);"
        " document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.evil = 2\">'); })()"
    )
    page.run("new Promise(done => setTimeout(done, 50))")
    assert page.run("window.evil") is None


def test_what_hosts_say_is_text(show):
    evil = "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 2'>"
    answer = info(
        version("1.13.4", owner=evil), links=[link("1.13.4", target=evil)], base_dir_safe=False, base_dir_reason=evil
    )
    page = show({evil: (answer, dict(right(evil), changed=True, msg=evil))})
    assert page.run("window.evil") is None and page.run("document.querySelectorAll('img').length") == 0
    assert column(page, 0) == [evil]
    assert choose(page, words="<img") == "1 of 1 hosts"


def test_a_thousand_hosts_stay_usable(show):
    page = show(fleet(1000))
    assert choose(page, words="web0777") == "1 of 1000 hosts"
    assert choose(page, status="problem") == "200 of 1000 hosts"
    press_head(page, "In use")
    assert page.run("document.querySelectorAll('#table tbody tr').length") == 1000


@pytest.mark.skipif(not AXE, reason="TERRAFORM_BINARY_AXE does not name axe.min.js of the npm package axe-core")
@pytest.mark.parametrize("theme, width", [("light", 1200), ("dark", 360)])
def test_axe_finds_nothing(show, theme, width):
    """Contrast, labels, and the other rules of WCAG 2.2 that a program can check."""
    page = show(fleet(12))
    page.send("Emulation.setDeviceMetricsOverride", **dict(PHONE, width=width, mobile=width < 600))
    page.run("document.documentElement.dataset.theme = %r" % theme)
    page.run(
        "document.querySelectorAll('details').forEach(e => { e.open = true; e.style.contentVisibility = 'visible' })"
    )
    with open(AXE, encoding="utf-8") as file:
        page.run(file.read() + "; 0")
    found = page.run(
        "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => [v.id, v.nodes.slice(0, 2)"
        ".map(n => n.html + ' ' + n.failureSummary)]))"
    )
    assert found == []
