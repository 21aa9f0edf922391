"""The few marks every drawing is made of, in an 800 by 800 space with light from the upper left."""

from dataclasses import dataclass
from math import cos, radians, sin
from zlib import crc32

GROUND = 590  # where standing objects touch the floor
EVERYWHERE = "M0 0H860V860H0Z"

INK = "#2f2b36"
CREAM = "#f8f1e4"
PAPER = "#fdfaf3"
LINEN = "#e4d6bd"
SAND = "#dcc09a"
OAT = "#e2d3b8"
OAK = "#d8ae7c"
WALNUT = "#8a5d3f"
KRAFT = "#c79f72"
CLAY = "#c9714f"
RUST = "#b4553a"
OCHRE = "#d59c3f"
BRASS = "#cba455"
MOSS = "#76855a"
SAGE = "#98a98d"
FOREST = "#3f5f4d"
NAVY = "#31466a"
SLATE = "#64727f"
STEEL = "#b8c1c8"
CHARCOAL = "#47474f"
PLUM = "#71445e"
BLUSH = "#e5b8a6"
GLASS = "#cfe0df"
COFFEE = "#5b3a29"
SHADOW = "#2a1b30"


@dataclass(frozen=True)
class Piece:
    """One drawn object: its marks, the box they fill (left, top, right, bottom) and the spot worth a closer look.

    `sized` is the part its measurements speak of, where that is not the whole box: a planter without its plant.
    """

    art: str
    box: tuple[float, float, float, float]
    focus: tuple[float, float]
    stands: bool = True
    sized: tuple[float, float, float, float] | None = None


def mix(colour: str, other: str, share: float) -> str:
    """`colour` with `share` (0 to 1) of `other` stirred in, as #rrggbb."""
    ours, theirs = (bytes.fromhex(value.lstrip("#")) for value in (colour, other))
    return "#" + bytes(round(a + (b - a) * share) for a, b in zip(ours, theirs, strict=True)).hex()


def deep(colour: str, share: float = 0.22) -> str:
    return mix(colour, SHADOW, share)


def pale(colour: str, share: float = 0.35) -> str:
    return mix(colour, "#fffaf0", share)


def num(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def path(d: str, fill: str, opacity: float = 1) -> str:
    return f'<path d="{d}" fill="{fill}"{_faded(opacity)}/>'


def stroke(d: str, colour: str, width: float, opacity: float = 1) -> str:
    return f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{num(width)}"{_faded(opacity)}/>'


def stitch(d: str, colour: str, width: float = 3) -> str:
    return (
        f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{num(width)}" '
        'stroke-dasharray="10 7" stroke-linecap="butt"/>'
    )


def rect(x: float, y: float, width: float, height: float, fill: str, radius: float = 0, opacity: float = 1) -> str:
    rounded = f' rx="{num(radius)}"' if radius else ""
    return (
        f'<rect x="{num(x)}" y="{num(y)}" width="{num(width)}" height="{num(height)}"{rounded} '
        f'fill="{fill}"{_faded(opacity)}/>'
    )


def oval(cx: float, cy: float, rx: float, ry: float, fill: str, opacity: float = 1) -> str:
    return f'<ellipse cx="{num(cx)}" cy="{num(cy)}" rx="{num(rx)}" ry="{num(ry)}" fill="{fill}"{_faded(opacity)}/>'


def dot(cx: float, cy: float, radius: float, fill: str, opacity: float = 1) -> str:
    return f'<circle cx="{num(cx)}" cy="{num(cy)}" r="{num(radius)}" fill="{fill}"{_faded(opacity)}/>'


def turned(art: str, degrees: float, cx: float = 400, cy: float = 400) -> str:
    return f'<g transform="rotate({num(degrees)} {num(cx)} {num(cy)})">{art}</g>'


def moved(art: str, x: float, y: float, scale: float = 1) -> str:
    scaled = f" scale({scale:.3g})" if scale != 1 else ""
    return f'<g transform="translate({num(x)} {num(y)}){scaled}">{art}</g>'


def resized(art: str, scale: float, cx: float = 400, cy: float = GROUND) -> str:
    """`art` scaled about a point, by default where a standing object meets the floor."""
    return moved(art, cx - cx * scale, cy - cy * scale, scale)


def block(x: float, y: float, width: float, height: float, radius: float = 0) -> str:
    """The outline of a rounded rectangle, for `solid`."""
    r, right, bottom = radius, x + width, y + height
    return (
        f"M{num(x + r)} {num(y)}H{num(right - r)}Q{num(right)} {num(y)} {num(right)} {num(y + r)}"
        f"V{num(bottom - r)}Q{num(right)} {num(bottom)} {num(right - r)} {num(bottom)}"
        f"H{num(x + r)}Q{num(x)} {num(bottom)} {num(x)} {num(bottom - r)}V{num(y + r)}"
        f"Q{num(x)} {num(y)} {num(x + r)} {num(y)}Z"
    )


def disc(cx: float, cy: float, rx: float, ry: float = 0) -> str:
    """The outline of an ellipse, for `solid`."""
    ry = ry or rx
    arc = f"a{num(rx)} {num(ry)} 0 1 0 "
    return f"M{num(cx - rx)} {num(cy)}{arc}{num(2 * rx)} 0{arc}{num(-2 * rx)} 0Z"


def solid(outline: str, colour: str, details: str = "", lean: float = 22) -> str:
    """A filled outline with details clipped to it and a crescent of shade, `lean` wide, on its right and lower edge.

    The outline is one closed subpath in absolute coordinates.
    """
    name = f"c{crc32(outline.encode()):x}"
    crescent = (
        f'<path d="{EVERYWHERE}{outline}" fill-rule="evenodd" fill="{SHADOW}" opacity=".15" '
        f'transform="translate({num(-lean)} {num(-lean / 3)})"/>'
    )
    return (
        f'<clipPath id="{name}"><path d="{outline}"/></clipPath>'
        f'<g clip-path="url(#{name})">{path(EVERYWHERE, colour)}{details}{crescent}</g>'
    )


def gleam(d: str, width: float = 12, opacity: float = 0.45) -> str:
    return stroke(d, "#ffffff", width, opacity)


def leaf(x: float, y: float, length: float, degrees: float, colour: str) -> str:
    """A leaf blade that grows from (x, y) in a direction counted clockwise from the right."""
    across, down = length * cos(radians(degrees)), length * sin(radians(degrees))
    left = f"{x + across / 2 + down * 0.32:.0f} {y + down / 2 - across * 0.32:.0f}"
    right = f"{x + across / 2 - down * 0.32:.0f} {y + down / 2 + across * 0.32:.0f}"
    stem = f"{num(x)} {num(y)}"
    return path(f"M{stem}Q{left} {x + across:.0f} {y + down:.0f}Q{right} {stem}Z", colour)


def _faded(opacity: float) -> str:
    return f' opacity="{opacity:.2g}"' if opacity < 1 else ""
