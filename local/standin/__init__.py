"""Stand-in providers: CLIProxyAPI, New API and Volces Ark on loopback, healthy or as broken as one likes.

`python -m local.standin` serves them; in a test, `with Standin() as standin:` does.

    __main__    the program            server      sockets, routes, keys
    library     inside a test          control     /_control: faults set, requests seen
    chat, responses, messages, …       one format each; `saying` decides what all of them say
    faults      every way to fail      state       orders given, requests seen
    dialects    providers' errors      steps       what goes onto a connection
"""

from local.standin.dialects import ALIASES, CASES, Case, Facts, find_case
from local.standin.faults import BadFault
from local.standin.library import Standin, refused_url
from local.standin.state import Recorded
from local.standin.steps import Close, Pause, Reset, Send, Step, Wait

__all__ = [
    "ALIASES",
    "CASES",
    "BadFault",
    "Case",
    "Close",
    "Facts",
    "Pause",
    "Recorded",
    "Reset",
    "Send",
    "Standin",
    "Step",
    "Wait",
    "find_case",
    "refused_url",
]
