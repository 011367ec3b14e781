"""`python -m vibe_cli` runs `vibe`."""

import sys

from vibe_cli.app import run

if __name__ == "__main__":
    sys.exit(run())
