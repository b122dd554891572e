"""The fine-tuning program: from a folder of photos to a model, a report and predictions.

It imports the lessons (``tutorial_utils``); no lesson imports it. The command ``tutorial-utils`` is
in ``cli``, the path of a run in ``pipeline``, the training loop in ``trainer``. Names are imported
when they are first used, so that the command line answers before torch is loaded. Chapter: *Your
own photos*.
"""

import importlib

_PLACES = {
    "Recipe": "recipe", "finetune": "pipeline", "Result": "pipeline", "inspect_photos": "inspect",
    "split_photos": "split", "fit_probe": "probe", "cross_validate": "probe",
    "predict_files": "inference", "evaluate": "inference", "compare": "inference",
    "write_report": "report", "export_classifier": "export", "list_photos": "listing",
}  # fmt: skip
__all__ = sorted(_PLACES)


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"{__name__} has no {name}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
