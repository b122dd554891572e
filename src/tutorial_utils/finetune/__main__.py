"""``python -m tutorial_utils.finetune`` is ``tutorial-utils``."""

import sys

from tutorial_utils.finetune.cli import main

if __name__ == "__main__":
    sys.exit(main())
