"""Follow an object in a camera, a network stream or a file, in constant memory."""

import sys

from edgetam import Prompt, VideoTracker, load_model
from edgetam.io import open_live


def main(source: str, x: float, y: float, frames: int = 100) -> None:
    """Click at (x, y) on the first frame and follow the object for a number of frames."""
    stream = VideoTracker(load_model()).stream()
    with open_live(source) as live:
        for i, frame in enumerate(live):
            prompts = {1: Prompt(points=[[x, y]])} if i == 0 else None
            result = stream.step(frame.image, prompts, time=frame.time)
            print(f"{result.time}: presence {result.objects[1].presence:.2f}")
            if i + 1 == frames:
                break


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
