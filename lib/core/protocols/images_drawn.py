"""Images that are drawn or edited: bounded by a table of sizes and qualities, charged by what was used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib.core.errors import ApiError, Code
from lib.core.protocols.base import Demand, Protocol
from lib.core.protocols.images import of_addresses
from lib.core.sse import EventKind
from lib.core.usage import Reading, Usage, list_of, object_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lib.core.catalog import Model
    from lib.core.protocols.base import Media
    from lib.core.protocols.images import Found

PARTIAL_IMAGE_TOKENS = 100
"""Output tokens of each partial image, by the provider's documents."""
COMPLETED = ("image_generation.completed", "image_edit.completed")
AUTO = "auto"


class ImagesDrawn(Protocol):
    """`POST /images/generations` and `/images/edits`: each image's tokens are known from its size and quality.

    Where the buyer leaves one of them to upstream, the dearest that it could choose is the bound.
    """

    name = "images"
    event_max_bytes = 67_108_864

    def amend(self, fields: dict[str, Any]) -> None:
        """Streams draw one image."""
        if fields.get("stream") and fields.get("n", 1) != 1:
            raise ApiError(Code.INVALID_FIELD_VALUE, "Only one image can be streamed: `n` must be 1.", param="n")
        if fields.get("partial_images") and not fields.get("stream"):
            raise ApiError(Code.INVALID_FIELD_VALUE, "`partial_images` needs `stream: true`.", param="partial_images")

    def images(self, fields: Mapping[str, Any]) -> Iterator[Found]:
        """Those to be edited, and the mask."""
        yield from of_addresses(fields.get("images"), "images")
        if "mask" in fields:
            yield from of_addresses([fields["mask"]], "mask")

    def demand(self, model: Model, parameters: Mapping[str, Any], media: Media) -> Demand:
        """The cell of the table, or the dearest of those that are left open."""
        demand = super().demand(model, parameters, media)
        drawn = _cell(model, parameters.get("quality", AUTO), parameters.get("size", AUTO))
        drawn += PARTIAL_IMAGE_TOKENS * parameters.get("partial_images", 0)
        return Demand(
            demand.input_bytes,
            demand.input_tokens,
            image_tokens=demand.image_tokens,
            output_tokens=drawn,
            usual_output_tokens=drawn,
        )

    def take(self, reading: Reading, payload: dict[str, Any]) -> EventKind:
        """One event, or all images."""
        kind = payload.get("type")
        usage = usage_of(payload.get("usage"))
        reading.usage = usage or reading.usage
        if kind in COMPLETED:
            reading.complete = True
            return EventKind.USAGE
        if kind is None and payload.get("error") is None:
            reading.answers = len(list_of(payload.get("data")))
            reading.failed = not reading.answers
            return EventKind.TEXT
        return super().take(reading, payload)


def usage_of(value: object) -> Usage | None:
    """The `usage` of drawn images; None if it cannot be believed."""
    usage = object_of(value)
    details = object_of(usage.get("input_tokens_details"))
    return Usage.believed(
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        cached=details.get("cached_tokens"),
        image_input=details.get("image_tokens"),
    )


def _cell(model: Model, quality: str, size: str) -> int:
    """The most output tokens of one image. Raises ApiError for a size or quality that is not in the table."""
    table = model.images or {}
    if quality not in {*table, AUTO}:
        raise _not_sold("quality", model, table)
    rows = table.values() if quality == AUTO else [table[quality]]
    cells = [tokens for row in rows for name, tokens in row.items() if size in (name, AUTO)]
    if not cells:
        raise _not_sold("size", model, sorted({name for row in rows for name in row}))
    return max(cells)


def _not_sold(field: str, model: Model, sold: Mapping[str, Any] | list[str]) -> ApiError:
    options = ", ".join([*sold, AUTO])
    message = f"`{field}` must be one of these with {model.id}: {options}."
    return ApiError(Code.INVALID_FIELD_VALUE, message, param=field)
