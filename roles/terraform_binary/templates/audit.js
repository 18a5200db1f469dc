// Copyright: Contributors to the iac_platform.terraform project
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Sorts and filters the table of hosts, opens details, and switches between light and dark. The report is whole without it.
(function () {
  "use strict";
  var body = document.querySelector("#table tbody");
  var rows = Array.prototype.slice.call(body.rows);
  var words = document.getElementById("words"), status = document.getElementById("status");
  var texts = rows.map(function (row) { return row.textContent.toLowerCase(); });

  function numbers(text) { return (text.match(/^(\d+)\.(\d+)\.(\d+)/) || [0, -1, -1, -1]).slice(1).map(Number); }

  function compare(kind, a, b) {
    if (kind === "number" || kind === "order") { return (isNaN(a) ? -1 : +a) - (isNaN(b) ? -1 : +b); }
    if (kind === "version") {
      var x = numbers(a), y = numbers(b);
      // A pre-release comes before its release.
      return x[0] - y[0] || x[1] - y[1] || x[2] - y[2] || (b.indexOf("-") > 0) - (a.indexOf("-") > 0) || (a < b ? -1 : +(a > b));
    }
    return a.localeCompare(b, "en", {numeric: true});
  }

  function valueOf(row, column) {
    var cell = row.cells[column];
    return cell.dataset.value || cell.textContent.trim();
  }

  Array.prototype.forEach.call(document.querySelectorAll("#table thead th"), function (head, column) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.appendChild(button);
    head.setAttribute("aria-sort", column ? "none" : "ascending");
    button.addEventListener("click", function () {
      var up = head.getAttribute("aria-sort") !== "ascending";
      Array.prototype.forEach.call(head.parentNode.cells, function (each) { each.setAttribute("aria-sort", "none"); });
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      var keyed = rows.map(function (row, place) { return [valueOf(row, column), place, row]; });
      keyed.sort(function (a, b) { return (up ? 1 : -1) * compare(head.dataset.sort, a[0], b[0]) || a[1] - b[1]; });
      keyed.forEach(function (each) { body.appendChild(each[2]); });
    });
  });

  function filter() {
    var wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean), shown = 0;
    rows.forEach(function (row, place) {
      row.hidden = !(!status.value || row.dataset.status === status.value) ||
        !wanted.every(function (word) { return texts[place].indexOf(word) >= 0; });
      document.getElementById("host-" + (place + 1)).hidden = row.hidden;
      shown += row.hidden ? 0 : 1;
    });
    document.getElementById("shown").textContent = shown + " of " + rows.length + " hosts";
  }
  words.addEventListener("input", filter);
  status.addEventListener("change", filter);
  document.getElementById("filters").addEventListener("submit", function (event) { event.preventDefault(); });
  document.getElementById("filters").hidden = false;

  function open() {
    var there = location.hash && document.getElementById(location.hash.slice(1));
    if (there && there.tagName === "DETAILS") {
      there.open = true;
      there.querySelector("summary").focus();
      there.scrollIntoView();
    }
  }
  window.addEventListener("hashchange", open);
  open();
  // On paper, the details of hosts with problems are open.
  window.addEventListener("beforeprint", function () {
    Array.prototype.forEach.call(document.querySelectorAll("details"), function (each) {
      each.open = each.open || each.querySelector(".badge.problem") !== null;
    });
  });

  var theme = document.getElementById("theme"), root = document.documentElement;
  function dark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function label() { theme.textContent = dark() ? "Light" : "Dark"; theme.setAttribute("aria-label", theme.textContent + " colours"); }
  theme.addEventListener("click", function () { root.dataset.theme = dark() ? "light" : "dark"; label(); });
  theme.hidden = false;
  label();
}());
