# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of an execution environment as a real image: built by ansible-builder, with Terraform baked in, and run.

Needs root, buildah, podman, mmdebstrap and the long form. The image that it is made on is a Debian with its ansible-core, kept
as the file that TERRAFORM_BINARY_EE_BASE names. Engines keep their images in a folder of this test.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from jobs import BIN

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
VERSION, TAG, BASE = "1.11.4", "localhost/terraform-ee:test", "localhost/terraform-ee-base:test"
PACKAGES = "python3,ca-certificates,ansible-core,python3-requests,python3-pip"
# For machines that are containers themselves: no cgroups to manage, no limits to raise, the network as it is.
CONTAINERS = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
cgroups = "disabled"
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "%s/graph"\nrunroot = "%s/run"\n'
IN_ITS_OWN_MOUNTS = [
    "unshare",
    "-m",
    "sh",
    "-c",
    'umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"',
    "sh",
]
pytestmark = [
    pytest.mark.skipif(not os.environ.get("TERRAFORM_BINARY_MATRIX"), reason="the long form: make matrix"),
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "podman", "mmdebstrap", "unshare"))),
        reason="an image takes root, buildah, podman and mmdebstrap",
    ),
    pytest.mark.skipif(not os.path.exists(os.path.join(BIN, "ansible-builder")), reason="there is no ansible-builder"),
]


class Engine:
    """podman and what calls it, with images in a folder of its own."""

    def __init__(self, folder):
        for name, text in (("containers.conf", CONTAINERS), ("storage.conf", STORAGE % (folder, folder))):
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write(text)
        self._environment = dict(
            os.environ,
            CONTAINERS_CONF=folder + "/containers.conf",
            CONTAINERS_STORAGE_CONF=folder + "/storage.conf",
            PATH="%s:%s" % (BIN, os.environ["PATH"]),
        )

    def __call__(self, *command, cwd=None):
        """What a command prints; its return code has to be 0."""
        done = subprocess.run(
            IN_ITS_OWN_MOUNTS + list(command),
            env=self._environment,
            cwd=cwd,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def run(self, *command, user=None):
        """What a command prints in a container."""
        options = ["--user", user] if user else []
        return self("podman", "run", "--rm", "--network", "none", *options, TAG, *command)


def _base(folder):
    """The tar file of a Debian with ansible-core, made once where a place for it is named."""
    path = os.environ.get("TERRAFORM_BINARY_EE_BASE") or os.path.join(folder, "base.tar")
    if not os.path.exists(path):
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--include=" + PACKAGES, "trixie", path + ".new"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if made.returncode:
            pytest.skip("mmdebstrap: %s" % made.stdout.decode("utf-8", "replace").strip()[-300:])
        os.rename(path + ".new", path)
    return path


@pytest.fixture(scope="module")
def engine(folder, genuine_site):
    """The Engine, with the image built: the example, but with the collection of this checkout and a site on this machine."""
    from release_site import Site

    engine = Engine(folder)
    engine("podman", "import", _base(folder), BASE)
    galaxy = [os.path.join(BIN, "ansible-galaxy"), "collection", "build", CHECKOUT, "--output-path", folder]
    subprocess.run(galaxy, check=True, stdout=subprocess.DEVNULL)
    # What the stages of the builder fetch: by the pip of this machine, as it is configured here.
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--only-binary",
            ":all:",
            "--python-version",
            "3.13",
            "--dest",
            os.path.join(folder, "wheels"),
            "bindep",
            "pyyaml",
            "packaging",
            "dumb-init==1.2.5",
        ],
        check=True,
    )
    (archive,) = [name for name in os.listdir(folder) if name.endswith(".tar.gz")]
    with open(os.path.join(CHECKOUT, "execution-environment.yml"), encoding="utf-8") as file:
        example = yaml.safe_load(file)
    example["dependencies"] = {
        "galaxy": {"collections": [{"name": "collections/" + archive, "type": "file"}]},
        "exclude": {"python": ["requests"]},
    }  # the base has it
    example["additional_build_files"] = [{"src": archive, "dest": "collections"}, {"src": "wheels/*", "dest": "wheels"}]
    example["additional_build_steps"]["prepend_base"] = [
        "COPY _build/wheels /wheels",
        "ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels",
    ]
    example["build_arg_defaults"] = {"ANSIBLE_GALAXY_CLI_COLLECTION_OPTS": "--offline"}
    example["options"] = {
        "package_manager_path": "/usr/bin/apt-get",
        "skip_pip_install": True,
        "skip_ansible_check": True,
    }
    with Site() as site:
        site.put_folder(genuine_site)
        (bake,) = example["additional_build_steps"]["append_final"]
        assert "terraform_binary_version=1.13.4" in bake
        example["additional_build_steps"]["append_final"] = [
            bake.replace("=1.13.4", "=" + VERSION) + " -e terraform_binary_sites=" + site.url
        ]
        with open(os.path.join(folder, "ee.yml"), "w", encoding="utf-8") as file:
            json.dump(example, file)
        engine(
            "ansible-builder",
            "build",
            "-f",
            "ee.yml",
            "-c",
            "context",
            "--tag",
            TAG,
            "--container-runtime",
            "podman",
            "--build-arg",
            "EE_BASE_IMAGE=" + BASE,
            "--extra-build-cli-args=--isolation=chroot",
            "-v",
            "3",
            cwd=folder,
        )
    return engine


@pytest.mark.parametrize("user", [None, "1000", "45321:0"])
def test_the_terraform_that_was_baked_in_runs_as_anybody(user, engine):
    assert "Terraform v" + VERSION in engine.run("terraform", "version", user=user)


def test_the_collection_is_there_with_its_playbooks(engine):
    assert "iac_platform.terraform" in engine.run("ansible-galaxy", "collection", "list", user="0")


@pytest.mark.parametrize("user", ["0", "45321:0"])
def test_a_look_at_what_was_baked_needs_no_network(user, engine):
    output = engine.run(
        "ansible-playbook",
        "iac_platform.terraform.install_localhost",
        "--check",
        "-e",
        json.dumps(
            {"terraform_binary_version": VERSION, "terraform_binary_base_dir": "/opt/iac-platform/terraform-binaries"}
        ),
        user=user,
    )
    assert "changed=0" in output and "failed=0" in output, output
