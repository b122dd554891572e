"""A Sphinx extension: dresses the chapters and the front page; the wheel, anchors, a mend."""

import json
import re
import shutil
from functools import cache
from html import escape, unescape
from pathlib import Path

import front_page
import page_text
import pydata_sphinx_theme
import yaml
from address import read_address
from docutils import nodes

from tutorial_utils.lab import Lab

ROOT = Path(__file__).resolve().parents[1]


REFERENCE = {"errata", "glossary", "references"}


@cache
def chapters() -> dict[str, int]:
    """Return the number of each chapter, in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    names = [name.removeprefix("book/") for name in files]
    return {name: k for k, name in enumerate((n for n in names if n not in REFERENCE), start=1)}


@cache
def titles() -> dict[str, str]:
    """Return the chapters' short titles."""
    found = {}
    for name in chapters():
        notebook = json.loads((ROOT / "book" / f"{name}.ipynb").read_text(encoding="utf-8"))
        facts = notebook["metadata"].get("book", {})
        heading = "".join(notebook["cells"][0]["source"]).split("\n")[0].removeprefix("# ")
        found[name] = facts.get("title") or heading
    return found


def dress_page(app, docname, source) -> None:
    """Give a chapter, the glossary and the front page what a page can have more."""
    name = docname.removeprefix("book/")
    if (ROOT / "book" / f"{name}.ipynb").is_file():
        source[0] = json.dumps(
            page_text.dress(
                json.loads(source[0]),
                chapters().get(name),
                titles(),
                page_text.read_sources(),
                page_text.read_terms(),
            )
        )
    elif name == "glossary":
        source[0] = page_text.mark_chinese(source[0])
    elif name == "index":
        lab = Lab(compact=True, more="first_model.html")._repr_html_()
        source[0] = front_page.fill(source[0], chapters(), lab, find_pdf())


def find_wheel() -> Path | None:
    """Return the package's wheel if ``make wheel`` has built it."""
    return next(iter(sorted((ROOT / "dist").glob("tutorial_utils-*.whl"))), None)


def find_pdf() -> Path | None:
    """Return the book as one PDF if ``make pdf`` has printed it."""
    return next(iter((ROOT / "_build").glob("*.pdf")), None)


def set_substitutions(app, config) -> None:
    """Fill in ``{{ last_run }}`` and ``{{ wheel }}`` of index.md."""
    wheel = find_wheel()
    link = (
        f'<a href="../_static/{wheel.name}" download>{wheel.name}</a>' if wheel else "`make wheel`"
    )
    address = read_address()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    config.myst_substitutions |= {
        "made": f"{config.author}, {config.copyright}, version {citation['version']}"
        + (f", [the repository]({address})." if address else "."),
        "last_run": front_page.last_run(),
        "wheel": link,
    }


def name_glossary_terms(app, env) -> None:
    """Let pages link to ``glossary.md#g-...``: MyST knows a page's headings only.

    The terms carry HTML anchors, which work on GitHub and in an editor as well.
    """
    path = Path(app.srcdir) / "book" / "glossary.md"
    slugs = env.metadata["book/glossary"].setdefault("myst_slugs", {})
    for anchor in re.findall(r'<a id="([^"]+)">', path.read_text(encoding="utf-8")):
        slugs[anchor] = (0, anchor, anchor)


def copy_files(app, exception) -> None:
    """Put the wheel and the PDF into the HTML, where the front page's links point."""
    if exception is None and app.builder.format == "html":
        for path in filter(None, (find_wheel(), find_pdf())):
            shutil.copy(path, Path(app.outdir) / "_static" / path.name)


def thin_icons(app, exception) -> None:
    """Leave the icons that the pages show in the theme's script: 80 kB of 1.5 MB."""
    if exception is not None or app.builder.format != "html":
        return
    pages = "".join(p.read_text(encoding="utf-8") for p in Path(app.outdir).rglob("*.html"))
    classes = " ".join(re.findall(r'class="([^"]*\bfa[bsr]?[ -][^"]*)"', pages))
    shown = {"xmark", *re.findall(r"\bfa-([\w-]+)", classes)}  # a script shows the xmark
    name = Path("static", "scripts", "fontawesome.js")
    theme = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme"
    whole = (theme / name).read_text(encoding="utf-8")
    icon = r'"?([\w$-]+)"?:\[\d+,\d+,\[[^\]]*\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?'
    thin = re.sub(icon, lambda m: m[0] if m[1] in shown else "", whole)
    (Path(app.outdir) / f"_{name}").write_text(thin, encoding="utf-8")


def write_search(app, exception) -> None:
    """Write what the search of book.js reads: each section's title, prose and bold words.

    Bold is what a section teaches. Code and contents are left out; a term of the glossary is a
    section of its own.
    """
    if exception is not None or app.builder.format != "html":
        return

    def plain(node):
        return " ".join(re.sub(r"<[^>]+>", "", node.astext()).split())

    rows = []
    for page in sorted(app.env.found_docs, key=lambda name: chapters().get(name[5:], 99)):
        texts, taught = {}, {}
        doctree, name = app.env.get_doctree(page), app.env.titles[page].astext()
        for node in doctree.findall(lambda n: isinstance(n, nodes.paragraph | nodes.strong)):
            section = node.parent
            if isinstance(section, nodes.term | nodes.definition):
                continue
            while section is not None and not isinstance(section, nodes.section):
                section = section.parent
            kind = taught if isinstance(node, nodes.strong) else texts
            kind.setdefault(section, []).append(plain(node))
        for section in doctree.findall(nodes.section):
            anchor = "" if section.parent is doctree else f"#{section['ids'][0]}"
            text, bold = " ".join(texts.get(section, [])), "|".join(taught.get(section, []))
            rows.append([page, anchor, name, section[0].astext(), text, bold])
        for item in doctree.findall(nodes.definition_list_item):
            if anchor := re.search(r'<a id="(.+?)">', item[0].astext()):
                term = next(iter(item[0].findall(nodes.strong))).astext()
                rows.append([page, f"#{anchor[1]}", name, plain(item[0]), plain(item[1]), term])
    script = f"window.bookSections = {json.dumps(rows, ensure_ascii=False)};"
    (Path(app.outdir) / "_static" / "book-search.js").write_text(script, encoding="utf-8")


def mend_page(app, pagename, templatename, context, doctree) -> None:
    """Describe the page for search engines and previews; mend the roles of the references.

    (docutils gives list items of a bibliography a role that their list does not allow.)
    """
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
        if 'class="math' not in context["body"]:
            context["script_files"] = [
                script
                for script in context["script_files"]
                if "MathJax" not in script.attributes.get("body", "")
                and "mathjax" not in str(script.filename)
            ]
        # A full stop does not begin a line because a formula stands before it.
        context["body"] = re.sub(
            r'(<span class="math notranslate nohighlight">[^<]*</span>)([.,;:?!)]+)',
            r'<span class="book-keep">\1\2</span>',
            context["body"],
        )
        prose = re.sub(r'<div class="book-head">.*?</div>', "", context["body"], flags=re.S)
        found = [re.sub(r"<[^>]+>", "", text) for text in re.findall(r"<p>(.*?)</p>", prose, re.S)]
        first = next((text for text in found if len(text) > 60), "")  # no subtitle
        words = escape(" ".join(unescape(first).split())[:200], quote=True)
        title = escape(unescape(re.sub(r"<[^>]+>", "", context.get("title", ""))), quote=True)
        context["metatags"] = context.get("metatags", "") + (
            f'<meta name="description" content="{words}">'
            f'<meta property="og:title" content="{title}">'
            '<meta property="og:type" content="article">'
            f'<meta property="og:description" content="{words}">'
            '<meta property="og:image" content="../_static/front.jpg">'
        )


def setup(app) -> dict:
    """Connect the functions above to Sphinx's events."""
    app.connect("config-inited", set_substitutions, priority=100)
    app.connect("source-read", dress_page)
    app.connect("env-updated", name_glossary_terms)
    app.connect("html-page-context", mend_page)
    app.connect("build-finished", copy_files)
    app.connect("build-finished", thin_icons)
    app.connect("build-finished", write_search)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
