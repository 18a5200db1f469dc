# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hypothesis, set to the number of examples that a run gives each property; without it, who imports this is skipped.

Tests that have no properties do not wait for it: importing hypothesis takes most of the time that pytest needs to start.
"""

import pytest
from support import tiers

hypothesis = pytest.importorskip("hypothesis")
hypothesis.settings.register_profile(
    "tiers", max_examples=tiers.EXAMPLES, deadline=None, database=None, derandomize=not tiers.FULL, print_blob=True
)
hypothesis.settings.load_profile("tiers")
