# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make demo` shows: install, install again, damage, heal.

Usage: python tests/demo/run.py FOLDER

Everything but the release is real: the shipped playbook, ansible-playbook, HTTP, the signature check. The releases come
from a site on this machine, signed with a key that is made on the spot. Each claim on the screen is checked; the first
that does not hold ends the demonstration with status 1.
"""

import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from release_site import Site  # noqa
