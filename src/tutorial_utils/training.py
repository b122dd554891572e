"""Training and prediction: one plain loop, built in ``first_model`` and used by later chapters."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader

from tutorial_utils.models import head, train_mode
from tutorial_utils.scale import progress


def train_epoch(
    model: nn.Module,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer,
    device: torch.device | str = "cpu",
    loss_function: nn.Module | None = None,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    amp: bool = False,
) -> float:
    """Train for one pass over the data and return the mean loss per image, in nats.

    Args:
        model: maps images (N, C, H, W) to logits (N, num_classes).
        loader: yields images and integer labels (N,).
        optimizer: holds the parameters to train.
        device: where the model lies.
        loss_function: takes logits and labels; cross-entropy if not given.
        scheduler: stepped after each batch, if given.
        amp: compute in bfloat16 where that is safe (torch.autocast).

    Raises:
        FloatingPointError: the loss is no longer a finite number; the weights are those before
            the step that would have spoiled them.
    """
    train_mode(model)
    loss_function = loss_function or nn.CrossEntropyLoss()
    device = torch.device(device)
    total, count = 0.0, 0
    for images, labels in progress(loader, "train"):
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            loss = loss_function(model(images), labels)
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss is {value} after {count} images of this epoch. Lower the learning "
                "rate, check the images for NaN, or leave out mixed precision."
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        total += value * len(labels)  # a short last batch counts for its images only
        count += len(labels)
    return total / count


@torch.no_grad()
def extract_features(
    model: nn.Module, loader: DataLoader, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the model's head sees of each image, and the labels, both on the CPU.

    Under a frozen backbone these features never change, so computing them once and training the
    head on them gives the same as training through the backbone, without its cost.

    Returns:
        Features of shape (N, in_features) and labels (N,), with the model in eval mode.
    """
    seen = []
    hook = head(model).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].cpu()))
    try:
        _, labels = predict(model, loader, device)
    finally:
        hook.remove()
    return torch.cat(seen), labels


@torch.no_grad()
def predict(
    model: nn.Module,
    loader: DataLoader,
    device: torch.device | str = "cpu",
    amp: bool | torch.dtype = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (N, num_classes) and labels (N,) of all images, on the CPU, in eval mode.

    ``amp`` computes in bfloat16, or in the dtype that is given, where that is safe.
    """
    model.eval()
    device = torch.device(device)
    dtype = amp if isinstance(amp, torch.dtype) else torch.bfloat16
    logits, labels = [], []
    for images, batch_labels in progress(loader, "predict"):
        with torch.autocast(device.type, dtype, enabled=bool(amp)):
            output = model(images.to(device, non_blocking=True))
        logits.append(output.cpu() if output.dtype == torch.float64 else output.float().cpu())
        labels.append(batch_labels)
    return torch.cat(logits), torch.cat(labels)


def fit(
    model: nn.Module,
    train_loader: DataLoader,
    validation_loader: DataLoader,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    device: torch.device | str = "cpu",
    loss_function: nn.Module | None = None,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    amp: bool = False,
) -> list[dict[str, float]]:
    """Train for some epochs, measuring on the validation set after each.

    ``epochs`` counts the passes over the training data. The other arguments are those of
    ``train_epoch``. Never pass the test set as ``validation_loader``.

    Returns:
        Rows with ``epoch`` (from 1), ``train_loss`` and ``validation_loss`` (nats, mean per image)
        and ``accuracy`` (validation, 0 to 1).
    """
    history = []
    for epoch in range(1, epochs + 1):
        train_loss = train_epoch(
            model, train_loader, optimizer, device, loss_function, scheduler, amp
        )
        logits, labels = predict(model, validation_loader, device, amp)
        history.append(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "validation_loss": nn.functional.cross_entropy(logits, labels).item(),
                "accuracy": (logits.argmax(dim=1) == labels).double().mean().item(),
            }
        )
    return history
