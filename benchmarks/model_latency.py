"""How long torchvision's models need for one photo on a CPU, as ratios to ResNet-50.

Speed does not depend on the values of the weights, so random ones do. Each round times every model
once, in a new order, and divides by ResNet-50's time in the same round; the medians over the rounds
are stored, with the quarters. What is counted is the processor time of one thread, which other
programs on the machine disturb less than the time on the clock.

Run it with `python benchmarks/model_latency.py`: about four minutes on one core.
"""

import platform
import random
import statistics
import time
from importlib.metadata import version

import torch
from torchvision.models import get_model

from tutorial_utils.results import save_results

MODELS = (
    "resnet50",
    "resnet18",
    "vgg16",
    "alexnet",
    "squeezenet1_1",
    "shufflenet_v2_x1_0",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "regnet_y_400mf",
    "regnet_y_1_6gf",
    "densenet121",
    "convnext_tiny",
    "swin_t",
    "vit_b_16",
)
REFERENCE = "resnet50"
ROUNDS = 25
SIZE = 224


def seconds(model: torch.nn.Module, image: torch.Tensor) -> float:
    """Return the processor time of one prediction."""
    begin = time.process_time()
    model(image)
    return time.process_time() - begin


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    image = torch.randn(1, 3, SIZE, SIZE)
    models = {name: get_model(name, weights=None).eval() for name in MODELS}
    for model in models.values():
        model(image)  # the first run sets things up
    ratios = {name: [] for name in MODELS}
    order, absolute = list(MODELS), []
    for number in range(ROUNDS):
        random.Random(number).shuffle(order)
        took = {name: seconds(models[name], image) for name in order}
        absolute.append(took[REFERENCE])
        for name in MODELS:
            ratios[name].append(took[name] / took[REFERENCE])
    summary = {}
    for name, values in ratios.items():
        low, middle, high = statistics.quantiles(values, n=4)
        summary[name] = {"ratio": round(middle, 3), "quarters": [round(low, 3), round(high, 3)]}
        print(f"{name:20} {middle:6.3f}  ({low:.3f} to {high:.3f})", flush=True)
    save_results(
        "model_latency",
        {
            "reference": REFERENCE,
            "reference_ms": round(1000 * statistics.median(absolute), 1),
            "rounds": ROUNDS,
            "batch_size": 1,
            "pixels": SIZE,
            "threads": 1,
            "processor": platform.machine(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "torch": version("torch").split("+")[0],
            "torchvision": version("torchvision").split("+")[0],
            "models": summary,
        },
    )


if __name__ == "__main__":
    main()
