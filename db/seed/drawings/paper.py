"""Stationery, books and games: paper, and what marks it."""

from db.seed.drawings.svg import (
    BRASS,
    CLAY,
    CREAM,
    FOREST,
    GLASS,
    INK,
    MOSS,
    NAVY,
    OAK,
    OCHRE,
    PAPER,
    PLUM,
    RUST,
    SAGE,
    SHADOW,
    STEEL,
    WALNUT,
    Piece,
    block,
    deep,
    disc,
    dot,
    gleam,
    leaf,
    mix,
    moved,
    pale,
    path,
    rect,
    solid,
    stitch,
    stroke,
    turned,
)

ERASER = "#e0937f"
ENVELOPE = "#d9b9a0"
BLUSH = "#efc9b6"


def notebook(colour: str, band: str) -> Piece:
    weave = stroke("".join(f"M250 {y}H570" for y in range(170, 650, 18)), deep(colour, 0.3), 2, 0.16)
    spine = rect(240, 150, 44, 520, deep(colour, 0.16)) + stitch("M294 160V660", deep(colour, 0.3), 3)
    label = rect(350, 250, 140, 92, PAPER, 4) + rect(372, 280, 96, 6, INK, 3, 0.5) + rect(372, 304, 66, 6, INK, 3, 0.3)
    ribbon = path("M330 640H352V708L341 696L330 708Z", band)
    pages = solid(block(258, 158, 320, 514, 10), PAPER, "", 8)
    art = ribbon + pages + solid(block(248, 150, 320, 510, 14), colour, weave + spine + label, 12)
    art += rect(520, 148, 14, 514, band) + rect(530, 148, 4, 514, deep(band))
    return Piece(turned(art, -6), (220, 136, 600, 690), (410, 300), stands=False)


def pen() -> Piece:
    barrel = solid("M300 330H620Q686 332 686 356T620 382H300Z", NAVY, "", 8) + rect(600, 330, 8, 52, BRASS)
    grip = solid("M222 336L304 330V382L222 376Z", mix(NAVY, INK, 0.6), "", 6) + rect(296, 328, 12, 56, BRASS)
    nib = solid("M92 356Q150 330 226 338V374Q150 382 92 356Z", pale(STEEL, 0.4), "", 5)
    nib += stroke("M100 356H182", INK, 3) + dot(188, 356, 7, INK)
    cap = solid("M330 446H560V522H330Q298 520 296 484T330 446Z", mix(NAVY, "#ffffff", 0.12), "", 10)
    clip = stroke("M338 484H496", BRASS, 12) + dot(500, 484, 10, BRASS)
    cap += rect(548, 444, 18, 80, BRASS, 3) + rect(532, 446, 6, 76, BRASS) + clip
    art = nib + grip + barrel + cap + gleam("M330 346H580M360 462H520", 6, 0.4)
    return Piece(turned(art, -36), (150, 160, 650, 640), (250, 440), stands=False)


def pencil(colour: str) -> Piece:
    wood = path("M150 370L80 400L150 430Q160 415 150 400T150 370Z", OAK) + path("M104 390L76 400L104 410Z", INK)
    body = solid(
        "M150 368H652V432H150Q162 416 152 400T150 368Z", colour, rect(140, 389, 520, 22, pale(colour, 0.25)), 0
    )
    body += path("M156 411H652V432H150Z", SHADOW, 0.15)
    end = rect(652, 366, 44, 68, BRASS, 3) + rect(662, 366, 5, 68, deep(BRASS)) + rect(678, 366, 5, 68, deep(BRASS))
    end += solid("M696 368H722Q742 370 742 400T722 432H696Z", ERASER, "", 8)
    return Piece(turned(wood + body + end, -40), (150, 160, 650, 640), (240, 540), stands=False)


def ruler() -> Piece:
    ticks = "".join(f"M{110 + 14.5 * n:g} 352v{(44 if n % 5 else 62) - (16 if n % 5 else 0)}" for n in range(41))
    art = solid(
        block(92, 352, 616, 96, 8),
        BRASS,
        stroke(ticks, deep(BRASS, 0.6), 3.4) + stroke("M92 436H708", pale(BRASS), 5),
        7,
    )
    art += dot(680, 424, 9, "#dde3e8") + path("M150 448L330 352H370L190 448Z", "#ffffff", 0.25)
    return Piece(turned(art, -28), (120, 220, 680, 580), (300, 450), stands=False)


def planner() -> Piece:
    days = "".join(
        rect(234, 286 + 52 * n, 332, 3, STEEL) + rect(234, 252 + 52 * n, 46, 10, CLAY if n == 2 else NAVY, 5)
        for n in range(7)
    )
    notes = (
        rect(310, 252, 150, 8, INK, 4, 0.25)
        + rect(310, 356, 190, 8, INK, 4, 0.25)
        + rect(310, 460, 110, 8, INK, 4, 0.25)
    )
    ticks = stroke("M530 252l8 9l16 -20M530 356l8 9l16 -20", SAGE, 6)
    sheets = "".join(rect(206 + n * 4, 180 + n * 5, 388, 470, mix(PAPER, STEEL, 0.25 * n), 6) for n in (3, 2, 1))
    head = rect(206, 170, 388, 50, NAVY) + rect(234, 190, 120, 10, PAPER, 5)
    return Piece(
        sheets + solid(block(206, 170, 388, 480, 8), PAPER, head + days + notes + ticks, 6),
        (206, 170, 606, 660),
        (360, 300),
        stands=False,
    )


def letters() -> Piece:
    sheet = rect(260, 170, 330, 420, PAPER, 4) + "".join(
        rect(296, 220 + 34 * n, 200 + 37 * (n * 3 % 4) - 30, 7, INK, 3, 0.2) for n in range(6)
    )
    back = solid(block(190, 360, 420, 270, 10), ENVELOPE, "", 10)
    folds = path("M190 372L400 520L610 372V620H190Z", pale(ENVELOPE, 0.3)) + stroke(
        "M196 626L370 498M604 626L430 498", deep(ENVELOPE), 4, 0.5
    )
    seal = solid(
        "M400 470Q424 462 438 482Q462 494 450 518Q452 546 424 550"
        "Q402 566 382 550Q352 548 352 520Q340 496 364 484Q378 462 400 470Z",
        RUST,
        "",
        8,
    )
    art = (
        turned(sheet, 5)
        + back
        + folds
        + seal
        + leaf(400, 536, 50, -90, pale(RUST))
        + leaf(400, 530, 28, -30, pale(RUST))
        + leaf(400, 530, 28, -150, pale(RUST))
    )
    return Piece(art, (190, 160, 622, 632), (400, 490), stands=False)


def ink(colour: str) -> Piece:
    bottle = (
        "M352 320H448V352Q448 366 470 370Q556 384 556 440V560Q556 590 526 590"
        "H274Q244 590 244 560V440Q244 384 330 370Q352 366 352 352Z"
    )
    fluid = path("M260 450Q330 438 400 450T540 448V574H260Z", colour)
    label = rect(316, 470, 168, 88, PAPER, 6) + path(
        "M400 482Q426 516 420 532Q412 548 400 548T380 532Q374 516 400 482Z", colour
    )
    art = f'<g opacity=".93">{solid(bottle, GLASS, fluid + label, 22)}</g>'
    art += solid(
        block(334, 244, 132, 84, 12),
        INK,
        "".join(rect(x, 250, 3, 74, "#ffffff", 0, 0.12) for x in range(350, 460, 14)),
        18,
    )
    art += gleam("M272 440Q280 408 330 398", 10, 0.6)
    return Piece(art, (244, 244, 556, 590), (400, 500))


def scissors() -> Piece:
    one = "M392 430L470 132Q482 126 484 142L428 440Z"
    other = "M408 430L330 132Q318 126 316 142L372 440Z"
    loops = ""
    for cx, lean in ((318, 24), (482, -24)):
        loops += turned(
            f'<ellipse cx="{cx}" cy="566" rx="56" ry="84" fill="none" stroke="{INK}" stroke-width="30"/>', lean, cx, 566
        )
    joins = stroke("M424 424Q386 448 366 492M376 424Q414 448 434 492", INK, 26)
    art = (
        loops
        + solid(one, STEEL, "", 9)
        + joins
        + solid(other, pale(STEEL), "", 9)
        + dot(400, 412, 15, BRASS)
        + stroke("M392 412H408", deep(BRASS, 0.5), 4)
    )
    return Piece(turned(art, 14), (220, 130, 590, 660), (410, 430), stands=False)


def book(colour: str, motif: str) -> Piece:
    """A clothbound book seen from the front; `motif` is the cover drawing's marks."""
    spine = rect(222, 130, 30, 540, deep(colour, 0.25)) + stroke("M262 130V670", deep(colour, 0.3), 3, 0.5)
    pages = rect(236, 146, 352, 534, PAPER, 6) + "".join(
        rect(240, 664 + 4 * n, 344, 1.5, INK, 0, 0.2) for n in range(4)
    )
    lines = rect(318, 566, 184, 14, CREAM, 7) + rect(350, 596, 120, 9, CREAM, 4, 0.7)
    return Piece(
        pages + solid(block(222, 130, 362, 532, 8), colour, spine + motif + lines, 10),
        (222, 130, 590, 682),
        (410, 340),
        stands=False,
    )


def pot_motif() -> str:
    pot = path("M318 372H502V450Q502 484 468 484H352Q318 484 318 450Z", CREAM) + rect(306, 350, 208, 16, CREAM, 8)
    steam = stroke(
        "M372 320Q354 296 372 272T372 226M412 320Q394 296 412 272T412 226M452 320Q434 296 452 272T452 226", OCHRE, 10
    )
    return pot + steam + stroke("M306 396H286M514 396H534", CREAM, 14)


def hedge_motif() -> str:
    stems = stroke("M410 510V220M410 440Q350 420 330 350M410 400Q470 380 490 310", pale(MOSS, 0.7), 8)
    leaves = "".join(
        leaf(*at, pale(MOSS, 0.55))
        for at in (
            (410, 470, 74, -150),
            (410, 450, 74, -30),
            (410, 330, 70, -150),
            (410, 310, 70, -30),
            (410, 230, 70, -90),
            (334, 366, 50, 170),
        )
    )
    return (
        stems
        + leaves
        + dot(328, 336, 18, RUST)
        + dot(356, 322, 15, RUST)
        + dot(492, 296, 18, RUST)
        + dot(466, 284, 14, RUST)
    )


def room_motif() -> str:
    arch = path("M320 500V320Q320 220 410 220T500 320V500Z", BLUSH)
    pot = path("M376 430H444L434 500H386Z", CLAY)
    fronds = "".join(leaf(410, 432, 120, degrees, FOREST) for degrees in (-150, -120, -90, -60, -30))
    return arch + fronds + pot


def moon_motif() -> str:
    sky = path("M470 236A92 92 0 1 0 500 372A76 76 0 1 1 470 236Z", "#f6dd97")
    stars = "".join(
        path(f"M{x} {y}l5 13l13 5l-13 5l-5 13l-5 -13l-13 -5l13 -5Z", CREAM)
        for x, y in ((310, 220), (520, 240), (300, 390), (540, 420))
    )
    hills = path("M222 520Q320 430 420 500T600 460V670H222Z", deep(NAVY, 0.35)) + path(
        "M222 560Q380 500 600 550V670H222Z", deep(NAVY, 0.55)
    )
    return sky + stars + hills


def path_motif() -> str:
    sun = dot(480, 270, 46, CREAM)
    hills = path("M222 420Q330 300 430 390T600 350V540H222Z", deep(OCHRE, 0.25)) + path(
        "M222 470Q360 390 600 480V540H222Z", FOREST
    )
    return (
        sun
        + hills
        + stroke("M300 540Q330 500 400 496T470 440Q430 420 380 410", CREAM, 12)
        + rect(252, 536, 340, 8, CREAM)
    )


def cards() -> Piece:
    fan = ""
    for degrees, mark in ((-22, INK), (-6, RUST)):
        pip = path(
            "M400 300Q440 330 440 356Q438 384 408 376L416 404H384L392 376Q362 384 360 356Q360 330 400 300Z", mark
        )
        if mark == RUST:
            pip = path("M400 408Q342 360 350 328Q364 298 400 326Q436 298 450 328Q458 360 400 408Z", mark)
        fan += turned(
            solid(block(280, 210, 240, 340, 18), PAPER, pip + dot(308, 244, 10, mark) + dot(492, 516, 10, mark), 6),
            degrees,
            400,
            620,
        )
    weave = "".join(path(f"M400 {y}L440 {y + 40}L400 {y + 80}L360 {y + 40}Z", OCHRE, 0.9) for y in (270, 340, 410))
    back = (
        rect(298, 228, 204, 304, "none", 10)
        + f'<rect x="300" y="230" width="200" height="300" rx="10" fill="none" stroke="{CREAM}" stroke-width="5"/>'
    )
    fan += turned(solid(block(280, 210, 240, 340, 18), FOREST, back + weave, 8), 12, 400, 620)
    return Piece(fan, (170, 190, 620, 600), (360, 330), stands=False)


def puzzle() -> Piece:
    """A finished picture but for its corner piece, which lies beside it."""
    hills = dot(490, 290, 52, "#f9ecc4") + path("M180 430Q300 330 420 420T640 380V640H180Z", SAGE)
    hills += path("M180 510Q320 440 460 510T640 490V640H180Z", FOREST)
    hills += path("M250 640Q330 560 430 570T540 520L620 640Z", pale(SAGE))
    cuts = stroke("".join(_knobs(at) for at in (290, 400, 510)), PLUM, 3.4, 0.45)
    corner = "M510 510h38q-16-26 17-26t17 26h38V620H510V582q-26 16-26-17t26-17Z"
    gap = path(corner, "#efe8f0") + stroke(corner, SHADOW, 5, 0.2)
    loose = solid(corner, FOREST, path("M470 640Q540 540 630 560V640Z", pale(SAGE)), 6)
    picture = solid(block(180, 180, 440, 440, 10), "#f2c9a0", hills + cuts + turned(cuts, 90) + gap, 8)
    return Piece(picture + moved(turned(loose, 24, 565, 565), 74, 92), (180, 180, 706, 720), (520, 520), stands=False)


def _knobs(at: float) -> str:
    return f"M180 {at}" + "".join(f"h38q-16 {side * 26} 17 {side * 26}t17 {-side * 26}h38" for side in (1, -1, 1, -1))


def blocks() -> Piece:
    art = solid(block(226, 474, 116, 116, 8), CLAY, dot(284, 532, 30, pale(CLAY, 0.6)), 14)
    art += solid(
        block(342, 474, 116, 116, 8),
        OAK,
        stroke("M360 500Q400 490 440 504M360 540Q400 530 440 544", WALNUT, 4, 0.4),
        14,
    )
    art += solid(block(458, 474, 116, 116, 8), NAVY, path("M516 502L546 562H486Z", pale(NAVY, 0.7)), 14)
    art += solid("M284 474V452Q284 358 400 358T516 452V474H456Q456 414 400 414T344 474Z", OCHRE, "", 14)
    art += solid(block(342, 270, 116, 88, 8), SAGE, "", 14) + solid("M400 170L466 270H334Z", RUST, "", 14)
    art += solid(disc(632, 556, 34), BRASS, "", 10)
    return Piece(art, (226, 170, 666, 590), (400, 400))
