"""Secrets in texts: what is found, and what only looks like one."""

import pytest

from vibe_router.guards.secrets import is_secret_value, names_a_secret, secret_spans

GITHUB = "ghp_" + "a1B2" * 9
STRIPE = "sk" + "_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
BLOCK = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc+/=\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("id AKIAIOSFODNN7EXAMPLE.", "AKIAIOSFODNN7EXAMPLE"),
        (
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1",
        ),
        (f"export TOKEN={GITHUB}", GITHUB),
        (f"\\n{GITHUB}\\n", GITHUB),
        ("github_pat_11ABCDEFG0123456789abcdef", "github_pat_11ABCDEFG0123456789abcdef"),
        ("`glpat-abcdefghij1234567890`", "glpat-abcdefghij1234567890"),
        ("xoxb-123456789012-abcdefABCDEF", "xoxb-123456789012-abcdefABCDEF"),
        (
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        ),
        (f"'{STRIPE}'", STRIPE),
        ("?key=AIzaSyA-1234567890abcdefghijklmnopqrstu&", "AIzaSyA-1234567890abcdefghijklmnopqrstu"),
        ("sk-proj-abc123DEF456ghi789JKL", "sk-proj-abc123DEF456ghi789JKL"),
        ("Bearer sk-ant-api03-abcDEF123456_-x", "sk-ant-api03-abcDEF123456_-x"),
        ("npm_" + "a1" * 18, "npm_" + "a1" * 18),
        ("pypi-AgEIcHlwaS5vcmc" + "a1" * 30, "pypi-AgEIcHlwaS5vcmc" + "a1" * 30),
        (f"密钥{JWT}，", JWT),
        (f"x\n{BLOCK}\ny", BLOCK),
        (BLOCK.partition("\n-----END")[0], BLOCK.partition("\n-----END")[0]),
        ("password = hunter2!", "hunter2!"),
        ("DB_PASSWORD=hunter2", "hunter2"),
        ('"password": "correct-horse1",', "correct-horse1"),
        ('{\\"password\\": \\"hunter22\\"}', "hunter22"),
        ("my password is hunter2", "hunter2"),
        ("Server=x;Password=Passw0rd!;", "Passw0rd!"),
        ("密码是abc123，谢谢", "abc123"),
        ("api_key: 'abcd1234efgh5678'", "abcd1234efgh5678"),
        ("postgres://user:s3cretpw@db.example.com:5432/x", "s3cretpw"),
    ],
)
def test_secrets_are_found(text: str, secret: str) -> None:
    assert secret in {text[start:end] for start, end in secret_spans(text)}


@pytest.mark.parametrize(
    "text",
    [
        "550e8400-e29b-41d4-a716-446655440000",
        "commit d41d8cd98f00b204e9800998ecf8427ed41d8cd9",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5",
        "integrity sha512-WTQs0B0BGJsVGDV0YzIyvNAKIA1234567890ABCDEFeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx",
        "secret: CHAT_AUTO_API_KEY",
        "password = getpass()",
        "password: ${PASSWORD}",
        "password=None",
        "password: string",
        "password = user.password",
        "const token: string = props.token;",
        "token = request.headers['x-token']",
        "api_key=os.environ['X_API_KEY_1']",
        "apiKey: process.env.OPENAI_API_KEY",
        "max_tokens: 4096, token_type: bearer, token_count = 12345678901234567",
        "the token is passed to function_number_12345678",
        "sk-loading-spinner-container",
        '"password": "Passwort", "token": "Jeton"',
        "Enter your password: ",
        "密码不能为空，请输入密码",
        "mysql://user:password@localhost/db",
        "http://localhost:8080/@foo",
        "-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEA\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        'MARKERS = ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----")',
        '"next_page_token": "token_next_12345678", "continuationToken": "abcDEF1234567890"',
        '{"X-aws-ec2-metadata-token": imdsv2_session_token}',
        "api_key = SERVICE_KEY_V2_TEST",
        "https://user:pass@host:port/path",
    ],
)
def test_what_looks_like_a_secret_is_not_found(text: str) -> None:
    assert [text[start:end] for start, end in secret_spans(text)] == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("password", "hunter2", True),
        ("dbPassword", "s3cret!", True),
        ("api_key", "abcd1234efgh5678", True),
        ("password", "string", False),
        ("query", "hunter2", False),
        ("token_count", "12345678901234ab", False),
    ],
)
def test_a_field_of_tool_arguments_may_name_a_secret(name: str, value: str, expected: bool) -> None:
    assert (names_a_secret(name) and is_secret_value(name, value)) is expected
