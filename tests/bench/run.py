# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make bench` measures: processor time of this collection, of what users write instead, and of a ping.

    python tests/bench/run.py BUILD_FOLDER DOCS_FOLDER

Every number is user and system time of ansible-playbook and all that it started and waited for, in seconds, on this machine
with connections of the type local. The variants run in turn, in each round in another order, so that what else the machine
does meets all of them. The environment variables ROUNDS and HOSTS make it shorter. JSON goes to BUILD_FOLDER/bench.json, the
table and the chart to DOCS_FOLDER. The status is 1 if a goal is not reached.
"""

import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

import ansible
import pygal
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task import script

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from release_site import Site  # noqa: E402  pylint: disable=wrong-import-position
from support import genuine  # noqa: E402  pylint: disable=wrong-import-position

OTHERS = ("idiom", "version_check")  # up to TEN hosts: they take minutes with more
TEN = 10
FORKS = 25
WORDS = {
    "ping": "one ping",
    "ours": "this collection",
    "idiom": "five tasks of ansible.builtin",
    "version_check": "as published roles do",
}
MARK = "<!-- written by make bench -->"


class Goal(NamedTuple):
    """What a ratio has to be: at most ``limit`` times the other, or at least so many times less than the other."""

    state: str
    hosts: int
    other: str
    limit: float
    less: bool


GOALS = (
    Goal("warm", 1, "ping", 1.0, False),
    Goal("warm", 1, "idiom", 5.0, True),
    Goal("warm", 10, "ping", 0.85, False),
    Goal("warm", 10, "idiom", 11.0, True),
    Goal("warm", 50, "ping", 0.80, False),
    Goal("warm", 200, "ping", 0.80, False),
    Goal("cold", 1, "ping", 1.9, False),
    Goal("cold", 1, "idiom", 3.0, True),
    Goal("cold", 10, "ping", 3.1, False),
    Goal("cold", 10, "idiom", 3.8, True),
)


class Release(NamedTuple):
    """The release that is installed."""

    version: str
    name: str  # what it is, for the reader
    keys: list  # trusted keys; empty: the built-in one


class Bench:
    """Runs playbooks against one site, in a folder of its own."""

    def __init__(self, folder, site, release):
        self.folder = pathlib.Path(folder)
        self.site = site
        self.release = release
        self.root = self.folder / "hosts"
        self.seconds = {}  # (state, hosts, variant) -> list of seconds, one a round

    def variables(self, hosts):
        """The playbooks' variables."""
        found = {
            "bench_root": str(self.root),
            "bench_site": self.site.url,
            "bench_version": self.release.version,
            "bench_platform": "%s_%s"
            % (platform.system().lower(), {"x86_64": "amd64"}.get(platform.machine(), "arm64")),
        }
        if self.release.keys:
            found["bench_keys"] = self.release.keys
        if hosts > TEN:
            found["bench_shared"] = "all"  # 200 binaries would take 18 GB
        return found

    def play(self, variant, hosts, *arguments, **environment):
        """Play one of the playbooks: (seconds of processor time, output). A failure ends the benchmark."""
        inventory = self.folder / "inventory.json"
        variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        names = {"h%03d" % number: {} for number in range(hosts)}
        inventory.write_text(json.dumps({"all": {"vars": variables, "hosts": names}}))
        options = self.folder / "variables.json"
        options.write_text(json.dumps(self.variables(hosts)))
        command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", str(inventory)]
        command += ["--forks", str(FORKS), "-e", "@%s" % options, str(HERE / (variant + ".yml")), *arguments]
        return run_timed(command, dict(os.environ, **environment))

    def round_of(self, hosts, number):
        """One round: every variant once, warm and (up to TEN hosts) cold."""
        variants = ["ping", "ours"] + list(OTHERS if hosts <= TEN else ())
        for variant in variants[number % len(variants) :] + variants[: number % len(variants)]:
            if variant == "ping":
                self.note("any", hosts, variant, self.play(variant, hosts)[0])
                continue
            if hosts <= TEN or number == 0:
                shutil.rmtree(self.root, ignore_errors=True)
                self.root.mkdir()
                cold = self.play(variant, hosts)[0]
                if hosts <= TEN:
                    self.note("cold", hosts, variant, cold)
            self.note("warm", hosts, variant, self.play(variant, hosts)[0])

    def note(self, state, hosts, variant, seconds):
        """Keep a measurement."""
        self.seconds.setdefault((state, hosts, variant), []).append(seconds)

    def ratios(self, goal):
        """A goal's ratios, round by round: list of float."""
        ours = self.seconds[(goal.state, goal.hosts, "ours")]
        other = self.seconds[("any" if goal.other == "ping" else goal.state, goal.hosts, goal.other)]
        return [b / a if goal.less else a / b for a, b in zip(ours, other)]


def run_timed(command, environment):
    """Run a command: (seconds of processor time of it and of all that it has waited for, its output)."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if process.returncode:
        sys.exit("bench: %s ended with %d:\n%s" % (" ".join(command), process.returncode, text))
    return usage.ru_utime + usage.ru_stime, text


def summary(values):
    """Median and quartiles: dict of float."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)], "rounds": len(values)}


def measure_machine(bench):
    """What the machine's own tools take for one archive: download, checksum, unpacking, sync: dict of seconds."""
    variables = bench.variables(1)
    name = "terraform_%s_%s.zip" % (variables["bench_version"], variables["bench_platform"])
    url = "%s/terraform/%s/%s" % (variables["bench_site"], variables["bench_version"], name)
    place = bench.folder / "machine"
    place.mkdir(exist_ok=True)
    steps = {
        "curl": ["curl", "-sfo", str(place / name), url],
        "sha256sum": ["sha256sum", str(place / name)],
        "unzip": ["unzip", "-oq", str(place / name), "-d", str(place)],
        "sync": ["sync", str(place / "terraform")],
    }
    found = {}
    for tool, command in steps.items():
        if shutil.which(tool):
            found[tool] = round(run_timed(command, os.environ)[0], 3)
    return found


def measure_sizes(bench):
    """Sizes, commands and memory: dict of int, bytes but for the commands."""
    kept = bench.folder / "kept"
    environment = {"ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_REMOTE_TMP": str(kept)}
    bench.play("ping", 1, **environment)
    bench.play("ours", 1, **environment)  # all is in order: a look
    found = {}
    for path in kept.rglob("AnsiballZ_*.py"):
        found["%s_payload" % ("ping" if "ping" in path.name else "look")] = path.stat().st_size
        if "terraform" in path.name:
            with open(os.devnull, "wb") as nothing:
                process = subprocess.Popen([sys.executable, str(path)], stdout=nothing)
                found["look_peak_memory"] = os.wait4(process.pid, 0)[2].ru_maxrss * 1024
    for name, pipelining in (("commands", "0"), ("commands_pipelining", "1")):
        output = bench.play("ours", 1, "-vvv", ANSIBLE_PIPELINING=pipelining)[1]
        found[name] = len(re.findall(r"^<h000> EXEC ", output, re.M))
    found["whole_script"] = len(script.script_text(script.LOOK + script.CHANGE))
    return found


def describe_machine():
    """Where and when it was measured: dict of str."""
    model = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=os.environ.get("BENCH_CHECKOUT", CHECKOUT),
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    return {
        "processor": "%s, %d of them" % (model.group(1) if model else platform.machine(), os.cpu_count()),
        "ansible_core": ansible.__version__,
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "commit": commit.stdout.strip(),
    }


def judge(bench):
    """Every goal that was measured: list of dicts, with ``reached``."""
    found = []
    for goal in GOALS:
        if (goal.state, goal.hosts, "ours") in bench.seconds:
            middle = statistics.median(bench.ratios(goal))
            reached = middle >= goal.limit if goal.less else middle <= goal.limit
            found.append(dict(goal._asdict(), ratio=summary(bench.ratios(goal)), reached=reached))
    return found


def table_of(report):
    """The report in Markdown: str."""
    where = report["machine"]
    lines = [
        "Measured on %(date)s at commit %(commit)s: ansible-core %(ansible_core)s, Python %(python)s, %(processor)s."
        % where,
        "The binary is %s. Seconds of processor time, median (quartiles) of %d rounds."
        % (report["binary"], report["rounds"]),
        "",
        "| hosts | state | " + " | ".join(WORDS.values()) + " |",
        "| --- | --- " + "| --- " * len(WORDS) + "|",
    ]
    for hosts in report["hosts"]:
        for state in ("warm", "cold"):
            cells = []
            for variant in WORDS:
                found = report["seconds"].get("%s %d %s" % ("any" if variant == "ping" else state, hosts, variant))
                cells.append("%.2f (%.2f to %.2f)" % (found["median"], *found["quartiles"]) if found else "")
            if any(cells[1:]):
                lines.append("| %d | %s | %s |" % (hosts, state, " | ".join(cells)))
    lines += ["", "| goal | measured | reached |", "| --- | --- | --- |"]
    for goal in report["goals"]:
        wanted = "%d hosts, %s: %s" % (
            goal["hosts"],
            goal["state"],
            "%g times less than %s" % (goal["limit"], WORDS[goal["other"]])
            if goal["less"]
            else "at most %g × %s" % (goal["limit"], WORDS[goal["other"]]),
        )
        lines.append("| %s | %.2f | %s |" % (wanted, goal["ratio"]["median"], "yes" if goal["reached"] else "no"))
    sizes, tools = report["sizes"], report["machine_tools"]
    lines += [
        "",
        "What goes to a host for a look: %s bytes (a ping: %s); for an installation: %s bytes and the archive. A look takes"
        % tuple("{:,}".format(sizes[name]) for name in ("look_payload", "ping_payload", "whole_script")),
        "%d MB of memory at its peak, and %d commands on the host, %d with pipelining."
        % (sizes["look_peak_memory"] // 2**20, sizes["commands"], sizes["commands_pipelining"]),
        "",
        "The machine's own tools for the same archive, in seconds: %s."
        % ", ".join("%s %.2f" % item for item in tools.items()),
    ]
    return "\n".join(lines) + "\n"


def draw(report, path):
    """The chart: a bar for each variant, cold and warm, of the largest number of hosts that all were measured with."""
    hosts = max(number for number in report["hosts"] if number <= TEN)
    chart = pygal.HorizontalBar(
        style=pygal.style.LightColorizedStyle(font_family="sans-serif"),
        title="Seconds of processor time for %d hosts" % hosts,
        print_values=True,
        value_formatter=lambda value: "%.1f" % value,
        width=760,
        height=320,
        js=[],
        disable_xml_declaration=False,
    )
    chart.x_labels = ["%s, %s" % (WORDS[variant], state) for variant in ("idiom", "ours") for state in ("cold", "warm")]
    chart.x_labels.append(WORDS["ping"])
    keys = ["%s %d %s" % (state, hosts, variant) for variant in ("idiom", "ours") for state in ("cold", "warm")]
    keys.append("any %d ping" % hosts)
    chart.add("seconds", [report["seconds"][key]["median"] for key in keys])
    chart.show_legend = False
    chart.render_to_file(str(path))


def main():
    build, docs = map(pathlib.Path, sys.argv[1:3])
    rounds = int(os.environ.get("ROUNDS") or 7)
    numbers = [int(word) for word in (os.environ.get("HOSTS") or "1 10 50 200").split()]
    folder = tempfile.mkdtemp(prefix="terraform-binary-bench-")
    try:
        report = measure(folder, rounds, numbers)
    finally:
        shutil.rmtree(folder)
    (build / "bench.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    page = docs / "benchmarks.md"
    before = page.read_text(encoding="utf-8").partition(MARK)[0]
    page.write_text("%s%s\n\n%s" % (before, MARK, table_of(report)), encoding="utf-8")
    draw(report, docs / "benchmarks.svg")
    print(table_of(report))
    missed = [goal for goal in report["goals"] if not goal["reached"]]
    sys.exit("bench: %d of %d goals were missed" % (len(missed), len(report["goals"])) if missed else 0)


def measure(folder, rounds, numbers):
    """Measure all: the report."""
    made = os.environ["TERRAFORM_BINARY_GENUINE_KEPT"]
    lacks = genuine.lay_out(os.environ.get("TERRAFORM_BINARY_GENUINE"), made)
    with Site(versions=("1.13.4",) if lacks else ()) as site:
        if lacks:
            small = "a stand-in of a few hundred bytes, so hashing and unpacking cost nothing (%s)" % lacks
            release = Release("1.13.4", small, [site.key.armored])
        else:
            site.put_folder(made)
            release = Release("1.11.4", "the genuine Terraform 1.11.4 (90.6 MB)", [])
        bench = Bench(folder, site, release)
        for hosts in numbers:
            bench.play("ping", hosts)  # warm-up: byte code, and what the system keeps in memory
            for number in range(rounds):
                bench.round_of(hosts, number)
                print("%d hosts, round %d of %d" % (hosts, number + 1, rounds), flush=True)
        shutil.rmtree(bench.root)
        bench.root.mkdir()
        bench.play("ours", 1)
        return {
            "machine": describe_machine(),
            "binary": release.name,
            "rounds": rounds,
            "hosts": numbers,
            "seconds": {"%s %d %s" % key: summary(values) for key, values in bench.seconds.items()},
            "goals": judge(bench),
            "sizes": measure_sizes(bench),
            "machine_tools": measure_machine(bench),
        }


if __name__ == "__main__":
    main()
