"""What is read of Authorization and x-api-key. Nothing is proven there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core import credential
from lib.core.credential import Bearer, L402Credential, Presented, Unpaid
from lib.core.errors import ApiError, Code

PREIMAGE = "ab" * 32
TOKEN = "alb_" + "x" * 43
PAID = L402Credential(("TUFD",), bytes.fromhex(PREIMAGE))


def authorization(value: str) -> Presented:
    return credential.parse([(b"authorization", value.encode("latin-1"))])


def api_key(value: str) -> Presented:
    return credential.parse([(b"x-api-key", value.encode("latin-1"))])


def refused(value: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        authorization(value)
    return caught.value


def test_no_header_means_unpaid():
    """Other headers say nothing."""
    assert credential.parse([]) == Unpaid()
    assert credential.parse([(b"host", b"example"), (b"cookie", b"l402=x")]) == Unpaid()


@pytest.mark.parametrize("scheme", ["L402", "l402", "LSAT", "lsat", "Lsat", "l402  "])
def test_both_names_of_the_scheme_in_any_case(scheme: str):
    """LSAT is L402's old name; schemes have no case."""
    assert authorization(f"{scheme} TUFD:{PREIMAGE}") == PAID


def test_the_preimage_in_any_case():
    """Hex has no case."""
    assert authorization(f"L402 TUFD:{PREIMAGE.upper()}") == PAID


def test_several_macaroons():
    """Separated by commas, before the last colon."""
    assert authorization(f"L402 TUFD, TUFE,TUFF:{PREIMAGE}") == L402Credential(
        ("TUFD", "TUFE", "TUFF"), bytes.fromhex(PREIMAGE)
    )


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_stock_sdk_carries_a_credential_as_its_key(scheme: str):
    """`Bearer <macaroon>:<preimage>` is an L402 credential: no token has a colon."""
    assert authorization(f"{scheme} TUFD:{PREIMAGE}") == PAID
    assert api_key(f"TUFD:{PREIMAGE}") == PAID


@pytest.mark.parametrize("value", ["Bearer l402", "Bearer L402", "bearer l402", "Bearer ", "Bearer"])
def test_what_says_itself_that_it_is_unpaid(value: str):
    """The literal key `l402`, or no key at all."""
    assert authorization(value) == Unpaid()


@pytest.mark.parametrize("value", ["L402 TUFD:", "LSAT TUFD:", "Bearer TUFD:"])
def test_an_empty_preimage_proves_nothing(value: str):
    """It is neither a credential nor an error."""
    assert not isinstance(authorization(value), L402Credential | Bearer)


def test_the_literal_key_in_x_api_key():
    """An SDK that insists on a key gets a challenge."""
    assert api_key("l402") == Unpaid()


def test_a_token_is_a_bearer():
    """In either header."""
    assert authorization(f"Bearer {TOKEN}") == Bearer(TOKEN)
    assert api_key(TOKEN) == Bearer(TOKEN)


def test_the_first_of_several_lines_counts():
    """Old clients send LSAT, then L402, with the same content."""
    lines = [(b"authorization", f"LSAT TUFD:{PREIMAGE}".encode()), (b"authorization", b"Bearer other")]

    assert credential.parse(lines) == PAID
    assert credential.parse(reversed(lines)) == Bearer("other")


@pytest.mark.parametrize(
    "value",
    [
        "L402",
        "L402 TUFD",
        f"L402 TUFD:{PREIMAGE}0",
        "L402 TUFD:abc",
        f"L402 TUFD:{'zz' * 32}",
        f"L402 TUFD:{PREIMAGE}:x",
        f"L402 TUFD: {PREIMAGE}",
        "L402 TUFD:" + "é" * 64,
        "L402 " + "A" * 17_000,
    ],
)
def test_a_credential_that_cannot_be_read(value: str):
    """It is 401 invalid_l402: paying would not help."""
    assert refused(value).code is Code.INVALID_L402


@pytest.mark.parametrize("value", ["Basic dTpw", "Payment abc", "Token x", TOKEN, "", " "])
def test_an_unknown_scheme(value: str):
    """It is 401 invalid_token."""
    assert refused(value).code is Code.INVALID_TOKEN


@pytest.mark.parametrize(
    "key", ["sk-proj-abcdefghijklmnopqrstuvwxyz", "sk-ant-api03-abcdefghijklmnop", "xai-0123456789abcdefghij"]
)
def test_a_provider_s_key_is_warned_about(key: str):
    """Its owner is told that it was sent to the wrong place, without repeating it."""
    error = credential.unknown_token(key)

    assert error.code is Code.INVALID_TOKEN
    assert "provider's own API key" in str(error.message) and key not in str(error.as_body())


@pytest.mark.parametrize("token", [TOKEN, "hello", "sk-short"])
def test_any_other_unknown_token_is_just_unknown(token: str):
    """No warning, and no repetition of the token."""
    error = credential.unknown_token(token)

    assert error.code is Code.INVALID_TOKEN and error.message is None
    assert token not in str(error.as_body())


def test_a_credential_never_shows_itself():
    """Its text in a log or a traceback holds no secret."""
    shown = [repr(PAID), str(PAID), repr(Bearer(TOKEN)), f"{Bearer(TOKEN)}"]

    assert not any(secret in text for text in shown for secret in (PREIMAGE, "TUFD", TOKEN))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(value: bytes):
    """Nothing but an ApiError, and then 401."""
    for name in (b"authorization", b"x-api-key"):
        try:
            credential.parse([(name, value)])
            continue
        except ApiError as error:
            code = error.code
        assert code in {Code.INVALID_L402, Code.INVALID_TOKEN}
