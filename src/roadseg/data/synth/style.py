"""What kind of picture: setting, time of day, weather and camera, drawn from a seed."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from roadseg.data.synth.camera import Array

__all__ = ["Light", "Rig", "Setting", "Sky", "Style", "draw_light", "draw_rig", "draw_style"]

Setting = Literal["city", "town", "suburb", "park", "rural"]
Sky = Literal["clear", "cloudy", "overcast", "fog", "rain", "dusk", "night"]

_SETTINGS: dict[Setting, float] = {"city": 0.3, "town": 0.36, "suburb": 0.2, "park": 0.08, "rural": 0.06}
_SKIES: dict[Sky, float] = {
    "clear": 0.2,
    "cloudy": 0.24,
    "overcast": 0.26,
    "fog": 0.06,
    "rain": 0.08,
    "dusk": 0.11,
    "night": 0.05,
}


@dataclass(frozen=True)
class Style:
    """The coarse choices of a scene; what is left None is drawn from the seed.

    Attributes:
        setting: What the street is like.
        sky: Weather and time of day.
        traffic: Factor on the number of vehicles.
        people: Factor on the number of people and riders.
        ego_hood: Whether the hood of the own car is in the picture.
    """

    setting: Setting | None = None
    sky: Sky | None = None
    traffic: float | None = None
    people: float | None = None
    ego_hood: bool | None = None


def draw_style(rng: np.random.Generator, wanted: Style | None = None) -> Style:
    """A style without gaps; always draws the same amount of randomness, so wishes do not shift what follows."""
    names = list(_SETTINGS)
    setting = names[int(rng.choice(len(names), p=list(_SETTINGS.values())))]
    skies = list(_SKIES)
    sky = skies[int(rng.choice(len(skies), p=list(_SKIES.values())))]
    drawn = Style(
        setting=setting,
        sky=sky,
        traffic=float(rng.uniform(0.4, 1.5)),
        people=float(rng.uniform(0.5, 1.6)),
        ego_hood=bool(rng.random() < 0.2),
    )
    if wanted is None:
        return drawn
    chosen = {name: value for name, value in vars(wanted).items() if value is not None}
    return replace(drawn, **chosen)


@dataclass(frozen=True, eq=False)
class Light:
    """Light and air.

    Attributes:
        sun: float32 ``[3]``, unit vector to the sun.
        sun_color: float32 ``[3]``, its irradiance.
        zenith: float32 ``[3]``, radiance of the sky overhead.
        horizon: float32 ``[3]``, radiance of the sky low down.
        ambient: float32 ``[3]``, irradiance from the whole sky.
        clouds: Share of the sky that clouds cover.
        cloud_color: float32 ``[3]``, their radiance.
        fog: Extinction per meter.
        wet: How wet the ground is, 0..1.
        rain: How much falls, 0..1.
        night: 1 when lamps are the light, 0 by day.
        offset: Where in the noise textures this sky lies.
    """

    sun: Array
    sun_color: Array
    zenith: Array
    horizon: Array
    ambient: Array
    clouds: float
    cloud_color: Array
    fog: float
    wet: float
    rain: float
    night: float
    offset: float


def _rgb(*values: float) -> Array:
    return np.array(values, np.float32)


class _Air(NamedTuple):
    """What is typical of a kind of sky: sun, irradiance of the sky, share of clouds, extinction per meter, lamps."""

    sun: float
    ambient: tuple[float, float, float]
    clouds: float
    fog: float
    night: float = 0.0


_AIRS: dict[Sky, _Air] = {
    "clear": _Air(2.6, (0.42, 0.52, 0.7), 0.06, 8e-4),
    "cloudy": _Air(1.9, (0.55, 0.6, 0.7), 0.55, 1e-3),
    "overcast": _Air(0.12, (0.92, 0.95, 1.0), 1.0, 1.6e-3),
    "fog": _Air(0.1, (0.9, 0.92, 0.95), 1.0, 0.02),
    "rain": _Air(0.05, (0.62, 0.68, 0.75), 1.0, 5e-3),
    "dusk": _Air(0.35, (0.2, 0.22, 0.32), 0.5, 1.5e-3, 0.45),
    "night": _Air(0.0, (0.03, 0.032, 0.045), 0.2, 2e-3, 1.0),
}


def _sky_colors(rng: np.random.Generator, sky: Sky) -> tuple[Array, Array, Array]:
    """Radiance overhead, at the horizon, and of clouds."""
    gray = float(rng.uniform(0.75, 1.15))
    blue = _rgb(0.22, 0.42, 0.85) * float(rng.uniform(0.7, 1.1))
    pale = _rgb(0.75, 0.86, 1.0) * float(rng.uniform(0.8, 1.15))
    flat = _rgb(0.86, 0.9, 0.96) * gray
    white = _rgb(1.05, 1.05, 1.06) * gray
    colors: dict[Sky, tuple[Array, Array, Array]] = {
        "clear": (blue, pale, white),
        "cloudy": (blue, pale, white),
        "overcast": (flat, flat * 1.08, white),
        "fog": (flat * 0.95, flat * 0.95, white),
        "rain": (flat * 0.7, flat * 0.85, white),
        "dusk": (_rgb(0.1, 0.16, 0.34), _rgb(0.75, 0.5, 0.36), _rgb(0.6, 0.42, 0.4) * gray),
        "night": (_rgb(0.012, 0.015, 0.028), _rgb(0.05, 0.04, 0.045), white * 0.04),
    }
    return colors[sky]


def draw_light(rng: np.random.Generator, sky: Sky) -> Light:
    """Draw the light of a kind of sky."""
    air = _AIRS[sky]
    elevation = float(np.deg2rad(rng.uniform(12, 60)))
    azimuth = float(rng.uniform(0, 2 * np.pi))
    warmth = float(np.clip(1.3 - elevation, 0, 1)) * float(rng.uniform(0.3, 1))
    strength = air.sun * float(rng.uniform(0.75, 1.2))
    low = float(np.deg2rad(rng.uniform(3, 10)))
    if sky == "dusk":
        elevation = low
    zenith, horizon, cloud_color = _sky_colors(rng, sky)
    soaked, damp = float(rng.uniform(0.5, 1)), float(rng.uniform(0.2, 0.7)) * float(rng.random() < 0.12)
    cos = float(np.cos(elevation))
    return Light(
        sun=_rgb(float(np.sin(azimuth)) * cos, float(np.sin(elevation)), float(np.cos(azimuth)) * cos),
        sun_color=_rgb(1.0, 0.95 - 0.22 * warmth, 0.86 - 0.5 * warmth) * strength,
        zenith=zenith,
        horizon=horizon,
        ambient=_rgb(*air.ambient) * float(rng.uniform(0.85, 1.15)),
        clouds=float(np.clip(air.clouds * rng.uniform(0.6, 1.3), 0, 1)),
        cloud_color=cloud_color,
        fog=air.fog * float(np.exp(rng.uniform(-0.7, 0.7))),
        wet=soaked if sky == "rain" else damp,
        rain=float(rng.uniform(0.3, 1)) if sky == "rain" else 0.0,
        night=air.night,
        offset=float(rng.uniform(0, 200)),
    )


@dataclass(frozen=True)
class Rig:
    """The camera on the car and what it does to the picture.

    Attributes:
        height: Meters above the road.
        fov: Horizontal field of view, radians.
        pitch: Radians, positive looks up.
        yaw: Radians off the heading of the car.
        roll: Radians.
        exposure: Brightness of a gray road in the picture, linear 0..1.
        contrast: Steepness of the tone curve.
        white: Gains of red and blue.
        saturation: 1 leaves colors alone.
        vignette: Loss of light in the corners, 0..1.
        blur: Standard deviation of the lens blur in pixels at 480 pixels width.
        noise: Standard deviation of the noise at mid gray, 0..1.
        blocks: Strength of compression blocks, 0..1.
        flare: Haze over the whole picture, 0..1.
    """

    height: float
    fov: float
    pitch: float
    yaw: float
    roll: float
    exposure: float
    contrast: float
    white: tuple[float, float]
    saturation: float
    vignette: float
    blur: float
    noise: float
    blocks: float
    flare: float


def draw_rig(rng: np.random.Generator, night: float) -> Rig:
    """A camera."""
    return Rig(
        height=float(rng.uniform(1.15, 1.85)),
        fov=float(np.deg2rad(rng.uniform(46, 76))),
        pitch=float(np.deg2rad(rng.normal(-0.5, 2.2))),
        yaw=float(np.deg2rad(rng.normal(0, 3.0))),
        roll=float(np.deg2rad(rng.normal(0, 0.7))),
        exposure=float(np.exp(rng.normal(np.log(0.115), 0.42))) * (1 - 0.55 * night),
        contrast=float(rng.uniform(0.85, 1.35)),
        white=(float(np.exp(rng.normal(0, 0.06))), float(np.exp(rng.normal(0, 0.08)))),
        saturation=float(rng.uniform(0.6, 1.15)),
        vignette=float(rng.uniform(0, 0.4)),
        blur=float(rng.uniform(0, 0.9)) if rng.random() < 0.7 else 0.0,
        noise=float(rng.uniform(0.002, 0.022)) * (1 + night),
        blocks=float(rng.uniform(0.2, 1)) if rng.random() < 0.4 else 0.0,
        flare=float(rng.uniform(0, 0.035)),
    )
