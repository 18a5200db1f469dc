# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of AWX share. Their helpers are beside this file, and beside the tests of playbooks."""

import os
import sys

import pytest

_HERE = os.path.dirname(os.path.abspath(__file__))

for _folder in (_HERE, os.path.join(os.path.dirname(_HERE), "playbooks")):
    if _folder not in sys.path:
        sys.path.insert(0, _folder)

_CHECKOUT = os.path.dirname(os.path.dirname(_HERE))
_PLACE = os.path.join("ansible_collections", "iac_platform", "terraform")


@pytest.fixture(scope="session")
def checkout_as_collection(tmp_path_factory):
    """A folder that presents this checkout as the collection: the one it lies in, else one with a link to it."""
    if _CHECKOUT.endswith(os.sep + _PLACE):
        return _CHECKOUT[:-len(_PLACE) - 1]
    folder = tmp_path_factory.mktemp("collections")
    link = folder / _PLACE
    link.parent.mkdir(parents=True)
    link.symlink_to(_CHECKOUT)
    return str(folder)
