"""A headless Chromium, driven by its DevTools protocol over two pipes."""

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser", "chrome"))), None
)
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run")


class Browser:
    """One process; `open` shows a page in a tab of its own."""

    def __init__(self, folder: Path):
        commands, self._to = os.pipe()
        self._from, answers = os.pipe()
        # The protocol reads descriptor 3 and writes 4.
        shell = ("sh", "-c", f'exec "$@" 3</dev/fd/{commands} 4>/dev/fd/{answers}', "sh")
        self._process = subprocess.Popen(
            [*shell, PROGRAM, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(commands, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._numbers = itertools.count(1)
        self._received = b""
        self.events: list[dict] = []

    def open(self, url: str) -> "Page":
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session, url)

    def call(self, method: str, session: str | None = None, **parameters) -> dict:
        """The result; what happens meanwhile is kept in `events`."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def receive(self) -> dict:
        while b"\0" not in self._received:
            part = os.read(self._from, 1 << 16)
            assert part, "the browser has gone"
            self._received += part
        answer, _, self._received = self._received.partition(b"\0")
        return json.loads(answer)

    def close(self) -> None:
        os.close(self._to)
        os.close(self._from)
        self._process.terminate()
        self._process.wait(20)


class Page:
    """A tab.  What goes wrong in it, and what it asks the network for, is kept."""

    def __init__(self, browser: Browser, session: str, url: str):
        self._browser, self._session = browser, session
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self._begun = len(browser.events)
        self.call("Page.navigate", url=url)
        while not self._happened("Page.loadEventFired"):
            browser.events.append(browser.receive())

    def call(self, method: str, **parameters) -> dict:
        return self._browser.call(method, self._session, **parameters)

    def _happened(self, method: str) -> list[dict]:
        """The parameters of the events of this kind, in order."""
        mine = (e for e in self._browser.events[self._begun :] if e.get("sessionId") == self._session)
        return [event["params"] for event in mine if event["method"] == method]

    def run(self, script: str):
        """The value of a JavaScript expression, as Python has it."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def show(self, width: int, height: int, scheme: str) -> None:
        """scheme: "light" or "dark"."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def click(self, element: str) -> None:
        """With the mouse, in the middle of the element that the expression gives, which is scrolled to."""
        x, y = self.run(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
            f" return [Math.min(r.x + r.width / 2, r.x + 60), r.y + r.height / 2] }})({element})"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = "none" if kind == "mouseMoved" else "left"
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=1)

    @property
    def errors(self) -> list:
        said = self._happened("Runtime.consoleAPICalled")
        return [
            *self._happened("Runtime.exceptionThrown"),
            *(each for each in said if each["type"] in ("error", "warning", "assert")),
            *(each for each in self._happened("Log.entryAdded") if each["entry"]["level"] == "error"),
        ]

    @property
    def requests(self) -> list[str]:
        return [each["request"]["url"] for each in self._happened("Network.requestWillBeSent")]
