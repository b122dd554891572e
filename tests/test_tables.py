"""The small table: headings, units, alignment, text that is HTML's own."""

from tutorial_utils.tables import Table

ROWS = [{"name": "<a> & b", "time": 0.125, "n": 1200}, {"name": "c", "time": None, "n": 3}]


def test_a_table_has_headings_with_units_and_aligned_escaped_cells():
    html = Table(ROWS, digits={"time": 2}, units={"time": "s"})._repr_html_()
    assert html.count('scope="col"') == 3
    assert "time (s)" in html
    assert '<td style="text-align:right">0.12</td>' in html
    assert '<td style="text-align:right">1,200</td>' in html
    assert "&lt;a&gt; &amp; b" in html


def test_a_table_is_text_too_and_has_no_negative_zero():
    table = Table([{"a": -0.001}], digits={"a": 1})
    assert repr(table) == "a\n0.0"


def test_rows_and_cells_that_the_caption_speaks_of_are_bold():
    html = Table(ROWS, bold=[1, (0, "n")])._repr_html_()
    assert html.count("font-weight:bold") == 4
    assert '<td style="text-align:right;font-weight:bold">1,200</td>' in html
    assert "bold" not in Table(ROWS)._repr_html_()
