"""The notebooks' first cell, on a machine that has torch but not the book's package.

Such a machine is a new virtual environment that sees this one's packages through links, all but
``tutorial_utils`` and tqdm. pip never touches what lies outside the environment it runs in: had it
wanted another torch, that would lie in the new environment afterwards.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from address import setup_source

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(sysconfig.get_path("purelib"))
LEFT_OUT = re.compile(r"(tutorial_utils|tqdm|_?_editable).*|.*\.pth")
CHECK = """
import torch, torchvision, tqdm, tutorial_utils
from tutorial_utils.results import IN_WHEEL
from tutorial_utils.scale import start
start()
assert IN_WHEEL.is_dir(), "the measured results must come with the package"
print(torch.__file__, tqdm.__file__, tutorial_utils.__file__, sep="\\n")
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Return a function that makes a new environment with torch and without the package."""
    links = tmp_path_factory.mktemp("links")
    for entry in HERE.iterdir():
        if not LEFT_OUT.fullmatch(entry.name):
            (links / entry.name).symlink_to(entry)

    def make(folder: Path) -> Path:
        venv.create(folder, with_pip=False)
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "links.pth").write_text(f"{links}\n", encoding="utf-8")
        return folder

    return make


def torch_files() -> dict[str, tuple[int, int]]:
    """Return size and time of change of every file that must stay as it is."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for name in ("torch", "torchvision", "numpy")
        for path in (HERE / name).rglob("*")
        if path.suffix != ".pyc" and path.is_file()
    }


def run_cell(environment: Path, folder: Path, address: str, check: str = CHECK) -> str:
    """Run the first cell, then ``check``, as one process in ``folder``; return what is printed."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [environment / "bin" / "python", "-c", setup_source(address) + check],
        cwd=folder,
        env=clean | {"TUTORIAL_SCALE": "tiny", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_install(environment: Path, printed: str) -> None:
    """Check where torch, tqdm and the package come from, and that nothing else was installed."""
    torch, tqdm, package = (Path(line) for line in printed.splitlines()[-3:])
    assert torch.resolve().is_relative_to(HERE)
    assert tqdm.is_relative_to(environment)
    assert package.is_relative_to(environment)
    (site,) = environment.glob("lib/python*/site-packages")
    installed = {path.name.split("-")[0] for path in site.glob("*.dist-info")}
    assert installed - {"setuptools"} == {"tqdm", "tutorial_utils"}


def pip(*arguments: str) -> None:
    """Run this environment's pip."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


@pytest.mark.slow
def test_a_wheel_beside_the_notebook_is_installed(fresh, tmp_path):
    """The wheel wins over the address, and torch's files stay as they are."""
    folder = tmp_path / "notebooks"
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    environment, before = fresh(tmp_path / "environment"), torch_files()
    printed = run_cell(environment, folder, "https://example.invalid/no/repository")
    check_install(environment, printed)
    assert torch_files() == before
    assert [path.suffix for path in folder.iterdir()] == [".whl"]  # no litter


@pytest.mark.scheduled
def test_the_repository_is_installed_where_there_is_no_wheel(fresh, tmp_path):
    """The address of a repository that holds these files, on this machine."""
    repository, folder = tmp_path / "copy", tmp_path / "notebooks"
    folder.mkdir()
    for name in ("src", "benchmarks", "pyproject.toml", "README.md"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        repository.mkdir(exist_ok=True)
        copy(ROOT / name, repository / name)
    git = ["git", "-C", str(repository), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "A copy"]):
        subprocess.run([*git, *arguments], check=True)
    environment, before = fresh(tmp_path / "environment"), torch_files()
    printed = run_cell(environment, folder, repository.as_uri())
    check_install(environment, printed)
    assert torch_files() == before


def test_with_neither_the_cell_says_what_to_do(tmp_path):
    """No wheel, no address: one sentence, no error, no pip."""
    venv.create(tmp_path / "environment", with_pip=False)
    printed = run_cell(tmp_path / "environment", tmp_path, "", check="")
    assert printed.count("\n") == 1
    assert "tutorial_utils-*.whl" in printed


def test_where_the_package_is_there_the_cell_does_nothing(tmp_path):
    """In an environment with the package (this one) nothing is printed or installed."""
    assert run_cell(Path(sys.prefix), tmp_path, "https://example.invalid/x/y", check="") == ""
