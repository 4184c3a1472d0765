"""From an HTTP request to an Order: what paid calls and quotes have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.types import Receive, Scope

from lib.core.attached import Attached, MeasuredFile
from lib.core.catalog import Endpoint, Place
from lib.core.errors import ApiError, Code, retry_after
from lib.core.form import FileRule, FormFile, FormReader, FormRules
from lib.core.form_values import lists
from lib.core.order import Order, order_of, order_of_form
from lib.core.vision import UnusableImage
from lib.media.audio_meter import MeterBusy
from lib.media.image_size import picture_in, size_of
from lib.media.recording import UnusableRecording
from lib.services import Services
from lib.uploads import FULL_RETRY_SECONDS, Upload
from lib.web.body import announced_bytes, body_pieces, read_body

AT_ONCE_MAX_BYTES = 32_768
"""A longer body is validated and counted beside the event loop: counting takes a millisecond for 20 kB at worst."""


def is_form(place: Place, scope: Scope) -> bool:
    """Whether the body is to be read as a form."""
    rules = place.endpoint.rules
    if rules.content_type == "json_or_multipart":
        return _content_type(scope).lower().startswith("multipart/")
    return rules.content_type == "multipart"


@asynccontextmanager
async def opened_order(
    place: Place, services: Services, scope: Scope, receive: Receive, *, paying: bool
) -> AsyncGenerator[Order]:
    """Read and validate a request. Raises ApiError, or ClientLeft; nothing was invoiced.

    The files of a form are there until the block ends. `paying`: the sender has proven something. A query string is
    not part of an order: SDKs send some (`?beta=true`), and none is passed on.
    """
    rules, limits = place.endpoint.rules, services.settings.config.limits
    if not is_form(place, scope):
        body = await read_body(scope, receive, max_bytes=rules.max_body_bytes, within_seconds=limits.body_seconds)
        yield _served(services, await _order_of_body(place, services, body))
        return
    reader = FormReader(_content_type(scope), form_rules(place.endpoint))
    most = rules.max_upload_bytes
    size = announced_bytes(scope, most)
    arriving = body_pieces(receive, max_bytes=most, within_seconds=limits.upload_seconds)
    async with services.uploads.receive(reader, arriving, size=size, paying=paying) as upload:
        yield _served(services, await _order_of_upload(place, services, upload))


def _served(services: Services, order: Order) -> Order:
    """The order, unless it holds what the operator does not serve. Raises ApiError content_blocked."""
    services.blocklist.require_served(order)
    return order


def form_rules(endpoint: Endpoint) -> FormRules:
    """What a form for this endpoint may hold."""
    request = endpoint.rules.request
    several = lists(request.properties)
    return FormRules(
        texts=frozenset(request.properties.keys() - several),
        lists=several,
        files={name: FileRule(file.max_bytes, file.max_count) for name, file in endpoint.rules.files.items()},
        refused=request.refused,
    )


async def _order_of_body(place: Place, services: Services, body: bytes) -> Order:
    if len(body) <= AT_ONCE_MAX_BYTES:
        return order_of(place, body, today=services.today, size_of=size_of)
    return await asyncio.to_thread(order_of, place, body, today=services.today, size_of=size_of)


def _content_type(scope: Scope) -> str:
    return dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")


async def _order_of_upload(place: Place, services: Services, upload: Upload) -> Order:
    kinds = {name: rule.kind for name, rule in place.endpoint.rules.files.items()}
    measure = {"audio": _recording, "image": _picture}
    files = [await measure[kinds[file.name]](services, upload, file) for file in upload.form.files]
    attached = Attached(files, upload)
    return order_of_form(place, upload.form, attached, today=services.today, size_of=size_of)


async def _recording(services: Services, upload: Upload, file: FormFile) -> MeasuredFile:
    try:
        recording = await services.audio_meter.measure(upload.fileno(), file.start, file.size)
    except UnusableRecording as error:
        raise _unusable(file, error) from error
    except MeterBusy as error:
        raise retry_after(Code.UPLOAD_UNAVAILABLE, FULL_RETRY_SECONDS) from error
    return MeasuredFile(file.name, recording.kind, file.start, file.size, file.sha256, seconds=recording.seconds)


async def _picture(_services: Services, upload: Upload, file: FormFile) -> MeasuredFile:
    try:
        picture = await picture_in(upload.fileno(), file.start, file.size)
    except UnusableImage as error:
        raise _unusable(file, error) from error
    return MeasuredFile(file.name, picture.kind, file.start, file.size, file.sha256, pixels=picture.size)


def _unusable(file: FormFile, error: ValueError) -> ApiError:
    return ApiError(Code.INVALID_FIELD_VALUE, f"`{file.name}` cannot be used: {error}.", param=file.name)
