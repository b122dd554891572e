"""Store a small PNG beside each plot's SVG, which JupyterLab does not show before one trusts it.

JupyterLab takes the SVG in a notebook that one has run or trusted, the PNG in any other; the pages
take the SVG.
"""

import base64
import io

from browser import system_chromium
from PIL import Image

COLORS = 64
STYLE = "<style>* { margin: 0 } svg { display: block }</style>"


def draw_png(page, svg: str) -> str:
    """Return the picture of an SVG as Jupyter stores a PNG, on a clear ground, in few colours."""
    page.set_content(STYLE + svg[svg.index("<svg") :])
    shot = page.locator("svg").first.screenshot(omit_background=True)
    picture = Image.open(io.BytesIO(shot)).convert("RGBA")
    stored = io.BytesIO()
    picture.quantize(COLORS, Image.Quantize.FASTOCTREE).save(stored, "png", optimize=True)
    return base64.b64encode(stored.getvalue()).decode()


def add_pictures(notebook) -> None:
    """Give each stored SVG that has none its PNG; without a browser the notebook stays as it is."""
    todo = [
        output.data
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/svg+xml" in output.get("data", {}) and "image/png" not in output.data
    ]
    if not todo:
        return
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=system_chromium(), args=["--no-sandbox", "--disable-gpu"]
            )
        except Error:
            return
        page = browser.new_page(viewport={"width": 1000, "height": 1200})
        for data in todo:
            data["image/png"] = draw_png(page, "".join(data["image/svg+xml"]))
        browser.close()
