"""The views of a product, each a whole SVG: alone, close up, in its place, beside its siblings, measured."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape

from db.seed.drawings.rooms import Room
from db.seed.drawings.svg import INK, SHADOW, Piece, deep, dot, moved, num, oval, pale, rect, stroke, turned

SCALED = re.compile(r'(?P<scale><g transform="translate\([^"]*scale\([^"]*">)(?P<marks>.*)</g>')
CLIP = re.compile(r"<clipPath .*?</clipPath>")
GLOW = (
    f'<radialGradient id="g"><stop stop-color="{SHADOW}" stop-opacity=".34"/>'
    f'<stop offset="1" stop-color="{SHADOW}" stop-opacity="0"/></radialGradient>'
)
DROP = (
    '<filter id="d" x="-20%" y="-20%" width="140%" height="140%">'
    f'<feDropShadow dx="9" dy="16" stdDeviation="13" flood-color="{SHADOW}" flood-opacity=".26"/></filter>'
)


def alone(title: str, piece: Piece, largest: float, tint: str) -> str:
    """The product in the middle; `largest` is its biggest sibling's reach, so that sizes compare between images."""
    left, top, right, bottom = piece.box
    scale = min(530 / largest, 1.3)
    wall = rect(0, 0, 800, 800, tint) + dot(400, 390, 330, pale(tint, 0.5))
    floor = rect(0, 560, 800, 240, deep(tint, 0.075)) if piece.stands else ""
    middle = 660 - bottom * scale if piece.stands else 400 - (top + bottom) / 2 * scale
    return document(title, wall + floor + moved(_grounded(piece), 400 - (left + right) / 2 * scale, middle, scale))


def reach(piece: Piece) -> float:
    left, top, right, bottom = piece.box
    return max(right - left, bottom - top)


def close_up(title: str, piece: Piece, tint: str) -> str:
    x, y = piece.focus
    scale = min(2.5, 1250 / reach(piece))
    near = moved(_grounded(piece), 400 - x * scale, 400 - y * scale, scale)
    return document(title, rect(0, 0, 800, 800, deep(tint, 0.09)) + (near if piece.stands else turned(near, -8)))


def in_its_place(title: str, piece: Piece, room: Room, tint: str) -> str:
    left, top, right, bottom = piece.box
    foot = bottom if piece.stands else (top + bottom) / 2
    placed = moved(_grounded(piece), room.x - (left + right) / 2 * room.scale, room.y - foot * room.scale, room.scale)
    return document(title, rect(0, 0, 800, 800, tint) + room.art + placed)


def side_by_side(title: str, pieces: Sequence[Piece], tint: str) -> str:
    """Siblings, each before its own panel: up to three in a row, four in two rows of two."""
    columns = 2 if len(pieces) == 4 else len(pieces)
    rows = len(pieces) // columns
    width, height = 720 / columns, 720 / rows
    widest, tallest = max(p.box[2] - p.box[0] for p in pieces), max(p.box[3] - p.box[1] for p in pieces)
    scale = min((width - 44) / widest, (height - 56) / tallest, 1)
    height = min(height, tallest * scale + 170)
    art = rect(0, 0, 800, 800, tint)
    for place, piece in enumerate(_drawn_once(pieces)):
        left, top, right, bottom = piece.box
        x, y = 40 + width * (place % columns), 400 - height * rows / 2 + height * (place // columns)
        lower = y + height - 70 - bottom * scale if piece.stands else y + height / 2 - (top + bottom) / 2 * scale
        art += rect(x + 8, y + 8, width - 16, height - 16, pale(tint, 0.5), 22)
        art += moved(_grounded(piece), x + width / 2 - (left + right) / 2 * scale, lower, scale)
    return document(title, art)


def measured(title: str, piece: Piece, width: str, height: str, tint: str) -> str:
    whole = piece.box
    scale = min(520 / (whole[2] - whole[0]), 540 / (whole[3] - whole[1]), 1.2)
    x, y = 365 - (whole[0] + whole[2]) / 2 * scale, 365 - (whole[1] + whole[3]) / 2 * scale
    left, top, right, bottom = (
        side * scale + shift for side, shift in zip(piece.sized or whole, (x, y, x, y), strict=True)
    )
    below, beside = num(bottom + 50), num(whole[2] * scale + x + 46)
    lines = stroke(f"M{num(left)} {below}H{num(right)}m0-13v26M{num(left)} {below}m0-13v26", INK, 3)
    lines += stroke(f"M{beside} {num(top)}V{num(bottom)}m-13 0h26M{beside} {num(top)}m-13 0h26", INK, 3)
    labels = _label((left + right) / 2, bottom + 96, width)
    labels += _label(float(beside) + 20, (top + bottom) / 2 + 10, height, "start")
    return document(title, rect(0, 0, 800, 800, pale(tint, 0.55)) + moved(piece.art, x, y, scale) + lines + labels)


def document(title: str, art: str) -> str:
    shadows = (GLOW if "url(#g)" in art else "") + (DROP if "url(#d)" in art else "")
    clips = "".join(dict.fromkeys(CLIP.findall(art)))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 800" role="img" '
        'stroke-linecap="round" stroke-linejoin="round">'
        f"<title>{escape(title)}</title><defs>{shadows}{clips}</defs>{CLIP.sub('', art)}</svg>\n"
    )


def _drawn_once(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The same pieces, where one that is another at a different scale refers to that one's marks."""
    names: dict[str, str] = {}
    for piece in pieces:
        scaled = SCALED.fullmatch(piece.art)
        if scaled is None:
            yield piece
            continue
        marks = scaled["marks"]
        known = marks in names
        name = names.setdefault(marks, f"p{len(names)}")
        shown = f'<use href="#{name}"/>' if known else f'<g id="{name}">{marks}</g>'
        yield replace(piece, art=f"{scaled['scale']}{shown}</g>")


def _grounded(piece: Piece) -> str:
    """The piece with its shadow: a pool under what stands, a soft drop behind what lies flat."""
    left, _, right, bottom = piece.box
    if not piece.stands:
        return f'<g filter="url(#d)">{piece.art}</g>'
    half = (right - left) / 2
    return oval(left + half + 14, bottom - 3, half * 1.2 + 14, 26, "url(#g)") + piece.art


def _label(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return (
        f'<text x="{num(x)}" y="{num(y)}" font-family="sans-serif" font-size="28" fill="{INK}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
