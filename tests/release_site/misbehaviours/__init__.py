# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong between a client and a site, each as a function that makes a behaviour.

A behaviour is a callable that takes an Exchange and answers it. ``site.misbehave("*.zip", truncate(at=1000))`` switches
one on. A new one needs a function in the module it belongs to, its name in ``__all__`` here, and a test of that name.
"""

from .answers import (
    announce,
    delay,
    demand,
    early_hints,
    empty,
    html_200,
    redirect,
    redirect_chain,
    redirect_loop,
    retry_later,
    status,
    swap,
    two_lengths,
)
from .bodies import (
    chunk,
    chunk_cut,
    chunk_nonsense,
    chunk_with_length,
    endless_body,
    flip,
    gzip,
    no_length,
    overlong,
    replace,
    truncate,
)
from .connections import (
    close_before_reply,
    endless_headers,
    garbage_status,
    long_header,
    reset,
    slow_head,
    stall,
    trickle,
)
from .ranges import (
    changing_etag,
    no_etag,
    range_ignored,
    range_other_etag,
    range_refused,
    range_unasked,
    range_without_header,
    range_wrong_start,
    range_wrong_total,
    weak_etag,
)

__all__ = [
    "announce",
    "changing_etag",
    "chunk",
    "chunk_cut",
    "chunk_nonsense",
    "chunk_with_length",
    "close_before_reply",
    "delay",
    "demand",
    "early_hints",
    "empty",
    "endless_body",
    "endless_headers",
    "flip",
    "garbage_status",
    "gzip",
    "html_200",
    "long_header",
    "no_etag",
    "no_length",
    "overlong",
    "range_ignored",
    "range_other_etag",
    "range_refused",
    "range_unasked",
    "range_without_header",
    "range_wrong_start",
    "range_wrong_total",
    "redirect",
    "redirect_chain",
    "redirect_loop",
    "replace",
    "reset",
    "retry_later",
    "slow_head",
    "stall",
    "status",
    "swap",
    "trickle",
    "truncate",
    "two_lengths",
    "weak_etag",
]
