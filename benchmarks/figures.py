"""How soon the figures of the built book answer, and what a frame costs while one is dragged.

First the page with the most figures is opened from a local server, again and again with an empty
cache: the time from navigation until each of them has drawn itself, its photos included. Then each
figure is dragged on a page of its own, and Chromium's trace tells how long the main thread worked
on every frame: the pointer's event, the figure's update, style, layout and paint. Both are measured
on the processor as it is and slowed down four times, as a simple phone.

Build the book, then run it with `python benchmarks/figures.py`: two minutes on a quiet machine.
"""

import functools
import http.server
import json
import platform
import statistics
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

from tutorial_utils import interactive
from tutorial_utils.results import save_results

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "tools"))
from browser import system_chromium  # noqa: E402

ROUNDS = 5
MOVES = 120
SLOWER = 4
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZE = {"width": 1280, "height": 900}
# Sets window.answered once all figures of the page are defined, drawn, and have their photos.
WATCH = """const look = () => {
    const all = [...document.querySelectorAll(".book-figure:not(.book-question)")];
    const drawn = (e) => e.shadowRoot?.querySelector(".figure") &&
        [...e.shadowRoot.querySelectorAll("canvas:not([aria-hidden])")].every((c) =>
            c.getContext("2d").getImageData(0, 0, 1, 1).data[3]);
    if (document.readyState !== "loading" && all.every(drawn))
        requestAnimationFrame(() => (window.answered = performance.now()));
    else requestAnimationFrame(look);
};
requestAnimationFrame(look);"""
# Figure, what is dragged, (label, option) chosen before, and where the pointer goes.
DRAGS = (
    ("ConvolutionExplorer", "over the output", [], "[aria-label=output]"),
    ("InsideNetwork", "over a map", [], ".box.map"),
    ("KernelOnPhoto", "over the photo", [], ".view >> nth=1"),
    ("LayerStack", "over the photo", [], ".view"),
    ("LayerStack", "over the photo, VGG-16", [("network", "VGG-16")], ".view"),
    ("LearningRate", "the start", [("surface", "bend")], ".plane"),
    ("LearningRate", "the rate", [], "input[type=range] >> nth=0"),
    ("ModelChooser", "over the points", [], "[role=application]"),
    ("PoolingShift", "the picture", [], ".pad"),
    ("PoolingShift", "the picture, three halvings", [("halvings", "3")], ".pad"),
    ("SoftmaxFigure", "a logit", [], ".bar >> nth=0"),
    ("ThresholdMetrics", "the threshold", [], ".plot"),
    ("ThresholdMetrics", "the share", [], "[type=range] >> nth=1"),
)


def open_page(browser, rate: int):
    page = browser.new_context(viewport=SIZE).new_page()
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": rate})
    return page


def time_to_answer(browser, url: str, rate: int) -> dict:
    """Return milliseconds from navigation until all figures of the page answer.

    "clock" is what a reader waits, on this machine and with what else it does; "cpu" the processor
    time of the page's main thread until then.
    """
    clock, cpu = [], []
    for _ in range(ROUNDS):
        page = open_page(browser, rate)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.add_init_script(WATCH)
        page.goto(url)
        page.wait_for_function("window.answered", timeout=60_000)
        clock.append(round(page.evaluate("window.answered")))
        metrics = session.send("Performance.getMetrics")["metrics"]
        cpu.append(round(1000 * next(m["value"] for m in metrics if m["name"] == "TaskDuration")))
        page.context.close()
    return {
        "cpu_ms": {"median": statistics.median(cpu), "all": cpu},
        "clock_ms": {"median": statistics.median(clock), "all": clock},
    }


def frame_costs(trace: bytes) -> list[tuple[float, float]]:
    """Return (processor, clock) milliseconds of each main-thread task that moved and drew."""
    events = json.loads(trace)["traceEvents"]
    names = {
        (e["pid"], e["tid"]): e["args"]["name"] for e in events if e.get("name") == "thread_name"
    }
    main = [e for e in events if names.get((e["pid"], e.get("tid"))) == "CrRendererMain"]
    drawn = [(e["pid"], e["ts"]) for e in main if e["name"] == "PrePaint"]
    moved = [
        (e["pid"], e["ts"])
        for e in main
        if e["name"] == "FireAnimationFrame"
        or (e["name"] == "EventDispatch" and e["args"]["data"]["type"] == "pointermove")
    ]
    tasks = [e for e in main if e["name"].endswith("RunTask") and "dur" in e]
    return [
        (task["tdur"] / 1000, task["dur"] / 1000)
        for task in tasks
        if all(
            any(p == task["pid"] and task["ts"] <= t <= task["ts"] + task["dur"] for p, t in times)
            for times in (drawn, moved)
        )
    ]


def summary(costs: list[float]) -> dict:
    costs = sorted(costs)
    at95 = costs[min(len(costs) - 1, round(0.95 * len(costs)))]
    return {"median": round(statistics.median(costs), 1), "p95": round(at95, 1)}


def drag_costs(browser, drag, rate: int) -> dict:
    name, _, choices, selector = drag
    page = open_page(browser, rate)
    output = getattr(interactive, name)()._repr_html_()
    page.set_content(f"<!doctype html><meta charset=utf-8><main style='width:760px'>{output}")
    page.wait_for_timeout(500)
    for label, option in choices:
        page.get_by_label(label).select_option(option)
    box = page.locator(selector).first.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline"])
    for k in range(MOVES):  # there and back, twice, on a slant
        share = abs((4 * k / MOVES) % 2 - 1)
        page.mouse.move(
            box["x"] + 2 + (box["width"] - 4) * share,
            box["y"] + 2 + (box["height"] - 4) * (0.1 + 0.8 * (1 - share)),
        )
        page.evaluate("() => new Promise(f => setTimeout(f, 4))")
    trace = browser.stop_tracing()
    page.mouse.up()
    page.context.close()
    costs = frame_costs(trace)
    assert len(costs) > 10, f"{name}: only {len(costs)} frames"
    cpu, clock = zip(*costs, strict=True)
    return {"frames": len(costs), "cpu_ms": summary(cpu), "clock_ms": summary(clock)}


def main() -> None:
    counts = {
        page: page.read_text(encoding="utf-8").count('class="book-figure"')
        for page in sorted((HTML / "book").glob("*.html"))
    }
    most = max(counts, key=counts.get)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=HTML)
    results = {"rounds": ROUNDS, "moves": MOVES, "slowed": SLOWER, "processor": platform.machine()}
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        sync_playwright() as playwright,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=system_chromium(), args=FLAGS)
        results["chromium"] = browser.version.split(".")[0]
        url = f"http://127.0.0.1:{server.server_port}/book/{most.name}"
        page = results["page"] = {"name": most.stem, "figures": counts[most]}
        for key, rate in (("as_it_is", 1), ("slowed", SLOWER)):
            page[key] = time_to_answer(browser, url, rate)
        print(page, flush=True)
        results["drags"] = []
        for drag in DRAGS:
            entry = {"figure": drag[0], "drag": drag[1]}
            for key, rate in (("as_it_is", 1), ("slowed", SLOWER)):
                entry[key] = drag_costs(browser, drag, rate)
            results["drags"].append(entry)
            print(entry, flush=True)
        browser.close()
        server.shutdown()
    save_results("figures", results)


if __name__ == "__main__":
    main()
