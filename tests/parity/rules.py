"""How the golden numbers' weights, inputs and clips are made: a function of names and seeds only.

Written from the description that comes with the numbers, so that a folder of them needs no weights.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

EMBEDDING = re.compile(
    r"(point_embeddings\.\d+|not_a_point_embed|no_mask_embed|iou_token|mask_tokens|obj_score_token)\.weight"
)
LOOKS_BACK = re.compile(
    r"sam_mask_decoder\.transformer\..*(cross|final).*\.[qk]_proj\.weight"
    r"|memory_attention\..*\.self_attn\.[qk]_proj\.weight"
)
"""Attention that should find the place it comes from: these weights get an identity."""

GAINS: Mapping[str, float] = {
    r".*stem\.conv[12]\.c": 1.4,
    r".*token_mixer\.conv1?\.c": 0.35,
    r".*spatial_downsample\.c": 0.7,
    r".*(channel_mixer|ffn)\.conv2\.c": 0.6,
    r".*\.se\.fc2": 2.0,
    r".*neck\.convs\.[01]\.conv": 0.5,
    r".*memory_encoder\.pix_feat_proj": 0.5,
    r".*mask_downsampler\.encoder\.12": 3.0,
    r".*spatial_perceiver\..*to_(q|kv)": 1.5,
    r".*cross_attn_image\.(k|v|out)_proj": 2.0,
    r".*(cross|final)_attn_token_to_image\.(v|out)_proj": 1.6,
    r".*obj_ptr_proj\.layers\.\d": 1.6,
    r".*output_hypernetworks_mlps\.\d+\.layers\.\d": 1.6,
    r".*iou_prediction_head\.layers\.\d": 1.6,
    r".*pred_obj_score_head\.layers\.2": 4.0,
    r".*pred_obj_score_head\.layers\.[01]": 2.0,
}
"""Factors that keep activations lively through the network, by name (without the final ``.weight``)."""
PRESENCE_BIAS = "sam_mask_decoder.pred_obj_score_head.layers.2.bias"


def generator(text: str) -> np.random.Generator:
    """Random numbers that depend on a text only."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(text.encode())))


def weight(name: str, shape: tuple[int, ...], seed: int, presence_bias: float) -> NDArray[np.generic]:
    """One entry of an official state dict."""
    if name.endswith("num_batches_tracked"):
        return np.ones(shape, np.int64)
    rng = generator(f"{name}:{seed}")
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    scale, offset = scale_and_offset(name, shape, presence_bias)
    value = scale * rng.standard_normal(shape)
    if name.endswith(".weight") and len(shape) > 1 and not EMBEDDING.search(name):
        value = value / np.sqrt(fan_in(name, shape))
        if LOOKS_BACK.search(name):
            value = value + np.eye(*shape)
    return (offset + value).astype(np.float32)


def scale_and_offset(name: str, shape: tuple[int, ...], presence_bias: float) -> tuple[float, float]:
    """Spread and mean, before the spread of matrices is divided by their fan-in."""
    if name.endswith("running_mean"):
        return 0.1, 0.0
    if EMBEDDING.search(name):
        return 0.5, 0.0
    if name.endswith("positional_encoding_gaussian_matrix"):
        return 1.0, 0.0
    if name.endswith("gamma"):
        return 0.1, 0.5
    if name.endswith("bias"):
        special = {PRESENCE_BIAS: presence_bias}
        return 0.05, 1.0 if name.endswith(".se.fc2.bias") else special.get(name, 0.0)
    if name.endswith("weight"):
        return (0.1, 1.0) if len(shape) == 1 else (gain(name), 0.0)
    return (1.0 if "latents" in name else 0.3), 0.0


def gain(name: str) -> float:
    """The factor of a matrix; the first pattern that fits counts."""
    stem = name.removesuffix(".weight")
    return next((factor for pattern, factor in GAINS.items() if re.fullmatch(pattern, stem)), 1.0)


def fan_in(name: str, shape: tuple[int, ...]) -> int:
    """Inputs of one output; transposed convolutions have them first."""
    return shape[0] if "output_upscaling" in name else int(np.prod(shape[1:]))


def state_dict(
    shapes: Mapping[str, tuple[int, ...]], seed: int, presence_bias: float
) -> dict[str, NDArray[np.generic]]:
    """A whole official state dict."""
    return {name: weight(name, tuple(shape), seed, presence_bias) for name, shape in shapes.items()}


def noise(name: str, shape: tuple[int, ...], scale: float = 1.0, seed: int = 0) -> Array:
    """A named random input."""
    return (scale * generator(f"input:{name}:{seed}").standard_normal(shape)).astype(np.float32)


def waves(name: str, height: int, width: int, seed: int = 0) -> Array:
    """A named smooth input of both signs: six plane waves."""
    rng = generator(f"smooth:{name}:{seed}")
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    total = np.zeros((height, width))
    for _ in range(6):
        fx, fy = rng.uniform(-4, 4), rng.uniform(-4, 4)
        phase, amplitude = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1)
        total = total + amplitude * np.sin(
            2 * np.pi * (fx * (columns / width) + fy * (rows / height)) + phase
        )
    return (8 * total / 2).astype(np.float32)


def frame(seed: int, time: int, height: int, width: int, speed: float = 1.0) -> NDArray[np.uint8]:
    """One RGB frame of a clip: drifting plane waves, and three soft ellipses that move and turn."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    u, v = columns / width, rows / height
    channels = []
    for _ in range(3):
        plane = np.full((height, width), 105.0 + 40 * rng.random())
        for _ in range(5):
            fx, fy = rng.uniform(-6, 6), rng.uniform(-6, 6)
            phase, amplitude = rng.uniform(0, 2 * np.pi), rng.uniform(5, 18)
            plane = plane + amplitude * np.sin(2 * np.pi * (fx * u + fy * v) + phase + 0.05 * time)
        channels.append(plane)
    image = np.stack(channels, axis=-1)
    for _ in range(3):
        image = _ellipse(image, rng, time, u, v, speed)
    return np.floor(image.clip(0, 255) + 0.5).clip(0, 255).astype(np.uint8)


def _ellipse(
    image: NDArray[np.float64],
    rng: np.random.Generator,
    time: int,
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    speed: float,
) -> NDArray[np.float64]:
    """Draw one ellipse over ``image``; the order of the random numbers is part of the rule."""
    height, width = u.shape
    x, y = rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.75)
    vx, vy = rng.uniform(-0.02, 0.02) * speed, rng.uniform(-0.015, 0.015) * speed
    long, short = rng.uniform(0.09, 0.18), rng.uniform(0.07, 0.15)
    angle, turn = rng.uniform(0, np.pi), rng.uniform(-0.05, 0.05)
    colour, frequency, phase = rng.uniform(20, 235, 3), rng.uniform(3, 9), rng.uniform(0, 2 * np.pi)
    dx, dy = (u - x - vx * time) * width / height, v - y - vy * time
    cos, sin = np.cos(angle + turn * time), np.sin(angle + turn * time)
    along, across = (cos * dx + sin * dy) / long, (-sin * dx + cos * dy) / short
    inside = np.clip((1.0 - np.sqrt(along * along + across * across)) * 12, 0, 1)[..., None]
    stripes = 25 * np.sin(frequency * along + phase)[..., None]
    return image * (1 - inside) + inside * (colour + stripes)
