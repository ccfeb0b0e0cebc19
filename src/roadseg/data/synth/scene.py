"""A scene: everything that a picture is made of, as a function of time."""

from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.asphalt import GroundLook
from roadseg.data.synth.camera import Array, Camera
from roadseg.data.synth.layout import Planner
from roadseg.data.synth.parts import Kind, Material, Part, PartTable, Shape, join, stack
from roadseg.data.synth.plan import draw_look, draw_street
from roadseg.data.synth.street import Street
from roadseg.data.synth.style import Light, Rig, Style, draw_light, draw_rig, draw_style
from roadseg.data.synth.traffic import Populator
from roadseg.data.synth.world import Entity, Population, World
from roadseg.labels import space

__all__ = ["FIRST_PART", "GROUND", "HOOD", "SKY", "SKYLINE", "Scene", "Skyline", "build_scene"]

# Rows of every part table that stand for things without a shape of their own; real parts follow.
SKY, GROUND, SKYLINE, HOOD = range(4)
FIRST_PART = 4


@dataclass(frozen=True, eq=False)
class Skyline:
    """The far horizon: noise offset, typical slope, share of roofs, color."""

    seed: float
    height: float
    blocky: float
    color: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Scene:
    """A street with all that is on it.

    Attributes:
        seed: What it was built from.
        style: Its coarse choices, all filled in.
        street: The ground plan.
        look: Colors of the ground.
        light: Light and air.
        rig: The camera.
        still: Parts that never move, in the world, the rows without a shape first.
        population: What moves or is counted.
        instances: int32, instance id of each entity by the Cityscapes convention.
        lane: Lateral position of the camera.
        speed: Its speed, meters per second.
        skyline: The far horizon.
        hood: Color of the own car's hood and how high it reaches (share of the picture), or None.
    """

    seed: int
    style: Style
    street: Street
    look: GroundLook
    light: Light
    rig: Rig
    still: PartTable
    population: Population
    instances: Array
    lane: float
    speed: float
    skyline: Skyline
    hood: tuple[tuple[float, float, float], float] | None

    def parts(self, time: float) -> PartTable:
        """All parts in the world at a time, in an order that never changes."""
        return join([self.still, self.population.at(time)])

    def camera(self, time: float, size: tuple[int, int]) -> Camera:
        """The camera at a time, for pictures of ``size`` (H, W)."""
        pose = self.street.place(self.speed * time, self.lane)
        rig = self.rig
        shake = min(self.speed / 10, 1.0)
        bob = 0.012 * shake * float(np.sin(time * 11.0 + self.seed))
        nod = 0.003 * shake * float(np.sin(time * 7.3 + 2 * self.seed))
        height, width = size
        # The field of view is that of a picture of 4:3; wider pictures see more at the sides, not less of the sky.
        fov = 2 * float(np.arctan(np.tan(rig.fov / 2) * max(width / height * 0.75, 0.5) ** 0.6))
        return Camera.aimed(
            (pose.x, rig.height + bob, pose.z), pose.yaw + rig.yaw, rig.pitch + nod, rig.roll, fov, size
        )


def build_scene(seed: int, style: Style | None = None) -> Scene:
    """Build a scene.

    Args:
        seed: The same seed and style give the same scene.
        style: Wishes; what they leave open is drawn from the seed.
    """
    # One stream per topic, so that a change to one leaves the others as they were.
    streams = [np.random.default_rng([seed, topic]) for topic in range(7)]
    chosen = draw_style(streams[0], style)
    setting, sky = chosen.setting or "town", chosen.sky or "cloudy"
    light = draw_light(streams[1], sky)
    rig = draw_rig(streams[2], light.night)
    street = draw_street(streams[3], setting)
    look = draw_look(streams[3], setting)
    ids = {item.name: item.id for item in space("cityscapes").classes}
    world = World()
    rng = streams[4]
    plan = Planner(rng, world, street, setting, light.night, float(rng.beta(0.6, 0.6)))
    plan.line_streets()
    plan.furnish()
    rng = streams[5]
    lane = int(rng.integers(street.lanes))
    speed = float(rng.choice((0.0, rng.uniform(2, 8), rng.uniform(6, 14)), p=(0.12, 0.38, 0.5)))
    people = Populator(plan, rng, chosen.traffic or 0.0, chosen.people or 0.0, speed, lane)
    people.populate()
    rng = streams[6]
    blocky = {"city": 0.8, "town": 0.5}.get(setting, 0.1)
    skyline = Skyline(
        seed=float(rng.uniform(0, 200)),
        height=float(rng.uniform(0.02, 0.09)),
        blocky=float(rng.random() < blocky),
        color=(0.22, 0.22, 0.22) if blocky > 0.5 else (0.07, 0.1, 0.045),
    )
    hood = None
    paint = np.exp(rng.uniform(np.log(0.02), np.log(0.5))) * (1 + rng.normal(0, 0.1, 3))
    reach = float(rng.uniform(0.03, 0.12))
    if chosen.ego_hood:
        hood = ((float(paint[0]), float(paint[1]), float(paint[2])), reach)
    still = join([stack(_shapeless(skyline), ids), world.settled(ids)])
    population = Population.of(world.entities, ids)
    return Scene(
        seed,
        chosen,
        street,
        look,
        light,
        rig,
        still,
        population,
        _instance_ids(population.entities, ids),
        street.lane(lane) + float(rng.normal(0, 0.2)),
        speed,
        skyline,
        hood,
    )


def _shapeless(skyline: Skyline) -> list[Part]:
    up = ((0.0, 1.0, 0.0, 0.0),) * 8  # the ground counts its zones as faces, all of them level
    zero = (0.0, 0.0, 0.0)
    far = "building" if skyline.blocky > 0.5 else "vegetation"
    rows = (
        (Material.SKY, "sky", zero),
        (Material.GROUND, "road", zero),
        (Material.SKYLINE, far, skyline.color),
        (Material.HOOD, "ego vehicle", zero),
    )
    return [
        Part(Kind.CONVEX, material, label, zero, 0.0, zero, zero, Shape.RECTANGLE, color, zero, (), up, 1.0)
        for material, label, color in rows
    ]


def _instance_ids(entities: tuple[Entity, ...], ids: dict[str, int]) -> Array:
    counts: dict[str, int] = {}
    out = np.zeros(len(entities), np.int32)
    for k, entity in enumerate(entities):
        number = counts.get(entity.label, 0)
        counts[entity.label] = number + 1
        out[k] = ids[entity.label] * 1000 + number
    return out
