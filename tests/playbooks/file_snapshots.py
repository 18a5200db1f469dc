# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies below a directory, and what can happen to it."""

import hashlib
import os
import stat
from typing import NamedTuple


class Entry(NamedTuple):
    """All that a run which changes nothing leaves as it was."""

    mode: str  # as in ls -l, the kind included
    owner: int
    inode: int
    mtime_ns: int
    content: str  # SHA-256 of a file, target of a link


def look(folder):
    """dict of relative path and Entry of all below a folder, which itself is ``.``; empty when there is none."""
    found = {}
    if os.path.lexists(folder):
        found["."] = _entry(folder)
    for parent, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(parent, name)
            found[os.path.relpath(path, folder)] = _entry(path)
    return found


def names(folder):
    """The sorted relative paths of all below a folder, directories with a slash behind; [] when there is nothing."""
    return sorted(path + "/" * entry.mode.startswith("d") for path, entry in look(folder).items() if path != ".")


def _entry(path):
    status = os.lstat(path)
    content = ""
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        content = hash_of(path)
    return Entry(stat.filemode(status.st_mode), status.st_uid, status.st_ino, status.st_mtime_ns, content)


def hash_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def flip_a_bit(path):
    """As a fault of the disk would: same size, mode and times."""
    before = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(before.st_size // 2)
        byte = file.read(1)[0]
        file.seek(before.st_size // 2)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncate(path):
    os.truncate(path, os.path.getsize(path) // 2)


def empty(path):
    os.truncate(path, 0)


def take_execution(path):
    os.chmod(path, 0o644)


def replace_by_link(path):
    """The right bytes, reached by a symbolic link that somebody may point elsewhere later."""
    aside = path + ".aside"
    os.rename(path, aside)
    os.symlink(aside, path)


def break_receipt(path):
    with open(os.path.join(os.path.dirname(path), "terraform.json"), "w", encoding="ascii") as file:
        file.write('{"format": 1, "prod')


def delete_receipt(path):
    os.unlink(os.path.join(os.path.dirname(path), "terraform.json"))


# What can happen to the binary at a path: name and callable(path).
DAMAGES = {
    "bit-flipped": flip_a_bit,
    "truncated": truncate,
    "emptied": empty,
    "mode-changed": take_execution,
    "deleted": os.unlink,
    "receipt-broken": break_receipt,
    "receipt-deleted": delete_receipt,
    "replaced-by-a-link": replace_by_link,
}
