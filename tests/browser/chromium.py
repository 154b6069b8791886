"""A headless Chromium, driven through its DevTools protocol over a pipe: nothing but the browser is needed."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.patience import PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find() -> str | None:
    """Where a Chromium is, if there is one, and its pipes can be used."""
    return next(filter(None, map(shutil.which, NAMES)), None) if os.name == "posix" else None


class Page:
    """One tab. Everything that its console says, and every exception, gathers in `complaints`."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._unread = b""
        self._sent = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(
        self,
        path: Path,
        *,
        width: int = 1400,
        height: int = 900,
        scale: float = 1,
        dark: bool = False,
        touch: bool = False,
    ) -> None:
        """Open a file, on a touch screen if so wanted, and wait until it has drawn itself."""
        self._call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self.complaints.clear()
        self.requests.clear()
        self._call("Page.navigate", url=path.resolve().as_uri())
        self.wait(
            "window.numdnc !== undefined && performance.getEntriesByName('first-contentful-paint').length > 0"
        )

    def run(self, code: str) -> Any:
        """The value of a JavaScript expression, a promise's once it is kept."""
        answer = self._call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until a JavaScript condition holds."""
        end = time.monotonic() + PATIENCE
        while not self.run(condition):
            assert not self.complaints, self.complaints
            assert time.monotonic() < end, (condition, self.complaints)
            time.sleep(0.02)

    def settle(self) -> None:
        """Until what was asked for is drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def press(self, key: str, code: str | None = None, times: int = 1, shift: bool = False) -> None:
        """A key, as the keyboard would: `ArrowRight`, `Tab`, ` `, `a`."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        number = {"Tab": 9, "Enter": 13, "Backspace": 8, " ": 32}.get(
            key, ord(key[0]) if len(key) == 1 else 0
        )
        given = {"key": key, "code": code or key, "windowsVirtualKeyCode": number, "modifiers": 8 * shift}
        for _ in range(times):
            self._call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **given, **text)
            self._call("Input.dispatchKeyEvent", type="keyUp", **given)
        self.settle()

    def point(self, x: float, y: float, *, kind: str = "mouseMoved", held: bool = False) -> None:
        """Move the mouse, or press or release its button."""
        button = "left" if held or kind != "mouseMoved" else "none"
        count = int(kind != "mouseMoved")
        self._call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button=button,
            buttons=int(held or kind == "mousePressed"),
            clickCount=count,
        )
        self.settle()

    def click(self, x: float, y: float) -> None:
        self.point(x, y)
        self.point(x, y, kind="mousePressed")
        self.point(x, y, kind="mouseReleased")

    def tap(self, x: float, y: float, to: float | None = None) -> None:
        """Touch a point with one finger, or drag it from there to another x, and lift it."""
        ends = [] if to is None else [(x + (to - x) * k / 4, y) for k in range(1, 5)]
        self._call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for there, height in ends:
            self._call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": there, "y": height}])
        self._call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def _call(self, method: str, **parameters: Any) -> Any:
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        sending = json.dumps(message).encode() + b"\0"
        while sending:
            sending = sending[os.write(self._to, sending) :]
        while True:
            answer = self._read()
            if answer.get("id") == self._sent:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        method, details = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(details["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(details["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(details["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(details["request"]["url"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._back], [], [], PATIENCE)
            assert ready, "the browser has not answered"
            received = os.read(self._back, 1 << 20)
            assert received, "the browser has ended"
            self._unread += received
        message, _, self._unread = self._unread.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Page]:
    """A fresh browser with one tab, ended afterwards."""
    read_by_browser, to = os.pipe()
    back, written_by_browser = os.pipe()
    command = [
        program,
        "--headless=new",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        *(
            "--no-first-run",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--mute-audio",
        ),
        # Inside a container, and for root, Chromium's sandbox cannot start; only our own files are opened.
        "--no-sandbox",
        "--force-color-profile=srgb",
        "about:blank",
    ]
    # The browser reads from its descriptor 3 and writes to its descriptor 4.
    redirect = f'exec "$@" 3<&{read_by_browser} 4>&{written_by_browser}'
    process = subprocess.Popen(
        ["bash", "-c", redirect, "bash", *command],
        pass_fds=(read_by_browser, written_by_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_by_browser)
    os.close(written_by_browser)
    try:
        yield Page(to, back)
    finally:
        os.close(to)
        os.close(back)
        process.terminate()
        process.wait(timeout=PATIENCE)
