"""``python -m roadseg`` is the command ``roadseg``."""

import sys

from roadseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
