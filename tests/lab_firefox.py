"""Drive an installed Firefox by WebDriver BiDi, which it speaks itself: no driver to download."""

import itertools
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import websocket


def find_firefox():
    """Return the path of an installed Firefox; a snap's is left out: it cannot read /tmp."""
    for path in filter(None, map(shutil.which, ("firefox-esr", "firefox"))):
        with Path(path).open("rb") as file:
            if Path(path).resolve().name != "snap" and b"/snap/" not in file.read(4096):
                return path
    return None


FIREFOX = find_firefox()
EVENTS = ["log.entryAdded", "network.beforeRequestSent"]


class Firefox:
    """A browser without a window; ``requests`` and ``faults`` are what its page did so far."""

    def __init__(self, profile):
        self.requests, self.faults, self.ids = [], [], itertools.count(1)
        command = [FIREFOX, "--headless", "--remote-debugging-port=0", "--profile", str(profile)]
        self.log = profile / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            address = self._address()
            self.socket = websocket.create_connection(
                f"{address}/session", timeout=60, suppress_origin=True
            )
            self.send("session.new", capabilities={})
            self.send("session.subscribe", events=EVENTS)
            tree = self.send("browsingContext.getTree")
            self.context = tree["contexts"][0]["context"]
        except BaseException:
            self.close()
            raise

    def _address(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(r"ws://[\d.:\[\]]+", self.log.read_text()):
                return found.group()
            time.sleep(0.05)
        raise TimeoutError(self.log.read_text())

    def send(self, method, **params):
        """Send a command, return its result; events that come before it are noted."""
        number = next(self.ids)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message["type"] == "event":
                self._note(message["method"], message["params"])
            elif message["id"] == number:
                assert message["type"] == "success", message
                return message["result"]

    def _note(self, event, params):
        if event == "network.beforeRequestSent":
            self.requests.append(params["request"]["url"])
        elif params["level"] in ("warn", "error"):
            self.faults.append(params["text"])

    def goto(self, address):
        self.send("browsingContext.navigate", context=self.context, url=address, wait="complete")

    def evaluate(self, expression):
        """Return the value of an expression (through JSON); a promise is awaited."""
        found = self.send(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression}) ?? null))()",
            target={"context": self.context},
            awaitPromise=True,
            userActivation=True,
        )
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return json.loads(found["result"]["value"])

    def wait(self, expression, seconds=60):
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"!!({expression})"):
            assert time.monotonic() < end, expression
            time.sleep(0.05)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
