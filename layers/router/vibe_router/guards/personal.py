"""Find e-mail addresses, payment card numbers and phone numbers in a text. Linear in its length."""

import re
from collections.abc import Iterator, Sequence

__all__ = ["card_spans", "email_spans", "phone_spans"]

Span = tuple[int, int]

_LOCAL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+'-"
_DOMAIN = re.compile(r"@([A-Za-z0-9.-]{3,253}+)")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_TOP_LEVEL = re.compile(r"[A-Za-z]{2,24}|xn--[A-Za-z0-9-]{2,59}")
_MOST_LOCAL = 64
# What ends names of files and packages that contain an @, and is no top-level domain.
_FILES = frozenset(
    "png jpg jpeg gif svg webp avif js mjs ts tsx jsx css scss json html xml yml yaml toml lock txt log whl tgz gz map "  # noqa: SIM905
    "wasm vue local service".split()
)
_REMOTE_USERS = frozenset(("git", "hg", "svn"))


def email_spans(text: str) -> Iterator[Span]:
    """Yield where the e-mail addresses in `text` begin and end."""
    for found in _DOMAIN.finditer(text):
        at = found.start()
        before = text[max(at - _MOST_LOCAL, 0) : at]
        local = before[len(before.rstrip(_LOCAL)) :].lstrip(".'-%+")
        domain = found[1].rstrip(".-")
        if not local or local.endswith(".") or not _is_domain(domain):
            continue
        start, end = at - len(local), at + 1 + len(domain)
        if local in _REMOTE_USERS and text[end : end + 1] in (":", "/"):
            continue
        if start and text[start - 1] in ":/" and "://" in text[max(start - 200, 0) : start].rpartition(" ")[2]:
            continue  # user and password of a URL
        yield start, end


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    top = labels[-1]
    return (
        len(labels) >= 2
        and bool(_TOP_LEVEL.fullmatch(top))
        and top.lower() not in _FILES
        and all(_LABEL.fullmatch(each) for each in labels)
    )


_DIGITS = re.compile(r"[0-9](?:[ \u00a0-]?[0-9])++")
_CARD_GROUPS = frozenset(((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (6, 13)))
_FEWEST_DIGITS = 13
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


def card_spans(text: str) -> Iterator[Span]:
    """Yield where the card numbers in `text` begin and end: with an issuer's prefix and length, and a checksum."""
    for run in _DIGITS.finditer(text):
        if run.end() - run.start() < _FEWEST_DIGITS:
            continue
        groups = _groups(run[0], run.start())
        sizes = [end - start for start, end in groups]
        first = 0
        while first < len(groups):
            count = 1
            for many in _group_counts(sizes, first):
                if _is_card(text, groups[first][0], groups[first + many - 1][1]):
                    yield groups[first][0], groups[first + many - 1][1]
                    count = many
                    break
            first += count


def _group_counts(sizes: Sequence[int], first: int) -> Iterator[int]:
    """Yield how many groups of digits from `first` on may be a card number, by their sizes."""
    if sizes[first] >= _FEWEST_DIGITS:
        yield 1
    elif sizes[first] in (4, 6):
        for count in (5, 4, 3, 2):
            if first + count <= len(sizes) and tuple(sizes[first : first + count]) in _CARD_GROUPS:
                yield count


def _groups(run: str, offset: int) -> list[Span]:
    """Return where the groups of digits of a run begin and end."""
    groups: list[Span] = []
    start = 0
    for index, character in enumerate(run):
        if not character.isdigit():
            groups.append((offset + start, offset + index))
            start = index + 1
    groups.append((offset + start, offset + len(run)))
    return groups


def _is_card(text: str, start: int, end: int) -> bool:
    if not 13 <= end - start <= 23 or not _stands_alone(text, start, end):
        return False
    separators = {each for each in text[start:end] if not each.isdigit()}
    digits = "".join([each for each in text[start:end] if each.isdigit()])
    return len(separators) <= 1 and len(set(digits)) > 1 and _has_issuer(digits) and _has_checksum(digits)


def _has_issuer(digits: str) -> bool:
    """Return whether prefix and length are those of a card. Source: the issuers' ranges (ISO/IEC 7812)."""
    count, two, four, six = len(digits), int(digits[:2]), int(digits[:4]), int(digits[:6])
    if digits[0] == "4":
        return count in (13, 16, 19)  # Visa
    if two in (34, 37):
        return count == 15  # American Express
    if 51 <= two <= 55 or 2221 <= four <= 2720 or 2200 <= four <= 2204:
        return count == 16  # Mastercard, Mir
    if two in (36, 38, 39) or 3000 <= four <= 3059:
        return count in (14, 16)  # Diners Club
    if four == 6011 or 644 <= six // 1000 <= 659 or 3528 <= four <= 3589 or two == 62:
        return 16 <= count <= 19  # Discover, JCB, UnionPay
    if two == 81:
        return count == 16  # UnionPay's newer range
    return four in (5018, 5020, 5038, 6304, 6759, 6761, 6762, 6763) and 13 <= count <= 19  # Maestro


def _has_checksum(digits: str) -> bool:
    """Return whether the last digit is right (Luhn)."""
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        total += digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4)
    return total % 10 == 0


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Return whether no letter, digit or part of a longer number touches the span."""
    if (start and text[start - 1] in _WORD) or (end < len(text) and text[end] in _WORD):
        return False
    if start > 1 and text[start - 1] in ".-+/" and text[start - 2] in _WORD:
        return False
    return not (end + 1 < len(text) and text[end] in ".-/" and text[end + 1] in _WORD)


# A number with a country code: +1 212 555 0123, 0049 30 123456.
_INTERNATIONAL = re.compile(r"(?:\+|00)[1-9](?:[ \u00a0().\-/]{0,2}+[0-9]){6,17}+")
_GROUP = re.compile(r"\(?[0-9]++")
# Numbers as they are written in the US, in China (mobile, landline), and in Europe with a leading zero: in pairs, with
# a slash or hyphen after the area, or in groups.
_NATIONAL = re.compile(
    r"(?:1[ .-])?(?:\([2-9][0-9]{2}\)[ -]?[2-9][0-9]{2}[ .-]|[2-9][0-9]{2}[.-][2-9][0-9]{2}[.-])[0-9]{4}"
    r"|(?:86[ -]?)?1[3-9][0-9](?:[0-9]{8}|-[0-9]{4}-[0-9]{4}| [0-9]{4} [0-9]{4})"
    r"|\(?0(?:10|2[0-9]|[3-9][0-9]{2})(?:\) ?|[ -])[2-8][0-9]{2,3}[ -]?[0-9]{4}"
)
_PAIRS = re.compile(
    r"0[1-9](?:(?: [0-9]{2}){4}|(?:\.[0-9]{2}){4}|(?:-[0-9]{2}){4})(?![ .-]?(?:[0-9]|[A-Fa-f]{2}\b|[A-Fa-f][0-9]))"
)
_PAIR_BEFORE = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{2}[ .-]")
_AREA = re.compile(r"\(?0[1-9][0-9]{0,3}(?:\) ?|[/-]| / )[0-9]{5,9}")
_SPACED = re.compile(r"0[1-9][0-9]{0,3}(?: [0-9]{3,8}){1,3}")
_LABELLED = re.compile(r"\(?[0-9](?:[ ().\-/]{0,2}+[0-9]){6,12}+")
_LABEL_BEFORE = re.compile(
    r"(?:phone|telephone|tel|mobile|cell|call|fax|whatsapp|telefon|handy|mobil|téléphone|tél|portable|teléfono|móvil"
    r"|telefono|cellulare|telefoon|phone number|phone_number|phonenumber|手机|手机号|手机号码|电话|电话号码|联系方式)"
    r"[\"']?(?: (?:is|at|no|nr|n°|me at|us at))?[.:=：是]{0,2}[ \"']{0,3}",
    re.IGNORECASE,
)
_MOST_LABEL = 28
_LABEL_ENDS = tuple("eElLxXpPyYkKoOnNrRsStT°号话式码是")  # the last letters of these words
_NORTH_AMERICA = re.compile(r"1[2-9][0-9]{2}[2-9][0-9]{6}")
_CHINA = re.compile(r"86(?:1[3-9][0-9]{9}|0?(?:10|2[0-9]|[3-9][0-9]{2})[2-8][0-9]{6,7})")
# Country codes of two digits, and the beginnings of those of three. Source: ITU-T E.164.
_SHORT_CODES = frozenset(
    "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 90 "  # noqa: SIM905
    "91 92 93 94 95 98".split()
)
_LONG_CODES = tuple("21 22 23 24 25 26 29 35 37 38 42 50 59 67 68 69 80 85 87 88 96 97 99".split())  # noqa: SIM905


def phone_spans(text: str) -> Iterator[Span]:
    """Yield where the phone numbers in `text` begin and end: international ones, and those of the US, China and the EU.

    A number without a country code must be written as its country does, or follow a word such as "phone".
    """
    for found in _INTERNATIONAL.finditer(text):
        start = found.start()
        if start and (text[start - 1] in _WORD or text[start - 1] in "+-./=%"):
            continue
        if end := _international_end(text, start, found.end()):
            yield start, end
    done = 0
    for found in _GROUP.finditer(text):
        if found.start() >= done and (end := _national_end(text, found.start())):
            done = end
            yield found.start(), end


def _international_end(text: str, start: int, end: int) -> int:
    """Return where the number at `start` ends, 0 if it is none: at the last group that completes it."""
    if text[end : end + 1].isdigit():
        return 0
    begin = start + (1 if text[start] == "+" else 2)
    ends: list[tuple[int, str]] = []  # the ends of groups, with the digits up to there
    digits = ""
    for index in range(begin, end):
        if text[index].isdigit():
            digits += text[index]
            if index + 1 == end or not text[index + 1].isdigit():
                ends.append((index + 1, digits))
    if text[start] == "0" and len(ends) == 1:  # without a separator it is any number
        return 0
    for place, number in reversed(ends):
        if _stands_alone(text, start, place) and _is_international(number):
            return place
    return 0


def _is_international(digits: str) -> bool:
    """Return whether `digits`, which begin with a country code, are a whole number of that country."""
    if digits.startswith("1"):
        return bool(_NORTH_AMERICA.fullmatch(digits))
    if digits.startswith("86"):
        return bool(_CHINA.fullmatch(digits))
    if digits.startswith("7"):
        return len(digits) == 11
    code = 2 if digits[:2] in _SHORT_CODES else 3
    known = code == 2 or digits.startswith(_LONG_CODES)
    return known and 9 <= len(digits) <= 15 and len(set(digits[code:])) > 1


def _national_end(text: str, start: int) -> int:
    """Return where the number without a country code ends that begins at `start`, 0 if there is none."""
    if start and (text[start - 1] in _WORD or (text[start - 1] in ".-+/" and text[start - 2 : start - 1].isalnum())):
        return 0
    found = _NATIONAL.match(text, start)
    if found and _is_number(text, *found.span()) and not found[0].endswith("000000"):  # else a round number
        return found.end()
    # A list of numbers, or bytes in hexadecimal.
    follows_pair = (
        start > 1
        and text[start - 1] in " .-"
        and (text[start - 2].isdigit() or _PAIR_BEFORE.match(text, max(start - 3, 0)) is not None)
    )
    if not follows_pair and (found := _PAIRS.match(text, start)) and _is_number(text, *found.span()):
        return found.end()
    if (found := _AREA.match(text, start)) and 9 <= _count_digits(found[0]) <= 12 and _is_number(text, *found.span()):
        return found.end()
    if found := _SPACED.match(text, start):
        shown = found[0]
        while " " in shown:
            most = 12 if shown.count(" ") == 1 else 11
            if 9 <= _count_digits(shown) <= most and _is_number(text, start, start + len(shown)):
                return start + len(shown)
            shown = shown.rpartition(" ")[0]
    if _is_labelled(text, start) and (found := _LABELLED.match(text, start)):
        return found.end() if _count_digits(found[0]) >= 8 and _is_number(text, *found.span()) else 0
    return 0


def _is_number(text: str, start: int, end: int) -> bool:
    return _stands_alone(text, start, end) and len({each for each in text[start:end] if each.isdigit()}) > 1


def _count_digits(text: str) -> int:
    return sum(each.isdigit() for each in text)


def _is_labelled(text: str, start: int) -> bool:
    """Return whether a word such as "phone" is right before `start`."""
    before = text[max(start - _MOST_LABEL, 0) : start]
    if not before.rstrip("\"' .:=：").endswith(_LABEL_ENDS):
        return False
    return any(found.end() == len(before) for found in _LABEL_BEFORE.finditer(before))
