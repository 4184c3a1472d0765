"""The proxy that one writes first: FastAPI and httpx, no payment, no ledger. What ours is compared with.

`UPSTREAM_URL=… uvicorn --factory plain_proxy:create_app`
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

TOTAL_SECONDS = 60.0


def create_app() -> FastAPI:
    """One route: the body goes up with our key instead of the buyer's, what comes back is passed on."""
    client = httpx.AsyncClient(
        base_url=os.environ["UPSTREAM_URL"], timeout=TOTAL_SECONDS, limits=httpx.Limits(), trust_env=False
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with client:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - the route decorator keeps it
        headers = {"Authorization": "Bearer upstream-key", "Content-Type": "application/json"}
        upward = client.build_request("POST", "/chat/completions", content=await request.body(), headers=headers)
        reply = await client.send(upward, stream=True)
        kind = reply.headers["content-type"]
        if not kind.startswith("text/event-stream"):
            return Response(await reply.aread(), reply.status_code, media_type=kind)
        return StreamingResponse(_until_closed(reply), reply.status_code, media_type=kind)

    return app


async def _until_closed(reply: httpx.Response) -> AsyncGenerator[bytes]:
    try:
        async for piece in reply.aiter_raw():
            yield piece
    finally:
        await reply.aclose()
