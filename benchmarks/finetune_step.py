"""How many images a second one training step takes in: the engine's, and a plain loop's.

One whole step (forward, backward, optimizer) of MobileNetV2 on a batch of 32 images of 224 pixels
that are in memory already. The plain loop is the document's: float32, channels first, BatchNorm in
train mode, SGD. The engine's is `Trainer.step_with_oom_retry` with the default recipe, in the
precision that its rule chooses. Between the two stand single changes, each added to those before
it; a test holds that no two of them call the same code.

Every round runs every variant once, in a new order; ratios are taken within a round, and their
medians stored, with the quarters. What is counted is the CPU time of one thread. Processors without
bfloat16, or without AVX-512, are imitated in processes of their own: `ATEN_CPU_CAPABILITY` limits
PyTorch's own kernels and `ONEDNN_MAX_CPU_ISA` those of oneDNN, which ignores the former.

With a CUDA GPU a second part measures ResNet-50 there, batch 256, data on the GPU, on the clock.
`--try-gpu` runs that part on the CPU with tiny sizes, to see that it works.

Run it with `python benchmarks/finetune_step.py`: about ten minutes on one core. It writes
results/finetune_step.json.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import torch
from accelerate import Accelerator
from accelerate.state import PartialState
from torch import nn
from torch.nn import functional as F
from torchvision.models import get_model

from tutorial_utils.finetune.model_factory import choose_precision, training_mode
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.finetune.trainer import Trainer
from tutorial_utils.inference.cpu_speed import fold_batchnorm
from tutorial_utils.models import parameter_groups
from tutorial_utils.results import save_results

CLASSES, BATCH, PIXELS = 10, 32, 224
LAST = torch.channels_last
LIMITS = {  # imitated processors
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "AVX-512 without bfloat16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"},
    "PyTorch's kernels without vectors": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
}
# Dense 16-bit peaks in FLOP/s as NVIDIA's data sheets have them.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L4": 121e12, "T4": 65e12}


class InMemory(torch.utils.data.Dataset):
    """Images that are there already; what ``Trainer`` asks of a data set."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor):
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        return self.images[index], int(self.labels[index])

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: nothing in it is random."""


def fresh(name: str) -> nn.Module:
    torch.manual_seed(0)
    return get_model(name, weights=None, num_classes=CLASSES)


def plain_step(model: nn.Module, images, labels, optimizer, amp=None) -> Callable[[], float]:
    """Return a step as in a hand-written loop."""

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast(images.device.type, amp or torch.bfloat16, enabled=amp is not None):
            output = model(images)
        loss = F.cross_entropy(output.float(), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def document_step(name: str, images, labels) -> Callable[[], float]:
    model = fresh(name).to(images.device).train()
    sgd = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    return plain_step(model, images, labels, sgd)


def engine_step(name: str, images, labels, precision: str, **choices) -> Callable[[], float]:
    """Return the engine's step: all that ``finetune`` does for a batch."""
    accelerator = Accelerator(cpu=images.device.type == "cpu", mixed_precision="no")
    recipe = Recipe(model=name, batch_size=len(images), **choices)
    model = fresh(name)
    fold_batchnorm(model)
    model = model.to(memory_format=LAST)
    data = InMemory(images, labels)
    trainer = Trainer(recipe, model, data, data, CLASSES, accelerator, precision, images.shape[-1])
    training_mode(trainer.model, recipe.frozen_batchnorm())

    def step() -> float:
        return trainer.step_with_oom_retry(images, labels, len(images))

    return step


def ladder(images, labels) -> dict[str, Callable[[], float]]:
    """Return steps from the plain loop to the engine's, one change at a time."""
    steps = {"plain": document_step("mobilenet_v2", images, labels)}
    for name, level in {
        "+ channels last": 1,
        "+ bfloat16": 2,
        "+ BatchNorm frozen": 3,
        "+ BatchNorm folded": 4,
        "+ gradient of strided depthwise": 5,
    }.items():
        model = fresh("mobilenet_v2")
        training_mode(model, level >= 3)
        if level >= 4:
            fold_batchnorm(model, fast_gradient=level >= 5)
        model = model.to(memory_format=LAST)
        adam = torch.optim.AdamW(parameter_groups(model, 3e-4, None, 0.05), fused=True)
        amp = torch.bfloat16 if level >= 2 else None
        steps[name] = plain_step(model, images, labels, adam, amp)
        if level == 4:
            compiled = torch.compile(model)
            steps["the same, compiled"] = plain_step(compiled, images, labels, adam, amp)
    return steps


def compare(steps: dict, images: int, rounds: int, clock=time.process_time) -> dict:
    """Return each step's images a second, and how many times that is the first one's."""
    first = next(iter(steps))
    began = {}
    for name, step in steps.items():
        started = clock()
        step()
        began[name] = clock() - started
        step()
    times, order = {name: [] for name in steps}, list(steps)
    for number in range(rounds):
        random.Random(number).shuffle(order)
        for name in order:
            started = clock()
            steps[name]()
            times[name].append(clock() - started)
    summary = {}
    for name, seconds in times.items():
        ratios = [a / b for a, b in zip(times[first], seconds, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        summary[name] = {
            "images_a_second": round(images / statistics.median(seconds), 1),
            "ratio": round(middle, 2),
            "quarters": [round(low, 2), round(high, 2)],
            "first_step_seconds": round(began[name], 1),
        }
        print(f"  {name:34} {summary[name]}", flush=True)
    return summary


def batch(count: int, pixels: int, device="cpu") -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    images = torch.randn(count, 3, pixels, pixels, device=device)
    return images, torch.arange(count, device=device) % CLASSES


def measure_cpu(rounds: int, all_variants: bool) -> dict:
    """Measure on this processor, as the environment limits it."""
    torch.set_num_threads(1)
    PartialState(cpu=True)
    images, labels = batch(BATCH, PIXELS)
    precision = choose_precision(torch.device("cpu"))
    if all_variants:
        steps = ladder(images, labels)
    else:
        steps = {"plain": document_step("mobilenet_v2", images, labels)}
    for name in ("float32", "bfloat16") if all_variants else (precision,):
        steps[f"engine, {name}"] = engine_step("mobilenet_v2", images, labels, name)
    return {
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "chosen": precision,
        "rounds": rounds,
        "variants": compare(steps, BATCH, rounds),
    }


def measure_limited(limits: dict, rounds: int) -> dict:
    """Measure in a process that imitates another processor."""
    command = [sys.executable, __file__, "--child", "--rounds", str(rounds)]
    done = subprocess.run(
        command, env={**os.environ, **limits}, check=True, stdout=subprocess.PIPE, text=True
    )
    *lines, last = done.stdout.rstrip().splitlines()
    print(*lines, sep="\n", flush=True)
    return {"environment": limits, **json.loads(last)}


def measure_gpu(device: torch.device, count: int, pixels: int, rounds: int) -> dict:
    """Measure ResNet-50's step on a GPU, and its share of the peak."""
    cuda = device.type == "cuda"

    def clock() -> float:
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    images, labels = batch(count, pixels, device)
    precision = choose_precision(device)
    last = images.to(memory_format=LAST)
    steps = {"plain": document_step("resnet50", images, labels)}
    steps["engine"] = engine_step("resnet50", last, labels, precision)
    if cuda:
        steps["engine, compiled"] = engine_step("resnet50", last, labels, precision, compile=True)

    def repeated(step):
        def several():
            for _ in range(10 if cuda else 1):
                step()

        return several

    many = {name: repeated(step) for name, step in steps.items()}
    summary = compare(many, count * (10 if cuda else 1), rounds, clock)
    # Forward 4.09 billion multiply-adds an image of 224 pixels (He et al. 2016 count 3.8 without
    # the stride in the 3 x 3 layer), two FLOP each, and twice as much backward.
    flop = 3 * 2 * 4.09e9 * (pixels / 224) ** 2
    side = 8192 if cuda else 256
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    seconds = []
    for _ in range(10):
        started = clock()
        a @ a
        seconds.append(clock() - started)
    name = torch.cuda.get_device_name(device) if cuda else "CPU, to try the script"
    nominal = next((peak for key, peak in PEAKS.items() if key in name), None)
    matmul = 2 * side**3 / statistics.median(seconds)
    for row in summary.values():
        row["tflops"] = round(row["images_a_second"] * flop / 1e12, 2)
        row["share_of_matmul"] = round(row["images_a_second"] * flop / matmul, 3)
        row["share_of_peak"] = nominal and round(row["images_a_second"] * flop / nominal, 3)
    return {
        "device": name,
        "model": "resnet50",
        "batch": count,
        "pixels": pixels,
        "precision": precision,
        "matmul_tflops": round(matmul / 1e12, 1),
        "peak_tflops": nominal and nominal / 1e12,
        "variants": summary,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--try-gpu", action="store_true", help="the GPU's part, tiny, on the CPU")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure_cpu(options.rounds, all_variants=False)))
        return
    if options.try_gpu:
        print(json.dumps(measure_gpu(torch.device("cpu"), 2, 64, 2), indent=1))
        return
    gpu = None
    if torch.cuda.is_available():
        gpu = measure_gpu(torch.device("cuda"), 256, 224, options.rounds)
    print("this processor")
    results = {"native": measure_cpu(options.rounds, all_variants=True), "limited": {}}
    for name, limits in LIMITS.items():
        print(name)
        results["limited"][name] = measure_limited(limits, max(3, options.rounds // 2))
    results |= {
        "gpu": gpu,
        "model": "mobilenet_v2",
        "batch": BATCH,
        "pixels": PIXELS,
        "threads": 1,
        "processor": platform.machine(),
        "torch": version("torch").split("+")[0],
    }
    save_results("finetune_step", results)


if __name__ == "__main__":
    main()
