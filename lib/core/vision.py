"""What an image costs in tokens: the most a model can make of it, from its width and height alone.

Source: the provider's vision guide. Where it does not say what happens (whether a small image is enlarged, what a
model's `low` is), the dearer reading counts: these are bounds, and what is charged is what the answer says was used.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import ceil
from typing import TYPE_CHECKING

from lib.core.schema import AreaVision, PatchVision, TileVision

if TYPE_CHECKING:
    from lib.core.schema import Vision

PATCH_PX = 32
TILE_PX = 512


@dataclass(frozen=True, slots=True)
class Size:
    """An image's width and height in pixels, both at least 1."""

    width: int
    height: int


class UnusableImage(ValueError):
    """An image that we do not sell; its text is for the buyer."""


class Detail(Enum):
    """How closely a model looks. Always sent, because upstream's own choice is not ours to price."""

    LOW = "low"
    HIGH = "high"

    @staticmethod
    def chosen(value: str | None) -> Detail:
        """What is sent for a buyer's `detail`: whoever leaves the choice to us gets the better one."""
        return Detail.LOW if value == Detail.LOW.value else Detail.HIGH


def image_tokens(rule: Vision, size: Size, detail: Detail) -> int:
    """The most input tokens that one image can be billed as."""
    match rule:
        case PatchVision():
            return _patches(rule, size)
        case AreaVision():
            return min(rule.most, ceil(size.width * size.height / rule.pixels_per_token))
        case TileVision():
            return rule.base if detail is Detail.LOW else rule.base + rule.tile * _tiles(rule, size)


def _patches(rule: PatchVision, size: Size) -> int:
    """Patches that cover the image, no more than the model's budget: a larger image is scaled down to it."""
    patches = ceil(size.width / PATCH_PX) * ceil(size.height / PATCH_PX)
    if rule.budget is not None:
        patches = min(patches, rule.budget)
    return ceil(patches * rule.multiplier)


def _tiles(rule: TileVision, size: Size) -> int:
    """Tiles of the image scaled so that it fits the square and its short side has the model's length.

    An image whose short side is shorter counts as enlarged, as far as the square lets it.
    """
    long, short = max(size.width, size.height), min(size.width, size.height)
    scaled_short = rule.short_side
    scaled_long = min(rule.square, ceil(long * rule.short_side / short))
    return ceil(scaled_long / TILE_PX) * ceil(scaled_short / TILE_PX)
