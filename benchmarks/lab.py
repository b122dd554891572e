"""How fast the lab is, and what it takes, in Chromium: its own kernel beside two alternatives.

One photo of 224 x 224 through MobileNetV2, in one page, the three ways in turn, round after round:
the WebAssembly kernel, the same loops in plain JavaScript, onnxruntime-web with one thread. Then
the lab as a reader uses it: 40 photos to a trained head, the webcam (a fake device), the memory.

Run it with `python benchmarks/lab.py`: about a minute. npm brings onnxruntime-web into a temporary
folder; `--ort FOLDER` names one that has it (with `dist/` in it).
"""

import argparse
import base64
import functools
import http.server
import io
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import sync_playwright
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

from tutorial_utils.lab import Lab
from tutorial_utils.lab.pack import pack, read_scripts
from tutorial_utils.photos import load_photo
from tutorial_utils.results import save_results

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from browser import system_chromium

ROUNDS, WARM_UP = 30, 3
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--js-flags=--expose-gc",
]
RACE = """async ([rounds, pixels]) => {
    const { data } = bookLabWeights, weights = () => bytesOf(data).buffer;
    const fill = (f) => unpack(weights(), true, f);
    const kernel = await makeNetwork(fill, bytesOf(KERNEL)), plain = await makeNetwork(fill, null);
    if (!kernel.fast) throw new Error("no SIMD");
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = "/ort/";
    const session = await ort.InferenceSession.create("/model.onnx");
    const rgba = bytesOf(pixels), mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225];
    const x = new Float32Array(3 * 224 * 224);
    for (let i = 0; i < x.length; i++) {
        const c = Math.floor(i / 50176);
        x[i] = (rgba[4 * (i % 50176) + c] / 255 - mean[c]) / std[c];
    }
    const input = new ort.Tensor("float32", x, [1, 3, 224, 224]);
    let ours, theirs;
    const ways = {
        kernel: () => { ours = kernel.run(rgba, 224).logits; },
        plain: () => plain.run(rgba, 224),
        onnxruntime: async () => {
            const found = await session.run({ [session.inputNames[0]]: input });
            theirs = found[session.outputNames[0]].data;
        },
    };
    const times = { kernel: [], plain: [], onnxruntime: [] };
    for (let round = 0; round < rounds; round++)
        for (const name of Object.keys(ways).sort(() => Math.random() - 0.5)) {
            const start = performance.now();
            await ways[name]();
            times[name].push(performance.now() - start);
        }
    return { times, difference: Math.max(...ours.map((v, i) => Math.abs(v - theirs[i]))) };
}"""


def jpegs(count: int) -> list[dict]:
    """Return photo files: different crops of two sample photos, 400 pixels wide or more."""
    rng, files = np.random.default_rng(0), []
    for i in range(count):
        photo = load_photo(("chelsea", "coffee")[i % 2])
        photo = photo.resize((int(photo.width * 1.5), int(photo.height * 1.5)))
        left, top = int(rng.integers(photo.width - 400)), int(rng.integers(photo.height - 400))
        file = io.BytesIO()
        photo.crop((left, top, left + 400, top + 400)).save(file, "JPEG", quality=92)
        files.append({"name": f"{i}.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()})
    return files


def resident(browser, page) -> int:
    """Return the bytes that the browser's page processes keep in memory (their own, not shared).

    Rubbish that the browser would collect later is collected first.
    """
    cdp = page.context.new_cdp_session(page)
    cdp.send("HeapProfiler.collectGarbage")
    for worker in page.workers:
        worker.evaluate("gc()")
    page.wait_for_timeout(300)
    session = browser.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    total = 0
    for process in found:
        if process["type"] == "renderer":
            text = Path(f"/proc/{process['id']}/smaps_rollup").read_text(encoding="utf-8")
            values = {line.split(":")[0]: line.split() for line in text.splitlines()[1:]}
            total += sum(int(values[k][1]) for k in ("Private_Dirty",)) * 1024
    return total


def race(page, address: str) -> dict:
    """Return the milliseconds of each way for one photo, medians with quarters."""
    page.goto(f"{address}/race.html")
    pixels = np.array(load_photo("chelsea", 224).convert("RGBA"))
    text = base64.b64encode(pixels.tobytes()).decode()
    found = page.evaluate(RACE, [ROUNDS + WARM_UP, text])
    assert found["difference"] < 1, found["difference"]  # float16 weights on one side
    quarters = {}
    for name, times in found["times"].items():
        cuts = statistics.quantiles(times[WARM_UP:], n=4)
        quarters[name] = [round(v, 1) for v in cuts]
    pairs = zip(
        *(found["times"][k][WARM_UP:] for k in ("kernel", "plain", "onnxruntime")), strict=True
    )
    ratios = [(plain / kernel, ort / kernel) for kernel, plain, ort in pairs]
    return {
        "rounds": ROUNDS,
        "ms_quarters": quarters,
        "plain_to_kernel": round(statistics.median(r[0] for r in ratios), 2),
        "onnxruntime_to_kernel": round(statistics.median(r[1] for r in ratios), 2),
    }


def use(browser, address: str) -> dict:
    """Return seconds from 40 photos to a head, frames a second, and memory, in the whole lab."""
    page = browser.new_context(reduced_motion="reduce").new_page()
    page.goto(f"{address}/book/lab.html")
    page.wait_for_timeout(1000)
    before = resident(browser, page)
    wait = "() => { const lab = document.querySelector('book-lab'); return %s; }"
    page.get_by_role("button", name="Choose photos").click()
    start = time.perf_counter()
    page.wait_for_function(wait % "lab.classes?.length === 2")
    loading = time.perf_counter() - start
    files = jpegs(40)
    seconds, megabytes = [], None
    for _ in range(3):
        start = time.perf_counter()
        for i in range(2):
            chooser = page.locator(".card").nth(i).locator("input[type=file]")
            chooser.set_input_files(files[i::2])
        page.wait_for_function(wait % "lab.fitted?.rows.length === 40 && !lab.queue.length")
        seconds.append(time.perf_counter() - start)
        page.wait_for_function(wait % "lab.fitted.left")
        everything = time.perf_counter() - start
        working = resident(browser, page)
        page.evaluate("document.querySelector('book-lab').frames = 0")
        page.get_by_role("button", name="Webcam", exact=True).click()
        page.wait_for_function(wait % "lab.frames > 3")
        first, start = (
            page.evaluate("document.querySelector('book-lab').frames"),
            time.perf_counter(),
        )
        page.wait_for_timeout(4000)
        last = page.evaluate("document.querySelector('book-lab').frames")
        frames = (last - first) / (time.perf_counter() - start)
        live = resident(browser, page)
        page.get_by_role("button", name="Close the lab").click()
        page.wait_for_timeout(1500)
        after = resident(browser, page)
        # Of the first use: later ones add what the browser keeps of scripts it has loaded before.
        megabytes = megabytes or [v - before for v in (working, live, after)]
        page.get_by_role("button", name="Choose photos").click()
        page.wait_for_function(wait % "lab.classes?.length === 2")
    page.context.close()
    return {
        "loading_s": round(loading, 2),
        "photos_to_head_s": [round(s, 2) for s in seconds],
        "leave_one_out_as_well_s": round(everything, 2),
        "webcam_frames_per_s": round(frames, 1),
        "memory_above_page_mb": {
            name: round(v / 1e6)
            for name, v in zip(
                ("with_40_photos", "with_webcam", "after_closing"), megabytes, strict=True
            )
        },
    }


def prepare(folder: Path, ort: Path) -> None:
    """Write what the pages load."""
    pack(folder / "_static" / "lab")
    (folder / "book").mkdir()
    (folder / "ort").symlink_to(ort / "dist")
    head = "<!doctype html><meta charset=utf-8><title>lab</title><link rel=icon href='data:,'>"
    (folder / "book" / "lab.html").write_text(head + Lab()._repr_html_(), encoding="utf-8")
    (folder / "scripts.js").write_text(read_scripts(), encoding="utf-8")
    scripts = ("/_static/lab/weights.js", "/scripts.js", "/ort/ort.wasm.min.js")
    tags = "".join(f"<script src={name}></script>" for name in scripts)
    (folder / "race.html").write_text(head + tags, encoding="utf-8")
    model = mobilenet_v2(weights=MobileNet_V2_Weights.IMAGENET1K_V1).eval()
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, 224, 224),),
        folder / "model.onnx",
        external_data=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ort", type=Path, help="a folder with onnxruntime-web")
    ort = parser.parse_args().ort
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if ort is None:
            command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "onnxruntime-web"]
            subprocess.run([*command, "--prefix", str(folder / "npm")], check=True)
            ort = folder / "npm" / "node_modules" / "onnxruntime-web"
        prepare(folder, ort.resolve())

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        handler = functools.partial(Quiet, directory=folder)
        with (
            http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
            sync_playwright() as playwright,
        ):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}"
            path = system_chromium()
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
            found = {"one_photo": race(browser.new_page(), address)}
            name = browser.version
            browser.close()
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
            found["the_lab"] = use(browser, address)
            browser.close()
            server.shutdown()
        lab = folder / "_static" / "lab"
        sizes = {name: (lab / name).stat().st_size for name in ("lab.js", "lab.css", "weights.js")}
        ort_files = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
        sizes["onnxruntime-web"] = sum((ort / "dist" / name).stat().st_size for name in ort_files)
    about = {"chromium": name, "processor": platform.processor() or platform.machine()}
    about["torch"] = version("torch")
    save_results("lab", {"about": about, "bytes": sizes, **found})
    print(sizes, found)


if __name__ == "__main__":
    main()
