"""A finished model at work: asked about photos, judged on others, given to other programs.

``predict`` answers, ``evaluate`` measures, ``export`` writes ONNX or torch's own format, and
``cpu_speed`` makes a network fast on a CPU, in training too. It imports ``photo_folder`` and the
lessons; ``finetune``, which makes the models, imports it.
"""
