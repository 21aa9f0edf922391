"""Pantry: jars, tins, bags and bars."""

from db.seed.drawings.svg import (
    BRASS,
    COFFEE,
    CREAM,
    FOREST,
    GLASS,
    INK,
    KRAFT,
    MOSS,
    NAVY,
    OAK,
    OCHRE,
    PAPER,
    PLUM,
    SAGE,
    Piece,
    block,
    deep,
    disc,
    dot,
    gleam,
    leaf,
    mix,
    oval,
    pale,
    path,
    rect,
    resized,
    solid,
    stroke,
    turned,
)

BLUSH = "#e7a99a"


def jar(contents: str, cloth: str, emblem: str) -> Piece:
    body = "M298 280H502Q540 330 540 370V550Q540 590 500 590H300Q260 590 260 550V370Q260 330 298 280Z"
    fill = rect(250, 340, 300, 260, contents) + oval(400, 340, 150, 14, pale(contents, 0.3))
    glints = gleam("M284 372V548", 11, 0.45)
    label = (
        rect(318, 400, 164, 136, PAPER, 8)
        + emblem
        + rect(346, 500, 108, 7, INK, 3, 0.5)
        + rect(366, 516, 68, 6, INK, 3, 0.3)
    )
    dots = "".join(
        dot(x, y, 7, CREAM, 0.8)
        for x, y in ((310, 250), (350, 280), (390, 246), (430, 284), (470, 252), (500, 288), (306, 296))
    )
    lid = solid(
        "M290 238Q400 214 510 238L528 300Q500 292 484 306Q462 292 442 308Q420 294 400 308"
        "Q380 294 358 308Q338 292 316 306Q300 292 272 300Z",
        cloth,
        dots,
        18,
    )
    return Piece(
        solid(body, GLASS, fill, 28) + label + glints + lid + rect(282, 286, 236, 9, KRAFT, 4),
        (260, 222, 540, 590),
        (400, 440),
    )


def bee_emblem() -> str:
    wings = oval(388, 430, 16, 22, "#bcd3d8") + oval(412, 430, 16, 22, "#cfe0e3")
    return (
        wings
        + oval(400, 462, 34, 22, OCHRE)
        + rect(384, 442, 9, 40, INK)
        + rect(402, 441, 9, 42, INK)
        + rect(418, 447, 7, 30, INK)
    )


def fig_emblem() -> str:
    return (
        path("M400 418Q412 432 428 446Q446 486 400 490Q354 486 372 446Q388 432 400 418Z", PLUM)
        + leaf(402, 424, 40, -20, MOSS)
        + oval(400, 466, 15, 13, BLUSH)
    )


def oil() -> Piece:
    body = (
        "M372 246H428V300Q432 330 462 350Q486 370 486 400V560Q486 590 456 590"
        "H344Q314 590 314 560V400Q314 370 338 350Q368 330 372 300Z"
    )
    label = rect(330, 410, 140, 140, PAPER, 4) + stroke("M400 532Q392 480 410 432", MOSS, 5)
    label += "".join(
        leaf(*at, MOSS)
        for at in (
            (398, 508, 42, -30),
            (396, 496, 42, 200),
            (400, 470, 40, -24),
            (398, 460, 38, 206),
            (408, 440, 34, -70),
        )
    )
    label += dot(424, 520, 9, FOREST) + dot(378, 518, 9, FOREST)
    cork = rect(380, 196, 40, 40, KRAFT, 6) + rect(366, 230, 68, 22, BRASS, 5)
    return Piece(
        solid(body, "#66753a", path("M300 420H500V600H300Z", deep("#66753a", 0.12)), 24)
        + label
        + cork
        + gleam("M334 404V560M384 262V300", 9, 0.4),
        (314, 196, 486, 590),
        (400, 470),
    )


def coffee_bag(colour: str, scale: float) -> Piece:
    body = "M284 270Q400 258 516 270L534 560Q536 590 506 590H294Q264 590 266 560Z"
    label = (
        rect(318, 360, 164, 170, CREAM, 6)
        + oval(400, 424, 34, 46, COFFEE)
        + stroke("M408 384Q386 412 402 428T394 464", CREAM, 6)
    )
    label += rect(346, 490, 108, 8, INK, 4, 0.5) + rect(366, 508, 68, 6, INK, 3, 0.3)
    folds = stroke("M300 290Q292 420 300 570M500 290Q510 420 500 570", deep(colour), 5, 0.35)
    fold = solid("M282 226Q400 216 518 226L522 284Q400 272 278 284Z", mix(colour, "#ffffff", 0.1), "", 12) + rect(
        272, 244, 256, 16, OCHRE, 5
    )
    art = resized(
        solid(body, colour, folds, 28) + fold + label + dot(400, 322, 13, deep(colour, 0.3)) + dot(400, 322, 5, INK),
        scale,
    )
    return Piece(art, (400 - 134 * scale, 590 - 370 * scale, 400 + 134 * scale, 590), (400, 590 - 170 * scale))


def tea_tin(colour: str) -> Piece:
    band = rect(280, 400, 240, 120, CREAM) + stroke("M280 410H520M280 510H520", BRASS, 4)
    sprig = leaf(400, 500, 74, -90, MOSS) + leaf(400, 500, 62, -145, SAGE) + leaf(400, 500, 62, -35, SAGE)
    lid = solid("M286 300Q286 262 320 258H480Q514 262 514 300Z", mix(colour, "#ffffff", 0.12), "", 22) + rect(
        276, 296, 248, 18, BRASS, 6
    )
    knob = solid(block(378, 232, 44, 28, 10), BRASS, "", 10)
    return Piece(
        knob + solid(block(288, 310, 224, 280, 16), colour, band + sprig, 30) + lid + gleam("M312 338V562", 11, 0.4),
        (276, 232, 524, 590),
        (400, 450),
    )


def chocolate() -> Piece:
    squares = "".join(
        rect(266 + 92 * x, 150 + 70 * y, 84, 62, "#5f3a29", 8) + rect(272 + 92 * x, 154 + 70 * y, 66, 48, "#75492f", 6)
        for x in range(3)
        for y in range(3)
    )
    foil = path(
        "M254 352L276 336L298 356L322 334L348 354L372 336L398 356L424 334"
        "L450 354L476 336L500 356L522 334L546 350V420H254Z",
        "#d8d3c6",
    )
    pods = "".join(
        oval(x, y, 14, 30, OCHRE, 0.9) + stroke(f"M{x} {y - 26}V{y + 26}", deep(OCHRE), 3)
        for x, y in ((290, 440), (510, 440), (290, 610), (510, 610))
    )
    label = (
        rect(322, 430, 156, 190, CREAM, 6)
        + oval(400, 506, 38, 54, OCHRE)
        + stroke("M400 454V558M382 464Q372 506 382 548M418 464Q428 506 418 548", deep(OCHRE), 4)
    )
    label += rect(350, 586, 100, 8, INK, 4, 0.5)
    wrap = solid(block(248, 380, 304, 290, 6), FOREST, pods + label, 10)
    return Piece(
        rect(254, 140, 292, 260, "#54331f", 8) + squares + foil + wrap, (248, 140, 552, 670), (380, 300), stands=False
    )


def salt_box() -> Piece:
    waves = "".join(
        stroke(f"M280 {y}q20 -18 40 0t40 0t40 0t40 0t40 0t40 0", pale(NAVY, 0.7), 5, 0.8) for y in (520, 544, 568)
    )
    label = dot(400, 430, 62, CREAM) + "".join(
        path(f"M{x} {y}l13 9v15l-13 9l-13 -9v-15Z", "#b6cbd6")
        for x, y in ((384, 398), (414, 402), (398, 430), (428, 436), (370, 434))
    )
    heap = path("M300 318Q340 244 400 236Q456 246 500 318Z", "#ffffff") + path(
        "M400 236Q456 246 500 318H430Z", "#dfe7ea"
    )
    rim = solid(block(276, 306, 248, 30, 10), deep("#5c83a0", 0.15), "", 14)
    lid = turned(solid(disc(566, 500, 26, 92), OAK, "", 10) + oval(560, 500, 20, 84, pale(OAK, 0.3)), -12, 566, 500)
    jar_body = solid(block(284, 326, 232, 264, 16), "#5c83a0", waves + label, 30)
    return Piece(heap + jar_body + rim + lid + gleam("M306 356V500", 10, 0.35), (276, 236, 612, 590), (400, 320))
