# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host to install on, for the tests of the stories: a folder with a store in it, and real archives to install from.

It runs on Python 3.6 without ``cryptography``: ``offer`` makes an archive for the policy ``pinned``, which needs no
signature, and the executables of the release site are loaded as the plain file that they are.
"""

import functools
import hashlib
import importlib.util
import json
import os
import platform
import stat
import zipfile

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _argument_spec, _source
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory, lock, trusted_file
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import client, transport_errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import apply, run_check
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import plan as plan_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._openpgp import signers as signers_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._release import layout
from ansible_collections.iac_platform.terraform.plugins.module_utils._request import parse
from ansible_collections.iac_platform.terraform.plugins.module_utils._run import module_run, results
from support.system import Clock, open_folder
from support.transfers import BODY, FAR, NAME

VERSION = "1.13.4"
_EXECUTABLES = os.path.join(
    os.path.dirname(os.path.realpath(__file__)), "..", "..", "..", "release_site", "executables.py"
)


def _load_executables():
    spec = importlib.util.spec_from_file_location("plain_executables", _EXECUTABLES)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


EXECUTABLES = _load_executables()


class Host:
    """What the module would do on a host, without Ansible: ``check`` and ``run`` take its options and return its results.

    ``lines`` has what was said in the last run, ``warnings`` those of it that are warnings. ``defaults`` are options that
    every request of this host has. ``run_check`` is that option's default.
    """

    def __init__(self, folder):
        self.folder = str(folder)
        self.base_dir = os.path.join(self.folder, "store")
        self.platform = layout.detect_platform(platform.system(), platform.machine())
        self.set_context = None
        self.lines = []
        self.warnings = []
        self.defaults = {}
        self.published = {}
        self.run_check = True

    def at(self, *names):
        return os.path.join(self.folder, *names)

    def binary(self, version=VERSION):
        return os.path.join(self.base_dir, version, "terraform")

    def receipt(self, version=VERSION):
        return os.path.join(self.base_dir, version, "terraform.json")

    def offer(self, version=VERSION, platform=None, **how):
        """Put an archive beside the store.

        :param how: see ``executables.terraform`` of the release site.
        :returns: dict, the options that install from it by the policy ``pinned``.
        """
        platform = platform or self.platform
        path = self.at("terraform_%s_%s.zip" % (version, platform))
        member = zipfile.ZipInfo("terraform", (2025, 4, 9, 13, 3, 36))
        member.external_attr = (stat.S_IFREG | 0o755) << 16
        self.published[version] = EXECUTABLES.terraform(version, platform, **how)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, self.published[version])
        return dict(
            version=version, archive=path, checksum=sha256_of(path), checksum_policy="pinned", platform=platform
        )

    def params(self, **options):
        params = dict((key, spec.get("default")) for key, spec in _argument_spec.SPEC.items())
        params.update(version=VERSION, base_dir=self.base_dir, run_check=self.run_check)
        params.update(self.defaults)
        params.update(options)
        return params

    def parsed(self, **options):
        return parse.parse_request(self.params(**options), lambda: self.platform)

    def module(self, check=False, **options):
        """The results of all that the module does, in check mode or not; ``lines`` are its steps."""
        self.warnings = []
        steps = module_run.Steps(lambda line: None, self.warnings.append)
        try:
            return module_run.run_module(self.params(**options), check, steps, self.set_context)
        finally:
            self.lines = [line[len("target: ") :] for line in steps.lines]

    def plan(self, **options):
        return self._plan(self.parsed(**options))[0]

    def _plan(self, parsed):
        signers = signers_module.trusted_signers(parsed.trusted_keys)
        return plan_module.make_plan(parsed, signers, self.set_context), signers, self.source(parsed)

    def source(self, parsed):
        guard = functools.partial(trusted_file.open_trusted_file, owners=directory.trusted_owners(parsed.uid))
        return _source.Source(parsed, self.log, guard)

    def check(self, **options):
        """The results of check mode."""
        plan, _signers, source = self._plan(self.parsed(**options))
        provenance = source.provenance() if plan.needs_archive else None
        result, self.lines = results.predicted_result(plan, provenance, True)
        return result

    def run(self, **options):
        """The results of a run."""
        self.lines, self.warnings = [], []
        plan, signers, source = self._plan(self.parsed(**options))
        if not plan.changes:
            result, self.lines = results.predicted_result(plan, None, False)
            return result
        return results.applied_result(apply.apply_plan(plan, signers, source, self.log, self.set_context))

    def fail(self, error, **options):
        """The error that a run ends with."""
        with pytest.raises(error) as caught:
            self.run(**options)
        return caught.value

    def refuse(self, error, **options):
        """The error that a run ends with before it has touched anything; check mode says the same."""
        before = self.picture()
        failure = self.fail(error, **options)
        assert self.picture() == before and not failure.changed
        with pytest.raises(error) as predicted:
            self.check(**options)
        assert str(predicted.value) == str(failure) and self.picture() == before
        return failure

    def repair(self, **options):
        """The results of a run that changes something, leaves all right, and nothing to do for the next one."""
        result = self.run(**options)
        assert result["changed"]
        self.assert_right()
        assert not self.run(**options)["changed"] and len(self.lines) <= 2, self.lines
        return result

    def assert_right(self, version=VERSION, mode=0o755):
        """The binary is what was offered, its receipt knows it, and nothing else is there."""
        found = os.lstat(self.binary(version))
        assert stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == mode and found.st_nlink == 1
        assert read(self.binary(version)) == self.published[version]
        receipt = self.read_receipt(version)
        assert (receipt["size"], receipt["version"]) == (found.st_size, version)
        assert receipt["sha256"] == sha256_of(self.binary(version))
        assert self.names(version) == ["terraform", "terraform.json"]

    def log(self, line, warning=False):
        self.lines.append(line)
        if warning:
            self.warnings.append(line)

    def read_receipt(self, version=VERSION):
        return json.loads(read(self.receipt(version)).decode("ascii"))

    def write_receipt(self, version=VERSION, **fields):
        """Change fields of the receipt; those that are None go."""
        changed = dict(self.read_receipt(version), **fields)
        write(
            self.receipt(version),
            json.dumps(dict((key, value) for key, value in changed.items() if value is not None)).encode("ascii"),
        )

    def names(self, version=VERSION):
        folder = os.path.join(self.base_dir, version)
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else None

    def overwrite(self, path, data):
        """Other bytes in the very file."""
        with open(path, "r+b") as stream:
            stream.truncate()
            stream.write(data)

    def flip(self, path):
        """Turn a bit of the last byte."""
        data = bytearray(read(path))
        data[-1] ^= 1
        self.overwrite(path, data)

    def picture(self):
        """All there is in the folder: dict of path to what a change of it would change."""
        return dict((os.path.relpath(path, self.folder), describe(path)) for path in _walk(self.folder))


def _walk(folder):
    for parent, folders, names in os.walk(folder):
        for name in folders + names:
            yield os.path.join(parent, name)


def describe(path):
    found = os.lstat(path)
    content = None
    if stat.S_ISREG(found.st_mode):
        content = read(path)
    elif stat.S_ISLNK(found.st_mode):
        content = os.readlink(path)
    # The times of a directory show temporary names in it, which may come and go.
    times = () if stat.S_ISDIR(found.st_mode) else (found.st_mtime_ns, found.st_ctime_ns, found.st_nlink)
    return (oct(found.st_mode), found.st_uid, found.st_gid, found.st_ino, times, content)


def read(path):
    with open(path, "rb") as stream:
        return stream.read()


def write(path, data):
    with open(path, "wb") as stream:
        stream.write(data)


def sha256_of(path):
    return hashlib.sha256(read(path)).hexdigest()


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host without a store."""
    monkeypatch.setattr(plan_module, "RETRY_SECONDS", 0)  # seconds; nobody else is at work here
    made = Host(tmp_path)
    made.run_check = False  # unless a test is about it: each is some processes more
    if made.platform not in EXECUTABLES.RUNNABLE:
        pytest.skip("the stand-in for Terraform runs on %s only" % " and ".join(EXECUTABLES.RUNNABLE))
    return made


@pytest.fixture
def installed(host):
    """A host with the version installed by the policy ``pinned``, from an archive that it is asked for again."""
    host.defaults = host.offer()
    result = host.run()
    assert result["changed"] and host.names() == ["terraform", "terraform.json"]
    return host


@pytest.fixture
def served(bare_environment, host, site):
    """A host that installs from a running release site by the policy ``signature``."""
    host.defaults = dict(sites=[site.url], trusted_keys=[site.key.armored], retries=1)
    return host


@pytest.fixture
def signed(served, site):
    """A host with the version installed from the site, whose requests are not counted yet."""
    assert served.run()["changed"]
    del site.requests[:]
    return served


@pytest.fixture(scope="session")
def one_authority():
    """The path of one of the certificates that come with requests: to load them all takes longer than a download."""
    requests = pytest.importorskip("requests")
    end = "-----END CERTIFICATE-----\n"
    with open(requests.certs.where(), encoding="utf-8") as bundle, open_folder() as folder:  # for plain users, too
        path = os.path.join(folder, "one.pem")
        with open(path, "w", encoding="utf-8") as file:
            file.write(bundle.read().partition(end)[0] + end)
        yield path


@pytest.fixture
def bare_environment(monkeypatch, one_authority):
    """No proxy and no trust store of this machine decides; and retries do not wait long."""
    monkeypatch.setattr(pytest.importorskip("requests").certs, "where", lambda: one_authority)
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(transport_errors, "BACKOFF", 0.01)
    os.putenv(
        "SSL_CERT_FILE", one_authority
    )  # OpenSSL alone sees it, as the system's store; os.environ has a user's choice
    yield
    os.unsetenv("SSL_CERT_FILE")


@pytest.fixture
def clock(monkeypatch):
    """The Clock of downloads and of the wait for a lock: they never wait, and no limit of theirs strikes by itself."""
    made = Clock()
    for module in (client, lock, run_check):
        monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def netrc(monkeypatch, tmp_path):
    """The user's own ~/.netrc knows a password for every site, which requests would send by itself."""
    path = tmp_path / ".netrc"
    path.write_text("machine 127.0.0.1 login user password secret\ndefault login user password secret\n")
    path.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(path))


@pytest.fixture
def file_site(bare_environment, site):
    """The site with one file more: see ``transfers``."""
    site.put(NAME, BODY)
    return site


@pytest.fixture
def misbehaviours(site):
    from release_site import misbehaviours

    return misbehaviours


@pytest.fixture
def secure(bare_environment, signing_key, tmp_path):
    """A site that speaks TLS, also as FAR, with that file, and the path of its authority's certificate."""
    from release_site import Site
    from release_site.certificates import LOOPBACK, Authority

    authority = Authority()
    with Site(key=signing_key, tls=authority.server_context(LOOPBACK + (FAR,))) as running:
        running.put(NAME, BODY)
        bundle = tmp_path / "ca.pem"
        bundle.write_text(authority.pem)
        yield running, str(bundle)
