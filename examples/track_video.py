"""Track one object through a video from a click, and correct it on the way."""

import sys

from edgetam import VideoTracker, load_model


def main(path: str, x: float, y: float) -> None:
    """Click at (x, y) on frame 0 and print where the object goes."""
    with VideoTracker(load_model()).open(path) as session:
        session.prompt(frame=0, object_id=1, points=[[x, y]], labels=[1])
        for result in session.propagate():
            found = result.objects[1]
            print(f"frame {result.frame}: {found.mask.sum()} pixels, presence {found.presence:.2f}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
