"""Cases of the network's parts, each on its own input."""

from __future__ import annotations

import re
import zlib
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from edgetam.engine.torch import TorchEngine
from edgetam.model import EdgeTAM
from edgetam.model.layers import to_tokens, upsample
from edgetam.model.mask_decoder import Candidates, several, single_if_stable
from edgetam.model.memory_attention import MemoryKeys
from edgetam.model.positions import sine_grid
from edgetam.structs import Decoded, DecoderPrompt, ImageFeatures
from edgetam.tracking.geometry import prepare_image
from edgetam.tracking.masks import NO_OBJECT
from tests.parity.golden import Golden, as_array
from tests.parity.images import ENCODER, FLIPS, FULL, IOU, LOW, picture
from tests.parity.models import Models
from tests.parity.report import Report
from tests.parity.rules import noise, waves

PROMPT, MEMORY, PRESENCE, POINTER = 1e-5, 2e-4, 5e-4, 5e-4
TABLE = 1e-5
SIZE = 1024


class Parts:
    """The network, its folded form as it runs, and one image's features."""

    def __init__(self, golden: Golden, models: Models) -> None:
        self.network: EdgeTAM = models.network()
        self.engine = TorchEngine(self.network)
        self.image = picture(golden)
        self.pixels = prepare_image(self.image, SIZE, "image")
        self.features: ImageFeatures[Tensor] = self.engine.encode(self.pixels)
        self.fused = self.engine.attend(self.features, None)


@torch.inference_mode()
def run_components_a(golden: Golden, models: Models) -> list[Report]:
    """Preprocessing, encoder, prompt encoder and mask decoder."""
    parts = Parts(golden, models)
    sections = {
        "pre_": _preprocessing,
        "enc_": _encoder,
        "pe_": _prompts,
        "dec_": _decoder,
        "heads_": _heads,
        "maskout_": _adopted_masks,
    }
    return [run(golden, parts) for prefix, run in sections.items() if golden.has(prefix)]


@torch.inference_mode()
def run_components_b(golden: Golden, models: Models) -> list[Report]:
    """Memory encoder, perceiver and memory attention."""
    parts = Parts(golden, models)
    seed = _input_seed(golden, models.rule.seed)
    sections = {"mem": _memory, "perceiver_": _perceiver, "ma": _memory_attention}
    return [run(golden, parts, seed) for prefix, run in sections.items() if golden.has(prefix)]


def _input_seed(golden: Golden, weights_seed: int) -> int:
    """Which seed named inputs have: that which makes the one input a golden stores."""
    at, stored = golden["mem_in_logits__idx"], golden["mem_in_logits"]
    for seed in (0, weights_seed):
        if np.allclose(waves("mem", SIZE, SIZE, seed).ravel()[at], stored, atol=1e-5):
            return seed
    return 0


def _preprocessing(golden: Golden, parts: Parts) -> Report:
    report = Report("preprocessing")
    picture(golden, report=report)
    golden.compare(report, "pixels", "pre_image_predictor", parts.pixels, TABLE)
    golden.compare(report, "pixels", "pre_video", prepare_image(parts.image, SIZE, "video"), TABLE)
    resized = Image.fromarray(parts.image).resize((SIZE, SIZE))
    checksum = zlib.crc32(np.asarray(resized).tobytes())
    report.exact("checksum of the resized frame", checksum, golden["pre_video_resized_crc32"][0])
    return report


def _encoder(golden: Golden, parts: Parts) -> Report:
    report = Report("image_encoder")
    encoder = parts.network.image_encoder
    pixels = torch.from_numpy(parts.pixels)
    golden.compare(report, "trunk", "enc_stem", encoder.trunk.stem(pixels), ENCODER)  # type: ignore[operator]
    maps = encoder.trunk(pixels)
    for i, found in enumerate(maps):
        golden.compare(report, "trunk", f"enc_stage{i}", found, ENCODER)
    for i in range(2):
        golden.compare(report, "neck", f"enc_fpn{i}", encoder.neck.lateral[i](maps[i]), ENCODER)
    for name, features in (("neck", encoder.neck(maps)), ("folded", parts.features)):
        golden.compare(report, name, "enc_fpn2", features.stride16, ENCODER)
        golden.compare(report, name, "enc_conv_s0", features.stride4, ENCODER)
        golden.compare(report, name, "enc_conv_s1", features.stride8, ENCODER)
    golden.compare(report, "folded", "image_embed_plus_no_mem", parts.fused, ENCODER)
    for key, channels, side in (
        ("sine_256_64x64", 256, 64),
        ("sine_64_64x64", 64, 64),
        ("sine_64_16x16", 64, 16),
        *((f"enc_pos{i}", 256, 256 >> i) for i in range(3)),
    ):
        table = sine_grid(channels, side).T.reshape(1, channels, side, side)
        golden.compare(report, "positions", key, table, TABLE)
    return report


def _prompts(golden: Golden, parts: Parts) -> Report:
    report = Report("prompt_encoder")
    encoder = parts.network.prompt_encoder
    golden.compare(report, "positions", "dense_pe", encoder.positions(), TABLE)
    for key in golden:
        if key.startswith("pe_") and key.endswith("_sparse"):
            case = key.removeprefix("pe_").removesuffix("_sparse")
            sparse, dense = _encode_prompt(golden, case, parts.network)
            golden.compare(report, "sparse", key, sparse, PROMPT)
            golden.compare(report, "dense", f"pe_{case}_dense", dense, PROMPT)
    return report


def _encode_prompt(golden: Golden, case: str, network: EdgeTAM) -> tuple[Tensor, Tensor]:
    """Sparse and dense codes of a stored prompt, dense at full size.

    Published code closes a list of points with "not a point" unless a box comes by its own argument, which
    no predictor does: those cases are computed without that last token.
    """
    points, labels, closed = _stored_prompt(golden, case)
    mask = None
    if "mask" in case:
        mask = torch.from_numpy(waves(_mask_name(golden, case, network), 256, 256))[None, None]
    sparse, dense = network.prompt_encoder(DecoderPrompt(points, labels, mask))
    grid = network.config.grid
    return sparse if closed else sparse[:, :-1], dense.expand(len(points), -1, grid, grid)


def _mask_name(golden: Golden, case: str, network: EdgeTAM) -> str:
    """Two mask inputs are described; which case has which is seen from its stored code."""
    at, stored = golden[f"pe_{case}_dense__idx"], golden[f"pe_{case}_dense"]

    def distance(name: str) -> float:
        mask = torch.from_numpy(waves(name, 256, 256))[None, None]
        code = as_array(network.prompt_encoder.encode_mask(mask)).ravel()[at]
        return float(np.abs(code - stored).max())

    return min(("pe_mask", "pe_mask2"), key=distance)


def _stored_prompt(golden: Golden, case: str) -> tuple[Tensor, Tensor, bool]:
    """Points and labels, boxes as corners after the points; and whether a closing token follows."""
    points, labels = torch.zeros(1, 0, 2), torch.zeros(1, 0, dtype=torch.long)
    if f"pe_{case}_in_points" in golden:
        points = torch.from_numpy(golden[f"pe_{case}_in_points"])
        labels = torch.from_numpy(golden[f"pe_{case}_in_labels"]).long()
    if f"pe_{case}_in_boxes" not in golden:
        return points, labels, True
    corners = torch.from_numpy(golden[f"pe_{case}_in_boxes"]).reshape(-1, 2, 2)
    batch = len(corners)
    points = torch.cat([points.expand(batch, -1, -1), corners], dim=1)
    labels = torch.cat([labels.expand(batch, -1), torch.tensor([2, 3]).expand(batch, -1)], dim=1)
    return points, labels, False


def _decoder(golden: Golden, parts: Parts) -> Report:
    report = Report("mask_decoder")
    network = parts.engine.model
    for key in list(golden):
        if not (key.startswith("dec_") and key.endswith("_allmasks")):
            continue
        case = key.removesuffix("_allmasks")
        sparse, dense = _encode_prompt(golden, case.removeprefix("dec_"), network)
        place = network.prompt_encoder.positions()
        found = network.mask_decoder(parts.fused, parts.features, sparse, dense, place)
        golden.compare(report, "logits", key, found.masks, LOW)
        golden.compare(report, "iou", f"{case}_alliou", found.scores, IOU)
        golden.compare(report, "tokens", f"{case}_tokens", found.tokens, POINTER)
        golden.compare(report, "presence", f"{case}_objscore", found.presence, PRESENCE)
        if f"{key}_bits" in golden:
            golden.compare_bits(report, f"{key}_bits", found.masks, FLIPS)
        for choice, choose in (("mm1", several), ("mm0", single_if_stable)):
            _compare_choice(report, golden, f"{case}_{choice}", choose(found))
    return report


def _compare_choice(report: Report, golden: Golden, case: str, chosen: Candidates) -> None:
    golden.compare(report, "logits", f"{case}_masks", chosen.masks, LOW)
    golden.compare(report, "iou", f"{case}_iou", chosen.scores, IOU)
    golden.compare(report, "tokens", f"{case}_samtok", chosen.tokens, POINTER)


def _heads(golden: Golden, parts: Parts) -> Report:
    """Clicks to masks and pointers, absent objects included."""
    report = Report("decode")
    i = 0
    while f"heads_{i}_points" in golden:
        points = golden[f"heads_{i}_points"]
        prompt = DecoderPrompt(points, golden[f"heads_{i}_labels"].astype(np.int64))
        mode = "several" if points.shape[1] == 1 else "stable"
        decoded = parts.engine.decode(parts.fused, parts.features, prompt, mode)
        golden.compare(report, "iou", f"heads_{i}_iou", decoded.scores, IOU)
        present = decoded.presence[0, 0] > 0
        best = decoded.masks[:, decoded.best[0]][:, None]
        _compare_decoded(
            report, golden, f"heads_{i}", decoded, best if present else np.full_like(best, NO_OBJECT)
        )
        i += 1
    return report


def _compare_decoded(report: Report, golden: Golden, case: str, decoded: Decoded[Any], low: Any) -> None:
    golden.compare(report, "logits", f"{case}_lowres", low, LOW)
    golden.compare(report, "pointer", f"{case}_objptr", decoded.pointer, POINTER)
    golden.compare(report, "presence", f"{case}_objscore", decoded.presence, PRESENCE)
    full = upsample(torch.from_numpy(low), SIZE)
    golden.compare(report, "full", f"{case}_highres", full, FULL)


def _adopted_masks(golden: Golden, parts: Parts) -> Report:
    """Given masks; the reference saw the image with "no memory" added."""
    report = Report("adopt")
    seen = ImageFeatures(parts.features.stride4, parts.features.stride8, parts.fused)
    smooth = (waves("mao", SIZE, SIZE) > 0).astype(np.float32)
    for case, mask in (("maskout_smooth", smooth), ("maskout_empty", np.zeros_like(smooth))):
        decoded = parts.engine.adopt(seen, mask[None, None])
        golden.compare(report, "iou", f"{case}_iou", decoded.scores[:, :1], IOU)
        golden.compare(report, "logits", f"{case}_lowres", decoded.masks, LOW)
        golden.compare(report, "pointer", f"{case}_objptr", decoded.pointer, POINTER)
        golden.compare(report, "presence", f"{case}_objscore", decoded.presence, PRESENCE)
        golden.compare(report, "full", f"{case}_highres", mask[None, None] * 20 - 10, FULL)
    return report


def _memory(golden: Golden, parts: Parts, seed: int) -> Report:
    report = Report("memory_encoder")
    network = parts.engine.model
    logits = torch.from_numpy(waves("mem", SIZE, SIZE, seed))[None, None]
    golden.compare(report, "input", "mem_in_logits", logits, TABLE)
    for case, likely in (("sig", logits.sigmoid()), ("bin", (logits > 0).float())):
        if not golden.has(f"memenc_{case}"):
            continue
        mask = F.pixel_unshuffle(20 * likely - 10, 4)  # as the folded form reads masks
        golden.compare(report, "mask", f"memds_{case}", network.memory_encoder.mask_downsampler(mask), MEMORY)
        memory = network.memory_encoder(parts.features.stride16, mask, torch.ones(1, 1))
        golden.compare(report, "memory", f"memenc_{case}_feat", memory, MEMORY)
        table = sine_grid(64, 64).T.reshape(1, 64, 64, 64)
        golden.compare(report, "positions", f"memenc_{case}_pos", table, TABLE)
        assert network.perceiver is not None
        golden.compare(report, "latents", f"newmem_{case}_lat", network.perceiver(memory), MEMORY)
    return report


def _perceiver(golden: Golden, parts: Parts, seed: int) -> Report:
    report = Report("perceiver")
    perceiver = parts.engine.model.perceiver
    assert perceiver is not None
    x = torch.from_numpy(noise("perceiver_x", (2, 64, 64, 64), seed=seed))
    position = to_tokens(torch.from_numpy(noise("perceiver_pos", (2, 64, 64, 64), 0.5, seed)))
    latents = perceiver.latents.expand(2, -1, -1)
    places = perceiver.look_in_windows(x)
    for suffix, seen in (("", position), ("_nopos", None)):
        everywhere = perceiver.run(latents, to_tokens(x), seen)
        if not suffix:
            golden.compare(report, "global", "perceiver_lat1d", everywhere, MEMORY)
        both = torch.cat([everywhere, places], dim=1)
        golden.compare(report, "latents", f"perceiver{suffix}_lat", both, MEMORY)
    golden.compare(report, "windows", "perceiver_lat2d", places, MEMORY)
    table = torch.cat([torch.zeros(256, 64), sine_grid(64, 16)])
    golden.compare(report, "positions", "perceiver_pos_out", table, TABLE)
    return report


def _memory_attention(golden: Golden, parts: Parts, seed: int) -> Report:
    report = Report("memory_attention")
    attention = parts.engine.model.memory_attention
    for i in sorted(int(key[2:-4]) for key in golden if re.fullmatch(r"ma\d+_cfg", key)):
        memories, pointers, batch = golden.integers(f"ma{i}_cfg")
        image = torch.from_numpy(noise(f"ma{i}_curr", (4096, batch, 256), seed=seed)).transpose(0, 1)
        keys = _memory_keys(i, memories, pointers, batch, seed)
        x = image + attention.position
        for depth, layer in enumerate(attention.layers):
            x = layer(x, keys)
            if depth == 0:
                golden.compare(report, "layer 0", f"ma{i}_layer0", x, MEMORY)
        golden.compare(report, "output", f"ma{i}_out", attention.norm(x).transpose(0, 1), MEMORY)
    return report


def _memory_keys(i: int, memories: int, pointers: int, batch: int, seed: int) -> MemoryKeys:
    """The stored order, frame by frame and pointers last, brought to ours."""
    tokens = memories * 512
    shape = (tokens + pointers * 4, batch, 64)
    values = noise(f"ma{i}_mem", shape, seed=seed)
    positions = noise(f"ma{i}_mempos", shape, 0.5, seed)
    positions[tokens:] = 0

    def arrange(array: Any) -> Tensor:
        x = torch.from_numpy(array).transpose(0, 1)  # [B, L, 64]
        frames = x[:, :tokens].unflatten(1, (memories, 512))
        latents, grid = frames[:, :, :256].flatten(1, 2), frames[:, :, 256:].flatten(1, 2)
        return torch.cat([latents, x[:, tokens:], grid], dim=1)

    return MemoryKeys(arrange(values), arrange(positions), memories * 256, None)
