# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' argument specs. Generated from the modules' documentation by .ci/options.py: do not edit."""

from typing import Any, Dict

SPEC: Dict[str, Dict[str, Any]] = {
    "version": {"type": "str"},
    "version_file": {"type": "str"},
    "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    "checksum_policy": {"type": "str", "default": "signature", "choices": ["signature", "sha256sums", "pinned"]},
    "checksum": {"type": "str"},
    "trusted_keys": {"type": "list", "elements": "str", "no_log": False},
    "sites": {"type": "list", "elements": "str", "default": ["https://releases.hashicorp.com"]},
    "download": {"type": "str", "default": "controller", "choices": ["controller", "target"]},
    "archive": {"type": "path"},
    "origin": {"type": "str"},
    "platform": {"type": "str"},
    "offline_ok": {"type": "bool", "default": False},
    "link": {"type": "path"},
    "link_force": {"type": "bool", "default": False},
    "backup": {"type": "bool", "default": False},
    "allow_downgrade": {"type": "bool", "default": True},
    "adopt": {"type": "bool", "default": False},
    "keep": {"type": "int"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "raw", "default": "0755"},
    "seuser": {"type": "str"},
    "serole": {"type": "str"},
    "setype": {"type": "str"},
    "selevel": {"type": "str"},
    "verify": {"type": "str", "default": "full", "choices": ["full", "receipt"]},
    "run_check": {"type": "bool", "default": True},
    "url_username": {"type": "str"},
    "url_password": {"type": "str", "no_log": True},
    "url_token": {"type": "str", "no_log": True},
    "url_headers": {"type": "dict", "aliases": ["headers"], "no_log": True},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "validate_certs": {"type": "bool", "default": True},
    "use_proxy": {"type": "bool", "default": True},
    "http_agent": {"type": "str", "default": "iac_platform.terraform/0.1.0"},
    "timeout": {"type": "int", "default": 30},
    "retries": {"type": "int", "default": 4},
    "lock_timeout": {"type": "int", "default": 2000},
    "cache_dir": {"type": "path"},
    "cache_keep": {"type": "int", "default": 3},
    "progress": {"type": "bool", "default": True},
    "base_dir": {"type": "path", "default": "/opt/iac-platform/terraform-binaries"},
    "allow_unsafe_base_dir": {"type": "bool", "default": False},
}

# What a target may see while the controller downloads.
TO_TARGET = frozenset([
    "adopt", "allow_downgrade", "allow_unsafe_base_dir", "archive", "backup", "base_dir", "checksum", "checksum_policy",
    "download", "group", "keep", "link", "link_force", "lock_timeout", "mode", "origin", "owner", "platform", "retries",
    "run_check", "selevel", "serole", "setype", "seuser", "sites", "state", "timeout", "trusted_keys", "verify",
    "version",
])

INFO_SPEC: Dict[str, Dict[str, Any]] = {
    "base_dir": {"type": "path", "default": "/opt/iac-platform/terraform-binaries"},
    "links": {"type": "list", "elements": "path", "default": []},
    "owner": {"type": "str"},
    "verify": {"type": "str", "default": "receipt", "choices": ["receipt", "full"]},
}
