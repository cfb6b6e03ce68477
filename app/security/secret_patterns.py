"""What secrets look like: detect-secrets' patterns, put right where they hold too little or too much, and ours.

A detector is looked for where one of its anchors stands, so that a text without any costs a search for some literals.
No pattern here may run longer than a bounded stretch from an anchor: a text may be made to be slow.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.cloudant import CloudantDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.ibm_cloud_iam import IbmCloudIamDetector
from detect_secrets.plugins.ibm_cos_hmac import IbmCosHmacDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.softlayer import SoftlayerDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from app.security.secret_names import is_no_value, looks_random

REACH = 8192
"""Characters from an anchor in which a match must end; letters and digits that go on after it are taken along."""
ASSIGNED_REACH = 110
SPACES = " " * 6
"""detect-secrets' patterns of assignments are cubic in the spaces around the sign: more of them are not looked at."""
HERE = (0,)
DENSE = 16
"""Characters: no token is shorter, so its anchor stands in a word of at least so many."""


class Span(NamedTuple):
    """A secret in a text, from `start` up to `end`."""

    start: int
    end: int
    kind: str


class Text:
    """A text under examination, with its lower-case form at the same positions, and its long words alone."""

    def __init__(self, text: str) -> None:
        self.text = text
        lowered = text.lower()
        # İ becomes two characters, which would shift what comes after it
        self.lowered = lowered if len(lowered) == len(text) else "".join(c.lower() if c.isascii() else c for c in text)
        self.dense = " ".join([word for word in text.split() if len(word) >= DENSE])


Check = Callable[[str], bool]


@dataclass(frozen=True)
class Detector:
    """Secrets of one kind: `pattern` must match where an anchor stands, or one of `back` characters before it.

    The secret is the group `group`, if `check` agrees. With `grows` it begins a word, and takes along the letters and
    digits right after it, so that nothing is left of one that is longer than the pattern knows. Caseless anchors are
    lower-case. Those of a `dense` one are looked for in long words only, of which prose has few.
    """

    kind: str
    anchors: tuple[str, ...]
    pattern: re.Pattern[str]
    group: int = 0
    back: Sequence[int] = HERE
    reach: int = REACH
    caseless: bool = False
    grows: bool = True
    dense: bool = True
    check: Check | None = None

    def find(self, text: Text) -> Iterator[Span]:
        """The secrets of this kind."""
        where = text.lowered if self.caseless else text.text
        for anchor in self.anchors:
            position = where.find(anchor)
            while position >= 0:
                span = self._around(text.text, position) if self._is_quick(text.text, position) else None
                if span is not None:
                    yield span
                position = where.find(anchor, max(position + 1, span.end if span else 0))

    def _is_quick(self, text: str, anchor: int) -> bool:
        return self.reach > ASSIGNED_REACH or SPACES not in text[anchor : anchor + self.reach]

    def _around(self, text: str, anchor: int) -> Span | None:
        for start in (anchor - back for back in self.back):
            if start < 0 or (self.grows and self.group == 0 and _continues(text, start)):
                continue
            found = self.pattern.match(text, start, anchor + self.reach)
            span = self._taken(text, found) if found is not None else None
            if span is not None:
                return span
        return None

    def _taken(self, text: str, found: re.Match[str]) -> Span | None:
        start, end = found.span(self.group)
        # before it grows: what is checked again and again must be short
        if self.check is not None and not self.check(text[start:end]):
            return None
        return Span(start, _run_end(text, end) if self.grows else end, self.kind)


RUN = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


def _continues(text: str, start: int) -> bool:
    """Whether what begins here is the end of a longer word."""
    return start > 0 and text[start - 1].isascii() and text[start - 1].isalnum()


def _run_end(text: str, end: int) -> int:
    found = RUN.match(text, end)
    return found.end() if found else end


def is_jwt(text: str) -> bool:
    """Whether the first part is the header of a JSON Web Token: a JSON object that names its algorithm."""
    head = text.partition(".")[0]
    try:
        header = orjson.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error):
        return False
    return isinstance(header, dict) and "alg" in header


def is_basic(text: str) -> bool:
    """Whether this is user and password as HTTP's basic scheme packs them."""
    try:
        return b":" in base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        return False


def is_discord(text: str) -> bool:
    """Whether the first part of a bot's token is the number of its account."""
    head = text.partition(".")[0]
    try:
        return base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).isdigit()
    except (ValueError, binascii.Error):
        return False


def has_long_run(text: str) -> bool:
    """Whether 16 letters and digits stand together, mixed: in keys they do, in slugs they do not."""
    runs = re.findall(r"[A-Za-z0-9]{16,}", text)
    return any(any(c.isdigit() for c in run) and any(c.isalpha() for c in run) for run in runs)


def has_both_cases(text: str) -> bool:
    """Whether there are capitals and small letters beside the prefix, as in base64 of random bytes."""
    body = text[4:]
    return body != body.lower() and body != body.upper()


def is_hexadecimal_tail(text: str) -> bool:
    """Whether the part after the dot has a digit or a capital, which a file's extension has not."""
    tail = text.rpartition(".")[2]
    return tail != tail.lower() or any(char.isdigit() for char in tail)


def is_given(text: str) -> bool:
    """Whether the text is a value, and no placeholder or reference."""
    return not is_no_value(text) and re.fullmatch(r"[A-Z_]+", text) is None


class Use(NamedTuple):
    """How a pattern of detect-secrets is used: where it can begin, and what else must hold."""

    kind: str
    anchors: tuple[str, ...]
    group: int = 0
    back: Sequence[int] = HERE
    reach: int = REACH
    check: Check | None = None


def assigned(kind: str, *names: str, before: int = 2, check: Check | None = None) -> Use:
    """An assignment to such a name."""
    return Use(kind, names, 1, range(before, -1, -1), ASSIGNED_REACH, check)


PLUGINS: Mapping[type[RegexBasedDetector], Sequence[Use | None]] = {
    AWSKeyDetector: (
        Use("AWS access key id", ("A3T", "ABIA", "ACCA", "AKIA", "ASIA")),
        assigned("AWS secret key", "aws", before=0),
    ),
    CloudantDetector: (
        assigned("Cloudant key", "cloudant"),
        assigned("Cloudant key", "cloudant"),
        None,
        None,
    ),
    # dotted names may have this shape; a number in base64 begins with one of these
    DiscordBotTokenDetector: (
        Use("Discord bot token", ("MT", "Mj", "Mz", "ND", "NT", "Nj", "Nz", "OD", "OT"), check=is_discord),
    ),
    GitHubTokenDetector: (Use("GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),),
    GitLabTokenDetector: (
        Use("GitLab token", ("glpat-", "gldt-", "glft-", "glsoat-", "glrt-")),
        Use("GitLab token", ("GR1348941",)),
        Use("GitLab token", ("glcbt-",)),
        Use("GitLab token", ("glimt-",)),
        Use("GitLab token", ("glptt-",)),
        Use("GitLab token", ("glagent-",)),
        Use("GitLab token", ("gloas-",)),
    ),
    # without its name, the pattern is any word of 44 characters after "key" or "token"
    IbmCloudIamDetector: (assigned("IBM Cloud key", "ibm", "cloud_iam", "cloud-iam", check=looks_random),),
    IbmCosHmacDetector: (assigned("IBM storage key", "secret", before=16),),
    MailchimpDetector: (Use("Mailchimp key", ("-us",), 0, (32,), 8),),
    PypiTokenDetector: (Use("PyPI token", ("pypi-AgE",)), Use("PyPI token", ("pypi-AgE",))),
    SendGridDetector: (Use("SendGrid key", ("SG.",)),),
    SlackDetector: (Use("Slack token", ("xox",)), None),
    SoftlayerDetector: (
        assigned("SoftLayer key", "softlayer"),
        assigned("SoftLayer key", "://api.softlayer.com", before=5),
    ),
    SquareOAuthDetector: (Use("Square token", ("sq0csp-",)),),
    StripeDetector: (Use("Stripe key", ("sk_live_", "rk_live_")),),
    # a number before a word is of the same shape, but bots' tokens all begin with AA
    TelegramBotTokenDetector: (Use("Telegram bot token", (":AA",), 0, (10, 9, 8), 60),),
    TwilioKeyDetector: (Use("Twilio account", ("AC",)), Use("Twilio key", ("SK",))),
}
"""The plugins in use, a `Use` for each of their patterns, in their order; None where ours is better. What
detect-secrets itself reports of a match is not used: of a GitHub token it is the prefix."""

PLUGINS_LEFT_OUT: Mapping[str, str] = {
    "ArtifactoryDetector": "its second pattern is any word that begins with AP and a letter up to F",
    "AzureStorageKeyDetector": "it takes the name of the key along; the pattern below does not",
    "BasicAuthDetector": "it ends at the first special character of a password; the pattern below does not",
    "IPPublicDetector": "an address is no secret",
    "JwtTokenDetector": "it leaves the signature; the pattern below does not",
    "NpmDetector": "two unbounded wildcards in a row: quadratic in the length of a line; the pattern below is not",
    "OpenAIDetector": "a wildcard before what it looks for: quadratic; the pattern below finds the same keys",
    "PrivateKeyDetector": "it finds the header and leaves the key; the block is found below",
}


def _of_plugins() -> Iterator[Detector]:
    for plugin, uses in PLUGINS.items():
        denylist: Any = plugin.denylist
        for use, pattern in zip(uses, denylist, strict=True):
            if use is None:
                continue
            by_name = use.group > 0
            yield Detector(
                use.kind, use.anchors, pattern, use.group, use.back, use.reach, by_name, True, not by_name, use.check
            )


def prefixed(kind: str, *prefixes: str, least: int, chars: str = r"[\w-]", check: Check | None = None) -> Detector:
    """Tokens that begin with one of the prefixes and go on for `least` characters or more."""
    begins = "|".join(re.escape(prefix) for prefix in prefixes)
    return Detector(kind, prefixes, re.compile(rf"(?:{begins}){chars}{{{least},200}}", re.ASCII), check=check)


def written(
    kind: str,
    anchors: str | tuple[str, ...],
    pattern: str,
    group: int = 0,
    *,
    back: int = 0,
    caseless: bool = False,
    grows: bool = False,
    dense: bool = True,
    check: Check | None = None,
) -> Detector:
    """A detector from the text of its pattern."""
    compiled = re.compile(pattern, re.ASCII | (re.IGNORECASE if caseless else 0))
    anchors = (anchors,) if isinstance(anchors, str) else anchors
    return Detector(kind, anchors, compiled, group, (back,), REACH, caseless, grows, dense and not caseless, check)


BASE64 = r"[A-Za-z0-9+/]"
OURS: tuple[Detector, ...] = (
    prefixed("hub token", "hub_", least=43, check=has_both_cases),
    prefixed("Anthropic key", "sk-ant-", least=16),
    prefixed("OpenAI key", "sk-proj-", "sk-svcacct-", "sk-admin-", least=20),
    prefixed("OpenRouter key", "sk-or-v1-", least=32),
    prefixed("API key", "sk-", least=20, check=has_long_run),
    written("Z.ai key", ".", r"(?<![0-9A-Za-z])[0-9a-f]{32}\.[A-Za-z0-9]{16}(?![A-Za-z0-9])", back=32,
            check=is_hexadecimal_tail),
    prefixed("GitHub token", "github_pat_", least=36),
    prefixed("GitLab token", "glffct-", least=20),
    prefixed("Google key", "AIza", least=35),
    prefixed("Google token", "ya29.", "1//0", "GOCSPX-", least=20, check=has_both_cases),
    prefixed("Hugging Face token", "hf_", "api_org_", least=30, check=has_both_cases),
    prefixed("npm token", "npm_", least=36, chars=r"[A-Za-z0-9]"),
    written("npm token", ":_auth", r":_auth(?:Token)?\s{0,4}=\s{0,4}[\"']?([^\s\"'$]{8,200})", 1, dense=False),
    prefixed("PyPI token", "pypi-", least=50),
    prefixed("Slack token", "xoxe.", "xoxe-", "xoxa-", "xoxb-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xoxc-", "xoxd-",
             "xapp-", least=16, chars=r"[\w%-]", check=looks_random),
    written("Slack webhook", "hooks.slack.com/",
            r"hooks\.slack\.com/(?:services|workflows|triggers)/([\w/-]{16,200})", 1),
    written("Discord webhook", "/api/webhooks/", r"/api/webhooks/\d{10,25}/([\w-]{40,120})", 1),
    written("Teams webhook", ".webhook.office.com/", r"\.webhook\.office\.com/webhookb2/([\w@/-]{40,300})", 1),
    prefixed("Stripe key", "sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_", least=16, check=looks_random),
    prefixed("Square token", "sq0atp-", "EAAAE", least=20, check=looks_random),
    prefixed("Shopify token", "shpat_", "shpca_", "shppa_", "shpss_", least=32),
    prefixed("AI provider's key", "gsk_", "xai-", "pplx-", "nvapi-", "r8_", "pcsk_", "lsv2_pt_", "lsv2_sk_", "tvly-",
             "sk-lf-", least=20, check=looks_random),
    prefixed("cloud provider's token", "dop_v1_", "doo_v1_", "dor_v1_", "dapi", "fm2_", "hvs.", "hvb.", "sbp_",
             "HRKU-", "NRAK-", "tskey-", "pscale_tkn_", "pscale_pw_", "glsa_", "glc_", "dp.pt.", "dckr_pat_", "figd_",
             "lin_api_", "ntn_", "PMAK-", "sntrys_", "sntryu_", "ATATT3", "ATCTT3", least=20, check=looks_random),
    written("Azure key", ("accountkey=", "accesskey="),
            rf"(?:Account|Access)Key=({BASE64}{{20,120}}={{0,2}})", 1, caseless=True),
    written("Azure signature", "sig=", r"(?<=[?&;])sig=([A-Za-z0-9%+/=_-]{20,200})", 1),
    written("AWS signature", "X-Amz-Signature=", r"X-Amz-Signature=([0-9a-f]{64})", 1),
    written("Azure client secret", "Q~", r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])", back=4),
    written("AWS secret key", ("AKIA", "ASIA"),
            rf"A[KS]IA[0-9A-Z]{{16}}[^A-Za-z0-9+/]{{1,20}}(?:[A-Za-z_ ]{{1,40}}[^A-Za-z0-9+/]{{1,8}})?"
            rf"({BASE64}{{40}})(?![A-Za-z0-9+/=])", 1, check=has_both_cases),
    written("JSON Web Token", "eyJ", r"(?<![\w-])eyJ[\w-]{8,1500}\.[\w-]{2,8000}(?:\.[\w-]*){0,3}", check=is_jwt),
    prefixed("age key", "AGE-SECRET-KEY-1", least=40, chars="[A-Z0-9]"),
    # the scheme's own word before it is sign enough, so these characters need not look random
    written("authorization", "authorization",
            r"authorization\\{0,3}[\"']?\]?\s{0,4}[:=,]\s{0,4}\\{0,3}[\"']?(?:bearer|basic|token|apikey|digest)\s{1,4}"
            r"\\{0,3}[\"']?([A-Za-z0-9._~+/=:-]{6,4096})", 1, caseless=True, check=is_given),
    written("authorization", "authorization",
            r"authorization\\{0,3}[\"']?\]?\s{0,4}[:=]\s{0,4}\\{0,3}[\"']?([A-Za-z0-9._~+/=-]{12,4096})", 1,
            caseless=True, check=looks_random),
    written("bearer token", "bearer ", r"bearer {1,4}([A-Za-z0-9._~+/=-]{16,4096})", 1, caseless=True,
            check=looks_random),
    written("basic authorization", "basic ", r"basic {1,4}([A-Za-z0-9+/]{8,1024}={0,2})(?![\w-])", 1, caseless=True,
            check=is_basic),
    written("URL password", "://", r"://[^\s/?#@:\"'<>`]{0,200}:([^\s/?#\"'<>`]{1,512})@(?=[\w\[.%-])", 1, dense=False,
            check=is_given),
    # numbers alone are user and group of a container
    written("password", ("curl ", "wget "), r"(?:curl|wget)(?= )[^\n]{0,400}?\s(?:-u|--user)[ =][\"']?[^\s:\"']{1,100}:"
            r"([^\s\"']{1,200})", 1, dense=False, check=is_given),
    written("password", "sshpass ", r"sshpass (?:-\w+ ){0,4}-p ?[\"']?([^\s\"']{1,200})", 1, dense=False,
            check=is_given),
)  # fmt: skip

PATTERNS: tuple[Detector, ...] = (*_of_plugins(), *OURS)

KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
KEY_BODY = re.compile(
    r"(?:[A-Za-z0-9+/=\s\\\x00\"',]|(?:Proc-Type|DEK-Info|Version|Comment): ?[^\n\\]{0,200})*", re.ASCII
)
KEY_LINES = re.compile(r"(?:(?:[\s\"',\x00]|\\[nr])*[A-Za-z0-9+/=]{16,})*", re.ASCII)
PUTTY = re.compile(r"PuTTY-User-Key-File-[23]:.{0,8000}?Private-MAC: ?[0-9a-f]{8,128}", re.DOTALL)


def private_keys(text: Text) -> Iterator[Span]:
    """Whole blocks of private keys, over all their lines; of one that is cut off, what is there of it."""
    whole = text.text
    position = whole.find("-----BEGIN ")
    while position >= 0:
        begins = KEY_BEGINS.match(whole, position)
        end = position + 1
        if begins is not None:
            end = _end_of_key(whole, begins.end())
            # the header alone is talk about keys
            if end > begins.end():
                yield Span(position, end, "private key")
        position = whole.find("-----BEGIN ", end)
    if "Private-MAC" in whole:
        yield from (Span(*found.span(), "private key") for found in PUTTY.finditer(whole))


def _end_of_key(text: str, start: int) -> int:
    body = KEY_BODY.match(text, start)
    ends = KEY_ENDS.match(text, body.end()) if body else None
    if ends is not None:
        return ends.end()
    cut_off = KEY_LINES.match(text, start)
    return cut_off.end() if cut_off else start
