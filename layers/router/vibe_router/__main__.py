"""`python -m vibe_router`: what an operator does from a terminal."""

import sys

from vibe_router.cli import main

if __name__ == "__main__":
    sys.exit(main())
