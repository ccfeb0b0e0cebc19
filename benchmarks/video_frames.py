"""Write a video's frames as numbered pictures: python benchmarks/video_frames.py FILE OUT [--limit 60] [--size 272x480]."""

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from forward import size_of  # from this folder
from PIL import Image

from roadseg.media import write_image
from roadseg.media.video import VideoReader


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--size", type=size_of, default=None, metavar="HEIGHTxWIDTH")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with VideoReader(options.video) as reader:
        for number, frame in enumerate(islice(reader.frames(), options.limit)):
            picture = Image.fromarray(frame.pixels)
            if options.size:
                picture = picture.resize(options.size[::-1], Image.Resampling.BOX)
            write_image(options.out / f"frame_{number:06d}.png", np.asarray(picture))


if __name__ == "__main__":
    main()
