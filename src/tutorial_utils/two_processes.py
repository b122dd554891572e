"""One small training that gives the same weights in one process and in several.

Start it with ``torchrun --standalone --nproc-per-node=2 -m tutorial_utils.two_processes OUT``: each
process trains on its share of every batch, once in plain PyTorch and once with accelerate, and the
first one writes the final weights of both to OUT. The chapter ``trends`` does that and compares
them with a training in its own process.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate import Accelerator, DataLoaderConfiguration
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset


def train(rank: int, processes: int) -> torch.Tensor:
    """Train on rows rank, rank + processes, ... of every batch; return all weights."""
    torch.manual_seed(0)  # the same weights and the same batches in every process
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    if processes > 1:
        model = DistributedDataParallel(model)  # backward() averages the gradients
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    images, labels = torch.randn(64, 8, dtype=torch.float64), torch.arange(64) % 3
    for step in range(20):
        batch = torch.arange(16) + 16 * (step % 4)
        rows = batch[rank::processes]
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def train_accelerated() -> torch.Tensor:
    """Do the same with accelerate, which finds out about processes and devices by itself."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    images, labels = torch.randn(64, 8, dtype=torch.float64), torch.arange(64) % 3
    loader = DataLoader(TensorDataset(images, labels), batch_size=16)
    share = DataLoaderConfiguration(split_batches=True)  # each process gets a share of a batch
    accelerator = Accelerator(cpu=True, dataloader_config=share)  # without cpu: GPUs, if any
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for _ in range(5):
        for images, labels in loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def main() -> None:
    """Join the group that torchrun set up, train, and let the first process write the weights."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")  # "nccl" for GPUs
    weights = [train(dist.get_rank(), dist.get_world_size()), train_accelerated()]
    if dist.get_rank() == 0:
        torch.save(weights, Path(sys.argv[1]))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
    main()
