"""A small set of helpers that write a drawing as inline SVG: it takes the page's ink and theme.

A drawing is 360 units wide, as wide as a phone's column, so that type of 11 units stays above 10
pixels there; on a desktop it grows. Ink is ``currentColor``; the few colours read on light and
dark ground. Floats are rounded: the same call gives the same bytes on every machine.
"""

from collections.abc import Iterable, Sequence
from html import escape
from numbers import Real

WIDTH = 360
SMALLEST_TYPE = 11
INK = "currentColor"
FROZEN = "var(--drawing-grey,#767676)"
BLUE = "var(--drawing-blue,#0072B2)"
ORANGE = "var(--drawing-orange,#C77700)"
GREEN = "var(--drawing-green,#009E73)"
VERMILION = "var(--drawing-red,#D55E00)"
PINK = "var(--drawing-pink,#CC79A7)"
PURPLE = "var(--drawing-purple,#8B6FE8)"
BROWN = "var(--drawing-brown,#A6761D)"
TEAL = "var(--drawing-teal,#2A93A8)"
TRAINED = ORANGE

# The theme lays a light plate under HTML outputs in the dark; a drawing needs none.
STYLE = """<style>
.book-drawing{max-width:540px;margin:.5em auto;color:var(--pst-color-text-base,inherit)}
.book-drawing svg{display:block;width:100%;height:auto}
@media screen{html[data-theme=dark] .book-drawing{--drawing-grey:#9a9a9a;--drawing-blue:#4aa8e0;
--drawing-orange:#e69f00;--drawing-green:#23b98d;--drawing-red:#ee7b30;--drawing-purple:#a58df5;
--drawing-brown:#c59536;--drawing-teal:#43b0c6}
html[data-theme=dark] .bd-content div.cell_output .text_html:has(>.book-drawing){
padding:0;background:none;color:inherit}}
@media print{.book-drawing{break-inside:avoid}}
</style>"""


def number(value: Real) -> str:
    """Write a number with at most two decimals, no trailing zeros and no negative zero."""
    text = f"{float(value):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def attributes(**values: object) -> str:
    """Write SVG attributes; ``None`` leaves one out, ``stroke_width`` is ``stroke-width``."""
    return "".join(
        f' {name.replace("_", "-")}="{number(v) if isinstance(v, Real) else escape(str(v))}"'
        for name, v in values.items()
        if v is not None
    )


class Drawing:
    """A drawing under construction; shown, it is one inline SVG.

    Args:
        title: what it is, in a few words.
        description: what it shows and says, for those who do not see it.
        height: in units; the width is 360 unless given.
    """

    def __init__(self, title: str, description: str, height: float, width: float = WIDTH) -> None:
        if len(description.split()) < 8:
            raise ValueError("the description must say what the drawing shows, in 8 words or more.")
        self.title, self.description = title, description
        self.width, self.height, self.parts = width, height, []

    # --- Marks. ---

    def text(
        self,
        x: float,
        y: float,
        words: object,
        size: float = 12,
        anchor: str = "middle",
        color: str = INK,
        bold: bool = False,
        italic: bool = False,
        turn: float = 0,
    ) -> None:
        """Write a text whose middle line is at ``y``; a line break starts another line."""
        if size < SMALLEST_TYPE:
            raise ValueError(f"type of {size} units is below 10 pixels on a phone; use 11 or more.")
        lines = str(words).split("\n")
        top = y + 0.35 * size - 0.6 * size * (len(lines) - 1)
        for index, line in enumerate(lines):
            place = top + 1.2 * size * index
            self.parts.append(
                "<text"
                + attributes(
                    x=x,
                    y=place,
                    font_size=size,
                    text_anchor=None if anchor == "start" else anchor,
                    fill=color,
                    font_weight="bold" if bold else None,
                    font_style="italic" if italic else None,
                    transform=f"rotate({number(turn)} {number(x)} {number(y)})" if turn else None,
                )
                + f">{escape(line, quote=False)}</text>"
            )

    def polygon(
        self,
        points: Sequence[tuple[float, float]],
        color: str = INK,
        fill: float = 0.2,
        width: float = 1.2,
        dashed: bool = False,
    ) -> None:
        """Draw a closed outline, filled with ``fill`` of its colour."""
        self.parts.append(
            "<polygon"
            + attributes(
                points=" ".join(f"{number(x)},{number(y)}" for x, y in points),
                fill=color if fill else "none",
                fill_opacity=fill if 0 < fill < 1 else None,
                stroke=color if width else None,
                stroke_width=width or None,
                stroke_dasharray="4 3" if dashed else None,
                stroke_linejoin="round" if width else None,
            )
            + "/>"
        )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        label: object = "",
        color: str = INK,
        fill: float = 0.2,
        line: float = 1.2,
        radius: float = 3,
        dashed: bool = False,
        size: float = 12,
        bold: bool = False,
    ) -> None:
        """Draw a box with a label in its middle."""
        self.parts.append(
            "<rect"
            + attributes(
                x=x,
                y=y,
                width=width,
                height=height,
                rx=radius or None,
                fill=color if fill else "none",
                fill_opacity=fill if 0 < fill < 1 else None,
                stroke=color if line else None,
                stroke_width=line or None,
                stroke_dasharray="4 3" if dashed else None,
            )
            + "/>"
        )
        if label != "":
            self.text(x + width / 2, y + height / 2, label, size=size, bold=bold)

    def circle(
        self, x: float, y: float, radius: float, label: object = "", color: str = INK, fill=0.0
    ) -> None:
        """Draw a circle with a label in its middle."""
        self.parts.append(
            "<circle"
            + attributes(
                cx=x,
                cy=y,
                r=radius,
                fill=color if fill else "none",
                fill_opacity=fill if 0 < fill < 1 else None,
                stroke=color,
                stroke_width=1.2,
            )
            + "/>"
        )
        if label != "":
            self.text(x, y, label, bold=True)

    def line(
        self,
        *points: tuple[float, float],
        color: str = INK,
        width: float = 1.2,
        dashed: bool = False,
        opacity: float | None = None,
    ) -> None:
        """Draw a line through points."""
        self.parts.append(
            "<polyline"
            + attributes(
                points=" ".join(f"{number(x)},{number(y)}" for x, y in points),
                fill="none",
                stroke=color,
                stroke_width=width,
                stroke_dasharray="4 3" if dashed else None,
                stroke_linejoin="round",
                opacity=opacity,
            )
            + "/>"
        )

    def arrow(
        self,
        *points: tuple[float, float],
        color: str = INK,
        width: float = 1.4,
        dashed: bool = False,
    ) -> None:
        """Draw a line through points with a head at the last."""
        (x0, y0), (x1, y1) = points[-2:]
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        back = (x1 - 6.5 * ux, y1 - 6.5 * uy)
        self.line(*points[:-1], back, color=color, width=width, dashed=dashed)
        wings = [(back[0] - s * 3.6 * uy, back[1] + s * 3.6 * ux) for s in (1, -1)]
        self.polygon([(x1, y1), *wings], color=color, fill=1, width=0)

    def bracket(
        self, x0: float, y0: float, x1: float, y1: float, depth: float = 5, color: str = INK
    ) -> None:
        """Draw a square bracket from one point to another; ``depth`` says how far its ends turn."""
        if x0 == x1:
            self.line((x0 - depth, y0), (x0, y0), (x1, y1), (x1 - depth, y1), color=color)
        else:
            self.line((x0, y0 - depth), (x0, y0), (x1, y1), (x1, y1 - depth), color=color)

    def volume(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        depth: float,
        color: str = INK,
        fill: float = 0.2,
        dashed: bool = False,
    ) -> None:
        """Draw a cuboid: its front at (x, y), ``depth`` to the right and up."""
        dx, dy = 0.7 * depth, 0.5 * depth
        front = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        top = [front[0], front[1], (x + width + dx, y - dy), (x + dx, y - dy)]
        side = [
            front[1],
            front[2],
            (x + width + dx, y + height - dy),
            (x + width + dx, y - dy),
        ]
        for face, share in ((top, 0.6), (side, 1.5), (front, 1.0)):
            self.polygon(face, color=color, fill=min(share * fill, 1), width=1, dashed=dashed)

    def grid(
        self,
        x: float,
        y: float,
        rows: Sequence[Sequence[object]],
        side: float = 20,
        colors: dict[tuple[int, int], str] | None = None,
        fill: float = 0.25,
        size: float = 12,
        height: float | None = None,
    ) -> None:
        """Draw a table of cells with their values; ``colors`` fills some, by (row, column)."""
        tall = height or side
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                color = (colors or {}).get((i, j))
                self.box(
                    x + j * side,
                    y + i * tall,
                    side,
                    tall,
                    value,
                    color=color or INK,
                    fill=fill if color else 0,
                    line=1.2 if color else 0.7,
                    radius=0,
                    size=size,
                )

    def picture(self, x: float, y: float, side: float, color: str = INK) -> None:
        """Draw a little photo: a cat's head before a wall."""
        u = side / 40
        self.box(x, y, side, side, color=color, fill=0.08, radius=2)

        def at(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
            return [(x + a * u, y + b * u) for a, b in points]

        head = at([(9, 7), (15, 13), (25, 13), (31, 7), (33, 24), (27, 33), (13, 33), (7, 24)])
        self.polygon(head, color=VERMILION, fill=0.35, width=1)
        for a in (15, 25):
            self.parts.append(
                "<circle" + attributes(cx=x + a * u, cy=y + 21 * u, r=1.8 * u, fill=INK) + "/>"
            )
        self.polygon(at([(18, 26), (22, 26), (20, 28.5)]), fill=1, width=0)

    # --- The result. ---

    def svg(self) -> str:
        """Return the SVG element alone."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number(self.width)} '
            f'{number(self.height)}" role="img" font-family="inherit">'
            f"<title>{escape(self.title, quote=False)}</title>"
            f"<desc>{escape(self.description, quote=False)}</desc>" + "".join(self.parts) + "</svg>"
        )

    def _repr_html_(self) -> str:
        return f'<div class="book-drawing">{STYLE}\n{self.svg()}</div>'

    def __repr__(self) -> str:
        return f"Drawing: {self.title}. {self.description}"
