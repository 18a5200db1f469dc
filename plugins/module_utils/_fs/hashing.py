# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 of an open file: two files with the same hash count as the same."""

import hashlib
import os
from typing import Iterator

CHUNK = 1 << 20  # bytes


def hash_of(fd: int) -> str:
    """Return the SHA-256 of all bytes of an open file, in lower-case hex. The file's offset is not used or moved.

    Raises OSError.
    """
    digest = hashlib.sha256()
    for data in blocks_of(fd):
        digest.update(data)
    return digest.hexdigest()


def blocks_of(fd: int) -> Iterator[bytes]:
    """Yield the bytes of an open file from its beginning. The file's offset is not used or moved.

    It ends, even if another process appends faster than it reads: of a file that grows, it yields one block more than
    the file had at first, so that nobody takes the beginning for the whole.

    :raises OSError:
    """
    offset, size = 0, os.fstat(fd).st_size
    while offset <= size:
        data = os.pread(fd, CHUNK, offset)
        if not data:
            return
        yield data
        offset += len(data)
