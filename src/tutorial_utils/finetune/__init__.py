"""The fine-tuning program: from a folder of photos to a model, a report and predictions.

It imports the lessons (``tutorial_utils``); no lesson imports it. The command ``tutorial-utils`` is
in ``cli``, the path of a run in ``pipeline``, the training loop in ``trainer``. Chapter: *Your own
photos*.
"""
