"""`python -m vibe_router`: what an operator does from a terminal."""

import sys

from vibe_router.cli import main
from vibe_router.cli.errors import while_read

if __name__ == "__main__":
    sys.exit(while_read(main))
