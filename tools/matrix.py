"""Run the strict notebook tests on other code paths, thread counts and chapter orders.

PyTorch picks its kernels by the processor (ATEN_CPU_CAPABILITY overrides that), and threads share
out its sums. The stored outputs must hold under all of them.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CAPABILITIES = ("default", "avx2", None)
THREADS = (1, 2)


def main() -> int:
    """Run each combination with the notebooks in a random order; return 1 if any failed."""
    failed = []
    for capability in CAPABILITIES:
        for threads in THREADS:
            notebooks = [str(path) for path in (ROOT / "book").glob("*.ipynb")]
            random.shuffle(notebooks)
            environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
            environment.pop("ATEN_CPU_CAPABILITY", None)
            if capability:
                environment["ATEN_CPU_CAPABILITY"] = capability
            name = f"ATEN_CPU_CAPABILITY={capability or '(unset)'}, {threads} thread(s)"
            print(f"{name}: {' '.join(Path(path).stem for path in notebooks)}", flush=True)
            start = time.perf_counter()
            command = [sys.executable, "-m", "pytest", "--nbval", "-q", *notebooks]
            if subprocess.run(command, cwd=ROOT, env=environment).returncode:
                failed.append(name)
            print(f"  {time.perf_counter() - start:.0f} s", flush=True)
    print("\n".join(["Failed:", *failed]) if failed else "All passed.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
