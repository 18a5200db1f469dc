# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The naive installer: make the directory, copy, set the mode, and trust every step. As many downloaders do it.

It is what the sweeps are held against: a sweep that finds nothing wrong with it looks at nothing.
"""

import os
import shutil
import zipfile


def install(host, archive, version, link=None, **_ignored):
    """What the module would return: ``changed``, or ``failed`` with a text."""
    binary = host.binary(version)
    try:
        changed = not os.access(binary, os.X_OK)
        if changed:
            os.makedirs(os.path.dirname(binary), exist_ok=True)
            with zipfile.ZipFile(archive) as packed, packed.open("terraform") as source, open(binary, "wb") as copy:
                shutil.copyfileobj(source, copy)
            os.chmod(binary, 0o755)
        if link and not (os.path.islink(link) and os.readlink(link) == binary):
            os.makedirs(os.path.dirname(link), exist_ok=True)
            if os.path.lexists(link):
                os.unlink(link)
            os.symlink(binary, link)
            changed = True
    except OSError as exc:
        return {"failed": True, "changed": False, "msg": "failed to install: %s" % exc.strerror}
    return {"changed": changed}
