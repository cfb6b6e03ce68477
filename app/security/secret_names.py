"""Names that announce a secret, as JSON keys, variables or options have them, and values that are none all the same.

The shape of a name decides: its last word is what it is (`client_secret`, `dbPassword`), what comes before says of what
kind (`access_token` is a credential, `next_token` a cursor), and `token_id`, `tokens_used` or `secretName` are neither.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

SOME_LENGTH = 8
NAME_MAX = 100
"""Characters: longer keys are texts, not names."""


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


class Doubt(IntEnum):
    """How much a value must look like a secret to be taken for one under such a name."""

    NONE = 0
    """Whatever is no reference, no placeholder and no prose."""
    SOME = 1
    """Eight characters or more, and no plain word."""
    MUCH = 2
    """Letters and digits mixed as only machines mix them."""


@dataclass(frozen=True)
class SecretName:
    """What a name announces, in the words of the replacement, and how far it is to be believed."""

    kind: str
    doubt: Doubt
    is_password: bool = False
    is_plural: bool = False


PASSWORD_WORDS = frozenset({"password", "passwd", "passwort", "pwd", "passphrase", "passcode"})
PASS_OF = frozenset({"db", "database", "user", "admin", "root", "smtp", "ftp", "mysql", "pg", "redis", "key", "mail"})
"""`pass` alone is what a check did; with one of these before it, it is a password."""
JOINED = {
    "apikey": ("api", "key"),
    "secretkey": ("secret", "key"),
    "accesskey": ("access", "key"),
    "privatekey": ("private", "key"),
    "authkey": ("auth", "key"),
    "accountkey": ("account", "key"),
    "sharedaccesskey": ("access", "key"),
    "authtoken": ("auth", "token"),
    "accesstoken": ("access", "token"),
    "refreshtoken": ("refresh", "token"),
    "clientsecret": ("client", "secret"),
}
KEYS_TAKEN = frozenset({"api", "private", "secret"})
KEYS_DOUBTED = words(
    "access account auth client consumer decryption deploy encryption gpg hmac integration license master pem pgp rsa "
    "service session shared signing ssh storage subscription webhook wrapping"
)
TOKENS_TAKEN = words(
    "access admin api auth bearer bot client deploy device github gitlab hub id jwt oauth personal refresh secret "
    "security service session slack user vault webhook"
)
NO_SECRETS = words(
    "bos cached change cls completion continuation count cursor end eos expired fencing first forgot has hide input "
    "invalid is last mask max min missing needs next no num number of output pad page pagination per prev previous "
    "prompt public reasoning requires sep show special start stop sync total unk unknown use uses without"
)
"""Before the last word they make it a cursor, a count, a flag or a message."""
TRAILING = words(
    "b64 base64 current default dev new old plain plaintext primary prod raw secondary staging "
    "string test text val value"
)
PLURALS = {"passwords": "password", "secrets": "secret", "tokens": "token", "keys": "key", "credentials": "credential"}

WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


@lru_cache(maxsize=8192)
def announced(name: str) -> SecretName | None:
    """What the name announces; None for all others. A plural announces items, each to be doubted."""
    if len(name) > NAME_MAX or "[secret removed" in name:
        return None
    words = [word.lower() for word in WORDS.findall(name)]
    while words and (words[-1].isdigit() or words[-1] in TRAILING) and len(words) > 1:
        words.pop()
    if not words:
        return None
    words[-1:] = JOINED.get(words[-1], (words[-1],))
    last, before = words[-1], words[:-1]
    if not NO_SECRETS.isdisjoint(before):
        return None
    if last in PLURALS:
        one = _singular(PLURALS[last], before)
        return SecretName(one.kind, Doubt.MUCH, is_plural=True) if one else None
    return _singular(last, before)


def _singular(last: str, before: list[str]) -> SecretName | None:
    of = before[-1] if before else ""
    if last in PASSWORD_WORDS or (last == "pass" and of in PASS_OF):
        return SecretName("password", Doubt.NONE, is_password=True)
    if last == "secret":
        return SecretName("secret", Doubt.NONE)
    if last == "token":
        return SecretName("token", Doubt.NONE if of in TOKENS_TAKEN else Doubt.SOME)
    if last == "key":
        return _key(of)
    if last in ("credential", "authorization", "cookie", "jwt"):
        return SecretName(last, Doubt.MUCH)
    return None


def _key(of: str) -> SecretName | None:
    if of in KEYS_TAKEN:
        return SecretName("API key" if of == "api" else f"{of} key", Doubt.NONE)
    return SecretName("key", Doubt.MUCH) if of in KEYS_DOUBTED else None


REFERENCE = re.compile(
    r"""\[secret\b | \$[A-Za-z_]+$ | \$[{(] | %[A-Za-z_(]\w*[)%]?[sd]?$ | \#?\{.*\}$ | <.*>$ | :[A-Za-z_]+$
      | (?:env|file|ref|vault|secret|secrets|secretref|keyring|ssm|sm|op|gsm|kms|aws-sm|azurekeyvault|doppler)[:.]
      | arn:aws | projects/[^/\s]+/secrets/ | os\.(?:environ|getenv) | process\.env | import\.meta\.env
      | (?:\.{1,2}|~)/ | [a-z][a-z0-9+.-]*://
      | /(?:app|data|dev|etc|home|mnt|opt|private|proc|root|run|secrets|srv|tmp|users|usr|var)/ """,
    re.VERBOSE | re.IGNORECASE,
)
"""How a value begins that was removed already, or that says where a secret is kept or will be put in."""
MASK = re.compile(r"[*•xX.…_#-]+|(?:your|insert|replace|enter)[-_].*", re.IGNORECASE)
NO_VALUE = words(
    "null none nil undefined true false yes no on off str string text bytes int integer number float bool boolean any "
    "object optional required unknown n/a na tbd todo redacted removed hidden masked empty unset missing invalid "
    "expired default example placeholder changed valid ok set self this auto bearer basic sha256 sha512 sha1 md5 "
    "argon2 argon2id bcrypt scrypt pbkdf2 oauth2 base64 utf8 utf-8 bytes32 int64 uint8 uint256 varchar secretstr"
)
NAME_LIKE = re.compile(r"[A-Za-z]+(?:[-_./:][A-Za-z]+)*", re.ASCII)
"""A word, or several joined as identifiers, paths and slugs join them."""
PLAIN_WORD = re.compile(r"[A-Z]?[a-z]{1,19}|[A-Z]{1,19}", re.ASCII)
RUN = re.compile(r"[A-Za-z0-9]{8,}", re.ASCII)
FILE = re.compile(r".*\.(?:py|js|ts|json|ya?ml|toml|txt|md|pem|key|crt|env|go|rs|java|sql|sh|html|csv)", re.ASCII)


def is_no_value(value: str) -> bool:
    """Whether the value is empty, a mask, the name of a type, or a reference to where the secret is."""
    text = value.strip()
    if not text or text.lower() in NO_VALUE:
        return True
    return REFERENCE.match(text) is not None or MASK.fullmatch(text) is not None


def looks_random(value: str) -> bool:
    """Whether letters and digits are mixed within eight characters or more, as in no name and no file's."""
    if FILE.fullmatch(value):
        return False
    return any(_is_mixed(run) for run in RUN.findall(value))


def _is_mixed(run: str) -> bool:
    return any(char.isdigit() for char in run) and any(char.isalpha() for char in run)


SCHEME = re.compile(r"\s*(?:bearer|basic|token|apikey|digest)\s+(?=\S{6})", re.IGNORECASE)


def start_of_secret(name: SecretName, value: str) -> int | None:
    """Where in a JSON string under such a key the secret begins; None when it is none.

    Whoever writes prose there writes spaces; only the scheme of an authorization has one after it.
    """
    scheme = SCHEME.match(value) if name.kind == "authorization" else None
    start = scheme.end() if scheme else 0
    return start if _is_secret(name if not scheme else SecretName(name.kind, Doubt.NONE), value[start:]) else None


def _is_secret(name: SecretName, value: str) -> bool:
    if is_no_value(value) or any(char.isspace() for char in value.strip()):
        return False
    if name.doubt is Doubt.NONE:
        return True
    if name.doubt is Doubt.SOME:
        return len(value) >= SOME_LENGTH and PLAIN_WORD.fullmatch(value) is None
    return looks_random(value)
