"""What several test files share: one browser, pages that show one figure, the built book."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from book_pages import HTML, ROOT, Visit, serve
from browser import system_chromium
from filelock import FileLock

from tutorial_utils.interactive.base import read_module

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
FLAGS += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # no other machine is there


BROWSER = {"chromium", "load_module", "show", "visit", "addresses"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark what drives a browser as slow; leave ``scheduled`` tests out unless asked for."""
    for item in items:
        if BROWSER & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    if os.environ.get("SCHEDULED") or config.option.markexpr:
        return
    chosen = [item for item in items if "scheduled" not in item.keywords]
    if len(chosen) < len(items):
        config.hook.pytest_deselected(items=[i for i in items if "scheduled" in i.keywords])
        items[:] = chosen


@pytest.fixture(scope="session")
def chromium():
    """Start the browser; without one the tests are skipped, in CI they fail."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no Playwright: pip install -r requirements-dev.txt")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=system_chromium(), args=FLAGS)
        except Error as error:
            if os.environ.get("CI"):
                pytest.fail(f"no Chromium in CI: {error}")
            pytest.skip("no Chromium: apt install chromium, or playwright install chromium")
        yield browser
        browser.close()


@pytest.fixture
def load_module(chromium):
    """Return a function that calls an export of a figure's script, on a page of its own."""
    page = chromium.new_page()

    def call(script: str, expression: str, cases: list):
        """Import the script as ``m`` and map ``c => expression`` over the cases."""
        code = f"""async ([source, cases]) => {{
            const m = await import(URL.createObjectURL(
                new Blob([source], {{type: "text/javascript"}})));
            return cases.map(c => {expression});
        }}"""
        return page.evaluate(code, [read_module(script), cases])

    yield call
    page.close()


@pytest.fixture
def show(chromium, tmp_path):
    """Return a function that opens a page with one figure; errors on it fail the test."""
    contexts, errors = [], []

    def open_figure(figure, theme="light", width=760, **options):
        path = tmp_path / "figure.html"
        head = f"<!doctype html><html lang=en data-theme={theme}><meta charset=utf-8>"
        body = f"<title>figure</title><body><main>{figure._repr_html_()}</main>"
        path.write_text(head + body, encoding="utf-8")
        contexts.append(chromium.new_context(viewport={"width": width, "height": 700}, **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(path.as_uri())
        return page

    yield open_figure
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture(scope="session")
def addresses():
    """Serve the built book (building it if need be); return where each source finds its pages."""
    HTML.parent.mkdir(exist_ok=True)
    with FileLock(HTML.parent / ".lock"):  # one of pytest's workers builds, the others wait
        if not (HTML / "index.html").is_file():
            build = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "--quiet"]
            subprocess.run([*build, "-n", "-W", "--keep-going"], cwd=ROOT, check=True)

    with serve(HTML) as address:
        yield {"http": address, "file": HTML.as_uri()}


@pytest.fixture
def visit(addresses, chromium):
    """Return a function that opens a page of the book; what it opened is closed afterwards."""
    visits = []

    def open_page(name: str, source: str = "http", **options) -> Visit:
        visits.append(Visit(chromium, f"{addresses[source]}/{name}", **options))
        return visits[-1]

    yield open_page
    for visited in visits:
        visited.page.context.close()
