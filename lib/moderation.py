"""An optional gate before paid calls: a provider's free moderation reads the request first."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from lib.core.blocklist import words_of
from lib.core.errors import ApiError, Code, retry_after
from lib.core.usage import list_of, object_of
from lib.upstream import Silent, Upstream

if TYPE_CHECKING:
    from lib.core.catalog import Api, Catalog
    from lib.core.order import Order
    from lib.core.schema import Moderation as Rules

log = logging.getLogger(__name__)

DOWN_RETRY_SECONDS = 30


class Moderation:
    """Asks before anything is held. What it reads and finds is never logged."""

    def __init__(self, rules: Rules, api: Api, upstream: Upstream) -> None:
        """`api` is whose moderation is asked."""
        self._rules, self._api, self._upstream = rules, api, upstream

    @staticmethod
    def of(rules: Rules | None, catalog: Catalog, upstream: Upstream) -> Moderation | None:
        """None where there is none."""
        return Moderation(rules, catalog.apis[rules.api], upstream) if rules else None

    async def require_harmless(self, order: Order) -> None:
        """Raises ApiError: content_blocked, or upstream_unavailable where no verdict can be had and that is required.

        Costs nobody anything.
        """
        text = "\n".join(words_of(order))
        if not text.strip():
            return
        body = orjson.dumps({"model": self._rules.model, "input": text})
        try:
            answer = await self._upstream.ask(self._api, self._rules.upstream_path, body, self._rules.seconds)
            flagged = self._flagged(answer)
        except (Silent, ValueError) as error:
            log.warning("no moderation: %s", error)
            if self._rules.when_down == "open":
                return
            raise retry_after(
                Code.UPSTREAM_UNAVAILABLE, DOWN_RETRY_SECONDS, "Requests cannot be checked at the moment."
            ) from None
        if flagged:
            raise ApiError(Code.CONTENT_BLOCKED)

    def _flagged(self, answer: bytes) -> bool:
        """Raises ValueError for what is no verdict."""
        try:
            document = object_of(orjson.loads(answer))
        except orjson.JSONDecodeError as error:
            raise ValueError("the answer is not JSON") from error
        results = [object_of(result) for result in list_of(document.get("results"))]
        if not results or not all(isinstance(result.get("flagged"), bool) for result in results):
            raise ValueError("the answer holds no verdict")
        return any(self._minded(result) for result in results)

    def _minded(self, result: Mapping[str, Any]) -> bool:
        if not self._rules.categories:
            return bool(result["flagged"])
        found = object_of(result.get("categories"))
        return any(found.get(category) is True for category in self._rules.categories)
