"""E-mail addresses, card numbers and phone numbers in texts: what is found, and what only looks like one."""

import pytest

from vibe_router.guards.personal import card_spans, email_spans, phone_spans


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Mail john.doe+x@mail.example.com.", "john.doe+x@mail.example.com"),
        ("联系我:foo@bar.com谢谢", "foo@bar.com"),
        ("<a@b.de>", "a@b.de"),
        ("O'Brien: o'brien@example.org", "o'brien@example.org"),
        ('"email":"a_b@c-d.io"', "a_b@c-d.io"),
    ],
)
def test_email_addresses_are_found(text: str, found: str) -> None:
    assert [text[start:end] for start, end in email_spans(text)] == [found]


@pytest.mark.parametrize(
    "text",
    [
        "git@github.com:org/repo.git",
        "icon@2x.png",
        "lodash@4.17.21",
        "@app.route('/')",
        "postgres://user:pw12@db.example.com/x",
        "a@b",
        "@@@@",
        "user@.com",
    ],
)
def test_what_looks_like_an_email_address_is_not_found(text: str) -> None:
    assert list(email_spans(text)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("card 4111-1111-1111-1111 12/25 123", "4111-1111-1111-1111"),
        ("378282246310005", "378282246310005"),
        ("3782 822463 10005", "3782 822463 10005"),
        ("卡号5555555555554444。", "5555555555554444"),
        ("4222222222222", "4222222222222"),
        ("62000000 6200000000000005", "6200000000000005"),
    ],
)
def test_card_numbers_are_found(text: str, found: str) -> None:
    assert [text[start:end] for start, end in card_spans(text)] == [found]


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # a wrong checksum
        "1234567812345670",  # no issuer's
        "id_4111111111111111",
        "0.4111111111111111",
        "41111111111111111111",
        "4111 1111-1111 1111",
        "4111 1111 1111 111",
        "0000000000000000",
        "1732816701123456789",
    ],
)
def test_what_looks_like_a_card_number_is_not_found(text: str) -> None:
    assert list(card_spans(text)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("+1 (555) 223-4567", "+1 (555) 223-4567"),
        ("tel:+12125551234", "+12125551234"),
        ("call 212-555-1234 now", "212-555-1234"),
        ("(212) 555-1234", "(212) 555-1234"),
        ("212.555.1234", "212.555.1234"),
        ("1-800-555-1234", "1-800-555-1234"),
        ("+86 138 0013 8000", "+86 138 0013 8000"),
        ("手机号:13800138000，谢谢", "13800138000"),
        ("我的电话是138-0013-8000", "138-0013-8000"),
        ("010-12345678", "010-12345678"),
        ("+49 (0)30 123456", "+49 (0)30 123456"),
        ("0049 30 1234567", "0049 30 1234567"),
        ("030 12345678", "030 12345678"),
        ("030/1234567", "030/1234567"),
        ("0151 23456789", "0151 23456789"),
        ("01 23 45 67 89", "01 23 45 67 89"),
        ("06.12.34.56.78", "06.12.34.56.78"),
        ("020 7946 0958", "020 7946 0958"),
        ("+33 6 12 34 56 78", "+33 6 12 34 56 78"),
        ("+44 20 7946 0958 2024-01-01", "+44 20 7946 0958"),
        ("phone: 612345678", "612345678"),
    ],
)
def test_phone_numbers_are_found(text: str, found: str) -> None:
    spans = list(phone_spans(text))
    assert text[min(start for start, _ in spans) : max(end for _, end in spans)] == found


@pytest.mark.parametrize(
    "text",
    [
        "2024-11-28 17:58:21",
        "1732816701 1732816701123",
        "192.168.100.200",
        "550e8400-e29b-41d4-a716-446655440000",
        "01 02 03 04 05 06 07",
        "01 23 45 67 89 ab cd ef",
        "ab 01 23 45 67 89",
        "v1.2.3-4567",
        "order 12345678901234",
        "1,234,567,890 and 3.14159265358979",
        "pid 12345 port 54321",
        "2024-01-01T00:00:00+01:00",
        "10.5281/zenodo.1234567",
        "ISBN 978-3-16-148410-0",
        "2125551234",
        "a1+12345678901",
        "0.0.0.0 255.255.255.255",
        "13600000000*p**3 - 15000000000",
        "0x13800138000 13800138000.5 138001380001",
    ],
)
def test_what_looks_like_a_phone_number_is_not_found(text: str) -> None:
    assert [text[start:end] for start, end in phone_spans(text)] == []
