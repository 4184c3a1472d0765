"""The macaroons: their bytes, what real clients read of a challenge, and what does and does not verify."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core import l402
from lib.core.l402 import FACT_NAMES, Facts, InvalidL402, NotOurs, PaymentKind, Proven, RootKey
from lib.core.money import BtcPrice, Msat
from tests.core.plain_macaroon import appended, begun, decoded, field, keyed

SECRET, OLD_SECRET = bytes(range(32)), b"\x07" * 32
KEY, OLD_KEY = RootKey(SECRET), RootKey(OLD_SECRET)
LEDGER, OTHER_LEDGER = b"L" * 16, b"M" * 16
PREIMAGE = b"\xab" * 32
PAYMENT_HASH = hashlib.sha256(PREIMAGE).digest()
NONCE = b"n" * 24
INVOICE = "lnbc20n1p4sg3dapp5wvr849ky2jc5rdu3mcxw88zkq32u796np0evr8k5p6yrkzf6lpgs"
FACTS = Facts(
    kind=PaymentKind.CALL,
    amount=Msat(2_000),
    btc_price=BtcPrice(98_000_000_000),
    quote_until=1_800_000_000,
    carry=b"\x01" * 32,
)
FACT_TEXTS = [
    "kind=call",
    "amount_msat=2000",
    "btc_price=98000000000",
    "quote_until=1800000000",
    "account=",
    "carry=" + "01" * 32,
    "proof=",
]
FACT_VALUES = {
    "kind": "topup",
    "amount_msat": "9000000",
    "btc_price": "1000000",
    "quote_until": "1900000000",
    "account": "someone",
    "carry": "02" * 32,
    "proof": "node",
}
ALPHABETS: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: text.rstrip("="),
    lambda text: text.replace("+", "-").replace("/", "_"),
    lambda text: text.replace("+", "-").replace("/", "_").rstrip("="),
]


def minted(facts: Facts = FACTS, key: RootKey = KEY, nonce: bytes = NONCE) -> str:
    return l402.mint(key, LEDGER, PAYMENT_HASH, facts, nonce)


def verified(*macaroons: str, preimage: bytes = PREIMAGE, keys: tuple[RootKey, ...] = (KEY,)) -> Proven:
    return l402.verify(macaroons, preimage, keys, LEDGER)


def identifier(secret: bytes = SECRET, ledger: bytes = LEDGER) -> bytes:
    """Version 0, the payment hash, and a token id: which key, which ledger, and 24 random bytes."""
    key_id = keyed(secret, b"alittlebitofmoney/l402/key-id")[:4]
    ledger_print = hashlib.sha256(b"alittlebitofmoney/ledger" + ledger).digest()[:4]
    return b"\x00\x00" + PAYMENT_HASH + key_id + ledger_print + NONCE


def signing_key(secret: bytes = SECRET, ledger: bytes = LEDGER) -> bytes:
    """The root key of one macaroon."""
    ledger_print = hashlib.sha256(b"alittlebitofmoney/ledger" + ledger).digest()[:4]
    return keyed(secret, b"alittlebitofmoney/l402/v0" + ledger_print + ledger + identifier(secret, ledger))


def plainly(*caveats: str) -> str:
    """A macaroon that really is ours, whatever it says: signed here with plain `hmac`."""
    return begun(signing_key(), identifier()).with_caveats(*caveats).text


# What is minted


def test_the_bytes_are_those_of_go_macaroon():
    """A minted macaroon is the V2 layout with the real libraries' HMAC chain, byte for byte."""
    expected = begun(signing_key(), identifier()).with_caveats(*FACT_TEXTS)

    assert base64.b64decode(minted(), validate=True) == expected.bytes


def test_every_fact_is_minted_also_an_absent_one():
    """All seven facts are there and in order, whatever is known: none is left for a holder to add."""
    bare = minted(Facts(kind=PaymentKind.TOPUP, amount=Msat(5_000)))

    assert [text.decode() for text in decoded(bare).caveats] == [
        "kind=topup",
        "amount_msat=5000",
        "btc_price=",
        "quote_until=",
        "account=",
        "carry=",
        "proof=",
    ]


def test_limits_are_minted_behind_the_facts():
    """A macaroon that shares a limited credential's account says the same limits as caveats 8 and on."""
    limits = l402.Limits(frozenset({"openai", "acme"}), {"openai": 1_700_000_000})

    text = l402.mint(KEY, LEDGER, PAYMENT_HASH, FACTS, NONCE, limits)

    assert [caveat.decode() for caveat in decoded(text).caveats[7:]] == [
        "services=acme:0,openai:0",
        "openai_valid_until=1700000000",
    ]
    assert verified(text).limits == limits


@pytest.mark.parametrize(("payment_hash", "nonce"), [(b"\x00" * 31, NONCE), (PAYMENT_HASH, b"n" * 23)])
def test_a_wrong_length_is_never_minted(payment_hash: bytes, nonce: bytes):
    """An identifier has 66 bytes or the macaroon is not made."""
    with pytest.raises(ValueError, match="32 bytes"):
        l402.mint(KEY, LEDGER, payment_hash, FACTS, nonce)


def test_no_secret_is_shown_by_what_holds_it():
    """A root key forges every credential there is, so it must not get into a log with what it is part of."""
    shown = f"{KEY!r} {[KEY]} {verified(minted())}"

    assert repr(SECRET)[2:-1] not in shown and repr(PREIMAGE)[2:-1] not in shown


def test_a_mint_reads_back():
    """What was promised is what is proven."""
    proven = verified(minted())

    assert proven == Proven(PAYMENT_HASH, KEY.id, FACTS, l402.UNLIMITED, PREIMAGE)


# What clients read of a challenge. Each expression is the client's own.


def test_the_challenge_header_byte_for_byte():
    """Upper-case scheme, `macaroon` right behind it, comma and space, `invoice`; drafts' parameters only after."""
    header = l402.challenge_header("TUFD+/==", INVOICE)

    assert header == f'L402 macaroon="TUFD+/==", invoice="{INVOICE}", version="0", token="TUFD+/=="'


@dataclass(frozen=True)
class Client:
    """A client's name and how it finds macaroon and invoice."""

    name: str
    read: Callable[[str], tuple[str, str]]


def _by_one(expression: str) -> Callable[[str], tuple[str, str]]:
    def read(header: str) -> tuple[str, str]:
        found = re.search(expression, header)
        assert found is not None
        return found["macaroon"], found["invoice"]

    return read


def _by_two(macaroon: str, invoice: str) -> Callable[[str], tuple[str, str]]:
    def read(header: str) -> tuple[str, str]:
        first, second = re.search(macaroon, header), re.search(invoice, header)
        assert first is not None and second is not None
        return first[1], second[1]

    return read


def _alby(header: str) -> tuple[str, str]:
    assert header.lower().startswith(("l402", "lsat"))
    parameters: dict[str, str] = {}
    for found in re.finditer(r"""(\w+)=("([^"]*)"|'([^']*)'|([^,]*))""", header[4:]):
        parameters[found[1]] = found[3] or found[4] or found[5]
    return parameters.get("token") or parameters["macaroon"], parameters["invoice"]


def _split_at_commas(header: str, prefix: str) -> tuple[str, str]:
    assert header.startswith(prefix)
    pairs = [part.strip().split("=", 1) for part in header[len(prefix) :].split(",")]
    parameters = {name: value.removeprefix('"').removesuffix('"') for name, value in pairs}
    assert parameters["invoice"].startswith(("lnbc", "lntb"))
    return parameters["macaroon"], parameters["invoice"]


CLIENTS = [
    Client("lnget", _by_one(r'(?i)(LSAT|L402)\s+macaroon="(?P<macaroon>[^"]+)",\s*invoice="(?P<invoice>[^"]+)"')),
    Client(
        "l402-requests",
        _by_one(r'(?i)(?:L402|LSAT)\s+macaroon="(?P<macaroon>[^"]+)"\s*,\s*invoice="(?P<invoice>[^"]+)"'),
    ),
    Client("Aperture", _by_one(r'(LSAT|L402) macaroon="(?P<macaroon>.*?)", invoice="(?P<invoice>.*?)"')),
    Client("Alby", _alby),
    Client("L402sdk", lambda header: _split_at_commas(header, "L402 ")),
    Client("lsat-js", lambda header: _split_at_commas(header, "L402")),
    Client("Fewsats", _by_two(r'macaroon="([^ ]+)"', r'invoice="([^ ]+)"')),
    Client("LangChainBitcoin", _by_two(r'macaroon="(.*?)"', r'invoice="(.*?)"')),
]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_real_clients_read_the_challenge(client: Client):
    """Each client's own parser finds the macaroon and the invoice, and the macaroon commits to the payment hash."""
    header = l402.challenge_header(minted(), INVOICE)

    macaroon, invoice = client.read(header)

    assert (macaroon, invoice) == (minted(), INVOICE)
    assert decoded(macaroon).identifier[:34] == b"\x00\x00" + PAYMENT_HASH


# What verifies


@pytest.mark.parametrize("alphabet", ALPHABETS, ids=["standard", "unpadded", "url-safe", "url-safe unpadded"])
def test_any_base64_is_accepted(alphabet: Callable[[str], str]):
    """Clients re-encode as they like: standard or url-safe, padded or not."""
    texts = [minted(nonce=bytes([number]) * 24) for number in range(30)]

    assert {verified(alphabet(text)).payment_hash for text in texts} == {PAYMENT_HASH}
    assert any("+" in text or "/" in text for text in texts)


def test_lnget_s_appended_preimage_is_accepted():
    """lnget appends `preimage=<hex>` before it sends a macaroon; in any case of letters it still holds."""
    for caveat in (f"preimage={PREIMAGE.hex()}", f"preimage={PREIMAGE.hex().upper()}"):
        assert verified(appended(minted(), caveat)) == verified(minted())


@pytest.mark.parametrize("value", ["cd" * 32, "", "ab", "zz" * 32, "ß" * 32])
def test_a_preimage_caveat_that_disagrees_is_refused(value: str):
    """The caveat and the header must name the same preimage."""
    with pytest.raises(InvalidL402, match="preimage"):
        verified(appended(minted(), f"preimage={value}"))


@pytest.mark.parametrize(
    "caveats",
    [
        ("surprise=me",),
        ("without an equals sign",),
        ("openai_capabilities=chat",),
        ("expiration=1",),
        ("Kind=topup", "amount_msat_=1", "xcarry=00"),
        ("",),
    ],
)
def test_unknown_caveats_are_skipped(caveats: tuple[str, ...]):
    """The protocol says so: a condition that we do not know neither helps nor harms."""
    assert verified(appended(minted(), *caveats)) == verified(minted())


def test_appended_limits_narrow():
    """Whoever appends limits gets a credential that can do less, and each further one less again."""
    wide = appended(minted(), "services=openai:0,acme:1", "openai_valid_until=1700000100")
    narrow = appended(wide, "services=openai:0", "openai_valid_until=1700000000")

    assert verified(wide).limits.permit("acme", now_seconds=1_700_000_050)
    assert verified(wide).limits.permit("openai", now_seconds=1_700_000_050)
    assert not verified(narrow).limits.permit("acme", now_seconds=1_600_000_000)
    assert not verified(narrow).limits.permit("openai", now_seconds=1_700_000_000)
    assert verified(narrow).limits.permit("openai", now_seconds=1_699_999_999)


@pytest.mark.parametrize(
    "caveats",
    [
        ("services=openai:0", "services=openai:0,acme:0"),
        ("services=openai:0", "services=acme:0"),
        ("openai_valid_until=1700000000", "openai_valid_until=1700000001"),
        ("openai_valid_until=1700000000", "services=openai", "openai_valid_until=99999999999999999999999999"),
        ("openai_valid_until=soon",),
        ("openai_valid_until=-1",),
        ("openai_valid_until=",),
        ("openai_valid_until=1e9",),
        ("openai_valid_until=١٢٣",),
    ],
)
def test_a_limit_that_widens_or_cannot_be_read_is_invalid(caveats: tuple[str, ...]):
    """A repeated condition may only narrow, and a limit that means nothing must not pass as no limit."""
    with pytest.raises(InvalidL402, match=r"widens|number of seconds"):
        verified(appended(minted(), *caveats))


@pytest.mark.parametrize("name", FACT_NAMES)
def test_no_fact_can_be_added_by_a_holder(name: str):
    """A fact minted empty stays empty: the same name behind the seven makes the credential invalid."""
    texts = [f"{fact}=" if text.startswith(f"{name}=") else text for fact, text in zip(FACT_NAMES, FACT_TEXTS)]  # noqa: B905 - same length

    with pytest.raises(InvalidL402):
        verified(appended(plainly(*texts), f"{name}={FACT_VALUES[name]}"))
    with pytest.raises(InvalidL402, match="a fact was appended"):
        verified(appended(minted(), f"{name}={FACT_VALUES[name]}"))


@pytest.mark.parametrize("name", FACT_NAMES)
def test_the_same_fact_cannot_even_be_repeated(name: str):
    """A holder repeats no fact, also not with its own value."""
    same = next(text for text in FACT_TEXTS if text.startswith(f"{name}="))

    with pytest.raises(InvalidL402, match="a fact was appended"):
        verified(appended(minted(), same))


@pytest.mark.parametrize("missing", range(len(FACT_NAMES)))
def test_a_macaroon_of_ours_without_all_its_facts_is_invalid(missing: int):
    """Even with our own signature: six facts, or seven in another order, promise nothing."""
    fewer = [text for at, text in enumerate(FACT_TEXTS) if at != missing]
    swapped = [*FACT_TEXTS[:missing], *reversed(FACT_TEXTS[missing:])]

    with pytest.raises(InvalidL402, match="facts"):
        verified(plainly(*fewer))
    if swapped != FACT_TEXTS:
        with pytest.raises(InvalidL402, match="facts"):
            verified(plainly(*swapped))


@pytest.mark.parametrize(
    "wrong",
    [
        "kind=gift",
        "kind=",
        "amount_msat=",
        "amount_msat=many",
        "btc_price=0",
        "btc_price=-5",
        "quote_until=x",
        "carry=xy",
    ],
)
def test_an_impossible_fact_is_invalid(wrong: str):
    """A value that cannot be meant is refused, whoever signed it."""
    name = wrong.partition("=")[0]
    texts = [wrong if text.startswith(f"{name}=") else text for text in FACT_TEXTS]

    with pytest.raises(InvalidL402, match="impossible"):
        verified(plainly(*texts))


# Several macaroons


def test_several_macaroons_of_one_payment_hold_together():
    """Every limit of each applies."""
    first = appended(minted(), "services=openai:0,acme:0", "openai_valid_until=1700000000")
    second = appended(minted(), "services=openai:0", "openai_valid_until=1800000000")

    proven = verified(first, second)

    assert proven.payment_hash == PAYMENT_HASH and proven.facts == FACTS
    assert proven.limits == l402.Limits(frozenset({"openai"}), {"openai": 1_700_000_000})


def test_macaroons_of_two_payments_are_invalid():
    """One preimage proves one payment."""
    other = l402.mint(KEY, LEDGER, hashlib.sha256(b"\xcd" * 32).digest(), FACTS, NONCE)

    with pytest.raises(InvalidL402, match="preimage"):
        verified(minted(), other)


def test_macaroons_that_promise_different_things_are_invalid():
    """Two macaroons of one payment whose facts differ contradict each other."""
    with pytest.raises(InvalidL402, match="contradict"):
        verified(minted(), minted(replace(FACTS, amount=Msat(3_000))))


@pytest.mark.parametrize("count", [0, 9])
def test_the_number_of_macaroons_is_bounded(count: int):
    """None at all, or more than eight, is no credential."""
    with pytest.raises(InvalidL402):
        verified(*[minted()] * count)


# What does not verify


def test_a_wrong_preimage_is_invalid():
    """The payment hash is the preimage's."""
    with pytest.raises(InvalidL402, match="preimage"):
        verified(minted(), preimage=b"\xac" * 32)


def test_a_changed_bit_anywhere_but_in_the_location_is_refused():
    """Everything is under the signature except the location, which nobody reads."""
    raw = base64.b64decode(minted())
    free = range(1, 1 + 2 + len(l402.LOCATION))

    for at in set(range(len(raw))) - set(free):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises((InvalidL402, NotOurs)):
            verified(base64.b64encode(changed).decode())


def test_a_truncated_macaroon_is_invalid_at_every_length():
    """Whatever a proxy or a copying hand cuts off."""
    raw = base64.b64decode(minted())

    for length in range(len(raw) - 1):
        with pytest.raises(InvalidL402):
            verified(base64.b64encode(raw[:length]).decode())


def test_a_removed_caveat_is_a_forgery():
    """A holder can append but never take away."""
    limited = decoded(appended(minted(), "services=acme:0"))

    with pytest.raises(InvalidL402, match="signature"):
        verified(replace(limited, caveats=limited.caveats[:-1]).text)


def test_a_chain_begun_with_a_guessed_key_is_a_forgery():
    """Whoever knows our public names but not the key signs nothing."""
    with pytest.raises(InvalidL402, match="signature"):
        verified(begun(b"\x00" * 32, identifier()).with_caveats(*FACT_TEXTS).text)


def test_version_1_is_refused():
    """Its text packets are parsed by nobody here."""
    chain = begun(signing_key(), identifier()).with_caveats(*FACT_TEXTS)
    packets = [(b"location", chain.location), (b"identifier", chain.identifier)]
    packets += [(b"cid", caveat) for caveat in chain.caveats] + [(b"signature", chain.signature)]
    raw = b"".join(b"%04x%s %s\n" % (len(name) + len(data) + 6, name, data) for name, data in packets)

    with pytest.raises(InvalidL402, match="version 2"):
        verified(base64.b64encode(raw).decode())


def test_json_macaroons_are_refused():
    """The libraries' JSON form is no credential either."""
    with pytest.raises(InvalidL402, match="version 2"):
        verified(base64.b64encode(b'{"v":2,"s64":"","i64":""}').decode())


def test_third_party_caveats_are_refused():
    """Nobody here can discharge one, so a macaroon that asks for it is refused, not skipped."""
    key_id, condition = b"\x00" * 72, b"who are you"
    ours = begun(signing_key(), identifier()).with_caveats(*FACT_TEXTS)
    asking = field(2, condition) + field(4, key_id) + b"\x00"
    signature = keyed(ours.signature, keyed(ours.signature, key_id) + keyed(ours.signature, condition))
    raw = ours.bytes[:-35] + asking + b"\x00" + field(6, signature)

    with pytest.raises(InvalidL402, match="third-party"):
        verified(base64.b64encode(raw).decode())


def test_a_caveat_that_is_not_text_is_invalid():
    """Bytes that are no UTF-8 mean nothing in any language."""
    ours = begun(signing_key(), identifier()).with_caveats(*FACT_TEXTS)
    raw = b"\xff\xfe"

    with pytest.raises(InvalidL402, match="not text"):
        verified(replace(ours, caveats=(*ours.caveats, raw), signature=keyed(ours.signature, raw)).text)


@pytest.mark.parametrize("length", [0, 34, 65, 67])
def test_an_identifier_of_another_length_is_not_ours_to_read(length: int):
    """66 bytes: version, payment hash, token id."""
    with pytest.raises(InvalidL402, match="identifier"):
        verified(begun(signing_key(), (identifier() + b"x")[:length]).with_caveats(*FACT_TEXTS).text)


def test_another_identifier_version_is_refused():
    """Version 1 may mean anything."""
    with pytest.raises(InvalidL402, match="identifier"):
        verified(begun(signing_key(), b"\x00\x01" + identifier()[2:]).with_caveats(*FACT_TEXTS).text)


def test_a_macaroon_that_is_too_long_is_not_even_decoded():
    """4 KiB; a holder who appends for ever ends as invalid."""
    with pytest.raises(InvalidL402, match="too long"):
        verified(appended(minted(), *["note=" + "x" * 100] * 40))


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_unexpected(raw: bytes):
    """Whatever arrives, the answer is one of two exceptions."""
    for text in (base64.b64encode(raw).decode(), base64.b64encode(b"\x02" + raw).decode()):
        with pytest.raises((InvalidL402, NotOurs)):
            verified(text)


@given(st.text(max_size=200))
def test_random_text_raises_nothing_unexpected(text: str):
    """The same for what is not even base64."""
    with pytest.raises((InvalidL402, NotOurs)):
        verified(text)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=4), st.integers(0, 4))
def test_a_spliced_macaroon_raises_nothing_unexpected(at: int, piece: bytes, dropped: int):
    """Bytes replaced, inserted or removed anywhere give a proof of the same facts, or one of two exceptions."""
    raw = base64.b64decode(minted())
    at %= len(raw)

    try:
        proven = verified(base64.b64encode(raw[:at] + piece + raw[at + dropped :]).decode())
    except (InvalidL402, NotOurs):
        return

    assert proven == verified(minted())


@given(st.lists(st.text(max_size=60), max_size=6))
def test_whatever_a_holder_appends_never_widens(caveats: list[str]):
    """Any appended text leaves the facts as minted, or makes the credential invalid."""
    try:
        proven = verified(appended(minted(), *caveats))
    except InvalidL402:
        return

    assert proven.facts == FACTS and proven.payment_hash == PAYMENT_HASH


# Keys and ledgers


def test_a_rotated_key_still_verifies_until_it_is_removed():
    """The newest key signs; an old one verifies as long as it is listed; removed, its macaroons are not ours."""
    old, new = minted(key=OLD_KEY), minted(key=KEY)

    assert verified(old, keys=(KEY, OLD_KEY)).key_id == OLD_KEY.id
    assert verified(new, keys=(KEY, OLD_KEY)).key_id == KEY.id
    with pytest.raises(NotOurs):
        verified(old, keys=(KEY,))


def test_a_foreign_key_is_not_ours():
    """Well-formed and paid, but signed by somebody else: paying here again would help."""
    with pytest.raises(NotOurs):
        verified(minted(key=RootKey(b"\x99" * 32)))


def test_a_foreign_ledger_is_not_ours():
    """The same operator's key over an empty or another ledger: nothing that this one sold."""
    foreign = l402.mint(KEY, OTHER_LEDGER, PAYMENT_HASH, FACTS, NONCE)

    with pytest.raises(NotOurs):
        verified(foreign)


def test_a_macaroon_rebound_to_this_ledger_is_a_forgery():
    """The ledger's name is under the signature: writing ours into a foreign macaroon does not move it here."""
    foreign = decoded(l402.mint(KEY, OTHER_LEDGER, PAYMENT_HASH, FACTS, NONCE))

    with pytest.raises(InvalidL402, match="signature"):
        verified(replace(foreign, identifier=identifier()).text)


def test_a_key_s_id_does_not_reveal_it():
    """Four bytes of a keyed hash; different keys have different names."""
    assert KEY.id == keyed(SECRET, b"alittlebitofmoney/l402/key-id")[:4]
    assert KEY.id != OLD_KEY.id and KEY.id not in SECRET


def test_no_exception_repeats_a_secret():
    """What is shown to a client, or logged, holds neither preimage nor macaroon."""
    attempts = [minted()[:-8], minted(key=RootKey(b"\x99" * 32)), appended(minted(), "kind=topup"), "!"]

    for attempt in attempts:
        with pytest.raises((InvalidL402, NotOurs)) as caught:
            verified(attempt)
        assert PREIMAGE.hex() not in str(caught.value) and attempt not in str(caught.value)
