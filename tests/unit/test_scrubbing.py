"""Secrets are found in texts and JSON, all of each and nothing else; what merely looks technical stays."""

import base64
import copy
import json
import string
from pathlib import Path
from typing import Any

import detect_secrets.plugins as plugin_package
import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from hypothesis import given, settings
from hypothesis import strategies as st

from app.security.scrubbing import Found, scrub_json, scrub_text
from app.security.secret_patterns import PLUGINS, PLUGINS_LEFT_OUT
from app.security.tokens import new_secret

MIXED = "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xYzA1bC3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xYz" * 3
HEX = "0123456789abcdef" * 8
UUID = "0190a1b2-7c3d-7e4f-8a9b-0c1d2e3f4a5b"


def a_jwt() -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': 'james', 'iat': 1})}.{MIXED[:43]}"


def a_private_key(kind: str = "RSA ", newline: str = "\n") -> str:
    lines = [MIXED[:64], MIXED[:64], MIXED[:20] + "=="]
    # in two pieces, so that no scanner takes this file for a leak
    return newline.join([f"-----BEGIN {kind}" + "PRIVATE KEY-----", *lines, f"-----END {kind}" + "PRIVATE KEY-----"])


# every secret is put together here, for the same reason
SECRETS: dict[str, tuple[str, str]] = {
    "hub": ("hub token", new_secret()),
    "anthropic": ("Anthropic key", "sk-" + "ant-api03-" + MIXED[:93] + "AA"),
    "openai, old": ("API key", "sk-" + MIXED[:48]),
    "openai, project": ("OpenAI key", "sk-" + "proj-" + MIXED[:40] + "-_" + MIXED[:60]),
    "deepseek": ("API key", "sk-" + HEX[:32]),
    "openrouter": ("OpenRouter key", "sk-" + "or-v1-" + HEX[:64]),
    "zai": ("Z.ai key", HEX[:32] + "." + "aB3dE5fG7hJ9kL1m"),
    "google key": ("Google key", "AI" + "za" + MIXED[:35]),
    "google token": ("Google token", "ya" + "29." + MIXED[:60]),
    "google client": ("Google token", "GOC" + "SPX-" + MIXED[:28]),
    "github": ("GitHub token", "gh" + "p_" + MIXED[:36]),
    "github, longer": ("GitHub token", "gh" + "s_" + MIXED[:80]),
    "github, fine-grained": ("GitHub token", "github" + "_pat_" + MIXED[:22] + "_" + MIXED[:59]),
    "gitlab": ("GitLab token", "gl" + "pat-" + MIXED[:20]),
    "hugging face": ("Hugging Face token", "hf" + "_" + MIXED[:34]),
    "npm": ("npm token", "npm" + "_" + MIXED[:36]),
    "pypi": ("PyPI token", "pypi" + "-AgEIcHlwaS5vcmc" + MIXED[:80]),
    "slack": ("Slack token", "xox" + "b-123456789012-1234567890123-" + MIXED[:24]),
    "slack app": ("Slack token", "xa" + "pp-1-A012345-123456-" + HEX[:64]),
    "stripe": ("Stripe key", "sk" + "_live_" + MIXED[:24]),
    "stripe, longer": ("Stripe key", "rk" + "_test_" + MIXED[:99]),
    "stripe webhook": ("Stripe key", "wh" + "sec_" + MIXED[:32]),
    "twilio": ("Twilio key", "S" + "K" + HEX[:32]),
    "sendgrid": ("SendGrid key", "S" + "G." + MIXED[:22] + "." + MIXED[:43]),
    "discord": ("Discord bot token", "MTE" + "5ODc2NTQzMjEwMTIzNDU2Nw" + "." + "Gx1aB2" + "." + MIXED[:38]),
    "telegram": ("Telegram bot token", "123456789:" + "AA" + MIXED[:33]),
    "mailchimp": ("Mailchimp key", HEX[:32] + "-us12"),
    "square": ("Square token", "sq0" + "csp-" + MIXED[:43]),
    "shopify": ("Shopify token", "shp" + "at_" + HEX[:32]),
    "groq": ("AI provider's key", "gs" + "k_" + MIXED[:52]),
    "databricks": ("cloud provider's token", "da" + "pi" + HEX[:32]),
    "vault": ("cloud provider's token", "hv" + "s." + MIXED[:90]),
    "aws id": ("AWS access key id", "AK" + "IA" + "IOSFODNN7EXAMPL3"),
    "jwt": ("JSON Web Token", a_jwt()),
    "age": ("age key", "AGE-SECRET" + "-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" * 2),
    "rsa": ("private key", a_private_key()),
    "pkcs8": ("private key", a_private_key("")),
    "ssh": ("private key", a_private_key("OPENSSH ")),
    "key with escaped lines": ("private key", a_private_key("EC ", "\\n")),
    "key without its end": ("private key", a_private_key().rsplit("\n", 1)[0]),
}  # fmt: skip
AROUND = [
    ("", ""),
    ("The key ", " was in the log."),
    ("run: `", "`"),
    ('{"a": "', '"}'),
    ("(", ")"),
    ("ключ\u00a0=\u00a0«", "»"),
    ("İstanbul ", ", dann\nweiter"),
]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(("before", "after"), AROUND)
def test_a_secret_is_replaced_and_what_stands_around_it_is_not(name: str, before: str, after: str) -> None:
    kind, secret = SECRETS[name]
    scrubbed = scrub_text(before + secret + after)
    assert scrubbed.value == f"{before}[secret removed: {kind}]{after}"
    assert scrubbed.found == (Found("", kind),)
    assert scrub_text(scrubbed.value).found == ()


IN_CONTEXT = [
    # before the secret, the secret, after it
    ("Authorization: Bearer ", "abcdefghijklmnop", ""),
    ("-H 'authorization: Basic ", "dXNlcjpwYXNzd29yZA==", "'"),
    ("sent Bearer ", MIXED[:24], " along"),
    ('headers={"Authorization": "Token ', MIXED[:40], '"}'),
    ("postgresql://hub:", "s3cr%40t!x", "@db.example.com:5432/hub"),
    ("see https://bob:", "p@ss:w0rd", "@example.com/x?y=1 for it"),
    ("redis://:", "swordfish", "@cache:6379/0"),
    ("mongodb+srv://app:", "n0tT0day", "@cluster0.example.net"),
    ("export PASSWORD=", "hunter2", ""),
    ("POSTGRES_PASSWORD=", "letmein", "\nPOSTGRES_USER=hub"),
    ("host=db user=hub password=", "letmein", " dbname=hub"),
    ("Server=db;Database=x;User Id=sa;Password=", "Sw0rd-fish!", ";Encrypt=true"),
    ("password: ", "hunter2", ""),
    ('password = "', "swordfish", '"'),
    ("db_password='", "correct-horse", "',"),
    ('api_key: "', MIXED[:24], '"'),
    ("apiKey=", HEX[:32], "&q=1"),
    ("API_KEY=", UUID, ""),
    ("X-Api-Key: ", MIXED[:20], ""),
    ("HUB_MASTER_KEY=", HEX[:64], ""),
    ("aws_secret_access_key = ", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLE3K", ""),
    ("aws configure --password ", "hunter2", " --region eu"),
    ("mysqladmin --password=", "hunter2", " status"),
    ("tool --token ", MIXED[:20], ""),
    ("tool --password ", "foo", ""),
    ("curl -u bob:", "hunter2", " https://example.com"),
    ("sshpass -p ", "hunter2", " ssh x"),
    ('{\\"password\\": \\"', "hunter2", '\\"}'),
    ("AccountName=x;AccountKey=", MIXED[:86] + "==", ";EndpointSuffix=core.windows.net"),
    ("Endpoint=sb://x/;SharedAccessKey=", MIXED[:43] + "=", ""),
    ("https://x.blob.core.windows.net/c?sv=2024&sig=", MIXED[:43] + "%3D", "&se=2026"),
    ("https://hooks.slack.com/services/", "T00000000/B00000000/" + MIXED[:24], ""),
    ("https://discord.com/api/webhooks/123456789012345678/", MIXED[:68], ""),
    ("//registry.example.com/:_authToken=", UUID, ""),
    ("client_secret=", MIXED[:32], "&grant_type=x"),
    ("DISCORD_TOKEN=", MIXED[:30], ""),
]  # fmt: skip


@pytest.mark.parametrize(("before", "secret", "after"), IN_CONTEXT)
def test_what_only_its_surroundings_give_away_is_replaced_alone(before: str, secret: str, after: str) -> None:
    scrubbed = scrub_text(before + secret + after)
    assert scrubbed.value.startswith(before + "[secret removed: "), scrubbed
    assert scrubbed.value.endswith("]" + after), scrubbed
    assert secret not in scrubbed.value
    assert scrub_text(scrubbed.value).found == ()


def test_an_aws_pair_loses_both_halves() -> None:
    pair = f"{SECRETS['aws id'][1]} wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLE3K"
    assert scrub_text(pair).value == "[secret removed: AWS access key id] [secret removed: AWS secret key]"


HARMLESS = [
    f"The task {UUID} was claimed by james-dev at 2026-11-22T19:12:00.123456+00:00.",
    "sha 3f786850e387550fdab836ed7e6dc881de23001b and sha256:" + HEX[:64],
    "cursor " + MIXED[:56] + " and after: " + MIXED[:56],
    "claude-sonnet-4-20250514 glm-4.5-air gpt-4o-2024-08-06 claude_code anthropic_claude",
    "tokens_used: 4200, token_id: 17, max_tokens=4096, next_token: abcdEFGH12345678, fencing token 12",
    "The password must have 12 characters. Passwords: never. A token is 256 random bits; the secret is shown once.",
    "Ask an administrator for a token that may. password: required. Token: see above. secret: none",
    "use --password to give one, or --token TOKEN; --password <password> --api-key $API_KEY",
    "password=${DB_PASSWORD} PASSWORD=$PASSWORD token=%s secret={secret} api_key=<your key> pwd=**** key=xxxx",
    "postgresql://hub@db/hub postgres://$USER:$PASSWORD@db/hub postgres://u:***@db ssh://git@example.com:22/x.git",
    "git@github.com:owner/repo.git https://example.com:8080/a@b http://localhost:8000/graphql",
    "Bearer tokens are stored hashed. Basic authentication is off. authorization: role-based. Authorization: required",
    "docker run -u 1000:1000 -e DB_PASSWORD_FILE=/run/secrets/db_password image",
    "def f(password: str, token: Optional[str] = None, *, api_key: SecretStr) -> None:",
    "    self.password = password\n    token = get_token(request)\n    if password == other.password: pass",
    "connect(user=user, password=password, token=token1, secret=settings.secret, pw=pw2)",
    'TOKEN = "token"\nPASSWORD_FIELD = "password"\nsecret_name="db-creds"\nMANAGE_TOKENS = "manage tokens"',
    "const token = await login(user); let apiKey = process.env.API_KEY; password: string; secret: bytes32",
    "public_key: " + MIXED[:43] + " idempotency_key=" + MIXED[:30] + " cache_key: " + HEX[:64],
    "etag: "
    + HEX[:32]
    + "; md5 d41d8cd98f00b204e9800998ecf8427e.chunk.js; app.d41d8cd98f00b204e9800998ecf8427e.bundle",
    "aGVsbG8gd29ybGQ= c21hbGw= data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + MIXED[:30] + " james@host",
    "-----BEGIN CERTIFICATE-----\n" + MIXED[:64] + "\n-----END CERTIFICATE-----",
    "A line `-----BEGIN RSA "
    + "PRIVATE KEY-----` announces a key. task-abcdefghijklmnop1234567 risk-free disk-0123456789abcdef0123",
    "sk-learn-pipeline-with-many-words-in-it sk-2024-11-22-run hub_the_long_name_of_a_function_that_tests_something",
    "app/security/secret_patterns.py:12:5: S105 Possible hardcoded password; tests/api/test_scrubbing.py::test_a",
    "cpu 12.5 %, memory 300 MB, p99 78 ms, 1732300000:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi",
    "NotificationServiceRegistry.handle.process_the_incoming_request_of_x and APConference APEnvironment",
    "the keys are in the vault; secret: vault:kv/hub#password, token: env:HUB_TOKEN, key ref://x",
    "Permission.MANAGE_TOKENS, hash_secret(secret), token_hash, password_reset, forgot_password: true, has_token=yes1",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_merely_looks_technical_stays(text: str) -> None:
    assert scrub_text(text).found == ()
    assert scrub_text(text).value is text


OWN_SOURCES = sorted(path for part in ("app", "db", "graphql_schema", "docs") for path in Path(part).rglob("*.*")
                     if path.suffix in {".py", ".md", ".yaml", ".graphql"})  # fmt: skip


def test_the_hubs_own_code_and_docs_hold_no_secret() -> None:
    assert len(OWN_SOURCES) > 100
    found = {str(path): scrub_text(path.read_text()).found for path in OWN_SOURCES}
    assert {path: kinds for path, kinds in found.items() if kinds} == {}


def test_json_is_scrubbed_by_keys_and_patterns_and_paths_tell_where() -> None:
    token = SECRETS["github"][1]
    given = {
        "deploy": {"password": "hunter2", "user": "bob", "note": f"use {token} for it"},
        "steps": [{"env": {"API_KEY": "abcdef"}}, {"clientSecret": "swordfish", "token": "abcd1234efgh"}],
        "list": ["fine", token],
    }
    before = copy.deepcopy(given)
    scrubbed = scrub_json(given)
    assert given == before
    assert scrubbed.value == {
        "deploy": {
            "password": "[secret removed: password]",
            "user": "bob",
            "note": "use [secret removed: GitHub token] for it",
        },
        "steps": [
            {"env": {"API_KEY": "[secret removed: API key]"}},
            {"clientSecret": "[secret removed: secret]", "token": "[secret removed: token]"},
        ],
        "list": ["fine", "[secret removed: GitHub token]"],
    }
    assert scrubbed.found == (
        Found("deploy.password", "password"),
        Found("deploy.note", "GitHub token"),
        Found("steps.0.env.API_KEY", "API key"),
        Found("steps.1.clientSecret", "secret"),
        Found("steps.1.token", "token"),
        Found("list.1", "GitHub token"),
    )
    assert list(scrubbed.value["deploy"]) == ["password", "user", "note"]
    assert scrub_json(scrubbed.value).found == ()


SECRET_MEMBERS: list[tuple[str, Any]] = [
    ("password", "hunter2"), ("passwd", "x1"), ("DB_PASSWORD", "123456"), ("dbPass", "letmein"), ("pwd", "secret"),
    ("secret", "swordfish"), ("secrets", ["abc123def456ghi7"]), ("client_secret", "abc"), ("api_key", "abcd"),
    ("apiKey", "abcd"), ("apikey", "abcd"), ("x-api-key", "abcd"), ("token", "abcd1234"), ("access_token", "short"),
    ("refreshToken", UUID), ("authorization", "Bearer abcdefgh"), ("Authorization", MIXED[:20]),
    ("private_key", "abc"), ("privateKey", a_private_key()), ("aws_secret_access_key", MIXED[:40]),
    ("session_key", HEX[:32]), ("HUB_MASTER_KEY", HEX[:64]), ("password2", "hunter2"), ("passwords", ["pass1word2"]),
    ("connection_string", "Server=db;Password=hunter2"), ("database_url", "postgres://u:pw1@db/x"),
    ("password", ["hunter2"]), ("set-cookie", "sid=" + MIXED[:20]), ("bot_token", "abc"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), SECRET_MEMBERS)
def test_a_key_gives_its_value_away(key: str, value: Any) -> None:
    scrubbed = scrub_json({key: value})
    assert len(scrubbed.found) == 1, scrubbed
    assert scrubbed.found[0].path.startswith(key)
    assert scrub_json(scrubbed.value).found == ()


HARMLESS_MEMBERS: list[tuple[str, Any]] = [
    ("tokens_used", "4200"), ("token_id", UUID), ("token_name", "james"), ("secret", None), ("password", ""),
    ("password", True), ("password", 123456), ("secret", 1.5), ("password", "${DB_PASSWORD}"), ("secret", "env:NAME"),
    ("api_key", "{{ api_key }}"), ("token", "vault:kv/x"), ("password", "********"), ("password", "<password>"),
    ("next_token", MIXED[:40]), ("pageToken", MIXED[:40]), ("eos_token", "<|endoftext|>"), ("token", "Hello"),
    ("tokens", ["Hello", "tokenization"]), ("tokens", {"input": 12, "output": "34"}), ("max_tokens", "4096"),
    ("has_password", "no1"), ("password_hash_algorithm", "argon2id"), ("secret_name", "db-creds"),
    ("password", {"type": "string", "description": "at least 12 characters"}), ("password", "must be changed soon"),
    ("password", "string"), ("public_key", MIXED[:43]), ("key", MIXED[:43]), ("idempotencyKey", MIXED[:43]),
    ("authorization", "required"), ("authorization", "role-based"), ("cookie", "yes"), ("credentials", "same-origin"),
    ("content_hash", HEX[:64]), ("cursor", MIXED[:56]), ("sha", HEX[:40]), ("password_file", "/run/secrets/x1"),
    ("secret", "/run/secrets/db_password_1"), ("fencing_token", "12345678a"), ("access_key_id_name", "x1y2z3a4b5"),
    ("pass", "audit"), ("passed", "true1"), ("primary_key", MIXED[:20]), ("keywords", ["a1b2c3d4e5f6g7h8"]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), HARMLESS_MEMBERS)
def test_a_key_that_only_sounds_like_one_gives_nothing_away(key: str, value: Any) -> None:
    given = {"outer": [{key: value}]}
    assert scrub_json(given).found == ()
    assert scrub_json(given).value is given


def test_a_value_is_known_by_the_name_beside_it() -> None:
    given = [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "DB_USER", "value": "hub"}]
    assert scrub_json(given).value == [
        {"name": "DB_PASSWORD", "value": "[secret removed: password]"},
        {"name": "DB_USER", "value": "hub"},
    ]


def test_a_secret_in_a_key_is_removed_and_no_path_shows_it() -> None:
    one, two = SECRETS["github"][1], "gh" + "o_" + MIXED[1:37]
    scrubbed = scrub_json({one: 1, two: {"password": "hunter2"}, "x": 2})
    assert scrubbed.value == {
        "[secret removed: GitHub token]": 1,
        "[secret removed: GitHub token] 2": {"password": "[secret removed: password]"},
        "x": 2,
    }
    assert one not in repr(scrubbed)
    assert two not in repr(scrubbed)
    assert scrubbed.found[-1] == Found("[secret removed: GitHub token] 2.password", "password")


def test_a_key_kept_line_by_line_is_removed_from_every_line() -> None:
    lines = a_private_key().split("\n")
    scrubbed = scrub_json({"before": "stays", "lines": lines, "after": "stays"})
    assert scrubbed.value == {"before": "stays", "lines": ["[secret removed: private key]"] * 5, "after": "stays"}


def test_a_google_service_account_keeps_all_but_its_key() -> None:
    account = {
        "type": "service_account",
        "private_key_id": HEX[:40],
        "private_key": a_private_key("") + "\n",
        "client_email": "x@y.iam.gserviceaccount.com",
    }
    assert scrub_json(account).value == account | {"private_key": "[secret removed: private key]\n"}
    in_text = json.dumps(account)
    assert json.loads(scrub_text(in_text).value) == account | {
        "private_key": "[secret removed: private key]\\n"[:29] + "\n"
    }


def test_a_value_nested_deeper_than_the_interpreter_recurses_is_scrubbed() -> None:
    value: Any = "hunter2"
    for _ in range(5_000):
        value = {"password": [value]}
    assert len(scrub_json(value).found) == 1


def test_every_plugin_of_detect_secrets_is_used_or_left_out_for_a_reason() -> None:
    assert plugin_package is not None
    delivered: dict[str, Any] = get_mapping_from_secret_type_to_class()
    known = {plugin.__name__ for plugin in delivered.values()}
    entropy_and_words = {"Base64HighEntropyString", "HexHighEntropyString", "KeywordDetector"}
    assert known == {plugin.__name__ for plugin in PLUGINS} | set(PLUGINS_LEFT_OUT) | entropy_and_words


PIECES = st.sampled_from([secret for _, secret in SECRETS.values()]) | st.sampled_from(
    ["password=", '"', "'", " ", "\n", "token: ", "Bearer ", "://u:", "@h", "=", ",", "--password ", "x",
     "[secret removed: x]", "hunter2", "secret", "\\", "İ", "\x00", "AKIA",
     "-----BEGIN RSA " + "PRIVATE KEY-----", "authorization: "]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(string.printable, max_size=6), max_size=12).map("".join))
def test_scrubbing_twice_is_scrubbing_once(text: str) -> None:
    once = scrub_text(text)
    assert scrub_text(text) == once
    assert scrub_text(once.value).value == once.value


KEYS = ["password", "tokens", "secret", "name", "value", "a"]
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | PIECES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            PIECES | st.sampled_from(["password", "tokens", "secret", "name", "value", "a"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSONS)
def test_json_keeps_its_shape_and_no_secret(value: Any) -> None:
    before = copy.deepcopy(value)
    once = scrub_json(value)
    assert value == before
    assert scrub_json(once.value).value == once.value
    if not once.found:
        assert once.value is value


HOSTILE = [
    "sk-",
    "eyJ-",
    "password=",
    'password="',
    "cloudant_key" + " " * 60,
    "secret_key" + " " * 80,
    "xoxb-",
    "hub_",
    "//",
    "://a:",
    ".",
    "-us",
    "curl -u ",
    ":_authToken=",
    "-----BEGIN RSA " + "PRIVATE KEY-----",
    "'",
    "MTAwMDAwMDAwMDA.",
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", HOSTILE)
def test_a_text_that_is_made_to_be_slow_is_not(piece: str) -> None:
    # a quadratic pattern takes from twenty seconds to hours, ours a tenth of one
    text = (piece * 100_000)[:100_000]
    assert scrub_text(scrub_text(text).value).found == ()
