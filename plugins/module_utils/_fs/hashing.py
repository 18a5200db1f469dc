# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 of an open file: two files with the same hash count as the same."""

import hashlib
import os

CHUNK = 1 << 20  # bytes


def hash_of(fd: int) -> str:
    """Return the SHA-256 of all bytes of an open file, in lower-case hex. The file's offset is not used or moved.

    Raises OSError.
    """
    digest = hashlib.sha256()
    offset = 0
    while True:
        data = os.pread(fd, CHUNK, offset)
        if not data:
            return digest.hexdigest()
        digest.update(data)
        offset += len(data)
