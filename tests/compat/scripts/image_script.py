"""A script in the manner of SAM 2's users: one image, a click, the best mask again with a second click."""

import numpy as np
from PIL import Image
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

image = np.array(Image.open(IMAGE).convert("RGB"))  # noqa: F821
sam2_model = build_sam2(MODEL_CFG, CHECKPOINT, device="cpu", **EXTRA)  # noqa: F821
predictor = SAM2ImagePredictor(sam2_model)
predictor.set_image(image)

input_point = np.array([[54, 33]])
input_label = np.array([1])
masks, scores, logits = predictor.predict(
    point_coords=input_point, point_labels=input_label, multimask_output=True
)
sorted_ind = np.argsort(scores)[::-1]
masks, scores, logits = masks[sorted_ind], scores[sorted_ind], logits[sorted_ind]

refined, refined_score, _ = predictor.predict(
    point_coords=np.array([[54, 33], [60, 40]]),
    point_labels=np.array([1, 1]),
    mask_input=logits[0, :, :][None, :, :],
    multimask_output=False,
)
boxes, box_scores, _ = predictor.predict(
    point_coords=None,
    point_labels=None,
    box=np.array([[42, 49, 78, 76], [10, 10, 60, 50]]),
    multimask_output=False,
)
h, w = boxes[0].shape[-2:]
painted = boxes[0].reshape(h, w, 1) * np.array([0.1, 0.5, 1.0, 0.6]).reshape(1, 1, -1)

RESULT = {"masks": masks, "scores": scores, "refined": refined, "boxes": boxes, "painted": painted}
