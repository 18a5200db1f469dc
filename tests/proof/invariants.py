# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The invariants of the install protocol, checked from outside: nothing of the installer is asked.

I1  the binary is absent, old-complete or new-complete        I2  what can be executed are verified bytes
I3  a clean re-run succeeds, changed iff something had to change; a third run changes nothing
I4  no temporary files after the re-run, at most three before it
I5  a failure names step, path and errno, and has no traceback; its ``changed`` is right
"""

import errno
import hashlib
import json
import os

TEMPS = 3  # at most, after a fault
_NAMES = ("terraform", "terraform.json")


class Course:
    """One world before a fault, after it, and what a clean run makes of it.

    :param before: Hit, before the fault.
    :param right: Hit, after a run that nothing happened to.
    """

    def __init__(self, before, right):
        self.before = before
        self.right = right

    def after_fault(self, hit, ending, wanted_errno=None, lie=False):
        """What is wrong after a run that a fault struck: list of sentences.

        :param hit: Hit.
        :param ending: faults.Ending of that run.
        :param wanted_errno: str, the errno that a failure has to have; None: the fault has none.
        :param lie: bool, a call said that it was done and was not: what it says of changes cannot be held against it.
        """
        wrong = list(self._binary(hit)) + list(self._stale_files(hit)) + list(self._link(hit))
        answer = ending.answer
        if ending.traceback:
            wrong.append("I5: a traceback: %s" % ending.traceback.strip().splitlines()[-1])
        if answer is None:
            return wrong
        if answer.get("failed"):
            wrong += self._failure(answer, wanted_errno)
        elif hit.picture != self.right.picture and not _only_stale_files(hit.picture, self.right.picture):
            wrong.append("I1: success, and %s" % difference(hit.picture, self.right.picture))
        if not lie and answer["changed"] != self.has_changed(hit):
            wrong.append(
                "I5: changed is %s, and %s" % (answer["changed"], difference(self.before.picture, hit.picture))
            )
        return wrong

    def after_rerun(self, hit, ending, again, third, third_hit):
        """What is wrong after a clean run and one more: list of sentences.

        :param hit: Hit, before the clean run.
        :param ending: Ending of the clean run.
        :param again: Hit after it.
        :param third: Ending of the third run.
        :param third_hit: Hit after that.
        """
        answer, needed = ending.answer, hit.picture != self.right.picture
        if answer is None or answer.get("failed"):
            return ["I3: the clean run failed: %s" % (ending.traceback or answer and answer["msg"] or ending)]
        wrong = []
        if answer["changed"] != needed:
            wrong.append(
                "I3: the clean run says changed %s, and before it %s"
                % (answer["changed"], difference(hit.picture, self.right.picture))
            )
        if again.picture != self.right.picture:
            wrong.append(
                "%s: after the clean run %s"
                % (
                    "I4" if _only_stale_files(again.picture, self.right.picture) else "I3",
                    difference(again.picture, self.right.picture),
                )
            )
        if self.right.receipt is not None and not _has_provenance(again, True):
            wrong.append("I3: after the clean run the receipt is not about the binary")
        if third.answer is None or third.answer.get("failed") or third.answer["changed"]:
            wrong.append("I3: the third run says %s" % (third.answer or third.traceback,))
        if third_hit.picture != again.picture:
            wrong.append("I3: the third run made %s" % difference(again.picture, third_hit.picture))
        return wrong

    def _binary(self, hit):
        if hit.binary is None:
            return
        new = hit.binary == self.right.binary
        if not new and hit.binary != self.before.binary:
            yield "I1: the binary has %d bytes, neither the old nor the new ones" % len(hit.binary)
            if hit.mode & 0o111:
                yield "I2: bytes that nobody verified can be executed (mode %04o)" % hit.mode
        if new and hit.mode not in (self.right.mode, self.before.mode):
            yield "I1: the binary has mode %04o" % hit.mode
        untouched = hit.binary == self.before.binary and hit.receipt is None and self.before.receipt is None
        if self.right.receipt is not None and not _has_provenance(hit, new) and not untouched:
            yield "I2: no receipt describes the binary that is there"

    def _stale_files(self, hit):
        temps = [path for path in hit.picture if _is_temp(path)]
        if len(temps) > TEMPS + sum(map(_is_temp, self.before.picture)):
            yield "I4: %d temporary files: %s" % (len(temps), ", ".join(temps))
        known = set(self.before.picture) | set(self.right.picture) | set(temps)
        for path in sorted(set(hit.picture) - known):
            if not any(other.startswith(path + os.sep) for other in known):  # a directory on the way is known, too
                yield "I4: nobody knows what %s is" % path

    def _link(self, hit):
        if hit.link not in (self.before.link, self.right.link):
            yield "I1: the link points to %s" % hit.link
        elif hit.link != self.before.link and self.right.link and hit.binary != self.right.binary:
            yield "I1: the link points to a binary that is not the new one"

    def _failure(self, answer, wanted_errno):
        error = answer.get("error") or {}
        if not error.get("step") or not error.get("path"):
            yield "I5: the failure names no step or no path: %s" % answer["msg"]
        elif not error["path"].startswith("/"):
            yield "I5: the failure names %s, which is no full path" % error["path"]
        if wanted_errno and error.get("errno") != getattr(errno, wanted_errno):
            yield "I5: the failure has %s, not %s: %s" % (error.get("errno_name"), wanted_errno, answer["msg"])

    def has_changed(self, hit):
        """Binary, receipt or link are not what they were, or a stale file of before is gone."""
        return _substance(hit.picture, self.before.picture) != _substance(self.before.picture, self.before.picture)


def _substance(picture, before):
    """What counts as a change: no directories on the way, and only those temporary files that were there before."""
    return dict(
        (path, entry)
        for path, entry in picture.items()
        if entry[0][0] != "d" and not (_is_temp(path) and path not in before)
    )


def _is_temp(path):
    return os.path.basename(path).startswith((".tmp.", ".iac-platform-link."))


def _only_stale_files(one, other):
    """Two pictures differ by temporary files of the first only."""
    return other == dict((path, entry) for path, entry in one.items() if not _is_temp(path))


def _has_provenance(hit, new):
    """There is a receipt, and it is that of the binary if this is the new one."""
    try:
        fields = json.loads((hit.receipt or b"").decode("utf-8"))
        return not new or fields["sha256"] == hashlib.sha256(hit.binary).hexdigest()
    except (ValueError, KeyError):
        return False


def difference(one, other):
    """What two pictures differ in, in words."""
    words = [
        "%s %s"
        % (
            path,
            "is not there"
            if path not in one
            else "is there"
            if path not in other
            else "is %s, not %s" % (_short(one[path], other[path])),
        )
        for path in sorted(set(one) | set(other))
        if one.get(path) != other.get(path)
    ]
    return "; ".join(words) or "nothing differs"


def _short(one, other):
    pairs = [(left, right) for left, right in zip(one, other) if left != right]
    return tuple(" ".join(str(pair[side])[:400] for pair in pairs) for side in (0, 1))
