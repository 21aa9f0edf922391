"""The places a product is shown in: a wall, a floor and a few quiet things around it."""

from collections.abc import Callable
from dataclasses import dataclass

from db.seed.drawings.svg import (
    BRASS,
    CLAY,
    CREAM,
    INK,
    OAK,
    OCHRE,
    PAPER,
    SAGE,
    SHADOW,
    WALNUT,
    deep,
    dot,
    leaf,
    mix,
    moved,
    oval,
    pale,
    path,
    rect,
    solid,
    stroke,
    turned,
)


@dataclass(frozen=True)
class Room:
    """A backdrop, and where its one product belongs: its scale, and where its foot is (its middle, if it lies)."""

    art: str
    x: float
    y: float
    scale: float


def kitchen(tint: str) -> Room:
    tiles = "".join(f"M0 {y}H800" for y in range(70, 560, 90)) + "".join(f"M{x} 0V540" for x in range(60, 800, 120))
    shelf = rect(0, 190, 800, 22, OAK) + rect(0, 206, 800, 8, SHADOW, 0, 0.15)
    bowls = path("M90 130H210Q204 190 174 190H126Q96 190 90 130Z", CLAY) + path(
        "M580 150H720Q712 190 680 190H620Q588 190 580 150Z", SAGE
    )
    bowls += (
        path("M600 112H700Q694 150 668 150H632Q606 150 600 112Z", CREAM)
        + rect(250, 100, 52, 90, "#7d8f96", 8)
        + rect(254, 88, 44, 18, WALNUT, 4)
    )
    counter = (
        rect(0, 610, 800, 190, OAK)
        + rect(0, 610, 800, 16, pale(OAK, 0.4))
        + stroke("M0 690H320M380 690H800M0 752H520", WALNUT, 3, 0.25)
    )
    return Room(stroke(tiles, pale(tint, 0.7), 4) + shelf + bowls + counter, 400, 640, 0.84)


def living_room(tint: str) -> Room:
    window = (
        rect(88, 90, 230, 310, PAPER, 6)
        + rect(104, 106, 198, 278, "#cfe0e4")
        + path("M104 330Q180 280 240 320T302 310V384H104Z", SAGE)
    )
    window += rect(198, 100, 10, 290, PAPER) + rect(100, 232, 210, 10, PAPER) + rect(72, 396, 262, 18, PAPER, 4)
    frame = (
        rect(566, 130, 132, 168, WALNUT, 3)
        + rect(578, 142, 108, 144, PAPER)
        + dot(632, 196, 28, CLAY)
        + path("M578 286V250Q630 206 686 244V286Z", SAGE)
    )
    floor = (
        rect(0, 580, 800, 220, "#c9a884")
        + rect(0, 564, 800, 18, PAPER)
        + stroke(
            "M0 640H800M0 712H800M180 582V640M520 582V640M340 640V712M680 640V712M120 712V800M460 712V800",
            WALNUT,
            3,
            0.22,
        )
    )
    rug = oval(430, 700, 330, 66, mix(tint, CLAY, 0.25)) + oval(430, 700, 296, 54, pale(tint, 0.5))
    return Room(window + frame + floor + rug, 430, 706, 0.86)


def sideboard(tint: str) -> Room:
    frame = rect(90, 110, 150, 196, WALNUT, 3) + rect(102, 122, 126, 172, PAPER) + dot(176, 178, 26, OCHRE)
    frame += path("M102 294V250Q160 206 228 262V294Z", SAGE)
    top = (
        rect(30, 610, 740, 190, OAK, 6)
        + rect(20, 596, 760, 28, pale(OAK, 0.3), 8)
        + rect(30, 624, 740, 9, SHADOW, 0, 0.14)
    )
    doors = (
        stroke("M277 640V800M523 640V800", WALNUT, 4, 0.4)
        + dot(254, 712, 9, BRASS)
        + dot(300, 712, 9, BRASS)
        + dot(546, 712, 9, BRASS)
    )
    books = rect(60, 570, 150, 26, CLAY, 4) + rect(72, 546, 130, 24, SAGE, 4) + rect(66, 524, 140, 22, CREAM, 4)
    return Room(rect(0, 0, 800, 800, pale(tint, 0.15)) + frame + top + doors + books, 440, 612, 0.86)


def over_sideboard(tint: str) -> Room:
    bowl = path("M560 530H720Q712 596 672 596H608Q568 596 560 530Z", CLAY)
    low = sideboard(tint).art
    return Room(low + bowl, 440, 270, 0.66)


def hall(tint: str) -> Room:
    panel = rect(0, 330, 800, 260, deep(tint, 0.1)) + stroke(
        "".join(f"M{x} 340V580" for x in range(80, 800, 106)), deep(tint, 0.3), 3, 0.4
    )
    rail = (
        rect(0, 310, 800, 24, OAK)
        + rect(90, 120, 620, 26, OAK, 6)
        + "".join(stroke(f"M{x} 140V160Q{x} 176 {x + 18} 172", BRASS, 9) for x in (160, 320, 480, 640))
    )
    hat = path("M560 236Q640 200 726 236Q736 250 716 252H570Q550 250 560 236Z", "#d9c08c") + path(
        "M598 228Q604 166 644 164T690 228Q640 212 598 228Z", "#d9c08c"
    )
    hat += stroke("M600 222Q640 206 690 222", INK, 9)
    bench = (
        rect(40, 620, 720, 40, OAK, 8)
        + rect(40, 648, 720, 12, SHADOW, 6, 0.15)
        + rect(96, 660, 34, 140, deep(OAK))
        + rect(670, 660, 34, 140, deep(OAK))
    )
    floor = rect(0, 590, 800, 210, mix(tint, WALNUT, 0.25)) + rect(0, 580, 800, 14, PAPER)
    return Room(panel + rail + hat + floor + bench, 360, 630, 0.78)


def hills(tint: str) -> Room:
    sky = (
        rect(0, 0, 800, 800, pale(tint, 0.4))
        + dot(590, 190, 74, "#f4d58b")
        + path("M0 420Q160 250 300 350T560 290T800 380V800H0Z", "#a9bfb4")
    )
    sky += path("M0 500Q200 380 420 470T800 430V800H0Z", "#83a08c") + path(
        "M0 580Q260 500 500 560T800 540V800H0Z", "#6f8f6c"
    )
    firs = "".join(
        path(f"M{x} {y - 150}L{x + 44} {y}H{x - 44}Z", c) + rect(x - 5, y, 10, 22, WALNUT)
        for x, y, c in ((90, 560, "#44685a"), (160, 590, "#4f7562"), (716, 560, "#44685a"), (650, 584, "#4f7562"))
    )
    tufts = stroke("M90 720q8 -30 0 -40M104 722q0 -24 14 -36M660 750q8 -30 0 -40M676 752q0 -24 14 -36", "#4f7562", 6)
    return Room(sky + firs + tufts, 400, 690, 0.84)


def larder(tint: str) -> Room:
    shelves = (
        rect(0, 250, 800, 26, OAK)
        + rect(0, 276, 800, 12, SHADOW, 0, 0.14)
        + rect(0, 640, 800, 30, OAK)
        + rect(0, 670, 800, 130, deep(tint, 0.2))
    )
    jars = "".join(
        rect(x, 250 - h, w, h, c, 10) + rect(x + 6, 240 - h, w - 12, 16, WALNUT, 4)
        for x, w, h, c in (
            (70, 84, 110, "#c98a4b"),
            (176, 70, 150, "#8c9a6a"),
            (560, 90, 120, "#a9604a"),
            (670, 70, 90, "#d8c08a"),
        )
    )
    herbs = stroke("M646 288V340", WALNUT, 5)
    herbs += "".join(
        leaf(646, 336, 120, degrees, tone)
        for degrees, tone in ((60, SAGE), (120, SAGE), (75, "#7d977a"), (105, "#7d977a"), (90, SAGE))
    )
    cloth = path("M80 640H250L230 760Q166 744 96 766Z", "#e9e2d2") + stroke("M110 644L118 758M216 644L204 752", CLAY, 7)
    return Room(shelves + jars + herbs + cloth, 400, 652, 0.8)


def playroom(tint: str) -> Room:
    bunting = stroke("M0 90Q400 190 800 90", WALNUT, 4) + "".join(
        path(f"M{x} {y}h56l-28 66Z", c)
        for x, y, c in (
            (60, 106, CLAY),
            (180, 126, SAGE),
            (300, 138, OCHRE),
            (440, 138, CLAY),
            (560, 126, SAGE),
            (680, 108, OCHRE),
        )
    )
    floor = (
        rect(0, 590, 800, 210, "#cfae88")
        + rect(0, 576, 800, 16, PAPER)
        + oval(400, 700, 350, 72, pale(SAGE, 0.3))
        + oval(400, 700, 300, 56, mix(tint, SAGE, 0.2))
    )
    return Room(bunting + floor, 400, 700, 0.84)


def tabletop(tint: str) -> Room:
    """Seen from above: a table, a sprig, a cup; for things that lie flat."""
    cup = dot(682, 128, 92, SHADOW, 0.14) + dot(674, 118, 92, PAPER) + dot(674, 118, 66, pale(tint, 0.5))
    cup += dot(674, 118, 56, "#6b452f") + stroke("M640 104Q660 80 692 84", "#ffffff", 6, 0.3)
    return Room(_planks(mix(tint, "#c79a6b", 0.72)) + _napkin() + cup + _sprig(), 400, 400, 0.9)


def worktop(tint: str) -> Room:
    """Seen from above: a kitchen table with lemons on it."""
    lemon = dot(0, 0, 62, "#e9b93c") + dot(0, 0, 54, "#fbf0c4") + dot(0, 0, 47, "#f3cf5c")
    lemon += stroke("M0-44V44M-38-22L38 22M-38 22L38-22", "#fbf0c4", 6)
    whole = turned(
        oval(640, 110, 84, 62, SHADOW, 0.14) + oval(632, 102, 84, 60, "#efc44a") + oval(612, 88, 34, 18, "#f8dc84"),
        20,
        632,
        102,
    )
    return Room(
        _planks(mix(tint, "#a9b4b0", 0.6)) + _napkin() + whole + moved(lemon, 706, 226) + _sprig(), 400, 400, 0.9
    )


def bedspread(tint: str) -> Room:
    """Seen from above: a linen bedspread and a pillow's corner; for clothes."""
    linen = mix(tint, "#efe6d6", 0.7)
    folds = stroke(
        "M-20 160Q240 210 460 130T820 170M-20 560Q200 620 420 570T820 620M520 820Q560 640 820 520",
        deep(linen),
        16,
        0.16,
    )
    squares = stroke("".join(f"M{x} 0V800M0 {x}H800" for x in range(80, 800, 128)), pale(linen, 0.8), 5, 0.8)
    pillow = solid("M470-40Q640 10 840-60V170Q690 130 500 190Q520 70 470-40Z", PAPER, "", 16)
    return Room(rect(0, 0, 800, 800, linen) + squares + folds + pillow + _sprig(), 400, 410, 0.92)


def _planks(wood: str) -> str:
    grain = "M40 96Q240 70 420 100T790 84M20 300Q300 330 500 292T780 310M60 520Q260 490 520 520M240 700Q480 730 790 690"
    return (
        rect(0, 0, 800, 800, wood)
        + stroke("M0 200H800M0 402H800M0 604H800", deep(wood), 4, 0.5)
        + stroke(grain, deep(wood), 4, 0.22)
    )


def _napkin() -> str:
    return path("M-20 470L250 820H-20Z", CREAM) + stroke("M-10 520L210 810M-10 580L160 806", SAGE, 6, 0.8)


def _sprig() -> str:
    leaves = (
        (656, 736, 70, -150),
        (668, 716, 70, -10),
        (690, 682, 66, -150),
        (702, 662, 64, -6),
        (726, 620, 60, -150),
        (756, 566, 60, -58),
    )
    return stroke("M640 760Q700 660 760 560", "#5d7a5c", 6) + "".join(leaf(*at, "#7d977a") for at in leaves)


STANDING: dict[str, Callable[[str], Room]] = {
    "Kitchen": kitchen,
    "Home": sideboard,
    "Bags": hall,
    "Outdoors": hills,
    "Pantry": larder,
    "Books and play": playroom,
}
LYING: dict[str, Callable[[str], Room]] = {"Kitchen": worktop, "Home": over_sideboard, "Apparel": bedspread}


def room_for(product_id: str, category: str, stands: bool) -> Callable[[str], Room]:
    if product_id in ("oak-stool", "ash-lounge-chair"):
        return living_room
    return STANDING[category] if stands else LYING.get(category, tabletop)


TINTS = {
    "Kitchen": "#ebdfcd",
    "Home": "#e2e3d8",
    "Stationery": "#dbe3ea",
    "Bags": "#ecdcd3",
    "Apparel": "#dee5df",
    "Outdoors": "#d9e6e1",
    "Pantry": "#f2e4c6",
    "Books and play": "#e6dee9",
}
