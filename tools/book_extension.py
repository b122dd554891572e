"""A Sphinx extension: the front page's facts, the wheel, the glossary's anchors, a mend."""

import json
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAST_RUN = ROOT / "book" / "_assets" / "last_run.json"


def find_wheel() -> Path | None:
    """Return the package's wheel if ``make wheel`` has built it."""
    return next(iter(sorted((ROOT / "dist").glob("tutorial_utils-*.whl"))), None)


def set_substitutions(app, config) -> None:
    """Fill in ``{{ last_run }}`` and ``{{ wheel }}`` of index.md."""
    facts = json.loads(LAST_RUN.read_text(encoding="utf-8"))
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    wheel = find_wheel()
    link = (
        f'<a href="../_static/{wheel.name}" download>{wheel.name}</a>' if wheel else "`make wheel`"
    )
    config.myst_substitutions |= {
        "last_run": f"on {facts['date']} with {versions}",
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


def copy_wheel(app, exception) -> None:
    """Put the wheel into the HTML, where the front page's link points."""
    wheel = find_wheel()
    if wheel and exception is None and app.builder.format == "html":
        shutil.copy(wheel, Path(app.outdir) / "_static" / wheel.name)


def mend_roles(app, pagename, templatename, context, doctree) -> None:
    """Give list items of the references the role that their list calls for (docutils does not)."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app) -> dict:
    """Connect the functions above to Sphinx's events."""
    app.connect("config-inited", set_substitutions, priority=100)
    app.connect("env-updated", name_glossary_terms)
    app.connect("html-page-context", mend_roles)
    app.connect("build-finished", copy_wheel)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
