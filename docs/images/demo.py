"""Draw the picture of the README: rendered streets, their labels, and what the bundled weights see.

Usage::

    python docs/images/demo.py docs/images/demo.png 45 32
"""

import sys

import roadseg
from roadseg.data.synth import build_scene, render
from roadseg.labels import label_map
from roadseg.media import Prediction, legend_bar, side_by_side, stack, write_image

GAP = 6


def main(out: str, *seeds: str) -> None:
    """Write the picture, with one row per scene."""
    predictor = roadseg.load()
    to_camvid = label_map("cityscapes", predictor.space)
    rows = []
    for seed in map(int, seeds):
        scene = render(build_scene(seed), 0.0, size=(288, 384))
        truth = Prediction(labels=to_camvid.relabel(scene.labels), space=predictor.space, image=scene.image)
        rows.append(side_by_side([scene.image, truth.overlay(), predictor(scene.image).overlay()], gap=GAP))
    legend = legend_bar(predictor.space, predictor.space.ids, rows[0].shape[1])
    write_image(out, stack([*rows, legend], gap=GAP))


if __name__ == "__main__":
    main(*sys.argv[1:])
