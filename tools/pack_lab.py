"""Pack the lab for the page: scripts, weights and photos into OUTDIR, what is up to date skipped.

    python tools/pack_lab.py OUTDIR

The book loads them from ``_static/lab``; ``tools/lab_extension.py`` calls this after each build.
What goes where, and how the weights are folded, is said in ``src/tutorial_utils/lab/pack.py``.
"""

import sys

from tutorial_utils.lab.pack import pack

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for line in pack(sys.argv[1]):
        print("Lab:", line)
