"""Believable text without a model: the same request always gives the same words, and they say who speaks."""

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
    "Tell the stand-in to fail and the next layer of the chain should answer in its place.",
    "Token counts are counted from the words themselves, so they add up.",
    "A real provider takes over as soon as its key is set.",
    "Nothing was billed, and nothing left this machine.",
    "Longer answers can be asked for by their number of words.",
    "The order of these sentences follows from the prompt.",
    "When a layer heals, one probe goes first, and then the traffic returns.",
    "Tools, structured output and images are understood well enough to exercise a client.",
)


def pieces(text: str) -> list[str]:
    """Split text into what is streamed and counted as one token each; joined they are the text again."""
    return _PIECE.findall(text)


def tokens_in(text: str) -> int:
    """Return a plausible number of prompt tokens: four UTF-8 bytes each, as is usual for English."""
    return (len(text.encode("utf-8", "surrogatepass")) + 3) // 4


def excerpt(text: str, limit: int = 80) -> str:
    """Return the text's beginning on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def answer_text(provider: str, model: str, prompt: str, notes: Sequence[str], variant: int) -> str:
    """Return an answer to the prompt.

    `notes` are things to mention (images that came along, what a tool returned). `variant` tells several choices of
    one answer apart. A prompt that asks for so many words ("in 200 words") gets exactly so many.
    """
    seed = crc32(prompt.encode("utf-8", "surrogatepass")) + variant
    count = len(_SENTENCES)
    chosen = [_SENTENCES[(seed + offset * (1 + seed % (count - 1))) % count] for offset in range(3)]
    opening = f"This is the {provider} stand-in, speaking as {model}; no model was asked."
    asked = [f"You wrote “{excerpt(prompt)}”."] if prompt.strip() else []
    attempt = [f"This is choice {variant + 1}."] if variant else []
    text = " ".join([opening, *attempt, *asked, *notes, *chosen])
    if found := _WORDS_ASKED.search(prompt):
        wanted = int(found[1])
        words = text.split()
        more = cycle(" ".join(_SENTENCES).split())
        text = " ".join([*words[:wanted], *islice(more, max(0, wanted - len(words)))])
    return text
