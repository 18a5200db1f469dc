# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error tree: what went wrong, grouped by who must act.

Every refusal of this collection is one of these. The class carries the step, the instance carries what the operator
needs: one line of text with full paths, the path or URL, the errno where the system gave one, and a way out.
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
_HARMLESS = 3  # so many first characters of a secret do not give it away
# One character as others may write it: percent-encoded once or more often, or as ascii() has it; several blanks are one.
_CODED = re.compile(
    r"%(?:25)*([0-9A-Fa-f]{2})|\\+x([0-9A-Fa-f]{2})|\\+u([0-9A-Fa-f]{4})|\\+U([0-9A-Fa-f]{8})|\\(['\"\\])|\s+|.",
    re.DOTALL,
)
_UNUSUAL = re.compile(r"[^ !-$&-*,-\[\]-~]|  ")  # may not stand for itself; percent sign, backslash and plus among them
_CUT = re.compile(
    r"(?:%[0-9A-Fa-f]*|\\+(?:[xuU][0-9A-Fa-f]*)?)?['\"][.]{3}"
)  # where a quote ends, maybe within a character
_QUOTE = 200  # characters of the longest quote

# The usual way out, by what went wrong; {0} is what else may be chosen, by where it did, {1} is how to become another user.
_HINTS: Dict[Optional[int], str] = {
    _errno.EROFS: "the file system is mounted read-only: remount it{0}",
    _errno.ENOSPC: "free some space (or inodes) on that file system{0}",
    _errno.EDQUOT: "the quota on that file system is used up: raise it{0}",
    _errno.EIO: "the storage reports an error: look at the kernel log",
    _errno.EMFILE: "too many open files: raise the limit (ulimit -n)",
}
_RIGHTS = "let the user who runs Ansible do this{0}"
_ALSO = ("/usr/local/bin", "/usr/bin")  # where sudo(8) and doas(1) are looked for, beside PATH
_ELSEWHERE: Dict[
    Optional[str], Tuple[str, str]
] = {  # place: what is set in its stead, and the way to the right to write there
    "base_dir": ("base_dir", "run as a user who may do this{1}{0}"),
    "link": ("link", "run as a user who may do this{1}{0}"),
    "cache_dir": ("cache_dir", _RIGHTS),
    "local_tmp": ("local_tmp (ANSIBLE_LOCAL_TEMP)", _RIGHTS),
}


class TerraformBinaryError(Exception):
    """Something this collection refuses to do, or could not do.

    :param message: str, one line: what, on which path or URL, what was found, what was expected.
    :param path: str, the file or directory concerned, absolute.
    :param url: str, the URL concerned, without userinfo, query and fragment.
    :param errno: int, the system's error number, where there was one.
    :param hint: str, what the operator can do about it; None: the usual way out for errors of this class.

    ``changed`` is set to True by the half that acts when the host had already been changed.
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
        """Put asterisks in the place of secrets that the other side repeated to us: see concealed()."""
        self.args = tuple(redacted(text, secrets) for text in self.args)
        self.path, self.url, self.hint = (redacted(each, secrets) for each in (self.path, self.url, self.hint))


class RequestError(TerraformBinaryError):
    """An impossible or malformed wish: the playbook has to change."""

    step = "request"
    way_out = "correct it in the playbook, inventory or survey"


class FetchError(TerraformBinaryError):
    """The network or a site failed: a later try may work.

    :param retry: bool, the same URL may be asked again.
    :param next_site: bool, another site may be asked instead.
    :param status: int, the HTTP status, where there was one.
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
    """A digest or a signature refuses: nobody may retry."""

    step = "verify"
    way_out = "look what that site has under this name, or name another site"


class ClockError(VerificationError):
    """A signature's dates do not fit the clock of the machine that judged it: one of the two is wrong."""


class ArchiveError(TerraformBinaryError):
    """Not the zip we expect."""

    step = "extract"
    way_out = "get it again from whoever published it; if it stays so, report it to them"


class InstallError(TerraformBinaryError):
    """The file system said no (errno is always set)."""

    step = "install"
    way_out = "look at that path (ls -ld), and run again"


class LockError(TerraformBinaryError):
    """Someone else is installing."""

    step = "lock"


class RunCheckError(TerraformBinaryError):
    """The installed binary does not run on this host."""

    step = "run_check"


class MissingDependency(TerraformBinaryError):
    """A Python package is absent on the side that needs it."""

    step = "setup"


def hint_for(number: Optional[int], place: Optional[str] = None) -> Optional[str]:
    """The usual way out of an error of the system.

    :param number: int, the errno.
    :param place: str, the option or setting that says where it happened: base_dir, link, cache_dir, local_tmp; None, or
        another: nothing else can be chosen.
    :returns: str, or None where none is known.
    """
    option, rights = _ELSEWHERE.get(place, (None, "let the user who does this do so"))
    hint = rights if number in (_errno.EACCES, _errno.EPERM) else _HINTS.get(number)
    return hint and hint.format(", or choose another %s" % option if option else "", _how_to_become())


def _how_to_become() -> str:
    """Where this machine has what become needs, that it is there; in a container there often is none."""
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
    """Turn an OSError of the body into a typed error that names the act and the path.

    :param doing: str, the act as a verb with its object: ``create directory``.
    :param path: str, the full path that the act is about.
    :param error: the class to raise; it takes message, path, errno and hint.
    :param hint: str, a better way out than the usual one for that errno.
    :param place: str, as for hint_for(), which says what the usual one is.
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
    """Open a file for reading, whatever a path leads to: no device, nor a pipe that nobody writes to, is waited for.

    :returns: binary stream. Raises OSError, without a number for what is no regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError("not a regular file")
    return os.fdopen(fd, "rb")


@contextlib.contextmanager
def after_change() -> Iterator[None]:
    """The body comes after a change of the host: its errors have ``changed`` set."""
    try:
        yield
    except TerraformBinaryError as exc:
        exc.changed = True
        raise


def errno_text(number: Optional[int], fallback: object = "") -> str:
    """``Permission denied (EACCES)`` for an errno; the fallback's text when there is none."""
    if number is None:
        return str(fallback)
    return "%s (%s)" % (os.strerror(number), _errno.errorcode.get(number, number))


def quoted(text: Union[str, bytes], limit: int = 60) -> str:
    """Foreign text, or bytes, as it may stand in a message: shortened, escaped, and in quotes.

    :param limit: int, characters of it that are shown.
    """
    if isinstance(text, bytes):
        text = text[: limit + 1].decode("latin-1")
    return ascii(text[:limit]) + ("..." if len(text) > limit else "")


@overload
def printable(value: str) -> str: ...


@overload
def printable(value: Any) -> Any: ...


def printable(value: Any) -> Any:
    """A value of a result, or a line, as it may be written and shown: what is not printable becomes ``?``.

    Names of files may be anything, line ends, escapes of terminals and bytes that are no text included: these cannot be
    sent as JSON. Blanks of all kinds are left: a path with a no-break space in it has to stay that path.

    :param value: str, or a dict, list or tuple with such in them, also as keys; anything else is left alone.
    """
    if isinstance(value, str):
        return "".join(char if char.isprintable() or unicodedata.category(char) == "Zs" else "?" for char in value)
    if isinstance(value, dict):
        return dict((printable(key), printable(one)) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return [printable(one) for one in value]
    return value


@contextlib.contextmanager
def redacting(secrets: Collection[str]) -> Iterator[None]:
    """Conceal secrets in what the body refuses, which may quote the other side."""
    try:
        yield
    except TerraformBinaryError as exc:
        exc.redact(secrets)
        raise


@overload
def redacted(value: str, secrets: Collection[str]) -> str: ...


@overload
def redacted(value: Any, secrets: Collection[str]) -> Any: ...


def redacted(value: Any, secrets: Collection[str]) -> Any:
    """A value with asterisks in the place of secrets, in whatever letters the other side repeats them: in other case,
    percent-encoded wholly, partly or more than once, escaped(), in base64; and when they are cut off where a quote ends.

    :param value: str, or a dict, list or tuple with such in them, also as keys; anything else is left alone.
    :param secrets: collection of str: they are gone through more than once.
    """
    if isinstance(value, dict):
        return dict((redacted(key, secrets), redacted(one, secrets)) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return [redacted(one, secrets) for one in value]
    if not isinstance(value, str):
        return value
    for secret in secrets:
        if len(secret) <= _HARMLESS:  # in other letters that would be any text
            value = value.replace(secret, _ASTERISKS)
    return _without_forms(
        value, set(_plain(form)[0] for secret in secrets if len(secret) > _HARMLESS for form in _secret_forms(secret))
    )


def _secret_forms(secret: str) -> Tuple[str, ...]:
    """A secret as it is, escaped, and as base64 has it, without the padding; in other letters as far as ASCII's do not tell."""
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
    """A text in the form in which it is compared, and where each of its characters stood.

    :returns: (str of bytes as characters, sequence of where each begins in the text, sequence of where each ends).
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
        # Only ASCII's letters: a byte of any other one does not tell its case.
        data = (bytes(bytearray((int(byte, 16),))) if byte else char.encode("utf-8", "surrogatepass")).lower()
        if data.isspace() or data == b"+":  # a blank in a form's encoding; those of a message are put together
            data = b" "
        plain.append(data.decode("latin-1"))
        starts += [found.start()] * len(data)
        ends += [found.end()] * len(data)
    return "".join(plain), starts, ends


def _without_forms(text: str, forms: Set[str]) -> str:
    """A text without secrets in the form of _plain()."""
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
    concealed_until = 0
    parts: List[str] = []
    for start, end in sorted(spans):
        if start >= concealed_until:
            parts += [text[concealed_until:start], _ASTERISKS]
        concealed_until = max(concealed_until, end)
    return "".join(parts) + text[concealed_until:]


def _starts_with_secret(plain: str, until: int, form: str) -> int:
    """How much of a secret's beginning stands before a place: int, 0 for what does not give it away."""
    most = min(len(form) - 1, until, _QUOTE)
    return next((length for length in range(most, _HARMLESS, -1) if plain.endswith(form[:length], 0, until)), 0)


def compose_message(message: str, hint: Optional[str] = None, machine: str = "") -> str:
    """The one line that a failure is told in, of at most MESSAGE_LIMIT characters. What to do is never what is cut.

    :param message: str: what, where, found, expected.
    :param hint: str, what to do.
    :param machine: str, the machine that it is about, for the beginning; empty: the reader knows.
    """
    if machine and not message.startswith(machine):
        message = "%s: %s" % (machine, message)
    end = "; %s" % hint if hint else ""
    room = MESSAGE_LIMIT - len(end)
    if len(message) > room:  # the error has them whole
        message = _DIGEST.sub(r"\1...", _LONG_URL.sub(r"\1/.../\2", message))
    if len(message) > room:  # in its later part: the end has what was found
        end_of_it = max(room - 3, 0) // 3
        message = "%s...%s" % (message[: max(room - 3, 0) - end_of_it], message[len(message) - end_of_it :])
    return message + end


def to_result(error: TerraformBinaryError, side: str, host: str) -> Dict[str, Any]:
    """The failure as returned to Ansible.

    :param error: TerraformBinaryError.
    :param side: str, ``controller`` or ``target``.
    :param host: str, the name of the machine that failed.
    :returns: dict with ``msg`` (see composed()), ``error`` and ``changed``.
    """
    message = str(error)
    if isinstance(error, ClockError):
        message = "%s (checked by the %s, %s)" % (message, side, host)
    result: Dict[str, Any] = printable(
        {
            "msg": compose_message(message, error.hint),
            "changed": error.changed and side == "target",  # what the controller does to itself changes no host
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
