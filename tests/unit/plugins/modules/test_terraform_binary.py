# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks cannot see of the module: SELinux labels on a machine without SELinux, and what may come out in a line."""

import errno
import hashlib
import importlib.util
import json
import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._run import module_run
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import selinux
from support.system import small_disk

module_target = pytest.importorskip("support.module_target")
terraform_binary = pytest.importorskip("ansible_collections.iac_platform.terraform.plugins.modules.terraform_binary")

_HOST = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "module_utils", "conftest.py")
ODD = "\udcff\x1b[31m\n"  # how Python has a name with a byte that is no UTF-8, an escape and a line end
NEW = "system_u:object_r:usr_t:s0"


class Selinux:
    """What selinux_labeler() and Steps ask of AnsibleModule; the labels themselves are real extended attributes."""

    def __init__(self, default=NEW, **asked):
        self.params = dict(dict.fromkeys(("seuser", "serole", "setype", "selevel")), **asked)
        self.asked_for = []
        self.logged = []
        self.warned = []
        self.log = self.logged.append
        self.warn = self.warned.append
        self._default = default

    def selinux_default_context(self, path):
        self.asked_for.append(path)
        return self._default.split(":", 3) if self._default else [None, None, None, None]


def labeler_of(module):
    return selinux.selinux_labeler(module.params, module.selinux_default_context)


@pytest.fixture
def labelled(tmp_path):
    """Make an open file with a label: callable(label) -> fd."""
    opened = []

    def make(set_context):
        fd = os.open(str(tmp_path / "file"), os.O_RDWR | os.O_CREAT, 0o755)
        opened.append(fd)
        try:
            os.setxattr(fd, selinux._LABEL, set_context.encode() + b"\0")
        except OSError as exc:
            pytest.skip("no labels can be set here: %s" % exc)
        return fd

    yield make
    for fd in opened:
        os.close(fd)


def label_of(fd):
    return os.getxattr(fd, selinux._LABEL).decode().rstrip("\0")


def test_a_new_file_gets_the_default_of_its_path(labelled):
    module, fd = Selinux(), labelled("unconfined_u:object_r:user_tmp_t:s0")
    set_context = labeler_of(module)
    assert set_context(fd, "/opt/x/terraform", True) is True
    assert label_of(fd) == NEW and module.asked_for == ["/opt/x/terraform"]
    assert set_context(fd, "/opt/x/terraform", True) is False


def test_a_file_that_is_there_is_left_alone_unless_something_else_was_asked_for(labelled):
    fd = labelled("unconfined_u:object_r:user_tmp_t:s0")
    assert labeler_of(Selinux())(fd, "/x", False) is False
    assert labeler_of(Selinux(setype="user_tmp_t", seuser="unconfined_u"))(fd, "/x", False) is False
    assert labeler_of(Selinux(setype="bin_t"))(fd, "/x", False) is True
    assert label_of(fd) == "unconfined_u:object_r:user_tmp_t:s0", "looking changes nothing"


def test_what_was_asked_for_goes_over_the_default(labelled):
    fd = labelled("unconfined_u:object_r:user_tmp_t:s0")
    asked = dict(seuser="staff_u", serole="_default", setype="bin_t", selevel="s0:c1,c2")
    set_context = labeler_of(Selinux(**asked))
    assert set_context(fd, "/x", True) is True and label_of(fd) == "staff_u:object_r:bin_t:s0:c1,c2"
    assert set_context(fd, "/x", False) is False


def test_default_is_compared_with_the_policy(labelled):
    fd = labelled("unconfined_u:object_r:user_tmp_t:s0")
    set_context = labeler_of(Selinux(setype="_default"))
    assert set_context(fd, "/x", False) is True
    assert set_context(fd, "/x", True) is True and label_of(fd) == NEW
    assert set_context(fd, "/x", False) is False


def test_a_policy_without_levels(labelled):
    fd = labelled("unconfined_u:object_r:user_tmp_t")
    set_context = labeler_of(Selinux(default="system_u:object_r:usr_t", selevel="s0"))
    assert set_context(fd, "/x", True) is True and label_of(fd) == "system_u:object_r:usr_t"


def test_a_path_that_the_policy_does_not_know_keeps_its_label(labelled):
    fd = labelled(NEW)
    assert labeler_of(Selinux(default=None))(fd, "/x", True) is False and label_of(fd) == NEW


@pytest.mark.parametrize("blank", ["", " "])
def test_blank_is_not_asked_for(labelled, blank):
    fd = labelled(NEW)
    assert labeler_of(Selinux(setype=blank))(fd, "/x", False) is False


def test_where_no_labels_are_kept_only_asking_for_one_is_an_error():
    with open("/proc/self/stat", "rb") as file:
        try:
            os.getxattr(file.fileno(), selinux._LABEL)
        except OSError as exc:
            if exc.errno != errno.ENOTSUP:
                pytest.skip("/proc has labels here")
        else:
            pytest.skip("/proc has labels here")
        assert labeler_of(Selinux())(file.fileno(), "/x", True) is False
        with pytest.raises(OSError) as caught:
            labeler_of(Selinux(setype="bin_t"))(file.fileno(), "/x", True)
        assert caught.value.errno == errno.ENOTSUP


def test_every_other_fault_of_a_label_is_an_error(tmp_path):
    with open(str(tmp_path / "bare"), "wb") as file, pytest.raises(OSError) as caught:
        labeler_of(Selinux())(file.fileno(), "/x", True)
    assert caught.value.errno == errno.ENODATA


def test_steps_are_kept_logged_and_warned_of():
    module = Selinux()
    steps = module_run.Steps(module.log, module.warn)
    steps("one")
    steps("two", warning=True)
    assert steps.lines == module.logged == ["target: one", "target: two"] and module.warned == ["target: two"]
    assert steps.previous_version is None


def test_a_step_is_one_line_of_text_whatever_a_file_is_called():
    module = Selinux()
    steps = module_run.Steps(module.log, module.warn)
    steps("left: a\nb\x1b[31m \udcff \xe9.txt")
    (line,) = steps.lines
    assert line == "target: left: a?b?[31m ? \xe9.txt" and line.encode("utf-8")


@pytest.fixture
def host(tmp_path):
    """The host of the tests of the stories, with a version installed."""
    spec = importlib.util.spec_from_file_location("module_host", _HOST)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    made = loaded.Host(str(tmp_path))
    made.defaults = made.offer()
    made.run()
    return made


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    with module_target.serving(str(tmp_path_factory.mktemp("target"))) as path:
        yield path


@pytest.fixture(params=["module", "script"])
def through_ansible(host, target, request):
    """One run of the module, in a process of its own as on a target: with AnsibleModule, and without as in the script.

    callable(check_mode=False, hidden=None, **options) -> its answer, which can be written as UTF-8. ``hidden`` names a
    package that cannot be imported there.
    """

    def run(check_mode=False, hidden=None, **options):
        arguments = dict(host.defaults, base_dir=host.base_dir, run_check=False, **options)
        arguments.update(_ansible_check_mode=check_mode, _ansible_diff=True)
        answer = module_target.run_module(target, arguments, hidden=hidden, script=request.param == "script")
        answer.pop("invocation", None)  # which not every ansible-core returns
        assert json.dumps(answer, ensure_ascii=False).encode("utf-8")
        for text in texts_in(answer):
            assert text.isprintable(), text
        return answer

    return run


def texts_in(value):
    """All texts in a result, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in list(value) + (list(value.values()) if isinstance(value, dict) else []):
            yield from texts_in(one)


def test_a_removal_reports_names_that_are_no_text(host, through_ansible):
    """They were removed before anybody could see that the result cannot be read."""
    for name in (".tmp.binary." + ODD, "foreign" + ODD):
        with open(os.path.join(host.base_dir, "1.13.4", name), "w"):
            pass
    os.symlink("/opt/1.13.3%s/terraform" % ODD, host.at("tf"))
    shown, folder = "??[31m?", os.path.join(host.base_dir, "1.13.4")
    for check_mode in (True, False):
        answer = through_ansible(check_mode, state="absent", link=host.at("tf"))
        assert answer["changed"] and not answer.get("failed")
        assert answer["removed"] == [
            folder + "/terraform",
            folder + "/terraform.json",
            folder + "/.tmp.binary." + shown,
        ]
        assert answer["previous_version"] == "1.13.3" + shown
        assert answer["diff"]["before"]["left_overs"] == [folder + "/.tmp.binary." + shown]
        assert answer["diff"]["before"]["link"] == {host.at("tf"): "/opt/1.13.3%s/terraform" % shown}
        assert shown in answer["msg"]
    assert "foreign" + shown in str(answer["warnings"])
    assert os.listdir(folder) == ["foreign" + ODD]


def test_a_failure_reports_names_that_are_no_text(host, through_ansible):
    os.symlink("/opt/1.13.3%s/terraform" % ODD, host.at("tf"))
    os.truncate(host.binary(), 5)
    answer = through_ansible(link=host.at("tf"), archive=host.at("missing"))
    assert answer["failed"] and answer["previous_version"] == "1.13.3??[31m?"


def test_paths_of_the_task_are_cleaned_too(host, through_ansible):
    there = host.at("there\u202e\x7f")
    os.mkdir(there)
    os.chmod(there, 0o777)
    host.base_dir = there + "/store"
    answer = through_ansible()
    assert answer["failed"] and answer["error"]["path"] == host.at("there??/store")
    assert "there??" in answer["msg"] and answer["msg"].isprintable()
    answer = through_ansible(allow_unsafe_base_dir=True)
    assert answer["path"] == host.at("there??/store/1.13.4/terraform")
    assert "allow_unsafe_base_dir: " in str(answer["warnings"]) and host.at("there??") in str(answer["warnings"])


# check mode after tasks that only check mode kept from doing their work


@pytest.fixture
def store(host):
    """A host without a store, and with an archive."""
    host.base_dir = host.at("other")
    return host


def warnings_of(answer):
    return [str(each) for each in answer.get("warnings") or ()]


@pytest.mark.parametrize("option", ["owner", "group"])
def test_an_account_that_a_task_before_may_make(host, through_ansible, option):
    """Of a store that is empty, and of one where all else is right. The real run refuses, and so needs_archive is not known."""
    name = "nobody-of-this-name"
    for base_dir, needed in ((host.base_dir, False), (host.at("other"), None)):
        host.base_dir = base_dir
        answer = through_ansible(True, **{option: name})
        assert answer["changed"] and not answer.get("failed") and "would be" in answer["msg"]
        assert answer["needs_archive"] is needed
        (warning,) = warnings_of(answer)
        assert "%s '%s' is not known" % (option, name) in warning and "check mode: " in warning
        assert answer["diff"]["after"]["owner"].split(":")[option == "group"] == name
        real = through_ansible(False, **{option: name})
        assert real["failed"] and real["error"]["step"] == "request" and not real["changed"]
    assert not os.path.exists(host.base_dir)


def test_an_archive_that_a_task_before_may_copy(store, through_ansible):
    os.rename(store.defaults["archive"], store.at("later.zip"))
    answer = through_ansible(True)
    assert answer["changed"] and answer["binary_sha256"] is None and answer["size"] is None
    (warning,) = warnings_of(answer)
    assert store.defaults["archive"] in warning and "ENOENT" in warning
    assert through_ansible(False)["failed"]


@pytest.mark.parametrize("lacking", [("",), (".sig",), ("", ".sig"), ("zip",), ("zip", "", ".sig")])
def test_what_lies_beside_an_archive_may_come_with_it(store, through_ansible, site, lacking):
    options = signed_archive(store, site)
    for each in lacking:
        os.unlink(options["archive"] if each == "zip" else store.at("terraform_1.13.4_SHA256SUMS" + each))
    answer = through_ansible(True, **options)
    assert (
        answer["changed"]
        and not answer.get("failed")
        and answer["needs_archive"]
        and "would be installed" in answer["msg"]
    )
    assert 1 <= len(warnings_of(answer)) <= 2 and all("ENOENT" in warning for warning in warnings_of(answer))
    assert (answer["verification"] is None) == (lacking != ("zip",))
    assert through_ansible(False, **options)["failed"]


def signed_archive(host, site):
    """An archive with SHA256SUMS and its signature, and the options that install it."""
    site.write(host.at("site"))
    platform = host.platform
    for name in ("SHA256SUMS", "SHA256SUMS.sig", platform + ".zip"):
        os.rename(
            host.at("site", "terraform", "1.13.4", "terraform_1.13.4_" + name), host.at("terraform_1.13.4_" + name)
        )
    return dict(
        archive=host.at("terraform_1.13.4_%s.zip" % platform),
        checksum_policy="signature",
        checksum=None,
        trusted_keys=[site.key.armored],
    )


def test_check_mode_refuses_a_broken_archive_beside_good_verification_files(store, through_ansible, site):
    options = signed_archive(store, site)
    answer = through_ansible(True, **options)
    assert answer["changed"] and not warnings_of(answer) and answer["verification"]["signer"] == site.key.fingerprint
    with open(options["archive"], "ab") as file:
        file.write(b"x")
    real, predicted = through_ansible(False, **options), through_ansible(True, **options)
    assert predicted["failed"] and predicted["msg"] == real["msg"] and "expected" in real["msg"]
    os.unlink(store.at("terraform_1.13.4_SHA256SUMS"))
    digest = store.defaults["checksum"]
    answer = through_ansible(True, **dict(options, checksum=digest))
    assert "expected %s" % digest in answer["msg"], "all that is there is looked at"
    os.unlink(options["archive"])
    os.mkdir(options["archive"])
    assert "not a regular file" in through_ansible(True, **options)["msg"]


def test_an_archive_of_the_right_digest_may_be_none(store, through_ansible):
    """Check mode reads it to its end, as the real run does."""
    path, digest = store.defaults["archive"], hashlib.sha256(b"no zip").hexdigest()
    with open(path, "wb") as file:
        file.write(b"no zip")
    predicted, real = through_ansible(True, checksum=digest), through_ansible(False, checksum=digest)
    assert predicted["failed"] and predicted["error"]["step"] == real["error"]["step"] == "extract"
    other = store.offer(platform="linux_s390x")
    predicted = through_ansible(True, **dict(other, platform=store.platform))
    assert predicted["failed"] and "is not an executable for %s" % store.platform in predicted["msg"]


def test_an_archive_that_does_not_fit_is_seen_in_check_mode(store, through_ansible):
    if os.geteuid():
        pytest.skip("needs root")
    disk = store.at("disk")
    os.mkdir(disk)
    options = store.offer(padding=100000)
    size = os.path.getsize(options["archive"])
    with small_disk(disk, "size=%d" % (size + 60000)):
        store.base_dir = os.path.join(disk, "store")
        answer = through_ansible(True, **options)
    assert answer["failed"] and answer["error"]["errno_name"] == "ENOSPC" and "(tmpfs)" in answer["msg"]


@pytest.mark.parametrize("version, known", [("1.13.4", "1.13.4"), ("latest", None), ("~> 1.13.0", None)])
def test_requests_that_a_task_before_may_install(store, through_ansible, site, version, known):
    options = dict(
        version=version,
        download="target",
        sites=[site.url],
        trusted_keys=[site.key.armored],
        archive=None,
        checksum=None,
        checksum_policy="signature",
    )
    answer = through_ansible(True, hidden="requests", **options)
    assert answer["changed"] and not answer.get("failed") and answer["version"] == known
    assert answer["archive_sha256"] is None and answer["verification"] is None
    (warning,) = warnings_of(answer)
    assert "requests is not installed" in warning
    real = through_ansible(False, hidden="requests", **options)
    assert real["failed"] and real["error"]["step"] == "setup" and site.requests == []
    ca_path = dict(options, ca_path=store.at("ca.pem"))
    (warning,) = warnings_of(through_ansible(True, **ca_path))
    assert "ca_path: read %s" % ca_path["ca_path"] in warning
    assert through_ansible(False, **ca_path)["failed"]
    dead = through_ansible(True, **dict(options, sites=["http://127.0.0.1:1"], retries=1))
    assert dead["failed"] and dead["error"]["step"] == "fetch", "a site that does not answer is no task's doing"
