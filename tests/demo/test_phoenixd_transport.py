"""The node double's manners: passwords, routes, refusals and the form of its replies, as phoenixd 0.8.0 has them."""

from __future__ import annotations

import httpx
import pytest

from lib.demo.parts import DemoParts
from tests.demo.conftest import client_of

UNAUTHORIZED = "Invalid authentication (use basic auth with the http password set in phoenix.conf)"
HASH_OF_NOTHING = "00" * 32


def assert_text(reply: httpx.Response, status: int, text: str) -> None:
    assert (reply.status_code, reply.text) == (status, text)
    assert reply.headers["content-type"] == "text/plain; charset=UTF-8"


@pytest.mark.parametrize("auth", [None, ("", "wrong"), ("demo-full", ""), ("phoenix", "demo-ful")])
async def test_a_wrong_password_is_refused(parts: DemoParts, auth: tuple[str, str] | None) -> None:
    """Without the password in the password's place: 401 with phoenixd's text and challenge."""
    async with client_of(parts.seller_url) as client:
        reply = await client.get("/getinfo", auth=auth)

    assert_text(reply, 401, UNAUTHORIZED)
    assert reply.headers["www-authenticate"] == 'Basic realm="Ktor Server", charset=UTF-8'


@pytest.mark.parametrize("user", ["", "phoenix-cli", "anybody"])
async def test_the_user_name_is_ignored(parts: DemoParts, user: str) -> None:
    """Only the password counts."""
    async with client_of(parts.seller_url) as client:
        reply = await client.get("/getbalance", auth=(user, parts.seller_password))

    assert reply.json() == {"balanceSat": 0, "feeCreditSat": 0}


@pytest.mark.parametrize(
    "route",
    "payinvoice payoffer paylnaddress lnurlpay lnurlauth sendtoaddress bumpfee closechannel".split(),
)
async def test_the_limited_password_cannot_spend(seller: httpx.AsyncClient, route: str) -> None:
    """What spends refuses the limited password, before it reads any parameter."""
    reply = await seller.post(f"/{route}")

    assert_text(reply, 401, UNAUTHORIZED)


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/nothing", 404, "Unknown endpoint (check api doc)"),
        ("GET", "/getinfo/", 404, "Unknown endpoint (check api doc)"),
        ("GET", "/createinvoice", 405, "Invalid http method (use the correct GET/POST)"),
        ("POST", "/getinfo", 405, "Invalid http method (use the correct GET/POST)"),
    ],
)
async def test_unknown_routes_and_methods_need_no_password(
    parts: DemoParts, method: str, path: str, status: int, text: str
) -> None:
    """Routing comes before the password; a slash at the end makes another route."""
    async with client_of(parts.seller_url) as client:
        reply = await client.request(method, path)

    assert_text(reply, status, text)


@pytest.mark.parametrize(
    ("form", "status", "text"),
    [
        ({"externalId": "x"}, 400, "Must provide either a description or descriptionHash"),
        (
            {"description": "x", "descriptionHash": HASH_OF_NOTHING},
            400,
            "Must provide either a description or descriptionHash",
        ),
        ({"descriptionHash": "zz"}, 400, "Request parameter descriptionHash couldn't be parsed/converted to hex32"),
        ({"description": "😀" * 65}, 400, "Request parameter description is too long (max 128 characters)"),
        *(
            (
                {"description": "x", "amountSat": bad},
                400,
                "Request parameter amountSat couldn't be parsed/converted to integer",
            )
            for bad in ("", "1.5", " 5", "ten", "9223372036854775808")
        ),
        ({"description": "x", "amountSat": "-100000000"}, 500, "amount is not valid"),
    ],
)
async def test_createinvoice_refuses_with_phoenixds_words(
    seller: httpx.AsyncClient, form: dict[str, str], status: int, text: str
) -> None:
    """Each mistake has its own status and text; nothing is JSON."""
    reply = await seller.post("/createinvoice", data=form)

    assert_text(reply, status, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/payments/incoming/12", "Request parameter paymentHash couldn't be parsed/converted to hex32"),
        ("/payments/outgoing/12", "Request parameter uuid couldn't be parsed/converted to uuid"),
        ("/payments/outgoingbyhash/12", "Request parameter paymentHash couldn't be parsed/converted to hex32"),
        ("/payments/incoming?limit=few", "Request parameter limit couldn't be parsed/converted to integer"),
    ],
)
async def test_unreadable_parameters_are_named(seller: httpx.AsyncClient, path: str, text: str) -> None:
    """A path or query value of the wrong kind is a 400 that names it and the kind."""
    assert_text(await seller.get(path), 400, text)


@pytest.mark.parametrize("path", ["incoming/{}", "outgoingbyhash/{}", "outgoing/00000000-0000-0000-0000-000000000000"])
async def test_an_unknown_payment_is_not_found(seller: httpx.AsyncClient, path: str) -> None:
    """A known route without such a payment says so in fewer words than an unknown route."""
    reply = await seller.get(f"/payments/{path.format(HASH_OF_NOTHING)}")

    assert_text(reply, 404, "Not found")


async def test_bodies_are_forms(seller: httpx.AsyncClient) -> None:
    """JSON is a 400, no body a 415; multipart is a form too, and the first of two values counts."""
    as_json = await seller.post("/createinvoice", json={"description": "x"})
    as_nothing = await seller.post("/createinvoice")
    as_multipart = await seller.post("/createinvoice", files={"description": (None, "é"), "amountSat": (None, "7")})
    twice = await seller.post("/createinvoice", data={"description": "x", "amountSat": ["3", "4"]})

    assert_text(as_json, 400, "Failed to convert request body to class io.ktor.http.Parameters")
    assert_text(as_nothing, 415, "Cannot transform this request's content to io.ktor.http.Parameters")
    assert as_multipart.json()["amountSat"] == 7
    assert twice.json()["amountSat"] == 3


async def test_json_is_written_as_phoenixd_writes_it(seller: httpx.AsyncClient) -> None:
    """Four spaces, raw UTF-8, no nulls, no charset, no Date or Server header, and an empty list on one line."""
    none = await seller.get("/payments/incoming")
    made = (await seller.post("/createinvoice", data={"description": "Zürich", "amountSat": "5"})).json()
    reply = await seller.get(f"/payments/incoming/{made['paymentHash']}")

    assert none.text == "[]"
    assert reply.headers["content-type"] == "application/json"
    assert not {"date", "server"} & set(reply.headers)
    assert reply.text.startswith(
        '{\n    "type": "incoming_payment",\n    "subType": "lightning",\n    "paymentHash": "'
    )
    assert '\n    "description": "Zürich",\n' in reply.text
    assert "null" not in reply.text


async def test_routes_that_are_not_played_say_so(seller: httpx.AsyncClient) -> None:
    """The double never invents an answer for what it does not play."""
    assert_text(await seller.get("/getoffer"), 500, "the demo's double does not play this route")
