"""The lab in Firefox, from a folder: photos, head, answer."""

import base64
import json
import os

import numpy as np
import pytest
from lab_firefox import FIREFOX, Firefox
from lab_pages import jpeg, normalise

from tutorial_utils.photos import load_photo

pytest_plugins = ["lab_fixtures"]
LAB = "document.querySelector('book-lab')"


@pytest.fixture
def firefox(tmp_path):
    """Start Firefox; skip where it is missing."""
    if not FIREFOX:
        if os.environ.get("CI") and os.environ.get("SCHEDULED"):
            pytest.fail("no Firefox in the scheduled run")
        pytest.skip("no Firefox: apt install firefox-esr")
    browser = Firefox(tmp_path)
    yield browser
    browser.close()


@pytest.mark.slow
def test_it_learns_in_firefox_from_a_folder(firefox, lab_site, torch_model):
    root = lab_site.as_uri()
    firefox.goto(f"{root}/book/whole.html")
    firefox.wait(f"{LAB}.shadowRoot?.querySelector('button')")
    assert not [url for url in firefox.requests if "weights" in url]
    button = f"[...{LAB}.shadowRoot.querySelectorAll('button')].find((b) => b.textContent === %s)"
    firefox.evaluate(f"{button % json.dumps('Try it with ours')}.click()")
    shown = f"{LAB}.shadowRoot.querySelector(%s).innerText"
    learnt = shown % json.dumps(".learnt")
    firefox.wait(f"{LAB}.last && !{LAB}.adding && {learnt}.includes('of 10 right')")
    assert firefox.evaluate(f"{LAB}.fast")
    assert firefox.evaluate(f"{LAB}.fitted.right") >= 8
    assert firefox.evaluate(f"{LAB}.classes.map((c) => c.name + c.rows.length)") == [
        "cone5",
        "torus5",
    ]
    assert "cone" in firefox.evaluate(shown % json.dumps(".result .bars"))
    # A photo of the reader's, its features as torch has them: Firefox decodes as Chromium does.
    photo = load_photo("chelsea", 256)
    data = base64.b64encode(jpeg(photo, format="PNG")).decode()
    file = f"Uint8Array.from(atob({json.dumps(data)}), (c) => c.charCodeAt(0))"
    firefox.evaluate(f"{LAB}.ask(new File([{file}], 'cat.png', {{ type: 'image/png' }}))")
    found = firefox.evaluate(f"[...{LAB}.last.features]")
    crop = np.array(photo)[16:-16, 16:-16]
    expected = torch_model.features(normalise(crop[None])).mean((2, 3))[0].detach().numpy()
    assert np.abs(found - expected).max() < 0.15
    firefox.evaluate(f"{button % json.dumps('Close the lab')}.click()")
    assert firefox.evaluate(f"{LAB}.worker") is None
    own = [url for url in firefox.requests if url.startswith((f"{root}/", "blob:", "data:"))]
    assert own == firefox.requests
    assert sum("weights.js" in url for url in own) <= 1
    assert firefox.faults == []
