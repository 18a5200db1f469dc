# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain client of HTTP, for tests of servers."""

import urllib.request


def get_url(request, context=None):
    """The answer to a URL or a Request: http.client.HTTPResponse. Raises what urllib.request does.

    :param context: ssl.SSLContext; None: the usual one.
    """
    handlers = () if context is None else (urllib.request.HTTPSHandler(context=context),)
    return urllib.request.build_opener(*handlers).open(request)
