"""Make a data set of the two Cityscapes frames that have their truth beside them, at 1024x512.

Usage::

    python benchmarks/cityscapes_frames.py ../shared/data/cityscapes_samples data/cityscapes_frames

Pictures are reduced by areas, the truth is taken from the nearest pixel. Two frames tell a useful network from a useless one;
they are no benchmark.
"""

import argparse
from pathlib import Path

from PIL import Image
from published_weights import CITYSCAPES, FRAMES, INPUT, frame_truth, nearest  # from this folder

from roadseg.media import write_mask, write_text


def main() -> None:
    """Write ``images/val``, ``masks/val`` and a data.yaml."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("samples", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    for kind in ("images", "masks"):
        (options.out / kind / "val").mkdir(parents=True, exist_ok=True)
    for name in FRAMES:
        with Image.open(options.samples / f"frankfurt_{name}_leftImg8bit.jpg") as picture:
            small = picture.convert("RGB").resize(INPUT[::-1], Image.Resampling.BOX)
        small.save(options.out / "images" / "val" / f"{name}.png")
        write_mask(
            options.out / "masks" / "val" / f"{name}.png", nearest(frame_truth(options.samples, name), INPUT)
        )
    write_text(options.out / "data.yaml", f"val: images/val\nspace: {CITYSCAPES.name}\n")


if __name__ == "__main__":
    main()
