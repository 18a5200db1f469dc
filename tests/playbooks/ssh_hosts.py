# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real hosts for a playbook: Debian's sshd, each in a network of its own, with a root file system of its own.

    with SshHosts(folder) as hosts:
        hosts.add("h1")
        play(tasks, hosts=hosts.inventory())
        hosts.root("h1")        # where this machine sees the host's files

A host's root is this machine's with a memory disk on top (overlayfs), or another Debian that was unpacked; what is done
there touches nothing here, and is gone with the host. There are the users root and ``ops``, who may sudo, and ``app``,
who may nothing. A host reaches this machine by the first address of its network and nothing else.
"""

import contextlib
import functools
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

SSHD = "/usr/sbin/sshd"
START_LIMIT = 120  # seconds

_NUMBERS = itertools.count(1)  # of the hosts of this process
_NEEDED = ("ip", "nsenter", "unshare", "chroot", "ssh", "ssh-keygen", "sudo", SSHD)

# $1 the folder for mounts, $2 the tree to unpack or nothing, $3 the prefix of the only Python or nothing, $4 our files
_START = r"""
set -e
hostname "$5"
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
if [ -n "$2" ]; then
    tar -xf "$2" -C "$1/root"
else
    mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
fi
cd "$1/root"
mkdir -p proc dev tmp run opt/only-python
if [ -n "$3" ]; then
    mount --bind "$3" opt/only-python
    rm -f usr/bin/python3* usr/local/bin/python3*
fi
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/sshd
for user in ops app; do
    chroot . useradd --create-home --shell /bin/sh --password '*' $user
done
chroot . usermod --password '*' root
echo 'ops ALL=(ALL:ALL) NOPASSWD: ALL' > etc/sudoers.d/ops
chmod 0440 etc/sudoers.d/ops
cp "$4/host_key" etc/ssh/host_key
chmod 0600 etc/ssh/host_key
for home in root home/ops; do
    mkdir -p -m 0700 $home/.ssh
    cp "$4/user_key.pub" $home/.ssh/authorized_keys
    chmod 0600 $home/.ssh/authorized_keys
done
chroot . chown -R ops:ops /home/ops
exec chroot . /usr/sbin/sshd -D -e -f /dev/null -h /etc/ssh/host_key -o UsePAM=no -o PasswordAuthentication=no \
    -o PermitRootLogin=prohibit-password -o MaxStartups=100 -o "Subsystem=sftp internal-sftp"
"""


class SshHosts:
    """The hosts; they end with the body of the ``with``.

    :param folder: str, for keys and mounts.
    """

    def __init__(self, folder):
        self.folder = folder
        self._hosts = {}  # name: (process, address, variables, tag)

    def __enter__(self):
        missing = [name for name in _NEEDED if not shutil.which(name)]
        if os.geteuid() or missing:
            pytest.skip("hosts with sshd need root%s" % (" and %s" % ", ".join(missing) if missing else ""))
        for name in ("host_key", "user_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(self.folder, name)], check=True
            )
        return self

    def __exit__(self, *exc_info):
        for process, _address, _variables, tag in self._hosts.values():
            process.send_signal(signal.SIGKILL)
            process.wait()
            subprocess.run(["ip", "netns", "del", tag], check=False)  # the link goes with it

    def add(self, name, tree=None, python=None, **variables):
        """Start a host.

        :param tree: str, a tar file of a whole Debian; None: this machine's own.
        :param python: str, the prefix (on this machine) of the only Python that it has; None: /usr/bin/python3.
        :param variables: of the inventory.
        """
        number = next(_NUMBERS)
        tag = "tfb%d-%d" % (os.getpid(), number)  # at most 15 characters: also the name of an interface
        here, there = ("10.%d.%d.%d" % (_free_network(), number, last) for last in (1, 2))
        mounts = os.path.join(self.folder, name)
        os.mkdir(mounts)
        for command in (
            "ip netns add {tag}",
            "ip link add {tag} type veth peer name eth0 netns {tag}",
            "ip addr add {here}/24 dev {tag}",
            "ip link set {tag} up",
            "ip -n {tag} addr add {there}/24 dev eth0",
            "ip -n {tag} link set eth0 up",
            "ip -n {tag} link set lo up",
        ):
            done = subprocess.run(
                command.format(tag=tag, here=here, there=there).split(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if done.returncode:
                pytest.skip("%s: %s" % (command.format(tag=tag, here=here, there=there), done.stdout.decode().strip()))
        with open(mounts + ".log", "wb") as log:
            process = subprocess.Popen(
                [
                    "ip",
                    "netns",
                    "exec",
                    tag,
                    "unshare",
                    "-m",
                    "-p",
                    "-u",
                    "-i",
                    "--fork",
                    "--kill-child",
                    "sh",
                    "-c",
                    _START,
                    "sh",
                    mounts,
                    tree or "",
                    python or "",
                    self.folder,
                    name,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        interpreter = "/opt/only-python/bin/python3" if python else "/usr/bin/python3"
        self._hosts[name] = (
            process,
            there,
            dict(
                {
                    "ansible_connection": "ssh",
                    "ansible_host": there,
                    "ansible_user": "ops",
                    "ansible_ssh_private_key_file": os.path.join(self.folder, "user_key"),
                    "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
                    "ansible_python_interpreter": interpreter,
                    "ansible_remote_tmp": "~/.ansible/tmp",
                    "ansible_async_dir": "~/.ansible_async",
                    "gateway": here,
                },
                **variables,
            ),
            tag,
        )

    def stop(self, name):
        """Switch a host off, as by its plug."""
        process = self._hosts[name][0]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def await_all(self):
        """Wait until all hosts answer."""
        for name, (process, address, _variables, _tag) in self._hosts.items():
            limit = time.monotonic() + START_LIMIT
            while not _answers(address):
                if process.poll() is not None or time.monotonic() > limit:
                    with open(os.path.join(self.folder, name) + ".log", encoding="utf-8", errors="replace") as log:
                        pytest.skip("host %s does not start: %s" % (name, log.read().strip()[-300:]))
                time.sleep(0.1)

    def inventory(self, *names, **variables):
        """What Player takes as ``hosts``: all hosts, or those of these names; with further variables."""
        return {
            name: dict(own, **variables)
            for name, (_p, _a, own, _t) in self._hosts.items()
            if not names or name in names
        }

    def root(self, name):
        """The path under which this machine sees the root of the host."""
        process = self._hosts[name][0]
        # the process itself became unshare, and its child is the shell that became sshd
        with open("/proc/%d/task/%d/children" % (process.pid, process.pid), encoding="ascii") as file:
            (child,) = file.read().split()
        return "/proc/%s/root" % child

    def at(self, name, path):
        """A path of the host as this machine sees it."""
        return self.root(name) + path

    def run(self, name, *command):
        """Run a command as root on the host, past sshd; it must succeed. Its output."""
        child = self.root(name).split("/")[2]
        return subprocess.run(
            ["nsenter", "-t", child, "-m", "-r", "-w"] + list(command),
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ).stdout


@functools.lru_cache(maxsize=None)
def _free_network():
    """The second byte of this process's networks: none that another run has, or has left behind when it was killed."""
    first = os.getpid() % 50
    for number in [200 + (first + step) % 50 for step in range(50)]:
        command = ["ip", "-o", "-4", "addr", "show", "to", "10.%d.0.0/16" % number]
        if not subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout:
            return number
    pytest.skip("all networks from 10.200.0.0/16 to 10.249.0.0/16 are in use: remove what is left (ip netns)")


def _answers(address):
    with contextlib.suppress(OSError):
        with socket.create_connection((address, 22), timeout=1) as connection:
            connection.settimeout(5)
            return connection.recv(8).startswith(b"SSH-2.0")
    return False
