"""What an image can cost in tokens."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lib.core.schema import PatchVision, TileVision, Vision
from lib.core.vision import Detail, Size, image_tokens

PATCHES = PatchVision(rule="patch", multiplier=Decimal("1.62"), budget=1_536)
UNBOUNDED = PatchVision(rule="patch", multiplier=Decimal("2.5"))
TILES = TileVision(rule="tile", base=85, tile=170)
EDITS = TileVision(rule="tile", base=65, tile=129, short_side=512)

sides = some.integers(1, 16_384)


@pytest.mark.parametrize(
    ("rule", "size", "detail", "tokens"),
    [
        (PATCHES, Size(1024, 1024), Detail.HIGH, 1_659),  # 32 × 32 patches × 1.62
        (PATCHES, Size(1, 1), Detail.HIGH, 2),
        (PATCHES, Size(33, 32), Detail.HIGH, 4),  # a part of a patch is a patch
        (PATCHES, Size(4096, 4096), Detail.HIGH, 2_489),  # scaled down to 1,536 patches
        (PATCHES, Size(1024, 1024), Detail.LOW, 1_659),  # what `low` saves is not known: never less than it may cost
        (UNBOUNDED, Size(4096, 4096), Detail.HIGH, 40_960),
        (TILES, Size(4096, 8192), Detail.LOW, 85),
        (TILES, Size(1024, 1024), Detail.HIGH, 765),  # 768 × 768: four tiles
        (TILES, Size(2048, 4096), Detail.HIGH, 1_105),  # 768 × 1536: six tiles
        (TILES, Size(10_000, 10), Detail.HIGH, 1_445),  # at most 2048 × 768: eight tiles
        (EDITS, Size(1024, 1024), Detail.HIGH, 194),  # 512 × 512
        (EDITS, Size(1536, 1024), Detail.HIGH, 323),  # 768 × 512
    ],
)
def test_an_image_is_bounded_by_its_model_s_rule(rule: Vision, size: Size, detail: Detail, tokens: int):
    """The provider's rules, reckoned by hand."""
    assert image_tokens(rule, size, detail) == tokens


@given(sides, sides, some.sampled_from([PATCHES, UNBOUNDED, TILES, EDITS]), some.sampled_from(Detail))
def test_turning_an_image_changes_nothing(width: int, height: int, rule: Vision, detail: Detail):
    """A photograph may say in its metadata that it lies on its side: that is worth nothing."""
    upright, lying = Size(width, height), Size(height, width)

    assert image_tokens(rule, upright, detail) == image_tokens(rule, lying, detail)


@given(sides, sides, some.sampled_from([PATCHES, UNBOUNDED, TILES, EDITS]))
def test_a_closer_look_never_costs_less(width: int, height: int, rule: Vision):
    """`high` bounds `low`."""
    assert image_tokens(rule, Size(width, height), Detail.HIGH) >= image_tokens(rule, Size(width, height), Detail.LOW)


@pytest.mark.parametrize(
    ("asked", "sent"), [(None, Detail.HIGH), ("auto", Detail.HIGH), ("high", Detail.HIGH), ("low", Detail.LOW)]
)
def test_the_detail_that_is_sent_is_always_one_we_can_price(asked: str | None, sent: Detail):
    """Upstream's own choice, `auto`, is never left to it."""
    assert Detail.chosen(asked) is sent
