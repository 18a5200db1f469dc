# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: what a target answers is input, and becomes a checked record here, or is refused.

A host that was taken over answers whatever it likes. What it says names files that are sent to it, decides what is asked of a
mirror, and is shown and registered on the controller. Nothing else on the controller reads a module's raw result. What a
record does not have, such as facts, is not passed on. SECURITY.md tells who may attack.
"""

import math
import posixpath
import re
from typing import Any, Callable, Dict, List, NamedTuple, NoReturn, Optional, Pattern, Tuple, Union

from ..module_utils._errors import TerraformBinaryError, printable, quoted
from ..module_utils._records import DEFAULT_BASE_DIR, POLICIES, PRODUCT, Params
from ..module_utils._release.layout import check_platform
from ..module_utils._versions.version import is_exact

_TEXT = 8192  # characters of one text, such as a line or a path
_LONG = 65536  # characters of what may have many lines: what Python printed before it ended
_ALL = 1 << 20  # characters of all texts together
_MANY = 10000  # elements of one list
_DEPTH = 8  # of what is only shown
_LARGEST = 1 << 62  # of a number
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_SIGNER = re.compile(r"[0-9A-F]{40}\Z")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")
_WORD = re.compile(r"[a-zA-Z_]{1,20}\Z")
_PATH = re.compile(r"/[0-9A-Za-z._+~/-]*\Z")
_LOOK = "look at that host: its Python or the host itself may have been tampered with"
_JOB = re.compile(r"[j0-9.]{1,64}\Z")  # of ansible-core's async_wrapper

_Kinds = Union[type, Tuple[type, ...]]  # as isinstance() takes them


class AnswerError(TerraformBinaryError):
    """A target answered what the module does not say."""

    step = "plan"


class Answer(NamedTuple):
    """One result of the module, every field checked. ``None`` where the module says null or nothing."""

    failed: bool
    changed: bool
    msg: str
    steps: Tuple[str, ...]
    version: Optional[str]
    requested: Optional[str]
    path: Optional[str]
    link: Optional[str]
    previous_version: Optional[str]
    base_dir: Optional[str]
    platform: Optional[str]
    binary_sha256: Optional[str]
    archive_sha256: Optional[str]
    size: Optional[int]
    verification: Optional[Dict[str, Optional[str]]]
    downloaded_bytes: int
    needs_archive: Optional[bool]  # None: not known yet (check mode)
    intact_versions: Tuple[str, ...]
    removed: Tuple[str, ...]
    backup_file: Optional[str]
    error: Optional[Dict[str, Any]]  # of a failure
    job: Optional[Dict[str, Any]]  # of a job that was started in the background: what core needs to find it again
    shown: Dict[str, Any]  # what is only shown and registered: diff, warnings, owner and mode of the path, ...


# What is only shown, and of which type it is. Of most of these core makes objects of its own: see _message_of().
_SHOWN: Dict[str, _Kinds] = {
    "diff": (dict, list),
    "warnings": (list, tuple),
    "invocation": dict,
    "owner": str,
    "group": str,
    "mode": str,
    "state": str,
    "uid": int,
    "gid": int,
    "secontext": str,
    "module_stdout": object,
    "module_stderr": object,
    "exception": object,
    "rc": int,
}
_LINES = ("module_stdout", "module_stderr", "exception")  # these keep their line ends
_INDENT = "    "  # of the lines of an exception, which core shows as they are: none looks like one of Ansible's own
_TARGET, _CONTROLLER = "target: ", "controller:"


class Asked(NamedTuple):
    """What a target was asked for, as far as its answer has to repeat it."""

    version: Optional[str] = None  # exact; None: none, or it is to be removed
    allows: Optional[Callable[[str], bool]] = None  # what the user asked for; None: anything exact
    platform: Optional[str] = None  # None: the host's own, whatever it is
    base_dir: Optional[str] = DEFAULT_BASE_DIR  # None: as the host expands it, whatever comes of that
    link: Optional[str] = ""  # "": none; None: as the host expands it


def asked_path(value: Any, default: str) -> Optional[str]:
    """A path that a task gives, as an answer has to repeat it: str; None where only the host can say (``~``, variables)."""
    text = default if value is None else str(value)
    if text.startswith("~") or "$" in text:
        return None
    return printable("/" * bool(text) + "/".join(part for part in text.split("/") if part not in ("", ".")))


def read_answer(raw: Any, host: str, asked: Asked, job: bool = False) -> Answer:
    """A module's result as an Answer.

    :param raw: what ``_execute_module`` returned.
    :param host: str, the inventory's name of the host, for the error.
    :param asked: Asked.
    :param job: bool, it was started in the background, and may say so.
    :returns: Answer.
    :raises AnswerError: whatever is wrong with it: a type, a range, a form, or something else than was asked for.
    """
    gate = _Gate(raw, host)
    failed = gate.flag("failed", number=job) or False
    answer = Answer(
        failed=failed,
        changed=gate.flag("changed") or False,
        msg=gate.text("msg", _LONG) or "",
        steps=gate.steps("steps"),
        version=gate.version("version"),
        requested=gate.text("requested"),
        path=gate.path("path"),
        link=gate.path("link"),
        previous_version=gate.text("previous_version"),
        base_dir=gate.path("base_dir"),
        platform=gate.platform("platform"),
        binary_sha256=gate.match("binary_sha256", _HEX),
        archive_sha256=gate.match("archive_sha256", _HEX),
        size=gate.number("size"),
        verification=gate.verification("verification"),
        downloaded_bytes=gate.number("downloaded_bytes") or 0,
        needs_archive=gate.flag("needs_archive"),
        intact_versions=gate.versions("intact_versions"),
        removed=gate.texts("removed"),
        backup_file=gate.path("backup_file"),
        error=gate.error("error"),
        job=gate.job(),
        shown={name: gate.any(name, kinds) for name, kinds in _SHOWN.items() if gate.has(name)},
    )
    if answer.job and not job:
        gate.refuse("ansible_job_id", "nothing, since no job was started")
    if not failed and not answer.job:
        _compare(gate, answer, asked)
    return answer


def _compare(gate: "_Gate", answer: Answer, asked: Asked) -> None:
    """Refuse an Answer about something else than was asked for. Raises AnswerError."""
    if asked.version is not None and answer.version != asked.version:
        gate.refuse("version", "%s, which was asked for" % asked.version)
    if asked.allows and answer.version is not None and not asked.allows(answer.version):
        gate.refuse("version", "one that was asked for")
    if answer.platform is None or asked.platform is not None and answer.platform != asked.platform:
        gate.refuse("platform", "%s, which was asked for" % asked.platform if asked.platform else "a platform")
    if answer.base_dir is None or asked.base_dir is not None and answer.base_dir != asked.base_dir:
        gate.refuse("base_dir", "%s, which was asked for" % asked.base_dir if asked.base_dir else "an absolute path")
    if asked.link is not None and (answer.link or "") != asked.link:
        gate.refuse("link", "%s, which was asked for" % asked.link if asked.link else "none, since none was asked for")
    # Not known yet: latest in check mode. None: nothing matches what is to be removed.
    path = answer.version and "%s/%s/%s" % (answer.base_dir, answer.version, PRODUCT)
    if answer.path != path:
        gate.refuse("path", path or "none")
    kept = answer.backup_file and posixpath.basename(answer.backup_file)
    if kept and not kept.startswith(posixpath.basename(answer.link or "/") + "."):
        gate.refuse("backup_file", "the name of the link with more after it")


def as_raw(answer: Answer) -> Params:
    """An Answer as the result of a task: dict, without what the target did not say."""
    result = dict(answer.shown)
    said = ("failed", "changed", "msg", "previous_version")  # by the module, whatever happened
    result.update(
        (name, value)
        for name, value in answer._asdict().items()
        if name not in ("shown", "job", "error", "steps")
        and (name in said or not (answer.failed and value in (None, ())))
    )
    result["steps"] = list(answer.steps)
    if answer.error is not None:
        result["error"] = dict(answer.error)
    for name in ("intact_versions", "removed"):
        if name in result:
            result[name] = list(result[name])
    if answer.job:
        return dict(answer.job, changed=answer.changed)
    if answer.failed:  # the module says no more of a failure
        for name in ("downloaded_bytes", "needs_archive"):
            result.pop(name, None)
    return result


def check_target_path(path: str, host: str) -> None:
    """Refuse a path that a target named and that is to go into a batch of sftp or a command line.

    Core quotes it, but a batch ends a command with the line, and programs read quotes in their own ways (sftp(1)).

    :raises AnswerError: it is not absolute, or has other than plain characters.
    """
    if not _PATH.match(path):
        raise AnswerError(
            "%s answered what this module does not say: its temporary directory is %s, expected an absolute "
            "path of letters, digits and ._+~-" % (host, quoted(path, 60)),
            path=path,
            hint=_LOOK,
        )


class _Gate:
    """One raw result, whose values are asked for by name."""

    def __init__(self, raw: Any, host: str, left: Optional[List[int]] = None) -> None:
        self._host = host
        self._left = left or [_ALL]  # characters that texts may still have
        if not isinstance(raw, dict):
            raise self._refusal("a result", "a mapping", raw)
        self._raw: Params = raw

    def _refusal(self, name: str, expected: str, found: Any) -> AnswerError:
        return AnswerError(
            "%s answered what this module does not say: %s is %s, expected %s"
            % (self._host, name, quoted(str(found), 60), expected),
            hint=_LOOK,
        )

    def refuse(self, name: str, expected: str) -> NoReturn:
        raise self._refusal(name, expected, self._raw.get(name))

    def has(self, name: str) -> bool:
        return self._raw.get(name) is not None

    def _get(self, name: str, kinds: _Kinds, expected: str) -> Any:
        value = self._raw.get(name)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool) is not (kinds is bool)):
            self.refuse(name, expected)
        return value

    def flag(self, name: str, number: bool = False) -> Optional[bool]:
        """A truth value; with ``number`` also 0 or 1, which core's async_wrapper says up to ansible-core 2.18."""
        value = self._raw.get(name)
        if number and isinstance(value, int) and value in (0, 1):
            return bool(value)
        said: Optional[bool] = self._get(name, bool, "true or false")
        return said

    def number(self, name: str) -> Optional[int]:
        value: Optional[int] = self._get(name, int, "a number")
        if value is not None and not 0 <= value <= _LARGEST:
            self.refuse(name, "a number from 0 on")
        return value

    def text(self, name: str, limit: int = _TEXT) -> Optional[str]:
        value: Optional[str] = self._get(name, str, "text")
        if value is not None and len(value) > limit:
            self.refuse(name, "text of at most %d characters" % limit)
        return None if value is None else self._counted(printable(" ".join(value.splitlines())))

    def _counted(self, text: str) -> str:
        """The text, which counts towards what all of them may have."""
        self._left[0] -= len(text)
        if self._left[0] < 0:
            raise self._refusal("all text", "at most %d characters" % _ALL, "longer")
        return text

    def path(self, name: str) -> Optional[str]:
        value = self.text(name)
        if value is not None and (not value.startswith("/") or ".." in value.split("/")):
            self.refuse(name, "null or an absolute path")
        return value

    def match(self, name: str, pattern: Pattern[str]) -> Optional[str]:
        value: Optional[str] = self._get(name, str, "text")
        if value is not None and not pattern.match(value):
            self.refuse(name, "null or of the form %s" % pattern.pattern)
        return value

    def version(self, name: str) -> Optional[str]:
        value: Optional[str] = self._get(name, str, "a version")
        if value is not None and not is_exact(value):
            self.refuse(name, "null or a version X.Y.Z")
        return value

    def platform(self, name: str) -> Optional[str]:
        value: Optional[str] = self._get(name, str, "a platform")
        if value is not None:
            try:
                check_platform(value)
            except TerraformBinaryError:
                self.refuse(name, "a platform such as linux_amd64")
        return value

    def _list(self, name: str) -> List[Any]:
        value: Optional[List[Any]] = self._get(name, list, "a list")
        if value is not None and len(value) > _MANY:
            raise self._refusal(name, "at most %d elements" % _MANY, "%d elements" % len(value))
        return value or []

    def texts(self, name: str) -> Tuple[str, ...]:
        values = self._list(name)
        if not all(isinstance(value, str) and len(value) <= _TEXT for value in values):
            self.refuse(name, "a list of texts")
        return tuple(self._counted(printable(value)) for value in values)

    def steps(self, name: str) -> Tuple[str, ...]:
        """Lines of the target, which all say that they are."""
        lines = self.texts(name)
        if not all(line.startswith(_TARGET) for line in lines):
            self.refuse(name, "lines that begin with %s" % _TARGET)
        return lines

    def versions(self, name: str) -> Tuple[str, ...]:
        values = self._list(name)
        if not all(isinstance(value, str) and is_exact(value) for value in values):
            self.refuse(name, "a list of versions X.Y.Z")
        return tuple(map(self._counted, values))

    def _inner(self, name: str) -> Optional["_Gate"]:
        value: Optional[Params] = self._get(name, dict, "a mapping")
        return (
            None
            if value is None
            else _Gate({"%s.%s" % (name, key): inner for key, inner in value.items()}, self._host, self._left)
        )

    def verification(self, name: str) -> Optional[Dict[str, Optional[str]]]:
        inner = self._inner(name)
        if inner is None:
            return None
        found = {
            "policy": inner.text(name + ".policy"),
            "signer": inner.match(name + ".signer", _SIGNER),
            "signed_at": inner.match(name + ".signed_at", _MOMENT),
            "site": inner.text(name + ".site"),
        }
        if found["policy"] not in (None,) + POLICIES:
            inner.refuse(name + ".policy", " or ".join(POLICIES))
        return found

    def error(self, name: str) -> Optional[Params]:
        inner = self._inner(name)
        if inner is None:
            return None
        found = {part: inner.text("%s.%s" % (name, part)) for part in ("host", "path", "url", "hint")}
        found.update((part, inner.match("%s.%s" % (name, part), _WORD)) for part in ("step", "errno_name"))
        return dict(found, side="target", errno=inner.number(name + ".errno"))

    def job(self) -> Optional[Params]:
        """What core's async_wrapper says of a job that it has started; None where this is the module's own result."""
        if not self.has("ansible_job_id"):
            return None
        found: Params = {
            "ansible_job_id": self.match("ansible_job_id", _JOB),
            "results_file": self.text("results_file"),
        }
        for name in ("started", "finished"):
            if not isinstance(self._raw.get(name), (bool, int)):  # it became a truth value in ansible-core 2.19
                self.refuse(name, "true or false")
            found[name] = self._raw[name]
        return found

    def any(self, name: str, kinds: _Kinds) -> Any:
        """What is only shown: plain values of bounded size, the texts printable."""
        if not isinstance(self._raw[name], kinds):
            self.refuse(name, "of another type")
        if name in _LINES:
            return self._lines(name, _message_of(self._raw[name]))
        value = self._plain(name, self._raw[name], _DEPTH, [_MANY])
        if name == "diff" and not all(
            isinstance(each, dict) for each in (value if isinstance(value, list) else [value])
        ):
            self.refuse(name, "mappings")
        if name == "warnings" and any(str(each).lstrip().startswith(_CONTROLLER) for each in value):
            self.refuse(name, "none of the controller's")
        return value

    def _lines(self, name: str, text: str) -> str:
        if len(text) > _LONG:  # a Python that cannot read a module shows all of it
            text = "%s\n...\n%s" % (text[: _LONG // 2], text[-_LONG // 2 :])
        lines = "\n".join(map(printable, text.split("\n")))
        return self._counted(re.sub("(?m)^(?=.)", _INDENT, lines) if name == "exception" else lines)

    def _plain(self, name: str, value: Any, depth: int, left: List[int]) -> Any:
        left[0] -= 1
        if left[0] < 0 or depth < 0:
            raise self._refusal(name, "at most %d values, %d deep" % (_MANY, _DEPTH), "more")
        if isinstance(value, float) and not math.isfinite(value) or isinstance(value, int) and abs(value) > _LARGEST:
            raise self._refusal(name, "numbers of at most %d" % _LARGEST, "one that is none, or larger")
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, dict):
            return {
                self._plain(name, key, depth, left): self._plain(name, inner, depth - 1, left)
                for key, inner in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._plain(name, inner, depth - 1, left) for inner in value]
        text = _message_of(value)
        if len(text) > _LONG:
            raise self._refusal(name, "texts of at most %d characters" % _LONG, "%d characters" % len(text))
        return self._counted(printable(text))


def _message_of(value: Any) -> str:
    """The text of a warning, which is a record with an event from ansible-core 2.19 on."""
    return str(getattr(getattr(value, "event", None), "msg", value))
