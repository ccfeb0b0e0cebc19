"""The carriageway: asphalt with its repairs, covers and lanes of wear, and what is painted on it."""

from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.camera import Array
from roadseg.data.synth.noise import hashed, mottle
from roadseg.data.synth.shading import mix, ramp
from roadseg.data.synth.street import Junction, Street

__all__ = ["GroundLook", "Site", "fade", "line", "paint_asphalt", "tinted"]


@dataclass(frozen=True)
class GroundLook:
    """Colors (linear RGB) and patterns of the ground of one scene.

    Attributes:
        asphalt: The carriageway.
        patches: How much repairs and cracks show, 0..1.
        marks: Color of the lane marks.
        edge_marks: Color of the edge lines.
        wear: How much the marks have worn off, 0..1.
        slabs: The sidewalk.
        slab: Size of its slabs, meters.
        curb: The curb stones.
        grass: Verges and lawns.
        dry: How yellow the grass is, 0..1.
        cycle_lane: Width of the colored cycle lane, 0 without one.
        cycle_color: Its color.
        dash: Length of a dash of the middle line and of the gap, meters.
        offset: Where in the noise, and in the pattern of repairs and covers, this street lies.
    """

    asphalt: tuple[float, float, float]
    patches: float
    marks: tuple[float, float, float]
    edge_marks: tuple[float, float, float]
    wear: float
    slabs: tuple[float, float, float]
    slab: float
    curb: tuple[float, float, float]
    grass: tuple[float, float, float]
    dry: float
    cycle_lane: float
    cycle_color: tuple[float, float, float]
    dash: tuple[float, float]
    offset: float


@dataclass(frozen=True, eq=False)
class Site:
    """Ground samples: world x and z, street coordinates, distance to the road's edge, footprint, grain."""

    x: Array
    z: Array
    s: Array
    d: Array
    distance: Array
    foot: Array
    base: Array


def fade(foot: Array, size: float) -> Array:
    """1 where a texture of this texel size is resolved, 0 where it would alias."""
    sharp: Array = np.clip(1.6 - foot * np.float32(0.8 / size), 0, 1)
    return sharp


def tinted(color: tuple[float, float, float], gain: Array) -> Array:
    """A color times a gain ``[n]``, float32 ``[3, n]``."""
    return np.array(color, np.float32)[:, None] * gain


def paint_asphalt(site: Site, street: Street, look: GroundLook) -> Array:
    """Albedo of the carriageway, float32 ``[3, n]``."""
    broad = mottle(site.x * 3.1, site.z * 3.1)
    fine = mottle(site.x * 17 + 60, site.z * 9)
    gain = site.base * (0.8 + 0.25 * broad + 0.15 * fine)
    lane = np.abs(np.mod(site.d / street.lane_width, 1) - 0.5)
    gain *= 1 - 0.12 * np.exp(-(((lane - 0.24) / 0.09) ** 2))  # where wheels run
    gain *= 1 - 0.16 * np.exp(-((lane / 0.1) ** 2)) * mottle(site.d * 20, site.s * 2)  # where oil drips
    if look.patches > 0:
        cell_s, cell_d = np.floor((site.s + look.offset) / 7.3), np.floor((site.d + look.offset) / 1.9)
        repair = hashed(cell_s, cell_d) < 0.07 * look.patches
        tone = 0.62 + 0.65 * hashed(cell_d, cell_s)
        gain = np.where(repair, gain * tone, gain)
        crack = np.abs(mottle(site.x * 11 + 90, site.z * 11) - 0.5) < 0.012
        gain = np.where(crack & (site.foot < 0.06), gain * (1 - 0.45 * look.patches), gain)
        gain *= _manholes(site, street, look.offset)
    gutter = np.clip(1 + site.distance / 0.35, 0, 1)
    gain *= 1 - 0.3 * gutter * gutter
    albedo = tinted(look.asphalt, gain)
    if look.cycle_lane > 0:
        lane_start = street.traffic_half - look.cycle_lane
        inside = ramp(np.abs(site.d) - lane_start, site.foot) * (np.abs(site.d) < street.traffic_half)
        inside = inside * ~street.near_junction(site.s, 2.0)
        albedo = mix(albedo, tinted(look.cycle_color, gain), inside * 0.85)
    return _marks(site, street, look, albedo)


def _manholes(site: Site, street: Street, offset: float) -> Array:
    s = site.s + np.float32(offset)
    cell_s, cell_d = np.floor(s / 13.0), np.floor(site.d / street.lane_width)
    mid_s = (cell_s + 0.25 + 0.5 * hashed(cell_s, cell_d + 7)) * 13.0
    mid_d = (cell_d + 0.3 + 0.4 * hashed(cell_d, cell_s + 3)) * street.lane_width
    radius = np.hypot(s - mid_s, site.d - mid_d)
    there = (hashed(cell_s, cell_d + 19) < 0.3) & (radius < 0.36)
    return np.where(there, np.where(radius > 0.29, 0.55, 0.75), 1.0).astype(np.float32)


def line(offset: Array, half_width: float, foot: Array) -> Array:
    """Coverage of a line, given the distance from its middle."""
    return np.minimum(
        ramp(half_width - np.abs(offset), foot), 2 * half_width / np.maximum(foot, 2 * half_width)
    )


def _painted_lines(site: Site, street: Street, look: GroundLook, dash: Array) -> Array:
    """Coverage of the lines between lanes."""
    d, foot = site.d, site.foot
    if street.markings == "dashed":
        cover = line(d, 0.07, foot) * dash
    elif street.markings == "solid":
        cover = line(d, 0.08, foot)
    elif street.markings == "double":
        cover = np.maximum(line(d - 0.16, 0.06, foot), line(d + 0.16, 0.06, foot))
    else:
        cover = np.zeros_like(d)
    places = [lane * street.lane_width for lane in range(1, street.lanes)]
    if look.cycle_lane > 0:
        places.append(street.traffic_half - look.cycle_lane)
    for place in places:
        cover = np.maximum(cover, line(np.abs(d) - place, 0.06, foot) * dash)
    for side in (-1, 1):
        if street.strips[(side + 1) // 2].parking > 0 and not street.parking_paved:
            cover = np.maximum(cover, line(d - side * street.traffic_half, 0.05, foot) * dash)
    return cover


def _marks(site: Site, street: Street, look: GroundLook, albedo: Array) -> Array:
    """Everything painted on the road, worn, and tram rails."""
    s, d, foot = site.s, site.d, site.foot
    long_foot = foot * foot * np.float32(400) + foot  # a footprint on the ground is long along the view
    inside = np.abs(d) < max(street.edge(-1), street.edge(1)) + 1.0
    free = inside & ~street.near_junction(s, 7.0) & (s < street.end - 7.0)
    on, off = look.dash
    dash = ramp(on / 2 - np.abs(np.mod(s, on + off) - (on + off) / 2), np.minimum(long_foot, on))
    cover = _painted_lines(site, street, look, dash) * free
    for junction in street.junctions:
        cover = np.maximum(cover, _crossing_marks(site, long_foot, street, junction))
    worn = 1 - np.clip((mottle(site.x * 23, site.z * 23) * 1.4 - 0.9 + 0.6 * look.wear), 0, 1) * look.wear
    albedo = mix(albedo, tinted(look.marks, site.base), cover * worn)
    if street.edge_lines:
        edge = line(np.abs(d) - (street.traffic_half - 0.22), 0.06, foot) * free
        albedo = mix(albedo, tinted(look.edge_marks, site.base), edge * worn)
    if street.rails:
        for rail in (-0.72, 0.72):
            gap = line(np.abs(d) - (street.lane_width / 2 + rail), 0.05, foot)
            albedo = mix(albedo, np.array([[0.16], [0.16], [0.17]], np.float32), gap)
    return albedo


def _crossing_marks(site: Site, long_foot: Array, street: Street, junction: Junction) -> Array:
    """Stop lines and stripes before and behind a crossing."""
    s, d, foot = site.s, site.d, site.foot
    across = (d > -street.edge(-1) + 0.3) & (d < street.edge(1) - 0.3)
    cover = np.zeros_like(s)
    for side in (-1, 1):
        edge = junction.s + side * junction.half_width
        if junction.zebra:
            run = ramp(1.5 - np.abs(s - (edge + side * 3.2)), np.minimum(long_foot, 3))
            bars = ramp(0.25 - np.abs(np.mod(d, 1.0) - 0.5), foot)
            bars = bars + (0.5 - bars) * np.clip(foot - 0.5, 0, 1)
            cover = np.maximum(cover, run * bars * across)
        own = across & (d * street.driving * -side > 0.1)
        stop = ramp(0.2 - np.abs(s - (edge + side * 6.0)), np.minimum(long_foot, 0.8))
        cover = np.maximum(cover, stop * own)
    return cover
