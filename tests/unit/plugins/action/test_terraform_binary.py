# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller does to a task's arguments before they travel: nothing blank, no path of a key, no secret."""

import datetime
import os
import types

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _argument_spec, _errors, _records
from ansible_collections.iac_platform.terraform.plugins.module_utils._request import parse
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions.version import sort_key as order_of
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers import gate
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._download import release
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task import key_files

DataLoader = pytest.importorskip("ansible.parsing.dataloader").DataLoader
Task = pytest.importorskip("ansible.playbook.task").Task
VaultLib, VaultSecret = (
    getattr(pytest.importorskip("ansible.parsing.vault"), name) for name in ("VaultLib", "VaultSecret")
)
terraform_binary = pytest.importorskip("ansible_collections.iac_platform.terraform.plugins.action.terraform_binary")

PUBLIC = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----"
PRIVATE = PUBLIC.replace("PUBLIC", "PRIVATE").replace("AAAA", "SECRET")


VAULT_SECRETS = [("default", VaultSecret(b"a password"))]


def encrypt(path, text, secrets=None):
    with open(str(path), "wb") as file:
        file.write(VaultLib(secrets or VAULT_SECRETS).encrypt(text))


@pytest.fixture
def playbook_dir(tmp_path):
    """A folder with keys in it, beside a playbook and in files/."""
    os.mkdir(str(tmp_path / "files"))
    for name, text in (
        ("beside.asc", PUBLIC),
        ("files/found.asc", PUBLIC),
        ("private.asc", PRIVATE),
        ("both.asc", PUBLIC + "\n" + PRIVATE),
        ("pem.asc", PUBLIC + "\n-----BEGIN RSA PRIVATE KEY-----\nSECRET\n"),
        ("plain", "SECRET\n"),
        ("empty", ""),
    ):
        with open(str(tmp_path / name), "w") as file:
            file.write(text)
    with open(str(tmp_path / "binary.gpg"), "wb") as file:
        file.write(b"\x99\x01\x0d\x04" + bytes(range(256)))
    with open(str(tmp_path / "huge.asc"), "w") as file:
        file.write(PUBLIC + "x" * key_files.KEY_CAP)
    return str(tmp_path)


@pytest.fixture
def arguments(playbook_dir):
    """What a task's arguments become: callable(arguments) -> dict."""

    def run(**given):
        loader = DataLoader()
        loader.set_basedir(playbook_dir)
        loader.set_vault_secrets(VAULT_SECRETS)
        task = Task()
        given = dict({"version": "1.13.4"}, **given)
        task.args = given
        action = terraform_binary.ActionModule(
            task=task, connection=None, play_context=None, loader=loader, templar=None, shared_loader_obj=None
        )
        made = action._arguments({}, {})
        assert task.args == given, "the task's own arguments were changed: a loop would see that"
        return made

    return run


def refusal(arguments, **given):
    with pytest.raises(_errors.RequestError) as caught:
        arguments(**given)
    message = "%s; %s" % (caught.value, caught.value.hint)
    assert "SECRET" not in message and "\n" not in message
    return message


def test_arguments_pass_as_they_are(arguments):
    given = {"version": "1.13.4", "base_dir": "~/store", "mode": 493, "retries": 3, "run_check": False, "timeout": "30"}
    assert arguments(**given) == given


@pytest.mark.parametrize("blank", [None, "", " ", "\n", []])
def test_blank_ones_do_not(arguments, blank):
    assert arguments(version="1.13.4", link=blank, trusted_keys=blank, sites=blank) == {"version": "1.13.4"}


def test_zero_and_false_are_not_blank(arguments):
    given = {"lock_timeout": 0, "run_check": False}
    assert arguments(**given) == dict(given, version="1.13.4")


@pytest.mark.parametrize("blank", [None, "", " "])
def test_a_version_that_is_not_given_is_refused_in_our_words(arguments, blank):
    message = refusal(arguments, version=blank)
    assert "version is not given" in message and "terraform_binary_version" in message
    assert "version is not given" in refusal(arguments, version=blank, version_file=blank)


@pytest.mark.parametrize("name, value", [("url_token", 1.1), ("retries", True)])
def test_what_a_survey_made_of_an_answer_is_refused(arguments, name, value):
    assert refusal(arguments, **{name: value}).startswith("%s is a " % name)


@pytest.mark.parametrize("version", ["1.13.4", "latest", "~> 1.13.0", ">= 1.9, < 2", "= 1.10"])
def test_a_version_travels_as_it_was_written(arguments, version):
    assert arguments(version=version, version_file=" ") == {"version": version}


@pytest.mark.parametrize(
    "version, words",
    [
        (1.10, "is the number 1.1, and YAML"),
        (1, "is the number 1,"),
        ("1.10", "'1.10' is not exact"),
        (True, "boolean true"),
        (datetime.date(2026, 1, 1), "date 2026-01-01"),
        ([], "not given"),
        (["1.0.0"], "is a list"),
        ("~> 1.x", "is not a constraint"),
    ],
)
def test_a_version_is_validated_while_it_has_the_type_that_yaml_gave_it(arguments, version, words):
    assert words in refusal(arguments, version=version)


@pytest.mark.parametrize(
    "name, version",
    [
        (".terraform-version", "= 1.10"),
        ("files/pinned", "1.9.8"),
        ("pinned", "1.9.8"),
        ("{dir}/pinned", "1.9.8"),
        (" root ", "~> 1.9"),
        ("~/.terraform-version", "= 1.10"),
        ("{dir}/root", "~> 1.9"),
    ],
)
def test_a_version_file_travels_as_what_it_says(arguments, playbook_dir, monkeypatch, name, version):
    monkeypatch.setenv("HOME", playbook_dir)
    os.makedirs(os.path.join(playbook_dir, "files", "root"))
    for path, text in (
        (".terraform-version", "1.10\n"),
        ("files/pinned", "1.9.8\n"),
        ("files/root/main.tf", 'terraform {\n  required_version = "~> 1.9"\n}\n'),
    ):
        with open(os.path.join(playbook_dir, path), "w") as file:
            file.write(text)
    if name == "{dir}/pinned":
        os.rename(os.path.join(playbook_dir, "files", "pinned"), os.path.join(playbook_dir, "pinned"))
    if name == "{dir}/root":
        os.rename(os.path.join(playbook_dir, "files", "root"), os.path.join(playbook_dir, "root"))
    assert arguments(version=None, version_file=name.format(dir=playbook_dir)) == {"version": version}


def test_a_version_file_that_is_not_there(arguments):
    message = refusal(arguments, version=None, version_file="nowhere")
    assert (
        "version_file: 'nowhere' is neither a file nor a folder" in message
        and "not in the working directory" in message
    )


def test_a_version_file_that_says_nothing(arguments):
    assert "there is no version in" in refusal(arguments, version=None, version_file="empty")


def test_version_and_version_file_exclude_each_other(arguments):
    assert "both version and version_file are given" in refusal(arguments, version="1.13.4", version_file="empty")


def test_an_armored_text_is_one_key_whatever_commas_are_in_it(arguments):
    commented = PUBLIC.replace("\n\n", "\nComment: a, b\n\n")
    assert arguments(trusted_keys=commented)["trusted_keys"] == [commented]


@pytest.mark.parametrize("given", [PUBLIC, [PUBLIC], "\n%s\n" % PUBLIC])
def test_armored_keys_travel_as_they_are(arguments, given):
    assert arguments(trusted_keys=given)["trusted_keys"] == [PUBLIC]


@pytest.mark.parametrize("name", ["beside.asc", "found.asc", "files/found.asc", "{dir}/beside.asc", " beside.asc "])
def test_a_key_file_travels_as_its_text(arguments, playbook_dir, name):
    assert arguments(trusted_keys=[name.format(dir=playbook_dir)])["trusted_keys"] == [PUBLIC]


def test_a_key_file_in_the_home_directory(arguments, playbook_dir, monkeypatch):
    monkeypatch.setenv("HOME", playbook_dir)
    assert arguments(trusted_keys="~/beside.asc")["trusted_keys"] == [PUBLIC]


def test_several_keys_however_they_are_written(arguments):
    assert arguments(trusted_keys="beside.asc, found.asc")["trusted_keys"] == [PUBLIC, PUBLIC]
    assert arguments(trusted_keys=["beside.asc", "", None, PUBLIC])["trusted_keys"] == [PUBLIC, PUBLIC]


@pytest.mark.parametrize("name", ["private.asc", "both.asc", "pem.asc", "plain", "empty", "binary.gpg"])
def test_a_file_that_is_no_public_key_stays_here(arguments, name):
    message = refusal(arguments, trusted_keys=[name])
    assert name in message and "not an armored OpenPGP key" in message


@pytest.mark.parametrize(
    "text",
    [
        PRIVATE,
        PUBLIC + PRIVATE,
        "-----BEGIN RSA PRIVATE KEY-----\nSECRET\n",
        "SECRET\nSECRET",
        "-----BEGIN PGP PRIVATE KEY BLOCK----- SECRET",
    ],
)
def test_a_text_that_is_no_public_key_stays_here_and_is_not_shown(arguments, text):
    assert "not an armored OpenPGP key" in refusal(arguments, trusted_keys=[text])


def test_a_key_file_that_is_not_there(arguments):
    message = refusal(arguments, trusted_keys=["missing.asc"])
    assert "'missing.asc' is neither an armored key nor a file on the controller" in message
    assert "not in the working directory" in message


def test_a_huge_key_file(arguments):
    assert "larger than" in refusal(arguments, trusted_keys=["huge.asc"])


def test_a_folder_is_no_key_file(arguments, playbook_dir):
    assert "trusted_keys: " in refusal(arguments, trusted_keys=[playbook_dir])


@pytest.mark.parametrize("site", ["https://user:SECRET@host/x", "https://host/?token=SECRET", "ftp://host", "nonsense"])
def test_sites_are_validated_before_the_module_logs_them(arguments, site):
    for given in ([site], site, ["https://good.example", site], "https://good.example, " + site):
        assert "sites: " in refusal(arguments, sites=given)


@pytest.mark.parametrize("sites", [5, {"https://good.example": 1}, True])
def test_sites_that_are_no_list(arguments, sites):
    assert "sites: " in refusal(arguments, sites=sites)


def test_sites_travel_as_they_were_written(arguments):
    for given in ("https://one.example,https://two.example", ["https://one.example"]):
        assert arguments(sites=given)["sites"] == given


@pytest.fixture(params=["url_headers", "headers"])
def validated_headers(request):
    """What becomes of headers when the controller validates them: callable(headers) -> dict."""
    return lambda given: terraform_binary.validate_arguments(
        {"version": "1.13.4", request.param: given}, _argument_spec.SPEC
    )["url_headers"]


HEADERS = {"X-Team": "opt", "X-Api-Key": "h34der-of-alice"}


@pytest.mark.parametrize("given", [HEADERS, "X-Team=opt X-Api-Key=h34der-of-alice"])
def test_headers_are_validated_whole(validated_headers, given):
    assert validated_headers(given) == HEADERS


def test_a_short_value_of_a_header_is_no_secret_to_core(validated_headers):
    """ansible-core 2.22 and later mask what they take for one in all that the play shows, paths with it inside too."""
    secrets = pytest.importorskip("ansible.module_utils.secrets")
    validated_headers(HEADERS)
    assert secrets.mask_secrets("/opt/h34der-of-alice") == "/opt/$REDACTED$"


# files of the controller

FILES = ("ca_path", "client_cert", "client_key")


@pytest.mark.parametrize("option", FILES)
@pytest.mark.parametrize("download", [None, "controller"])
def test_certificates_are_found_beside_the_playbook(arguments, playbook_dir, option, download, monkeypatch):
    monkeypatch.setenv("HOME", playbook_dir)
    monkeypatch.chdir("/")
    for name in ("plain", "found.asc", "files/found.asc", "~/plain", "%s/plain" % playbook_dir, " plain ", "files"):
        found = arguments(**{option: name, "download": download})[option]
        assert os.path.isabs(found) and os.path.exists(found) and found.startswith(playbook_dir)


@pytest.mark.parametrize("option", FILES)
def test_certificates_of_a_target_stay_as_they_are(arguments, option):
    assert arguments(**{option: "plain", "download": "target"})[option] == "plain"


@pytest.mark.parametrize("option", FILES)
def test_certificates_that_are_not_there(arguments, option):
    message = refusal(arguments, **{option: "missing.pem"})
    assert "%s: 'missing.pem' is neither a file nor a folder on the controller" % option in message
    assert "not in the working directory" in message
    assert arguments(**{option: "/missing.pem"})[option] == "/missing.pem"  # whoever reads it says why it cannot


@pytest.mark.parametrize("option", FILES)
def test_what_ansible_vault_encrypted_is_read_from_a_plain_copy(arguments, playbook_dir, option):
    encrypt(playbook_dir + "/files/locked.pem", "the text")
    found = arguments(**{option: "locked.pem"})[option]
    with open(found, encoding="ascii") as file:
        assert file.read() == "the text" and not found.startswith(playbook_dir)
    assert os.stat(found).st_mode & 0o77 == 0


def test_a_plain_copy_goes_with_the_task(arguments, playbook_dir, monkeypatch):
    encrypt(playbook_dir + "/locked.pem", "the text")
    made = []
    real = terraform_binary.ActionModule._arguments
    monkeypatch.setattr(
        terraform_binary.ActionModule, "_arguments", lambda self, *given: made.append(self) or real(self, *given)
    )
    found = arguments(client_key="locked.pem")["client_key"]
    monkeypatch.setattr(terraform_binary.ActionBase, "cleanup", lambda self, force: None)
    made[0].cleanup()
    assert not os.path.exists(found)


def test_a_key_file_that_ansible_vault_encrypted(arguments, playbook_dir):
    encrypt(playbook_dir + "/files/locked.asc", PUBLIC)
    assert arguments(trusted_keys=["locked.asc"])["trusted_keys"] == [PUBLIC]


@pytest.mark.parametrize("option", FILES + ("trusted_keys",))
def test_what_cannot_be_decrypted_is_named(arguments, playbook_dir, option):
    encrypt(playbook_dir + "/locked", "SECRET", [("default", VaultSecret(b"another one"))])
    message = refusal(arguments, **{option: ["locked"] if option == "trusted_keys" else "locked"})
    assert (
        "%s/locked is encrypted by ansible-vault, and is not decrypted: " % playbook_dir in message
        and "--vault-id" in message
    )


def test_an_encrypted_text_is_no_key(arguments):
    message = refusal(arguments, trusted_keys=["$ANSIBLE_VAULT;1.1;AES256\n6162"])
    assert "trusted_keys: an entry is text that ansible-vault encrypted; write !vault before it" in message


@pytest.mark.parametrize("option", FILES)
def test_the_text_of_a_key_is_not_taken_for_a_path_and_not_shown(arguments, option):
    text = "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"
    with pytest.raises(_errors.RequestError) as caught:
        terraform_binary.parse_download_request(
            terraform_binary.validate_arguments(arguments(**{option: text}), _argument_spec.SPEC), None
        )
    assert "%s is the text of a key or certificate" % option in str(caught.value) and "SECRET" not in str(caught.value)


@pytest.mark.parametrize("made_before", [False, True])
def test_nothing_is_sent_to_an_odd_directory_whoever_had_it_made(made_before):
    """Without pipelining, ansible-core has made one for the module before an archive is sent."""

    class Shell:
        tmpdir = "/tmp/a\n!touch x" if made_before else None

    class Connection:
        transport = "ssh"
        _shell = Shell()

    action = terraform_binary.ActionModule(
        task=Task(),
        connection=Connection(),
        play_context=None,
        loader=DataLoader(),
        templar=None,
        shared_loader_obj=None,
    )
    action._make_tmp_path = lambda: setattr(Shell, "tmpdir", "/tmp/a\n!touch x")
    provenance = _records.Provenance("pinned", "terraform_1.13.4_linux_amd64.zip", "0" * 64, None, None, None, 0)
    with pytest.raises(gate.AnswerError, match="its temporary directory is"):
        action._bring("/nowhere", release.StagedRelease("/nowhere", {}, provenance, 0))


@pytest.mark.parametrize("option", ["ca_path", "client_cert", "client_key", "trusted_keys"])
def test_a_device_or_pipe_is_not_waited_for(arguments, option):
    value = os.devnull if option != "trusted_keys" else [os.devnull]
    assert "%s: read /dev/null: not a regular file" % option in refusal(arguments, **{option: value})


@pytest.fixture
def action(playbook_dir):
    loader = DataLoader()
    loader.set_basedir(playbook_dir)
    made = terraform_binary.ActionModule(
        task=Task(), connection=None, play_context=None, loader=loader, templar=None, shared_loader_obj=None
    )
    made._task_vars = {"inventory_hostname": "web1"}
    return made


def test_no_part_of_a_secret_is_left_where_a_message_is_cut(action):
    token = "Qx7Lm2Vz9Kt4Rw8Yp3Bn6Hc1Jd5Fg0Ts"
    action._secrets = (token,)
    for padding in range(150, 420, 7):
        text = "a" * padding + token + "b" * 400
        for reported in (
            action._failure(_errors.FetchError(text, hint=token)),
            action._named({"msg": text, "error": {"side": "target", "host": None, "hint": None}}),
        ):
            assert (
                len(reported["msg"]) <= _errors.MESSAGE_LIMIT
                and token[:6] not in str(reported)
                and token[-6:] not in str(reported)
            )


def test_no_guess_of_a_platform_hides_what_is_installed(action, monkeypatch):
    """The controller's platform has a newer version than the host's, whose installed one is in doubt: a restored store."""
    installed, planned = "1.12.0", []

    def plan(sent):
        planned.append(sent["version"])
        known = order_of(installed) >= order_of(sent["version"])  # what is older is not looked at closely
        return types.SimpleNamespace(
            failed=False, version=sent["version"], platform="linux_386", intact_versions=(installed,) if known else ()
        )

    listing = {"1.9.8": {"linux_386", "linux_amd64"}, "1.13.4": {"linux_amd64"}}
    monkeypatch.setattr(action, "_plan", plan)
    monkeypatch.setattr(terraform_binary, "detect_platform", lambda *machine: "linux_amd64")
    params = {name: spec.get("default") for name, spec in _argument_spec.SPEC.items()}
    order = parse.parse_download_request(dict(params, version="latest", sites=["https://mirror.example"]), None)
    found, _description = action._chosen(order, types.SimpleNamespace(listing=lambda site: listing), {})
    assert found.version == installed and planned[0] == "1.13.4", planned
