"""The folder of one run: what is written whole or not at all, and how a run is picked up again.

====================  ===================================================================
``run.json``       recipe, classes, command, versions: enough to repeat it
``inspection.json``  what was found; ``skipped.csv`` every file that was left out
``split.jsonl``    each photo with its class and split, a line each
``probe.pt``       the linear probe and its held-out answers
``log.jsonl``      what was measured after each epoch, a line each
``tuned.pt``       the best epoch of fine-tuning; ``validation.pt`` its answers
``last.pt``        weights, optimizer and all else that the next epoch needs
``best.pt``        the chosen model, for ``checkpoints.load_classifier``
``held_out.pt``    the chosen model's answers to photos that it had not seen
``result.json``    the figures at the end; ``test.pt`` the test photos' logits
``predictions-test.csv``  the same as a table
``report.html``    the report, all in one file
====================  ===================================================================

An epoch is finished once ``last.pt`` is in place; it is written last, so a process that is killed
leaves the folder as it was after some epoch, and at most one partial file, which is ignored.
"""

import contextlib
import csv
import io
import json
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from tutorial_utils._files import PARTIAL, explained, read_lines, read_state, write_bytes
from tutorial_utils.errors import PhotosError

try:
    import fcntl
except ImportError:  # Windows: no lock there
    fcntl = None

CONFIG = "run.json"


class RunFolder:
    """The folder of one run; see the table above. Make one with ``create`` or ``open``."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @classmethod
    def create(cls, path: str | Path) -> "RunFolder":
        """Make the folder of a new run.

        Raises:
            PhotosError: it holds another run or anything else, or cannot be written to.
        """
        run = cls(path)
        if (run / CONFIG).is_file():
            raise PhotosError(
                f"{path} holds a run already. Add --resume to go on with it, or choose another "
                "folder for the new one."
            )
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            strangers = [p for p in run.path.iterdir() if not p.name.endswith((PARTIAL, ".lock"))]
        except (FileExistsError, NotADirectoryError):
            raise PhotosError(f"{path} is a file; a run needs a folder of its own.") from None
        except OSError as error:
            raise explained(run / CONFIG, error) from None
        if strangers:
            raise PhotosError(
                f"{path} holds other files ({strangers[0].name}, ...); a run needs an empty folder "
                "or a new one."
            )
        return run

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """Return the folder of a run that was begun.

        Raises:
            PhotosError: there is none, or its config cannot be read.
        """
        run = cls(path)
        if not (run / CONFIG).is_file():
            raise PhotosError(f"{path} holds no run: it has no {CONFIG}.")
        run.config()
        return run

    def json(self, name: str) -> dict:
        """Return what one of the folder's JSON files says."""
        try:
            values = json.loads((self / name).read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise ValueError("no JSON object")
        except (OSError, ValueError) as error:
            raise PhotosError(f"{self / name} cannot be read: {error}.") from None
        return values

    def config(self) -> dict:
        """Return what ``run.json`` says."""
        return self.json(CONFIG)

    def result(self) -> dict:
        """Return the figures at the end.

        Raises:
            PhotosError: the run is not finished.
        """
        if not (self / "result.json").is_file():
            raise PhotosError(f"{self.path} is not finished; go on with --resume.")
        return self.json("result.json")

    def log(self, row: dict) -> None:
        """Append a line to the log."""
        path = self / "log.jsonl"
        try:
            with open(path, "a", encoding="ascii") as file:
                file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise explained(path, error) from None

    def history(self, upto: int | None = None) -> list[dict]:
        """Return the log's epochs, in order, each once; none after epoch ``upto``."""
        rows = {row["epoch"]: row for row in read_lines(self / "log.jsonl") if "epoch" in row}
        return [rows[e] for e in sorted(rows) if upto is None or e <= upto]

    def last(self) -> dict | None:
        """Return the state after the last finished epoch; None if there is none yet.

        Raises:
            CheckpointError: the file is damaged or holds code.
        """
        return read_state(self / "last.pt") if (self / "last.pt").is_file() else None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing the same run; a killed process leaves no lock behind.

        Raises:
            PhotosError: another process has it, or the folder cannot be written to.
        """
        try:
            file = open(self / "run.lock", "w")  # noqa: SIM115 - closed below
        except OSError as error:
            raise explained(self / "run.lock", error) from None
        with file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise PhotosError(f"another process is writing {self.path}.") from None
                except OSError:  # a network drive without locks
                    pass
            for partial in self.path.glob(f"*{PARTIAL}"):
                partial.unlink(missing_ok=True)
            yield
        with contextlib.suppress(OSError):
            (self / "run.lock").unlink(missing_ok=True)


def write_csv(path: Path, rows: Iterable[Sequence]) -> None:
    """Write a table, whole or not at all."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    write_bytes(path, text.getvalue().encode("utf-8", "surrogateescape"))


def versions() -> dict[str, str]:
    """Return the versions that a repetition needs to know."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("tutorial-utils", "torch", "torchvision", "accelerate", "numpy", "pillow"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found | {"torch": torch.__version__}  # this one names the build


def command() -> list[str]:
    """Return the command that started this process."""
    return ["python", *sys.argv] if sys.argv[0].endswith(".py") else list(sys.argv)


def paste(arguments: list[str]) -> str:
    """Return a command of ours that can be pasted into the shell it is printed in."""
    start = ["tutorial-utils"]
    if shutil.which(start[0]) is None:
        start = [sys.executable, "-m", "tutorial_utils.finetune"]
    return shlex.join([*start, *arguments])
