"""The lab's numbers: kernel, network, resize, photo files and head, against what they stand for."""

import base64
import ctypes
import io
import json
import re
import runpy
import shutil
import zipfile

import numpy as np
import pytest
import torch
from lab_pages import TRANSFORMS, decode, encode, jpeg, normalise, some_crops
from PIL import Image, ImageCms, ImageOps
from sklearn.linear_model import LogisticRegression
from torchvision.models import mobilenet_v2
from wasmtime import Engine, Instance, Limits, Memory, MemoryType, Module, Store, wat2wasm

from tutorial_utils._decoding import read_photo
from tutorial_utils.lab.pack import FOLDER, pack_weights, read_scripts, strips
from tutorial_utils.lab.wat import assemble
from tutorial_utils.photos import load_photo

pytest_plugins = ["lab_fixtures"]
SOURCE = (FOLDER / "kernel.wat").read_text(encoding="utf-8")


# --- The kernel, in wasmtime, against NumPy. ---


class Kernel:
    """The assembled kernel with a memory that NumPy sees as float32 numbers."""

    def __init__(self):
        engine = Engine()
        self.store = Store(engine)
        memory = Memory(self.store, MemoryType(Limits(64, None)))
        module = Module(engine, assemble(SOURCE))
        self.exports = Instance(self.store, module, [memory]).exports(self.store)
        size = ctypes.c_char * memory.data_len(self.store)
        pointer = ctypes.cast(memory.data_ptr(self.store), ctypes.POINTER(size))
        self.f = np.frombuffer(pointer.contents, np.float32)
        self.memory = memory

    def __call__(self, name, arrays, room, *numbers):
        """Put the arrays into the memory one after another, call, return ``room`` numbers."""
        places, at = [], 0
        for array in arrays:
            self.f[at : at + array.size] = array.ravel()
            places.append(4 * at)
            at += -(-array.size // 4) * 4 + 4 * 1280
        self.exports[name](self.store, *places, 4 * at, *numbers)
        return self.f[at : at + room].copy()


def test_the_assembler_writes_the_bytes_that_the_wabt_tools_write():
    ours, theirs = assemble(SOURCE), bytes(wat2wasm(SOURCE))
    assert len(ours) < 1100
    assert theirs[: len(ours)] == ours
    assert theirs[len(ours)] == 0  # what follows is a custom section: the names
    assert base64.b64encode(ours).decode() in read_scripts()


def test_the_kernel_multiplies_as_numpy_does_on_200_random_shapes():
    kernel, rng, odd = Kernel(), np.random.default_rng(0), 0
    for _ in range(200):
        rows, k, n = (int(rng.integers(low, high)) for low, high in ((1, 30), (1, 200), (1, 20)))
        n *= 8
        odd += rows % 4 > 0
        x, w, b = (rng.normal(size=s).astype("f4") for s in ((rows, k), (k, n), (n,)))
        low, top = ((-np.inf, np.inf), (0.0, 6.0))[int(rng.integers(2))]
        x = np.vstack([x, np.zeros((-rows % 4, k), "f4")])
        found = kernel("product", (x, strips(w), b), rows * n, rows, k, n, low, top)
        expected = np.clip(x[:rows].astype(float) @ w + b, low, top)
        np.testing.assert_allclose(found.reshape(rows, n), expected, atol=2e-4)
    assert odd > 100


def test_the_kernel_convolves_a_pixel_as_numpy_does_on_200_random_shapes():
    kernel, rng = Kernel(), np.random.default_rng(1)
    for _ in range(200):
        n = 4 * int(rng.integers(1, 240))
        pixels, w = rng.normal(size=(2, 9, n)).astype("f4")
        b = rng.normal(size=n).astype("f4")
        low, top = ((-np.inf, np.inf), (0.0, 6.0))[int(rng.integers(2))]
        found = kernel("nine", (*pixels, w, b), n, n, low, top)
        expected = np.clip((pixels.astype(float) * w).sum(0) + b, low, top)
        np.testing.assert_allclose(found, expected, atol=1e-4)


# --- The network against torch. ---

RUN = """async ([half, simd, crops]) => {
    const net = await netFor(half, simd);
    return [net.fast, crops.map((c) => {
        const { features, logits } = net.run(rgba(bytesOf(c)), 224);
        return [text64(features), text64(logits)];
    })];
}"""


def run_network(evaluate, crops, half, simd):
    fast, found = evaluate(RUN, [half, simd, [encode(crop) for crop in crops]])
    assert fast == simd
    return (np.stack([decode(pair[i]) for pair in found]) for i in range(2))


@torch.no_grad()
def run_torch(model, crops):
    features = model.features(normalise(crops)).mean((2, 3))
    return features.numpy(), model.classifier(features).numpy()


ALL_PLAIN = pytest.param(False, 20, marks=pytest.mark.scheduled)  # 0.2 s a crop


@pytest.mark.parametrize(("simd", "count"), [(True, 20), (False, 3), ALL_PLAIN])
def test_in_float32_the_network_gives_what_torch_gives(lab_functions, torch_model, simd, count):
    crops = some_crops(count)
    features, logits = run_network(lab_functions, crops, half=False, simd=simd)
    expected, scores = run_torch(torch_model, crops)
    assert np.abs(features - expected).max() < 1e-4
    assert np.abs(logits - scores).max() < 1e-3


def test_in_float16_as_shipped_the_answers_stay(lab_functions, torch_model):
    crops = some_crops(50, seed=1)
    features, logits = run_network(lab_functions, crops, half=True, simd=True)
    expected, scores = run_torch(torch_model, crops)
    assert np.abs(features - expected).max() < 0.15
    assert (logits.argmax(1) == scores.argmax(1)).sum() >= 49


def test_the_packed_weights_are_small_enough(torch_model):
    assert len(base64.b64encode(pack_weights(torch_model))) < 10e6


def test_the_maps_of_the_look_inside_are_those_of_torchs_blocks(lab_functions, torch_model):
    crop = some_crops(1, seed=2)
    found = lab_functions(
        """async (crop) => {
            const net = await netFor(false, true), stages = {};
            const { map } = net.run(rgba(bytesOf(crop)), 224, { look: (stage, f, side, n) => {
                stages[stage] = [side, n, text64(f.slice())]; } });
            return [stages, text64(map)];
        }""",
        encode(crop),
    )
    x = normalise(crop)
    with torch.no_grad():
        for stage, layer in enumerate(torch_model.features):
            x = layer(x)
            side, channels, values = found[0][str(stage)]
            expected = x[0].permute(1, 2, 0).numpy()
            assert expected.shape == (side, side, channels)
            assert np.abs(decode(values).reshape(expected.shape) - expected).max() < 2e-4
    assert np.abs(decode(found[1]).reshape(expected.shape) - expected).max() < 2e-4


def divide_by_n(norm, inputs, output):
    n = output.numel() // output.shape[1]
    if norm.training:
        norm.running_var *= (n - 1) / n


def test_the_untrained_network_is_one_that_torch_would_begin_with(lab_functions):
    """The same random weights in torch, BatchNorm in training mode for the same four photos."""
    crops = some_crops(5, seed=3)
    found = lab_functions(
        """async (crops) => {
            let drawn;
            await makeNetwork((f) => { heWeights(1)(f); drawn = f.slice(0, 3538984); }, null);
            const pixels = crops.map((c) => rgba(bytesOf(c)));
            const net = await untrainedNetwork(1, bytesOf(KERNEL), pixels.slice(0, 4));
            return [text64(drawn), text64(net.run(pixels[4], 224).features)];
        }""",
        [encode(crop) for crop in crops],
    )
    drawn, at = decode(found[0]), 0
    model = mobilenet_v2()
    layers = [m for m in model.features.modules() if isinstance(m, torch.nn.Conv2d)]
    for conv in layers:
        n, inputs = len(conv.weight), conv.weight[0].numel()
        w = drawn[at : at + inputs * n]
        assert abs(w.std() * np.sqrt(inputs / 2) - 1) < 0.2  # He
        if conv.groups == 1:
            w = w.reshape(n // 8, inputs, 8).transpose(1, 0, 2)
        rows, columns = conv.kernel_size
        w = torch.tensor(w.reshape(rows, columns, inputs // rows // columns, n).copy())
        conv.weight.data = w.permute(3, 2, 0, 1).contiguous()
        assert not drawn[at + inputs * n : at + (inputs + 1) * n].any()
        at += (inputs + 1) * n
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.momentum = 1.0  # the statistics of this one batch; torch keeps n / (n - 1) of them
        norm.register_forward_hook(divide_by_n)
    batch = np.block([[[crops[0]], [crops[1]]], [[crops[2]], [crops[3]]]])
    with torch.no_grad():
        model.train().features(normalise(batch[None]))
        expected = model.eval().features(normalise(crops[4:])).mean((2, 3))[0].numpy()
    features = decode(found[1])
    assert expected.std() > 0.05
    assert np.abs(features - expected).max() < 5e-3  # float32, 52 layers deep


# --- Photos against Pillow. ---

CROP = """([rgb, width, height, short, side]) => {
    const pixels = rgba(bytesOf(rgb));
    const read = (x, y, w, h) => {
        const out = new Uint8ClampedArray(w * h * 4);
        for (let r = 0; r < h; r++)
            for (let i = 0, from = 4 * ((y + r) * width + x); i < 4 * w; i++)
                out[4 * w * r + i] = pixels[from + i];
        return out;
    };
    return text64(resizeAndCrop(read, width, height, short, side));
}"""


def test_the_resize_is_pillows(lab_functions):
    rng, exact = np.random.default_rng(0), 0
    for _ in range(100):
        short, side = int(rng.integers(20, 60)), 16
        scale = rng.uniform(0.4, 4)
        width, height = (max(int(short * scale * rng.uniform(1, 1.8)), 2) for _ in range(2))
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        found = lab_functions(CROP, [encode(image), width, height, short, side])
        found = decode(found, "u1").reshape(side, side, 4)[..., :3]
        photo, small = Image.fromarray(image), min(width, height)
        size = int(short * width / small), int(short * height / small)
        resized = photo.resize(size, Image.Resampling.BILINEAR)
        left, top = (round((n - side) / 2) for n in size)
        expected = np.array(resized.crop((left, top, left + side, top + side)))
        difference = np.abs(found.astype(int) - expected).max()
        if small <= 2 * short:
            assert difference == 0
            exact += 1
        assert difference <= 1
    assert exact > 30


def photo_files():
    """Name -> bytes of a photo file of each kind that a reader may have."""
    photo = load_photo("coffee")
    rng = np.random.default_rng(0)
    files = {"plain.jpg": jpeg(photo)}
    for way in range(1, 9):
        exif = Image.Exif()
        exif[274] = way
        files[f"exif{way}.jpg"] = jpeg(photo.resize((300, 240)), exif=exif)
    # A profile whose colours are far from sRGB: red and green change places.
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(profile[at : at + 4]): at + 4 for at in range(132, 132 + 12 * profile[131], 12)}
    red, green = (slice(tags[key], tags[key] + 8) for key in (b"rXYZ", b"gXYZ"))
    profile[red], profile[green] = profile[green], profile[red]
    files["icc.jpg"] = jpeg(photo, icc_profile=bytes(profile))
    files["icc.png"] = jpeg(photo, format="PNG", icc_profile=bytes(profile))
    cut = photo.copy()
    cut.putalpha(Image.fromarray(rng.integers(0, 256, photo.size[::-1], dtype=np.uint8)))
    hole = photo.copy()
    hole.putalpha(Image.radial_gradient("L").resize(photo.size).point(lambda v: 255 * (v < 120)))
    files["hole.png"] = jpeg(hole, format="PNG")
    files["alpha.png"] = jpeg(cut, format="PNG")
    files["palette.png"] = jpeg(photo.quantize(64), format="PNG")
    files["grey.jpg"] = jpeg(photo.convert("L"))
    files["grey.png"] = jpeg(photo.convert("L"), format="PNG")
    deep = np.asarray(photo.convert("L")).astype(np.uint16) * 13 + 300  # a part of the range
    files["deep.png"] = jpeg(Image.fromarray(deep), format="PNG")
    files["photo.webp"] = jpeg(photo, format="WEBP", lossless=True)
    files["large.jpg"] = jpeg(photo.resize((4000, 3000)))
    return files


SEE = """async ([file, type]) => text64(
    await readCrop(new File([bytesOf(file)], "photo", { type }), 224))"""
UNDO = {"mean": torch.tensor(TRANSFORMS.mean), "std": torch.tensor(TRANSFORMS.std)}


def torchvision_crop(path):
    """Return what torchvision's transform makes of a file, back in bytes: (224, 224, 3)."""
    x = TRANSFORMS(read_photo(path)).permute(1, 2, 0)
    return ((x * UNDO["std"] + UNDO["mean"]) * 255).round().numpy()


def test_photo_files_are_read_as_the_program_reads_them(lab_functions, tmp_path):
    worst = {}
    for name, data in photo_files().items():
        path = tmp_path / name
        path.write_bytes(data)
        kind = "image/" + path.suffix[1:].replace("jpg", "jpeg")
        found = lab_functions(SEE, [base64.b64encode(data).decode(), kind])
        found = decode(found, "u1").reshape(224, 224, 4)[..., :3].astype(int)
        worst[name] = np.abs(found - torchvision_crop(path)).max()
    assert all(difference <= 1 for difference in worst.values()), worst


# --- The head against scikit-learn, and what is taken along. ---

FIT = """([rows, labels, classes]) => {
    const features = rows.map((r) => new Float32Array(bytesOf(r).buffer));
    const fit = fitHead(features, labels, classes);
    const left = labels.map((_, r) => withoutOne(r, fit, labels, classes));
    return [text64(fit.w), fit.losses, left];
}"""


def cluster(classes, each, seed=0, width=1280):
    """Return features like the network's: none negative, sparse, the classes close together."""
    rng = np.random.default_rng(seed)
    centres = rng.gamma(0.5, 0.8, (classes, width)) * 0.25 + rng.gamma(0.5, 0.8, width)
    labels = np.repeat(np.arange(classes), each)
    return np.maximum(centres[labels] + rng.normal(0, 0.5, (len(labels), width)), 0).astype(
        "f4"
    ), labels


def objective(w, x, labels, strength=0.01):
    """Return mean cross-entropy + strength / 2 * the squared weights."""
    z = x.astype(float) @ w[:, :-1].T + w[:, -1]
    top = z.max(1)
    logs = top + np.log(np.exp(z - top[:, None]).sum(1)) - z[np.arange(len(x)), labels]
    return logs.mean() + strength / 2 * (w[:, :-1] ** 2).sum()


def sklearn_head(x, labels, strength=0.01):
    """Return scikit-learn's optimum as (classes, width + 1)."""
    classes = labels.max() + 1
    c = (2 if classes == 2 else 1) / (strength * len(x))  # two classes: half the penalty
    model = LogisticRegression(C=c, tol=1e-10, max_iter=5000).fit(x.astype(float), labels)
    w = np.hstack([model.coef_, model.intercept_[:, None]])
    return np.vstack([-w / 2, w / 2]) if classes == 2 else w


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_the_head_is_scikit_learns_optimum(lab_functions, classes):
    x, labels = cluster(classes, 10)
    w, losses, left = lab_functions(FIT, [[encode(row) for row in x], labels.tolist(), classes])
    w, best = decode(w, "<f8").reshape(classes, -1), sklearn_head(x, labels)
    assert abs(objective(w, x, labels) - objective(best, x, labels)) < 1e-6
    assert losses[-1] == pytest.approx(objective(w, x, labels), abs=1e-9)
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(np.log(classes))
    for r in range(0, len(x), 7):
        others = np.arange(len(x)) != r
        head = sklearn_head(x[others], labels[others])
        z = x[r] @ head[:, :-1].T + head[:, -1]
        expected = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        assert np.abs(left[r] - expected).max() < 2e-3


def test_a_photo_that_is_there_twice_does_no_harm(lab_functions):
    x, labels = cluster(2, 6)
    x = np.vstack([x, x[:1], x[:1]])
    labels = np.append(labels, [0, 1])  # and once in the other class
    w, _, _ = lab_functions(FIT, [[encode(row) for row in x], labels.tolist(), 2])
    w = decode(w, "<f8").reshape(2, -1)
    assert abs(objective(w, x, labels) - objective(sklearn_head(x, labels), x, labels)) < 1e-6


def test_the_exported_head_gives_torch_the_same_answers(lab_functions, tmp_path):
    crops = some_crops(12, seed=5)
    labels = [i % 3 for i in range(12)]
    text, answers = lab_functions(
        """async ([crops, labels]) => {
            const net = await netFor(true, true);
            const rows = crops.map((c) => net.run(rgba(bytesOf(c)), 224).features);
            const { w } = fitHead(rows, labels, 3);
            return [headJson(["a", "b\\u00fc", 'c "x"'], w),
                rows.map((x) => Array.from(softmax(logitsOf(w, x, 3))))];
        }""",
        [[encode(crop) for crop in crops], labels],
    )
    (tmp_path / "my-classifier.json").write_text(text, encoding="utf-8")
    shutil.copyfile(FOLDER / "take_along.py", tmp_path / "classify.py")
    head = json.loads(text)
    assert head["classes"] == ["a", "bü", 'c "x"']
    classify = runpy.run_path(str(tmp_path / "classify.py"))["classify"]
    for crop, answer in zip(crops, answers, strict=True):
        # 256 pixels with the crop in their middle: the program's transform cuts out the same.
        photo = ImageOps.expand(Image.fromarray(crop), 16)
        found = classify(photo)
        assert list(found) == head["classes"]
        assert np.abs(np.array(list(found.values())) - answer).max() < 0.01


def test_the_zip_holds_the_photos_in_folders_of_their_classes(lab_functions):
    data = lab_functions(
        """async () => {
            const file = (name, text) => new File([text], name, { type: "image/png" });
            const files = photoFolders([
                { name: "my cats", photos: [file("a.PNG", "one"), file("b", "two")] },
                { name: "My Cats", photos: [file("a.jpeg", "three")] },
                { name: "../\\u00e9t\\u00e9: ", photos: [new Blob(["four"])] }]);
            return text64(new Uint8Array(await (await zipOf(files)).arrayBuffer()));
        }"""
    )
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(data))) as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name).decode() for name in archive.namelist()}
    assert found == {
        "my cats/0001.png": "one",
        "my cats/0002.png": "two",
        "My Cats 2/0001.jpeg": "three",
        "été/0001.jpg": "four",
    }


def test_the_scripts_are_small_and_need_nothing_else():
    text = read_scripts()
    assert len(text.encode()) < 60_000
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
