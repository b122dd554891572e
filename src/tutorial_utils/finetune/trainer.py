"""The training loop of a fine-tuning run: the plain one of ``training``, made to survive and scale.

The chance in a step comes from the recipe's seed, the epoch and the step's number alone: so a run
that goes on after step 40 is the run that was never stopped. A batch may be computed by several
processes, and in pieces, with the same result up to rounding.
"""

import contextlib
import copy
import math
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Sampler, Subset

from tutorial_utils.errors import DivergedError, PhotosError
from tutorial_utils.finetune.distributed import Part, gather_rows, share, share_dice
from tutorial_utils.finetune.loading import PhotoDataset, batches, make_loader, mix
from tutorial_utils.finetune.model_factory import default_pieces, logits_and_loss, training_mode
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.finetune.transforms import mixer
from tutorial_utils.models import parameter_groups
from tutorial_utils.training import predict

AMP = {"no": False, "fp16": torch.float16, "bf16": torch.bfloat16}  # accelerate's names


def rate_factor(step: int, steps: int, warmup: float) -> float:
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


class Shares(Sampler[list[int]]):
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
        generator = torch.Generator().manual_seed(mix(self.seed, self.epoch))
        order = torch.randperm(self.count, generator=generator)
        return list(order.tensor_split(-(-self.count // self.size)))

    def __len__(self) -> int:
        return -(-self.count // self.size) - self.first

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches()[self.first :]:
            first, end = share(len(batch), self.processes, self.index)
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
    pieces: int = 1
    rows: list[dict] = field(default_factory=list)


class Trainer:
    """All that changes while training, how to do an epoch, and how to store and restore it.

    Args:
        recipe: how to train.
        model: with its head; on the CPU.
        train: the training photos, with chance in the transform.
        validation: the validation photos.
        num_classes: their number.
        accelerator: device, precision and processes.
        class_weights: (num_classes,), or None for all alike.
        auto_batch: compute batches in more pieces when the memory does not suffice.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: nn.Module,
        train: PhotoDataset,
        validation: PhotoDataset,
        num_classes: int,
        accelerator: Accelerator,
        class_weights: torch.Tensor | None = None,
        auto_batch: bool = False,
    ):
        self.recipe, self.accelerator, self.auto_batch = recipe, accelerator, auto_batch
        self.train, self.validation = train, validation
        self.processes, self.index = accelerator.num_processes, accelerator.process_index
        self.part: Part = share_dice(model)
        model = model.to(accelerator.device)
        self.amp = AMP[accelerator.mixed_precision]
        self.ema = None
        if recipe.ema > 0:
            average = get_ema_multi_avg_fn(recipe.ema)
            self.ema = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
        self.plain = model
        backbone = recipe.lr * recipe.backbone_share if recipe.regime == "discriminative" else None
        groups = parameter_groups(model, recipe.lr, backbone, recipe.weight_decay)
        optimizer = torch.optim.AdamW(groups, fused=accelerator.device.type in ("cpu", "cuda"))
        for group in optimizer.param_groups:
            group["highest"] = group["lr"]
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.compiled = torch.compile(self.model) if recipe.compile else self.model
        self.mixer = mixer(recipe, num_classes)
        self.options = {"label_smoothing": recipe.label_smoothing}
        if class_weights is not None:
            self.options["weight"] = class_weights.float().to(accelerator.device)
        self.sampler = Shares(
            len(train), recipe.batch_size, recipe.seed, self.processes, self.index
        )
        self.loader = DataLoader(
            train,
            batch_sampler=self.sampler,
            num_workers=recipe.workers,
            generator=torch.Generator().manual_seed(recipe.seed),
            pin_memory=accelerator.device.type == "cuda",
            persistent_workers=recipe.workers > 0,
        )
        self.steps = -(-len(train) // recipe.batch_size)  # an epoch
        pieces = recipe.accumulate
        if pieces is None:  # batch statistics would change with the pieces
            frozen, crop = recipe.frozen_batchnorm(), train[0][0].shape[-1]
            pieces = default_pieces(recipe.batch_size, crop, accelerator.device) if frozen else 1
        self.progress = Progress(pieces=pieces)
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
        stream = batches(self.loader)
        for size in sizes:
            images, labels = next(stream)
            self._set_rate()
            loss = self.careful_step(images, labels, size)
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the loss is {loss} in step {now.step + 1} of epoch {now.epoch + 1}. Lower "
                    "the learning rate (--lr), or use --precision float32. The best epoch before "
                    "is kept."
                )
            now.step, now.loss, now.photos = now.step + 1, now.loss + loss * size, now.photos + size
            after_step()
        for _ in stream:  # lets the workers end their epoch
            pass
        logits, labels = self.outputs = self.predict(self.validation)
        row = {
            "epoch": now.epoch + 1,
            "lr": self.optimizer.param_groups[0]["lr"],
            "train_loss": now.loss / now.photos,
            "validation_loss": nn.functional.cross_entropy(logits, labels).item(),
            "accuracy": (logits.argmax(dim=1) == labels).double().mean().item(),
        }
        now.epoch, now.step, now.loss, now.photos = now.epoch + 1, 0, 0.0, 0
        return row

    def set_highest(self, lr: float) -> None:
        """Train with another highest learning rate than the recipe's."""
        for group in self.optimizer.param_groups:
            group["highest"] *= lr / self.recipe.lr

    def _set_rate(self) -> None:
        """Set the learning rates of the step that comes next."""
        step = self.progress.epoch * self.steps + self.progress.step
        factor = rate_factor(step, self.recipe.epochs * self.steps, self.recipe.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * factor

    def careful_step(self, images: torch.Tensor, labels: torch.Tensor, size: int) -> float:
        """Do a step; if the memory does not suffice, say so or do it again in more pieces."""
        while True:
            try:
                return self._step(images, labels, size)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                half = max(1, size // (2 * self.progress.pieces))
                if not self.auto_batch or self.processes > 1 or self.progress.pieces >= size:
                    raise PhotosError(
                        f"out of memory with {size} photos of {images.shape[-1]} pixels in "
                        f"{self.progress.pieces} piece(s). Try --batch-size {half}; or keep the "
                        f"batch and its result with --accumulate {2 * self.progress.pieces} (or "
                        "--auto-batch, which does that by itself); or a smaller --image-size."
                    ) from None
            self.optimizer.zero_grad()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.progress.pieces *= 2

    def _step(self, images: torch.Tensor, labels: torch.Tensor, size: int) -> float:
        """Compute on this process's rows, in pieces, and change the weights; return the loss."""
        now, device = self.progress, self.accelerator.device
        first, end = share(size, self.processes, self.index)
        real = end - first  # 0 if the batch has fewer rows than there are processes
        pieces = min(now.pieces, -(-size // self.processes))
        total = torch.zeros((), device=device)
        for k in range(pieces):
            low, high = share(real, pieces, k)
            empty = high == low
            rows = slice(0, 1) if empty else slice(low, high)
            x = images[rows].to(device, non_blocking=True)
            y = labels[rows].to(device, non_blocking=True)
            torch.manual_seed(mix(self.recipe.seed, now.epoch, now.step))
            if self.mixer is not None:
                x, y = self.mixer(x, y)
            self.part.first, self.part.count, self.part.total = first + low, len(x), size
            last = k == pieces - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.model):
                with self.accelerator.autocast():
                    output = self.compiled(x)
                _, losses = logits_and_loss(output, y, **self.options)
                # Gradients are averaged over the processes, so each multiplies by their number.
                loss = losses.sum() * (0.0 if empty else 1.0) / size
                self.accelerator.backward(loss * self.processes)
            total += loss.detach()
        if self.processes > 1:
            total = self.accelerator.reduce(total, "sum")
        loss = total.item()
        if math.isfinite(loss):  # else the weights stay as they are
            self.optimizer.step()
            if self.ema is not None:
                self.ema.update_parameters(self.plain)
        self.optimizer.zero_grad()
        return loss

    # --- Look at it. ---

    def current(self) -> nn.Module:
        """Return the network that is to be judged: the moving average, if there is one."""
        return self.plain if self.ema is None else self.ema.module

    def predict(self, photos: PhotoDataset) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and labels of all photos; every process computes its share."""
        return predict_shared(
            self.current(), photos, self.accelerator, self.recipe.workers, amp=self.amp
        )

    # --- Store and restore. ---

    def state(self) -> dict:
        """Return all that the next step needs, as tensors and plain values."""
        scaler = self.accelerator.scaler
        return {
            "model": cpu_copy(self.plain.state_dict()),
            "ema": None if self.ema is None else cpu_copy(self.ema.state_dict()),
            "optimizer": cpu_copy(self.optimizer.state_dict()),
            "scaler": None if scaler is None else scaler.state_dict(),
            "progress": copy.deepcopy(vars(self.progress)),
        }

    def restore(self, state: dict) -> None:
        """Go back to a state that ``state`` returned.

        Raises:
            PhotosError: it is another model's or recipe's.
        """
        try:
            self.plain.load_state_dict(state["model"])
            if self.ema is not None:
                self.ema.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.accelerator.scaler is not None and state["scaler"]:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            vars(self.progress).update(vars(Progress(**copy.deepcopy(state["progress"]))))
        except (RuntimeError, KeyError, ValueError) as error:
            raise PhotosError(
                f"last.pt does not fit this run's model and recipe: {str(error).splitlines()[0]}"
            ) from None


def predict_shared(
    model: nn.Module,
    photos: PhotoDataset,
    accelerator: Accelerator,
    workers: int,
    amp: bool | torch.dtype = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and labels of all photos in order, each process having computed its share."""
    batch_size = 16 if accelerator.device.type == "cpu" else 128
    first, end = share(len(photos), accelerator.num_processes, accelerator.process_index)
    mine = photos if end - first == len(photos) else Subset(photos, range(first, end))
    while True:
        loader = make_loader(mine, batch_size, train=False, workers=workers)
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
    """Let Ctrl-C and SIGTERM be asked for between steps; a second Ctrl-C interrupts at once.

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
