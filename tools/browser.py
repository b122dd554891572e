"""Find the Chromium that the browser tests drive; as a script, fetch one where there is none."""

import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def system_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome; None: Playwright uses its own."""
    return next(filter(None, map(shutil.which, NAMES)), None)


if __name__ == "__main__" and system_chromium() is None:
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    if subprocess.run(command).returncode:
        print("No Chromium yet: the browser tests will be skipped. apt install chromium, say.")
