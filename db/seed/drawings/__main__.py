"""Draw every image the demo catalogue names into web/static/products."""

import tomllib
from pathlib import Path
from typing import Any

from db.seed.drawings import views
from db.seed.drawings.rooms import TINTS, room_for
from db.seed.drawings.sketches import SKETCHES

ROOT = Path(__file__).resolve().parents[3]
CATALOGUE = ROOT / "db" / "seed" / "catalogue.toml"
STATIC = ROOT / "web"

Product = dict[str, Any]


def main() -> None:
    catalogue = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in catalogue["categories"]}
    products: list[Product] = catalogue["products"]
    for product in products:
        siblings = [p["id"] for p in products if "group" in p and p["group"] == product.get("group")]
        for number, image in enumerate(product["images"], start=1):
            target = STATIC / image.removeprefix("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(draw(number, product, siblings, names[product["category"]]), encoding="utf-8")


def draw(number: int, product: Product, siblings: list[str], category: str) -> str:
    """Image `number` of a product: 1 alone, 2 close up, 3 beside its siblings or in its place, 4 measured."""
    name, piece, tint = product["name"], SKETCHES[product["id"]], TINTS[category]
    if number == 1:
        largest = max(views.reach(SKETCHES[one]) for one in siblings or [product["id"]])
        return views.alone(name, piece, largest, tint)
    if number == 2:
        return views.close_up(name, piece, tint)
    if number == 4:
        size = product["specifications"]
        return views.measured(name, piece, size["Width"], size["Height"], tint)
    if siblings:
        return views.side_by_side(name, [SKETCHES[sibling] for sibling in siblings], tint)
    room = room_for(product["id"], category, piece.stands)
    return views.in_its_place(name, piece, room(tint), tint)


if __name__ == "__main__":
    main()
