"""The ground: where it is seen, and how paving and grass look."""

import numpy as np

from roadseg.data.synth.asphalt import GroundLook, Site, fade, line, paint_asphalt, tinted
from roadseg.data.synth.camera import Array, Camera
from roadseg.data.synth.noise import hashed, mottle, speckle
from roadseg.data.synth.raster import Layer
from roadseg.data.synth.shading import Batch, Coat, mix, ramp
from roadseg.data.synth.street import Street, Zone

__all__ = ["CURB_FACE", "draw_ground", "paint_ground", "zone_labels"]

CURB_FACE = len(Zone)  # the upright side of the curb, after the zones
FARTHEST = 1500.0  # meters
RUN = 16384  # samples at once, so that they stay in the processor's cache

_LABELS = {
    Zone.ROAD: "road",
    Zone.PARKING: "parking",
    Zone.SIDEWALK: "sidewalk",
    Zone.VERGE: "terrain",
    Zone.PAVED: "sidewalk",
    Zone.GRASS: "terrain",
}


def zone_labels(label_ids: dict[str, int]) -> Array:
    """Stored label id of every face number of the ground, uint8."""
    ids = [label_ids[_LABELS[zone]] for zone in Zone]
    return np.array([*ids, label_ids["sidewalk"]], np.uint8)


def draw_ground(street: Street, camera: Camera, layer: Layer, row: int) -> None:
    """Draw the ground, behind what is drawn already, as part ``row``; its face number says the zone."""
    a, bx, by = camera.ray_basis()[:, 1].tolist()
    y, shift = layer.grid.lines_at(0, layer.grid.shape[0])
    fall = -((a + by * y + bx * shift)[:, None] + bx * np.arange(camera.size[1], dtype=np.float32))
    top = fall / (camera.position[1] - np.float32(street.curb))
    open_to = np.flatnonzero((top > layer.inverse) & (top > 1 / FARTHEST))
    for start in range(0, len(open_to), RUN):
        index = open_to[start : start + RUN]
        rays = layer.grid.rays(camera, index)
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
    base = 1 + 0.22 * grain * fade(foot, 0.03)
    for zone in (*Zone, CURB_FACE):
        chosen = np.flatnonzero(batch.face == zone)
        if not len(chosen):
            continue
        site = Site(x[chosen], z[chosen], s[chosen], d[chosen], distance[chosen], foot[chosen], base[chosen])
        if zone == Zone.ROAD:
            albedo[:, chosen] = paint_asphalt(site, street, look)
        elif zone == CURB_FACE:
            joint = np.abs(np.mod(site.s, 1.0) - 0.5) > 0.48
            albedo[:, chosen] = tinted(look.curb, site.base * np.where(joint & (site.foot < 0.04), 0.5, 0.75))
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


def _paving(site: Site, street: Street, look: GroundLook) -> Array:
    size = look.slab
    row = np.floor(site.s / size)
    u = np.mod(site.d / size + 0.5 * np.mod(row, 2), 1)
    v = np.mod(site.s / size, 1)
    seam = np.maximum(np.abs(u - 0.5), np.abs(v - 0.5)) * size
    joint = ramp(seam - (size / 2 - 0.012), site.foot) * fade(site.foot, 0.05)
    tone = 0.88 + 0.16 * hashed(row, np.floor(site.d / size + 0.5 * np.mod(row, 2))) * fade(
        site.foot, size * 0.7
    )
    gain = site.base * tone * (0.8 + 0.35 * mottle(site.x * 6, site.z * 6)) * (1 - 0.35 * joint)
    albedo = tinted(look.slabs, gain)
    stone = ramp(0.17 - site.distance, site.foot) * (street.curb > 0)
    return mix(albedo, tinted(look.curb, site.base), stone)


def _parking(site: Site, street: Street, look: GroundLook) -> Array:
    row = np.floor(site.s / 0.12)
    tone = 0.8 + 0.3 * hashed(row, np.floor(site.d / 0.22 + 0.5 * np.mod(row, 2))) * fade(site.foot, 0.1)
    gain = site.base * tone * (0.75 + 0.35 * mottle(site.x * 5, site.z * 5))
    albedo = tinted((look.curb[0] * 0.62, look.curb[1] * 0.58, look.curb[2] * 0.55), gain)
    bay = np.maximum(
        line(np.mod(site.s, 6.0) - 3.0, 0.05, site.foot * 2),
        line(np.abs(site.d) - street.traffic_half, 0.06, site.foot),
    )
    return mix(albedo, tinted(look.marks, site.base), bay * 0.8)


def _grass(site: Site, street: Street, look: GroundLook) -> Array:
    del street
    patch = mottle(site.x * 2.3 + 40, site.z * 2.3)
    blade = speckle(site.x * 23, site.z * 23)
    gain = (0.55 + 0.5 * patch) * (1 + 0.5 * (blade - 0.5) * fade(site.foot, 0.06))
    green = tinted(look.grass, gain)
    soil = tinted((0.16, 0.12, 0.075), gain)
    bare = np.clip((mottle(site.x * 5 + 11, site.z * 5) - 0.72 + 0.3 * look.dry) * 5, 0, 1)
    return mix(green, soil, bare * (0.3 + 0.6 * look.dry))
