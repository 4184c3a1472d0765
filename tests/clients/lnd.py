"""LND paying an invoice over REST, in front of the payer's wallet: what l402-requests finds by its environment."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.world import World, serving


@asynccontextmanager
async def lnd_wallet(world: World) -> AsyncGenerator[dict[str, str]]:
    """The environment in which the wallet is found, for as long as the block lasts."""

    async def send(request: Request) -> JSONResponse:
        preimage = await world.parts.pay((await request.json())["payment_request"])
        shown = base64.b64encode(bytes.fromhex(preimage)).decode()
        return JSONResponse({"result": {"status": "SUCCEEDED", "payment_preimage": shown}})

    async with serving(Starlette(routes=[Route("/v2/router/send", send, methods=["POST"])])) as url:
        yield {"LND_REST_HOST": url, "LND_MACAROON_HEX": "00"}
