# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to install a package for the Python that runs Ansible: it depends on how that was installed."""

import os
import sys


def how_to_install(package: str) -> str:
    """Return an instruction for installing a package for the Python that runs Ansible: str.

    :param package: str, its name on the package index; Linux distributions call it ``python3-`` and that name.
    """
    name = os.path.basename(sys.prefix)
    if os.path.exists(os.path.join(sys.prefix, "pipx_metadata.json")):  # pipx writes this file
        return "pipx inject %s %s" % (name, package)
    if os.path.exists(os.path.join(sys.prefix, "uv-receipt.toml")):  # uv writes this file for its tools
        return "uv tool install --with %s %s" % (package, name)
    by_pip = "%s -m pip install %s" % (sys.executable, package)
    if sys.prefix != sys.base_prefix:
        return by_pip
    return "install python3-%s (dnf, apt), or %s" % (package, by_pip)
