"""Kernels in C beside PyTorch, and the engine that runs them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from edgetam.config import ModelConfig, PerceiverConfig, RepViTConfig
from edgetam.engine import load_model, select
from edgetam.engine.native import encoder, memory
from edgetam.engine.native import library as native
from edgetam.engine.native.attention import MemoryAttention, save_attention
from edgetam.engine.native.decoder import MaskDecoder, save_decoder
from edgetam.engine.native.encoder import ImageEncoder, save_encoder
from edgetam.engine.native.frames import Frames
from edgetam.engine.native.kernel import Pool
from edgetam.engine.native.memory import MemoryEncoder, save_memory
from edgetam.engine.verbs import padded
from edgetam.errors import EngineError
from edgetam.model import EdgeTAM, inference_form
from edgetam.structs import DecoderPrompt, ImageFeatures, MemoryContext
from edgetam.tracking import TrackerOptions, VideoTracker
from edgetam.tracking.geometry import NORMALISED, prepare_image
from edgetam.weights import save_native
from tests.model.lively import OWN, context_of, features_of, lively, lively_model, shared_model

UNIT = {"AMX": "amx_bf16", "AVX-512": "avx512_bf16", "plain": None}
"""What multiplies, and the flag of CPUs that can."""
FLAGS: dict[str, tuple[str, ...]] = {
    "AMX": ("-march=native",),
    "AVX-512": ("-march=native", "-mno-amx-tile", "-mno-amx-bf16", "-mno-amx-int8"),
    "plain": ("-march=x86_64" if "ziglang" in (native.compiler() or ()) else "-march=x86-64", "-O1"),
}
BUILDS = [(unit, "bf16") for unit in UNIT] + [("AMX", "fp32"), ("AVX-512", "fp32")]
ROUNDING = {"bf16": 0.02, "fp32": 1e-4}
"""The root of the mean square of what differs, by that of the answer."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or native.machine() != "x86_64", reason="kernels are for Linux on x86-64"
)
usable_here = pytest.mark.skipif(native.NEEDED not in native.cpu_flags(), reason="needs bfloat16 in the CPU")


@pytest.fixture(scope="module", params=BUILDS, ids=" ".join)
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The library as compiled for one kind of CPU, if this is one, and what to expect of its answers."""
    unit, precision = request.param
    needed = UNIT[unit]
    if needed is not None and needed not in native.cpu_flags():
        pytest.skip(f"this CPU has no {needed}")
    path = tmp_path_factory.mktemp("kernels") / native.NAME
    native.compile_kernels(path, (*FLAGS[unit], *native.EXACT[precision]))
    loaded = native.load_kernels(path)
    assert loaded.kernels_products() == unit.encode()
    loaded.rounding = ROUNDING[precision]
    return loaded


@pytest.fixture
def fast_kernels(kernels: Any) -> Any:
    """The same but for plain C, which is slow, and whose products alone are other ones."""
    if kernels.kernels_products() == b"plain":
        pytest.skip("what is tested does not depend on products")
    return kernels


def attention_of(kernels: Any, model: EdgeTAM, folder: Path, threads: int = 2) -> MemoryAttention:
    save_attention(inference_form(model), folder)
    return MemoryAttention(kernels, Pool(kernels, threads), folder, model.config)


def memory_of(kernels: Any, model: EdgeTAM, folder: Path, threads: int = 2) -> MemoryEncoder:
    assert memory.is_known(model.config)
    save_memory(inference_form(model), folder)
    return MemoryEncoder(kernels, Pool(kernels, threads), folder, model.config)


def decoder_of(kernels: Any, model: EdgeTAM, folder: Path, threads: int = 2) -> MaskDecoder:
    save_decoder(inference_form(model), folder)
    return MaskDecoder(kernels, Pool(kernels, threads), folder, model.config)


def encoder_of(kernels: Any, model: EdgeTAM, folder: Path, threads: int = 2) -> ImageEncoder:
    assert encoder.is_known(model.config)
    save_encoder(inference_form(model), folder)
    return ImageEncoder(kernels, Pool(kernels, threads), folder, model.config)


def inputs_of(image: Any, context: MemoryContext[Any]) -> dict[str, Any]:
    """As the graph ``attend`` gets them."""
    arrays = {
        name: None if x is None else np.asarray(x)
        for name, x in ((name, getattr(context, name)) for name in context.__dataclass_fields__)
    }
    return {"stride16": image.permute(0, 2, 3, 1).numpy(), **padded(MemoryContext(**arrays))}


def expected_of(model: EdgeTAM, image: Any, context: MemoryContext[Any]) -> np.ndarray:
    with torch.inference_mode():
        return model.eval().memory_attention(image, context).permute(0, 2, 3, 1).numpy()


def off(got: np.ndarray, wanted: np.ndarray) -> float:
    assert got.shape == wanted.shape
    return float(np.sqrt(np.square(got - wanted).mean() / np.square(wanted).mean()))


@pytest.mark.parametrize(
    ("name", "batch", "frames", "pointers"),
    [("edgetam", 1, 7, 16), ("edgetam", 3, 2, 5), ("mine", 2, 3, 0), ("sam2.1-t", 1, 1, 3)],
)
def test_memory_attention_equals_pytorch(
    kernels: Any, name: str, batch: int, frames: int, pointers: int, tmp_path: Path
) -> None:
    """Those of the paper, with our own options, and with memories that have no latents and tell the time."""
    model = lively(OWN) if name == "mine" else shared_model(name, 256)
    image = features_map(model)
    context = context_of(model, batch, frames, pointers)
    got = attention_of(kernels, model, tmp_path)(inputs_of(image, context))
    assert off(got, expected_of(model, image, context)) < kernels.rounding


def features_map(model: EdgeTAM, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 256, model.config.grid, model.config.grid, generator=generator)


def test_padding_is_not_read(kernels: Any, tmp_path: Path) -> None:
    """Each object has its own number of memories; what stands in the place of others does not matter."""
    model = lively(OWN)
    image, context = features_map(model), context_of(model, 2, 3, 4)
    attention = attention_of(kernels, model, tmp_path)
    there = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    pointers = torch.tensor([[0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0]])
    nonsense = torch.where(there[:, :, None, None] > 0, context.tokens, 1e9)
    marked = replace(context, tokens=nonsense, tokens_valid=there, pointers_valid=pointers)
    got = attention(inputs_of(image, marked))
    for i in range(2):
        frames, some = there[i] > 0, pointers[i] > 0
        alone = MemoryContext(
            context.tokens[i : i + 1, frames],
            context.ages[i : i + 1, frames],
            context.pointers[i : i + 1, some],
            context.distances[i : i + 1, some],
        )
        assert np.array_equal(got[i : i + 1], attention(inputs_of(image, alone)))
        assert off(got[i : i + 1], expected_of(model, image, alone)) < kernels.rounding


def test_a_batch_equals_single_objects_on_any_number_of_threads(fast_kernels: Any, tmp_path: Path) -> None:
    model = lively(OWN)
    image, context = features_map(model), context_of(model, 3, 2, 2)
    together = attention_of(fast_kernels, model, tmp_path, threads=3)(inputs_of(image, context))
    attention = attention_of(fast_kernels, model, tmp_path, threads=1)
    for i in range(3):
        one = MemoryContext(
            *(getattr(context, n)[i : i + 1] for n in ("tokens", "ages", "pointers", "distances"))
        )
        assert np.array_equal(together[i : i + 1], attention(inputs_of(image, one)))
    # a frame for each object
    each = attention(inputs_of(image.expand(3, -1, -1, -1), context))
    assert np.array_equal(each, together)


def test_scores_may_be_huge(kernels: Any, tmp_path: Path) -> None:
    """The first keys say little of what others will be."""
    model = lively_model("edgetam", 256)
    with torch.no_grad():
        for layer in model.memory_attention.layers:
            layer.cross_attn.q_proj.weight.mul_(30)
            layer.self_attn.q_proj.weight.mul_(30)
    image, context = features_map(model), context_of(model, 1, 2, 2)
    context.tokens[:, -1] *= 4
    got = attention_of(kernels, model, tmp_path)(inputs_of(image, context))
    rounded = model.to(torch.bfloat16).float()  # one key takes it all, so rounding may choose another
    wanted = expected_of(rounded, image, context)
    assert np.isfinite(got).all()
    assert off(got, wanted) < 0.5


def test_what_is_no_number_stays_where_it_is(fast_kernels: Any, tmp_path: Path) -> None:
    model = shared_model("edgetam", 256)
    image, context = features_map(model), context_of(model, 2, 1, 1)
    attention = attention_of(fast_kernels, model, tmp_path)
    broken = replace(context, tokens=context.tokens.clone())
    broken.tokens[1, 0, 3] = np.nan
    got = attention(inputs_of(image, broken))
    assert np.isnan(got[1]).all()
    assert np.array_equal(got[:1], attention(inputs_of(image, context))[:1])


def picture(size: int = 256) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("name", ["edgetam", "mine"])
def test_the_image_encoder_equals_pytorch(kernels: Any, name: str, tmp_path: Path) -> None:
    """Widths of the paper, and others that do not fill blocks."""
    model = lively(OWN) if name == "mine" else shared_model(name, 256)
    image = picture()
    with torch.inference_mode():
        wanted = model.eval().image_encoder(torch.from_numpy(image).permute(0, 3, 1, 2))
    got = encoder_of(kernels, model, tmp_path)(image)
    for mine, stride in zip(got, ("stride4", "stride8", "stride16"), strict=True):
        assert off(mine, getattr(wanted, stride).permute(0, 2, 3, 1).numpy()) < kernels.rounding


def test_pictures_do_not_know_of_each_other(kernels: Any, tmp_path: Path) -> None:
    """Nor of how many threads there are; not even where one is broken."""
    model = lively(OWN)
    encode = encoder_of(kernels, model, tmp_path, threads=1)
    wanted = encode(picture())
    broken = picture()
    broken[0, 100:, 7] = np.nan
    assert np.isnan(encode(broken)[2]).any()
    again = (encode(picture()), encoder_of(kernels, model, tmp_path, threads=3)(picture()))
    for got in again:
        assert all(np.array_equal(mine, each) for mine, each in zip(got, wanted, strict=True))


def test_a_larger_picture(kernels: Any, tmp_path: Path) -> None:
    """Bands and pieces meet without a seam."""
    model = lively(replace(OWN, image_size=512))
    image = picture(512)
    with torch.inference_mode():
        wanted = model.eval().image_encoder(torch.from_numpy(image).permute(0, 3, 1, 2))
    got = encoder_of(kernels, model, tmp_path)(image)
    most = np.abs(got[0] - wanted.stride4.permute(0, 2, 3, 1).numpy()).max()
    assert most < 5 * kernels.rounding * np.abs(wanted.stride4.numpy()).max()
    assert off(got[2], wanted.stride16.permute(0, 2, 3, 1).numpy()) < kernels.rounding


def remembered(config: ModelConfig, objects: int, *, binarize: bool) -> dict[str, np.ndarray]:
    """Inputs of the graph ``remember``: an image, and blobs as logits."""
    rng = np.random.default_rng(3)
    side = config.mask_size
    blobs = [cv2.resize(rng.normal(0, 8, (6, 6)).astype(np.float32), (side, side)) for _ in range(objects)]
    return {
        "stride16": rng.normal(size=(1, config.grid, config.grid, 256)).astype(np.float32),
        "masks": np.stack(blobs)[:, None],
        "presence": np.ones((objects, 1), np.float32),
        "binarize": np.array([binarize], np.float32),
    }


def expected_memory(model: EdgeTAM, inputs: dict[str, np.ndarray]) -> np.ndarray:
    image = torch.from_numpy(inputs["stride16"]).permute(0, 3, 1, 2)
    masks, presence = (torch.from_numpy(inputs[name]) for name in ("masks", "presence"))
    features = ImageFeatures(image, image, image)
    with torch.inference_mode():
        found = model.eval().remember(
            features, masks, presence, torch.zeros(len(masks), 256), binarize=bool(inputs["binarize"][0])
        )
    return found.tokens.numpy()


@pytest.mark.parametrize("binarize", [False, True])
@pytest.mark.parametrize(("name", "size"), [("edgetam", 256), ("mine", 256), ("mine", 768)])
def test_memories_equal_those_of_pytorch(
    kernels: Any, name: str, size: int, binarize: bool, tmp_path: Path
) -> None:
    """Global latents and window latents, where blocks are rows, parts of rows and both."""
    if kernels.kernels_products() == b"plain" and size > 256:
        pytest.skip("takes a minute, and products of other sizes are no other ones")
    model = lively(replace(OWN, image_size=size)) if name == "mine" else shared_model(name, size)
    inputs = remembered(model.config, 2, binarize=binarize)
    got, wanted = memory_of(kernels, model, tmp_path)(inputs), expected_memory(model, inputs)
    latents = model.config.memory_layout.latents
    assert off(got[:, :latents], wanted[:, :latents]) < kernels.rounding
    assert off(got[:, latents:], wanted[:, latents:]) < kernels.rounding


def test_memories_do_not_know_of_each_other(fast_kernels: Any, tmp_path: Path) -> None:
    """Nor of how many threads there are, nor of a broken mask before them."""
    model = lively(OWN)
    inputs = remembered(model.config, 2, binarize=False)
    remember = memory_of(fast_kernels, model, tmp_path, threads=1)
    wanted = remember(inputs)
    assert np.isnan(remember(inputs | {"masks": np.full_like(inputs["masks"], np.nan)})).all()
    alone = [remember(inputs | {"masks": inputs["masks"][i : i + 1]}) for i in (0, 1)]
    assert np.array_equal(np.concatenate(alone), wanted)
    assert np.array_equal(memory_of(fast_kernels, model, tmp_path, threads=3)(inputs), wanted)


def test_memories_that_no_kernel_knows() -> None:
    for known, change in (
        (True, {}),
        (False, {"perceiver": None}),
        (False, {"perceiver": PerceiverConfig(48, 16)}),
        (False, {"perceiver": PerceiverConfig(64, 4)}),
        (False, {"absent_memory_embed": True}),
    ):
        assert memory.is_known(replace(OWN, **change)) == known


def fused_of(model: EdgeTAM, objects: int) -> dict[str, np.ndarray]:
    """Inputs of the graph ``track``."""
    features = features_of(model)
    fused = features_of(model, objects, seed=7).stride16
    maps = {"fused": fused, "stride4": features.stride4, "stride8": features.stride8}
    return {name: x.permute(0, 2, 3, 1).contiguous().numpy() for name, x in maps.items()}


@pytest.mark.parametrize(
    ("name", "size", "presence"),
    [("edgetam", 256, 10.0), ("edgetam", 256, -10.0), ("edgetam", 768, 10.0), ("sam2.1-t", 256, 10.0)],
)
def test_unprompted_frames_are_decoded_as_in_pytorch(
    kernels: Any, name: str, size: int, presence: float, tmp_path: Path
) -> None:
    """Objects that are there and others that are not; the best of the candidates."""
    model = lively_model(name, size, presence).eval()
    inputs = fused_of(model, 3)
    first = {name: torch.from_numpy(x).permute(0, 3, 1, 2) for name, x in inputs.items()}
    features = ImageFeatures(first["stride4"], first["stride8"], first["fused"])
    prompt = DecoderPrompt(torch.zeros(3, 1, 2), torch.full((3, 1), -1))
    with torch.inference_mode():
        wanted = model.decode(first["fused"], features, prompt, "best")
    masks, scores, there, pointers = decoder_of(kernels, model, tmp_path)(inputs)
    assert off(masks, wanted.masks.numpy()) < kernels.rounding
    assert np.abs(scores - wanted.scores.numpy()).max() < kernels.rounding / 2
    most = np.abs(wanted.presence.numpy()).max()
    assert np.abs(there - wanted.presence.numpy()).max() < 2.5 * kernels.rounding * most
    assert off(pointers, wanted.pointer.numpy()) < kernels.rounding


def test_objects_are_decoded_on_their_own(fast_kernels: Any, tmp_path: Path) -> None:
    """In any company, on any number of threads, and after a broken one."""
    model = shared_model("edgetam", 256)
    inputs = fused_of(model, 3)
    decode = decoder_of(fast_kernels, model, tmp_path, threads=1)
    wanted = decode(inputs)
    broken = inputs | {"fused": inputs["fused"].copy()}
    broken["fused"][1] = np.nan
    with_it = decode(broken)
    for got, each in zip(with_it, wanted, strict=True):
        assert np.array_equal(got[[0, 2]], each[[0, 2]])
    assert np.isnan(with_it[0][1]).all()
    for i in range(3):
        alone = decode(inputs | {"fused": inputs["fused"][i : i + 1]})
        assert all(np.array_equal(got[0], each[i]) for got, each in zip(alone, wanted, strict=True))
    for got, each in zip(decoder_of(fast_kernels, model, tmp_path, threads=3)(inputs), wanted, strict=True):
        assert np.array_equal(got, each)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "shape", [(1, 1), (360, 640), (17, 256), (256, 256), (33, 700), (700, 33), (255, 257), (1100, 40)]
)
def test_frames_are_resized_as_pillow_does(kernels: Any, shape: tuple[int, int], threads: int) -> None:
    """To the last bit, for sizes that are whole vectors and others, larger and smaller."""
    rng = np.random.default_rng(sum(shape))
    rgb = rng.choice(np.array([0, 1, 127, 254, 255], np.uint8), (*shape, 3))
    frames = Frames(kernels, Pool(kernels, threads), 256, NORMALISED.T)
    for frame in (rgb, rgb[::-1, ::-1]):
        got = frames.prepare(frame)
        assert (got is None) == (shape[1] < 6)
        assert got is None or np.array_equal(got, prepare_image(frame, 256, "video"))


def test_trunks_that_no_kernel_knows() -> None:
    assert not encoder.is_known(shared_model("sam2.1-t", 256).config)
    odd = replace(OWN, encoder=RepViTConfig((24, 32, 48, 64), (1, 1, 1, 1)))
    assert not encoder.is_known(odd)


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """A bright square that moves over noise: uint8 ``[T, H, W, 3]``."""
    frames = np.random.default_rng(5).integers(0, 90, (6, 56, 72, 3), np.uint8)
    for t in range(len(frames)):
        frames[t, 10 + t : 30 + t, 8 + 2 * t : 28 + 2 * t] += np.uint8(150)
    return frames


def masks_of(engine: Any, clip: np.ndarray) -> np.ndarray:
    """Two objects, one of them corrected."""
    with VideoTracker(engine, TrackerOptions()).open(clip) as session:
        session.prompt(0, 1, points=[[18, 20]])
        session.prompt(0, 2, box=[30, 20, 60, 50])
        list(session.propagate(frames=3))
        session.prompt(3, 2, points=[[40, 30]])
        return np.stack([r.objects[i].mask for r in session.propagate() for i in (1, 2)])


@usable_here
def test_the_engine_tracks_as_openvino_does(clip: np.ndarray) -> None:
    pytest.importorskip("openvino")
    engines = {
        (name, precision): load_model(engine=name, precision=precision, image_size=256, threads=1)
        for name, precision in (("native", "bf16"), ("native", "fp32"), ("openvino", "fp32"))
    }
    assert all((e.name, e.precision) == asked for asked, e in engines.items())
    assert len({e.weights_id for e in engines.values()}) == 1
    half, full, wanted = (masks_of(engine, clip) for engine in engines.values())
    assert wanted.any((1, 2)).all()
    for mine, least in ((half, 0.95), (full, 0.9995)):
        overlap = (mine & wanted).sum((1, 2)) / np.maximum((mine | wanted).sum((1, 2)), 1)
        assert overlap.mean() > least


@usable_here
def test_one_engine_serves_several_threads_and_a_fork() -> None:
    pytest.importorskip("openvino")
    engine = load_model(engine="native", image_size=256, threads=2)
    model = shared_model("edgetam", 256)
    features = ImageFeatures(*(np.asarray(x) for x in (torch.zeros(1), torch.zeros(1), features_map(model))))
    context = padded(MemoryContext(*(np.asarray(x) for x in context_tuple(model))))
    context = {
        name: context[name]
        for name in ("tokens", "ages", "pointers", "distances", "tokens_valid", "pointers_valid")
    }
    wanted = engine.attend(features, MemoryContext(**context))
    answers: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: answers.append(engine.attend(features, MemoryContext(**context))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert all(np.array_equal(answer, wanted) for answer in answers)
    child = os.fork()
    if child == 0:
        same = np.array_equal(engine.attend(features, MemoryContext(**context)), wanted)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


def context_tuple(model: EdgeTAM) -> tuple[Any, ...]:
    context = context_of(model, 2, 3, 4)
    return context.tokens, context.ages, context.pointers, context.distances


def test_another_compiler_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the package ziglang, where the system has none."""
    pytest.importorskip("ziglang")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(native, "COMPILERS", ())
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path / "zig"))
    native.compile_kernels(tmp_path / native.NAME, ("-march=x86_64",))
    assert native.load_kernels(tmp_path / native.NAME).kernels_products() == b"plain"


def test_reasons_and_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says what is missing and what to do."""
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'cc: out of order' >&2\nexit 3\n")
    compiler.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("CC", str(compiler))
        with pytest.raises(EngineError, match=r"cannot compile the native kernels \(cc: out of order\).*CC"):
            native.compile_kernels(tmp_path / native.NAME)
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(b"no library")
    with pytest.raises(EngineError, match=r"cannot be loaded .*use engine='openvino'"):
        native.load_kernels(damaged)
    native._store.cache_clear()
    with monkeypatch.context() as patch:
        patch.setenv("EDGETAM_CACHE", str(tmp_path / "empty"))
        patch.setattr(native, "compiler", lambda: None)
        patch.setattr(native, "cpu_flags", lambda: frozenset({native.NEEDED}))
        assert "install gcc, or run pip install 'edgetam[native]'" in str(native.why_not())
        with pytest.raises(EngineError, match="There is no C compiler"):
            native.compile_kernels(tmp_path / native.NAME)
        patch.setattr(native, "cpu_flags", frozenset)
        assert native.why_not() == "this CPU does not compute in bfloat16"
        patch.setattr(sys, "platform", "darwin")
        assert native.why_not() == "they are for Linux on x86-64"
    native._store.cache_clear()


def test_when_it_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(select, "_torch_device", lambda: "cpu")
    for flags, reason, chosen in (
        ({native.MATRIX_UNIT}, None, "native"),
        ({native.MATRIX_UNIT}, "there is no C compiler", "openvino"),
        ({native.NEEDED}, None, "openvino"),  # products take as long there as in OpenVINO
    ):
        monkeypatch.setattr(native, "cpu_flags", lambda flags=flags: flags)
        monkeypatch.setattr(native, "why_not", lambda precision="bf16", reason=reason: reason)
        assert select.choose_engine(precision="bf16")[:3] == (chosen, "cpu", "bf16")
        assert select.choose_engine(precision="int8")[:3] == (chosen, "cpu", "int8")
        assert select.choose_engine()[:3] == (chosen, "cpu", "fp32")
        assert select.choose_engine(precision="fp16")[:3] == ("openvino", "cpu", "fp16")
    assert select.choose_engine("native")[:3] == ("native", "cpu", "fp32")
    with pytest.raises(EngineError, match="runs on the CPU and device is 'cuda'"):
        select.choose_engine("native", "cuda")


@usable_here
def test_openvino_takes_over_where_kernels_cannot_be_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("openvino")
    weights = save_native(tmp_path / "w.safetensors", shared_model("edgetam", 256))

    def refuse(precision: str) -> None:
        raise EngineError("cc: out of order")

    monkeypatch.setattr("edgetam.engine.native.engine.library", refuse)
    monkeypatch.setattr(native, "pays", lambda precision: True)
    with caplog.at_level(logging.WARNING):
        assert load_model(weights=weights, precision="bf16").name == "openvino"
    assert "cc: out of order" in caplog.text
    with pytest.raises(EngineError, match="cc: out of order"):
        load_model(weights=weights, engine="native")
    with pytest.raises(EngineError, match="'fp16'; the native engine computes in bf16 or fp32"):
        load_model(weights=weights, engine="native", precision="fp16")


@usable_here
def test_a_later_start_needs_neither_pytorch_nor_a_compiler(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    run = """
import sys, numpy as np
from edgetam import VideoTracker, load_model
engine = load_model(engine="native", image_size=256, threads=1)
with VideoTracker(engine).open(np.zeros((2, 40, 40, 3), np.uint8)) as session:
    session.prompt(0, 1, points=[[18, 20]])
    list(session.propagate())
print("torch" in sys.modules)
"""
    env = os.environ | {"EDGETAM_CACHE": str(tmp_path)}
    for path, said in ((env["PATH"], "True"), ("", "False")):
        done = subprocess.run(
            [sys.executable, "-c", run], env=env | {"PATH": path}, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == [said]
