"""Find secrets in a text: keys by their issuers' prefixes, private keys, tokens, and values that are named a secret.

Everything is linear in the length of the text: a pattern is tried only where its first characters occur and a token
begins, and it never looks beyond that token.
"""

import re
from collections.abc import Iterator

__all__ = ["is_secret_value", "names_a_secret", "secret_spans"]

Span = tuple[int, int]

# The beginnings of keys, as their issuers document them. Sources: the formats that GitHub's secret scanning and
# gitleaks name.
_TOKEN_STARTS = (
    *("AKIA", "ASIA", "ABIA", "ACCA"),  # AWS
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glimt-", "glagent-"),
    *("xoxa-", "xoxb-", "xoxe-", "xoxe.", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"),  # Slack
    *("sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"),  # Stripe
    *("AIza", "GOCSPX-", "ya29."),  # Google
    "sk-",  # OpenAI, Anthropic and many others, this router among them
    *("npm_", "pypi-AgE", "hf_", "SG.", "dop_v1_", "shpat_", "shpss_", "dapi", "hvs.", "lin_api_", "ATATT3x", "gsk_"),
    *("xai-", "pplx-", "r8_", "glc_", "nvapi-", "PMAK-", "sntrys_", "AGE-SECRET-KEY-1"),
    "eyJ",  # JSON Web Tokens
)
_TOKEN = re.compile(
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{36,}+|github_pat_[A-Za-z0-9_]{22,}+"
    r"|gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent)-[A-Za-z0-9_.-]{20,}+"
    r"|xox[abeoprs][-.][A-Za-z0-9-]{10,}+|xapp-[A-Za-z0-9-]{20,}+"
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}+|whsec_[A-Za-z0-9+/=]{24,200}+"
    r"|AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])|GOCSPX-[A-Za-z0-9_-]{24,}+|ya29\.[A-Za-z0-9_-]{20,}+"
    r"|npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])|pypi-AgE[A-Za-z0-9_-]{50,}+|hf_[A-Za-z0-9]{30,}+"
    r"|SG\.[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+|dop_v1_[a-f0-9]{64}|shp(?:at|ss)_[A-Fa-f0-9]{32}"
    r"|dapi[a-f0-9]{32}(?![A-Za-z0-9])|hvs\.[A-Za-z0-9_-]{24,}+|lin_api_[A-Za-z0-9]{32,}+|ATATT3x[A-Za-z0-9_=-]{60,300}+"
    r"|gsk_[A-Za-z0-9]{40,}+|xai-[A-Za-z0-9]{60,}+|pplx-[A-Za-z0-9]{40,}+|r8_[A-Za-z0-9]{30,}+|glc_[A-Za-z0-9+/=]{30,300}+"
    r"|nvapi-[A-Za-z0-9_-]{40,}+|PMAK-[a-f0-9-]{50,}+|sntrys_[A-Za-z0-9+/=_-]{40,400}+|AGE-SECRET-KEY-1[A-Z0-9]{50,}+"
    r"|sk-[A-Za-z0-9_-]{18,}+"
    r"|eyJ[A-Za-z0-9_-]{8,}+\.eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+"
)
_JOINED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.+/=")
"""Characters that do not precede a token: it would be the middle of another, or of base64."""

_SLACK_HOOK = "https://hooks.slack.com/services/"
_HOOK_PATH = re.compile(r"T[A-Z0-9]{6,}+/B[A-Z0-9]{6,}+/[A-Za-z0-9]{16,}+")

_KEY_BLOCK, _KEY_BLOCK_END = "-----BEGIN ", "-----END "
_BLOCK_HEAD = re.compile(r"(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_BLOCK_BODY = re.compile(r"[A-Za-z0-9+/=\s\\:,.-]{0,20000}+")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{16}")
_MOST_BLOCK = 20_000

_URL = "://"
_URL_PASSWORD = re.compile(r"[^\s:@/'\"<>`]{0,200}+:([^\s@/'\"<>`]{3,200}+)@")
_SCHEME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+"

# Words at the end of a name whose value is a secret. Those of the second group are words of programs too.
_NO_SECRETS = ("pagetoken", "nexttoken", "continuationtoken", "synctoken", "cursortoken")  # of lists, in pages
_PASSWORD_WORDS = ("password", "passwd", "passphrase", "pwd", "密码", "口令")
_KEY_WORDS = tuple(
    "secret token apikey accesskey privatekey secretkey accountkey signingkey encryptionkey masterkey authkey "  # noqa: SIM905
    "credential credentials sharedaccesskey".split()
)
_NAME_ENDS = (*_PASSWORD_WORDS[:4], "secret", "token", "key", "credential", "credentials", "密码", "口令")
_SPLIT_NAME = str.maketrans("", "", "_-. ")
_VALUE = re.compile(
    r"[\"'\]\\]{0,4}[ \t]{0,8}(?:=>|:=|[=:\uff1a]|is\b|\u662f|\u4e3a)[ \t]{0,8}"
    r"(?:\\?\"([^\"\\\n]{4,400}+)|\\?'([^'\\\n]{4,400}+)|([^\s\"'`<>,;()\[\]{}&|\\\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]{6,200}+))"
)
_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-."
_LONGEST_NAME = 40
_LONGEST_VALUE = 400
_PATH_LIKE = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*+(?:(?:\.|->|::|\?\.)[A-Za-z_$][A-Za-z0-9_$]*+)*+")
_STAND_INS = frozenset(
    "password pass password1 passwd secret token changeme example string none null true false undefined required "  # noqa: SIM905
    "optional redacted hidden masked bearer basic".split()
)
_STAND_IN_STARTS = tuple("your my- my_ < ${ $( {{ {% %( *** xxx ... os.environ process.env".split())  # noqa: SIM905
_DIGIT, _LETTER, _SIGN = re.compile(r"[0-9]"), re.compile(r"[^\W0-9_]"), re.compile(r"[^\w.:/-]")
_WORDS = re.compile(r"[a-z]+(?:[_-][a-z]+)*[0-9]?")


def secret_spans(text: str) -> Iterator[Span]:
    """Yield where the secrets in `text` begin and end; they may overlap."""
    yield from _token_spans(text)
    yield from _hook_spans(text)
    yield from _key_block_spans(text)
    yield from _url_spans(text)
    yield from _named_spans(text)


def names_a_secret(name: str) -> bool:
    """Return whether a field called `name` holds a secret: its last words say so."""
    return 0 < len(name) <= 100 and bool(_secret_word(name.lower()))


def is_secret_value(name: str, value: str) -> bool:
    """Return whether `value` in a field called `name` is a secret, and not a stand-in for one."""
    is_password = _secret_word(name.lower()) == "password"
    return 4 <= len(value) <= _LONGEST_VALUE and _is_likely(value, is_password, is_quoted=True)


def _places(text: str, start: str) -> Iterator[int]:
    at = text.find(start)
    while at >= 0:
        yield at
        at = text.find(start, at + len(start))


def _token_spans(text: str) -> Iterator[Span]:
    for start in _TOKEN_STARTS:
        for at in _places(text, start):
            if at and text[at - 1] in _JOINED and not _begins_token(text, at):
                continue
            if (found := _TOKEN.match(text, at)) and _is_key(found[0]):
                yield found.span()


def _begins_token(text: str, at: int) -> bool:
    """Return whether a token begins at `at` although a letter or sign precedes it: `KEY=ghp_…`, `//sk-…`, `\\nsk-…`.

    The patterns of tokens that may hold these signs themselves are bounded, so that no run is read from every place.
    """
    match text[max(at - 2, 0) : at]:
        case "//" | "\\n" | "\\r" | "\\t":
            return True
        case pair:
            return pair[-1] == "=" and pair[0] not in "=+/-."


def _is_key(token: str) -> bool:
    """Return whether a token with a prefix is a key: `sk-` begins names of styles and files, too."""
    if not token.startswith("sk-"):
        return True
    rest = token[3:]
    if not any(each.isdigit() for each in rest):
        return False
    longest = max(map(len, rest.replace("_", "-").split("-")))
    return longest >= 16 or any(each.isupper() for each in rest)


def _hook_spans(text: str) -> Iterator[Span]:
    for at in _places(text, _SLACK_HOOK):
        if found := _HOOK_PATH.match(text, at + len(_SLACK_HOOK)):
            yield at, found.end()


def _key_block_spans(text: str) -> Iterator[Span]:
    done = closing = 0  # `closing` is where the next end of a block begins
    for at in _places(text, _KEY_BLOCK):
        if at < done or not (head := _BLOCK_HEAD.match(text, at + len(_KEY_BLOCK))):
            continue
        if closing < head.end():
            closing = text.find(_KEY_BLOCK_END, head.end())
            closing = len(text) + _MOST_BLOCK if closing < 0 else closing
        if closing - head.end() <= _MOST_BLOCK:
            last = text.find("-----", closing + len(_KEY_BLOCK_END), closing + 60)
            done = last + 5 if last >= 0 else closing
        else:  # cut off
            body = _BLOCK_BODY.match(text, head.end())
            done = body.end() if body else head.end()
        if _KEY_LINE.search(text, head.end(), done):  # else programs that look for keys
            yield at, done


def _url_spans(text: str) -> Iterator[Span]:
    """Yield the passwords in URLs such as postgres://user:password@host."""
    for at in _places(text, _URL):
        if not at or text[at - 1] not in _SCHEME:
            continue
        if (found := _URL_PASSWORD.match(text, at + len(_URL))) and not _is_stand_in(found[1]):
            yield found.span(1)


def _named_spans(text: str) -> Iterator[Span]:
    """Yield values that are assigned to names of secrets: `password = …`, `"api_key": "…"`, `密码是…`."""
    lower = text.lower()
    if len(lower) != len(text):  # a few capitals have two small letters: then only plain ones are made small
        lower = "".join([each.lower() if each.isascii() else each for each in text])
    for end in _NAME_ENDS:
        for at in _places(lower, end):
            after = at + len(end)
            if not (found := _VALUE.match(text, after)):
                continue
            before = lower[max(after - _LONGEST_NAME, 0) : after]
            name = before if not end.isascii() else before[len(before.rstrip(_NAME_CHARACTERS)) :]
            if not (word := _secret_word(name)):
                continue
            group = found.lastindex or 0
            if _is_likely(found[group], word == "password", is_quoted=group < 3):
                yield found.span(group)


def _secret_word(name: str) -> str:
    """Return "password" or "key" for a name in lower case that says so at its end, else ""."""
    joined = name.translate(_SPLIT_NAME)
    if joined.endswith(_NO_SECRETS):
        return ""
    if joined.endswith(_PASSWORD_WORDS):
        return "password"
    return "key" if joined.endswith(_KEY_WORDS) else ""


def _is_stand_in(value: str) -> bool:
    lower = value.lower()
    return (
        lower in _STAND_INS
        or lower.startswith(_STAND_IN_STARTS)
        or lower.endswith(("...", "…", "_here", "-here"))
        or len(set(value)) < 3
        or (lower.startswith(("{", "[", "<", "$", "%")) and lower.endswith(("}", "]", ">", "%", ")")))
        or (value.startswith("$") and value[1:].replace("_", "").isalnum() and value.isupper())
    )


def _is_likely(value: str, is_password: bool, *, is_quoted: bool) -> bool:
    """Return whether an assigned value is a secret, and not a stand-in, a word or a piece of a program."""
    if _is_stand_in(value) or " " in value.strip():
        return False
    has_digit, has_letter = _DIGIT.search(value) is not None, _LETTER.search(value) is not None
    if is_password:
        has_sign = _SIGN.search(value) is not None
        if is_quoted:
            return len(value) >= 6 and (has_digit or has_sign or (len(value) >= 12 and value.islower()))
        return has_letter and (has_digit or has_sign) and not _is_program(value)
    if len(value) < (12 if is_quoted else 16) or not (has_digit and has_letter):
        return False
    return not _is_program(value) and "://" not in value


def _is_program(value: str) -> bool:
    """Return whether `value` is a name or a path of names, as programs use them."""
    if value.isidentifier() and "_" in value and (value.isupper() or value.lower().endswith(_NAME_ENDS)):
        return True
    if _WORDS.fullmatch(value):
        return "_" in value or "-" in value or not value[-1].isdigit()
    found = _PATH_LIKE.fullmatch(value)
    return bool(found) and any(sign in value for sign in (".", "->", "::"))
