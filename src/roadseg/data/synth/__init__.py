"""Synthetic streets: a seeded renderer of road scenes with exact labels, instances and optical flow."""

from roadseg.data.synth.render import Frame, render
from roadseg.data.synth.scene import Scene, build_scene
from roadseg.data.synth.style import Style

__all__ = ["Frame", "Scene", "Style", "build_scene", "render"]
