# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describes transport errors and HTTP statuses, and decides whether and when to retry.

Messages never repeat text from the transport that could contain a URL with secrets.
"""

import email.utils
import http.client
import random
import re
import socket
import ssl
import time
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

from .._errors import FetchError, TerraformBinaryError, errno_text, quoted
from .._records import Params
from .credentials import NONE, SENT, WITHHELD, is_public

BACKOFF = 1.0  # seconds before the second try; doubles with each further try, with jitter
BACKOFF_CAP = 30.0
RETRY_AFTER_CAP = 120.0  # most seconds to wait at a server's request

NETWORK_HINT = "look at the network and the proxy settings (https_proxy, no_proxy) there, or name another site"
_PROXY_HINT = "look at that proxy, and at https_proxy, http_proxy and no_proxy; use_proxy: false asks directly"
_KEPT_BACK = (
    "the credentials were not sent: they go only to the sites that you named and below their paths, not with a redirect "
    "that leads out of there, not over plain http, and not to the public site"
)
_TLS_HINT = (
    "look at the clock; if a proxy inspects TLS, or the site has a private CA, name it in ca_path or add it to the system's "
    "trust store"
)
_ALERT_HINT = (  # RFC 8446, 6.2: the other side closed the connection because of what we sent or did not send
    "the other side refuses the connection: if it wants a client certificate, look at client_cert and client_key"
)
# How releases of OpenSSL report an answer that is not TLS.
_NO_TLS = re.compile(
    "WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL|PACKET_LENGTH_TOO_LONG|RECORD_LAYER_FAILURE|HTTPS?_(PROXY_)?REQUEST"
)
_NO_HTTP_1 = "the site, or what stands before it, does not speak HTTP/1.1: have it allow that beside HTTP/2, or name another site"
_CLEARTEXT_HINT = "this port speaks TLS: write the URL with https://"
# Why a certificate is refused, as OpenSSL, ssl and older urllib3 word it.
_CERTIFICATE_TROUBLE = (
    ("time", re.compile("expired|not yet valid")),
    ("name", re.compile("mismatch|doesn't match")),
    ("issuer", re.compile("self.signed|issuer certificate|verify the first certificate")),
)
_SILENT = "CERTIFICATE_VERIFY_FAILED"  # Python 3.6 says no more than this; the cause is the dates or the issuer
_NAMES = 3  # most names of a certificate in one message
# Quote what the other side sends only if it has the expected form.
_HOST_NAME = re.compile(r"[0-9A-Za-z*._:-]{1,80}\Z")
_ISSUER = re.compile(r"[0-9A-Za-z][0-9A-Za-z ._-]{0,39}\Z")
_BANNER = re.compile(r"\A['\"]*((?:HTTP/|SSH-|RTSP/|ICY |RFB |220[ -]|\* OK)[0-9.]{0,4})")
_QUOTED = re.compile(r"b?['\"].*", re.DOTALL)
_RELEASE = "this version and platform"
_MISSING = "look whether the site has " + _RELEASE
_HINTS: Dict[int, Union[str, Dict[str, str]]] = {
    400: "the site may want a client certificate: set client_cert and client_key",
    426: _NO_HTTP_1,
    505: _NO_HTTP_1,
    401: {
        NONE: "the site wants credentials: set url_username and url_password, or url_token",
        SENT: "the site does not accept the credentials that it was shown: look at url_username and url_password, "
        "url_token or url_headers",
        WITHHELD: _KEPT_BACK,
    },
    403: {
        NONE: "the site or a proxy refuses: look whether it wants credentials (url_token, url_username), blocks this "
        "address, or answers so for files that it does not have",
        SENT: "the credentials are not good for this file, or the site answers so for files that it does not have",
        WITHHELD: _KEPT_BACK,
    },
    404: {
        NONE: _MISSING + ", or hides it from those without credentials (url_token, url_username)",
        SENT: _MISSING + ", or hides it from those with these credentials",
        WITHHELD: _MISSING + ", or hides it: " + _KEPT_BACK,
    },
    407: "put the proxy's user and password into the proxy's URL in https_proxy or http_proxy",
    429: "the site limits how many requests it takes: run fewer hosts at once (forks, throttle), or use a mirror of yours",
}
_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3})")  # http.client, for a proxy's answer to CONNECT


class _RetryAfterError(FetchError):
    """An HTTP status that may be different next time.

    :param after: float, the seconds that the server asks us to wait, or None.
    """

    def __init__(self, message: str, after: Optional[float], **details: Any) -> None:
        super().__init__(message, retry=True, **details)
        self.after = after


def error_for_status(status: int, retry_after: str, place: str, what: str, credentials: str = NONE) -> FetchError:
    """Return the FetchError for an unwanted HTTP status; it is marked for retry where that may help.

    :param retry_after: str, the Retry-After header, or empty.
    :param place: str, the URL, redacted for messages.
    :param what: str, what was requested, for messages.
    :param credentials: str, whether credentials were sent: see credentials.py.
    """
    message = "%s from %s: HTTP %d %s" % (what, place, status, http.client.responses.get(status, ""))
    hint = hint_for_status(status, credentials)
    if status == 400 and place.startswith("http:"):
        hint = _CLEARTEXT_HINT
    elif status == 404 and is_public(place):
        hint = _MISSING  # the public site hides no files
    if hint and what == "index":
        hint = hint.replace(_RELEASE, "this file")  # it is about all of them
    details: Params = dict(status=status, url=place, hint=hint)
    if _is_transient(status):
        return _RetryAfterError(message, _read_retry_after(retry_after), **details)
    return FetchError(message, **details)


def hint_for_status(status: int, credentials: str = NONE) -> Optional[str]:
    """Return what the operator can do about an HTTP status: str, or None."""
    if 500 <= status <= 599 and status not in _HINTS:
        return "the site, or a proxy before it, is in trouble: try again later, or name a second site"
    hint = _HINTS.get(status)
    return hint[credentials] if isinstance(hint, dict) else hint


def _is_transient(status: int) -> bool:
    return status in (408, 425, 429) or 500 <= status <= 599 and status != 505


def _read_retry_after(text: str) -> Optional[float]:
    """Parse a Retry-After header, a number or a date (RFC 9110, 10.2.3): seconds, capped; None if it is unusable."""
    try:
        if re.match(r"[0-9]+\Z", text):
            seconds = float(text)
        else:
            date = email.utils.parsedate_tz(text)
            if date is None:
                return None
            seconds = email.utils.mktime_tz(date) - time.time()
    except (IndexError, ValueError, OverflowError):  # IndexError: parsedate_tz before Python 3.10
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_CAP)


def retry_delay(attempt: int, failure: FetchError) -> float:
    """Return the seconds to wait after a failed try: exponential, with jitter so that hosts do not retry in step."""
    backoff: float = min(BACKOFF_CAP, BACKOFF * 2 ** min(attempt - 1, 16)) * random.uniform(0.5, 1.0)
    after: float = getattr(failure, "after", None) or 0.0
    return max(backoff, after)


def describe_transport_error(
    exc: BaseException,
    timeout: float,
    store: str = "",
    look_up: Callable[[bool], Any] = lambda by_proxy: None,
) -> Tuple[str, bool, Optional[str]]:
    """Explain a transport error: (reason, whether to retry, hint). Passes on no text that could contain a URL.

    :param exc: the exception that requests, urllib3 or http.client raised.
    :param timeout: seconds without a byte, for the message.
    :param store: str, the trusted certificates, for the message.
    :param look_up: callable(by_proxy) -> the Certificate that the proxy or the site presented, or None.
    """
    causes = _causes(exc)
    by_proxy = any(type(cause).__name__ == "ProxyError" for cause in causes)
    proxy, hint = ("proxy: ", _PROXY_HINT) if by_proxy else ("", NETWORK_HINT)
    for cause in causes:
        tunnel = _TUNNEL.search(str(cause))
        if tunnel:
            status = int(tunnel.group(1))
            return "the proxy answers HTTP %d" % status, _is_transient(status), hint_for_status(status) or _PROXY_HINT
        # Older urllib3 has its own CertificateError.
        if isinstance(cause, (ssl.SSLError, ssl.CertificateError)) or type(cause).__name__ == "CertificateError":
            lost = isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError))
            reason, own_hint = _describe_tls_error(cause, by_proxy, store, look_up)
            return (
                "%sTLS: %s" % (proxy, reason),
                lost,
                "does that port speak TLS? If so, %s" % hint if lost else own_hint,
            )
        if isinstance(cause, socket.gaierror):
            return "%sthe host name is not resolved: %s" % (proxy, cause.strerror), True, hint
        if isinstance(cause, socket.timeout):
            return "%sno answer for %s s" % (proxy, timeout), True, hint
        if isinstance(cause, OSError) and cause.errno:
            return proxy + errno_text(cause.errno), True, hint
    # An HTTPException says more than the ValueError that often causes it.
    core = next((cause for cause in causes if isinstance(cause, http.client.HTTPException)), causes[-1])
    if isinstance(core, http.client.IncompleteRead):
        return "the body ended too early", True, hint
    if isinstance(core, (http.client.BadStatusLine, http.client.UnknownProtocol)) and not isinstance(
        core, ConnectionError
    ):
        banner = _BANNER.search(str(core))
        begins = ": it begins with %s" % banner.group(1) if banner else ""
        hint = _CLEARTEXT_HINT if "\x15\x03" in str(core) else _NO_HTTP_1  # a TLS alert (RFC 8446, 5.1)
        return "%sthe answer is not HTTP/1.1%s" % (proxy, begins), True, hint
    said = _QUOTED.sub("...", str(core))  # for example a chunk's size, which is the other side's text
    detail = "" if re.search("[/?@]", said) else ": %s" % quoted(said, 120)
    return "%s%s%s" % (proxy, type(core).__name__, detail), not isinstance(exc, ValueError), hint


def _describe_tls_error(
    cause: BaseException, by_proxy: bool, store: str, look_up: Callable[[bool], Any]
) -> Tuple[str, str]:
    """Explain a TLS error: (reason, hint)."""
    reason = str(getattr(cause, "reason", None) or "")
    if _NO_TLS.search(reason):
        hint = (
            "write http:// in the proxy's URL, if that is meant"
            if by_proxy
            else ("http://? That is for checksum_policy signature or pinned alone; or name the port that speaks TLS")
        )
        return "what answers there does not speak TLS", hint
    if "NO_APPLICATION_PROTOCOL" in reason:
        return quoted(reason, 120), _NO_HTTP_1
    # Older urllib3 includes the certificate's names in the text.
    detail = getattr(cause, "verify_message", None) or reason or re.sub("(doesn't match).*", r"\1", str(cause))
    trouble = next((kind for kind, words in _CERTIFICATE_TROUBLE if words.search(detail)), None)
    if trouble is None and detail != _SILENT:
        return quoted(detail, 120), _ALERT_HINT if "ALERT" in reason else _TLS_HINT
    shown, now = look_up(by_proxy), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if trouble is None:
        trouble = "issuer" if shown is None or shown.starts <= now <= shown.ends else "time"
    if trouble == "time":
        clock = "the clock says %s" % now
        dates = "good from %s to %s; " % (shown.starts, shown.ends) if shown else ""
        return "%s (%s%s)" % (quoted(detail, 120), dates, clock), (
            "if that clock is right, whoever runs the %s has to renew its certificate; if not, set it"
            % ("proxy" if by_proxy else "site")
        )
    if trouble == "name":
        names = shown.names if shown else ()
        more = " and %d more" % len(names[_NAMES:]) if names[_NAMES:] else ""
        quoted_names = [
            "'%s'" % name if _HOST_NAME.match(name) else "a name of another form" for name in names[:_NAMES]
        ]
        for_whom = " (it is for %s%s)" % (", ".join(quoted_names), more) if names else ""
        return quoted(
            detail, 120
        ) + for_whom, "write the URL with a name that its certificate has, or have a new one issued"
    issuer = " (issued by %s)" % quoted(shown.issuer) if shown and _ISSUER.match(shown.issuer or "") else ""
    return quoted(detail, 120) + issuer, (
        "add its CA, or that of a proxy that inspects TLS, to ca_path or the system's trust store; trusted: %s" % store
    )


def _causes(exc: BaseException) -> List[BaseException]:
    """List an exception and all exceptions behind it, outermost first."""
    found: List[BaseException] = []
    waiting = [exc]
    while waiting:
        cause = waiting.pop(0)
        found.append(cause)
        for inner in (getattr(cause, "reason", None), cause.__cause__, cause.__context__) + cause.args:
            # After a failed site, our own earlier error may be the context.
            if isinstance(inner, BaseException) and not isinstance(inner, TerraformBinaryError):
                if not any(inner is other for other in found + waiting):
                    waiting.append(inner)
    return found
