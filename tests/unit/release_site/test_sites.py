# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site as a world: what is published, by whom, and how it misbehaves."""

import hashlib
import json
import os

import pytest
from support.web import get_url

pytest.importorskip("release_site")

from release_site import Site, misbehaviours
from release_site.misbehaviours import status, truncate


def listed(site):
    return list(json.loads(site.files["terraform/index.json"].body)["versions"])


def test_what_is_there(site, signing_key):
    names = [path for path in site.files if path.startswith("terraform/1.13.4/")]
    assert sorted(names) == sorted(
        "terraform/1.13.4/" + name
        for name in (
            "index.json",
            "terraform_1.13.4_SHA256SUMS",
            "terraform_1.13.4_SHA256SUMS.sig",
            "terraform_1.13.4_SHA256SUMS.%s.sig" % signing_key.key_id,
            "terraform_1.13.4_darwin_arm64.zip",
            "terraform_1.13.4_linux_amd64.zip",
            "terraform_1.13.4_linux_arm64.zip",
            "terraform_1.13.4_windows_amd64.zip",
        )
    )
    assert listed(site) == ["1.13.3", "1.13.4", "1.9.8"]


def test_everything_is_right(site, signing_key):
    for version in ("1.9.8", "1.13.3", "1.13.4"):
        folder = "terraform/%s/" % version
        sums = site.files[folder + "terraform_%s_SHA256SUMS" % version].body
        for line in sums.decode().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256(site.files[folder + name].body).hexdigest() == digest
        assert site.files[folder + "terraform_%s_SHA256SUMS.sig" % version].body == signing_key.sign(sums)
        assert site.release(version).digest("linux_amd64") in sums.decode()


def test_publish_another_archive(site, signing_key):
    release = site.publish("1.13.4", archives={"linux_amd64": b"odd"})
    assert site.files["terraform/1.13.4/terraform_1.13.4_linux_amd64.zip"].body == b"odd"
    assert hashlib.sha256(b"odd").hexdigest() in release.sums.decode()
    assert release.signatures["terraform_1.13.4_SHA256SUMS.sig"] == signing_key.sign(release.sums)
    assert len(release.archives) == 4


def test_publish_other_sums(site, signing_key):
    site.publish("1.13.4", sums=b"nothing\n")
    assert site.files["terraform/1.13.4/terraform_1.13.4_SHA256SUMS"].body == b"nothing\n"
    assert site.files["terraform/1.13.4/terraform_1.13.4_SHA256SUMS.sig"].body == signing_key.sign(b"nothing\n")


def test_publish_with_another_signature(site, signing_key, untrusted_key):
    def signatures():
        return {
            path.rpartition("SHA256SUMS")[2]: document.body
            for path, document in site.files.items()
            if path.startswith("terraform/1.13.4/") and path.endswith(".sig")
        }

    site.publish("1.13.4", signature=b"mine")
    assert signatures() == {".sig": b"mine", ".%s.sig" % signing_key.key_id: b"mine"}
    site.publish("1.13.4", signature=None)
    assert signatures() == {}
    release = site.publish("1.13.4", key=untrusted_key)
    assert signatures() == {
        name: untrusted_key.sign(release.sums) for name in (".sig", ".%s.sig" % untrusted_key.key_id)
    }


def test_publish_without_listing(site):
    site.publish("1.14.0", listed=False)
    assert "1.14.0" not in listed(site)
    assert "terraform/1.14.0/index.json" in site.files


def test_publish_other_platforms_and_names(site):
    release = site.publish("1.14.0", platforms=["linux_s390x"], names={"linux_s390x": "odd-name.zip"})
    assert list(release.archives) == ["linux_s390x"]
    assert "terraform/1.14.0/odd-name.zip" in site.files
    assert b"  odd-name.zip\n" in release.sums


def test_publish_refuses_what_it_does_not_know(site):
    with pytest.raises(ValueError, match="platform plan9_mips"):
        site.publish("1.14.0", platforms=["plan9_mips"])
    with pytest.raises(ValueError, match="shape"):
        site.publish("1.14.0", shape="round")


def test_withdraw(site):
    site.withdraw("1.13.4")
    assert listed(site) == ["1.13.3", "1.9.8"]
    assert not [path for path in site.files if "1.13.4" in path]
    site.withdraw("9.9.9")
    with pytest.raises(KeyError):
        site.release("1.13.4")


def test_write(site, tmp_path):
    site.write(str(tmp_path))
    written = {str(file.relative_to(tmp_path)): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert written.pop("key.asc") == site.key.armored.encode()
    assert written == {path: document.body for path, document in site.files.items()}


def test_put_folder(site, signing_key, tmp_path):
    site.write(str(tmp_path))
    copy = Site(key=signing_key)
    copy.put_folder(str(tmp_path))
    copy.files.pop("key.asc")
    assert copy.files == site.files


def test_rules_in_order_and_by_number(site, ask, whole):
    site.misbehave("*.zip", status(503), times=2)
    site.misbehave("*.zip", truncate(at=4), times=1)
    assert [ask().status for _time in range(2)] == [503, 503]
    assert ask().body == whole[:4]
    assert ask().body == whole
    assert [request.behaviour for request in site.requests] == ["status", "status", "truncate", "honest"]


def test_rules_are_for_their_paths(site, ask):
    site.misbehave("*_SHA256SUMS", status(500))
    site.misbehave("terraform/index.json", status(501))
    site.misbehave("/terraform/1.9.8/*", status(502))
    assert ask("/terraform/1.13.4/terraform_1.13.4_SHA256SUMS").status == 500
    assert ask("/terraform/1.13.4/terraform_1.13.4_SHA256SUMS.sig").status == 200
    assert ask("/terraform/index.json").status == 501
    assert ask("/terraform/1.13.4/index.json").status == 200
    assert ask("/terraform/1.9.8/index.json").status == 502


def test_behave(site, ask):
    site.misbehave("*", status(500))
    assert ask().status == 500
    site.behave()
    assert ask().status == 200


def test_every_behaviour_is_tested():
    folder = os.path.dirname(__file__)
    tests = ""
    for name in os.listdir(folder):
        if name.startswith("test_"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                tests += file.read()
    assert len(misbehaviours.__all__) >= 40
    assert [name for name in misbehaviours.__all__ if "def test_%s" % name not in tests] == []
    public = [name for name, value in vars(misbehaviours).items() if callable(value)]
    assert sorted(public) == misbehaviours.__all__


def test_say(signing_key):
    said = []
    with Site(("1.13.4",), key=signing_key, log=said.append) as site:
        get_url(site.url + "/terraform/index.json").read()
    assert said == site.requests and said[0].status == 200


def test_genuine_release(genuine_site, signing_key):
    site = Site(key=signing_key)
    site.put_folder(genuine_site)
    sums = site.files["terraform/1.11.4/terraform_1.11.4_SHA256SUMS"].body.decode()
    archive = site.files["terraform/1.11.4/terraform_1.11.4_linux_amd64.zip"].body
    assert "%s  terraform_1.11.4_linux_amd64.zip\n" % hashlib.sha256(archive).hexdigest() in sums
