"""What a product is to the shop: how its stock is told, and how it shrinks."""

from __future__ import annotations
