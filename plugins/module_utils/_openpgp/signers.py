# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells by which fingerprints receipts name the trusted keys. It reads keys only if others than the built-in one are trusted."""

from typing import FrozenSet, Tuple

from .hashicorp_key import FINGERPRINT


def trusted_signers(trusted_keys: Tuple[str, ...]) -> FrozenSet[str]:
    """Return the fingerprints of the trusted keys' primary keys.

    :param trusted_keys: armored OpenPGP public keys; empty: the built-in key.
    :raises RequestError: a text is not an OpenPGP public key.
    """
    if not trusted_keys:
        return frozenset((FINGERPRINT,))
    from .verify import (
        read_keys,
    )  # takes long to import: a run that finds all in order needs no more than a fingerprint

    return frozenset(key.fingerprint for key in read_keys(trusted_keys))
