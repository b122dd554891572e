"""The command ``tutorial-utils``: fine-tune on a folder of photos, evaluate, predict, compare."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence

from tutorial_utils.errors import BookError
from tutorial_utils.finetune.recipe import Recipe

INTERRUPTED, FAILED = 130, 2


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Give the parser an option for each field of a recipe."""
    group = parser.add_argument_group("recipe (what is not given has the default)")
    group.add_argument("--recipe", metavar="FILE", help="a JSON file with these; options win")
    for f in dataclasses.fields(Recipe):
        name, text = "--" + f.name.replace("_", "-"), f.metadata["help"]
        if f.type is bool:
            action = argparse.BooleanOptionalAction
            group.add_argument(name, action=action, default=None, help=text)
            continue
        kind = {int: int, float: float, int | None: int}.get(f.type, str)
        default = "" if f.default is None else f" (default: {f.default})"
        group.add_argument(
            name, type=kind, default=None, choices=f.metadata["among"] or None, help=text + default,
            metavar=None if f.metadata["among"] else kind.__name__.upper(),
        )  # fmt: skip


def recipe_of(options: argparse.Namespace) -> Recipe | None:
    """Return the recipe that the options ask for; None if they ask for nothing."""
    names = [f.name for f in dataclasses.fields(Recipe)]
    given = {n: getattr(options, n) for n in names if getattr(options, n) is not None}
    if options.recipe is None:
        return Recipe(**given) if given else None
    with open(options.recipe, encoding="utf-8") as file:
        stored = Recipe.from_json(file.read())
    return dataclasses.replace(stored, **given)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="tutorial-utils", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    tune = commands.add_parser("finetune", help="from a folder of photos to a model and a report")
    tune.add_argument(
        "photos", metavar="PHOTOS", help="class folders, or train/validation/test, or a zip of it"
    )
    tune.add_argument("--out", required=True, metavar="RUN", help="new folder for all results")
    tune.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    tune.add_argument("--auto-batch", action="store_true", help="halve what is computed at once "
                      "when the memory does not suffice; the result stays")  # fmt: skip
    tune.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    tune.add_argument("--export", choices=["onnx", "torch"], action="append", default=[],
                      help="also write the model in this form, checked to be equal")  # fmt: skip
    tune.add_argument("--quiet", action="store_true", help="no progress bars")
    add_recipe_options(tune)
    tune.set_defaults(work=run_finetune)

    evaluate = commands.add_parser("evaluate", help="measure a run's model on other photos")
    evaluate.add_argument("run", metavar="RUN", help="a run's folder, or a saved classifier")
    evaluate.add_argument("photos", metavar="PHOTOS", help="class folders named like its classes")
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.set_defaults(work=run_evaluate)

    predict = commands.add_parser("predict", help="name what is on photos")
    predict.add_argument("run", metavar="RUN", help="a run's folder, or a saved classifier")
    predict.add_argument("files", nargs="+", metavar="FILE", help="photos, or folders of them")
    predict.add_argument("--top", type=int, default=3, help="classes to print (default: 3)")
    predict.add_argument("--json", action="store_true", help="print a JSON object a photo")
    predict.set_defaults(work=run_predict)

    compare = commands.add_parser("compare", help="put runs side by side, with intervals")
    compare.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs")
    compare.set_defaults(work=run_compare)
    return parser


def run_finetune(options: argparse.Namespace) -> None:
    """Do ``tutorial-utils finetune``."""
    from tutorial_utils.finetune.pipeline import finetune

    finetune(
        options.photos, options.out, recipe_of(options), options.resume,
        auto_batch=options.auto_batch, cpu=options.cpu, export=options.export,
        bars=not options.quiet,
    )  # fmt: skip


def run_evaluate(options: argparse.Namespace) -> None:
    """Do ``tutorial-utils evaluate``."""
    from tutorial_utils.finetune.inference import evaluate

    found = evaluate(options.run, options.photos)
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"accuracy {found['accuracy']:.3f} on {found['photos']} photos (95 % interval "
        f"{found['interval'][0]:.3f} to {found['interval'][1]:.3f}), loss {found['loss']:.3f}"
    )


def run_predict(options: argparse.Namespace) -> None:
    """Do ``tutorial-utils predict``."""
    from tutorial_utils.finetune.inference import predict_files

    failed = 0
    for path, answer in predict_files(options.run, options.files, options.top):
        if isinstance(answer, str):
            failed += 1
            print(answer, file=sys.stderr)
        elif options.json:
            rows = [{"class": name, "probability": p} for name, p in answer]
            print(json.dumps({"photo": path, "predictions": rows}), flush=True)
        else:
            print(f"{path}: " + ", ".join(f"{name} {p:.3f}" for name, p in answer), flush=True)
    if failed:
        raise SystemExit(FAILED)


def run_compare(options: argparse.Namespace) -> None:
    """Do ``tutorial-utils compare``."""
    from tutorial_utils.finetune.inference import compare

    print(compare(options.runs))


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code; an error is one line."""
    options = make_parser().parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):  # a name that the terminal has no letters for
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
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
