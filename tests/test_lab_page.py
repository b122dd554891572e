"""The lab as readers use it, in Chromium, from a server and from a folder."""

import base64
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from book_pages import CHAPTERS
from browser import system_chromium
from lab_pages import jpeg, normalise
from PIL import Image

from conftest import FLAGS
from tutorial_utils.lab import Lab
from tutorial_utils.photos import load_photo

pytest_plugins = ["lab_fixtures"]

RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


def photo_file(name, image, kind="image/jpeg"):
    return {"name": name, "mimeType": kind, "buffer": jpeg(image)}


def shots(name, count, seed=0):
    """Return different crops of one sample photo, as files."""
    rng, photo, files = np.random.default_rng(seed), load_photo(name), []
    for i in range(count):
        left, top = (int(rng.integers(0, n - 250)) for n in photo.size)
        crop = photo.crop((left, top, left + 250, top + 250))
        files.append(photo_file(f"{name}-{i}.jpg", crop))
    return files


# --- From the first click to a classifier. ---


@pytest.mark.parametrize("source", ["file", "http"])
def test_it_learns_our_photos_and_asks_the_network_for_nothing(
    open_lab, lab_site, lab_server, source
):
    root = {"file": lab_site.as_uri(), "http": lab_server}[source]
    opened = open_lab("compact", root)
    opened.has("lab.shadowRoot.querySelector('button')")
    assert not [url for url in opened.requests if "weights" in url or "ours" in url]
    opened.try_ours()
    assert opened.get("lab.fitted.right") >= 8
    assert opened.get("[...lab.classes].map((c) => c.name + c.rows.length)") == ["cone5", "torus5"]
    losses = opened.get("lab.fitted.losses")
    assert losses[0] == pytest.approx(np.log(2), abs=1e-6)
    assert losses[-1] < 0.1
    assert opened.page.locator(".bars.theirs .answer").count() == 5
    assert re.search(r"\d+ of 10 right", opened.page.locator(".learnt").inner_text())
    own = [url for url in opened.requests if url.startswith(("blob:", "data:", f"{root}/"))]
    assert own == opened.requests
    assert sum("weights.js" in url for url in opened.requests) == 1
    assert opened.faults == []
    opened.click("Close the lab")
    assert opened.page.workers == []  # the worker's memory is given back
    assert opened.page.get_by_role("button", name="Try it with ours").is_enabled()


def test_each_answer_is_the_softmax_of_its_scores_and_the_map_is_exact(shared_lab):
    shared_lab.try_ours()
    found = shared_lab.get(
        "({ w: [...lab.fitted.w], x: [...lab.last.features], m: [...lab.last.map] })"
    )
    w = np.array(found["w"]).reshape(2, 1281)
    z = w[:, :-1] @ found["x"] + w[:, -1]
    shares = np.exp(z) / np.exp(z).sum()
    names = ["cone", "torus"]
    text = shared_lab.page.locator(".result .verdict").inner_text()
    assert names[shares.argmax()] in text
    shown = shared_lab.page.locator(".answer").nth(1).inner_text()
    assert f"{min(max(round(100 * shares[1]), 1), 99)}\xa0%" in shown
    for step in shared_lab.page.locator("summary").all():
        step.click()
    # A step is drawn when its toggle event comes, which may be after another's maps are there.
    steps = "[...lab.shadowRoot.querySelectorAll('.step')]"
    shared_lab.has(f"lab.last.stages.length === 5 && {steps}.every((s) => s.children.length > 2)")
    steps = shared_lab.page.locator(".inside details").all_inner_texts()
    assert len(steps) == 6
    assert [side in steps[1] for side in ("112 × 112", "56 × 56", "28 × 28", "7 × 7")] == [True] * 4
    # The head's scores, and the map's mean, as the page prints them.
    for name, score in zip(names, z, strict=True):
        printed = re.search(rf"{name}: .* = ([−\d.]+)", steps[3]).group(1)
        assert float(printed.replace("−", "-")) == pytest.approx(score, abs=0.006)
    printed = re.search(r"49 numbers is ([\d.]+), .* mean score is ([\d.]+)\.", steps[5]).groups()
    assert [float(v) for v in printed] == pytest.approx([z.max() - z.mean()] * 2, abs=0.006)
    maps = np.array(found["m"]).reshape(49, 1280) @ (w[z.argmax(), :-1] - w[:, :-1].mean(0))
    mean = maps.mean() + w[z.argmax(), -1] - w[:, -1].mean()
    assert abs(mean - (z.max() - z.mean())) < 1e-4
    # Each step leads to a chapter of the book, and so does every other link.
    assert shared_lab.page.locator(".step a").count() == 6
    links = "[...lab.shadowRoot.querySelectorAll('a')].map((a) => a.getAttribute('href'))"
    pages = {f"{Path(chapter).name}.html" for chapter in CHAPTERS}
    assert {*shared_lab.get(links), Lab().more} <= pages
    assert shared_lab.faults == []


def test_an_untrained_network_looks_at_the_same_photos(shared_lab):
    shared_lab.try_ours()
    shared_lab.click("Compare with an untrained network")
    shared_lab.page.locator("section", has_text="Untrained, frozen").first.wait_for()
    assert 0 <= shared_lab.get("lab.untrained") <= 10
    text = shared_lab.page.get_by_role("region", name="Freeze or not?").inner_text()
    assert f"{shared_lab.get('lab.fitted.right')} of 10" in text
    assert f"{shared_lab.get('lab.untrained')} of 10" in text


def test_head_program_and_photos_are_taken_along(shared_lab):
    shared_lab.try_ours()
    files = {}
    for name in ("The head (JSON)", "The Python program", "The photos (zip)"):
        with shared_lab.page.expect_download() as download:
            shared_lab.click(name)
        files[download.value.suggested_filename] = download.value.path().read_bytes()
    head = json.loads(files["my-classifier.json"])
    assert head["classes"] == ["cone", "torus"]
    assert np.shape(head["weight"]) == (2, 1280)
    w = np.array(shared_lab.get("[...lab.fitted.w]")).reshape(2, 1281)
    assert np.allclose(w[:, :-1], head["weight"], rtol=1e-6)
    assert b"mobilenet_v2" in files["classify.py"]
    with zipfile.ZipFile(io.BytesIO(files["photos.zip"])) as archive:
        assert archive.testzip() is None
        assert sorted({name.split("/")[0] for name in archive.namelist()}) == ["cone", "torus"]
        assert len(archive.namelist()) == 10
        with Image.open(io.BytesIO(archive.read("cone/0001.jpg"))) as image:
            assert image.size == (224, 224)


LAB = "document.querySelector('book-lab')"


@pytest.fixture
def firefox(tmp_path):
    """Start Firefox; skip where it is missing."""
    pytest.importorskip("websocket", reason="no websocket-client (Jupyter brings it)")
    from lab_firefox import FIREFOX, Firefox

    if not FIREFOX:
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


# --- What readers do besides. ---


def test_bad_files_twins_and_a_photo_in_two_classes_are_named(shared_lab):
    shared_lab.start_empty()
    cat, cups = shots("chelsea", 4), shots("coffee", 4)
    broken = {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": cat[0]["buffer"][:300]}
    text = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no photo"}
    empty = {"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""}
    shared_lab.give(0, *cat, broken, text, empty, dict(cat[1], name="again.jpg"))
    learnt = shared_lab.page.locator(".learnt")
    assert "broken.jpg, notes.png, empty.jpg. Skipped" in learnt.inner_text()
    assert "not added twice: again.jpg" in learnt.inner_text()
    assert "Show it the other one too" in learnt.inner_text()
    assert shared_lab.get("lab.classes[0].rows.length") == 4
    shared_lab.give(1, *cups, dict(cat[2], name="both.jpg"))
    assert "both.jpg (Class 1 and Class 2)" in learnt.inner_text()
    assert shared_lab.faults == []


def test_classes_are_renamed_emptied_added_and_removed(shared_lab):
    shared_lab.start_empty()
    page = shared_lab.page
    shared_lab.give(0, *shots("chelsea", 3))
    shared_lab.give(1, *shots("coffee", 3))
    page.locator(".asking input[type=file]").set_input_files(shots("chelsea", 1, seed=9))
    shared_lab.has("lab.last")
    page.get_by_label("Name of class 1").fill("cat")
    assert "cat" in page.locator(".result .answer").first.inner_text()
    shared_lab.click("Add a class")
    assert shared_lab.get("lab.classes.length") == 3
    assert shared_lab.get("lab.fitted.used.length") == 2  # an empty class takes no part
    shared_lab.give(2, *shots("rocket", 3))
    assert shared_lab.get("lab.fitted.used.length") == 3
    shared_lab.click("Remove Class 3")
    shared_lab.has("lab.fitted.used.length === 2 && lab.fitted.left")
    for _ in range(3):  # by keyboard: the focus goes on to the next photo
        page.get_by_role("button", name=re.compile("^Remove photo .* of Class 2")).first.focus()
        page.keyboard.press("Enter")
    shared_lab.has("!lab.fitted")
    assert "has not learnt your classes" in page.locator(".result").inner_text()
    assert shared_lab.get("lab.shadowRoot.activeElement.type") == "file"
    assert shared_lab.faults == []


def test_one_photo_of_each_is_no_test(shared_lab):
    shared_lab.start_empty()
    shared_lab.give(0, *shots("chelsea", 1))
    shared_lab.give(1, *shots("coffee", 1))
    assert shared_lab.get("lab.fitted.left") is None
    text = shared_lab.page.locator(".learnt").inner_text()
    assert "cannot be both lesson and test" in text
    assert "right" not in text.split("The loss")[1].split(".", 2)[2]


def test_classes_that_cannot_be_told_apart_are_called_so(shared_lab):
    shared_lab.start_empty()
    files = shots("grass", 16)
    shared_lab.give(0, *files[::2])
    shared_lab.give(1, *files[1::2])
    text = shared_lab.page.locator(".learnt").inner_text()
    if shared_lab.get("lab.fitted.right") <= 8:
        assert "cannot tell these classes apart" in text
    assert shared_lab.page.locator(".photos .wrong").count() > 2


def test_photos_are_dropped_and_pasted(shared_lab):
    shared_lab.start_empty()
    shared_lab.page.evaluate(
        """async (files) => {
            const lab = document.querySelector("book-lab"), root = lab.shadowRoot;
            const transfer = (i) => {
                const data = new DataTransfer();
                const bytes = Uint8Array.from(atob(files[i]), (c) => c.charCodeAt(0));
                data.items.add(new File([bytes], `photo${i}.jpg`, { type: "image/jpeg" }));
                return data;
            };
            const drop = (target, i) => target.dispatchEvent(new DragEvent("drop",
                { dataTransfer: transfer(i), bubbles: true, cancelable: true, composed: true }));
            drop(root.querySelectorAll(".card")[0], 0);
            root.querySelectorAll(".card input[type=file]")[1].focus();
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer(1) }));
            const missed = new DragEvent("drop",
                { dataTransfer: transfer(0), bubbles: true, cancelable: true });
            document.body.dispatchEvent(missed);
            if (!missed.defaultPrevented) throw new Error("the browser would leave the page");
        }""",
        [base64.b64encode(f["buffer"]).decode() for f in shots("coffee", 2)],
    )
    shared_lab.has("lab.classes.every((c) => c.rows.length === 1)")
    shared_lab.page.evaluate(
        """document.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: new DataTransfer() }))"""
    )
    assert shared_lab.faults == []


CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


def memory_of(browser):
    """Return the megabytes that the pages' processes have written and share with none."""
    session = browser.new_browser_cdp_session()
    pages = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    texts = [
        Path(f"/proc/{p['id']}/smaps_rollup").read_text() for p in pages if p["type"] == "renderer"
    ]
    return sum(int(re.search(r"Private_Dirty: +(\d+)", text).group(1)) for text in texts) / 1000


@pytest.mark.scheduled
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="reads Linux's /proc")
def test_the_webcam_keeps_no_frames(chromium, open_lab):
    path = system_chromium()
    browser = chromium.browser_type.launch(executable_path=path, args=[*FLAGS, *CAMERA])
    opened = open_lab("compact", browser=browser)
    opened.try_ours()
    opened.click("Webcam")
    opened.has("lab.frames > 20")
    before = memory_of(browser)
    opened.has("lab.frames > 120")
    assert memory_of(browser) - before < 60  # a hundred frames of 1.2 MB would be kept
    browser.close()


@pytest.mark.slow
def test_the_webcam_takes_photos_while_a_button_is_held(chromium, open_lab):
    path = system_chromium()
    browser = chromium.browser_type.launch(executable_path=path, args=[*FLAGS, *CAMERA])
    opened = open_lab("compact", browser=browser)
    opened.click("Use my webcam")
    for number in (1, 2):
        button = opened.page.get_by_role("button", name=f"Hold to take photos of Class {number}")
        button.focus()
        opened.page.keyboard.down(" ")  # held by keyboard, as by mouse or finger
        opened.has(f"lab.classes[{number - 1}].rows.length >= 2")
        opened.page.keyboard.up(" ")
    opened.has("lab.fitted?.left && lab.frames > 2")
    assert "Photos of one take are much alike" in opened.page.locator(".learnt").inner_text()
    assert opened.page.locator(".result .answer").count() >= 2
    opened.click("Close the lab")
    assert opened.get("lab.stream") is None
    assert opened.faults == []
    browser.close()


@pytest.mark.scheduled
def test_300_photos_and_one_of_48_megapixels(open_lab):
    opened = open_lab()
    opened.start_empty()
    files = shots("chelsea", 100), shots("coffee", 100), shots("coffee", 100, seed=1)
    opened.give(0, *files[0])
    opened.page.locator(".card").nth(1).locator("input[type=file]").set_input_files(files[1])
    opened.give(1, *files[2])
    opened.has("lab.fitted.rows.length === 300 && lab.fitted.left", timeout=240_000)
    assert opened.get("lab.fitted.right") > 290
    large = photo_file("large.jpg", load_photo("chelsea").resize((8000, 6000)))
    opened.page.locator(".asking input[type=file]").set_input_files(large)
    opened.has("lab.last", timeout=120_000)
    assert "Class 1" in opened.page.locator(".result .verdict").inner_text()
    assert opened.faults == []


# --- Reading it: every width, both themes, keyboard and screen reader. ---


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_has_no_fault_of_accessibility_and_fits_every_width(open_lab, scheme):
    opened = open_lab(color_scheme=scheme)
    states = {"welcome": lambda: None, "trained": opened.try_ours}
    for state, reach in states.items():
        reach()
        if state == "trained":
            for step in opened.page.locator("summary").all():
                step.click()
            opened.has("lab.last.stages.length === 5")
        options = {"resultTypes": ["violations"], "runOnly": RULES}
        faults = Axe().run(opened.page, options=options).response["violations"]
        assert not [
            (f["id"], f["nodes"][0]["html"], f["nodes"][0]["failureSummary"]) for f in faults
        ]
        for width in (320, 375, 1000):
            opened.page.set_viewport_size({"width": width, "height": 800})
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= width, state
    assert opened.get("lab.hasAttribute('dark')") == (scheme == "dark")
    small = opened.get(
        """[...lab.shadowRoot.querySelectorAll("button, summary, .zone")]
            .map((e) => [e.outerHTML, e.getBoundingClientRect()])
            .filter(([, b]) => b.width && (b.width < 24 || b.height < 24))"""
    )
    assert small == []


def test_the_keyboard_reaches_everything_and_keys_do_not_leak(open_lab):
    opened = open_lab("compact")
    opened.page.keyboard.press("Tab")
    opened.page.evaluate("document.addEventListener('keydown', () => { window.leaked = true; })")
    reached = []
    for _ in range(3):
        reached.append(opened.get("lab.shadowRoot.activeElement?.textContent"))
        opened.page.keyboard.press("Tab")
    assert reached == ["Use my webcam", "Choose photos", "Try it with ours"]
    opened.page.get_by_role("button", name="Try it with ours").focus()
    opened.page.keyboard.press("Enter")
    opened.has("lab.fitted?.left")
    opened.page.get_by_label("Name of class 1").press_sequentially("jk")
    assert opened.page.evaluate("window.leaked") is None
    assert "right when left out" in opened.page.get_by_role("status").inner_text() or opened.get(
        "lab.status.textContent"
    ).startswith(("Its answer", "Not sure"))


# --- Where something is missing. ---


def test_without_scripts_a_picture_and_a_sentence_stay(open_lab):
    opened = open_lab(java_script_enabled=False)
    assert opened.page.locator("book-lab svg").is_visible()
    assert "make book" in opened.page.locator("book-lab p").inner_text()


def test_without_weights_the_page_says_what_to_do(open_lab, lab_site, tmp_path):
    for path in ("book/whole.html", "_static/lab/lab.js", "_static/lab/lab.css"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((lab_site / path).read_bytes())
    opened = open_lab(root=tmp_path.as_uri())
    opened.click("Try it with ours")
    opened.page.get_by_text("run make book, then reload").or_(
        opened.page.get_by_text("run `make book`, then reload")
    ).wait_for()
    assert opened.page.get_by_role("button", name="Try it with ours").is_enabled()
    (tmp_path / "_static/lab/lab.js").unlink()  # a notebook outside of the built book
    opened.page.reload()
    assert "make book" in opened.page.locator("book-lab p").inner_text()
    assert opened.page.locator("book-lab svg").is_visible()


def test_without_simd_it_works_and_says_that_it_is_slow(open_lab):
    opened = open_lab()
    opened.page.evaluate("document.querySelector('book-lab').setAttribute('plain', '')")
    opened.start_empty()
    assert "no WebAssembly SIMD" in opened.page.get_by_role("status").inner_text()
    opened.page.locator(".asking input[type=file]").set_input_files(shots("chelsea", 1))
    opened.has("lab.last")
    top = opened.page.locator(".theirs .answer").first.inner_text()
    assert opened.get("lab.names").index(top.split("\n")[0]) in range(281, 294)  # cats
    opened.page.context.close()


def test_the_output_is_small_and_always_the_same():
    for lab in (Lab(), Lab(compact=True)):
        assert lab._repr_html_() == lab._repr_html_()
        assert len(lab._repr_html_().encode()) < 3000
    assert 'compact more="first_model.html"' in Lab(compact=True)._repr_html_()
    assert 'src="../_static/lab/lab.js"' in Lab()._repr_html_()
