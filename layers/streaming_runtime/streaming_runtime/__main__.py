"""The program that the wrapper script starts."""

import os
import sys

if not __package__:
    # Python searches the directory of a script first: the package's modules would shadow others of the same name.
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs milliseconds to import
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]  # noqa: PTH120 - likewise

from streaming_runtime.startup import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
