"""Fixtures of the lab's tests: the network in torch, and a page that has the lab's functions."""

import base64
import re

import pytest
from book_pages import serve
from lab_pages import WEIGHTS
from torchvision.models import mobilenet_v2

from tutorial_utils.lab import Lab
from tutorial_utils.lab import pack as packing
from tutorial_utils.lab.pack import pack_weights, read_scripts
from tutorial_utils.weights import fetch_weights

# The page's functions for the tests: bytes from base64 and back, one network of each kind.
HELPERS = """
const text64 = (a) => {
    const bytes = new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
    let out = "";
    for (let i = 0; i < bytes.length; i += 32768)
        out += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(out);
};
const nets = {};
const netFor = (half, simd) => nets[`${half} ${simd}`] ||= makeNetwork(
    (f) => unpack(bytesOf(half ? labHalf : labFull).buffer, half, f), simd && bytesOf(KERNEL));
const rgba = (rgb) => {
    const out = new Uint8ClampedArray(rgb.length / 3 * 4).fill(255);
    rgb.forEach((v, i) => { out[4 * Math.floor(i / 3) + i % 3] = v; });
    return out;
};
"""


@pytest.fixture(scope="session")
def torch_model():
    fetch_weights(WEIGHTS)
    return mobilenet_v2(weights=WEIGHTS).eval()


@pytest.fixture(scope="session")
def lab_functions(chromium, torch_model, tmp_path_factory):
    """Return a function that evaluates JavaScript where the lab's functions and weights are."""
    folder = tmp_path_factory.mktemp("lab")
    half, full = (
        base64.b64encode(pack_weights(torch_model, dtype)).decode() for dtype in ("<f2", "<f4")
    )
    text = f'{read_scripts()}{HELPERS}const labHalf = "{half}", labFull = "{full}";'
    (folder / "lab.js").write_text(text, encoding="utf-8")
    page = folder / "page.html"
    page.write_text(
        "<!doctype html><meta charset=utf-8><title>lab</title><script src=lab.js></script>"
    )
    opened = chromium.new_page()
    errors = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(page.as_uri())
    assert errors == [], errors
    yield opened.evaluate
    opened.close()


@pytest.fixture(scope="session")
def lab_site(torch_model, tmp_path_factory):
    """Return a folder that holds the packed lab and pages with it, as a built book does."""
    root = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "LEARN", (5, 5, 0))
        patch.setattr(packing, "ASK", (1, 1, 1))
        done = packing.pack(root / "_static" / "lab")
    assert len(done) == 3
    (root / "book").mkdir()
    for name, lab in {"whole": Lab(), "compact": Lab(compact=True)}.items():
        (root / "book" / f"{name}.html").write_text(
            "<!doctype html><html lang=en><meta charset=utf-8><title>lab</title>"
            '<meta name=viewport content="width=device-width"><link rel=icon href="data:,">'
            f"<main><h1>A chapter</h1><h2>The lab</h2>{lab._repr_html_()}</main>",
            encoding="utf-8",
        )
    return root


class LabPage:
    """An open page with the lab, what it asked for, and what went wrong."""

    def __init__(self, browser, address, **options):
        self.requests, self.faults = [], []
        # No motion: a curve that grows for a second would only make the tests wait.
        self.page = browser.new_context(reduced_motion="reduce", **options).new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.route(re.compile(r"^https?://(?!127\.0\.0\.1:)"), lambda route: route.abort())
        self.page.goto(address)
        self.lab = self.page.locator("book-lab")

    def has(self, expression, timeout=60_000):
        """Wait until an expression about ``lab`` is true."""
        code = f"() => {{ const lab = document.querySelector('book-lab'); return {expression}; }}"
        self.page.wait_for_function(code, timeout=timeout)

    def get(self, expression):
        """Return the value of an expression about ``lab``."""
        return self.lab.evaluate(f"(lab) => {expression}")

    def click(self, name):
        self.page.get_by_role("button", name=name).click()

    def try_ours(self):
        """Open the lab afresh with the book's photos; wait for the last number."""
        if self.get("!!lab.worker"):
            self.click("Close the lab")
        self.click("Try it with ours")
        self.has("lab.fitted?.left && lab.last && !lab.adding")

    def start_empty(self):
        """Open the lab afresh without photos."""
        if self.get("!!lab.worker"):
            self.click("Close the lab")
        self.click("Choose photos")
        self.has("lab.classes?.length === 2")

    def give(self, number, *files):
        """Choose photos ({name, mimeType, buffer}) for a class, wait until all is learnt."""
        self.page.locator(".card").nth(number).locator("input[type=file]").set_input_files(files)
        self.has("!lab.adding && (!lab.fitted || lab.fitted.left !== undefined)")


@pytest.fixture(scope="session")
def lab_server(lab_site):
    with serve(lab_site) as address:
        yield address


@pytest.fixture(scope="session")
def open_lab(chromium, lab_site):
    """Return a function that opens a page with the lab."""
    opened = []

    def open_page(name="whole", root=None, browser=None, **options):
        address = f"{root or lab_site.as_uri()}/book/{name}.html"
        opened.append(LabPage(browser or chromium, address, **options))
        return opened[-1]

    yield open_page
    for page in opened:
        page.page.context.close()


@pytest.fixture(scope="module")
def shared_lab(open_lab):
    """One page for the tests that need no page of their own; each begins with a fresh lab."""
    return open_lab()
