"""The fine-tuning program: from a folder of photos to a model, a report and predictions.

It imports ``photo_folder``, which reads and divides the photos, ``inference``, which asks and
judges a finished model, and the lessons; none of them imports it. The command ``tutorial-utils``
is in ``cli``, the path of a run in ``pipeline``, the training loop in ``trainer``. Names are
imported when they are first used, so that the command line answers before torch is loaded.
Chapter: *Your own photos*.
"""

import importlib

_PLACES = {
    "Recipe": "finetune.recipe", "finetune": "finetune.pipeline", "Result": "finetune.pipeline",
    "fit_probe": "finetune.probe", "cross_validate": "finetune.probe",
    "load": "inference.predict", "predict_files": "inference.predict",
    "csv_rows": "inference.predict", "evaluation_text": "inference.evaluate",
    "evaluate": "finetune.report", "write_report": "finetune.report",
    "compare": "finetune.comparison", "export_classifier": "inference.export",
    "list_photos": "photo_folder.listing",
    "inspect_photos": "photo_folder.inspect", "split_photos": "photo_folder.split",
}  # fmt: skip
__all__ = sorted(_PLACES)


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"{__name__} has no {name}")
    return getattr(importlib.import_module(f"tutorial_utils.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
