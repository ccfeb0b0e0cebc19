"""How much faster a network runs when denormal weights are flushed to zero on loading.

Published checkpoints hold weights smaller than 1.2e-38. Some processors handle such numbers in microcode, a hundred
times slower; others do not care, and then the ratio is 1. Usage::

    python benchmarks/denormals.py espnet_p_2_q_8.pth [--size 512 1024] [--repeats 5] [--threads 1]

Prints JSON: median seconds with the weights as stored and as loaded, and their ratio, measured in turns.
"""

import argparse
import json
import platform
import statistics
import time

import torch

from roadseg.models import build_for, read_state


def main() -> None:
    """Measure one checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 1024))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    stored = read_state(arguments.checkpoint)
    flushed = build_for(stored).eval()
    raw = build_for(stored).eval()
    with torch.no_grad():
        for key, value in raw.state_dict().items():
            if key in stored.state:
                value.copy_(stored.state[key])
    tiny = torch.finfo(torch.float32).tiny
    denormal = sum(
        int(((v != 0) & (v.abs() < tiny)).sum()) for v in stored.state.values() if v.is_floating_point()
    )

    image = torch.randn(1, 3, *arguments.size)
    seconds: dict[str, list[float]] = {"stored": [], "flushed": []}
    with torch.inference_mode():
        for _ in range(arguments.repeats + 1):
            for name, model in (("stored", raw), ("flushed", flushed)):
                start = time.perf_counter()
                model(image)
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    print(
        json.dumps(
            {
                "checkpoint": arguments.checkpoint.rsplit("/", 1)[-1],
                "denormal_weights": denormal,
                "seconds": medians,
                "speedup": medians["stored"] / medians["flushed"],
                "processor": platform.processor() or platform.machine(),
                "threads": arguments.threads,
                "torch": torch.__version__,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
