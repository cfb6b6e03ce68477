"""Secrets that only the name before them tells: `PASSWORD=…`, `"api_key": "…"`, `--token …`.

Code assigns to such names all day without a secret being near: `password = form.password`, `token: str`. So what is
not in quotes must look like a value where it stands, and only passwords may be plain words.
"""

import re
from collections.abc import Iterator

from app.security.secret_names import (
    NAME_LIKE,
    NAME_MAX,
    PLAIN_WORD,
    Doubt,
    SecretName,
    announced,
    is_no_value,
    looks_random,
    words,
)
from app.security.secret_patterns import Span, Text

KEYWORDS = ("passw", "pwd", "passphrase", "passcode", "pass", "secret", "token", "key", "credential", "cookie", "jwt")
"""Every name that announces a secret has one of these in it, in lower case."""
LONGEST = 2000
NAME = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
NAME_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
ASSIGNED = re.compile(
    r"""\\{0,3}["'`]?\]?(?P<gap>[ \t]{0,8})(?P<operator>:=|=>|==|[:=])[ \t]{0,8}
        (?:[rbuf]{0,2}(?P<quote>\\{0,3}["'`])(?P<quoted>[^\s"'`]{1,2000})(?=["'`])
          |(?P<bare>[^\s"'`,;&|<>(){}\[\]]{1,2000})(?P<after>.?))""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
ESCAPED_END = re.compile(r"""\\[nrt"'\\]""")
OPTION = re.compile(r"""[ =]["']?(?P<value>[^\s"'`<>|;&]{1,2000})""", re.ASCII)
CODE_AFTER = frozenset("([{")
ARGUMENT_AFTER = frozenset(",)")
IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*", re.ASCII)
NO_OPERAND = words(
    "a an and are argument arguments as at be by can cannot command could does env environment except file flag flags "
    "for from given has have if in instead into is it like may means must no not of on only option options or "
    "parameter prompt set should so stdin than that the then there this to too use used uses using value was "
    "when which will with without works you"
)
"""Words that follow an option's name where it is talked about."""


def assignments(text: Text) -> Iterator[Span]:
    """The values that are assigned to names which announce a secret."""
    done = 0
    for start, end in sorted(set(_names(text))):
        name = text.text[start:end] if start >= done else ""
        known = announced(name.rpartition(".")[2])
        if known is None:
            continue
        span = _option(text.text, name, end, known) or _assigned(text.text, name, end, known)
        if span is not None:
            done = span.end
            yield span


def _names(text: Text) -> Iterator[tuple[int, int]]:
    """Where the names with a keyword in them stand, each once."""
    for keyword in KEYWORDS:
        position, done = text.lowered.find(keyword), 0
        while position >= 0:
            if position >= done:
                start = _start_of_name(text.text, position, done)
                found = NAME.match(text.text, position)
                done = found.end() if found else position + 1
                if done - start <= NAME_MAX:
                    yield start, done
            position = text.lowered.find(keyword, max(done, position + 1))


def _start_of_name(text: str, position: int, floor: int) -> int:
    lowest = max(floor, position - NAME_MAX)
    while position > lowest and text[position - 1] in NAME_CHARS:
        position -= 1
    return position


def _option(text: str, name: str, end: int, known: SecretName) -> Span | None:
    """The operand of `--password …`."""
    found = OPTION.match(text, end) if name.startswith("--") else None
    if found is None:
        return None
    value = _trimmed(found["value"])
    if is_no_value(value) or value.startswith("-") or (value.isupper() and value.isalpha()):
        return None
    plain = PLAIN_WORD.fullmatch(value) is not None
    taken = value.lower() not in NO_OPERAND if known.is_password and plain else _is_value(known, value)
    return Span(found.start("value"), found.start("value") + len(value), known.kind) if taken else None


def _assigned(text: str, name: str, end: int, known: SecretName) -> Span | None:
    found = ASSIGNED.match(text, end)
    if found is None or found["operator"] == "==":
        return None
    if found["quoted"] is not None:
        value = found["quoted"].rstrip("\\")
        taken = _is_quoted_secret(name, known, value)
        return Span(found.start("quoted"), found.start("quoted") + len(value), known.kind) if taken else None
    value = _trimmed(found["bare"])
    if found["after"] in CODE_AFTER or is_no_value(value) or value.lower() == name.lower():
        return None
    taken = _is_bare_secret(name, known, value, found)
    return Span(found.start("bare"), found.start("bare") + len(value), known.kind) if taken else None


def _trimmed(value: str) -> str:
    """The value without what ends the sentence or the string that it stands in."""
    return ESCAPED_END.split(value, 1)[0].rstrip("\\").rstrip(".:")


def _is_quoted_secret(name: str, known: SecretName, value: str) -> bool:
    if is_no_value(value) or value.lower().replace("-", "_") in name.lower().replace("-", "_"):
        return False
    if known.is_password:
        return len(value) > 2
    if known.kind == "secret" and len(value) > 5 and NAME_LIKE.fullmatch(value):
        return not any(mark in value for mark in "-_./:")
    return _is_value(known, value)


def _is_bare_secret(name: str, known: SecretName, value: str, found: re.Match[str]) -> bool:
    """Whether a value without quotes is a secret, and no variable, call, type or word of prose."""
    tight = not found["gap"] and text_follows(found) and found["operator"] == "="
    if IDENTIFIER.fullmatch(value):
        if not known.is_password or found["after"] in ARGUMENT_AFTER:
            # names of variables mix letters and digits as well, but not for long
            return known.doubt is not Doubt.MUCH and len(value) >= 16 and looks_random(value) and "." not in value
        return _is_word_secret(name, value, tight)
    return _is_value(known, value)


def text_follows(found: re.Match[str]) -> bool:
    """Whether the value begins right after the operator."""
    return found.end("operator") == found.start("bare")


def _is_word_secret(name: str, value: str, tight: bool) -> bool:
    """Whether something like an identifier is a password: any after a tight `=`, one with digits elsewhere."""
    if "." in name or "." in value or "$" in value or value.startswith("_"):
        return False
    if any(char.isdigit() for char in value):
        return len(value) > 3
    return tight and NAME_LIKE.fullmatch(value) is not None and "_" not in value and len(value) > 2


def _is_value(known: SecretName, value: str) -> bool:
    if known.is_password:
        return len(value) > 3 and not NAME_LIKE.fullmatch(value) and any(char.isalpha() for char in value)
    return looks_random(value)
