"""Home: light, textiles, pots and furniture."""

from db.seed.drawings.svg import (
    BRASS,
    CHARCOAL,
    CREAM,
    FOREST,
    INK,
    OAK,
    SAGE,
    WALNUT,
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
    stitch,
    stroke,
)


def lamp(colour: str) -> Piece:
    glow = path("M300 356L180 590H560L440 356Z", "#fff3c4", 0.32)
    shade = "M312 196Q316 180 334 180H406Q424 180 428 196L472 350Q474 362 462 362H278Q266 362 268 350Z"
    arm = stroke("M540 570V262Q540 150 440 150Q372 150 370 182", BRASS, 13)
    bulb = oval(370, 362, 42, 16, "#fff0b8")
    foot = solid("M452 590Q456 560 500 558H580Q624 560 628 590Z", CHARCOAL, "", 14)
    art = glow + arm + bulb + solid(shade, colour, "", 26) + foot + gleam("M334 214L304 326", 12, 0.4)
    return Piece(art, (266, 144, 628, 590), (400, 270))


def throw(colour: str) -> Piece:
    """A folded blanket with a fringe along the front."""
    layers = ""
    for step, top in enumerate((500, 428, 356)):
        tone = mix(colour, deep(colour), 0.35 * (step % 2))
        stripes = stroke(f"M190 {top + 24}H630M190 {top + 38}H630", CREAM, 6, 0.5)
        layers += solid(
            f"M206 {top + 6}Q400 {top - 10} 588 {top + 6}Q622 {top + 36} 590 {top + 76}"
            f"Q400 {top + 84} 206 {top + 76}Q176 {top + 40} 206 {top + 6}Z",
            tone,
            stripes,
            24,
        )
    bands = stroke("M240 474H480M240 490H480M240 522H480", CREAM, 7, 0.75)
    drape = solid("M258 352Q400 340 452 352L462 548Q360 560 250 548Z", pale(colour, 0.12), bands, 18)
    fringe = stroke("".join(f"M{x} 546v36" for x in range(256, 464, 14)), deep(colour, 0.08), 7)
    return Piece(layers + fringe + drape, (184, 346, 612, 590), (370, 500))


def cushion(colour: str) -> Piece:
    shape = "M206 212Q400 248 594 206Q562 400 596 592Q400 556 204 594Q238 400 206 212Z"
    weave = stroke("".join(f"M{x} 200V610" for x in range(226, 590, 26)), deep(colour, 0.3), 2, 0.22)
    folds = stroke(
        "M222 230Q270 262 286 300M578 226Q540 260 526 292M222 574Q268 548 282 520", deep(colour, 0.4), 5, 0.35
    )
    art = solid(shape, colour, weave + folds, 26) + stitch(
        "M226 234Q400 266 574 228Q546 400 576 572", pale(colour, 0.45), 3
    )
    art += "".join(dot(400, y, 9, deep(colour, 0.45)) + dot(398, y - 2, 4, pale(colour)) for y in (340, 400, 460))
    return Piece(art, (204, 206, 596, 592), (500, 300))


def candle(colour: str) -> Piece:
    glass = block(290, 350, 220, 240, 26)
    label = (
        rect(330, 430, 124, 104, CREAM, 6) + rect(348, 494, 88, 6, INK, 3, 0.55) + rect(364, 510, 56, 6, INK, 3, 0.35)
    )
    label += leaf(392, 482, 40, -90, SAGE) + leaf(392, 482, 30, -140, SAGE) + leaf(392, 482, 30, -40, SAGE)
    art = dot(400, 288, 78, "#ffe7a8", 0.35) + solid(glass, colour, label, 26)
    art += oval(400, 360, 106, 20, deep(colour, 0.3)) + oval(400, 366, 96, 14, CREAM)
    art += stroke("M400 364V330", INK, 6) + path(
        "M400 246Q436 296 424 322Q414 340 400 340T376 322Q368 296 400 246Z", "#f4b24a"
    )
    art += path("M400 288Q418 312 412 326Q406 336 400 336T388 326Q384 312 400 288Z", "#fff1c2") + gleam(
        "M312 404V548", 10, 0.35
    )
    return Piece(art, (290, 246, 510, 590), (392, 400))


def vase(colour: str) -> Piece:
    stems = stroke("M396 330Q380 240 330 160M404 330Q412 220 438 120M410 330Q450 260 510 196", FOREST, 6)
    leaves = "".join(
        leaf(*where, SAGE)
        for where in (
            (360, 214, 62, -20),
            (376, 256, 66, 190),
            (344, 180, 58, -150),
            (332, 162, 54, -80),
            (414, 240, 62, -10),
            (420, 196, 60, 200),
            (430, 154, 54, -10),
            (436, 124, 52, -78),
            (448, 262, 58, 30),
            (474, 228, 58, -100),
            (506, 200, 58, -30),
        )
    )
    body = (
        "M366 318H434Q440 360 470 392Q524 440 514 506Q502 590 440 590"
        "H360Q298 590 286 506Q276 440 330 392Q360 360 366 318Z"
    )
    band = path("M260 470Q340 448 400 466T540 458V494Q470 478 400 502T260 500Z", pale(colour, 0.6))
    art = (
        stems
        + leaves
        + solid(body, colour, band, 32)
        + oval(400, 318, 35, 9, deep(colour, 0.4))
        + gleam("M326 432Q304 462 308 514", 13, 0.4)
    )
    return Piece(art, (284, 110, 564, 590), (400, 430), sized=(284, 310, 516, 590))


def stool() -> Piece:
    legs = "".join(
        stroke(d, tone, 22)
        for d, tone in (
            ("M338 330L318 572", deep(OAK, 0.25)),
            ("M470 330L494 572", deep(OAK, 0.25)),
            ("M304 330L262 580", OAK),
            ("M502 330L546 580", deep(OAK, 0.1)),
        )
    )
    rails = stroke("M286 470H524", deep(OAK, 0.2), 14) + stroke("M326 500H486", deep(OAK, 0.32), 12)
    grain = stroke("M250 292Q400 280 560 296M280 312Q420 304 530 314", WALNUT, 3, 0.35)
    return Piece(legs + rails + solid(block(238, 276, 324, 58, 26), OAK, grain, 20), (238, 276, 562, 590), (450, 390))


def chair(colour: str) -> Piece:
    back_legs = stroke("M262 500L222 578M560 470L588 578", deep(OAK, 0.28), 18)
    back = solid(
        "M238 212Q240 184 268 184H352Q380 184 386 212L420 452H276Z",
        colour,
        stroke("M300 170L350 470", deep(colour), 4, 0.5),
        24,
    )
    frame = stroke("M236 200L300 488H586", deep(OAK, 0.12), 18)
    seat = solid("M288 430Q290 410 316 408H560Q592 410 594 438T566 478H312Q286 476 288 430Z", pale(colour, 0.1), "", 22)
    arm = stroke("M290 350Q400 326 556 352", OAK, 20) + stroke("M548 356L536 578M318 352L330 488L300 578", OAK, 18)
    art = back_legs + back + frame + seat + arm + gleam("M264 226L288 330", 10, 0.25)
    return Piece(art, (214, 184, 600, 590), (400, 400))


def mirror() -> Piece:
    face = path("M200 470L470 150H570L240 560Z", "#ffffff", 0.4) + path("M330 620L620 270V340L390 640Z", "#ffffff", 0.3)
    art = (
        stroke("M400 176L340 112M400 176L460 112", WALNUT, 9)
        + stroke("M340 112Q400 84 460 112", WALNUT, 9)
        + dot(400, 96, 11, BRASS)
    )
    art += solid(disc(400, 420, 250), OAK, "", 10) + solid(disc(400, 420, 222), "#c3d3d8", face, -12)
    return Piece(art, (150, 88, 650, 670), (300, 270), stands=False)


def planter(scale: float) -> Piece:
    colour = "#c9764f"
    stems = stroke("M400 380Q390 300 330 250M402 380Q404 280 404 200M404 380Q420 300 480 252", FOREST, 7)
    leaves = "".join(
        leaf(*where, tone)
        for where, tone in (
            ((396, 350, 170, -160), "#5b8262"),
            ((404, 350, 170, -20), "#4c7356"),
            ((398, 340, 190, -128), "#4c7356"),
            ((402, 340, 190, -52), "#5b8262"),
            ((400, 340, 210, -90), "#6b9470"),
        )
    )
    ribs = stroke("M400 330V150M392 336L290 206M408 336L510 206", pale("#6b9470", 0.3), 3, 0.7)
    pot = solid("M304 404H496L474 560Q470 582 448 582H352Q330 582 326 560Z", colour, "", 26)
    rim = solid(block(288, 364, 224, 52, 10), mix(colour, "#ffffff", 0.08), "", 20)
    saucer = solid(block(306, 568, 188, 22, 8), deep(colour, 0.12), "", 14)
    art = resized(stems + leaves + ribs + saucer + pot + rim + gleam("M330 436L342 540", 11, 0.3), scale)
    half, pot_half = 165 * scale, 112 * scale
    sized = (400 - pot_half, 590 - 226 * scale, 400 + pot_half, 590)
    return Piece(art, (400 - half, 590 - 460 * scale, 400 + half, 590), (400, 590 - 200 * scale), sized=sized)
