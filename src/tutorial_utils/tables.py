"""Results as tables: headings with units, numbers with as many digits as they deserve."""

from collections.abc import Mapping, Sequence
from html import escape


class Table:
    """Rows with headings, shown as an HTML table and, where there is no HTML, as text.

    Args:
        rows: dictionaries; the keys of the first are the headings, a missing value stays empty.
        digits: heading -> digits after the point of its numbers; others are shown as they are.
        units: heading -> unit, put behind the heading in brackets.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, object]],
        digits: Mapping[str, int] | None = None,
        units: Mapping[str, str] | None = None,
    ) -> None:
        if not rows:
            raise ValueError("a table needs at least one row.")
        self.rows, self.digits, self.units = list(rows), dict(digits or {}), dict(units or {})

    def headings(self) -> list[str]:
        """Return the headings with their units."""
        return [f"{key} ({self.units[key]})" if key in self.units else key for key in self.rows[0]]

    def cells(self) -> list[list[str]]:
        """Return the rows as texts."""
        return [[self._text(key, row.get(key, "")) for key in self.rows[0]] for row in self.rows]

    def _text(self, key: str, value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, str | bool):
            return str(value)
        if key in self.digits:
            return f"{value:,.{self.digits[key]}f}"
        return f"{value:,}" if isinstance(value, int) else str(value)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(text)}</th>" for text in self.headings())
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>"
            for row in self.cells()
        )
        return (
            '<div style="overflow-x:auto"><table class="results">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def __repr__(self) -> str:
        lines = [self.headings(), *self.cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )
