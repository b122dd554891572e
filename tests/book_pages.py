"""The pages of the built book, and an open page with all that goes wrong on it."""

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
# Two frames after all photos are there, a figure shows what was asked of it.
FRAMES = """async () => {
    await Promise.all([...document.querySelectorAll(".book-figure img")].map((i) => i.decode()));
    for (let k = 0; k < 2; k++) await new Promise(requestAnimationFrame);
}"""
CHAPTERS = [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]


def settle(page) -> None:
    """Wait until the figures on a page are drawn; a figure in the book knows by itself."""
    page.settle() if hasattr(page, "settle") else page.evaluate(FRAMES)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine, without a log; yield its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Visit:
    """An open page, and all that went wrong with it."""

    def __init__(self, browser, url: str, **options):
        self.faults = []
        self.page = browser.new_context(**options).new_page()
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("console", self.note_message)
        self.page.on("requestfailed", self.note_failure)
        self.page.on("response", self.note_response)
        self.page.on("request", self.note_request)
        self.page.goto(url)
        self.page.evaluate("window.MathJax?.startup?.promise.then(() => null)")
        self.page.evaluate(FRAMES)

    def note_message(self, message):
        """Note errors and warnings on the console."""
        if message.type in ("error", "warning") and "willReadFrequently" not in message.text:
            self.faults.append(f"{message.type}: {message.text}")

    def note_failure(self, request):
        """Note requests without an answer, but for those that a leaving reader gives up."""
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"failed: {request.url} {request.failure}")

    def note_response(self, response):
        """Note pages, pictures and scripts that are not there."""
        if response.status >= 400:
            self.faults.append(f"{response.status}: {response.url}")

    def note_request(self, request):
        """Note every request that leaves the book; conftest.py's browser finds no other host."""
        if not request.url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:")):
            self.faults.append(f"outside: {request.url}")
