"""Bags and apparel: cloth and leather."""

from db.seed.drawings.svg import (
    BRASS,
    CREAM,
    INK,
    NAVY,
    OAK,
    OCHRE,
    PAPER,
    RUST,
    WALNUT,
    Piece,
    block,
    deep,
    dot,
    gleam,
    leaf,
    mix,
    moved,
    oval,
    pale,
    path,
    rect,
    resized,
    solid,
    stitch,
    stroke,
)


def tote(colour: str) -> Piece:
    light = mix(colour, "#ffffff", 0.12)
    far = stroke("M340 300V196Q340 128 400 128T460 196V300", deep(colour, 0.3), 18)
    near = stroke("M320 330V212Q320 140 400 140T480 212V330", light, 18)
    emblem = "".join(leaf(400, 482, 90, degrees, deep(colour, 0.38)) for degrees in (-150, -120, -90, -60, -30))
    hem = rect(200, 286, 400, 34, deep(colour, 0.1)) + stitch("M216 320H590", pale(colour, 0.5))
    fold = stroke("M262 590Q292 520 272 430M520 590Q506 540 522 480", deep(colour), 5, 0.35)
    patches = rect(304, 296, 32, 56, light, 4) + rect(464, 296, 32, 56, light, 4)
    patches += stitch("M308 346L332 302M308 302L332 346M468 346L492 302M468 302L492 346", deep(colour, 0.4), 2)
    body = solid("M226 286H574L586 566Q588 590 562 590H238Q212 590 214 566Z", colour, hem + emblem + fold, 28)
    return Piece(far + body + near + patches, (212, 128, 588, 590), (330, 340), sized=(212, 286, 588, 590))


def backpack(colour: str) -> Piece:
    grab = stroke("M356 212Q358 160 400 160T444 212", INK, 14) + stroke(
        "M268 330Q216 400 240 548M532 330Q584 400 560 548", deep(colour, 0.45), 26
    )
    body = "M262 330Q262 194 400 194T538 330V548Q538 590 496 590H304Q262 590 262 548Z"
    zips = stroke("M280 360Q282 222 400 222T520 360", deep(colour, 0.4), 6)
    pocket = solid(
        "M294 440Q294 426 308 426H492Q506 426 506 440V544Q506 566 484 566H316Q294 566 294 544Z",
        pale(colour, 0.08),
        rect(290, 426, 220, 30, deep(colour, 0.18)),
        14,
    )
    straps = "".join(
        rect(x, 340, 22, 130, WALNUT, 4) + rect(x - 4, 448, 30, 26, BRASS, 5) + rect(x + 3, 455, 16, 12, WALNUT)
        for x in (330, 448)
    )
    flap = solid(
        "M268 318Q270 200 400 198T532 318V356Q532 384 506 384H294Q268 384 268 356Z",
        mix(colour, "#ffffff", 0.06),
        zips,
        22,
    )
    art = (
        grab
        + solid(body, colour, "", 26)
        + pocket
        + flap
        + straps
        + rect(376, 272, 48, 34, WALNUT, 4)
        + gleam("M296 330Q302 262 352 240", 9, 0.25)
    )
    return Piece(art, (226, 160, 574, 590), (360, 440))


def weekender(colour: str) -> Piece:
    strap = stroke("M196 420Q100 560 250 588", WALNUT, 12) + stroke(
        "M300 380Q304 226 400 226T500 380", deep(WALNUT), 18
    )
    body = "M160 430Q164 348 260 340H540Q636 348 640 430V530Q640 590 580 590H220Q160 590 160 530Z"
    bands = (
        rect(284, 330, 34, 270, WALNUT) + rect(482, 330, 34, 270, WALNUT) + rect(150, 540, 500, 60, deep(colour, 0.35))
    )
    zip_line = stroke("M200 372Q300 356 400 356T600 372", INK, 7, 0.7) + stitch("M160 540H640", pale(colour, 0.5))
    handles = stroke("M302 400Q302 260 400 260T498 400", WALNUT, 18) + rect(372, 246, 56, 28, deep(WALNUT, 0.35), 10)
    studs = "".join(dot(x, y, 6, BRASS) for x in (301, 499) for y in (414, 520))
    tag = stroke("M560 378L574 420", WALNUT, 5) + rect(556, 414, 38, 56, OCHRE, 8)
    return Piece(
        strap
        + solid(body, colour, zip_line + bands, 30)
        + handles
        + studs
        + tag
        + gleam("M190 420Q194 380 240 372", 10, 0.25),
        (140, 216, 640, 590),
        (320, 400),
    )


def card_holder(colour: str) -> Piece:
    cards = "".join(
        solid(block(246, top, 308, 180, 14), tone, rect(270, top + 22, 40, 30, CREAM, 5, 0.7), 8)
        for top, tone in ((200, NAVY), (238, OCHRE))
    )
    slot = solid(
        "M216 310Q216 290 236 290H340Q350 320 400 320T460 290H564Q584 290 584 310"
        "V570Q584 590 564 590H236Q216 590 216 570Z",
        colour,
        stroke("M216 400H584", deep(colour), 6),
        14,
    )
    seams = stitch("M230 306V576H570V306", pale(colour, 0.35), 3) + stitch("M216 412H584", pale(colour, 0.35), 3)
    return Piece(cards + slot + seams, (216, 200, 584, 590), (340, 340), stands=False)


def pouch(colour: str) -> Piece:
    stripes = stroke("".join(f"M{x} 270V600" for x in range(225, 620, 60)), CREAM, 22, 0.55)
    top = rect(170, 270, 460, 52, deep(colour, 0.25))
    shape = "M176 300Q176 276 200 276H600Q624 276 624 300L612 556Q610 584 582 584H218Q190 584 188 556Z"
    body = solid(shape, colour, stripes + top, 18)
    zips = stroke("M196 298H604", BRASS, 9) + stitch("M196 298H604", deep(BRASS, 0.5), 9)
    pull = rect(566, 288, 34, 22, BRASS, 6) + stroke("M592 302L640 330L634 392", RUST, 10) + dot(634, 396, 12, RUST)
    return Piece(body + zips + pull, (176, 276, 650, 584), (560, 320), stands=False, sized=(176, 276, 624, 584))


def tee(colour: str, scale: float) -> Piece:
    shape = (
        "M318 172Q400 214 482 172L540 190Q570 200 586 230L642 344L552 388L534 350V612Q534 632 514 632"
        "H286Q266 632 266 612V350L248 388L158 344L214 230Q230 200 260 190Z"
    )
    seams = stroke("M266 350Q274 270 246 204M534 350Q526 270 554 204", deep(colour, 0.3), 4, 0.5)
    hems = stitch("M266 606H534", deep(colour, 0.3), 3) + stitch(
        "M168 330L256 374M632 330L544 374", deep(colour, 0.3), 3
    )
    folds = stroke("M306 480Q330 560 314 632M480 430Q470 520 490 600", deep(colour, 0.3), 6, 0.25)
    neck = path("M318 172Q400 262 482 172Q400 214 318 172Z", deep(colour, 0.3)) + stroke(
        "M312 173Q400 282 488 173", mix(colour, deep(colour), 0.5), 9
    )
    pocket = rect(436, 296, 66, 74, deep(colour, 0.07), 5) + stitch("M438 300H500", deep(colour, 0.35), 2.5)
    art = resized(solid(shape, colour, seams + hems + folds + pocket, 14) + neck, scale, 400, 400)
    half = 242 * scale
    return Piece(art, (400 - half, 400 - 228 * scale, 400 + half, 400 + 232 * scale), (440, 280), stands=False)


def beanie(colour: str) -> Piece:
    ribs = stroke(
        "".join(f"M{x} 480Q{x + (400 - x) * 0.25:g} 300 {400 + (x - 400) * 0.2:g} 220" for x in range(240, 580, 32)),
        deep(colour),
        6,
        0.4,
    )
    crown = solid("M214 490Q206 216 400 212T586 490Z", colour, ribs, 26)
    bars = stroke("".join(f"M{x} 450V600" for x in range(220, 604, 24)), deep(colour), 8, 0.35)
    cuff = solid(
        "M196 482Q198 456 224 456H576Q602 456 604 482V556Q602 584 576 584H224Q198 584 196 556Z",
        mix(colour, "#ffffff", 0.1),
        bars,
        22,
    )
    return Piece(
        crown + cuff + rect(470, 500, 62, 44, CREAM, 4) + stroke("M484 522H518", INK, 4, 0.5),
        (196, 212, 604, 584),
        (480, 470),
        stands=False,
    )


def socks(colour: str, scale: float) -> Piece:
    shape = "M330 160H450V430Q450 458 430 476L310 596Q268 634 224 600T222 520L318 424Q330 410 330 390Z"

    def one(shift: float, tone: str) -> str:
        cuff = rect(320, 150, 140, 74, pale(tone, 0.5)) + stroke(
            "".join(f"M{x} 150v74" for x in range(338, 452, 14)), deep(tone), 4, 0.25
        )
        ends = (
            path("M180 520L270 480L300 640H180Z", RUST)
            + path("M400 400H480V500L420 500Q390 450 400 400Z", RUST)
            + rect(320, 250, 140, 12, pale(tone, 0.5))
        )
        return moved(solid(shape, tone, ends + cuff, 12), shift, shift / 6)

    art = resized(one(120, deep(colour, 0.12)) + one(-10, colour), scale, 400, 400)
    return Piece(
        art, (400 - 205 * scale, 400 - 240 * scale, 400 + 170 * scale, 400 + 216 * scale), (400, 250), stands=False
    )


def apron(colour: str) -> Piece:
    ties = stroke("M330 200Q320 112 400 112T470 200", WALNUT, 12) + stroke(
        "M236 400Q170 420 176 500M564 400Q630 420 624 500", WALNUT, 12
    )
    shape = "M318 190H482L496 290Q506 360 574 386V648Q574 668 554 668H246Q226 668 226 648V386Q294 360 304 290Z"
    pocket = rect(300, 440, 200, 128, pale(colour, 0.12), 8) + stitch("M308 452H492M400 452V560", OCHRE, 3)
    edge = stitch("M328 206H472L486 296Q500 372 560 398V652H240V398Q300 372 314 296Z", OCHRE, 3)
    rivets = "".join(
        dot(x, y, 8, BRASS) for x, y in ((332, 206), (468, 206), (242, 400), (558, 400), (304, 444), (496, 444))
    )
    spoon = stroke("M456 440V380", OAK, 12) + oval(456, 360, 22, 32, OAK)
    return Piece(
        ties + solid(shape, colour, edge, 16) + spoon + pocket + rivets, (170, 106, 630, 668), (430, 420), stands=False
    )


def jacket(colour: str) -> Piece:
    shape = (
        "M330 160H470L548 190Q584 204 594 244L640 560L566 580L540 420V628Q540 646 522 646"
        "H278Q260 646 260 628V420L234 580L160 560L206 244Q216 204 252 190Z"
    )
    seams = stroke("M400 220V646", deep(colour, 0.4), 5) + stroke(
        "M264 420Q268 290 244 210M536 420Q532 290 556 210", deep(colour), 4, 0.6
    )
    pockets = "".join(
        rect(x, y, w, h, pale(colour, 0.08), 6) + stitch(f"M{x + 6} {y + 14}H{x + w - 6}", pale(colour, 0.5), 3)
        for x, y, w, h in ((284, 480, 92, 112), (424, 480, 92, 112), (430, 316, 80, 86))
    )
    cuffs = stitch("M166 534L238 554M634 534L562 554", pale(colour, 0.5), 3)
    collar = path("M330 160Q400 196 470 160L486 176L430 250L400 214L370 250L314 176Z", pale(colour, 0.14)) + path(
        "M338 162Q400 206 462 162L400 212Z", deep(colour, 0.5)
    )
    buttons = "".join(dot(412, y, 9, CREAM) + dot(412, y, 3, INK, 0.5) for y in (276, 366, 456, 546))
    return Piece(
        solid(shape, colour, seams + pockets + cuffs, 16) + collar + buttons,
        (160, 156, 640, 646),
        (420, 250),
        stands=False,
    )


def scarf(colour: str) -> Piece:
    def tail(x: float, top: float, bottom: float, tone: str) -> str:
        fringe = stroke("".join(f"M{x + 8 + 16 * n} {bottom - 4}v38" for n in range(8)), deep(tone, 0.1), 6)
        bands = "".join(
            rect(x, bottom - up, 130, height, PAPER if height > 9 else OCHRE)
            for up, height in ((130, 18), (96, 8), (70, 18))
        )
        return fringe + solid(
            block(x, top, 128, bottom - top, 6), tone, bands + rect(x, top + 110, 130, 16, PAPER, 0, 0.8), 14
        )

    loop = solid(
        "M214 300Q220 176 400 172T586 300Q580 408 400 412T214 300Z",
        colour,
        "".join(stroke(d, deep(colour), 5, 0.35) for d in ("M234 320Q300 390 420 384", "M250 260Q320 200 440 204")),
        20,
    )
    hole = path("M308 270Q316 226 400 224T494 270Q480 312 400 314T308 270Z", deep(colour, 0.45))
    art = tail(406, 330, 600, deep(colour, 0.12)) + loop + hole + tail(282, 350, 652, colour)
    return Piece(
        art + solid(block(270, 328, 164, 66, 26), pale(colour, 0.1), "", 14),
        (214, 172, 586, 690),
        (370, 560),
        stands=False,
    )
