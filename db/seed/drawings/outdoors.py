"""Outdoors and garden."""

from db.seed.drawings.svg import (
    BRASS,
    CHARCOAL,
    CREAM,
    INK,
    OAK,
    OCHRE,
    PAPER,
    RUST,
    SLATE,
    STEEL,
    WALNUT,
    Piece,
    block,
    deep,
    disc,
    dot,
    gleam,
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


def bottle(colour: str, scale: float) -> Piece:
    body = "M330 290Q330 256 362 248V220H438V248Q470 256 470 290V562Q470 590 442 590H358Q330 590 330 562Z"
    peaks = path("M320 500L372 436L402 470L440 420L490 500Z", pale(colour, 0.55)) + rect(
        320, 498, 160, 6, pale(colour, 0.55)
    )
    base = rect(320, 566, 160, 30, STEEL)
    ring = stroke("M372 164Q372 128 400 128T428 164", INK, 12)
    cap = solid(block(356, 160, 88, 58, 10), INK, "", 14) + rect(358, 214, 84, 12, STEEL)
    art = resized(ring + solid(body, colour, peaks + base, 26) + cap + gleam("M352 304V540", 10, 0.35), scale)
    return Piece(art, (400 - 70 * scale, 590 - 466 * scale, 400 + 70 * scale, 590), (400, 590 - 370 * scale))


def lantern(colour: str) -> Piece:
    bail = stroke("M290 330Q270 150 400 150T510 330", CHARCOAL, 8)
    frame = stroke("M300 320Q278 440 300 540M500 320Q522 440 500 540", deep(colour), 12)
    flame = path("M400 370Q432 414 424 442Q416 464 400 464T376 442Q368 414 400 370Z", "#f2ab3f") + path(
        "M400 412Q416 434 411 448Q406 456 400 456T389 448Q384 434 400 412Z", "#fff1c2"
    )
    globe = solid(
        "M346 330H454Q498 400 468 500H332Q302 400 346 330Z", "#f3e6bd", dot(400, 420, 70, "#fff6d6") + flame, 14
    )
    wires = stroke("M314 400H486M318 460H482", CHARCOAL, 4, 0.6)
    top = (
        solid("M330 330L350 272H450L470 330Z", colour, "", 20)
        + solid(block(366, 226, 68, 48, 10), colour, "", 16)
        + rect(320, 322, 160, 14, deep(colour), 5)
    )
    tank = solid("M318 500H482L520 556Q524 590 492 590H308Q276 590 280 556Z", colour, "", 28) + dot(470, 524, 13, BRASS)
    return Piece(
        bail + frame + globe + wires + top + tank + gleam("M346 376Q334 420 342 470", 9, 0.6),
        (276, 150, 524, 590),
        (400, 420),
        sized=(276, 226, 524, 590),
    )


def tent(colour: str) -> Piece:
    ropes = stroke("M130 588L236 440M670 588L590 450", CREAM, 4) + stroke("M124 574L136 594M676 574L664 594", WALNUT, 7)
    poles = stroke("M372 216L392 262M400 216L384 262", CHARCOAL, 7)
    body = "M386 240Q540 300 646 590H130Q250 300 386 240Z"
    sides = path("M386 240Q560 320 646 590H480Z", deep(colour, 0.16)) + stroke(
        "M386 240Q470 400 486 590", pale(colour), 4, 0.6
    )
    door = path("M372 330Q440 440 446 590H248Q260 440 372 330Z", deep(colour, 0.62)) + path(
        "M372 330Q420 450 384 590H446Q440 440 372 330Z", OCHRE
    )
    door += path("M372 330Q316 450 310 590H248Q260 440 372 330Z", mix(OCHRE, "#ffffff", 0.15))
    vent = path("M470 340Q512 350 530 392L480 400Z", deep(colour, 0.4))
    return Piece(ropes + poles + solid(body, colour, sides + door + vent, 10), (130, 216, 670, 590), (380, 420))


def trowel() -> Piece:
    blade = "M96 400Q120 346 220 340H330Q360 360 366 386V414Q360 440 330 460H220Q120 454 96 400Z"
    rib = stroke("M130 400H340", deep(STEEL), 7, 0.5) + path("M80 400H380V470H120Z", deep(STEEL), 0.12)
    neck = stroke("M360 400Q400 400 412 392T470 392", deep(STEEL, 0.35), 20)
    handle = solid(
        "M478 366Q520 352 600 358Q690 352 704 392Q690 432 600 426Q520 432 478 418Z",
        OAK,
        rect(484, 350, 12, 90, WALNUT),
        10,
    )
    loop = stroke("M700 392Q744 366 752 394T700 396", RUST, 6) + dot(694, 392, 6, WALNUT)
    return Piece(
        turned(solid(blade, STEEL, rib, 10) + neck + rect(462, 372, 26, 40, BRASS, 5) + handle + loop, -40),
        (140, 150, 660, 650),
        (330, 460),
        stands=False,
    )


def watering_can(colour: str) -> Piece:
    handle = stroke("M500 356Q640 330 620 470Q606 550 516 556", deep(colour, 0.12), 20) + stroke(
        "M330 356Q350 250 440 262T486 356", deep(colour, 0.12), 18
    )
    spout = solid("M320 540L150 316L176 296L340 440Z", colour, "", 10) + solid(
        "M122 318L186 262L198 276L140 338Z", mix(colour, "#ffffff", 0.12), "", 6
    )
    brace = stroke("M232 390L330 380", deep(colour, 0.2), 9)
    body = solid(
        "M306 350H514L530 566Q530 590 506 590H314Q290 590 290 566Z",
        colour,
        rect(280, 392, 260, 9, deep(colour), 0, 0.4) + rect(280, 544, 260, 9, deep(colour), 0, 0.4),
        30,
    )
    top = oval(410, 350, 104, 20, pale(colour, 0.2)) + path(
        "M410 333A90 14 0 0 1 410 365Q470 366 498 350Q480 332 410 333Z", deep(colour, 0.5)
    )
    return Piece(
        handle + spout + brace + body + top + gleam("M330 420L320 530", 12, 0.3), (122, 254, 630, 590), (240, 360)
    )


def compass() -> Piece:
    ticks = "".join(turned(rect(397, 242, 6, 26 if n % 3 == 0 else 14, INK), 30 * n, 400, 430) for n in range(12))
    ring = f'<circle cx="400" cy="150" r="44" fill="none" stroke="{BRASS}" stroke-width="14"/>'
    rose = "".join(
        turned(path("M400 330L416 414L400 430L384 414Z", OCHRE, 0.45), 90 * n + 45, 400, 430) for n in range(4)
    )
    needle = turned(
        path("M400 276L420 430H380Z", RUST)
        + path("M400 584L420 430H380Z", SLATE)
        + path("M400 276L420 430H400ZM400 584L420 430H400Z", INK, 0.15),
        28,
        400,
        430,
    )
    art = (
        ring
        + rect(382, 186, 36, 44, deep(BRASS), 8)
        + solid(disc(400, 430, 226), BRASS, "", 12)
        + dot(400, 430, 200, deep(BRASS, 0.35))
    )
    art += (
        solid(disc(400, 430, 194), PAPER, "", -10)
        + ticks
        + rose
        + needle
        + dot(400, 430, 16, BRASS)
        + gleam("M260 370Q290 296 354 268", 12, 0.7)
    )
    return Piece(art, (174, 106, 626, 656), (440, 350), stands=False)


def fire_pit() -> Piece:
    flames = path("M400 190Q500 300 474 390H320Q286 320 346 262Q354 300 372 300Q366 240 400 190Z", "#e9863b", 0.95)
    flames += path("M410 266Q460 330 442 396H352Q338 350 374 316Q380 340 392 340Q390 300 410 266Z", "#f6bd55") + path(
        "M400 330Q424 362 416 398H378Q376 366 400 330Z", "#fff0bf"
    )
    logs = stroke("M300 392L470 360M500 394L340 366", WALNUT, 26) + stroke("M470 360L471 360M340 366L341 366", OAK, 16)
    legs = stroke("M262 500L222 582M538 500L578 582M400 540V584", "#35353b", 18)
    bowl = solid(
        "M172 400H628Q600 556 400 556T172 400Z", CHARCOAL, stroke("M190 440Q400 470 612 440", RUST, 5, 0.45), 34
    )
    return Piece(
        flames
        + logs
        + legs
        + bowl
        + solid(block(160, 384, 480, 26, 12), "#55555e", "", 12)
        + gleam("M214 440Q236 496 286 522", 9, 0.2),
        (160, 190, 640, 590),
        (400, 350),
    )
