"""The picture of a run's report that *Your own photos* shows, from a run on rendered solids.

Run `python benchmarks/report_picture.py` (two minutes on one core; needs Chromium, see
requirements-dev.txt) after a change to the report. It writes the first screen of the report, at
twice the size in few colours, into the package.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps
from playwright.sync_api import sync_playwright

from tutorial_utils.solids import make_solids

PICTURE = Path(__file__).parents[1] / "src" / "tutorial_utils" / "finetune" / "report.png"
WIDTH, HEIGHT = 700, 1050  # CSS pixels
CHROMIUM = shutil.which("chromium")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        photos, shot = Path(folder) / "solids", Path(folder) / "shot.png"
        shutil.copytree(make_solids() / "train", photos)
        shutil.copytree(make_solids() / "test", Path(folder) / "test")
        for path in (Path(folder) / "test").glob("*/*.png"):
            shutil.move(path, photos / path.parent.name / f"more-{path.name}")
        command = [sys.executable, "-m", "tutorial_utils.finetune", "finetune", "solids", "--out",
                   "run", "--regime", "probe", "--cpu", "--quiet"]  # fmt: skip
        subprocess.run(command, check=True, cwd=folder, env=os.environ)
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM)
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT},
                                    device_scale_factor=2, color_scheme="light")  # fmt: skip
            page.goto((Path(folder) / "run" / "report.html").as_uri())
            page.screenshot(path=shot)
            browser.close()
        with Image.open(shot) as image:
            framed = ImageOps.expand(image.convert("RGB"), 3, (150, 150, 150))
        few = framed.quantize(16, dither=Image.Dither.NONE)
        few.save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
