"""What the build adds to a chapter's plain Markdown: citations, hovers, boxes, numbers, a header.

The notebooks hold only what JupyterLab and Colab show as it is meant. These functions take a
notebook as it was read and return it with what a page can have more.
"""

import copy
import re
from html import escape, unescape
from pathlib import Path

from tutorial_utils.plotting import INK

ROOT = Path(__file__).resolve().parents[1]
STATIONS = (
    ("photo", "photo"),
    ("preprocessing", "preprocessing"),
    ("backbone", "backbone"),
    ("features", "features"),
    ("head", "head"),
    ("probabilities", "probabilities"),
    ("training", "training"),
    ("judging", "judging"),
)
BOXES = {"warning": "warning", "deeper": "deeper", "the source article says": "article"}
# Text that no rule may change: code, formulas, links, HTML, headings.
FIXED = re.compile(
    r"^(?:```|~~~|:::).*?^(?:```|~~~|:::)|^#.*?$|\$\$.*?\$\$|`+[^`]*`+|\$[^$\n]+\$"
    r"|!?\[[^\]]*\]\([^)]*\)|<[^>]*>|^ *\|.*?$",
    re.DOTALL | re.MULTILINE,
)


def outside(text: str, change) -> str:
    """Apply ``change`` to the parts of a Markdown text that are plain prose."""
    parts, end = [], 0
    for match in FIXED.finditer(text):
        parts += [change(text[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*parts, change(text[end:])])


def read_sources(path: Path = ROOT / "book" / "references.bib") -> dict[str, str]:
    """Return the key of each address in the bibliography."""
    found = {}
    for key, body in re.findall(r"^@\w+\{([^,]+),(.*?)^\}", path.read_text("utf-8"), re.S | re.M):
        fields = {
            name.lower(): value
            for name, value in re.findall(r"^\s*(\w+)\s*=\s*[{\"](.*?)[}\"],?\s*$", body, re.M)
        }
        for name, start in (
            ("doi", "https://doi.org/"),
            ("url", ""),
            ("eprint", "https://arxiv.org/abs/"),
        ):
            if name in fields:
                found[start + fields[name]] = key
    return found


def cite(text: str, sources: dict[str, str]) -> str:
    """Turn links whose text is authors and a year into citations."""

    def replace(match):
        words, address = match.groups()
        key = sources.get(address)
        if key is None or not re.search(r"\d{4}[a-z]?\)?$", words):
            return match[0]
        return f"{{cite:{'t' if words.endswith(')') else 'alp'}}}`{key}`"

    return re.sub(r"(?<!!)\[([^\]]+)\]\((https?://[^)\s]+)\)", replace, text)


def read_terms(path: Path = ROOT / "book" / "glossary.md") -> list[tuple[str, str, str]]:
    """Return the glossary's anchors, terms and definitions, the longest terms first."""
    found = re.findall(
        r'^<a id="(g-[\w-]+)"></a>\*\*(.+?)\*\*.*\n: (.+)$', path.read_text("utf-8"), re.M
    )
    plain = [
        (anchor, term, re.sub(r"[*`$]|\]\([^)]*\)|\[", "", text)) for anchor, term, text in found
    ]
    return sorted(plain, key=lambda entry: -len(entry[1]))


def link_terms(text: str, terms: list, seen: set[str]) -> str:
    """Link the first use of each term, with its definition on hover and focus."""
    for anchor, term, definition in terms:
        if anchor in seen:
            continue
        pattern = re.compile(rf"(?<![\w-]){re.escape(term)}s?(?![\w-])", re.IGNORECASE)

        def change(prose, pattern=pattern, anchor=anchor, definition=definition):
            if anchor in seen or not (match := pattern.search(prose)):
                return prose
            seen.add(anchor)
            link = (
                f'<a class="term" href="glossary.html#{anchor}" '
                f'data-definition="{escape(definition)}">{match[0]}</a>'
            )
            return prose[: match.start()] + link + prose[match.end() :]

        # A link that was just written is fixed as a whole, its text too.
        held = re.split(r'(<a class="term".*?</a>)', text)
        text = "".join(p if p.startswith('<a class="term"') else outside(p, change) for p in held)
    return text


def box(text: str) -> str:
    """Turn block quotes that begin with a bold word into boxes."""

    def replace(match):
        body = re.sub(r"^> ?", "", match[0], flags=re.M)
        start = re.match(r"\*\*(.+?)\*\*\s*|\[!(\w+)\]\s*", body)
        if not start:
            return match[0]
        words = (start[1] or start[2]).rstrip(".:")
        kind = next((k for w, k in BOXES.items() if words.lower().startswith(w)), None)
        if kind is None:
            return match[0]
        title = words.capitalize() if start[2] else words
        rest = body[start.end() :].rstrip()
        return f"::::{{admonition}} {title}\n:class: box-{kind}\n{rest}\n::::\n"

    return re.sub(r"(?:^>.*(?:\n|\Z))+", replace, text, flags=re.M)


def mark_chinese(text: str) -> str:
    """Say which words are Chinese."""
    return outside(text, lambda t: re.sub(r"[\u4e00-\u9fff]+", r'<span lang="zh">\g<0></span>', t))


def header(facts: dict, titles: dict[str, str]) -> str:
    """Return the lines under a chapter's title: time, level, needs, and where one is."""
    if not facts:
        return ""
    parts = [f"{facts['minutes']} minutes"] if facts.get("minutes") else []
    parts += [facts["level"]] if facts.get("level") else []
    needs = [
        f'<a href="{name}.html">{escape(titles[name])}</a>'
        for name in facts.get("needs", [])
        if name in titles
    ]
    parts += ["needs " + ", ".join(needs)] if needs else []
    if "gpu_minutes" in facts:
        parts += [f"at full scale about {facts['gpu_minutes']} minutes on a T4 GPU (reckoned)"]
    here = facts.get("here", [])
    line = f'<div class="book-head"><p>{" · ".join(parts)}</p>'
    if not here:
        return line + "</div>\n"
    steps = "".join(
        f'<li class="here" aria-current="step">{label}</li>'
        if name in here
        else f"<li>{label}</li>"
        for name, label in STATIONS
    )
    label = "Where this chapter is on the way from a photo to an answer"
    return f'{line}<ol aria-label="{label}">{steps}</ol></div>\n'


def picture_width(cell: dict) -> int | None:
    """Return the width in CSS pixels at which a cell's stored PNG is to be shown."""
    found = [o.get("metadata", {}).get("image/png", {}) for o in cell.get("outputs", [])]
    return next((facts["width"] for facts in found if "width" in facts), None)


def inline_plot(svg: str, alt: str) -> str:
    """Return a stored plot as a part of the page: in the page's ink, as wide as its column."""
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    used = set(re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", svg))
    used = {name for pair in used for name in pair}
    svg = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", svg)
    width = float(re.search(r'width="([\d.]+)pt"', svg)[1]) * 96 / 72
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    head = f'<svg role="img" aria-label="{escape(alt)}" style="max-width: {width:.0f}px"'
    return f'<div class="book-plot">{svg.replace("<svg", head, 1)}</div>'


def inline_plots(cell: dict) -> None:
    """Put a code cell's stored SVG into the page itself, where it takes the theme's colours."""
    alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
    for output in cell.get("outputs", []):
        if "image/svg+xml" in output.get("data", {}):
            svg = inline_plot("".join(output["data"]["image/svg+xml"]), alt)
            output["data"] = {"text/html": svg}


def hang_listing(html: str) -> str:
    """Make each line of a listing with numbers a row whose continuation stands below its code."""
    start, _, rest = html.partition(">")
    rows = []
    for row in rest.removesuffix("</pre>").split("\n"):
        indent = re.match(r"(?:.{3} +\d+  )? *", unescape(re.sub(r"<[^>]+>", "", row)))
        rows.append(f'<span class="book-line" style="--in:{len(indent[0]) + 2}ch">{row}</span>')
    return f"{start}>{''.join(rows)}</pre>"


def mend_outputs(cell: dict, refer) -> None:
    """Number what the texts of questions and tables refer to; keep short cells on one line."""

    def width(match):
        space = {0: ";white-space:nowrap", 1: ""}.get(len(match[2]) // 12, ";min-width:6rem")
        return space + match[0]

    for output in cell.get("outputs", []):
        html = "".join(output.get("data", {}).get("text/html", ""))
        if html.startswith("<pre"):
            output["data"]["text/html"] = hang_listing(html)
        elif 'class="book-table"' in html or "book-question" in html:
            html = re.sub(r"(?<=<td style=\"text-align:left)([^>]*>)([^<]*)", width, html)
            output["data"]["text/html"] = refer(html, link=False)


def keep_together(prose: str) -> str:
    """Keep a number and its sign on one line: 95 %, 3 × 3."""
    return re.sub(r"(?<=\d)\s(?=[%×])|(?<=×)\s(?=\d)", "\u00a0", prose)


def markdown_cell(text: str) -> dict:
    """Return a Markdown cell for the page only."""
    name = re.search(r"(?:figure|table)-\d+", text)[0]
    return {"cell_type": "markdown", "id": f"caption-{name}", "metadata": {}, "source": text}


def dress(notebook: dict, number: int | None, titles, sources, terms) -> dict:
    """Return a chapter as the page shows it."""
    notebook = copy.deepcopy(notebook)
    prefix = f"{number}." if number else ""
    counts, cells, captions = {"Figure": 0, "Table": 0}, [], []
    total = {
        kind: sum(kind.lower() in c["metadata"].get("book", {}) for c in notebook["cells"])
        for kind in counts
    }
    texts = ["".join(cell["source"]) for cell in notebook["cells"]]
    tags = re.findall(r"\\tag\{(\d+)\}", "\n".join(texts))

    def refer(prose, link=True):
        def replace(match):
            kind, opening, count, closing = (g for g in match.groups() if g is not None)
            if int(count) > total[kind.capitalize()] if kind in total else count not in tags:
                return match[0]
            anchor = kind.lower() if kind in total else "equation"
            text = f"{kind} {opening}{prefix}{count}{closing}"
            return f'<a href="#{anchor}-{count}">{text}</a>' if link else text

        return re.sub(
            r"\b(Figure|Table) ()(\d+)\b(?!\.\d)()|\b([Ee]quation|[Ff]ormula) (\()(\d+)(\))",
            replace,
            prose,
        )

    for cell in notebook["cells"]:
        cells.append(cell)
        facts = cell["metadata"].get("book", {})
        for kind in counts:
            if kind.lower() in facts:
                counts[kind] += 1
                label = f"**{kind} {prefix}{counts[kind]}.**"
                text = outside(facts[kind.lower()], lambda t: keep_together(refer(t)))
                captions.append(
                    markdown_cell(
                        f"::::{{container}} book-caption\n"
                        f'<span id="{kind.lower()}-{counts[kind]}"></span>{label} {text}\n::::'
                    )
                )
                cells.append(captions[-1])
        inline_plots(cell)
        mend_outputs(cell, refer)
        width = picture_width(cell)
        if width:
            image = cell["metadata"].setdefault("mystnb", {}).setdefault("image", {})
            image.setdefault("width", f"{width}px")
    notebook["cells"] = cells
    seen = set()

    for cell in cells:
        if cell["cell_type"] != "markdown":
            continue
        text = "".join(cell["source"])
        if any(cell is caption for caption in captions):
            continue
        text = re.sub(r"\[([^\]]*)\]\(glossary\.md#[^)]*\)", r"\1", text)
        text = cite(text, sources)
        text = outside(text, lambda t: keep_together(refer(t)))
        text = link_terms(text, terms, seen)
        text = mark_chinese(text)
        for tag in re.findall(r"\\tag\{(\d+)\}", text):
            text = re.sub(
                rf"^(\$\$(?:(?!\$\$).)*?)\\tag\{{{tag}\}}",
                lambda m, tag=tag: (
                    f'<span id="equation-{tag}"></span>\n\n{m[1]}\\tag{{{prefix}{tag}}}'
                ),
                text,
                count=1,
                flags=re.S | re.M,
            )
        cell["source"] = box(text)
    first = cells[0]
    title, _, rest = first["source"].partition("\n")
    first["source"] = f"{title}\n\n{header(notebook['metadata'].get('book', {}), titles)}\n{rest}"
    return notebook
