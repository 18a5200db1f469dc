# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The genuine release 1.11.4, where this machine has what it is made of."""

import fcntl
import os
import subprocess


class LayOutError(Exception):
    """It is there, and could not be laid out."""


def lay_out(genuine, folder):
    """Lay the genuine release out like the site, in a folder that keeps it for the next time.

    :param genuine: str, the folder of genuine release data, or None.
    :param folder: str, made if it is not there.
    :returns: None, or a line that says what this machine lacks for it.
    :raises LayOutError: it could not be made.
    """
    script = os.path.join(genuine or "", "make-release.sh")
    if not os.path.isfile(script):
        return "no %s" % script
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # tests run side by side; the script leaves alone what is there and right
        made = subprocess.run(["bash", script, folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    said = made.stdout.decode("utf-8", "replace").strip()
    if made.returncode == 77:
        return "make-release.sh: %s" % said
    if made.returncode:
        raise LayOutError(said)
    return None
