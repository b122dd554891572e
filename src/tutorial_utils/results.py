"""The measured results that pages plot: written by ``benchmarks/``, carried by the wheel."""

import json
from pathlib import Path

IN_REPOSITORY = Path(__file__).parents[2] / "benchmarks" / "results"
IN_WHEEL = Path(__file__).parent / "results"


def load_results(name: str) -> dict:
    """Return the results that ``benchmarks/NAME.py`` stored as JSON.

    Raises:
        FileNotFoundError: there are none of that name.
    """
    for folder in (IN_WHEEL, IN_REPOSITORY):
        path = folder / f"{name}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
    raise FileNotFoundError(
        f"no results {name!r}; run `python benchmarks/{name}.py` in the repository."
    )


def save_results(name: str, results: dict) -> Path:
    """Write results as JSON into ``benchmarks/results`` of this checkout and return the path."""
    IN_REPOSITORY.mkdir(parents=True, exist_ok=True)
    path = IN_REPOSITORY / f"{name}.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return path
