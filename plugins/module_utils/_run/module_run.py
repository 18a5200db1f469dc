# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of the module: parse the parameters, choose a version, plan, and apply the plan or predict its result."""

import contextlib
import errno
import functools
import os
import platform
from typing import TYPE_CHECKING, Callable, Iterator, List, NoReturn, Optional, Sequence, Set, Tuple, Union

from . import results
from .._errors import MissingDependency, RequestError, TerraformBinaryError, printable, redacted
from .._fs.directory import trusted_owners
from .._fs.trusted_file import open_trusted_file
from .._install.installed import Inventory
from .._install.plan import Plan, list_installed, make_plan
from .._install.preflight import check_archive
from .._openpgp.signers import trusted_signers
from .._records import Params, Provenance, Request, SetContext, Sink
from .._release.layout import detect_platform
from .._release.resolver import matching_versions, resolve_version
from .._request.parse import parse_request
from .._versions.version import components, is_exact, sort_key

if TYPE_CHECKING:
    from .._source import Source

# What only some runs need is imported there: a run that finds everything in order takes a fraction of the time by that.


class Steps:
    """The log of a run. Lines are kept for the result, and sent to syslog at once so that a killed run leaves a trace.

    ``previous_version`` is stored here for failures.

    :param write: callable(line) that writes to the system's log.
    :param warn: callable(text) that issues a warning of the task.
    :param secrets: texts to redact, because mirrors and proxies could repeat them.
    """

    def __init__(self, write: Callable[[str], None], warn: Callable[[str], None], secrets: Sequence[str] = ()) -> None:
        self.lines: List[str] = []
        self.secrets = secrets
        self.previous_version: Optional[str] = None
        self._write = write
        self._warn = warn

    def __call__(self, line: str, warning: bool = False) -> None:
        # syslog accepts neither line ends nor bytes that are not text.
        line = redacted("target: %s" % printable(line), self.secrets)
        self.lines.append(line)
        self._write(line)
        if warning:
            self.warn(line)

    def warn(self, text: str) -> None:
        """Issue a warning of the task, with secrets redacted."""
        self._warn(redacted(printable(text), self.secrets))


class NoSource:
    """Replaces a Source if the controller downloads but sent no archive, because its plan needed none.

    :param request: Request.
    """

    def __init__(self, request: Request) -> None:
        self._request = request

    def provenance(self) -> NoReturn:
        """Raises RequestError."""
        raise RequestError(
            "%s needs the archive of %s now, and did not when the controller planned this run"
            % (self._request.path, self._request.version),
            path=self._request.path,
            hint="another process changed it meanwhile: run again",
        )

    def archive(self, sink: Sink) -> NoReturn:
        """Raises RequestError."""
        self.provenance()

    def listing(self, site: str) -> NoReturn:
        """Raises RequestError."""
        raise RequestError(
            "version %s is chosen by the controller, which did not" % self._request.requested,
            hint="use download: target for calls of the module past its action plugin",
        )


class ModuleRun:
    """One call of the module: its parameters, and what all versions that it is about have in common."""

    def __init__(
        self, params: Params, check_mode: bool, steps: Steps, set_context: Optional[SetContext], diff_mode: bool
    ) -> None:
        self.params = params
        self.check_mode = check_mode
        self.diff_mode = diff_mode  # whether the bytes to fetch are shown, for which a site is asked
        self.steps = steps
        self.missed: Set[str] = set()
        self.changed = False  # a plan that was applied has changed the host
        self.request = self.parse()
        self.signers = trusted_signers(self.request.trusted_keys)
        self.set_context = set_context
        # With download: controller, the controller gets the archive once it knows the plan, and runs the module again.
        no_source = self.request.download == "controller" and not self.request.archive
        self.source: Union[NoSource, "Source"] = NoSource(self.request) if no_source else self._new_source()

    def _new_source(self) -> "Source":
        from .._source import Source

        guard = functools.partial(open_trusted_file, owners=trusted_owners(self.request.uid))
        return Source(self.request, self.steps, guard)

    def parse(self, version: Optional[str] = None) -> Request:
        """Return the request, for the version that was chosen, if one is given. Raises RequestError."""
        missing: Optional[List[str]] = [] if self.check_mode else None
        request = parse_request(
            self.params, lambda: detect_platform(platform.system(), platform.machine()), version, missing
        )
        for each in missing or ():
            self.miss(each)
        return request

    def miss(self, what: object) -> None:
        """Warn once about something missing that a real run would need."""
        if str(what) not in self.missed:
            self.missed.add(str(what))
            self.steps.warn("check mode: %s; in a real run a task before this one has to change that" % what)

    @contextlib.contextmanager
    def allow_missing(self) -> Iterator[None]:
        """In check mode, turn an error of the body about something missing into a warning.

        A task before this one would create it in a real run. Only missing things count: what exists and is wrong is an
        error in check mode as well.
        """
        try:
            yield
        except (RequestError, MissingDependency) as exc:
            if not self.check_mode or exc.errno != errno.ENOENT and not isinstance(exc, MissingDependency):
                raise
            self.miss(exc)

    def predict_provenance(self, plan: Plan, source: "Source") -> Optional[Provenance]:
        """Return what check mode can know of the archive's provenance; None if it is unknown."""
        provenance = None
        with self.allow_missing():
            provenance = source.provenance()
        if plan.request.archive:
            with self.allow_missing():
                archive = source.inspect(provenance)
                if archive is not None:
                    with archive.file:
                        check_archive(plan, archive)
        return provenance

    def plan(self, request: Request) -> Plan:
        """Plan for a request, and note the version that was linked before. Raises as make_plan()."""
        plan = make_plan(request, self.signers, self.set_context)
        self.steps.previous_version = self.steps.previous_version or results.previous_version(plan)
        return plan

    def converge(self, request: Request) -> Tuple[Params, Tuple[str, ...]]:
        """Plan for a request with a version, apply or predict, and remove what ``keep`` does not keep.

        :returns: (return values, step lines about them). Raises TerraformBinaryError.
        """
        if request.keep is None:
            return self.apply_or_predict(self.plan(request))
        from .._fs.signals import raise_on_signal
        from .._install.retention import prune

        with raise_on_signal(request.path):
            result, lines = self.apply_or_predict(self.plan(request))
            pruned = prune(request, self.steps, self.check_mode)
            self.changed = self.changed or bool(pruned.paths) and not self.check_mode
        if self.check_mode:
            lines += tuple("would remove: %s" % path for path in pruned.paths)
        stays = "more than keep: %d asks for, but in use: %s" % (request.keep, " | ".join(pruned.in_use))
        result = results.pruned_result(result, request, pruned, self.check_mode)
        if not pruned.in_use:
            return result, lines
        # With nothing to do, one line says it all.
        return result, lines + (stays,) if result["changed"] else ("%s; %s" % (lines[0], stays),)

    def apply_or_predict(self, plan: Plan) -> Tuple[Params, Tuple[str, ...]]:
        """Apply a plan, or predict its result in check mode; return (return values, step lines about them).

        Raises TerraformBinaryError.
        """
        lines: Tuple[str, ...]
        if plan.changes and not self.check_mode:
            from .._install.apply import apply_plan

            outcome = apply_plan(plan, self.signers, self.source, self.steps, self.set_context)
            self.changed = self.changed or outcome.changed
            result, safety_warnings = results.applied_result(outcome), outcome.safety_warnings
            lines = () if outcome.changed else (result["msg"],)
        else:
            source = None if isinstance(self.source, NoSource) or not plan.needs_archive else self.source
            provenance = self.predict_provenance(plan, source) if source else None
            result, lines = results.predicted_result(plan, provenance, self.check_mode)
            if source and provenance and self.diff_mode and plan.reads_archive(provenance.archive_sha256):
                result["diff"] = results.with_fetch(result["diff"], source.archive_size(provenance))
            safety_warnings = plan.safety_warnings
        for unsafe_reason in safety_warnings:
            self.steps.warn("allow_unsafe_base_dir: %s" % unsafe_reason)
        return result, lines


def run_module(
    params: Params,
    check_mode: bool,
    steps: Steps,
    set_context: Optional[SetContext] = None,
    diff_mode: bool = False,
) -> Params:
    """Parse the parameters, plan, and apply the plan or predict its result.

    :param params: the module's parameters, as in SPEC.
    :param set_context: from selinux_labeler(), on a host with SELinux.
    :param diff_mode: whether the diff will be shown; a site is then asked for the size of the archive.
    :returns: the return values of the module. Raises TerraformBinaryError, with ``changed`` for the whole run.
    """
    run = ModuleRun(params, check_mode, steps, set_context, diff_mode)
    try:
        return _run_module(run)
    except TerraformBinaryError as exc:
        exc.changed = exc.changed or run.changed
        raise


def _run_module(run: ModuleRun) -> Params:
    if run.request.wanted.is_previous:
        return go_back(run)
    if run.request.version is None:
        return remove_matching(run) if run.request.state == "absent" else install_newest(run)
    result, lines = run.converge(run.request)
    log_result(run, result, lines)
    if run.request.state == "absent" and result["removed"]:
        log_leftovers(run, result)
    return result


def log_result(run: ModuleRun, result: Params, lines: Sequence[str], choice: str = "") -> None:
    """Log the lines about a result. If nothing changed, they replace what was logged before.

    :param choice: how the version was chosen.
    """
    if not result["changed"]:
        del run.steps.lines[:]
        lines = ("; ".join(filter(None, (choice, lines[0]))),) + tuple(lines[1:])
    for line in lines:
        run.steps(line)


def go_back(run: ModuleRun) -> Params:
    """Switch the link to the version before; return the return values. Raises TerraformBinaryError."""
    from .._install.previous import find_previous

    version, choice = find_previous(run.request)
    run.steps(choice)
    result, lines = run.converge(run.parse(version))
    log_result(run, result, lines, choice)
    return result


def install_newest(run: ModuleRun) -> Params:
    """Choose the version, and install it; return the return values. Raises TerraformBinaryError."""
    inventory = list_installed(run.request).intact
    fitting = [version for version, built_for in inventory.items() if built_for == run.request.platform]
    version, source = None, run.source
    with run.allow_missing():
        version, choice = resolve_version(run.request, fitting, source.listing, run.steps)
    if version is None or isinstance(source, NoSource):  # NoSource has no listing to choose from
        result = results.undecided_result(run.request, fitting)
        run.steps(result["msg"])
        return result
    request = run.parse(version)
    run.source = source.with_version(request)
    result, lines = run.converge(request)
    result["downloaded_bytes"] += source.index_bytes
    log_result(run, result, lines, choice)
    return result


def remove_matching(run: ModuleRun) -> Params:
    """Remove every installed version that matches, or none if one of them must not be removed.

    They are removed one after the other, each under its own lock.

    :returns: return values. Raises TerraformBinaryError.
    """
    from .._install import leftovers

    request = run.request
    inventory = list_installed(request)
    for name in matching_versions(request.wanted, inventory.unmanaged):
        run.steps(
            "passed over: %s/%s has a binary without a receipt, which this module did not install"
            % (request.base_dir, name),
            warning=True,
        )
    log_unmatched(run, inventory)
    versions = matching_versions(request.wanted, inventory.managed)
    if request.wanted.is_all:
        versions = [version for version in leftovers.find_versions(request) if version not in inventory.unmanaged]
    plans = [run.plan(run.parse(version)) for version in versions]
    if request.wanted.is_all:
        plans = [plan for plan in plans if plan.changes]  # the others contain nothing of ours
    done: List[Params] = []
    for plan in plans:
        result, lines = run.apply_or_predict(plan)
        done.append(result)
        for line in lines:
            run.steps(line)
    result = results.merged_result(request, done, sorted(list_installed(request).intact), run.check_mode)
    result = remove_remaining(run, result) if request.wanted.is_all else result
    if not result["removed"]:
        run.steps(result["msg"])
    elif not request.wanted.is_all:
        log_leftovers(run, result)
    return result


def remove_remaining(run: ModuleRun, result: Params) -> Params:
    """Remove what is left after the versions; return the result of the whole removal. Raises TerraformBinaryError."""
    from .._install import leftovers

    if run.check_mode:
        rest = leftovers.find_leftovers(run.request, removed_names(run.request, result))
        paths: Sequence[str] = ["%s/%s" % (run.request.base_dir, name) for name in rest.locks] + [
            run.request.base_dir
        ] * rest.base
        left: Sequence[str] = rest.left
        for path in paths:
            run.steps("would remove: %s" % path)
    else:
        paths, left = leftovers.remove_leftovers(run.request, run.steps, bool(result["removed"]))
    if result["removed"] or paths:  # otherwise the message says it
        for line in left:
            run.steps("left: %s" % line, warning=True)
    return results.cleared_result(result, run.request, paths, left, run.check_mode)


def removed_names(request: Request, result: Params) -> List[str]:
    """Return the names in the base dir that a removal would remove."""
    return [os.path.basename(path) for path in result["removed"] if os.path.dirname(path) == request.base_dir]


def log_unmatched(run: ModuleRun, inventory: Inventory) -> None:
    """Log the versions that a constraint does not match: users often do not expect that for pre-releases."""
    request = run.request
    others = [
        version
        for version in sorted(filter(is_exact, inventory.managed), key=sort_key)
        if not request.wanted.allows(version)
    ]
    if not others:
        return
    why = (
        "; a pre-release is matched by version: all, and by constraints that name one of the same numbers"
        if any(components(version)[1] for version in others)
        else ""
    )
    run.steps(
        "passed over, since %s does not match: %s%s" % (" ".join(request.wanted.text.split()), ", ".join(others), why)
    )


def log_leftovers(run: ModuleRun, result: Params) -> None:
    """After the last version was removed, log what the removal leaves. Raises TerraformBinaryError."""
    from .._install import leftovers

    rest = leftovers.find_leftovers(run.request, removed_names(run.request, result) if run.check_mode else ())
    if rest.base:
        run.steps(
            "left: %s, with %d lock files in it; version: all removes these, too"
            % (run.request.base_dir, len(rest.locks))
        )
