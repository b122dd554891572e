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


# What a script of ours is made of: comments; strings, regular expressions and templates, of which
# not a character may change; spaces and line ends; all else. (Templates nest once, no deeper.)
TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)
    | (?P<text>"(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
      | `(?:\\.|\$\{(?:[^`{}]|\{[^`{}]*\}|`(?:\\.|\$\{[^`{}]*\}|[^`\\])*`)*\}|[^`\\])*`
      | (?:(?<=[(,=:!&|?]\ )|(?<=\())/(?:\\.|\[[^\]]*\]|[^/\\\n])+/\w*)
    | (?P<space>\s+) | (?P<code>.)""",
    flags=re.DOTALL | re.VERBOSE,
)


def compact(source: str) -> str:
    """Drop comments, indentation and the spaces around signs from a script of ours."""
    out, space = [], ""
    for match in TOKEN.finditer(source):
        token = match[0]
        if match.lastgroup == "comment":
            continue
        if match.lastgroup == "space":
            space = "\n" if "\n" in token + space else " "
            continue
        last = out[-1][-1] if out else "\n"
        if space == "\n" and last not in "\n{[(,;=" and token[0] not in ")]},.":
            out.append("\n")
        elif space == " " and (
            (re.match(r"[\w$]", last) and re.match(r"[\w$]", token)) or last + token in ("++", "--")
        ):
            out.append(" ")
        if token == "}" and out and out[-1] == ";":
            out.pop()
        # Line ends in a template are those of style sheets, which do without.
        out.append(re.sub(r"(?<=[};,{`])\n", "", token) if token[0] == "`" else token)
        space = ""
    return "".join(out)


IMPORT = re.compile(r'^import .*? from "\./(.*?)";\n', flags=re.DOTALL | re.MULTILINE)
SHARED = ("base.js", "photo.js", "plot.js")
# A declaration of a shared script, with its doc comment; it ends where the next begins.
DECLARATION = re.compile(
    r"^(?:/\*\*(?:(?!\*/).)*\*/\n)?(?:export )?(?:const|let|class|(?:async )?function) (\w+)",
    flags=re.DOTALL | re.MULTILINE,
)


def used_parts(shared: str, own: str) -> str:
    """Return the declarations of shared scripts that a script uses, directly or through others."""
    found = list(DECLARATION.finditer(shared))
    ends = [*(match.start() for match in found[1:]), len(shared)][: len(found)]
    parts = {m[1]: shared[m.start() : end] for m, end in zip(found, ends, strict=True)}
    used, before = set(), -1
    while len(used) > before:
        before = len(used)
        text = compact(own + "".join(parts[name] for name in used))  # comments do not count
        used |= {name for name in parts if re.search(rf"\b{name}\b", text)}
    return "".join(part for name, part in parts.items() if name in used)


@cache
def read_module(script: str) -> str:
    """Return a figure's script behind the shared ones that it imports: one module, no imports.

    The names that the files export stay exported, so that a test can import the module. Of the
    shared scripts only what the figure uses is there, for the bytes.
    """
    own = (FOLDER / script).read_text(encoding="utf-8")
    found = IMPORT.findall(own)
    shared = "".join(
        IMPORT.sub("", (FOLDER / name).read_text(encoding="utf-8"))
        for name in SHARED
        if name in found
    )
    own = IMPORT.sub("", own)
    return compact(used_parts(shared, own)) + "\n" + compact(own)


def photo_uri(image: Image.Image) -> str:
    """Return an image as a data URI: the same characters on every machine, unlike PNG or JPEG.

    Encoders differ between releases; an uncompressed bitmap does not. Keep it small: an RGB image
    of 144 x 144 pixels makes 83 kB of text, a grey one ("L") 29 kB.
    """
    data = io.BytesIO()
    image.save(data, format="BMP")
    return "data:image/bmp;base64," + base64.b64encode(data.getvalue()).decode()


def file_uri(path: Path) -> str:
    """Return a WebP file of the package as a data URI: its bytes are the same everywhere."""
    return "data:image/webp;base64," + base64.b64encode(path.read_bytes()).decode()


class InteractiveFigure:
    """A figure that answers in the page, with no kernel and no network.

    A subclass names its ``script`` (which exports a class ``Main`` that extends ``Figure``), says
    in ``label`` what it is and in ``title`` what to do with it, and returns from ``fallback`` what
    a reader without JavaScript sees.
    Its output is a custom element with the parameters, the fallback inside, and the script.
    """

    script: str
    label: str
    title = ""
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
            f'aria-label="{html.escape(self.label)}" data-name="{type(self).__name__}" '
            f'data-title="{html.escape(self.title)}" '
            f"data-parameters='{parameters}'>{self.fallback()}</{tag}>\n"
            f'<script type="module">\n{module}\n{define}\n</script>'
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
