"""``python -m tutorial_utils`` is ``tutorial-utils``."""

import sys

from tutorial_utils.cli import main

if __name__ == "__main__":
    sys.exit(main())
