"""Segment one object in an image from a click."""

import sys

from PIL import Image

from edgetam import ImageSegmenter, load_model


def main(path: str, x: float, y: float, output: str = "mask.png") -> None:
    """Click at (x, y) and save the best of three masks."""
    segmenter = ImageSegmenter(load_model())
    segmenter.set_image(Image.open(path))
    result = segmenter.predict(points=[[x, y]], labels=[1])
    Image.fromarray(result.masks[result.best]).save(output)
    print(f"score {result.scores[result.best]:.2f}, saved {output}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:])
