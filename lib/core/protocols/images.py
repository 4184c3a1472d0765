"""Images that are read: where each protocol keeps them, how large they really are, and what that can cost.

Only inline images are sold: an address would be fetched by upstream, and what lies there then is not known when the
call is priced. `detail` is always said, because a choice that is left open is made by upstream, at its price.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lib.core.errors import ApiError, Code
from lib.core.protocols.base import Media
from lib.core.usage import list_of, object_of
from lib.core.vision import Detail, Size, UnusableImage, image_tokens

if TYPE_CHECKING:
    from lib.core.catalog import Model

SizeOf: TypeAlias = Callable[[bytes], Size]
"""Width and height of an encoded image. Raises UnusableImage."""

IMAGES_MAX = 64
"""In one request."""
DATA_URL = re.compile(r"data:image/(?:png|jpeg|jpg|webp|gif);base64,", re.IGNORECASE)
DETAILS = ("auto", "low", "high")


@dataclass(frozen=True, slots=True)
class Found:
    """One image where a request has it. `where` is its field, as OpenAI names fields."""

    where: str
    data: str
    """Base64."""
    detail: Detail


def measured(found: Iterator[Found], model: Model, size_of: SizeOf) -> Media:
    """What the images of a request can cost with this model. Raises ApiError naming the field."""
    tokens = encoded = 0
    for count, image in enumerate(found, start=1):
        if model.vision is None:
            raise ApiError(Code.INVALID_FIELD_VALUE, f"`{model.id}` reads no images here.", param=image.where)
        if count > IMAGES_MAX:
            raise ApiError(Code.INVALID_FIELD_VALUE, f"At most {IMAGES_MAX} images are sold.", param=image.where)
        try:
            size = size_of(base64.b64decode(image.data, validate=True))
        except binascii.Error:
            raise ApiError(Code.INVALID_FIELD_VALUE, f"`{image.where}` is not base64.", param=image.where) from None
        except UnusableImage as error:
            raise ApiError(Code.INVALID_FIELD_VALUE, f"`{image.where}`: {error}.", param=image.where) from None
        tokens += image_tokens(model.vision, size, image.detail)
        encoded += len(image.data)
    return Media(image_tokens=tokens, encoded_bytes=encoded)


def of_parts(parts: object, where: str) -> Iterator[Found]:
    """The images among OpenAI's content parts, of chat completions and of responses. Says `detail` in each."""
    for at, part in enumerate(map(object_of, list_of(parts))):
        match part.get("type"):
            case "image_url":
                holder, url, here = object_of(part.get("image_url")), "url", f"{where}[{at}].image_url"
            case "input_image":
                holder, url, here = part, "image_url", f"{where}[{at}]"
            case _:
                continue
        detail = holder.get("detail", "auto")
        if detail not in DETAILS:
            field = f"{here}.detail"
            raise ApiError(Code.INVALID_FIELD_VALUE, f"`{field}` must be one of: auto, low, high.", param=field)
        chosen = Detail.chosen(detail)
        holder["detail"] = chosen.value
        yield Found(f"{here}.{url}", _data_of(holder.get(url), f"{here}.{url}"), chosen)


def of_blocks(blocks: object, where: str) -> Iterator[Found]:
    """The images among Anthropic's content blocks, those in the results of tools included."""
    for at, block in enumerate(map(object_of, list_of(blocks))):
        here = f"{where}[{at}]"
        match block.get("type"):
            case "image":
                source = object_of(block.get("source"))
                yield Found(f"{here}.source.data", str(source.get("data", "")), Detail.HIGH)
            case "tool_result":
                yield from of_blocks(block.get("content"), f"{here}.content")
            case _:
                continue


def _data_of(url: object, where: str) -> str:
    head = DATA_URL.match(url) if isinstance(url, str) else None
    if head is None or not isinstance(url, str):
        message = f"`{where}` must be a data: URL with base64 of a PNG, JPEG, WEBP or GIF; addresses are not fetched."
        raise ApiError(Code.INVALID_FIELD_VALUE, message, param=where)
    return url[head.end() :]


def of_addresses(holders: object, where: str) -> Iterator[Found]:
    """The images of objects with `image_url`, as images are edited by JSON."""
    for at, holder in enumerate(map(object_of, list_of(holders))):
        here = f"{where}[{at}].image_url" if where == "images" else f"{where}.image_url"
        yield Found(here, _data_of(holder.get("image_url"), here), Detail.HIGH)
