# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless Chromium, driven by its DevTools protocol over two pipes: https://chromedevtools.github.io/devtools-protocol/"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PATIENCE = 120  # seconds for one answer: only so that a hang is seen as one
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find_browser():
    """The path of a Chromium: the one that TERRAFORM_BINARY_CHROMIUM names, or the first on the PATH; None without one."""
    named = os.environ.get("TERRAFORM_BINARY_CHROMIUM")
    return named or next(filter(None, map(shutil.which, _PROGRAMS)), None)


@contextlib.contextmanager
def browser(program):
    """A Page of a Chromium of its own, for the body."""
    to_read, to_write = _high_pipe()
    from_read, from_write = _high_pipe()
    profile = tempfile.mkdtemp(prefix="terraform-binary-chromium-")
    command = [
        program,
        "--headless",
        "--no-sandbox",  # root has none, and the pages are our own
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--hide-scrollbars",
        "--remote-debugging-pipe",
        "--user-data-dir=" + profile,
        "about:blank",
    ]
    process = subprocess.Popen(
        command,
        pass_fds=(3, 4),  # it reads from 3, and writes to 4
        preexec_fn=lambda: (os.dup2(to_read, 3), os.dup2(from_write, 4)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ, HOME=profile),
        start_new_session=True,
    )
    os.close(to_read)
    os.close(from_write)
    try:
        yield Page(from_read, to_write)
    finally:
        os.close(to_write)
        os.close(from_read)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(profile, ignore_errors=True)


def _high_pipe():
    """A pipe whose descriptors are none of those that a program expects."""
    found = os.pipe()
    high = tuple(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in found)
    for fd in found:
        os.close(fd)
    return high


class Page:
    """One tab. ``events`` has what it reported: (method, parameters)."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self._last, self._rest = 0, b""
        self.events = []
        self._session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.send(domain + ".enable")

    def send(self, method, **params):
        """Call a method of the protocol: its result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode("utf-8") + b"\0"
        while data:
            data = data[os.write(self._writer, data) :]
        while True:
            answer = self._receive()
            if answer.get("id") == self._last:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _receive(self):
        ends = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            assert select.select([self._reader], [], [], max(0, ends - time.monotonic()))[0], "Chromium does not answer"
            data = os.read(self._reader, 1 << 16)
            assert data, "Chromium has ended"
            self._rest += data
        message, _zero, self._rest = self._rest.partition(b"\0")
        found = json.loads(message.decode("utf-8"))
        if "method" in found:
            self.events.append((found["method"], found["params"]))
        return found

    def wait_for(self, method):
        """Wait for an event that is not among the events yet."""
        while not any(name == method for name, _params in self.events):
            self._receive()

    def open(self, path):
        """Load a file."""
        del self.events[:]
        self.send("Page.navigate", url="file://" + str(path))
        self.wait_for("Page.loadEventFired")

    def run(self, script):
        """The value of an expression of JavaScript; promises are awaited."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key, code, text=""):
        """Press a key, as a user does."""
        for kind in ("keyDown", "keyUp"):
            params = {"type": kind, "key": key, "windowsVirtualKeyCode": code}
            self.send("Input.dispatchKeyEvent", **dict(params, text=text) if text and kind == "keyDown" else params)

    def screenshot(self, path):
        """Save what the window shows as a PNG."""
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))
