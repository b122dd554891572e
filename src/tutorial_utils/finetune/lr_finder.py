"""The learning-rate range test: train with a rate that rises, and watch when the loss does.

Smith (2017), "Cyclical learning rates for training neural networks", section 3.3,
arXiv:1506.01186. The weights are put back afterwards.
"""

import itertools
import math
from collections.abc import Sequence

from tutorial_utils.errors import DivergedError
from tutorial_utils.finetune.model_factory import training_mode
from tutorial_utils.finetune.trainer import Trainer
from tutorial_utils.photo_folder.loading import batches

LOW, HIGH, STEPS = 1e-6, 1.0, 60
SMOOTH = 0.8  # weight of the past in the running mean of the losses
TOO_HIGH = 3.0  # times the least loss: no need to go on


def range_test(trainer: Trainer) -> list[dict]:
    """Return rows of ``lr`` and running mean ``loss``, the rate rising by an equal factor a step.

    Args:
        trainer: before its first step; it is left as it was.
    """
    before = trainer.state()
    trainer.sampler.start(0, 0)
    trainer.train.set_epoch(0)
    training_mode(trainer.model, trainer.recipe.frozen_batchnorm())
    sizes = itertools.cycle([len(batch) for batch in trainer.sampler.batches()])
    stream = itertools.chain.from_iterable(batches(trainer.loader) for _ in itertools.count())
    rows, mean = [], 0.0
    for step in range(STEPS):
        lr = LOW * (HIGH / LOW) ** (step / (STEPS - 1))
        for group in trainer.optimizer.param_groups:
            group["lr"] = lr * group["initial_lr"] / trainer.recipe.lr
        images, labels = next(stream)
        loss = trainer.step_with_oom_retry(images, labels, next(sizes))
        if not math.isfinite(loss):
            break
        mean = SMOOTH * mean + (1 - SMOOTH) * loss
        rows.append({"lr": lr, "loss": mean / (1 - SMOOTH ** (step + 1))})
        if rows[-1]["loss"] > TOO_HIGH * min(row["loss"] for row in rows):
            break
    trainer.restore(before)
    return rows


def suggest(rows: Sequence[dict]) -> float:
    """Return a tenth of the rate with the least loss: a rule of thumb, on the safe side.

    Raises:
        DivergedError: there are no rows: the very first loss was not finite.
    """
    if not rows:
        raise DivergedError("the loss is NaN at the lowest rate: look at photos and weights.")
    return min(rows, key=lambda row: row["loss"])["lr"] / 10
