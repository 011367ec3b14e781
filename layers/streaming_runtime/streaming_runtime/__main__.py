"""The program that the wrapper script starts."""

import os
import sys

if not __package__:
    # Started as a file, Python searches the package's own directory first: its modules would shadow others' names.
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs milliseconds to import
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]  # noqa: PTH120 - likewise

from streaming_runtime.startup import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
