# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks every result of a target and turns it into a typed record, or refuses it.

A compromised host can send any result. A result names files that are sent to the host, decides what is requested from a
mirror, and is shown and registered on the controller. No other code on the controller reads a module's raw result.
Fields that the record does not have, such as facts, are dropped. SECURITY.md describes the attackers.
"""

import math
import posixpath
import re
from typing import Any, Callable, Dict, List, NamedTuple, NoReturn, Optional, Pattern, Tuple, Union

from ...module_utils._errors import TerraformBinaryError, printable, quoted
from ...module_utils._records import DEFAULT_BASE_DIR, POLICIES, PRODUCT, SCRIPT_REFUSED, Params
from ...module_utils._release.layout import check_platform
from ...module_utils._versions.version import is_exact

_TEXT = 8192  # characters of one text, such as a line or a path
_LONG = 65536  # characters of a text with many lines: the output of Python before it ended
_ALL = 1 << 20  # characters of all texts together
_MANY = 10000  # elements of one list
_DEPTH = 8  # nesting of values that are only shown
_LARGEST = 1 << 62  # largest number
HEX = re.compile(r"[0-9a-f]{64}\Z")
_SIGNER = re.compile(r"[0-9A-F]{40}\Z")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")
_WORD = re.compile(r"[a-zA-Z_]{1,20}\Z")
_PATH = re.compile(r"/[0-9A-Za-z._+~/-]*\Z")
_LOOK = "look at that host: its Python or the host itself may have been tampered with"
_JOB = re.compile(r"[j0-9.]{1,64}\Z")  # of ansible-core's async_wrapper

_Kinds = Union[type, Tuple[type, ...]]  # as isinstance() takes them


class AnswerError(TerraformBinaryError):
    """A target sent a result that the module never returns."""

    step = "plan"


class Answer(NamedTuple):
    """One result of the module, every field checked. ``None`` if the module says null or omits the field."""

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
    job: Optional[Dict[str, Any]]  # of a background job that was started: what core needs to find it again
    shown: Dict[str, Any]  # fields that are only shown and registered: diff, warnings, owner and mode of the path, ...


# Fields that are only shown, and their types. Core turns most of these into its own objects: see _message_of().
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
_LINES = ("module_stdout", "module_stderr", "exception")  # these keep their line breaks
_INDENT = "    "  # of an exception's lines, which core prints unchanged: none may look like one of Ansible's own
_TARGET, _CONTROLLER = "target: ", "controller:"


class Asked(NamedTuple):
    """The request to a target, as far as its result must repeat it."""

    version: Optional[str] = None  # exact; None: none, or a removal
    allows: Optional[Callable[[str], bool]] = None  # whether the user's request allows a version; None: any exact one
    platform: Optional[str] = None  # None: the host's own, whatever it is
    base_dir: Optional[str] = DEFAULT_BASE_DIR  # None: as the host expands it
    link: Optional[str] = ""  # "": none; None: as the host expands it
    downloads: bool = True  # False: whatever the version is, no archive may be needed for it
    removes: bool = True  # whether something may have to be removed


def asked_path(value: Any, default: str) -> Optional[str]:
    """Return a path as the result must repeat it: str; None if only the host can expand it (``~``, variables)."""
    text = default if value is None else str(value)
    if text.startswith("~") or "$" in text:
        return None
    return printable("/" * bool(text) + "/".join(part for part in text.split("/") if part not in ("", ".")))


def refuses_script(raw: Any) -> bool:
    """Whether the script says that this host needs the module itself. A host that lies gets the module, no more."""
    return isinstance(raw, dict) and raw.get("failed") is True and raw.get("msg") == SCRIPT_REFUSED


def read_answer(raw: Any, host: str, asked: Asked, job: bool = False) -> Answer:
    """Check a module's result and return it as an Answer.

    :param raw: what ``_execute_module`` returned.
    :param host: str, the inventory name of the host, for the error.
    :param asked: Asked.
    :param job: bool, the module was started in the background, so the result may describe a job.
    :returns: Answer.
    :raises AnswerError: a type, range or form is wrong, or the result does not match the request.
    """
    gate = Gate(raw, host)
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
        binary_sha256=gate.match("binary_sha256", HEX),
        archive_sha256=gate.match("archive_sha256", HEX),
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


def _compare(gate: "Gate", answer: Answer, asked: Asked) -> None:
    """Refuse an Answer that does not match the request. Raises AnswerError."""
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
    if not asked.downloads and answer.needs_archive is not False:
        gate.refuse("needs_archive", "False, since nothing is downloaded for this request")
    below = "%s/" % answer.base_dir
    for gone in answer.removed:
        if not asked.removes:
            gate.refuse("removed", "nothing, since nothing was to be removed")
        if gone not in (answer.link, answer.base_dir) and not (gone.startswith(below) and ".." not in gone.split("/")):
            gate.refuse("removed", "paths below %s" % answer.base_dir)
    # The version may be unknown (latest in check mode) or None (nothing matches a removal).
    path = answer.version and "%s/%s/%s" % (answer.base_dir, answer.version, PRODUCT)
    if answer.path != path:
        gate.refuse("path", path or "none")
    kept = answer.backup_file and posixpath.basename(answer.backup_file)
    if kept and not kept.startswith(posixpath.basename(answer.link or "/") + "."):
        gate.refuse("backup_file", "the name of the link with more after it")


def as_raw(answer: Answer) -> Params:
    """Return an Answer as the result of a task: dict, without fields that the target omitted."""
    result = dict(answer.shown)
    said = ("failed", "changed", "msg", "previous_version")  # the module always sets these
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
    if answer.failed:  # the module omits these in a failure
        for name in ("downloaded_bytes", "needs_archive"):
            result.pop(name, None)
    return result


def check_target_path(path: str, host: str) -> None:
    """Refuse a target's path that will be part of an sftp batch or a command line.

    Core quotes it, but a batch ends each command at the line break, and programs parse quotes differently (sftp(1)).

    :raises AnswerError: it is not absolute, or has characters that are not plain.
    """
    if not _PATH.match(path):
        raise AnswerError(
            "%s answered what this module does not say: its temporary directory is %s, expected an absolute "
            "path of letters, digits and ._+~-" % (host, quoted(path, 60)),
            path=path,
            hint=_LOOK,
        )


class Gate:
    """One raw result, read field by field."""

    def __init__(self, raw: Any, host: str, left: Optional[List[int]] = None) -> None:
        self._host = host
        self._left = left or [_ALL]  # characters left for texts
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
        """Return a boolean; with ``number`` also 0 or 1, which core's async_wrapper returns up to ansible-core 2.18."""
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
        """Return the text after counting it towards the limit for all texts."""
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

    def _list(self, name: str, most: int = _MANY) -> List[Any]:
        value: Optional[List[Any]] = self._get(name, list, "a list")
        if value is not None and len(value) > most:
            raise self._refusal(name, "at most %d elements" % most, "%d elements" % len(value))
        return value or []

    def texts(self, name: str, most: int = _MANY) -> Tuple[str, ...]:
        values = self._list(name, most)
        if not all(isinstance(value, str) and len(value) <= _TEXT for value in values):
            self.refuse(name, "a list of texts")
        return tuple(self._counted(printable(value)) for value in values)

    def steps(self, name: str) -> Tuple[str, ...]:
        """Return the steps of the target; each must say that it is the target's."""
        lines = self.texts(name)
        if not all(line.startswith(_TARGET) for line in lines):
            self.refuse(name, "lines that begin with %s" % _TARGET)
        return lines

    def versions(self, name: str) -> Tuple[str, ...]:
        values = self._list(name)
        if not all(isinstance(value, str) and is_exact(value) for value in values):
            self.refuse(name, "a list of versions X.Y.Z")
        return tuple(map(self._counted, values))

    def inner(self, name: str) -> Optional["Gate"]:
        """Return a mapping as a Gate, whose names begin with that of the mapping; None for null."""
        value: Optional[Params] = self._get(name, dict, "a mapping")
        return None if value is None else self._named(name, value)

    def inner_list(self, name: str, most: int) -> List[Tuple[str, "Gate"]]:
        """Return a list of mappings: the name of each, and its Gate."""
        values = self._list(name, most)
        if not all(isinstance(value, dict) for value in values):
            self.refuse(name, "a list of mappings")
        names = ["%s[%d]" % (name, number) for number in range(len(values))]
        return [(each, self._named(each, value)) for each, value in zip(names, values)]

    def _named(self, name: str, value: Params) -> "Gate":
        return Gate({"%s.%s" % (name, key): inner for key, inner in value.items()}, self._host, self._left)

    def verification(self, name: str) -> Optional[Dict[str, Optional[str]]]:
        inner = self.inner(name)
        if inner is None:
            return None
        found = {
            "policy": inner.text(name + ".policy"),
            "signer": inner.match(name + ".signer", _SIGNER),
            "signed_at": inner.match(name + ".signed_at", MOMENT),
            "site": inner.text(name + ".site"),
        }
        if found["policy"] not in (None,) + POLICIES:
            inner.refuse(name + ".policy", " or ".join(POLICIES))
        return found

    def error(self, name: str) -> Optional[Params]:
        inner = self.inner(name)
        if inner is None:
            return None
        found = {part: inner.text("%s.%s" % (name, part)) for part in ("host", "path", "url", "hint")}
        found.update((part, inner.match("%s.%s" % (name, part), _WORD)) for part in ("step", "errno_name"))
        return dict(found, side="target", errno=inner.number(name + ".errno"))

    def job(self) -> Optional[Params]:
        """Return what core's async_wrapper says about a job; None if this is the module's own result."""
        if not self.has("ansible_job_id"):
            return None
        found: Params = {
            "ansible_job_id": self.match("ansible_job_id", _JOB),
            "results_file": self.text("results_file"),
        }
        for name in ("started", "finished"):
            if not isinstance(self._raw.get(name), (bool, int)):  # a boolean since ansible-core 2.19
                self.refuse(name, "true or false")
            found[name] = self._raw[name]
        return found

    def any(self, name: str, kinds: _Kinds) -> Any:
        """Return a value that is only shown: plain values of limited size, with printable texts."""
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
        if len(text) > _LONG:  # a Python that cannot parse a module prints all of it
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
    """Return the text of a warning, which is a record with an event since ansible-core 2.19."""
    return str(getattr(getattr(value, "event", None), "msg", value))
