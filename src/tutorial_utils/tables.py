"""A small table for the page: headings, units, aligned numbers."""

from collections.abc import Collection, Mapping, Sequence
from html import escape


class Table:
    """Rows of results, shown as a table that scrolls by itself where it is too wide.

    Args:
        rows: one dict for each row; the keys of all of them, in order, are the headings.
        digits: heading -> digits after the point for the floats below it.
        units: heading -> the unit written after it.
        bold: what the caption speaks of: rows, by number, and cells, as (row, heading).
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, object]],
        digits: Mapping[str, int] | None = None,
        units: Mapping[str, str] | None = None,
        bold: Collection[int | tuple[int, str]] = (),
    ) -> None:
        self.rows = [dict(row) for row in rows]
        self.digits, self.units = dict(digits or {}), dict(units or {})
        self.bold = bold
        self.headings = list(dict.fromkeys(key for row in self.rows for key in row))

    def cell(self, row: Mapping[str, object], heading: str) -> str:
        """Return one cell's text."""
        value = row.get(heading)
        if value is None:
            return ""
        if isinstance(value, str | bool):
            return str(value)
        if heading in self.digits:
            text = f"{value:,.{self.digits[heading]}f}"
            return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"

    def _repr_html_(self) -> str:
        left = [
            all(isinstance(row.get(h), str | bool | None) for row in self.rows)
            for h in self.headings
        ]
        align = ["left" if is_text else "right" for is_text in left]
        heads = "".join(
            f'<th scope="col" style="text-align:{side}">{escape(heading)}'
            + (f" ({escape(self.units[heading])})" if heading in self.units else "")
            + "</th>"
            for heading, side in zip(self.headings, align, strict=True)
        )
        body = "\n".join(
            "<tr>"
            + "".join(
                f'<td style="text-align:{side}'
                + (";font-weight:bold" if {n, (n, heading)} & set(self.bold) else "")
                + f'">{escape(self.cell(row, heading))}</td>'
                for heading, side in zip(self.headings, align, strict=True)
            )
            + "</tr>"
            for n, row in enumerate(self.rows)
        )
        return (
            '<div class="book-table" style="overflow-x:auto" tabindex="0">'
            f'<table class="dataframe">\n<thead><tr>{heads}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>"
        )

    def __repr__(self) -> str:
        lines = [" | ".join(self.headings)]
        lines += [" | ".join(self.cell(row, h) for h in self.headings) for row in self.rows]
        return "\n".join(lines)
