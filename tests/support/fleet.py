# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers for tests of the audit: what hosts registered, honest and damaged, as many as one likes."""

import copy

DIGEST = "0123456789abcdef" * 4
BASE = "/opt/store"


def version(number, **fields):
    """One installed version, as terraform_binary_info returns it."""
    found = {
        "version": number,
        "path": "%s/%s/terraform" % (BASE, number),
        "intact": True,
        "reason": None,
        "sha256": DIGEST,
        "size": 90579096,
        "mode": "0755",
        "owner": "root",
        "group": "root",
        "platform": "linux_amd64",
        "policy": "signature",
        "signer": "C874011F0AB405110D02105534365D9472D7468F",
        "signed_at": "2025-04-09T13:35:39Z",
        "archive_sha256": DIGEST,
        "site": "https://releases.hashicorp.com",
        "run_check": number,
        "installed_at": "2025-11-30T09:55:00Z",
        "collection": "0.1.0",
        "receipt": {
            "path": "%s/%s/terraform.json" % (BASE, number),
            "format": 1,
            "sha256": DIGEST,
            "size": 90579096,
            "links": ["/usr/local/bin/terraform"],
            "base_dir_unsafe": [],
        },
    }
    return dict(found, **fields)


def damaged(number):
    """A version whose binary is gone."""
    return version(
        number, intact=False, sha256=None, size=None, mode=None, owner=None, group=None, reason="it is missing"
    )


def link(number, **fields):
    """The link to a version."""
    found = {
        "path": "/usr/local/bin/terraform",
        "kind": "link",
        "target": "%s/%s/terraform" % (BASE, number),
        "version": number,
        "below_base_dir": True,
        "dangling": False,
        "safe": True,
        "reason": None,
    }
    return dict(found, **fields)


def info(*versions, **fields):
    """A result of terraform_binary_info."""
    found = {
        "changed": False,
        "msg": "some versions",
        "base_dir": BASE,
        "base_dir_state": "present",
        "base_dir_safe": True,
        "base_dir_reason": None,
        "versions": list(copy.deepcopy(versions)),
        "unmanaged": [],
        "stale_files": [],
        "locks": [],
        "not_listed": 0,
        "links": [],
    }
    return dict(found, **fields)


def right(number="1.13.4"):
    """A result of terraform_binary in check mode that finds nothing to do."""
    return {"changed": False, "failed": False, "msg": "Terraform %s is right" % number, "requested": number}


def fleet(count):
    """Answers of many hosts, of which every tenth has something wrong."""
    found = {}
    for number in range(count):
        new, old = version("1.13.4"), version("1.12.%d" % (number % 3))
        answer = info(new, old, links=[link("1.13.4" if number % 4 else old["version"])])
        drift = right()
        if number % 10 == 1:
            answer["versions"][1] = damaged(old["version"])
        if number % 10 == 2:
            drift = dict(right(), changed=True, msg="Terraform 1.13.4 would be installed at %s" % new["path"])
        if number % 50 == 3:
            answer = {"unreachable": True, "msg": "Failed to connect to the host via ssh: no route"}
        if number % 10 == 4:
            answer["unmanaged"] = [{"path": BASE + "/notes.txt", "reason": "a regular file of 12 bytes"}]
        found["web%04d.example.com" % number] = (answer, drift)
    return found
