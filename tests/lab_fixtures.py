"""Fixtures of the lab's tests: the network in torch, and a page that has the lab's functions."""

import base64

import pytest
from lab_pages import WEIGHTS
from torchvision.models import mobilenet_v2

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
