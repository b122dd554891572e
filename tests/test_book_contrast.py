"""The words of the drawings and plots in the pages can be read in light and in the dark.

axe-core does not look into an SVG. All of the book's are put on one page of it, and each word's
colour is held against what is painted below its middle.
"""

import re

import pytest
from book_pages import CHAPTERS, HTML

LEAST = 4.5  # WCAG AA
SVG = re.compile(r'<div class="book-(?:plot|drawing)">.*?</svg>\s*</div>', re.DOTALL)
CONTRASTS = """async (theme) => {
    document.documentElement.dataset.theme = theme;
    const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const read = (...paint) => {
        pen.clearRect(0, 0, 1, 1);
        if (paint.length > 1) pen.drawImage(...paint, 1, 1, 0, 0, 1, 1);
        else { pen.fillStyle = paint[0]; pen.fillRect(0, 0, 1, 1); }
        const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = ([r, g, b, a], ground) => [r, g, b].map((c, k) => a * c + (1 - a) * ground[k]);
    const light = (color) => color.map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
    const paper = read(getComputedStyle(document.body).backgroundColor);
    const photos = new Map();
    for (const image of document.querySelectorAll("article image")) {
        const photo = new Image();
        photo.src = image.href.baseVal;
        photos.set(image, (await photo.decode(), photo));
    }
    const found = [];
    for (const svg of document.querySelectorAll("article svg")) {
        let shapes = [];
        for (const e of svg.querySelectorAll("rect, path, polygon, circle, ellipse, image, text")) {
            if (e.closest("defs, clipPath")) continue;
            const style = getComputedStyle(e), box = e.getBoundingClientRect();
            if (e.localName !== "text") {
                if (e.localName === "image" || style.fill !== "none") shapes.push([e, style, box]);
                continue;
            }
            const x = box.x + box.width / 2, y = box.y + box.height / 2;
            let ground = paper;
            for (const [shape, look, b] of shapes) {
                if (x < b.left || x > b.right || y < b.top || y > b.bottom) continue;
                const at = new DOMPoint(x, y).matrixTransform(shape.getScreenCTM().inverse());
                let color;
                if (shape.localName === "image") {
                    const photo = photos.get(shape);
                    const column = (at.x - shape.x.baseVal.value) / shape.width.baseVal.value;
                    const row = (at.y - shape.y.baseVal.value) / shape.height.baseVal.value;
                    color = read(photo, Math.floor(column * photo.naturalWidth),
                        Math.floor(row * photo.naturalHeight));
                } else {
                    if (!shape.isPointInFill(at)) continue;
                    color = read(look.fill);
                    color[3] *= look.fillOpacity * look.opacity;
                }
                ground = over(color, ground);
            }
            const ink = read(style.fill);
            ink[3] *= style.fillOpacity * style.opacity;
            const [a, b] = [light(over(ink, ground)) + 0.05, light(ground) + 0.05];
            const page = svg.closest("section").title;
            found.push([Math.max(a / b, b / a), page, e.textContent.trim()]);
        }
    }
    return found;
}"""


@pytest.fixture(scope="module")
def page(chromium, addresses):
    """Open a page of the book whose article is all the book's drawings and plots."""
    parts = []
    for name in CHAPTERS:
        found = SVG.findall((HTML / f"{name}.html").read_text(encoding="utf-8"))
        parts.append(f'<section title="{name}">{"".join(found)}</section>')
    page = chromium.new_page(viewport={"width": 1360, "height": 900})
    page.route("**/*.js*", lambda route: route.abort())  # styles are all it needs
    page.goto(f"{addresses['http']}/{CHAPTERS[0]}.html")
    page.evaluate("html => { document.querySelector('article').innerHTML = html; }", "".join(parts))
    page.add_style_tag(content="* { transition: none !important; }")
    yield page
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_words_of_drawings_and_plots_stand_out_from_their_ground(page, theme):
    found = page.evaluate(CONTRASTS, theme)
    assert len(found) > 1000
    faint = [f"{where}: {word!r} {ratio:.1f}" for ratio, where, word in found if ratio < LEAST]
    assert not faint, "\n".join(faint)
