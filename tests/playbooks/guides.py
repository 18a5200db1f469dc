# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of docs/guides, and a machine on which their snippets run to the letter.

    with Machine(folder, site, names=("releases.hashicorp.com",)) as machine, Page("team.md") as page:
        machine.write("terraform.yml", page.take("yaml"))
        machine.shell(page.take("sh"))

A Machine is this one with a memory disk over /etc, /home, /opt, /root, /srv and /usr/local: what is done there touches
nothing here, and is gone with it. It knows a Site by the names of real ones, trusts its certificate, and takes its key for
HashiCorp's. There is a plain user, alice, who may sudo.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import sys
from typing import NamedTuple

import pytest
from playbook_run import MODULE, Run
from support.system import wait_until

CHECKOUT = pathlib.Path(os.path.realpath(__file__)).parents[2]
COLLECTIONS = CHECKOUT.parents[2]
GUIDES = CHECKOUT / "docs" / "guides"
KEY_FILE = CHECKOUT / "plugins" / "module_utils" / "_openpgp/hashicorp_key.py"
REPOSITORY = "https://github.com/iac-platform/ansible-collection-terraform.git"
WORK = "/srv/guide"  # where snippets run
FULL = bool(os.environ.get("TERRAFORM_BINARY_MATRIX"))
TIME_LIMIT = 600  # seconds for one command: only so that a hang is seen as one
_PLACES = ("/etc", "/home", "/opt", "/root", "/srv", "/usr/local")
_NEEDED = ("unshare", "nsenter", "setpriv", "sudo", "useradd", "curl", "git")

# $1 the folder for mounts, $2 a key file to lay over $3, $4 lines for /etc/hosts, $5 what sudoers is to say
_START = r"""
set -e
mount -t tmpfs -o mode=755 tmpfs "$1"
for place in %s; do
    mkdir -p "$1/upper$place" "$1/work$place"
    mount -t overlay -o "lowerdir=$place,upperdir=$1/upper$place,workdir=$1/work$place" overlay "$place"
done
mount --bind "$2" "$3"
printf '127.0.0.1 localhost\n%%s\n' "$4" > /etc/hosts
sed -i '/secure_path/d' /etc/sudoers
printf '%%s\n' "$5" > /etc/sudoers.d/0guides
useradd --create-home --shell /bin/sh alice
rm -f /usr/local/bin/terraform
mkdir -m 755 %s
echo ready
exec cat
""" % (" ".join(_PLACES), WORK)

_TASKS = """
import json, sys
from task_run import TaskRunner
with TaskRunner(sys.argv[1]) as runner:
    for line in sys.stdin:
        tasks, how = json.loads(line)
        print(json.dumps([line["result"] for line in runner(tasks, env={"SSL_CERT_FILE": "/etc/site.pem"}, **how).lines]))
        sys.stdout.flush()
"""


class Block(NamedTuple):
    """A snippet of a page."""

    place: str  # page and line
    language: str
    text: str


class Page:
    """The snippets of a page, to be taken in their order; all of them, or the body of the ``with`` fails."""

    def __init__(self, name):
        self.text = (GUIDES / name).read_text(encoding="utf-8")
        self._left = [
            Block("%s:%d" % (name, self.text.count("\n", 0, found.start()) + 1), *found.groups())
            for found in re.finditer(r"(?ms)^```(\w*)\n(.*?)^```$", self.text)
        ]

    def __enter__(self):
        return self

    def __exit__(self, kind, *dummy):
        if kind is None:
            assert not self._left, "nobody runs %s:\n%s" % (self._left[0].place, self._left[0].text)

    def take(self, language):
        """The next snippet: str."""
        assert self._left, "there are no more snippets"
        block = self._left.pop(0)
        assert block.language == language, "%s is %s and not %s" % (block.place, block.language, language)
        return block.text


class Machine:
    """This machine, as far as it may be changed; for a body of ``with``.

    :param folder: str, an empty one.
    :param site: Site with a certificate for all names.
    :param names: host names that lead to the site; or dict of name and address.
    """

    def __init__(self, folder, site, names):
        self._folder = str(folder)
        self._site = site
        self._names = names if isinstance(names, dict) else dict.fromkeys(names, site.address)
        self._process = None
        self._runs = 0
        self._daemons = []
        self._runner = None

    def __enter__(self):
        missing = [name for name in _NEEDED if not shutil.which(name)]
        if os.geteuid() or missing:
            pytest.skip("guides run on an overlay: needs root%s" % (" and %s" % ", ".join(missing) if missing else ""))
        os.mkdir(os.path.join(self._folder, "mounts"))
        key = KEY_FILE.read_text(encoding="utf-8")
        key = re.sub(r"(?m)^FINGERPRINT = .*", 'FINGERPRINT = "%s"' % self._site.key.fingerprint, key)
        key = re.sub(r"(?s)-----BEGIN PGP.*END PGP PUBLIC KEY BLOCK-----\n", self._site.key.armored, key)
        pathlib.Path(self._folder, "key.py").write_text(key, encoding="utf-8")
        self._process = subprocess.Popen(
            [
                "unshare",
                "-m",
                "sh",
                "-c",
                _START,
                "sh",
                os.path.join(self._folder, "mounts"),
                os.path.join(self._folder, "key.py"),
                str(KEY_FILE),
                "\n".join("%s %s" % (address, name) for name, address in self._names.items()),
                "Defaults secure_path = /sbin:/bin:/usr/sbin:/usr/bin\nalice ALL=(ALL:ALL) NOPASSWD: ALL",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        reported = self._process.stdout.readline()
        if reported != "ready\n":
            rest = self._process.communicate()[0]
            pytest.skip("there is no overlay to be had: %s" % (reported + rest).strip()[-300:])
        self.write("/etc/site.pem", self._site.ca_pem)
        self.write(
            "inventory",
            "[builders]\nbuild01 ansible_connection=local ansible_python_interpreter=%s\n" % (sys.executable),
        )
        return self

    def __exit__(self, *dummy):
        for daemon in self._daemons:
            daemon.kill()
            daemon.wait()
        if self._runner:
            self._runner.communicate()
        if self._process:
            self._process.communicate()

    @property
    def _inside(self):
        return ["nsenter", "-t", str(self._process.pid), "-m"]

    @staticmethod
    def _environment(home):
        kept = {name: os.environ[name] for name in ("PYTHONPYCACHEPREFIX", "TESTS_OF_TERRAFORM") if name in os.environ}
        return dict(
            kept,
            HOME=home,
            LC_ALL="C.UTF-8",
            SSL_CERT_FILE="/etc/site.pem",
            CURL_CA_BUNDLE="/etc/site.pem",
            PATH="%s:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" % os.path.dirname(sys.executable),
            ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS),
            ANSIBLE_GATHERING="explicit",
            ANSIBLE_LOCALHOST_WARNING="0",
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_PIPELINING="1",
        )

    def at(self, path):
        """Where the test finds a path of the machine: str."""
        return "/proc/%d/root%s" % (self._process.pid, os.path.join(WORK, path))

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        pathlib.Path(self.at(path)).write_text(text, encoding="utf-8")

    def shell(self, text, user="root", fails=False, galaxy=False, **environment):
        """Run a snippet as a user in its shell: str, what it printed. It has to succeed, or to fail.

        :param galaxy: bool, the collection is found where ansible-galaxy put it, and not in the checkout.
        """
        home = "/root" if user == "root" else "/home/%s" % user
        environment = dict(self._environment(home), **environment)
        if galaxy:
            del environment["ANSIBLE_COLLECTIONS_PATH"]
        identity = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"] if user != "root" else []
        done = subprocess.run(
            self._inside + identity + ["bash", "-ec", "cd %s\n%s" % (WORK if user == "root" else home, text)],
            env=environment,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert (done.returncode != 0) is fails, "%s\nended with %d:\n%s" % (text, done.returncode, done.stdout)
        return done.stdout

    def serve(self, program, block, address):
        """Run nginx with a block of configuration that listens on port 443: there, at an address."""
        assert "listen 443 " in block, block
        places = "".join(
            " %s_temp_path /srv/temp;" % name for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.write(
            "/etc/nginx/guide.conf",
            "daemon off; master_process off; pid /srv/nginx.pid; events {} http { access_log off;"
            + places
            + block.replace("listen 443 ", "listen %s:443 " % address)
            + "}",
        )
        self._daemons.append(
            subprocess.Popen(self._inside + [program, "-e", "/srv/nginx.log", "-c", "/etc/nginx/guide.conf"])
        )
        wait_until(lambda: answers(address) or self._daemons[-1].poll() is not None, "nginx")
        log = pathlib.Path(self.at("/srv/nginx.log"))
        assert self._daemons[-1].poll() is None, log.read_text(encoding="utf-8")

    def ansible(self, text, **how):
        """Run a snippet with ansible-playbook in it: Run."""
        self._runs += 1
        lines = "/tmp/guide-%d-%d" % (self._process.pid, self._runs)
        try:
            output = self.shell(
                text,
                ANSIBLE_CALLBACK_PLUGINS=str(CHECKOUT / "tests/playbooks/callback_plugins"),
                ANSIBLE_CALLBACKS_ENABLED="json_lines",
                JSON_LINES_FILE=lines,
                **how,
            )
            with open(lines, encoding="utf-8") as file:
                return Run.of([json.loads(line) for line in file], output)
        finally:
            if os.path.exists(lines):
                os.unlink(lines)

    def role(self, command, really=FULL):
        """Run a snippet that is one call of ansible-playbook with a play of one role: the module's result.

        :param really: bool, False: not with ansible-playbook, but as ``tasks`` does it.
        """
        if really:
            return self.ansible(command)["Put Terraform in place"]
        words = shlex.split(command)
        name = next(word for word in words if word.endswith(".yml"))
        extra = words[words.index("-e") + 1 :] if "-e" in words else []
        assert set(words) - set(extra) <= {"ansible-playbook", "-i", "inventory", name, "-e", "--check", "--diff"}, (
            command
        )
        (play,) = read_yaml(pathlib.Path(self.at(name)).read_text(encoding="utf-8"))
        assert play.keys() == {"name", "hosts", "become", "roles"}, play.keys()
        (role,) = play["roles"]
        given = dict(role["vars"], **dict(pair.split("=", 1) for pair in extra))
        given = json.loads(json.dumps(given).replace("{{ playbook_dir }}", WORK))
        (result,) = self.tasks([given], check="--check" in words, diff="--diff" in words)
        return result

    def play(self, *texts, inventory="inventory", **how):
        """Run snippets of YAML in one go, tasks as well as plays: Run."""
        plays = []
        for text in texts:
            found = read_yaml(text)
            plays += found if "hosts" in found[0] else [{"hosts": "builders", "gather_facts": False, "tasks": found}]
        self.write("all.yml", json.dumps(plays))
        return self.ansible("ansible-playbook -i %s all.yml" % inventory, **how)

    def tasks(self, args_by_host, check=False, diff=False):
        """Run the module with the action plugin, without ansible-playbook: list of results.

        :param args_by_host: list of dicts of options, as tasks of YAML or as variables of the role have them.
        """
        options = [
            task_args.get(MODULE)
            or {name.replace("terraform_binary_", "", 1): value for name, value in task_args.items()}
            for task_args in args_by_host
        ]
        if self._runner is None:
            os.mkdir(self.at("/srv/tasks"))
            self._runner = subprocess.Popen(
                self._inside + [sys.executable, "-c", _TASKS, "/srv/tasks"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=dict(
                    self._environment("/root"),
                    PYTHONPATH="%s:%s/tests:%s/tests/playbooks" % (COLLECTIONS, CHECKOUT, CHECKOUT),
                ),
            )
        asked = [{"name": "each", MODULE: each} for each in options], {"check": check, "diff": diff}
        self._runner.stdin.write(json.dumps(asked) + "\n")
        self._runner.stdin.flush()
        return json.loads(self._runner.stdout.readline())

    def clone(self):
        """Have the collection's repository at a path, from where its URL leads to it: dict, the environment for git."""
        folder = "/srv/clones/iac-platform/ansible-collection-terraform.git"
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=str(CHECKOUT),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        self.write("/srv/files", "".join(line + "\n" for line in listed.splitlines() if (CHECKOUT / line).exists()))
        self.shell(
            "git init -q {0}; cp --parents -t {0} $(cat /srv/files); cd {0}; git add -Af; "
            "git -c user.name=x -c user.email=x@example.com commit -qm all".format(folder).replace(
                "; cp", "; cd %s; cp" % shlex.quote(str(CHECKOUT))
            )
        )
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "url.file:///srv/clones/.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/",
        }


def answers(address):
    """Whether anybody listens on port 443 of an address."""
    with socket.socket() as probe:
        return probe.connect_ex((address, 443)) == 0


def read_yaml(text):
    """What YAML says."""
    return pytest.importorskip("yaml").safe_load(text)


def terraform_of(output):
    """The version that a Terraform says it is: str."""
    return re.search(r"^Terraform v(\S+)$", output, re.M).group(1)
