"""The command tutorial-utils: from a folder of photos to a classifier, its report and predictions.

tutorial-utils inspect PHOTOS                    what would be learned, without training
tutorial-utils finetune PHOTOS --out RUN         train, judge, write RUN/report.html
tutorial-utils predict RUN NEW_PHOTOS --csv answers.csv
tutorial-utils evaluate RUN OTHER_PHOTOS         how good on photos with known classes
tutorial-utils compare RUN1 RUN2
"""

import argparse
import csv
import dataclasses
import json
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import get_args, get_type_hints

from tutorial_utils import finetune as program  # loads torch when one of its names is first used
from tutorial_utils.errors import BookError, CheckpointError, RecipeError
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.photo_folder.archives import is_archive, unpacked
from tutorial_utils.photo_folder.listing import check_folder
from tutorial_utils.photo_folder.names import nearest_path

INTERRUPTED, FAILED = 130, 2
EXAMPLES = {
    "finetune": """examples:
  tutorial-utils finetune photos --out run
  tutorial-utils finetune photos.zip --out run --model resnet50 --export onnx
  tutorial-utils finetune photos --out run --labels labels.csv       (file,label[,split][,group])
  tutorial-utils finetune photos --out run --label-pattern '([a-z]+)[.]'      (cat.0.jpg)
  tutorial-utils finetune photos --out run --groups '(patient[0-9]+)'
  tutorial-utils finetune photos --out run --resume --epochs 20      (go on, 20 epochs in all)
  tutorial-utils finetune more --out run2 --start run                (from one's own best model)""",
    "predict": """examples:
  tutorial-utils predict run new.jpg
  tutorial-utils predict run folder --csv answers.csv
  ls *.jpg | tutorial-utils predict run - --json""",
    "inspect": "example:\n  tutorial-utils inspect photos --json > found.json",
    "evaluate": """example:
  tutorial-utils evaluate run other-photos --report other.html""",
    "compare": "example:\n  tutorial-utils compare run1 run2 run3",
}


class Parser(argparse.ArgumentParser):
    """A parser that says which option was probably meant."""

    def error(self, message: str):
        """Print the message, with the nearest option if one was mistyped, and end."""
        words = message.split()
        known = [*self._option_string_actions]
        for word in words[-3:]:
            name = word.split("=")[0].strip("'")
            near = get_close_matches(name, known, 1) if name.startswith("--") else []
            if near and "unrecognized" in message:
                message += f" (did you mean {near[0]}?)"
        super().error(message)


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Give the parser an option for each field of a recipe."""
    group = parser.add_argument_group("recipe (what is not given has the default)")
    group.add_argument("--recipe", metavar="FILE", help="a JSON file with these; options win")
    types = get_type_hints(Recipe)
    for f in dataclasses.fields(Recipe):
        name, text = "--" + f.name.replace("_", "-"), f.metadata["help"].replace("%", "%%")
        kind = (get_args(types[f.name]) or (types[f.name],))[0]
        if kind is bool:
            group.add_argument(name, action=argparse.BooleanOptionalAction, help=text)
            continue
        default = "" if f.default is None else f" (default: {f.default})"
        among = f.metadata["among"] or None
        metavar = None if among else kind.__name__.upper()
        group.add_argument(name, type=kind, choices=among, metavar=metavar, help=text + default)


def add_layout_options(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options that say how to read a folder."""
    group = parser.add_argument_group("how to read the folder (if class folders do not say it)")
    for name, metavar, text in (
        ("--labels", "CSV", "a table with the columns file, label and perhaps split, group"),
        ("--label-pattern", "PATTERN", "a regular expression: the class in a file's path"),
        ("--groups", "PATTERN", "a regular expression: what belongs together (a patient, a burst)"),
        ("--classes", "A,B,...", "take only these class folders"),
    ):  # fmt: skip
        group.add_argument(name, metavar=metavar, help=text)


def given(options: argparse.Namespace, names: Sequence[str]) -> dict:
    """Return those of the options that the command line gives."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def layout_of(options: argparse.Namespace) -> dict:
    """Return the given layout options."""
    found = given(options, ("labels", "label_pattern", "groups", "classes"))
    if "classes" in found:
        found["classes"] = [name.strip() for name in found["classes"].split(",")]
    return found


def recipe_of(options: argparse.Namespace) -> Recipe | None:
    """Return the recipe that the options ask for; None if they ask for nothing."""
    fields = given(options, [f.name for f in dataclasses.fields(Recipe)])
    if options.recipe is None:
        return Recipe(**fields) if fields else None
    try:
        stored = Recipe.from_json(Path(options.recipe).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{options.recipe} cannot be read: {error.strerror}.") from None
    return dataclasses.replace(stored, **fields)


def package_version() -> str:
    """Return the installed version."""
    try:
        return version("tutorial-utils")
    except PackageNotFoundError:
        return "not installed"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="tutorial-utils", description=__doc__, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"%(prog)s {package_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, work) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name, help=text, description=text, epilog=EXAMPLES[name], formatter_class=raw,
            allow_abbrev=False,
        )  # fmt: skip
        made.set_defaults(work=work, parser=made)
        return made

    look = command("inspect", "what would be learned from a folder, without training", run_inspect)
    look.add_argument("photos", metavar="PHOTOS", help="a folder of photos, or a zip of it")
    look.add_argument("--max-pixels", type=int, help="largest photo that is read")

    tune = command("finetune", "from a folder of photos to a model and a report", run_finetune)
    tune.add_argument(
        "photos", metavar="PHOTOS", help="class folders, or train/validation/test, or a zip of it"
    )
    tune.add_argument("--out", required=True, metavar="RUN", help="new folder for all results")
    tune.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    tune.add_argument("--auto-batch", action="store_true", help="halve what is computed at once "
                      "when the memory does not suffice; the result stays")  # fmt: skip
    tune.add_argument("--export", choices=["onnx", "torch"], action="append", default=[],
                      help="also write the model in this form, checked to be equal")  # fmt: skip
    add_recipe_options(tune)

    judge = command("evaluate", "measure a run's model on other photos", run_evaluate)
    judge.add_argument("run", metavar="RUN", help="a run's folder, or a saved classifier")
    judge.add_argument("photos", metavar="PHOTOS", help="class folders named like its classes")
    judge.add_argument("--split", choices=["train", "validation", "test", "all"],
                       help="of a folder with splits (default: test)")  # fmt: skip
    judge.add_argument("--report", metavar="FILE", help="also write a report (HTML)")

    predict = command("predict", "name what is on photos", run_predict)
    predict.add_argument("run", metavar="RUN", help="a run's folder, or a saved classifier")
    predict.add_argument("files", nargs="+", metavar="FILE",
                         help="photos, folders, patterns; - reads a list from stdin")  # fmt: skip
    predict.add_argument("--top", type=int, default=3, help="classes to print (default: 3)")
    predict.add_argument("--csv", metavar="CSV", help="write all probabilities to this table")
    predict.add_argument("--workers", type=int, default=0, help="processes that read photos")
    predict.add_argument("--batch-size", type=int, default=16, help="photos computed at once")

    for one in (look, tune, judge):
        add_layout_options(one)
    for one in (tune, judge, predict):
        one.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    for one in (look, judge, predict):
        one.add_argument("--json", action="store_true", help="print JSON, all that was found")
    for one in (look, tune, judge, predict):
        one.add_argument("--quiet", action="store_true", help="no progress bars")

    both = command("compare", "put runs side by side, best validation first", run_compare)
    both.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs")
    return parser


def check_early(options: argparse.Namespace) -> None:
    """Find which path was mistyped before torch is loaded, which takes seconds."""
    for name in ("run", "start", "labels"):
        path = Path(getattr(options, name, None) or ".")
        if not path.exists():
            kind = "file" if name == "labels" else "run"
            raise CheckpointError(f"there is no {kind} {path}.{nearest_path(path)}")
    photos = getattr(options, "photos", None)
    if photos and not getattr(options, "resume", False) and not is_archive(photos):
        check_folder(Path(photos))


def run_inspect(options: argparse.Namespace) -> None:
    """Do ``tutorial-utils inspect``."""
    progress = not (options.json or options.quiet)
    with unpacked(options.photos) as photos:
        found = program.inspect_photos(
            photos, progress, max_pixels=options.max_pixels, **layout_of(options)
        )
    sizes = {name: len(part) for name, part in program.split_photos(found).items()}
    if options.json:
        print(json.dumps(found.to_json() | {"would_split": sizes}, indent=1))
    else:
        print(found.summary().replace(str(photos), options.photos))
        print("would learn from {train}, choose by {validation}, test on {test}".format(**sizes))


def run_finetune(options: argparse.Namespace) -> None:
    """Do ``tutorial-utils finetune``."""
    recipe = recipe_of(options)  # what is wrong in it is said before torch is loaded
    program.finetune(
        options.photos, options.out, recipe, options.resume,
        auto_batch=options.auto_batch, cpu=options.cpu, export=options.export,
        progress=not options.quiet, layout=layout_of(options),
    )  # fmt: skip


def run_evaluate(options: argparse.Namespace) -> None:
    """Do ``tutorial-utils evaluate``."""
    with unpacked(options.photos) as photos:
        found = program.evaluate(
            options.run, photos, options.report, split=options.split, cpu=options.cpu,
            progress=not (options.json or options.quiet), **layout_of(options),
        )  # fmt: skip
    print(json.dumps(found) if options.json else program.evaluation_text(found))


def run_predict(options: argparse.Namespace) -> None:
    """Do ``tutorial-utils predict``; each answer is printed as it comes, or all go into a table."""
    if options.top < 1:
        raise RecipeError(f"--top must be at least 1, got {options.top}.")
    answers = []
    for answer in program.predict_files(
        options.run, options.files, options.batch_size, options.workers,
        "cpu" if options.cpu else None, progress=bool(options.csv) and not options.quiet,
    ):  # fmt: skip
        answers.append(answer)
        if options.json:
            row = answer.to_json()
            row["predictions"] = row.get("predictions", [])[: options.top]
            print(json.dumps(row), flush=True)
        elif answer.error:
            print(answer.error, file=sys.stderr)
        elif not options.csv:
            both = islice(zip(answer.classes, answer.probabilities, strict=True), options.top)
            text = ", ".join(f"{name} {p:.3f}" for name, p in both)
            unsure = " (unsure: perhaps none of these)" if answer.unsure else ""
            print(f"{answer.photo}: {text}{unsure}", flush=True)
    if options.csv:
        write_answers(options, answers)
    if any(answer.error for answer in answers):
        raise SystemExit(FAILED)


def write_answers(options: argparse.Namespace, answers: Sequence) -> None:
    """Write the table that ``--csv`` asks for."""
    rows = program.csv_rows(answers, program.load(options.run).classes)
    try:
        with open(options.csv, "w", encoding="utf-8", errors="surrogateescape",
                  newline="") as file:  # fmt: skip
            csv.writer(file).writerows(rows)
    except OSError as error:
        raise RecipeError(f"{options.csv} cannot be written: {error.strerror}.") from None
    print(f"{len(answers)} photos: {options.csv}")


def run_compare(options: argparse.Namespace) -> None:
    """Do ``tutorial-utils compare``."""
    print(program.compare(options.runs))


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code; an error is one line."""
    options, unknown = make_parser().parse_known_args(arguments)
    if unknown:  # the command's own parser knows which option was meant
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if hasattr(sys.stdout, "reconfigure"):  # a name that the terminal has no letters for
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        check_early(options)
        options.work(options)
    except KeyboardInterrupt:
        hint = " Go on with the same command and --resume." if "out" in options else ""
        print(f"tutorial-utils: interrupted.{hint}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `tutorial-utils predict ... | head`
        sys.stderr.close()
        return 1
    except BookError as error:  # anything else is a fault of ours and shows its traceback
        print(f"tutorial-utils: {error}", file=sys.stderr)
        return error.exit_code
    return 0
