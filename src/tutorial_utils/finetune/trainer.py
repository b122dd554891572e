"""The training loop of a fine-tuning run: the plain one of ``training``, made to survive and scale.

All that is random in a step comes from the recipe's seed, the epoch and the step's number alone: so
a run that goes on after step 40 is the run that was never stopped. A batch may be computed by
several processes, and in micro-batches to save memory, with the same result up to rounding and
dropout. The whole loop stands here: ``run_epoch`` does an epoch, ``_step`` a step.
"""

import contextlib
import copy
import math
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Sampler, Subset

from tutorial_utils.errors import DivergedError, PhotosError
from tutorial_utils.evaluation import accuracy
from tutorial_utils.finetune.augmentation import mixer
from tutorial_utils.finetune.distributed import gather_rows, shard_range
from tutorial_utils.finetune.features import DTYPES
from tutorial_utils.finetune.model_factory import (
    default_micro_batches,
    logits_and_loss,
    training_mode,
)
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.models import parameter_groups
from tutorial_utils.photo_folder.loading import PhotoDataset, batches, derive_seed, eval_loader
from tutorial_utils.training import predict


def warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Return the share of the highest learning rate for a step: a straight rise, then a cosine.

    Args:
        step: from 0 to ``steps`` - 1.
        steps: of the whole training.
        warmup: share of the steps in which the rate rises.
    """
    rise = round(warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


class ShardedBatches(Sampler[list[int]]):
    """The batches of an epoch, and of each the rows that this process computes on."""

    def __init__(self, count: int, size: int, seed: int, processes: int, index: int):
        self.count, self.size, self.seed = count, size, seed
        self.processes, self.index, self.epoch, self.first = processes, index, 0, 0

    def start(self, epoch: int, first: int) -> None:
        """Choose the epoch, and the batch to start from."""
        self.epoch, self.first = epoch, first

    def batches(self) -> list[torch.Tensor]:
        """Return the indices of all batches of the epoch: every photo once, shuffled.

        Sizes differ by one at most, so no small rest distorts a step (or BatchNorm's statistics).
        """
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.epoch))
        order = torch.randperm(self.count, generator=generator)
        return list(order.tensor_split(-(-self.count // self.size)))

    def __len__(self) -> int:
        return -(-self.count // self.size) - self.first

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches()[self.first :]:
            first, end = shard_range(len(batch), self.processes, self.index)
            yield batch[first:end].tolist() or batch[:1].tolist()  # a photo that will weigh nothing


@dataclass
class Progress:
    """How far a training is, and its best epoch so far."""

    epoch: int = 0  # finished ones
    step: int = 0  # steps done in the epoch after those
    loss: float = 0.0  # their sum over the photos
    photos: int = 0
    best: dict | None = None
    since_best: int = 0
    micro_batches: int = 1


class Trainer:
    """All that changes while training, how to do an epoch, and how to store and restore it.

    Args:
        recipe: how to train.
        model: with its head; on the CPU.
        train: the training photos, with random augmentation.
        validation: the validation photos.
        num_classes: their number.
        accelerator: device and processes.
        precision: of the computation, one of ``recipe.PRECISIONS`` but ``"auto"``.
        crop: side of the images in pixels.
        class_weights: (num_classes,), or None for all alike.
        auto_batch: compute batches in more micro-batches when the memory does not suffice.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: nn.Module,
        train: PhotoDataset,
        validation: PhotoDataset,
        num_classes: int,
        accelerator: Accelerator,
        precision: str = "float32",
        crop: int = 224,
        class_weights: torch.Tensor | None = None,
        auto_batch: bool = False,
    ):
        self.recipe, self.accelerator, self.auto_batch = recipe, accelerator, auto_batch
        self.train, self.validation = train, validation
        self.processes, self.index = accelerator.num_processes, accelerator.process_index
        device = accelerator.device
        self.unwrapped = model.to(device)
        self.amp = DTYPES[precision] if precision != "float32" else False
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
        self.ema = None
        if recipe.ema > 0:
            average = get_ema_multi_avg_fn(recipe.ema)
            self.ema = AveragedModel(self.unwrapped, multi_avg_fn=average, use_buffers=True)
        scale = recipe.backbone_lr_scale if recipe.regime == "discriminative" else None
        backbone = None if scale is None else recipe.lr * scale
        groups = parameter_groups(self.unwrapped, recipe.lr, backbone, recipe.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, fused=device.type in ("cpu", "cuda"))
        self.model = accelerator.prepare(self.unwrapped)
        self.compiled = torch.compile(self.model) if recipe.compile else self.model
        self.steps = -(-len(train) // recipe.batch_size)  # of an epoch
        self.schedule = LambdaLR(
            self.optimizer,
            lambda step: warmup_cosine(step, recipe.epochs * self.steps, recipe.warmup),
        )
        self.mixer = mixer(recipe, num_classes)
        self.options = {"label_smoothing": recipe.label_smoothing}
        if class_weights is not None:
            self.options["weight"] = class_weights.float().to(device)
        self.sampler = ShardedBatches(
            len(train), recipe.batch_size, recipe.seed, self.processes, self.index
        )
        self.loader = DataLoader(
            train,
            batch_sampler=self.sampler,
            num_workers=recipe.workers,
            generator=torch.Generator().manual_seed(recipe.seed),
            pin_memory=device.type == "cuda",
            persistent_workers=recipe.workers > 0,
        )
        count = recipe.gradient_accumulation_steps
        if count is None:  # batch statistics would change with the micro-batches
            frozen = recipe.frozen_batchnorm()
            count = default_micro_batches(recipe.batch_size, crop, device) if frozen else 1
        self.progress = Progress(micro_batches=count)
        self.outputs: tuple[torch.Tensor, torch.Tensor] | None = None  # of the last validation

    # --- One epoch. ---

    def run_epoch(self, after_step: Callable[[], None] = lambda: None) -> dict:
        """Do the rest of the epoch that ``progress`` stands in, validate, and return its row.

        Raises:
            DivergedError: the loss is infinite or NaN.
            PhotosError: the memory does not suffice, or a photo cannot be read any more.
        """
        now = self.progress
        self.sampler.start(now.epoch, now.step)
        self.train.set_epoch(now.epoch)
        sizes = [len(batch) for batch in self.sampler.batches()][now.step :]
        training_mode(self.model, self.recipe.frozen_batchnorm())
        stream, rate = batches(self.loader), 0.0
        for size in sizes:
            images, labels = next(stream)
            rate = self.optimizer.param_groups[0]["lr"]
            loss = self.step_with_oom_retry(images, labels, size)
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the loss is {loss} in step {now.step + 1} of epoch {now.epoch + 1}. Lower "
                    "the learning rate (--lr), or use --precision float32. The best epoch before "
                    "is kept."
                )
            self.schedule.step()
            now.step, now.loss, now.photos = now.step + 1, now.loss + loss * size, now.photos + size
            after_step()
        for _ in stream:  # lets the workers end their epoch
            pass
        logits, labels = self.outputs = self.predict(self.validation)
        if not logits.isfinite().all():
            raise DivergedError(
                f"the network's answers after epoch {now.epoch + 1} are infinite or NaN. Lower the "
                "learning rate (--lr). The best epoch before is kept."
            )
        row = {
            "epoch": now.epoch + 1,
            "lr": rate,
            "train_loss": now.loss / now.photos,
            "validation_loss": nn.functional.cross_entropy(logits, labels).item(),
            "accuracy": accuracy(logits, labels),
        }
        now.epoch, now.step, now.loss, now.photos = now.epoch + 1, 0, 0.0, 0
        return row

    def set_lr(self, lr: float) -> None:
        """Train with another highest learning rate than the recipe's."""
        scale = lr / self.recipe.lr
        self.schedule.base_lrs = [scale * base for base in self.schedule.base_lrs]
        for group in self.optimizer.param_groups:
            group["lr"] *= scale
            group["initial_lr"] *= scale

    def step_with_oom_retry(self, images: torch.Tensor, labels: torch.Tensor, size: int) -> float:
        """Do a step; if the memory does not suffice, say so or try in more micro-batches."""
        while True:
            try:
                return self._step(images, labels, size)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                now = self.progress
                half = max(1, size // (2 * now.micro_batches))
                if not self.auto_batch or self.processes > 1 or now.micro_batches >= size:
                    raise PhotosError(
                        f"out of memory with {size} photos of {images.shape[-1]} pixels in "
                        f"{now.micro_batches} micro-batch(es). Try --batch-size {half}; or keep "
                        "the batch and its result with --gradient-accumulation-steps "
                        f"{2 * now.micro_batches} (or --auto-batch, which does that by itself); or "
                        "a smaller --image-size."
                    ) from None
            self.optimizer.zero_grad()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.progress.micro_batches *= 2

    def _step(self, images: torch.Tensor, labels: torch.Tensor, size: int) -> float:
        """Compute on this process's rows, in micro-batches, and change the weights.

        Args:
            images: this process's rows of the batch, (n, 3, H, W).
            labels: (n,).
            size: photos of the whole batch, over all processes.

        Returns:
            The mean loss of the whole batch.
        """
        now, device = self.progress, self.accelerator.device
        first, end = shard_range(size, self.processes, self.index)
        real = end - first  # 0 if the batch has fewer rows than there are processes
        count = min(now.micro_batches, -(-size // self.processes))
        torch.manual_seed(derive_seed(self.recipe.seed, now.epoch, now.step, self.index))
        total = torch.zeros((), device=device)
        for k in range(count):
            low, high = shard_range(real, count, k)
            empty = high == low
            rows = slice(0, 1) if empty else slice(low, high)
            x = images[rows].to(device, non_blocking=True)
            y = labels[rows].to(device, non_blocking=True)
            if self.mixer is not None:
                x, y = self.mixer(x, y)
            last = k == count - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.model):
                with torch.autocast(device.type, self.amp or None, enabled=bool(self.amp)):
                    output = self.compiled(x)
                _, losses = logits_and_loss(output, y, **self.options)
                # Gradients are averaged over the processes, so each multiplies by their number.
                loss = losses.sum() * (0.0 if empty else 1.0) / size
                self.scaler.scale(loss * self.processes).backward()
            total += loss.detach()
        if self.processes > 1:
            total = self.accelerator.reduce(total, "sum")
        loss = total.item()
        if math.isfinite(loss):  # else the weights stay as they are
            self.scaler.step(self.optimizer)
            self.scaler.update()
            if self.ema is not None:
                self.ema.update_parameters(self.unwrapped)
        self.optimizer.zero_grad()
        return loss

    # --- Look at it. ---

    def current(self) -> nn.Module:
        """Return the network that is to be judged: the moving average, if there is one."""
        return self.unwrapped if self.ema is None else self.ema.module

    def predict(self, photos: PhotoDataset) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and labels of all photos; every process computes its shard."""
        return predict_shared(
            self.current(), photos, self.accelerator, self.recipe.workers, amp=self.amp
        )

    # --- Store and restore. ---

    def state(self) -> dict:
        """Return all that the next step needs, as tensors and plain values."""
        return {
            "model": cpu_copy(self.unwrapped.state_dict()),
            "ema": None if self.ema is None else cpu_copy(self.ema.state_dict()),
            "optimizer": cpu_copy(self.optimizer.state_dict()),
            "scaler": self.scaler.state_dict(),
            "base_lrs": list(self.schedule.base_lrs),
            "progress": copy.deepcopy(vars(self.progress)),
        }

    def restore(self, state: dict) -> None:
        """Go back to a state that ``state`` returned.

        Raises:
            PhotosError: it is another model's or recipe's.
        """
        wanted = {name: value.shape for name, value in self.unwrapped.state_dict().items()}
        found = {name: value.shape for name, value in state["model"].items()}
        if wanted != found or (self.ema is None) != (state["ema"] is None):
            odd = sorted(set(wanted.items()) ^ set(found.items()))[:1]
            raise PhotosError(f"last.pt does not fit this run's model and recipe: {odd or 'ema'}.")
        self.unwrapped.load_state_dict(state["model"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**copy.deepcopy(state["progress"]))
        # The schedule goes on from the step, also towards another number of epochs.
        self.schedule.base_lrs = list(state["base_lrs"])
        step = self.progress.epoch * self.steps + self.progress.step
        self.schedule.last_epoch = step
        factor = warmup_cosine(step, self.recipe.epochs * self.steps, self.recipe.warmup)
        for group, base in zip(self.optimizer.param_groups, self.schedule.base_lrs, strict=True):
            group["lr"] = base * factor


def predict_shared(
    model: nn.Module,
    photos: PhotoDataset,
    accelerator: Accelerator,
    workers: int,
    amp: bool | torch.dtype = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and labels of all photos in order, each process having computed its shard."""
    batch_size = 16 if accelerator.device.type == "cpu" else 128
    first, end = shard_range(len(photos), accelerator.num_processes, accelerator.process_index)
    mine = photos if end - first == len(photos) else Subset(photos, range(first, end))
    while True:
        loader = eval_loader(mine, batch_size, workers)
        try:
            logits, labels = [], []
            if end > first:
                logits, labels = predict(model, batches(loader), accelerator.device, amp)
            break
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or batch_size == 1:
                raise
        batch_size //= 2  # only time depends on it
    if accelerator.num_processes == 1:
        return logits, labels
    if end == first:
        logits, labels = torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64)
    logits = gather_rows(accelerator, logits)
    return logits, gather_rows(accelerator, labels)


def out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that there was not enough memory, on any device."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        words in text for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def cpu_copy(values):
    """Return nested dicts and lists with every tensor copied to the CPU."""
    if isinstance(values, torch.Tensor):
        return values.detach().to("cpu", copy=True)
    if isinstance(values, dict):
        return {key: cpu_copy(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(cpu_copy(value) for value in values)
    return values


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Defer SIGINT and SIGTERM to the next step boundary; a second Ctrl-C interrupts at once.

    Yields:
        A function that tells whether one came.
    """
    came = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def ask(number, frame):
        if came and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(number)

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
