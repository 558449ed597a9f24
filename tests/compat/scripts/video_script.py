"""A script in the manner of SAM 2's users: click, look, correct, track, collect masks."""

import numpy as np
import torch
from sam2.build_sam import build_sam2_video_predictor

device = torch.device("cpu")

with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
    predictor = build_sam2_video_predictor(MODEL_CFG, CHECKPOINT, device=device, **EXTRA)  # noqa: F821
    inference_state = predictor.init_state(video_path=VIDEO_DIR)  # noqa: F821
    predictor.reset_state(inference_state)

    prompts = {}
    points = np.array([[54, 33]], dtype=np.float32)
    labels = np.array([1], np.int32)
    prompts[1] = points, labels
    _, out_obj_ids, out_mask_logits = predictor.add_new_points_or_box(
        inference_state=inference_state, frame_idx=0, obj_id=1, points=points, labels=labels
    )
    first_mask = (out_mask_logits[0] > 0.0).cpu().numpy()

    box = np.array([42, 49, 78, 76], dtype=np.float32)
    _, out_obj_ids, out_mask_logits = predictor.add_new_points_or_box(
        inference_state=inference_state, frame_idx=0, obj_id=2, box=box
    )

    video_segments = {}
    for out_frame_idx, out_obj_ids, out_mask_logits in predictor.propagate_in_video(inference_state):
        video_segments[out_frame_idx] = {
            out_obj_id: (out_mask_logits[i] > 0.0).cpu().numpy() for i, out_obj_id in enumerate(out_obj_ids)
        }

    _, _, corrected = predictor.add_new_points_or_box(
        inference_state=inference_state,
        frame_idx=2,
        obj_id=1,
        points=np.array([[90, 20]], dtype=np.float32),
        labels=np.array([0], np.int32),
    )
    remaining, _ = predictor.remove_object(inference_state, 2)

RESULT = {
    "first_mask": first_mask,
    "segments": video_segments,
    "corrected": corrected,
    "remaining": remaining,
}
