"""Cases of the video predictor: a list of calls, and what the published predictor answered and kept."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from edgetam.compat.sam2 import SAM2VideoPredictor
from edgetam.compat.state import InferenceState
from edgetam.engine.torch import TorchEngine
from edgetam.structs import ImageFeatures, MemoryContext
from edgetam.tracking.records import FrameRecord
from tests.parity.golden import Golden, as_array, largest
from tests.parity.hard_masks import settle
from tests.parity.models import Models
from tests.parity.published_order import PublishedOrder
from tests.parity.report import Report
from tests.parity.rules import frame as make_frame

DEFAULT = {"logits": 5e-2, "presence": 2e-2, "iou": 1e-3, "pointer": 1e-2, "px": 60, "memory": 1e-1}
EXACT = {"logits": 5e-3, "presence": 2e-3, "iou": 1e-3, "pointer": 2e-3, "px": 20, "memory": 5e-3}
"""Where the reference kept memories in float32."""
SETTLED = 12
"""Pixels of a hard mask that may hang on rounding."""


class Spy:
    """An engine that notes what memory attention was given and answered."""

    def __init__(self, engine: TorchEngine) -> None:
        self.engine = engine
        self.context: MemoryContext[Any] | None = None
        self.fused: torch.Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def attend(self, features: ImageFeatures[Any], context: MemoryContext[Any] | None) -> torch.Tensor:
        """As the engine's."""
        self.fused = self.engine.attend(features, context)
        self.context = context
        return self.fused

    def forget(self) -> None:
        """Start a new frame."""
        self.context = self.fused = None


def write_clip(golden: Golden, folder: Path, report: Report) -> None:
    """The clip as a folder of pictures; lossless, whatever their names say."""
    seed, count, height, width = golden.integers("clip")
    speed = float(golden["clip_vel"][0]) if "clip_vel" in golden else 1.0
    for t in range(count):
        image = make_frame(seed, t, height, width, speed)
        if "frames_crc32" in golden:
            report.exact(f"checksum of frame {t}", zlib.crc32(image.tobytes()), golden["frames_crc32"][t])
        with (folder / f"{t:05d}.jpg").open("wb") as file:
            Image.fromarray(image).save(file, format="PNG", compress_level=1)


def run_video(golden: Golden, models: Models) -> list[Report]:
    """Run one case; see `settled`."""
    return [settled(partial(play_video, golden, models))]


def settled(play: Callable[..., VideoCase]) -> Report:
    """Run a case with the network as users run it, and where that is outside the tolerances once more.

    Rounding has to be told from a wrong rule: so the second time operations are in the published order. That
    decides, and the line says how far the two are apart.
    """
    played = play(published_order=False)
    if played.report.ok or played.report.faults:
        return played.report
    exact = play(published_order=True)
    apart = max(largest(x - exact.logits[where]) for where, x in played.logits.items())
    exact.report.note = f"in the published order of operations; in ours logits are {apart:.1e} away"
    return exact.report


def play_video(golden: Golden, models: Models, *, published_order: bool) -> VideoCase:
    """Play a case, with our own order of operations or the published one."""
    report = Report(golden.name)
    overrides = json.loads(str(golden["overrides"]))
    shift = float(golden["objscore_bias_shift"][0]) if "objscore_bias_shift" in golden else 0.0
    exact_memory = "fp32mem" in golden.name
    predictor = models.video(overrides=overrides, shift=shift, exact_memory=exact_memory)
    if published_order:
        predictor.engine = PublishedOrder(models.network(shift=shift))
    case = VideoCase(golden, predictor, EXACT if exact_memory else DEFAULT, report)
    with tempfile.TemporaryDirectory() as name:
        write_clip(golden, Path(name), report)
        case.run(predictor.init_state(name))
    return case


class VideoCase:
    """Plays a golden's calls and compares everything it has numbers of."""

    def __init__(
        self, golden: Golden, predictor: SAM2VideoPredictor, limits: Mapping[str, float], report: Report
    ) -> None:
        self.golden, self.predictor, self.limits, self.report = golden, predictor, limits, report
        assert isinstance(predictor.engine, TorchEngine)
        self.spy = Spy(predictor.engine)
        self.logits: dict[str, NDArray[np.float32]] = {}
        """Mask logits by frame and object."""

    def run(self, state: InferenceState) -> None:
        """Play all calls on an open video."""
        state.session.engine = self.spy
        for i, call in enumerate(json.loads(str(self.golden["ops"]))):
            kind = call.pop("op")
            if kind == "propagate":
                self.propagate(state, call.pop("tag"), call)
            else:
                self.add(state, f"add{i}", kind, call)
        state.close()

    def add(self, state: InferenceState, tag: str, kind: str, call: dict[str, Any]) -> None:
        """A prompt."""
        where, object_id = call.pop("frame"), call.pop("obj")
        if kind == "add_mask":
            call["mask"] = _mask(self.golden, tag)
        method = self.predictor.add_new_mask if kind == "add_mask" else self.predictor.add_new_points_or_box
        _, ids, logits = method(state, where, object_id, **call)
        track = state.session.tracks[object_id]
        record = track.pending[where][0]
        golden, report, limits = self.golden, self.report, self.limits
        report.exact(f"{tag} object ids", ids, golden[f"{tag}_obj_ids"])
        report.exact(f"{tag} is_cond", [track.pending[where][1]], golden[f"{tag}_is_cond"])
        self.compare_video(f"{tag}_video_logits", logits, golden[f"{tag}_video_logits"])
        self.compare_areas(f"{tag}_area", logits, golden[f"{tag}_area"])
        stored = {k: golden[f"{tag}_{k}"] for k in ("iou", "objscore", "objptr")}
        if kind == "add_mask":  # a given mask has score 1; stored is that of the pass that finds its pointer
            stored["iou"] = np.ones(1)
        self.compare_record(tag, record, stored)
        low = record.logits.ravel()[golden["lowres_idx"]]
        report.add("logits", largest(low - golden[f"{tag}_lowres"].ravel()), limits["logits"], tag)
        golden.compare_bits(report, f"{tag}_lowres_bits", record.logits, int(limits["px"]))

    def propagate(self, state: InferenceState, tag: str, call: dict[str, Any]) -> None:
        """Tracking, frame by frame."""
        visited = []
        expected = len(self.golden[f"{tag}_frames"])
        if self.limits is EXACT:
            self.settle(state, tag)
        self.spy.forget()
        for row, (t, ids, logits) in enumerate(self.predictor.propagate_in_video(state, **call)):
            visited.append(t)
            if row < expected:
                self.compare_frame(state, f"{tag}", row, t, ids, logits)
            self.spy.forget()
        self.report.exact(f"{tag} frames", visited, self.golden[f"{tag}_frames"])

    def settle(self, state: InferenceState, tag: str) -> None:
        """Take the reference's side where a hard mask hangs on rounding; see `hard_masks`."""
        self.predictor.propagate_in_video_preflight(state)
        frames = self.golden.integers(f"{tag}_frames")
        for b, object_id in enumerate(state["obj_ids"]):
            track = state.session.tracks[object_id]
            for frame in sorted({*track.prompted, *track.corrected}.intersection(frames)):
                expected = self.golden[f"{tag}_mem_feat"][frames.index(frame)][b]
                changed = settle(state.session, self.spy.engine, track, frame, expected)
                self.report.add("settled px", changed, SETTLED, f"{tag} frame {frame}")

    def compare_frame(
        self, state: InferenceState, tag: str, row: int, t: int, ids: list[int], logits: torch.Tensor
    ) -> None:
        """One frame: every object, and what was read from memory."""
        where = f"{tag} frame {t}"
        expected = {
            key.removeprefix(f"{tag}_"): self.golden[key][row]
            for key in self.golden
            if key.startswith(f"{tag}_") and key != f"{tag}_frames"
        }
        for b, object_id in enumerate(ids):
            track = state.session.tracks[object_id]
            record = track.latest(t)
            assert record is not None
            self.logits[f"{where} object {object_id}"] = record.logits
            self.report.exact(f"{where} is_cond", t in track.prompted, expected["is_cond"])
            self.compare_record(
                f"{where} object {object_id}",
                record,
                {k: expected[k][b] for k in ("iou", "objscore", "objptr")},
            )
            self.compare_lowres(
                f"{where} object {object_id}",
                record,
                {k: v[b] for k, v in expected.items() if k.startswith("lowres")},
            )
            features = record.tokens[::64, ::8]
            self.report.add(
                "memory", largest(features - expected["mem_feat"][b]), self.limits["memory"], where
            )
        self.compare_video(where, logits, expected["video"])
        self.compare_areas(where, logits, expected["area"])
        self.compare_boxes(where, logits, expected["bbox"])
        self.compare_reading(where, expected)

    def compare_record(self, where: str, record: FrameRecord, expected: Mapping[str, NDArray[Any]]) -> None:
        """Score, presence and pointer."""
        scores = expected["iou"]
        if not np.isnan(scores).any():
            self.report.add("iou", largest(record.score - scores.max()), self.limits["iou"], where)
        presence = largest(record.presence - expected["objscore"])
        self.report.add("presence", presence, self.limits["presence"], where)
        pointer = largest(record.pointer - expected["objptr"].ravel())
        self.report.add("pointer", pointer, self.limits["pointer"], where)

    def compare_lowres(self, where: str, record: FrameRecord, expected: Mapping[str, NDArray[Any]]) -> None:
        """Mask logits: samples, statistics and signs."""
        low, limit = record.logits, self.limits["logits"]
        samples = low.ravel()[self.golden["lowres_idx"]]
        self.report.add("logits", largest(samples - expected["lowres"]), limit, where)
        if "lowres_stats" in expected:
            whole = low.astype(np.float64)
            stats = np.array([whole.mean(), whole.std(), whole.min(), whole.max()])
            self.report.add(
                "logits", largest(stats - expected["lowres_stats"]), limit, f"{where} (statistics)"
            )
        bits = np.unpackbits(expected["lowres_bits"])[: low.size].astype(bool)
        self.report.add("px", int((bits != (low.ravel() > 0)).sum()), self.limits["px"], where)

    def compare_video(self, where: str, logits: torch.Tensor, expected: NDArray[Any]) -> None:
        """Samples of the answer at the size of the video."""
        samples = as_array(logits).reshape(len(logits), -1)[:, self.golden["video_idx"]]
        self.report.add("logits", largest(samples - expected), self.limits["logits"], f"{where} (video)")

    def compare_areas(self, where: str, logits: torch.Tensor, expected: NDArray[Any]) -> None:
        """Areas may differ by 0.1 % and 20 pixels."""
        for mask, area in zip(as_array(logits)[:, 0] > 0, expected.ravel(), strict=True):
            excess = max(abs(int(mask.sum()) - int(area)) - 0.001 * int(area), 0)
            self.report.add("area", round(excess), 20, where)

    def compare_boxes(self, where: str, logits: torch.Tensor, expected: NDArray[Any]) -> None:
        """Bounding boxes may differ by 2 pixels."""
        for mask, box in zip(as_array(logits)[:, 0] > 0, expected, strict=True):
            self.report.add("box", largest(np.array(bounding_box(mask)) - box), 2, where)

    def compare_reading(self, where: str, expected: Mapping[str, NDArray[Any]]) -> None:
        """What memory attention was given and answered; nothing on frames that were not tracked."""
        context, limit = self.spy.context, self.limits["memory"]
        memories = 0 if context is None else context.tokens.shape[1]
        pointers = 0 if context is None else context.pointers.shape[1]
        self.report.exact(f"{where} memories", memories, expected["n_spatial"])
        self.report.exact(f"{where} pointer tokens", pointers * 4, expected["n_ptr_tokens"])
        if context is None or self.spy.fused is None:
            return
        memory, position = as_published(context, self.spy.engine)
        picks = torch.linspace(0, memory.size - 1, 128).long().numpy()  # single precision matters
        sample = np.concatenate([memory.ravel()[picks], position.ravel()[picks]])
        self.report.add("memory", largest(sample - expected["mem_sample"]), limit, f"{where} (read)")
        stats = [memory.mean(), memory.std(), position.mean(), position.std()]
        self.report.add(
            "memory", largest(np.array(stats) - expected["mem_stats"]), limit, f"{where} (statistics)"
        )
        tokens = as_array(self.spy.fused.flatten(2).permute(2, 0, 1))[::64, :, ::16]  # [64, B, 16]
        self.report.add("fused", largest(tokens - expected["ma_out"]), self.limits["logits"], where)


def as_published(context: MemoryContext[Any], engine: TorchEngine) -> tuple[NDArray[Any], NDArray[Any]]:
    """Memories and their positions as the published attention takes them: ``[L, B, 64]``, frame by frame."""
    attention = engine.model.memory_attention
    batch, frames, tokens, dim = context.tokens.shape
    age = as_array(attention.age_embed)[(context.ages - 1) % 7]  # [B, T, 64]
    grid = as_array(attention.memory_position)
    place = np.concatenate([np.zeros((tokens - len(grid), dim), np.float32), grid])
    position = (age[:, :, None] + place).reshape(batch, frames * tokens, dim)
    pointers = context.pointers.reshape(batch, -1, dim)
    memory = np.concatenate([context.tokens.reshape(batch, -1, dim), pointers], axis=1)
    position = np.concatenate([position, np.zeros_like(pointers)], axis=1)
    return memory.transpose(1, 0, 2), position.transpose(1, 0, 2)


def bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1, all inclusive; -1 when the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return (-1, -1, -1, -1)
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _mask(golden: Golden, tag: str) -> NDArray[np.bool_]:
    height, width = golden.integers(f"{tag}_mask_shape")
    bits = np.unpackbits(golden[f"{tag}_mask_bits"])[: height * width]
    return bits.reshape(height, width).astype(bool)
