# @title Set-up: run me first
# Where the book's package is missing (on Colab, say) this cell installs it.
import importlib.util
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

REPOSITORY = ""
if importlib.util.find_spec("tutorial_utils") is None:
    wheels = sorted(Path().glob("tutorial_utils-*.whl"))
    source = str(wheels[-1]) if wheels else REPOSITORY and f"git+{REPOSITORY}"
    if source:
        keep = {"torch", "torchvision", "numpy"}  # these must not be replaced
        found = {d.name: d.version for d in distributions() if d.name in keep}
        pins = Path("tutorial-constraints.txt")
        pins.write_text("".join(f"{name}=={found[name]}\n" for name in found))
        wanted = [source, *sorted({"torch", "torchvision"} - set(found))]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "-c", pins]
        subprocess.run([*pip, *wanted], check=True)
        pins.unlink()
        importlib.invalidate_caches()
    else:
        print("Lay tutorial_utils-*.whl (made by `make wheel`) beside this notebook.")
