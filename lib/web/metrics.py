"""GET /metrics: what this process counted and how its parts are, for who knows METRICS_TOKEN."""

from __future__ import annotations

import hmac
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.responses import Response

from lib.core.errors import ApiError, Code
from lib.health import UPSTREAM
from lib.metrics import FAMILIES
from lib.services import Services
from lib.web.replies import NOT_STORED, TellingRoute

router = APIRouter(route_class=TellingRoute)


@router.get("/metrics", include_in_schema=False)
async def get_metrics(request: Request) -> Response:
    """Prometheus's text format. 404 where no METRICS_TOKEN is set, 401 without it."""
    services: Services = request.app.state.services
    expected = services.settings.secrets.metrics_token
    if not expected:
        raise ApiError(Code.API_NOT_FOUND)
    presented = request.headers.get("authorization", "").encode("latin-1")
    if not hmac.compare_digest(presented, b"Bearer " + expected.encode()):
        raise ApiError(Code.INVALID_TOKEN, "Metrics are for this server's operator.")
    state = CollectorRegistry(auto_describe=False)
    state.register(State(services))
    text = generate_latest(services.metrics.registry) + generate_latest(state)
    return Response(text, headers={**NOT_STORED, "Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


class State(Collector):
    """What is told as it is when somebody asks."""

    def __init__(self, services: Services) -> None:
        """Of these services."""
        self._services = services

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every gauge whose value is known."""
        services, metrics = self._services, self._services.metrics
        yield _labelled(
            "alb_up", {(name,): part.ok for name, part in services.health.parts.items() if self._is_meant(name)}
        )
        yield _labelled("alb_alarm", dict.fromkeys([(name,) for name in services.health.alarms], True))
        paused = [(pause.api, pause.model or "") for pause in services.purchase.pauses.current]
        yield _labelled("alb_paused", dict.fromkeys(paused, True))
        told: dict[str, float] = {
            "alb_lease": services.lease.id is not None,
            "alb_unsettled": len(services.purchase.unsettled),
            "alb_data_dir_free_bytes": shutil.disk_usage(services.settings.data_dir).free,
        }
        if priced := services.price.current():
            told["alb_btc_price_usd"] = float(priced.price.usd())
            told["alb_btc_price_age_seconds"] = (datetime.now(UTC) - priced.at).total_seconds()
        if metrics.node_balance is not None:
            told["alb_node_balance_sats"] = metrics.node_balance.value
        if metrics.ledger is not None:
            told |= metrics.ledger.told(time.monotonic())
        for name, value in told.items():
            yield GaugeMetricFamily(name, FAMILIES[name].meaning, value=float(value))

    def _is_meant(self, part: str) -> bool:
        """An API whose key was never set is not sold, and no fault."""
        name = part.removeprefix(UPSTREAM)
        return name == part or self._services.settings.missing(name) is None


def _labelled(name: str, values: Mapping[tuple[str, ...], bool]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, FAMILIES[name].meaning, labels=FAMILIES[name].labels)
    for labels, value in values.items():
        family.add_metric(labels, float(value))
    return family
