"""Core Lightning's `pay` command over REST, in front of the payer's wallet: a node l402sdk can be given."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.world import World, serving


@asynccontextmanager
async def cln_wallet(world: World) -> AsyncGenerator[str]:
    """The node's address for as long as the block lasts."""

    async def pay(request: Request) -> JSONResponse:
        bolt11 = (await request.json())["bolt11"]
        preimage = await world.parts.pay(bolt11)
        paid = world.parts.ledger("payer")["outgoing"][-1]
        return JSONResponse(
            {
                "payment_preimage": preimage,
                "payment_hash": paid["payment_hash"],
                "amount_msat": paid["amount_msat"],
                "amount_sent_msat": paid["amount_msat"] + paid["fees_msat"],
                "status": "complete",
            },
            status_code=201,
        )

    async with serving(Starlette(routes=[Route("/v1/pay", pay, methods=["POST"])])) as url:
        yield url
