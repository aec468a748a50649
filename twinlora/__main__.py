"""``python -m twinlora``: the command ``twinlora``."""

import sys

from common.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
