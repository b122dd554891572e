"""Install what requirements.txt asks for, PyTorch first and in the build that this machine can use.

    python tools/install.py [--torch CHOICE] requirements.txt

On Linux, PyPI's PyTorch brings several gigabytes of CUDA libraries. A machine without an NVIDIA
driver cannot use them, so there PyTorch's own build for the CPU is taken, if the index that has it
answers within a few seconds. CHOICE overrides that: ``cpu``, ``pypi``, or arguments for pip, such
as ``"torch==2.9.1 torchvision==0.24.1"``. What is installed already stays (Colab's PyTorch, say).
Only the standard library is used here: nothing else is there yet.
"""

import argparse
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE = 4  # seconds for the index to answer
# Rounded sizes of a download, torch 2.9 to 2.14 on x86-64 Linux.
SIZES = {"cpu": "about 0.2 GB", "cuda": "about 3 GB, 6 GB on disk", "": "about 0.1 GB"}


def has_nvidia_driver() -> bool:
    """Tell whether a CUDA build of PyTorch would find a GPU's driver."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def answers(url: str, seconds: float = PATIENCE) -> bool:
    """Tell whether an address answers in time; looking up its name counts as well."""
    found = []

    def ask() -> None:
        try:
            urllib.request.urlopen(url, timeout=seconds).close()
            found.append(True)
        except OSError:
            pass

    # A name that is looked up in vain can take longer than urlopen's own limit.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(found)


def torch_arguments(choice: str, wanted: list[str]) -> tuple[list[str], str]:
    """Return pip's arguments for PyTorch, and a line that says what is installed and why.

    Args:
        choice: ``auto``, ``cpu``, ``pypi`` or arguments for pip.
        wanted: the lines of requirements.txt about torch and torchvision.
    """
    from_index = [*wanted, "--index-url", CPU_INDEX]
    if choice not in ("auto", "cpu", "pypi"):
        return shlex.split(choice), f"PyTorch as you asked ({choice})"
    if choice == "cpu":
        return from_index, f"PyTorch for the CPU ({SIZES['cpu']}), as you asked"
    if platform.system() != "Linux":
        return wanted, f"PyTorch ({SIZES['']})"
    name = f"PyTorch with CUDA ({SIZES['cuda']})"
    if choice == "pypi":
        return wanted, f"{name}, as you asked"
    if has_nvidia_driver():
        return wanted, f"{name}, since this machine has an NVIDIA driver"
    if "COLAB_RELEASE_TAG" in os.environ:
        return wanted, f"{name}, as Colab does"
    if answers(f"{CPU_INDEX}/torch/"):
        why = "since this machine has no NVIDIA driver"
        return from_index, f"PyTorch for the CPU ({SIZES['cpu']}), {why}"
    why = f"since {CPU_INDEX}, which has the small build, did not answer within {PATIENCE} s"
    return wanted, f"{name}, {why}"


def main() -> int:
    """Install; return pip's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("requirements", type=Path)
    parser.add_argument("--torch", default="auto", metavar="CHOICE")
    options = parser.parse_args()
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    lines = options.requirements.read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line.startswith("torch")]
    if importlib.util.find_spec("torch") is None or options.torch != "auto":
        arguments, news = torch_arguments(options.torch, wanted)
        print(f"Installing {news}.", flush=True)
        if code := subprocess.run([*pip, *arguments]).returncode:
            return code
    print("Installing Jupyter Book and the other packages (about 0.3 GB).", flush=True)
    return subprocess.run([*pip, "--quiet", "-r", str(options.requirements)]).returncode


if __name__ == "__main__":
    sys.exit(main())
