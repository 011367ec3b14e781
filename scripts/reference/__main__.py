"""Write the generated pages of docs/, or check with --check that they are up to date (exit status 1 if not)."""

import sys

from scripts.artefacts import ROOT
from scripts.reference.pages import PAGES, outdated

if __name__ == "__main__":
    if "--check" not in sys.argv:
        for name, render in PAGES.items():
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(render(), encoding="utf-8")
    elif stale := outdated():
        sys.exit(f"Outdated: {', '.join(stale)}. Run: make docs")
