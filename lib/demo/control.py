"""The control port of the doubles: what goes wrong, what has reached them, and what moved. Nothing real has one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from lib.demo.knobs import PaymentHash
from lib.demo.scenario import Mix, Scenario

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from lib.demo.doubles import Doubles
    from lib.demo.wallet import Wallet


class Settle(BaseModel):
    """A stranger pays an invoice of this node; without an amount, what it asks."""

    model_config = ConfigDict(extra="forbid")
    payment_hash: PaymentHash
    amount_msat: int | None = Field(default=None, gt=0)


class Advance(BaseModel):
    """How far the nodes' time moves on."""

    model_config = ConfigDict(extra="forbid")
    seconds: float = Field(ge=0, le=10 * 365 * 86_400)


class Control:
    """The ASGI application's handlers. What cannot be read is a 400 with the reason, and changes nothing."""

    def __init__(self, doubles: Doubles) -> None:
        self._doubles = doubles

    def app(self) -> ASGIApp:
        """All routes."""
        routes = [
            Route("/node/{name}/knobs", self.knobs, methods=["GET", "POST", "DELETE"]),
            Route("/node/{name}/settle", self.settle, methods=["POST"]),
            Route("/node/{name}/ledger", self.ledger),
            Route("/clock", self.clock),
            Route("/clock/advance", self.advance, methods=["POST"]),
            Route("/upstream/scenario", self.scenario, methods=["GET", "POST", "DELETE"]),
            Route("/upstream/mix", self.mix, methods=["GET", "POST", "DELETE"]),
            Route("/journal", self.journal, methods=["GET", "DELETE"]),
        ]
        handlers: dict[Any, Any] = {ValidationError: _invalid, HTTPException: _http_error}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def knobs(self, request: Request) -> JSONResponse:
        """POST merges, GET shows, DELETE resets."""
        wallet = self._wallet(request)
        if request.method == "POST":
            await self._doubles.set_knobs(wallet.name, await _object(request))
        elif request.method == "DELETE":
            await self._doubles.reset_knobs(wallet.name)
        return JSONResponse(wallet.knobs.current.model_dump(mode="json"))

    async def settle(self, request: Request) -> JSONResponse:
        """Mark an invoice paid. 404 for one we do not have, 409 for one that is paid."""
        asked = Settle.model_validate(await _object(request))
        wallet = self._wallet(request)
        invoice = wallet.incoming.get(asked.payment_hash)
        if invoice is None:
            raise HTTPException(404, "no such invoice")
        if invoice.completed_at_ms is not None:
            raise HTTPException(409, "this invoice is paid")
        try:
            paid_msat = self._doubles.settle(wallet.name, asked.payment_hash, asked.amount_msat)
        except ValueError as exc:
            raise HTTPException(400, str(exc)) from exc
        return JSONResponse({"payment_hash": asked.payment_hash, "amount_msat": paid_msat})

    async def ledger(self, request: Request) -> JSONResponse:
        """What came in and went out, in msat."""
        return JSONResponse(self._doubles.ledger(self._wallet(request).name))

    async def clock(self, _: Request) -> JSONResponse:
        """The nodes' time."""
        return JSONResponse({"now_ms": self._doubles.network.clock.now_ms()})

    async def advance(self, request: Request) -> JSONResponse:
        """Move the nodes' time on."""
        self._doubles.network.clock.advance(Advance.model_validate(await _object(request)).seconds)
        return await self.clock(request)

    async def scenario(self, request: Request) -> JSONResponse:
        """POST replaces, a mix too; GET shows what was set, DELETE resets."""
        if request.method == "POST":
            self._doubles.stage.set(Scenario.model_validate(await _object(request)))
        elif request.method == "DELETE":
            self._doubles.stage.set(Scenario())
        return JSONResponse(self._doubles.stage.current.model_dump(mode="json", exclude_unset=True))

    async def mix(self, request: Request) -> JSONResponse:
        """POST replaces, a scenario too; GET shows what was set, DELETE resets."""
        if request.method == "POST":
            self._doubles.stage.mix(Mix.model_validate(await _object(request)))
        elif request.method == "DELETE":
            self._doubles.stage.set(Scenario())
        mixed = self._doubles.stage.mixed
        return JSONResponse(mixed.model_dump(mode="json", exclude_unset=True) if mixed else {})

    async def journal(self, request: Request) -> JSONResponse:
        """What reached upstream; DELETE empties it."""
        if request.method == "DELETE":
            self._doubles.journal.clear()
        return JSONResponse(self._doubles.journal.entries())

    def _wallet(self, request: Request) -> Wallet:
        wallet = self._doubles.network.wallet(request.path_params["name"])
        if wallet is None:
            raise HTTPException(404, "the nodes are `seller` and `payer`")
        return wallet


async def _object(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(await request.body() or b"{}")
    except ValueError as exc:
        raise HTTPException(400, f"the body is not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return cast("dict[str, Any]", value)


async def _invalid(_: Request, error: ValidationError) -> JSONResponse:
    problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    return JSONResponse({"error": "; ".join(problems)}, 400)


async def _http_error(_: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse({"error": error.detail}, error.status_code)
