"""Synthetic streets: a seeded renderer of road scenes with exact labels, instances and optical flow."""

from roadseg.data.synth.dataset import Layout, Written, read_flow, write_dataset
from roadseg.data.synth.render import Frame, render, render_sequence
from roadseg.data.synth.scene import Scene, build_scene
from roadseg.data.synth.style import Style

__all__ = [
    "Frame",
    "Layout",
    "Scene",
    "Style",
    "Written",
    "build_scene",
    "read_flow",
    "render",
    "render_sequence",
    "write_dataset",
]
