"""Shops that a module's tests share: one with the double of OpenAI, one with an upstream whose bytes a test decides."""

from __future__ import annotations

from tests.paid.conftest import canned, shared_canned_shop, shared_shop, shop

__all__ = ["canned", "shared_canned_shop", "shared_shop", "shop"]
