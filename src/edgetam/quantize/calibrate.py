"""Post-training quantisation with NNCF, on what graphs are given while real frames are tracked."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from edgetam.engine.int8 import Calibration, keep_quantised
from edgetam.engine.quiet import quiet, unreported
from edgetam.engine.requirements import require
from edgetam.engine.source import Source
from edgetam.errors import ConfigError, MediaError
from edgetam.quantize.clips import Clip
from edgetam.quantize.observer import Inputs, observed

__all__ = ["DEFAULT_PARTS", "FRAMES", "PARTS", "check_parts", "quantize"]

PARTS = ("encode", "attend", "track", "remember")
"""What every tracked frame runs; prompts are too rare to pay."""
DEFAULT_PARTS = ("attend",)
"""Most of a frame, and what int8 changes least."""
FRAMES = 12
"""Enough for full memories."""


def check_parts(parts: Sequence[str]) -> None:
    """Find out what can be known without loading anything.

    Raises:
        ConfigError: an unknown part, or none.
        EngineError: NNCF or OpenVINO is missing.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        what = f"have unknown {', '.join(unknown)}" if unknown else "are none"
        raise ConfigError(f"The parts {what}; expected some of {','.join(PARTS)}.")
    require(("nncf", "openvino"), "Quantising", "quantize")


def quantize(
    source: Source,
    clips: Sequence[Clip],
    parts: Sequence[str] = DEFAULT_PARTS,
    *,
    frames: int = FRAMES,
    threads: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Calibration:
    """Quantise graphs, keep them in the cache and put them in use for ``precision="int8"``.

    Args:
        source: the network.
        clips: what to calibrate on; tracked, so that memories are real.
        parts: some of `PARTS`; the others stay in floating point.
        frames: of each clip.
        threads: CPU threads to use; all by default.
        say: told what happens.

    Raises:
        ConfigError: an unknown part.
        EngineError: NNCF is missing, or this CPU's int8 products overflow.
        MediaError: a clip cannot be read, or none is long enough.
        OutputError: the cache cannot be written.
    """
    check_parts(parts)
    with unreported():  # whether it reports is settled here
        import nncf

    from edgetam.engine.openvino import OpenVINORunner, check_int8, graph_store, openvino_engine

    check_int8()
    store = graph_store(source)
    store.check()
    plain = openvino_engine(source, threads=threads)
    engine, observer = observed(plain, (*parts, "encode"))
    for clip in clips:
        say(f"Tracking {frames} frames of {clip.source}.")
        for _ in clip.follow(engine, frames):
            pass
    unseen = [part for part in parts if not observer.seen[part]]
    if unseen:
        raise MediaError(
            f"No clip has enough frames to calibrate '{unseen[0]}'; give one of two frames or more."
        )
    runner = plain.runner
    assert isinstance(runner, OpenVINORunner)
    calibration = Calibration(tuple(parts), _digest(observer.seen["encode"]), f"nncf-{nncf.__version__}")

    def maker(part: str) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            say(f"Quantising '{part}' with {len(observer.seen[part])} samples.")
            _quantize(runner.folder_of(part) / "model.xml", observer.seen[part], folder, threads)

        return make

    keep_quantised(store, calibration, {part: maker(part) for part in parts})
    return calibration


def _quantize(path: Path, samples: list[Inputs], folder: Path, threads: int | None) -> None:
    import nncf

    from edgetam.engine.openvino import core, save
    from edgetam.engine.openvino_attention import unfuse_attention
    from edgetam.quantize.attention import attention_abs_max

    read = core().read_model
    abs_max = attention_abs_max(read(path), samples, threads)
    exact = [*abs_max, *_sums_of_norms(read(path))]  # NNCF would round the weights of attention too
    options: dict[str, Any] = {"ignored_scope": nncf.IgnoredScope(names=exact)} if exact else {}
    if abs_max:
        options["model_type"] = nncf.ModelType.TRANSFORMER
    with (
        redirect_stdout(io.StringIO()),
        quiet("nncf"),
        unreported(),
    ):  # its bars, and what it tells developers
        quantised: Any = nncf.quantize(
            read(path),
            nncf.Dataset(samples),
            preset=nncf.QuantizationPreset.MIXED,
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(samples),
            **options,
        )
    unfuse_attention(quantised, abs_max)
    save(quantised, folder)


def _sums_of_norms(model: Any) -> list[str]:
    """Convolutions that add up squares for a norm, whose epsilon NNCF would take for a bias."""
    found = []
    for node in model.get_ops():
        if node.get_type_name() != "Add":
            continue
        terms = [entry.get_source_output().get_node() for entry in node.inputs()]
        single = [t.get_type_name() == "Constant" and t.get_data().size == 1 for t in terms]
        found += [t.get_friendly_name() for t in terms if t.get_type_name() == "Convolution" and any(single)]
    return found


def _digest(images: list[Inputs]) -> str:
    digest = hashlib.sha256()
    for image in images:
        digest.update(image["image"].tobytes())
    return digest.hexdigest()
