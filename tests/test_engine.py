import copy
import itertools
import os
import signal

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_folders import make_photos
from torch import nn
from torchvision.models.inception import InceptionOutputs

from tutorial_utils.errors import DivergedError, PhotosError
from tutorial_utils.finetune import model_factory
from tutorial_utils.finetune import trainer as engine
from tutorial_utils.finetune.augmentation import train_transform
from tutorial_utils.finetune.lr_finder import range_test, suggest
from tutorial_utils.finetune.model_factory import (
    build_model,
    choose_precision,
    cpu_flags,
    logits_and_loss,
    training_mode,
)
from tutorial_utils.finetune.recipe import Recipe
from tutorial_utils.finetune.trainer import (
    ShardedBatches,
    Trainer,
    stop_requests,
    warmup_cosine,
)
from tutorial_utils.models import parameter_groups
from tutorial_utils.photo_folder.inspect import inspect_photos
from tutorial_utils.photo_folder.loading import PhotoDataset

QUICK = {"image_size": 32, "batch_size": 7, "epochs": 2, "augmentation": "none", "regime": "full",
         "ema": 0.0}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return inspect_photos(make_photos(tmp_path_factory.mktemp("photos"), {"train": 5}))


def make_trainer(photos, auto_batch=False, class_weights=None, **recipe):
    recipe = Recipe(**{**QUICK, **recipe})
    accelerator = Accelerator(cpu=True, mixed_precision="no")
    torch.manual_seed(0)
    model, preprocessing = build_model(recipe, list("abc"))
    transform = train_transform(recipe.augmentation, preprocessing)
    data = PhotoDataset(photos.root, photos.photos, transform)
    if recipe.model == "mobilenet_v2":
        model.classifier[0].p = 0.0  # micro-batches and processes draw dropout of their own
    return Trainer(recipe, model, data, data, 3, accelerator, "float32", 32, class_weights,
                   auto_batch)  # fmt: skip


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.unwrapped.parameters()])


@settings(deadline=None)  # a busy machine is no fault
@given(st.integers(1, 60), st.floats(0, 0.9))
def test_rates_are_those_of_torchs_schedules(steps, warmup):
    rise = round(warmup * steps)
    cosine = max(1, steps - rise)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    parts = [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, cosine)]
    if rise > 0:
        parts = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: (i + 1) / rise), *parts
        ]  # fmt: skip
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, parts, [rise] if rise else [])
    for step in range(steps):
        assert warmup_cosine(step, steps, warmup) == pytest.approx(
            schedule.get_last_lr()[0], abs=1e-9
        )
        optimizer.step()
        schedule.step()


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.integers(0, 3))
def test_processes_together_see_each_photo_once(count, size, processes, epoch):
    batches = []
    for index in range(processes):
        sampler = ShardedBatches(count, size, 3, processes, index)
        sampler.start(epoch, 0)
        batches.append(list(sampler))
    whole = [batch.tolist() for batch in sampler.batches()]
    assert sorted(i for batch in whole for i in batch) == list(range(count))
    for k, batch in enumerate(whole):
        together = [i for part in batches for i in part[k]]
        if len(batch) >= processes:
            assert together == batch
        else:  # a process without a row gets one, which will weigh nothing
            assert set(together) == set(batch)
    sizes = {len(batch) for batch in whole}
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    sampler.start(epoch, 1)
    assert list(sampler) == batches[-1][1:]
    assert len(sampler) == len(whole) - 1


def test_an_epoch_is_that_of_a_plain_loop(photos):
    trainer = make_trainer(photos, label_smoothing=0.2, weight_decay=0.1)
    reference = copy.deepcopy(trainer.unwrapped)
    groups = parameter_groups(reference, 3e-4, weight_decay=0.1)
    optimizer = torch.optim.AdamW(groups)
    training_mode(reference, frozen_batchnorm=True)
    batches = trainer.sampler.batches()
    total, step = 0.0, 0
    row = trainer.run_epoch()
    for batch in batches:
        images = torch.stack([trainer.train[i][0] for i in batch])
        labels = torch.tensor([trainer.train[i][1] for i in batch])
        for group in optimizer.param_groups:
            group["lr"] = 3e-4 * warmup_cosine(step, 2 * len(batches), 0.1)
        loss = nn.functional.cross_entropy(reference(images), labels, label_smoothing=0.2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, step = total + loss.item() * len(batch), step + 1
    assert row["train_loss"] == pytest.approx(total / 15, rel=1e-5)
    expected = torch.cat([p.detach().flatten() for p in reference.parameters()])
    torch.testing.assert_close(weights(trainer), expected, atol=2e-5, rtol=1e-3)
    with torch.no_grad():
        logits = reference.eval()(torch.stack([trainer.train[i][0] for i in range(15)]))
    labels = torch.tensor([p.label for p in trainer.train.photos])
    assert row["accuracy"] == (logits.argmax(dim=1) == labels).double().mean().item()
    assert row["validation_loss"] == pytest.approx(
        nn.functional.cross_entropy(logits, labels).item(), rel=1e-3
    )


@pytest.mark.parametrize("pieces", [2, 3, 7])
def test_a_batch_in_pieces_is_the_batch(photos, pieces):
    whole, cut = make_trainer(photos), make_trainer(photos, gradient_accumulation_steps=pieces)
    start = weights(whole)
    rows = [trainer.run_epoch() for trainer in (whole, cut)]
    assert rows[0]["train_loss"] == pytest.approx(rows[1]["train_loss"], rel=1e-5)
    changed = (weights(whole) - start).abs().max()
    # AdamW divides by the gradient's size: where that is all rounding, signs may differ.
    gap = (weights(whole) - weights(cut)).abs()
    assert (gap > 0.05 * changed).double().mean() < 0.002
    assert changed > 1e-4


def test_class_weights_are_those_of_cross_entropy(photos):
    weight = torch.tensor([0.5, 2.0, 1.0])
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    _, losses = logits_and_loss(logits, labels, weight=weight)
    expected = nn.functional.cross_entropy(logits, labels, weight=weight, reduction="none")
    torch.testing.assert_close(losses, expected)
    assert make_trainer(photos, class_weights=weight).options["weight"].tolist() == weight.tolist()


def test_the_moving_average_is_its_formula(photos):
    trainer = make_trainer(photos, ema=0.8)
    shadow = weights(trainer)
    seen = []
    trainer.run_epoch(lambda: seen.append(weights(trainer)))
    shadow = seen[0]  # torch's AveragedModel starts from the first weights that it is given
    for value in seen[1:]:
        shadow = 0.8 * shadow + 0.2 * value
    found = torch.cat([p.flatten() for p in trainer.current().parameters()])
    torch.testing.assert_close(found, shadow, atol=1e-6, rtol=1e-5)


def scarce(trainer, rows):
    """Let the trainer's model run out of memory above so many rows."""
    model = trainer.compiled

    def compute(images):
        if len(images) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return model(images)

    trainer.compiled = compute


def test_out_of_memory_says_what_to_try(photos):
    trainer = make_trainer(photos)
    scarce(trainer, 2)
    with pytest.raises(
        PhotosError, match=r"--batch-size 2.*--gradient-accumulation-steps 2.*--auto-batch"
    ):
        trainer.run_epoch()


def test_auto_batch_cuts_the_batch_until_it_fits_and_keeps_the_result(photos):
    trainer, whole = make_trainer(photos, auto_batch=True), make_trainer(photos)
    scarce(trainer, 2)
    rows = trainer.run_epoch(), whole.run_epoch()
    assert trainer.progress.micro_batches == 4
    assert rows[0]["train_loss"] == pytest.approx(rows[1]["train_loss"], rel=1e-5)


def test_a_loss_that_is_no_number_leaves_the_weights(photos):
    trainer = make_trainer(photos)
    with torch.no_grad():
        trainer.unwrapped.classifier[1].bias[1] = float("nan")
    before = weights(trainer).nan_to_num(7.0)
    with pytest.raises(FloatingPointError, match=r"step 1 of epoch 1. Lower the learning rate"):
        trainer.run_epoch()
    assert torch.equal(weights(trainer).nan_to_num(7.0), before)


def test_restoring_in_the_middle_of_an_epoch_goes_on_as_if_nothing_had_been(photos):
    recipe = {
        "augmentation": "standard",
        "cutmix": 1.0,
        "ema": 0.9,
        "gradient_accumulation_steps": 2,
    }
    unbroken, states = make_trainer(photos, **recipe), []
    rows = [unbroken.run_epoch(lambda: states.append(unbroken.state())) for _ in range(2)]
    for state in states[0], states[3]:
        again = make_trainer(photos, **recipe)
        again.restore(state)
        while again.progress.epoch < 2:
            row = again.run_epoch()
        assert row == rows[1]
        assert torch.equal(weights(again), weights(unbroken))


def test_a_state_of_another_model_is_refused(photos):
    state = make_trainer(photos).state()
    with pytest.raises(PhotosError, match=r"last.pt does not fit"):
        make_trainer(photos, model="squeezenet1_1", regime="scratch", image_size=64).restore(state)


def test_range_test_finds_a_rate_and_leaves_the_trainer_alone(photos):
    trainer, fresh = make_trainer(photos), make_trainer(photos)
    rows = range_test(trainer)
    rates = [row["lr"] for row in rows]
    factors = [b / a for a, b in itertools.pairwise(rates)]
    assert rates[0] == pytest.approx(1e-6)
    assert factors == pytest.approx([10 ** (6 / 59)] * len(factors))
    least = min(row["loss"] for row in rows)
    assert 1e-5 < suggest(rows) < 0.1
    assert rows[-1]["loss"] > 3 * least or len(rows) == 60
    assert trainer.run_epoch() == fresh.run_epoch()
    with pytest.raises(DivergedError, match="at the lowest rate"):
        suggest([])


def test_requests_to_stop_are_kept_for_later_and_handlers_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_frozen_statistics_stay_and_their_scale_is_trained(photos):
    trainer = make_trainer(photos)
    norm = trainer.unwrapped.features[0][1]
    mean, scale = norm.running_mean.clone(), norm.weight.detach().clone()
    trainer.run_epoch()
    assert torch.equal(norm.running_mean, mean)
    assert not torch.equal(norm.weight, scale)
    batch = make_trainer(photos, batchnorm="batch")
    batch.run_epoch()
    assert not torch.equal(batch.unwrapped.features[0][1].running_mean, mean)


def test_auxiliary_heads_count_for_less():
    output = InceptionOutputs(torch.randn(2, 3), torch.randn(2, 3))
    labels = torch.tensor([0, 2])
    logits, losses = logits_and_loss(output, labels)
    entropy = nn.functional.cross_entropy
    expected = entropy(output.logits, labels) + 0.3 * entropy(output.aux_logits, labels)
    assert logits is output.logits
    torch.testing.assert_close(losses.mean(), expected)


def test_the_precision_goes_by_the_processor(monkeypatch):
    for flags, wanted in (({"avx2"}, "float32"), ({"avx2", "amx_bf16"}, "bfloat16")):
        monkeypatch.setattr(model_factory, "cpu_flags", lambda f=flags: f)
        assert choose_precision(torch.device("cpu")) == wanted
    assert isinstance(cpu_flags(), set)


def test_dropout_is_drawn_anew_in_each_step_and_process(photos):
    trainer, draws = make_trainer(photos), []
    trainer.compiled = lambda x: draws.append(torch.rand(1).item()) or trainer.model(x)
    trainer.run_epoch()
    trainer.index = 1
    trainer.run_epoch()
    assert len(set(draws)) == len(draws) == 6


@pytest.mark.parametrize(
    "text",
    ["CUDA out of memory", "[enforce fail] not enough memory: you tried", "can't allocate memory"],
)
def test_out_of_memory_has_many_names(text):
    assert engine.out_of_memory(RuntimeError(text))
    assert not engine.out_of_memory(RuntimeError("shapes do not fit"))
