"""Pictures of a scene, with labels, instances and optical flow that are exact by construction."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.camera import Array
from roadseg.data.synth.flow import flow_between
from roadseg.data.synth.painter import radiance_of
from roadseg.data.synth.scene import Scene
from roadseg.data.synth.view import View, identify, observe
from roadseg.data.synth.weather import expose

__all__ = ["Frame", "render", "render_sequence"]


@dataclass(frozen=True, eq=False)
class Frame:
    """One rendered picture.

    Attributes:
        image: uint8 ``[H, W, 3]``, RGB.
        labels: uint8 ``[H, W]``, stored Cityscapes ids.
        instances: uint16 ``[H, W]``, class id * 1000 + number for classes with instances, else the class id.
        flow: float32 ``[H, W, 2]``, pixels (x, y) to the same surface point in the next frame; zeros when not asked for.
        flow_valid: bool ``[H, W]``, whether that point is in the next picture and not hidden there.
        depth: float32 ``[H, W]``, meters along the optical axis.
    """

    image: Array
    labels: Array
    instances: Array
    flow: Array
    flow_valid: Array
    depth: Array


def render(scene: Scene, time: float, size: tuple[int, int] = (360, 480), step: float | None = None) -> Frame:
    """Renders one picture.

    Args:
        scene: What to show.
        time: Seconds.
        size: ``(H, W)`` in pixels.
        step: Seconds to the next frame; None leaves out the flow.
    """
    return _develop(
        scene, time, observe(scene, time, size), None if step is None else observe(scene, time + step, size)
    )


def render_sequence(
    scene: Scene, frames: int, interval: float, size: tuple[int, int] = (360, 480)
) -> Iterator[Frame]:
    """Render frames in a row; all but the last carry the flow to the next one.

    Args:
        scene: What to show.
        frames: Number of frames.
        interval: Seconds between them.
        size: ``(H, W)`` in pixels.
    """
    view = observe(scene, 0.0, size)
    for number in range(frames):
        later = observe(scene, (number + 1) * interval, size) if number + 1 < frames else None
        yield _develop(scene, number * interval, view, later)
        view = later or view


def _develop(scene: Scene, time: float, view: View, later: View | None) -> Frame:
    labels, instances, layer = identify(scene, view)
    radiance = radiance_of(scene, time, view)
    rng = np.random.default_rng([scene.seed, 77, round(time * 1000)])
    image = expose(radiance, scene.light, scene.rig, rng)
    size = view.camera.size
    flow, valid = np.zeros((*size, 2), np.float32), np.zeros(size, bool)
    if later is not None:
        flow, valid = flow_between(view, later, layer)
    return Frame(image, labels, instances, flow, valid, 1 / layer.inverse)
