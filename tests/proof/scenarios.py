# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the faults strike: one host in one folder, as it is before a run, what the run is asked for, and what is right after.

    world = World(folder, SCENARIOS["damaged, link"], ours)
    world.reset()               # the host as it was before, at the same paths every time
    world.act()                 # one run, as the module would answer: dict
    world.picture()             # what counts of the host

Installers are ``ours``, by the host of the unit tests, ``module``, the same through Ansible, ``script``, the same as the
plain script does it, and ``naive``.
"""

import contextlib
import importlib.util
import io
import json
import os
import shutil
import stat
import sys
import tempfile
from typing import Callable, NamedTuple

import faults
import naive
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import TerraformBinaryError, to_result
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import plan

VERSION, OLD_VERSION = "1.13.4", "1.13.3"
PADDING = 300 << 10  # bytes; more than one block of the inflater
_UNIT = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "unit", "plugins", "module_utils")


def _load_host():
    spec = importlib.util.spec_from_file_location("proof_install_host", os.path.join(_UNIT, "conftest.py"))
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


install_host = _load_host()


class Scenario(NamedTuple):
    """A host before a run, and the arguments of that run."""

    prepare: Callable  # callable(host): what was done to it before
    task_args: Callable  # callable(host) -> dict of options, beside those of the archive
    calls: str  # "all": every call gets every fault; "changes": that is for the calls that change something


def _nothing(host):
    pass


def _installed(host, **options):
    host.run(**dict(host.defaults, **options))


def _damaged(host):
    """An older binary with a receipt that does not know it: half of it is gone, and it can be executed."""
    _installed(host)
    os.truncate(host.binary(), os.path.getsize(host.binary()) // 2)


def _damaged_linked(host):
    _installed(host, link=host.at("bin", "terraform"))
    os.truncate(host.binary(), os.path.getsize(host.binary()) // 2)


def _mode(host):
    _installed(host)
    os.chmod(host.binary(), 0o644)


def _writable(host):
    _installed(host)
    os.chmod(host.binary(), 0o775)


def _weak(host):
    _installed(host)
    line = "%s  %s\n" % (host.defaults["checksum"], os.path.basename(host.defaults["archive"]))
    install_host.write(host.at("terraform_%s_SHA256SUMS" % VERSION), line.encode())


def _older_linked(host):
    host.run(link=host.at("bin", "terraform"), **host.offer(OLD_VERSION))


def _linked_before(host):
    """The link has moved on to an older version, and the receipts of both know it."""
    _installed(host, **_linked(host))
    _older_linked(host)


def _put_there(host):
    """The genuine binary without a receipt, with a mode that has to be repaired."""
    os.makedirs(os.path.dirname(host.binary()))
    install_host.write(host.binary(), host.published[VERSION])
    os.chmod(host.binary(), 0o700)


def _with_stale_files(host):
    _installed(host)
    for kind in ("binary", "receipt"):
        install_host.write(host.at("store", VERSION, ".tmp.%s.abcd1234" % kind), b"half")


def _linked(host):
    return {"link": host.at("bin", "terraform")}


def _plain(host):
    return {}


SCENARIOS = {
    "nothing": Scenario(_nothing, _plain, "all"),
    "nothing, link": Scenario(_nothing, _linked, "all"),
    "damaged": Scenario(_damaged, _plain, "all"),
    "damaged, link": Scenario(_damaged_linked, _linked, "all"),
    "link switch": Scenario(_older_linked, _linked, "changes"),
    "link back": Scenario(_linked_before, _linked, "changes"),
    "mode": Scenario(_mode, _plain, "changes"),
    "replace": Scenario(_writable, _plain, "changes"),
    "reverify": Scenario(_weak, lambda host: {"checksum_policy": "sha256sums"}, "changes"),
    "stale files": Scenario(_with_stale_files, _plain, "changes"),
    "adopt": Scenario(_put_there, lambda host: {"adopt": True}, "changes"),
    "no run check": Scenario(_nothing, lambda host: {"run_check": False}, "changes"),
    "removal": Scenario(_installed, lambda host: {"state": "absent"}, "changes"),
    "removal, link": Scenario(
        lambda host: _installed(host, **_linked(host)), lambda host: dict(_linked(host), state="absent"), "changes"
    ),
    "removal of the damaged": Scenario(_damaged, lambda host: {"state": "absent"}, "changes"),
}


def ours(host, **task_args):
    """The answer of the module, without Ansible."""
    plan.RETRY_SECONDS = 0  # seconds; nobody else is at work here
    try:
        result = host.run(**task_args)
    except TerraformBinaryError as exc:
        return dict(to_result(exc, "target", "localhost"), failed=True)
    return {"changed": result["changed"], "msg": result["msg"]}


def through_ansible(host, **task_args):
    """The answer of the module itself, with AnsibleModule around it."""
    from ansible_collections.iac_platform.terraform.plugins.modules import terraform_binary

    plan.RETRY_SECONDS = 0
    arguments = host.folder + ".arguments.json"  # beside it: no fault is to strike that
    options = dict((key, value) for key, value in task_args.items() if key != "platform")
    install_host.write(arguments, json.dumps({"ANSIBLE_MODULE_ARGS": dict(options, base_dir=host.base_dir)}).encode())
    said, sys.argv = io.StringIO(), [terraform_binary.__file__, arguments]
    try:
        with contextlib.redirect_stdout(said):
            terraform_binary.main()
    except SystemExit:
        pass
    return _shortened(json.loads(said.getvalue()))  # one JSON document and nothing beside it


def through_script(host, **task_args):
    """The answer of the plain script that replaces the module."""
    from ansible_collections.iac_platform.terraform.plugins.module_utils._run import script

    plan.RETRY_SECONDS = 0
    options = dict((key, value) for key, value in task_args.items() if key != "platform")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        script.run_script(json.dumps(dict(options, base_dir=host.base_dir)).encode())
    return _shortened(json.loads(said.getvalue()))


def _shortened(answer):
    return dict((key, answer[key]) for key in ("changed", "failed", "msg", "error") if key in answer)


class World:
    """One host. Everything lies in ``folder``; what faults may strike, in ``folder/host``.

    :param installer: callable(host, **options) -> dict: ``ours`` or ``naive.install``.
    :param uid: int, who installs; None: who we are.
    """

    def __init__(self, folder, scenario, installer, uid=None):
        self.folder = os.path.join(folder, "host")
        self.before = os.path.join(folder, "before")
        self.installer = installer
        self.uid = uid
        _warm_up(os.path.join(folder, "warm"))
        os.mkdir(self.folder)
        self.host = install_host.Host(self.folder)
        self.host.defaults = dict(self.host.offer(padding=PADDING), version=VERSION)
        tempfile.tempdir = self.host.at("tmp")  # where the run check makes its directory: faults strike there, too
        os.mkdir(tempfile.tempdir)
        if uid is not None:
            _give(folder, uid)
        self._as_user(lambda: scenario.prepare(self.host))
        self.task_args = dict(self.host.defaults, **scenario.task_args(self.host))
        shutil.copytree(self.folder, self.before, symlinks=True)
        if uid is not None:
            _give(self.before, uid)

    def _as_user(self, function):
        ending = faults.run(lambda: function() and None, self.uid)
        assert not ending.traceback and not ending.signal, ending.traceback

    def reset(self):
        """Put the host back to how it was before, at the same paths."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.before, self.folder, symlinks=True)
        if self.uid is not None:
            _give(self.folder, self.uid)

    def act(self):
        """One run, in this process."""
        return self.installer(self.host, **self.task_args)

    def picture(self):
        """What counts of the host: dict of path in the folder, and kind, mode, owner and content.

        Of a receipt not what may differ from run to run; no locks, and nothing of the run check's own directory.
        """
        found = {}
        for parent, folders, names in os.walk(self.folder):
            for name in folders + names:
                path = os.path.join(parent, name)
                relative = os.path.relpath(path, self.folder)
                if (
                    not name.endswith((".lock", ".zip", "_SHA256SUMS"))
                    and relative.split(os.sep, maxsplit=1)[0] != "tmp"
                ):
                    found[relative] = _describe(path)
        return found

    def hit(self):
        """What the invariants ask of the host, read from the disk: Hit."""
        return Hit(
            _read(self.host.binary()),
            _mode_of(self.host.binary()),
            _read(self.host.receipt()),
            _target(self.host.at("bin", "terraform")),
            self.picture(),
        )


class Hit(NamedTuple):
    """A host after a fault."""

    binary: object  # bytes, or None
    mode: int  # of the binary
    receipt: object  # bytes, or None
    link: object  # its target, or None
    picture: dict


def _warm_up(folder):
    """One run for nothing, so that none of those that count imports anything for the first time."""
    os.mkdir(folder)
    tempfile.tempdir = folder
    host = install_host.Host(folder)
    ours(host, **host.offer())
    shutil.rmtree(folder)


def _give(folder, uid):
    for parent, folders, names in os.walk(folder):
        for name in folders + names:
            os.chown(os.path.join(parent, name), uid, uid, follow_symlinks=False)
    os.chown(folder, uid, uid)


def _describe(path):
    found = os.lstat(path)
    content = None
    if stat.S_ISLNK(found.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(found.st_mode):
        content = install_host.sha256_of(path)
        if path.endswith("terraform.json"):
            content = _lasting(_read(path)) or content
    return [stat.filemode(found.st_mode), found.st_uid, content]


def _lasting(data):
    """A receipt as text, without what may differ from run to run; None when it is none."""
    try:
        fields = json.loads(data.decode("utf-8"))
    except ValueError:
        return None
    return json.dumps(
        [(key, value) for key, value in sorted(fields.items()) if key not in ("mtime_ns", "inode", "installed_at")]
    )


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode) if os.path.lexists(path) else 0


def _target(path):
    return os.readlink(path) if os.path.islink(path) else None


INSTALLERS = {"ours": ours, "module": through_ansible, "script": through_script, "naive": naive.install}
