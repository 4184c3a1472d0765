"""What can be billed: the units that prices are per, in quotes, in the catalog and in histories."""

from __future__ import annotations

from enum import StrEnum


class Unit(StrEnum):
    """One word per thing that a provider bills. A token is counted under exactly one of them."""

    INPUT = "input_token"
    CACHED_INPUT = "cached_input_token"
    """Read from the provider's prompt cache."""
    CACHE_WRITE = "cache_write_token"
    """Written into the provider's prompt cache."""
    IMAGE_INPUT = "image_input_token"
    """Of an image that is read, where images have a price of their own."""
    OUTPUT = "output_token"
    REASONING = "reasoning_token"
    """Written and not shown, where thinking has a price of its own."""
    SECOND = "second"
    """Of a recording; one that has begun is whole."""
    CHARACTER = "character"
    """Of a text that is read aloud: a Unicode code point."""
    CALL = "call"


INPUTS = (Unit.INPUT, Unit.CACHED_INPUT, Unit.CACHE_WRITE)
"""What a token of text that is read may turn out to be."""
OUTPUTS = (Unit.OUTPUT, Unit.REASONING)
"""What a token that is written may turn out to be."""
