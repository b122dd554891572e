"""What every interactive figure shares on Python's side: one output that carries all it needs."""

import base64
import hashlib
import html
import io
import json
import re
from functools import cache
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent


def compact(source: str) -> str:
    """Drop comment lines, doc comments and indentation from a script of ours."""
    source = re.sub(r"^\s*/\*\*.*?\*/\n", "", source, flags=re.DOTALL | re.MULTILINE)
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


IMPORT = re.compile(r'^import .*? from "\./(.*?)";\n', flags=re.DOTALL | re.MULTILINE)


@cache
def read_module(script: str) -> str:
    """Return a figure's script behind the shared ones that it imports: one module, no imports.

    The names that the files export stay exported, so that a test can import the module. A line
    ``// Without grid()`` in the script leaves that shared function out, for the bytes.
    """
    own = (FOLDER / script).read_text(encoding="utf-8")
    shared = [name for name in ("base.js", "photo.js", "plot.js") if name in IMPORT.findall(own)]
    sources = [(FOLDER / name).read_text(encoding="utf-8") for name in shared] + [own]
    module = "\n".join(compact(IMPORT.sub("", source)) for source in sources)
    for name in re.findall(r"^// Without (\w+)\(\)", own, flags=re.MULTILINE):
        start = module.index(f"export function {name}(")
        module = module[:start] + module[module.index("\nexport ", start) + 1 :]
    return module


def photo_uri(image: Image.Image) -> str:
    """Return an image as a data URI: the same characters on every machine, unlike PNG or JPEG.

    Encoders differ between releases; an uncompressed bitmap does not. Keep it small: an RGB image
    of 144 x 144 pixels makes 83 kB of text, a grey one ("L") 29 kB.
    """
    data = io.BytesIO()
    image.save(data, format="BMP")
    return "data:image/bmp;base64," + base64.b64encode(data.getvalue()).decode()


class InteractiveFigure:
    """A figure that answers in the page, with no kernel and no network.

    A subclass names its ``script`` (which exports a class ``Main`` that extends ``Figure``), says
    in ``label`` what it is, and returns from ``fallback`` what a reader without JavaScript sees.
    Its output is a custom element with the parameters, the fallback inside, and the script.
    """

    script: str
    label: str
    kind = "figure"
    height = 320  # pixels to keep free while loading, so that the page does not jump

    def parameters(self) -> dict:
        """Return what the script needs, as JSON types."""
        return {}

    def fallback(self) -> str:
        """Return HTML without scripts: a correct still of the figure."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        module = read_module(self.script)
        # An element cannot be redefined in a live page: a changed script gets another name.
        tag = f"book-{self.kind}-{hashlib.sha256(module.encode()).hexdigest()[:8]}"
        parameters = json.dumps(self.parameters(), separators=(",", ":"), ensure_ascii=False)
        # In single quotes, so that JSON's many double quotes stay one character each.
        parameters = html.escape(parameters, quote=False).replace("'", "&#39;")
        define = f'customElements.get("{tag}")||customElements.define("{tag}",Main);'
        kind = "" if self.kind == "figure" else f" book-{self.kind}"
        return (
            f'<{tag} class="book-figure{kind}" style="display:block;min-height:{self.height}px" '
            f'aria-label="{html.escape(self.label)}" '
            f"data-parameters='{parameters}'>{self.fallback()}</{tag}>\n"
            f'<script type="module">\n{module}\n{define}\n</script>'
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
