# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error classes: what went wrong, grouped by who must act.

Every refusal of this collection is one of these. The class says which step failed. The instance holds what the operator
needs: one line of text with full paths, the path or URL, the errno if the system gave one, and a hint what to do.
"""

import base64
import bisect
import contextlib
import errno as _errno
import os
import re
import stat
import sys
import unicodedata
from typing import (
    Any,
    BinaryIO,
    Collection,
    Dict,
    Iterator,
    List,
    Optional,
    Sequence,
    Set,
    Tuple,
    Type,
    Union,
    overload,
)

MESSAGE_LIMIT = 400  # characters: AWX shows 1,024 bytes of an event's output
_ASTERISKS = "********"
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_LONG_URL = re.compile(r"\b([a-z]+://[^/\s]*)/\S+/([^/\s]+)")
_HARMLESS = 3  # number of first characters of a secret that may be shown
# One character as the other side may write it: percent-encoded once or more, or as ascii() does; blanks count as one. A row
# of backslashes is looked at from its first one only: else a long one would take the square of its length.
_CODED = re.compile(
    r"%(?:25)*([0-9A-Fa-f]{2})|(?<!\\)\\+(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))|\\(['\"\\])|\s+|.",
    re.DOTALL,
)
# What _plain() has to convert: percent sign, plus, backslash, two blanks, and anything that is not printable ASCII.
_UNUSUAL = re.compile(r"[^ !-$&-*,-\[\]-~]|  ")
# The end of a shortened quote, which may be within an encoded character.
_CUT = re.compile(r"(?:%[0-9A-Fa-f]*|(?<!\\)\\+(?:[xuU][0-9A-Fa-f]*)?)?['\"][.]{3}")
_QUOTE = 200  # characters of the longest quote

# Default hints by errno. {0} becomes the option to change, which depends on the place, {1} how to become another user.
_HINTS: Dict[Optional[int], str] = {
    _errno.EROFS: "the file system is mounted read-only: remount it{0}",
    _errno.ENOSPC: "free some space (or inodes) on that file system{0}",
    _errno.EDQUOT: "the quota on that file system is used up: raise it{0}",
    _errno.EIO: "the storage reports an error: look at the kernel log",
    _errno.EAGAIN: "another process keeps it open with a lease: find that process (fuser, lsof)",
    _errno.EMFILE: "too many open files: raise the limit (ulimit -n)",
}
_RIGHTS = "let the user who runs Ansible do this{0}"
_ALSO = ("/usr/local/bin", "/usr/bin")  # where to look for sudo(8) and doas(1) besides PATH
# By place: the option to change, and how to get the permission to write there.
_ELSEWHERE: Dict[Optional[str], Tuple[str, str]] = {
    "base_dir": ("base_dir", "run as a user who may do this{1}{0}"),
    "link": ("link", "run as a user who may do this{1}{0}"),
    "cache_dir": ("cache_dir", _RIGHTS),
    "local_tmp": ("local_tmp (ANSIBLE_LOCAL_TEMP)", _RIGHTS),
}


class TerraformBinaryError(Exception):
    """Something that this collection refuses to do, or could not do.

    :param message: one line: what failed, on which path or URL, what was found, what was expected.
    :param path: the file or directory concerned, absolute.
    :param url: the URL concerned, without userinfo, query and fragment.
    :param errno: the system's error number, if there was one.
    :param hint: what the operator can do about it; None: the default hint of the class (``way_out``).

    ``changed`` is set to True by the second half if the host had already been changed.
    """

    step = ""
    way_out: Optional[str] = None

    def __init__(
        self,
        message: str,
        path: Optional[str] = None,
        url: Optional[str] = None,
        errno: Optional[int] = None,
        hint: Optional[str] = None,
    ) -> None:
        super().__init__(printable(" ".join(message.split())))
        self.path = path
        self.url = url
        self.errno = errno
        self.hint = hint or self.way_out
        self.changed = False

    def redact(self, secrets: Collection[str]) -> None:
        """Replace secrets that the other side repeated to us with asterisks: see redacted()."""
        self.args = tuple(redacted(text, secrets) for text in self.args)
        self.path, self.url, self.hint = (redacted(each, secrets) for each in (self.path, self.url, self.hint))


class RequestError(TerraformBinaryError):
    """An impossible or malformed request: the playbook has to change."""

    step = "request"
    way_out = "correct it in the playbook, inventory or survey"


class FetchError(TerraformBinaryError):
    """The network or a mirror failed: a later try may work.

    :param retry: the same URL may be requested again.
    :param next_site: another mirror may be tried.
    :param status: the HTTP status, if there was one.
    :param where: path, url, errno and hint, as for TerraformBinaryError.
    """

    step = "fetch"
    way_out = "look what that server sends, or name another site"

    def __init__(
        self, message: str, retry: bool = False, next_site: bool = True, status: Optional[int] = None, **where: Any
    ) -> None:
        super().__init__(message, **where)
        self.retry = retry
        self.next_site = next_site
        self.status = status


class VerificationError(TerraformBinaryError):
    """A digest or a signature does not verify: do not retry."""

    step = "verify"
    way_out = "look what that site has under this name, or name another site"


class ClockError(VerificationError):
    """The dates of a signature do not fit the clock of the machine that checked it: one of the two is wrong."""


class ArchiveError(TerraformBinaryError):
    """The archive is not the zip that we expect."""

    step = "extract"
    way_out = "get it again from whoever published it; if it stays so, report it to them"


class InstallError(TerraformBinaryError):
    """The file system refused something (``errno`` is always set)."""

    step = "install"
    way_out = "look at that path (ls -ld), and run again"


class LockError(TerraformBinaryError):
    """Another process is installing."""

    step = "lock"


class RunCheckError(TerraformBinaryError):
    """The installed binary does not run on this host."""

    step = "run_check"


class MissingDependency(TerraformBinaryError):
    """A Python package is missing on the side that needs it."""

    step = "setup"


def hint_for(number: Optional[int], place: Optional[str] = None) -> Optional[str]:
    """Return the default hint for an error of the system.

    :param number: the errno.
    :param place: the option or setting that says where it happened: base_dir, link, cache_dir, local_tmp. With None or
        any other text, the hint names no other choice.
    :returns: None if there is no hint for this errno.
    """
    option, rights = _ELSEWHERE.get(place, (None, "let the user who does this do so"))
    hint = rights if number in (_errno.EACCES, _errno.EPERM) else _HINTS.get(number)
    return hint and hint.format(", or choose another %s" % option if option else "", _how_to_become())


def _how_to_become() -> str:
    """Return a text about ``become`` if this machine has sudo or doas, which containers often lack; else ""."""
    folders = (os.environ.get("PATH") or os.defpath).split(os.pathsep) + list(_ALSO)
    found = any(os.access(os.path.join(folder, name), os.X_OK) for folder in folders for name in ("sudo", "doas"))
    return " (become: true)" if found else ""


@contextlib.contextmanager
def os_error_context(
    doing: str,
    path: str,
    error: Type[TerraformBinaryError] = InstallError,
    hint: Optional[str] = None,
    place: Optional[str] = None,
) -> Iterator[None]:
    """Turn an OSError of the body into a typed error that names the action and the path.

    :param doing: the action as a verb with its object: ``create directory``.
    :param path: the full path that the action is about.
    :param error: the class to raise; it takes message, path, errno and hint.
    :param hint: a better hint than the default one for that errno.
    :param place: as for hint_for(), which gives the default.
    """
    try:
        yield
    except OSError as exc:
        raise error(
            "%s %s: %s" % (doing, path, errno_text(exc.errno, exc)),
            path=path,
            errno=exc.errno,
            hint=hint or hint_for(exc.errno, place),
        ) from exc


def open_regular(path: str) -> BinaryIO:
    """Open a regular file for reading, without waiting for a device or for a pipe that nobody writes to.

    :returns: binary file object. Raises OSError; it has no errno if the path does not lead to a regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError("not a regular file")
    return os.fdopen(fd, "rb")


@contextlib.contextmanager
def after_change() -> Iterator[None]:
    """Set ``changed`` on errors of the body, which runs after a change of the host."""
    try:
        yield
    except TerraformBinaryError as exc:
        exc.changed = True
        raise


def errno_text(number: Optional[int], fallback: object = "") -> str:
    """Return ``Permission denied (EACCES)`` for an errno; the fallback's text if there is none."""
    if number is None:
        return str(fallback)
    return "%s (%s)" % (os.strerror(number), _errno.errorcode.get(number, number))


def quoted(text: Union[str, bytes], limit: int = 60) -> str:
    """Return text or bytes from outside as a message can show them: shortened, escaped, and in quotes.

    :param limit: maximum number of characters or bytes to show.
    """
    if isinstance(text, bytes):
        text = text[: limit + 1].decode("latin-1")
    return ascii(text[:limit]) + ("..." if len(text) > limit else "")


@overload
def printable(value: str) -> str:
    """A line stays a line."""


@overload
def printable(value: Any) -> Any:
    """Any other value keeps its kind."""


def printable(value: Any) -> Any:
    """Return a result value or a line in a form that can be shown: every character that is not printable becomes ``?``.

    File names can contain anything, even line ends, terminal escapes, and bytes that are not text, which cannot be sent
    as JSON. Blanks of all kinds stay, so that a path with a no-break space in it remains that path.

    :param value: str, or a dict, list or tuple that contains such values, also as keys; anything else is not changed.
    :returns: the same kind of value; a list for a tuple.
    """
    if isinstance(value, str):
        if value.isprintable():
            return value
        return "".join(char if char.isprintable() or unicodedata.category(char) == "Zs" else "?" for char in value)
    if isinstance(value, dict):
        return dict((printable(key), printable(one)) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return [printable(one) for one in value]
    return value


@contextlib.contextmanager
def redacting(secrets: Collection[str]) -> Iterator[None]:
    """Redact secrets in errors of the body, which may quote the other side."""
    try:
        yield
    except TerraformBinaryError as exc:
        exc.redact(secrets)
        raise


@overload
def redacted(value: str, secrets: Collection[str]) -> str:
    """A line stays a line."""


@overload
def redacted(value: Any, secrets: Collection[str]) -> Any:
    """Any other value keeps its kind."""


def redacted(value: Any, secrets: Collection[str]) -> Any:
    """Return a value with asterisks in place of secrets, however the other side repeats them.

    Secrets are found in upper or lower case, percent-encoded in part, in whole or more than once, escaped as by
    quoted(), in base64, and cut off at the end of a quote.

    :param value: str, or a dict, list or tuple that contains such values, also as keys; anything else is not changed.
    :param secrets: collection of str, which is iterated more than once.
    :returns: the same kind of value; a list for a tuple.
    """
    if isinstance(value, dict):
        return dict((redacted(key, secrets), redacted(one, secrets)) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return [redacted(one, secrets) for one in value]
    if not isinstance(value, str):
        return value
    for secret in secrets:
        if len(secret) <= _HARMLESS:  # its other forms would match in any text
            value = value.replace(secret, _ASTERISKS)
    return _without_forms(
        value, set(_plain(form)[0] for secret in secrets if len(secret) > _HARMLESS for form in _secret_forms(secret))
    )


def _secret_forms(secret: str) -> Tuple[str, ...]:
    """Return a secret as it is, in other case (_plain() ignores only ASCII case), escaped, and in unpadded base64."""
    data = secret.encode("utf-8", "surrogatepass")
    coded = base64.b64encode(data).decode("ascii").rstrip("=")
    return (
        secret,
        secret.lower(),
        secret.upper(),
        secret.swapcase(),
        ascii(secret)[1:-1],
        coded,
        coded.translate({ord("+"): "-", ord("/"): "_"}),
    )


def _plain(text: str) -> Tuple[str, Sequence[int], Sequence[int]]:
    """Return a text in the form that is compared, and where each of its characters was.

    :returns: (bytes of the text as characters, start of each in the text, end of each in the text).
    """
    if not _UNUSUAL.search(text):
        return text.lower(), range(len(text)), range(1, len(text) + 1)
    plain: List[str] = []
    starts: List[int] = []
    ends: List[int] = []
    for found in _CODED.finditer(text):
        byte, number = found.group(1), found.group(2) or found.group(3) or found.group(4)
        char = found.group(5) or found.group()
        if number:
            char = chr(min(int(number, 16), sys.maxunicode))
        # This folds the case of ASCII letters only: a single byte of another letter has no case.
        data = (bytes(bytearray((int(byte, 16),))) if byte else char.encode("utf-8", "surrogatepass")).lower()
        if data.isspace() or data == b"+":  # "+" encodes a blank in a form; a message joins blanks
            data = b" "
        plain.append(data.decode("latin-1"))
        starts += [found.start()] * len(data)
        ends += [found.end()] * len(data)
    return "".join(plain), starts, ends


def _without_forms(text: str, forms: Set[str]) -> str:
    """Return a text with asterisks in place of secrets; ``forms`` are these secrets as _plain() returns them."""
    if not forms:
        return text
    plain, starts, ends = _plain(text)
    spans = []
    for form in forms:
        at = plain.find(form)
        while at >= 0:
            spans.append((starts[at], ends[at + len(form) - 1]))
            at = plain.find(form, at + len(form))
    for cut in _CUT.finditer(text):
        until = bisect.bisect_left(starts, cut.start())
        begun = max([_starts_with_secret(plain, until, form) for form in forms] or [0])
        if begun:
            spans.append((starts[until - begun], cut.end() - 4))
    redacted_until = 0
    parts: List[str] = []
    for start, end in sorted(spans):
        if start >= redacted_until:
            parts += [text[redacted_until:start], _ASTERISKS]
        redacted_until = max(redacted_until, end)
    return "".join(parts) + text[redacted_until:]


def _starts_with_secret(plain: str, until: int, form: str) -> int:
    """Return how many first characters of a secret end at a position; 0 if so few that they may be shown."""
    most = min(len(form) - 1, until, _QUOTE)
    return next((length for length in range(most, _HARMLESS, -1) if plain.endswith(form[:length], 0, until)), 0)


def compose_message(message: str, hint: Optional[str] = None, machine: str = "") -> str:
    """Return the one line that reports a failure, of at most MESSAGE_LIMIT characters. The hint is never cut.

    :param message: what, where, found, expected.
    :param hint: what to do.
    :param machine: the machine that the failure is about, put in front; empty if the reader knows it.
    """
    if machine and not message.startswith((machine + ":", machine + " ")):  # "control" is not "controller"
        message = "%s: %s" % (machine, message)
    end = "; %s" % hint if hint else ""
    room = MESSAGE_LIMIT - len(end)
    if len(message) > room:  # the return value ``error`` has them in full
        message = _DIGEST.sub(r"\1...", _LONG_URL.sub(r"\1/.../\2", message))
    if len(message) > room:  # cut after the first two thirds, because the end says what was found
        end_of_it = max(room - 3, 0) // 3
        message = "%s...%s" % (message[: max(room - 3, 0) - end_of_it], message[len(message) - end_of_it :])
    return message + end


def to_result(error: TerraformBinaryError, side: str, host: str) -> Dict[str, Any]:
    """Return a failure as return values for Ansible.

    :param side: ``controller`` or ``target``.
    :param host: the name of the machine that failed.
    :returns: dict with ``msg`` (see compose_message()), ``error`` and ``changed``.
    """
    message = str(error)
    if isinstance(error, ClockError):
        message = "%s (checked by the %s, %s)" % (message, side, host)
    result: Dict[str, Any] = printable(
        {
            "msg": compose_message(message, error.hint),
            "changed": error.changed and side == "target",  # changes on the controller itself do not count
            "error": {
                "step": error.step,
                "side": side,
                "host": host,
                "path": error.path,
                "url": error.url,
                "errno": error.errno,
                "errno_name": _errno.errorcode.get(error.errno) if error.errno else None,
                "hint": error.hint,
            },
        }
    )
    return result
