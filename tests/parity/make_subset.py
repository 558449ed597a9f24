"""Choose the few golden numbers that come with the tests, out of a complete folder.

Run as ``python -m tests.parity.make_subset FOLDER`` when the folder or the choice changes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

from tests.parity.golden import Golden

DATA = Path(__file__).parent / "data"
SAMPLES = 256
"""Of every tensor this many samples are kept."""
FRAMES = 3

COMPONENTS_A = (
    r"image_(crc32|hw_seed)|pre_(image_predictor|video|video_resized_crc32)|enc_(stage\d|fpn2|conv_s\d)"
    r"|image_embed_plus_no_mem|pe_(pt3|pt_mask)_.*|dec_(pt3|pt_mask)_.*"
)
COMPONENTS_B = r"image_hw_seed|mem_in_logits|memenc_sig_feat|newmem_sig_lat|ma3_.*"
AUTOMATIC = r"base_.*|image_.*"
RULES = (
    r"nms_[a-z]+_([0-4]|[6-9]|10)|crop_boxes|edge_(crop|orig|y)|uncrop_boxes_y|stab_[a-z]+_[01]"
    r"|rsr_in_.*|rsr_(y|meta)_\d*[05]|psr_(60_.*|masks)"
)
VIDEO = r"clip|clip_vel|(lowres|video)_idx|add0_.*|p_.*|ops|overrides|frames_crc32"


def choose(golden: Golden, pattern: str) -> dict[str, np.ndarray]:
    """The keys that match, with fewer samples."""
    chosen = {}
    for key, value in golden.data.items():
        base = key.split("__")[0]
        if not re.fullmatch(pattern, base) or (base.endswith("_bits") and "dec_" in base):
            continue
        sampled = f"{base}__idx" in golden and key in (base, f"{base}__idx")
        chosen[key] = value[:SAMPLES] if sampled else value
    return chosen


def first_frames(chosen: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """Only the first frames of a track."""
    return {key: value[:count] if key.startswith("p_") else value for key, value in chosen.items()}


def main(folder: Path) -> None:
    """Write the subset."""
    DATA.mkdir(exist_ok=True)
    whole = (("components_a", COMPONENTS_A), ("components_b", COMPONENTS_B), ("amg", AUTOMATIC))
    for name, pattern in whole:
        np.savez_compressed(DATA / f"{name}.npz", **choose(Golden(folder / f"{name}.npz"), pattern))  # type: ignore[arg-type]
    rules = Golden(folder.parent / "amg" / "amg.npz")
    np.savez_compressed(DATA / "amg_rules.npz", **choose(rules, RULES))  # type: ignore[arg-type]
    name = "video_a_click_fp32mem"
    track = first_frames(choose(Golden(folder / f"{name}.npz"), VIDEO), FRAMES)
    ops = str(track["ops"]).replace('"tag": "p"', f'"tag": "p", "max_frame_num_to_track": {FRAMES - 1}')
    track["ops"] = np.array(ops)
    np.savez_compressed(DATA / f"{name}.npz", **track)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
