"""Draws the demo catalogue's product images: `python -m db.seed.drawings` from the repository's root."""
