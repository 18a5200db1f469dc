# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a transfer: what went wrong, in words, and whether and when to try again.

It promises that no message carries text from the transport that could hold a URL with its secrets.
"""

import email.utils
import http.client
import random
import re
import socket
import ssl
import time

from ._credentials import NONE, SHOWN, WITHHELD
from ._errors import FetchError, TerraformBinaryError, errno_text, escaped

BACKOFF = 1.0                   # seconds before the second try; doubled for each further one, then jittered
BACKOFF_CAP = 30.0
RETRY_AFTER_CAP = 120.0         # seconds that a server may ask us to wait

NETWORK_HINT = "look at network and proxy settings (https_proxy, no_proxy) of this machine, or name another site"
_KEPT_BACK = (
    "the credentials were kept back: they go only to the sites that you named and below their paths, not with a redirect "
    "that leads out of there, not over plain http, and not to the public site"
)
_TLS_HINT = (
    "look at this machine's clock; if a proxy inspects TLS, or the site has a private CA, name it in ca_path or add it to "
    "the system's trust store"
)
_ALERT_HINT = (     # RFC 8446, 6.2: the other side closed the connection over something that we sent, or did not
    "the other side refuses the connection: if it wants a client certificate, look at client_cert and client_key"
)
_HINTS = {
    400: "the site may want a client certificate: set client_cert and client_key",
    401: {
        NONE: "the site wants credentials: set url_username and url_password, or url_token",
        SHOWN: "the site does not accept the credentials that it was shown: look at url_username and url_password, "
               "url_token or url_headers",
        WITHHELD: _KEPT_BACK,
    },
    403: {
        NONE: "the site or a proxy refuses: look whether it wants credentials (url_token, url_username), blocks this "
              "machine, or answers so for files that it does not have",
        SHOWN: "the credentials are not good for this file, or the site answers so for files that it does not have",
        WITHHELD: _KEPT_BACK,
    },
    404: "look whether the site has this version and platform; of a release minutes old, files may still be missing",
    407: "put the proxy's user and password into the proxy's URL in https_proxy or http_proxy",
    429: "the site limits how many requests it takes: run fewer hosts at once (forks, throttle), or use a mirror of yours",
}
_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3})")   # http.client, of a proxy's answer to CONNECT


class _TryLater(FetchError):
    """An HTTP status that may be another one next time.

    :param after: float, the seconds that the server asks us to wait, or None.
    """

    def __init__(self, message, after, **details):
        super().__init__(message, retry=True, **details)
        self.after = after


def refuse_status(status, retry_after, place, what, credentials=NONE):
    """The error for an HTTP status that is not the wanted one: FetchError, to be retried where that may help.

    :param retry_after: str, the header of that name, or blank.
    :param credentials: str, what the URL was shown of them: see _credentials.
    """
    message = "%s from %s: HTTP %d %s" % (what, place, status, http.client.responses.get(status, ""))
    details = dict(status=status, url=place, hint=hint_of(status, credentials))
    if _is_transient(status):
        return _TryLater(message, _read_retry_after(retry_after), **details)
    return FetchError(message, **details)


def hint_of(status, credentials=NONE):
    """What the operator can do about an HTTP status: str, or None."""
    if 500 <= status <= 599:
        return "the site, or a proxy before it, is in trouble: try again later, or name a second site"
    hint = _HINTS.get(status)
    return hint[credentials] if isinstance(hint, dict) else hint


def _is_transient(status):
    return status in (408, 425, 429) or 500 <= status <= 599


def _read_retry_after(text):
    """Seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3), capped; None: nothing."""
    try:
        if re.match(r"[0-9]+\Z", text):
            seconds = float(text)
        else:
            seconds = email.utils.mktime_tz(email.utils.parsedate_tz(text)) - time.time()
    except (TypeError, ValueError, OverflowError):  # TypeError: parsedate_tz found no date
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_CAP)


def choose_pause(attempt, failure):
    """Seconds to wait after a failed try: exponential and jittered, so that a fleet does not come back at once."""
    backoff = min(BACKOFF_CAP, BACKOFF * 2 ** min(attempt - 1, 16)) * random.uniform(0.5, 1.0)
    return max(backoff, getattr(failure, "after", None) or 0.0)


def explain(exc, timeout):
    """Why the transport failed: (reason, may it be tried again, hint). No text that could hold a URL is passed on."""
    causes = _causes(exc)
    proxy = "proxy: " if any(type(cause).__name__ == "ProxyError" for cause in causes) else ""
    for cause in causes:
        tunnel = _TUNNEL.search(str(cause))
        if tunnel:
            status = int(tunnel.group(1))
            return "the proxy answers HTTP %d" % status, _is_transient(status), hint_of(status) or NETWORK_HINT
        if isinstance(cause, (ssl.SSLError, ssl.CertificateError)):
            lost = isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError))
            detail = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or str(cause)
            hint = _ALERT_HINT if "ALERT" in str(getattr(cause, "reason", "")) else _TLS_HINT
            return "%sTLS: %s" % (proxy, escaped(detail, 120)), lost, hint
        if isinstance(cause, socket.gaierror):
            return "%sthe host name is not resolved: %s" % (proxy, cause.strerror), True, NETWORK_HINT
        if isinstance(cause, socket.timeout):
            return "%sno answer for %s s" % (proxy, timeout), True, NETWORK_HINT
        if isinstance(cause, OSError) and cause.errno:
            return proxy + errno_text(cause.errno), True, NETWORK_HINT
    # Bad HTTP tells more than the ValueError that it often comes from.
    core = next((cause for cause in causes if isinstance(cause, http.client.HTTPException)), causes[-1])
    if isinstance(core, http.client.IncompleteRead):
        return "the body ended too early", True, NETWORK_HINT
    detail = "" if re.search("[/?@]", str(core)) else ": %s" % escaped(str(core), 120)
    return "%s%s%s" % (proxy, type(core).__name__, detail), not isinstance(exc, ValueError), NETWORK_HINT


def _causes(exc):
    """An exception and all that it was made from, outermost first."""
    found, waiting = [], [exc]
    while waiting:
        cause = waiting.pop(0)
        found.append(cause)
        for inner in (getattr(cause, "reason", None), cause.__cause__, cause.__context__) + cause.args:
            # An earlier failure of ours may be the context, when another site is tried.
            if isinstance(inner, BaseException) and not isinstance(inner, TerraformBinaryError):
                if not any(inner is other for other in found + waiting):
                    waiting.append(inner)
    return found
