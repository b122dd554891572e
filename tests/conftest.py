"""What several test files share: one browser."""

import os

import pytest
from browser import system_chromium
from playwright.sync_api import Error, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@pytest.fixture(scope="session")
def chromium():
    """Start the browser; without one the tests are skipped, in CI they fail."""
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=system_chromium(), args=FLAGS)
        except Error as error:
            if os.environ.get("CI"):
                pytest.fail(f"no Chromium in CI: {error}")
            pytest.skip("no Chromium: apt install chromium, or playwright install chromium")
        yield browser
        browser.close()
