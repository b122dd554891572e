"""The figures in their hosts: JupyterLab (untrusted, run, re-saved) and a sandboxed frame."""

import html
import re
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from playwright.sync_api import expect

from tutorial_utils.interactive import SoftmaxFigure

CODE = "from tutorial_utils.interactive import SoftmaxFigure\n\nSoftmaxFigure()"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start JupyterLab on an empty folder, as a user without any settings; yield (url, folder)."""
    folder = tmp_path_factory.mktemp("lab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA")}
    environment |= {"JUPYTER_RUNTIME_DIR": str(folder / "run"), "HOME": str(folder)}
    (folder / "notebooks").mkdir()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--IdentityProvider.token=", "--LabApp.news_url="]
    command += [f"--ServerApp.root_dir={folder / 'notebooks'}"]
    server = subprocess.Popen(
        command,
        env=environment | {"PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{url}/api", timeout=2).close()
            break
        except OSError:
            assert server.poll() is None, "JupyterLab did not start"
            time.sleep(0.25)
    yield url, folder / "notebooks"
    server.terminate()
    server.wait(20)


def store(path):
    """Write a notebook with one figure's stored output, as if it came from somewhere else."""
    data = {"text/html": SoftmaxFigure()._repr_html_(), "text/plain": "SoftmaxFigure()"}
    output = nbformat.v4.new_output("execute_result", data=data, execution_count=1)
    cell = nbformat.v4.new_code_cell(CODE, outputs=[output], execution_count=1)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), path)


def open_in_lab(chromium, url, name):
    page = chromium.new_context(viewport={"width": 1100, "height": 900}).new_page()
    page.goto(f"{url}/lab/tree/{name}?reset", wait_until="domcontentloaded")
    page.locator(".jp-NotebookPanel .jp-OutputArea-output").first.wait_for(timeout=60_000)
    return page


def drive(frame):
    """Raise the first logit by keys, from 2 to 3.1, and wait until the figure says so."""
    bar = frame.get_by_role("slider", name="logit of cat")
    bar.wait_for(timeout=30_000)
    bar.press("PageUp")
    bar.press("ArrowUp")
    expect(bar).to_have_attribute("aria-valuenow", "3.1")


@pytest.mark.scheduled
def test_jupyterlab_shows_the_fallback_then_the_live_figure_and_keeps_it(chromium, lab):
    url, folder = lab
    store(folder / "figure.ipynb")
    page = open_in_lab(chromium, url, "figure.ipynb")
    # Untrusted: the script is gone, the fallback's table is there.
    page.locator(".jp-OutputArea-output caption").wait_for(timeout=30_000)
    assert "Logits, softmax" in page.locator(".jp-OutputArea-output caption").inner_text()
    assert page.get_by_role("slider", name="logit of cat").count() == 0
    # Run: it lives, and its keys do not reach the notebook.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    drive(page)
    page.keyboard.press("x")  # in command mode this cuts the cell
    page.keyboard.press("d")
    page.keyboard.press("d")
    assert page.get_by_role("slider", name="logit of cat").count() == 1
    # Saved and opened again by the one who ran it: trusted, so it lives at once.
    page.keyboard.press("Control+s")
    page.wait_for_timeout(1500)
    page.context.close()
    stored = nbformat.read(folder / "figure.ipynb", 4).cells[0].outputs[0]
    assert stored.data["text/html"] == SoftmaxFigure()._repr_html_()
    page = open_in_lab(chromium, url, "figure.ipynb")
    drive(page)
    page.context.close()


def test_in_a_sandboxed_frame_without_an_origin_the_figure_lives(chromium, tmp_path):
    # Colab shows outputs in a frame of their own; this one may run scripts and nothing else.
    inner = f"<!doctype html><meta charset=utf-8>{SoftmaxFigure()._repr_html_()}"
    outer = f'<iframe sandbox="allow-scripts" width=760 height=600 srcdoc="{html.escape(inner)}">'
    (tmp_path / "host.html").write_text(f"<!doctype html>{outer}</iframe>", encoding="utf-8")
    page = chromium.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "host.html").as_uri())
    frame = page.frame_locator("iframe")
    drive(frame)
    text = frame.locator(".say").inner_text()
    assert re.search(r"the loss is −ln p = [\d.]+ nats", text)
    page.close()
    assert errors == []
