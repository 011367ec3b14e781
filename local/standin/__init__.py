"""Stand-in providers: CLIProxyAPI, New API and Volces Ark on loopback, healthy or with any fault.

`python -m local.standin` serves them; in a test, `with Standin() as standin:` does. See docs/stand-ins.md.

    __main__    the program                server      sockets, routes, keys
    library     inside a test              control     the /_control API: set faults, list requests
    chat, responses, messages, …           one wire format each; `model` generates the reply for all of them
    faults      every kind of failure      state       active faults, recorded requests
    dialects    providers' error bodies    steps       what is written to a connection
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
