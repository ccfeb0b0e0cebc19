"""The ground: where it is seen, and how asphalt, paving, lane marks and grass look."""

from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.camera import Array, Camera
from roadseg.data.synth.noise import hashed, mottle, speckle
from roadseg.data.synth.raster import Layer
from roadseg.data.synth.shading import Batch, Coat, mix, ramp
from roadseg.data.synth.street import Street, Zone

__all__ = ["CURB_FACE", "GroundLook", "draw_ground", "paint_ground", "zone_labels"]

CURB_FACE = len(Zone)  # the upright side of the curb, after the zones
FARTHEST = 1500.0  # meters

_LABELS = {
    Zone.ROAD: "road",
    Zone.PARKING: "parking",
    Zone.SIDEWALK: "sidewalk",
    Zone.VERGE: "terrain",
    Zone.PAVED: "sidewalk",
    Zone.GRASS: "terrain",
}


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


def zone_labels(label_ids: dict[str, int]) -> Array:
    """Stored label id of every face number of the ground, uint8."""
    ids = [label_ids[_LABELS[zone]] for zone in Zone]
    return np.array([*ids, label_ids["sidewalk"]], np.uint8)


def draw_ground(street: Street, camera: Camera, layer: Layer, row: int) -> None:
    """Draws the ground, behind what is drawn already, as part ``row``; its face number says the zone."""
    basis = camera.ray_basis()
    height, width = camera.size
    xs, ys = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    a, bx, by = basis[:, 1]
    fall = -((a + by * ys)[:, None] + (bx * xs)[None, :])
    top = fall / (camera.position[1] - street.curb)
    index = np.flatnonzero((top > layer.inverse) & (top > 1 / FARTHEST))
    if not len(index):
        return
    iy, ix = np.divmod(index, width)
    rays = basis[0][:, None] + basis[1][:, None] * xs[ix] + basis[2][:, None] * ys[iy]
    depth, zone = _meet(street, camera, rays)
    inverse = 1 / depth
    seen = inverse > layer.inverse.ravel()[index]
    index = index[seen]
    layer.inverse.ravel()[index] = inverse[seen]
    layer.part.ravel()[index] = row
    layer.face.ravel()[index] = zone[seen]


def _zone_at(street: Street, camera: Camera, rays: Array, depth: Array) -> Array:
    x = camera.position[0] + rays[0] * depth
    z = camera.position[2] + rays[2] * depth
    return street.zones(*street.locate(x, z))[0]


def _meet(street: Street, camera: Camera, rays: Array) -> tuple[Array, Array]:
    """Depth and zone where rays meet the two-level ground."""
    fall = -rays[1]
    high = (camera.position[1] - np.float32(street.curb)) / fall
    zone = _zone_at(street, camera, rays, high)
    if street.curb == 0:
        return high, zone
    depth = high.copy()
    lower = np.flatnonzero(zone <= Zone.PARKING)
    far = camera.position[1] / fall[lower]
    below = _zone_at(street, camera, rays[:, lower], far)
    depth[lower], zone[lower] = far, below
    # Over the road at the curb's height, under the sidewalk at the road's: the ray meets the side of the curb.
    side = lower[below > Zone.PARKING]
    if len(side):
        near_end, far_end = high[side], depth[side]
        for _ in range(7):
            middle = (near_end + far_end) / 2
            beyond = _zone_at(street, camera, rays[:, side], middle) > Zone.PARKING
            far_end, near_end = np.where(beyond, middle, far_end), np.where(beyond, near_end, middle)
        depth[side] = (near_end + far_end) / 2
        zone[side] = CURB_FACE
    return depth, zone


def _fade(foot: Array, size: float) -> Array:
    """1 where a texture of this texel size is resolved, 0 where it would alias."""
    sharp: Array = np.clip(1.6 - foot * np.float32(0.8 / size), 0, 1)
    return sharp


def _tinted(color: tuple[float, float, float], gain: Array) -> Array:
    return np.array(color, np.float32)[:, None] * gain


def paint_ground(batch: Batch, street: Street, look: GroundLook) -> Coat:
    """Colors of ground samples."""
    x, _, z = batch.hit
    s, d = street.locate(x, z)
    distance = street.road_distance(s, d)
    foot = batch.foot
    albedo = np.empty((3, len(batch)), np.float32)
    mirror = np.zeros(len(batch), np.float32)
    painters = {
        Zone.PARKING: _parking,
        Zone.SIDEWALK: _paving,
        Zone.PAVED: _paving,
        Zone.VERGE: _grass,
        Zone.GRASS: _grass,
    }
    x, z = x + np.float32(look.offset), z + np.float32(look.offset)  # only textures use these from here on
    grain = speckle(x * 48, z * 48) - np.float32(0.5)
    base = 1 + 0.22 * grain * _fade(foot, 0.03)
    for zone in (*Zone, CURB_FACE):
        chosen = np.flatnonzero(batch.face == zone)
        if not len(chosen):
            continue
        site = _Site(x[chosen], z[chosen], s[chosen], d[chosen], distance[chosen], foot[chosen], base[chosen])
        if zone == Zone.ROAD:
            albedo[:, chosen] = _asphalt(site, street, look)
        elif zone == CURB_FACE:
            joint = np.abs(np.mod(site.s, 1.0) - 0.5) > 0.48
            albedo[:, chosen] = _tinted(
                look.curb, site.base * np.where(joint & (site.foot < 0.04), 0.5, 0.75)
            )
        else:
            albedo[:, chosen] = painters[Zone(zone)](site, street, look)
        if batch.light.wet > 0 and zone not in (Zone.VERGE, Zone.GRASS):
            puddle = np.clip(mottle(site.x * 9 + 31, site.z * 5) * 2.2 - 0.5, 0, 1) * np.float32(
                batch.light.wet
            )
            mirror[chosen] = puddle * 0.5
            albedo[:, chosen] *= 1 - np.float32(0.45 * batch.light.wet)
    if batch.light.wet > 0:
        rays = batch.ray
        cosine = -rays[1] / np.sqrt((rays * rays).sum(0))
        mirror *= np.clip((1 - cosine) ** 4, 0.04, 0.85)
        return Coat(albedo, mirror=mirror)
    return Coat(albedo)


@dataclass(frozen=True, eq=False)
class _Site:
    """Ground samples: world x and z, street coordinates, distance to the road's edge, footprint, grain."""

    x: Array
    z: Array
    s: Array
    d: Array
    distance: Array
    foot: Array
    base: Array


def _asphalt(site: _Site, street: Street, look: GroundLook) -> Array:
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
    albedo = _tinted(look.asphalt, gain)
    if look.cycle_lane > 0:
        lane_start = street.traffic_half - look.cycle_lane
        inside = ramp(np.abs(site.d) - lane_start, site.foot) * (np.abs(site.d) < street.traffic_half)
        inside = inside * ~street.near_junction(site.s, 2.0)
        albedo = mix(albedo, _tinted(look.cycle_color, gain), inside * 0.85)
    return _marks(site, street, look, albedo)


def _manholes(site: _Site, street: Street, offset: float) -> Array:
    s = site.s + np.float32(offset)
    cell_s, cell_d = np.floor(s / 13.0), np.floor(site.d / street.lane_width)
    mid_s = (cell_s + 0.25 + 0.5 * hashed(cell_s, cell_d + 7)) * 13.0
    mid_d = (cell_d + 0.3 + 0.4 * hashed(cell_d, cell_s + 3)) * street.lane_width
    radius = np.hypot(s - mid_s, site.d - mid_d)
    there = (hashed(cell_s, cell_d + 19) < 0.3) & (radius < 0.36)
    return np.where(there, np.where(radius > 0.29, 0.55, 0.75), 1.0).astype(np.float32)


def _line(offset: Array, half_width: float, foot: Array) -> Array:
    """Coverage of a line, given the distance from its middle."""
    return np.minimum(
        ramp(half_width - np.abs(offset), foot), 2 * half_width / np.maximum(foot, 2 * half_width)
    )


def _marks(site: _Site, street: Street, look: GroundLook, albedo: Array) -> Array:
    s, d, foot = site.s, site.d, site.foot
    long_foot = foot * foot * np.float32(400) + foot  # a footprint on the ground is long along the view
    inside = np.abs(d) < max(street.edge(-1), street.edge(1)) + 1.0
    near = street.near_junction(s, 7.0)
    past = s > street.end - 7.0
    free = inside & ~near & ~past
    on, off = look.dash
    dash = ramp(on / 2 - np.abs(np.mod(s, on + off) - (on + off) / 2), np.minimum(long_foot, on))
    cover = np.zeros_like(s)
    if street.markings == "dashed":
        cover = _line(d, 0.07, foot) * dash
    elif street.markings == "solid":
        cover = _line(d, 0.08, foot)
    elif street.markings == "double":
        cover = np.maximum(_line(d - 0.16, 0.06, foot), _line(d + 0.16, 0.06, foot))
    for lane in range(1, street.lanes):
        cover = np.maximum(cover, _line(np.abs(d) - lane * street.lane_width, 0.06, foot) * dash)
    edge = np.zeros_like(s)
    if street.edge_lines:
        edge = _line(np.abs(d) - (street.traffic_half - 0.22), 0.06, foot)
    if look.cycle_lane > 0:
        cover = np.maximum(
            cover, _line(np.abs(d) - (street.traffic_half - look.cycle_lane), 0.06, foot) * dash
        )
    for side in (-1, 1):
        if street.strips[(side + 1) // 2].parking > 0 and not street.parking_paved:
            bay = _line(d - side * street.traffic_half, 0.05, foot)
            cover = np.maximum(cover, bay * dash)
    cover, edge = cover * free, edge * free
    for junction in street.junctions:
        cover = np.maximum(
            cover,
            _crossing_marks(s, d, foot, long_foot, street, junction.s, junction.half_width, junction.zebra),
        )
    worn = 1 - np.clip((mottle(site.x * 23, site.z * 23) * 1.4 - 0.9 + 0.6 * look.wear), 0, 1) * look.wear
    albedo = mix(albedo, _tinted(look.marks, site.base), cover * worn)
    albedo = mix(albedo, _tinted(look.edge_marks, site.base), edge * worn)
    if street.rails:
        for rail in (-0.72, 0.72):
            gap = _line(np.abs(d) - (street.lane_width / 2 + rail), 0.05, foot)
            albedo = mix(albedo, np.array([[0.16], [0.16], [0.17]], np.float32), gap)
    return albedo


def _crossing_marks(
    s: Array,
    d: Array,
    foot: Array,
    long_foot: Array,
    street: Street,
    middle: float,
    half_width: float,
    zebra: bool,
) -> Array:
    """Stop lines and stripes before and behind a crossing."""
    across = (d > -street.edge(-1) + 0.3) & (d < street.edge(1) - 0.3)
    cover = np.zeros_like(s)
    for side in (-1, 1):
        if zebra:
            run = ramp(1.5 - np.abs(s - (middle + side * (half_width + 3.2))), np.minimum(long_foot, 3))
            bars = ramp(0.25 - np.abs(np.mod(d, 1.0) - 0.5), foot)
            bars = bars + (0.5 - bars) * np.clip(foot - 0.5, 0, 1)
            cover = np.maximum(cover, run * bars * across)
        own = across & (d * street.driving * -side > 0.1)
        stop = ramp(0.2 - np.abs(s - (middle + side * (half_width + 6.0))), np.minimum(long_foot, 0.8))
        cover = np.maximum(cover, stop * own)
    return cover


def _paving(site: _Site, street: Street, look: GroundLook) -> Array:
    size = look.slab
    row = np.floor(site.s / size)
    u = np.mod(site.d / size + 0.5 * np.mod(row, 2), 1)
    v = np.mod(site.s / size, 1)
    seam = np.maximum(np.abs(u - 0.5), np.abs(v - 0.5)) * size
    joint = ramp(seam - (size / 2 - 0.012), site.foot) * _fade(site.foot, 0.05)
    tone = 0.88 + 0.16 * hashed(row, np.floor(site.d / size + 0.5 * np.mod(row, 2))) * _fade(
        site.foot, size * 0.7
    )
    gain = site.base * tone * (0.8 + 0.35 * mottle(site.x * 6, site.z * 6)) * (1 - 0.35 * joint)
    albedo = _tinted(look.slabs, gain)
    stone = ramp(0.17 - site.distance, site.foot) * (street.curb > 0)
    return mix(albedo, _tinted(look.curb, site.base), stone)


def _parking(site: _Site, street: Street, look: GroundLook) -> Array:
    row = np.floor(site.s / 0.12)
    tone = 0.8 + 0.3 * hashed(row, np.floor(site.d / 0.22 + 0.5 * np.mod(row, 2))) * _fade(site.foot, 0.1)
    gain = site.base * tone * (0.75 + 0.35 * mottle(site.x * 5, site.z * 5))
    albedo = _tinted((look.curb[0] * 0.62, look.curb[1] * 0.58, look.curb[2] * 0.55), gain)
    bay = np.maximum(
        _line(np.mod(site.s, 6.0) - 3.0, 0.05, site.foot * 2),
        _line(np.abs(site.d) - street.traffic_half, 0.06, site.foot),
    )
    return mix(albedo, _tinted(look.marks, site.base), bay * 0.8)


def _grass(site: _Site, street: Street, look: GroundLook) -> Array:
    del street
    patch = mottle(site.x * 2.3 + 40, site.z * 2.3)
    blade = speckle(site.x * 23, site.z * 23)
    gain = (0.55 + 0.5 * patch) * (1 + 0.5 * (blade - 0.5) * _fade(site.foot, 0.06))
    green = _tinted(look.grass, gain)
    soil = _tinted((0.16, 0.12, 0.075), gain)
    bare = np.clip((mottle(site.x * 5 + 11, site.z * 5) - 0.72 + 0.3 * look.dry) * 5, 0, 1)
    return mix(green, soil, bare * (0.3 + 0.6 * look.dry))
