"""Kitchen: mugs, pots, pans and tools."""

from db.seed.drawings.svg import (
    BRASS,
    CHARCOAL,
    COFFEE,
    CREAM,
    GLASS,
    INK,
    KRAFT,
    NAVY,
    OAK,
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


def mug(colour: str, rim: str = "", clay: str = "") -> Piece:
    """A mug: enamelled when `rim` is given, dip-glazed stoneware when `clay` is."""
    body = "M262 322H494L486 548Q483 590 444 590H312Q273 590 270 548Z"
    bare = path("M240 520Q320 500 380 518T520 508V620H240Z", clay) if clay else ""
    edge = rim or pale(colour, 0.25)
    handle = stroke("M486 382C606 362 606 540 480 522", deep(colour, 0.14), 32)
    handle += stroke("M486 378C598 360 600 532 480 516", mix(colour, "#ffffff", 0.12), 10)
    if rim:
        handle = stroke("M486 382C596 366 596 530 482 516", rim, 26) + stroke(
            "M486 382C596 366 596 530 482 516", mix(colour, rim, 0.12), 17
        )
    art = handle + solid(body, colour, bare, 30)
    art += oval(378, 322, 116, 25, edge) + oval(378, 323, 104, 18, deep(colour, 0.3)) + oval(378, 328, 92, 12, COFFEE)
    art += gleam("M296 376L301 496", 14, 0.5)
    if rim:
        art += stroke("M279 575Q290 588 312 589H444Q468 588 478 573", rim, 8)
    return Piece(art, (262, 297, 575, 590), (440, 360))


def carafe() -> Piece:
    body = "M296 232H504L428 398L516 548Q528 590 488 590H312Q272 590 284 548L372 398Z"
    coffee = rect(260, 492, 280, 110, COFFEE) + oval(400, 492, 106, 12, mix(COFFEE, "#ffffff", 0.18))
    art = path("M306 206H494L402 372Z", "#f3e8d2") + path("M400 206H494L402 372Z", deep("#f3e8d2", 0.1))
    art += f'<g opacity=".86">{solid(body, GLASS, coffee, 20)}</g>'
    art += solid("M362 362H438L432 400L446 440H354L368 400Z", OAK, "", 18)
    art += stroke("M359 408Q400 420 441 408", WALNUT, 7) + dot(400, 424, 12, WALNUT) + dot(397, 421, 4, KRAFT)
    art += gleam("M318 254L352 330", 10) + gleam("M330 488L306 548", 11)
    return Piece(art, (276, 206, 524, 590), (400, 410))


def skillet(scale: float) -> Piece:
    handle = solid("M476 306L628 154Q650 136 668 154T668 196L516 346Z", "#3b3b42", "", 10) + dot(
        640, 182, 11, "#e9dfd0"
    )
    pan = solid(
        "M186 424Q180 400 198 392Q220 250 362 244Q372 226 396 232L412 252Q542 290 544 430"
        "Q540 604 364 612Q190 604 186 424Z",
        CHARCOAL,
        "",
        18,
    )
    base = dot(364, 428, 150, "#34343b") + dot(364, 428, 136, "#3d3d45")
    art = handle + pan + base + gleam("M262 372Q290 318 346 304", 12, 0.2) + gleam("M216 400Q230 318 300 280", 7, 0.28)
    low, high = 400 - 228 * scale, 400 + 234 * scale
    return Piece(resized(art, scale, 415, 385), (low, low - 10, high, high), (520, 320), stands=False)


def casserole(colour: str) -> Piece:
    loops = "".join(
        stroke(d, deep(colour), 24) for d in ("M214 436H178Q160 456 178 476H216", "M586 436H622Q640 456 622 476H584")
    )
    body = "M206 394H594L584 540Q580 590 530 590H270Q220 590 216 540Z"
    lid = "M200 392Q206 318 398 306Q594 318 600 392Q600 402 590 402H210Q200 402 200 392Z"
    art = loops + solid(body, colour, rect(200, 396, 400, 16, deep(colour, 0.35), 0, 0.6), 34)
    art += solid(lid, mix(colour, "#ffffff", 0.08), "", 26) + rect(384, 290, 32, 22, deep(BRASS))
    art += solid(disc(400, 278, 40, 20), BRASS, "", 10)
    art += gleam("M250 436L258 534", 16, 0.35) + gleam("M262 356Q302 334 350 329", 10, 0.4)
    return Piece(art, (162, 258, 638, 590), (470, 340))


def board() -> Piece:
    shape = (
        "M262 300Q262 262 300 262H344Q366 262 368 240L372 178Q374 142 400 142T428 178L432 240Q434 262 456 262H500"
        "Q538 262 538 300V622Q538 660 500 660H300Q262 660 262 622Z"
    )
    grain = "".join(
        stroke(f"M{x} 130Q{x - 16} 400 {x + bend} 690", WALNUT, width, 0.35)
        for x, bend, width in ((296, -14, 5), (334, 4, 12), (388, 18, 4), (424, 6, 9), (486, -18, 5), (516, 0, 12))
    )
    art = solid(shape, "#c08a57", grain, 14) + dot(400, 186, 13, "#e9dfd0")
    art += stroke("M400 186Q372 150 384 112Q400 90 416 112Q428 150 400 186", "#a5764f", 6)
    return Piece(art, (262, 142, 538, 660), (410, 250), stands=False)


def knife() -> Piece:
    blade = "M112 404Q116 372 190 366H500V452Q330 462 214 444Q140 430 112 404Z"
    edge = path("M112 404Q240 436 500 430V460H200Z", pale(STEEL, 0.55))
    handle = "M524 366H664Q704 366 706 398Q708 436 682 434Q650 418 616 424L524 430Z"
    art = solid(blade, STEEL, edge, 8) + solid(block(496, 362, 32, 76, 6), BRASS, "", 8) + solid(handle, WALNUT, "", 10)
    art += "".join(dot(x, 394, 8, BRASS) for x in (560, 610, 660)) + gleam("M212 386H430", 7, 0.6)
    return Piece(turned(art, -38), (150, 150, 650, 650), (500, 330), stands=False)


def kettle(colour: str) -> Piece:
    handle = stroke("M276 372Q262 186 400 180T524 372", STEEL, 16) + stroke(
        "M318 214Q352 180 400 180T482 214", WALNUT, 28
    )
    spout = solid("M506 496Q574 470 596 360L646 344Q652 420 610 500Q570 566 500 566Z", colour, "", 16)
    body = "M266 368Q270 344 300 344H500Q530 344 534 368L574 548Q578 590 538 590H262Q222 590 226 548Z"
    lid = solid("M304 346Q320 308 400 304Q480 308 496 346Z", mix(colour, "#ffffff", 0.1), "", 16)
    art = handle + spout + solid(body, colour, rect(200, 566, 400, 30, deep(colour, 0.4)), 34) + lid
    art += rect(388, 286, 24, 22, deep(STEEL)) + solid(disc(400, 280, 26, 15), WALNUT, "", 8)
    art += gleam("M288 398L262 524", 15, 0.4)
    return Piece(art, (222, 170, 648, 590), (490, 380))


def spoon() -> Piece:
    shape = "M378 340Q322 300 326 212Q334 128 400 122Q466 128 474 212Q478 300 422 340L416 660Q414 684 400 684T384 660Z"
    bowl = path("M350 214Q356 152 400 148Q444 152 450 214Q450 284 400 304Q350 284 350 214Z", deep(OAK, 0.16))
    grain = stroke("M396 350L398 660", WALNUT, 3, 0.4) + stroke("M408 420V640", WALNUT, 2, 0.4)
    shine = stroke("M370 214Q374 176 402 168", CREAM, 8, 0.5)
    band = rect(370, 610, 70, 14, INK, 0, 0.12) + rect(370, 636, 70, 60, NAVY, 0, 0.85)
    return Piece(
        turned(solid(shape, OAK, bowl + grain + shine + band, 12), 32), (200, 160, 600, 640), (470, 280), stands=False
    )
