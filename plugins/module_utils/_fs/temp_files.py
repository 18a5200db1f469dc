# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of temporary files: what is written under one of them appears under its real name by a rename, or never."""

import os
import stat
from typing import Optional, Tuple

from .directory import Directory

TEMP_PREFIX = ".tmp."


def list_temp_files(directory: Directory) -> Tuple[str, ...]:
    """Return the names of our temporary files in a directory. Raises InstallError."""
    names = (name for name in directory.names() if name.startswith(TEMP_PREFIX))
    return tuple(name for name in names if _is_file(directory.stat(name)))


def _is_file(found: Optional[os.stat_result]) -> bool:
    return found is not None and not stat.S_ISDIR(found.st_mode)
