"""The street itself, drawn from a seed: lanes, bends, crossings, strips, and the colors of the ground."""

import numpy as np

from roadseg.data.synth.asphalt import GroundLook
from roadseg.data.synth.street import FRONT_CELL, FRONT_START, Junction, Street, Strip, Zone
from roadseg.data.synth.style import Setting

__all__ = ["FAR_END", "between", "draw_look", "draw_street"]

FAR_END = 185.0  # meters; the street is lined up to here
FAR_END_CELLS = int((FAR_END + 40 - FRONT_START) / FRONT_CELL)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number from a range, uniformly."""
    return float(rng.uniform(low, high))


def draw_street(rng: np.random.Generator, setting: Setting) -> Street:
    """A street for a setting."""
    lanes = int(rng.choice((1, 2), p={"city": (0.62, 0.38)}.get(setting, (0.9, 0.1))))
    rails = setting in ("city", "town") and rng.random() < 0.13
    bend = float(rng.choice((-1, 1))) * between(rng, 0.0006, 0.0026) if rng.random() < 0.5 else 0.0
    junctions, end = _draw_junctions(rng, setting)
    rural = setting == "rural"
    strips = (_draw_strip(rng, setting), _draw_strip(rng, setting))
    walk_kind = rng.random() < {"city": 0.9, "town": 0.7}.get(setting, 0.3)
    return Street(
        bend_start=between(rng, 0, 45),
        bend_length=between(rng, 35, 85),
        bend=bend,
        lanes=lanes,
        lane_width=between(rng, 2.75, 3.6) + (0.3 if rails else 0.0),
        driving=-1 if rng.random() < 0.4 else 1,
        strips=strips,
        parking_paved=bool(rng.random() < 0.35),
        curb=0.0 if rural and rng.random() < 0.8 else between(rng, 0.07, 0.16),
        junctions=junctions,
        end=end,
        front=np.full((2, FAR_END_CELLS), Zone.PAVED if walk_kind else Zone.GRASS, np.uint8),
        markings=str(rng.choice(("dashed", "solid", "double", "none"), p=(0.62, 0.1, 0.08, 0.2))),
        edge_lines=bool(rng.random() < (0.7 if rural else 0.4)),
        rails=bool(rails),
    )


def _draw_junctions(rng: np.random.Generator, setting: Setting) -> tuple[tuple[Junction, ...], float]:
    share = {"city": 0.8, "town": 0.75, "suburb": 0.6, "park": 0.5, "rural": 0.25}[setting]
    junctions: list[Junction] = []
    place = between(rng, 14, 60)
    while place < 150 and len(junctions) < 2 and rng.random() < share:
        both = rng.random() < 0.5
        left = bool(both or rng.random() < 0.5)
        junctions.append(
            Junction(
                s=place,
                half_width=between(rng, 2.9, 6.5),
                left=left,
                right=bool(both or not left),
                zebra=bool(rng.random() < 0.55),
                signals=bool(rng.random() < 0.6),
            )
        )
        place += between(rng, 45, 90)
    end = float("inf")
    if rng.random() < 0.18 and (not junctions or junctions[-1].s < 95):
        end = between(rng, 80, 150)
        if junctions:
            end = max(end, junctions[-1].s + 45)
        width = between(rng, 3, 5)
        junctions.append(
            Junction(
                s=end, half_width=width, zebra=bool(rng.random() < 0.5), signals=bool(rng.random() < 0.3)
            )
        )
    return tuple(junctions), end


def _draw_strip(rng: np.random.Generator, setting: Setting) -> Strip:
    if setting == "rural":
        walks = rng.random() < 0.25
        return Strip(0.0, between(rng, 0.5, 2.5) if walks else 0.0, between(rng, 1.2, 1.8) if walks else 0.0)
    parking = between(rng, 1.95, 2.4) if rng.random() < {"city": 0.5, "park": 0.3}.get(setting, 0.42) else 0.0
    verge = between(rng, 0.8, 2.2) if rng.random() < {"city": 0.08, "suburb": 0.45}.get(setting, 0.2) else 0.0
    return Strip(parking, verge, between(rng, 1.8, 5.0 if setting == "city" else 3.8))


def draw_look(rng: np.random.Generator, setting: Setting) -> GroundLook:
    """Colors of the ground."""
    gray = float(np.exp(rng.normal(np.log(0.135), 0.3)))
    tint = rng.normal(0, 0.035, 3)
    stone = float(np.exp(rng.normal(np.log(0.27), 0.25)))
    warm = between(rng, -0.02, 0.12)
    white = between(rng, 0.5, 0.75)
    yellow = (white * 0.95, white * 0.66, 0.07)
    grass = float(np.exp(rng.normal(0, 0.2)))
    dry = between(rng, 0, 0.8)
    cycle = rng.random() < {"city": 0.25, "town": 0.25, "suburb": 0.1}.get(setting, 0.05)
    reds, greens = (0.22, 0.07, 0.05), (0.06, 0.15, 0.08)
    return GroundLook(
        asphalt=(gray * (1 + tint[0]), gray * (1 + tint[1]), gray * (1.03 + tint[2])),
        patches=between(rng, 0, 1),
        marks=yellow if rng.random() < 0.1 else (white, white, white * 0.97),
        edge_marks=yellow if rng.random() < 0.35 else (white, white, white),
        wear=between(rng, 0.1, 0.9),
        slabs=(stone * (1 + warm), stone, stone * (1 - warm)),
        slab=between(rng, 0.35, 0.95),
        curb=(stone * 1.25, stone * 1.22, stone * 1.18),
        grass=((0.08 + 0.1 * dry) * grass, 0.15 * grass, 0.035 * grass),
        dry=dry,
        cycle_lane=between(rng, 1.1, 1.6) if cycle else 0.0,
        cycle_color=reds if rng.random() < 0.6 else greens,
        dash=(between(rng, 1.5, 4.5), between(rng, 1.5, 6.5)),
        offset=between(rng, 0, 900),
    )
