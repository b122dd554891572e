"""Parts of the package, one direction: finetune -> inference -> photo_folder -> lessons."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "tutorial_utils"
LESSONS = 2200  # lines of Python: a learner reads them in an hour
PROGRAM = {"photo_folder": 1600, "inference": 560, "finetune": 3000}
ROOMS = (*PROGRAM, "interactive", "lab")


def imported(source, package):
    """Return the full names of all that a module's source imports; ``package``: where it stands."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            start = ".".join(filter(None, (base, node.module)))
            names |= {f"{start}.{alias.name}" for alias in node.names}
    return names


def rooms_used(source, package):
    """Return which rooms of the package a module's source imports from."""
    names = imported(source, package)
    return {n.split(".")[1] for n in names if n.startswith("tutorial_utils.")} & set(ROOMS)


def rooms_of(path):
    """Return which rooms of the package a file imports from."""
    package = path.parent.relative_to(PACKAGE.parent).parts
    return rooms_used(path.read_text(encoding="utf-8"), package)


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_a_lesson_imports_no_room(path):
    assert rooms_of(path) == set()


@pytest.mark.parametrize(
    ("room", "others"),
    [("interactive", set()), ("lab", set()), ("photo_folder", set()),
     ("inference", {"photo_folder"}), ("finetune", {"photo_folder", "inference"})],
)  # fmt: skip
def test_a_room_imports_only_what_lies_below_it(room, others):
    for path in (PACKAGE / room).rglob("*.py"):
        assert rooms_of(path) <= {room, *others}, path.name


@pytest.mark.parametrize(
    "line",
    [
        "from . import finetune",
        "from .finetune import cli",
        "import tutorial_utils.finetune.probe",
        "def f():\n    from tutorial_utils.finetune.probe import fit_probe",
    ],
)
def test_an_import_that_runs_back_is_seen(line):
    assert rooms_used(line, ("tutorial_utils",)) == {"finetune"}


def lines_in(folder):
    return sum(len(p.read_text(encoding="utf-8").splitlines()) for p in folder.glob("*.py"))


def test_the_lessons_stay_small_enough_to_be_read():
    assert lines_in(PACKAGE) < LESSONS


@pytest.mark.parametrize("room", PROGRAM)
def test_the_program_stays_small_enough_to_be_kept(room):
    assert lines_in(PACKAGE / room) < PROGRAM[room]


# What every chapter uses and none teaches.
SERVANTS = {"__init__", "errors", "plotting", "results", "scale", "tables", "weights"}
BOOK = PACKAGE.parents[1] / "book"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_a_lesson_names_the_chapter_that_teaches_it(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = re.findall(r"``(\w+)``", ast.get_docstring(tree))
    chapters = [BOOK / f"{name}.ipynb" for name in named if (BOOK / f"{name}.ipynb").is_file()]
    assert chapters or path.stem in SERVANTS
    names = "|".join(node.name for node in tree.body if hasattr(node, "name"))
    for chapter in chapters:
        assert re.search(rf"\b({names})\b", chapter.read_text(encoding="utf-8")), chapter.stem
