"""The published options of the predictors, and what they are called here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from edgetam.errors import ConfigError
from edgetam.tracking import TrackerOptions

__all__ = ["Settings", "read_overrides"]

_log = logging.getLogger("edgetam")


@dataclass(frozen=True)
class Settings:
    """Options by their published names and with the published models' own values.

    ``apply_postprocessing`` changes some of them, see `with_postprocessing`.
    """

    fill_hole_area: int = 0
    non_overlap_masks: bool = False
    non_overlap_masks_for_mem_enc: bool = False
    add_all_frames_to_correct_as_cond: bool = False
    clear_non_cond_mem_around_input: bool = False
    clear_non_cond_mem_for_multi_obj: bool = False
    memory_temporal_stride_for_eval: int = 1
    max_cond_frames_in_attn: int = -1
    binarize_mask_from_pts_for_mem_enc: bool = False
    dynamic_multimask_via_stability: bool = False
    image_size: int | None = None

    def with_postprocessing(self, video: bool) -> Settings:
        """What the builders switch on unless told otherwise."""
        chosen = replace(self, dynamic_multimask_via_stability=True)
        if video:
            chosen = replace(chosen, binarize_mask_from_pts_for_mem_enc=True, fill_hole_area=8)
        return chosen

    def with_option(self, name: str, value: Any) -> Settings:
        """One option changed, as an override or an attribute of a predictor names it.

        Raises:
            ConfigError: a value it cannot have.
        """
        return replace(self, **{name.rsplit(".", 1)[-1]: _read(name, str(value))})

    def tracker_options(
        self, *, legacy: bool, objects: int, store: Literal["bf16", "fp32"]
    ) -> TrackerOptions:
        """These settings for a session that has so many objects."""
        clear = self.clear_non_cond_mem_around_input
        if legacy and objects > 1 and not self.clear_non_cond_mem_for_multi_obj:
            # as published: objects share their memory there, and one must not clear that of another
            clear = False
        return TrackerOptions(
            keep_corrections=self.add_all_frames_to_correct_as_cond,
            fill_holes=self.fill_hole_area,
            stable_single=self.dynamic_multimask_via_stability,
            binarize_prompted=self.binarize_mask_from_pts_for_mem_enc,
            exclusive=self.non_overlap_masks,
            exclusive_memory=self.non_overlap_masks_for_mem_enc,
            joint=legacy,
            track_before_prompt=True,
            memory_stride=self.memory_temporal_stride_for_eval,
            max_prompted=None if self.max_cond_frames_in_attn < 0 else self.max_cond_frames_in_attn,
            clear_around_prompts=clear,
            store=store,
        )


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _at_least(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if int(text) < least:
            raise ValueError
        return int(text)

    return read


def _all_or_some(text: str) -> int:
    if int(text) < -1 or int(text) == 0:
        raise ValueError
    return int(text)


_FLAG: tuple[Callable[[str], Any], str] = (_flag, "true or false")
_COUNT: tuple[Callable[[str], Any], str] = (_at_least(0), "a whole number of at least 0")

_READERS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "fill_hole_area": _COUNT,
    "non_overlap_masks": _FLAG,
    "non_overlap_masks_for_mem_enc": _FLAG,
    "add_all_frames_to_correct_as_cond": _FLAG,
    "clear_non_cond_mem_around_input": _FLAG,
    "clear_non_cond_mem_for_multi_obj": _FLAG,
    "memory_temporal_stride_for_eval": (_at_least(1), "a whole number of at least 1"),
    "max_cond_frames_in_attn": (_all_or_some, "-1 for all frames, or at least 1"),
    "binarize_mask_from_pts_for_mem_enc": _FLAG,
    "sam_mask_decoder_extra_args.dynamic_multimask_via_stability": _FLAG,
    "image_size": (_at_least(1), "a size in pixels"),
}
_FIXED = {
    "sam_mask_decoder_extra_args.dynamic_multimask_stability_delta": 0.05,
    "sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh": 0.98,
}
"""Published options with one value in use, which is a constant here."""
_IGNORED = {
    "compile_image_encoder",
    "memory_attention.layer.cross_attention.feat_sizes",
    "memory_attention.layer.cross_attention.k_sizes",
    "memory_attention.layer.cross_attention.q_sizes",
    "memory_attention.layer.self_attention.feat_sizes",
}
"""Published options without effect: nothing is compiled here, and the network knows the sizes of its maps."""


def read_overrides(overrides: Sequence[str], settings: Settings) -> Settings:
    """Apply ``++model.NAME=VALUE`` (the plus signs are optional) on top of ``settings``.

    Those without effect here are named in one line of the log.

    Raises:
        ConfigError: an option nobody knows, or a value it cannot have.
    """
    ignored = []
    for override in overrides:
        name, equals, value = str(override).lstrip("+").partition("=")
        name, value = name.strip().removeprefix("model."), value.strip()
        if not equals or not (name in _READERS or name in _FIXED or name in _IGNORED):
            known = ", ".join([*_READERS, *_FIXED])
            raise ConfigError(
                f"The override {override!r} is unknown; expected ++model.NAME=VALUE with NAME one of {known}."
            )
        if name in _FIXED:
            _check_fixed(name, value)
        elif name in _IGNORED:
            ignored.append(name)
        else:
            settings = settings.with_option(name, value)
    if ignored:
        _log.warning("Overrides without effect: %s.", ", ".join(ignored))
    return settings


def _read(name: str, value: str) -> Any:
    reader, expected = _READERS[name]
    try:
        return reader(value)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"model.{name} is {value!r}; expected {expected}.") from error


def _check_fixed(name: str, value: str) -> None:
    try:
        same = float(value) == _FIXED[name]
    except ValueError:
        same = False
    if not same:
        raise ConfigError(f"model.{name} is {value!r}; it is always {_FIXED[name]} here, so leave it out.")
