"""Deterministic text without a model: the same request always gives the same words."""

import re
from collections.abc import Sequence
from itertools import cycle, islice
from zlib import crc32

__all__ = ["answer_text", "excerpt", "pieces", "tokens_in"]

_PIECE = re.compile(r"\s*\S+|\s+\Z")
_WORDS_ASKED = re.compile(r"\b(\d{1,5}) words\b")

_SENTENCES = (
    "The answer streams word by word, as a model's would, so a client cannot tell the difference in shape.",
    "Every part of the request reached this stand-in as it was sent.",
    "Ask again with the same words and the same sentences come back.",
    "Make the stand-in fail and the next deployment of the chain should answer in its place.",
    "Token counts are counted from the words themselves, so they add up.",
    "A real provider takes over as soon as its key is set.",
    "Nothing was billed, and nothing left this machine.",
    "Ask for a number of words to get a longer answer.",
    "The order of these sentences follows from the prompt.",
    "When a deployment recovers, one probe goes first, and then the traffic returns.",
    "Tools, structured output and images are understood well enough to exercise a client.",
)


def pieces(text: str) -> list[str]:
    """Split text into pieces that are streamed, and counted as one token each; joined they give the text."""
    return _PIECE.findall(text)


def tokens_in(text: str) -> int:
    """Return a plausible number of prompt tokens: four UTF-8 bytes each, as in English."""
    return (len(text.encode("utf-8", "surrogatepass")) + 3) // 4


def excerpt(text: str, limit: int = 80) -> str:
    """Return the start of the text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def answer_text(provider: str, model: str, prompt: str, notes: Sequence[str], variant: int) -> str:
    """Return an answer to the prompt.

    `notes` are sentences to include, about attachments and tool results. `variant` distinguishes several choices of
    one answer. A prompt with a number of words ("in 200 words") gets exactly that many.
    """
    seed = crc32(prompt.encode("utf-8", "surrogatepass")) + variant
    count = len(_SENTENCES)
    chosen = [_SENTENCES[(seed + offset * (1 + seed % (count - 1))) % count] for offset in range(3)]
    opening = f"This is the {provider} stand-in, speaking as {model}; no model was asked."
    request = [f"You wrote “{excerpt(prompt)}”."] if prompt.strip() else []
    attempt = [f"This is choice {variant + 1}."] if variant else []
    text = " ".join([opening, *attempt, *request, *notes, *chosen])
    if found := _WORDS_ASKED.search(prompt):
        wanted = int(found[1])
        words = text.split()
        more = cycle(" ".join(_SENTENCES).split())
        text = " ".join([*words[:wanted], *islice(more, max(0, wanted - len(words)))])
    return text
