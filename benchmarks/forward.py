"""Time and memory of one pass of the networks of the catalog, in several modes of execution.

Usage::

    python benchmarks/forward.py --models fast-scnn espnet --sizes 360x480 1024x2048 --threads 1 --out forward.json

Prints a table; ``--out`` writes the measurements with what they depend on as JSON. The modes are

- eager: the network as it is built, float32;
- channels_last: the same in the memory layout that convolutions want;
- fused: that, with batch normalizations folded into convolutions, which is what `roadseg.load` gives;
- compiled: the fused network under ``torch.compile``;
- half: the fused network in float16 (CUDA only).

Modes take turns within each repeat, so a busy machine slows all of them alike. Read the speed, which is the median over
the turns of eager's time over the mode's time in the same turn, rather than the milliseconds. ``--clock cpu`` counts
the time the processor worked for the process, which a busy machine disturbs least; use it with one thread. ``differs``
is the largest deviation from eager's logits, relative to the largest logit.

Each network is timed in a process of its own, in which it may neither take more memory than the machine has left
("out of memory") nor compile for longer than ``--compile-limit``; then it is measured again without that mode. Memory
is what one pass needs beside weights and image. On CUDA it is the rise of the allocator's peak. On the CPU it is the
rise of the resident size while a fresh process makes one pass (Linux only), every larger allocation being a mapping of
its own, so that freed memory cannot hide a later peak; it includes scratch memory of the convolution library, which
torch's own profiler does not see.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor, nn

from roadseg.errors import RecipeError
from roadseg.models import build, names, row
from roadseg.models.fusing import fuse

MODES = ("eager", "channels_last", "fused", "compiled", "half")
CLASSES = 19
Size = tuple[int, int]


def prepare(name: str, mode: str, device: str) -> nn.Module:
    """Build a network for a mode; every mode gets the same weights."""
    torch.manual_seed(0)
    model = build(name, CLASSES).eval().to(device)
    if mode == "eager":
        return model
    model = model.to(memory_format=torch.channels_last)
    if mode == "channels_last":
        return model
    fuse(model)
    if mode == "half":
        return model.half()
    return torch.compile(model) if mode == "compiled" else model


def image_for(mode: str, size: Size, device: str) -> Tensor:
    """A random image in the type and memory layout that a mode wants."""
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1)).to(device)
    if mode == "eager":
        return image
    image = image.to(memory_format=torch.channels_last)
    return image.half() if mode == "half" else image


def wait(device: str) -> None:
    """Wait until the device has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def take_turns(
    runs: dict[str, Callable[[], object]], device: str, repeats: int, limit: float, clock: str
) -> dict[str, list[float]]:
    """Seconds of every run, one per turn, after one untimed turn; no further turn begins after `limit` seconds."""
    now = time.process_time if clock == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    start = time.perf_counter()
    for turn in range(repeats + 1):
        for name in runs if turn % 2 else reversed(runs):
            wait(device)
            begin = now()
            runs[name]()
            wait(device)
            if turn:
                seconds[name].append(now() - begin)
        if turn and time.perf_counter() - start > limit:
            break
    return seconds


def summary(seconds: list[float], reference: list[float] | None) -> dict[str, float | int]:
    """What is reported of the times of a run; `reference` are those that it is compared with, turn by turn."""
    median = statistics.median(seconds)
    result = {
        "median_ms": 1e3 * median,
        "iqr_ms": 1e3 * spread(seconds),
        "images_per_second": 1 / median,
        "turns": len(seconds),
    }
    if reference is None:
        return result
    ratios = [a / b for a, b in zip(reference, seconds, strict=True)]
    return result | {"speed": statistics.median(ratios), "speed_iqr": spread(ratios)}


def spread(values: list[float]) -> float:
    """The distance between the quartiles."""
    if len(values) < 2:
        return 0.0
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    return quartiles[2] - quartiles[0]


def peak_on_cuda(run: Callable[[], object]) -> int:
    """Bytes by which the allocator's peak rises over one pass."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def memory_status(field: str) -> int:
    """A field of this process's memory status in bytes: VmRSS is the resident size, VmHWM its peak."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return 1024 * int(line.split()[1])


def limit_memory() -> None:
    """Let allocations fail before the system runs out of memory, so that they are reported instead of killed."""
    if not Path("/proc/meminfo").exists():
        return
    free = next(x for x in Path("/proc/meminfo").read_text().splitlines() if x.startswith("MemAvailable"))
    limit = memory_status("VmSize") + int(0.9 * 1024 * int(free.split()[1]))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@contextlib.contextmanager
def failures(result: dict[str, object]) -> Iterator[None]:
    """Note in `result` why a mode cannot run, in a few words, and go on."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        scarce = (
            isinstance(error, MemoryError | torch.OutOfMemoryError) or "memory" in words or "alloc" in words
        )
        result["failed"] = "out of memory" if scarce else words[:200]


@torch.inference_mode()
def worker(job: dict) -> None:
    """Time one network at one size, all modes in turns; prints a line when all is compiled and a line of JSON."""
    device, size = job["device"], tuple(job["size"])
    results: dict[str, dict[str, object]] = {mode: {} for mode in job["modes"]}
    runs: dict[str, Callable[[], object]] = {}
    outputs: dict[str, Tensor] = {}
    # The compiled network comes first, and the parent's clock runs until it has made its first pass.
    for mode in sorted(job["modes"], key=lambda mode: mode != "compiled"):
        with failures(results[mode]):
            model, image = prepare(job["model"], mode, device), image_for(mode, size, device)
            run = lambda model=model, image=image: model(image)  # noqa: E731
            begin = time.perf_counter()
            outputs[mode] = run().logits.float()
            wait(device)
            results[mode]["first_pass_s"] = time.perf_counter() - begin
            runs[mode] = run
        if mode == "compiled":
            print("compiled", flush=True)
    runs = {mode: runs[mode] for mode in job["modes"] if mode in runs}
    for mode in runs if "eager" in runs else ():
        expected = outputs["eager"]
        results[mode]["differs"] = float((outputs[mode] - expected).abs().max() / expected.abs().max())
    outputs.clear()
    seconds = take_turns(runs, device, job["repeats"], job["limit"], job["clock"])
    for mode in runs:
        results[mode] |= summary(seconds[mode], seconds.get("eager"))
        if device == "cuda" and job["memory"]:
            results[mode]["peak_mib"] = peak_on_cuda(runs[mode]) / 2**20
    print(json.dumps(results), flush=True)


@torch.inference_mode()
def peak_worker(job: dict) -> None:
    """Print as JSON the bytes by which the resident size of this process rises over one pass."""
    result: dict[str, object] = {}
    (mode,), size = job["modes"], tuple(job["size"])
    with failures(result):
        model, image = prepare(job["model"], mode, "cpu"), image_for(mode, size, "cpu")
        # What is loaded on first use must not count, and neither must compilation, which is for this very size.
        model(image if mode == "compiled" else image[..., :64, :128])
        print("compiled", flush=True)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = memory_status("VmRSS")
        model(image)
        result["peak_mib"] = (memory_status("VmHWM") - before) / 2**20
    print(json.dumps({mode: result}), flush=True)


def in_process(job: dict, compile_limit: float) -> dict[str, dict[str, object]]:
    """Run a job in a fresh process; modes that compile for too long are left out and marked."""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"} if job["kind"] == "peak" else os.environ
    command = [sys.executable, __file__, "--job", json.dumps(job)]
    words = tempfile.TemporaryFile("w+")  # noqa: SIM115 - the errors are read when the process has ended
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=words, text=True, start_new_session=True
    )
    late = threading.Event()

    def stop() -> None:
        late.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the compiler runs in children

    clock = threading.Timer(compile_limit, stop)
    if "compiled" in job["modes"]:
        clock.start()
    last = ""
    for line in process.stdout:
        clock.cancel()
        last = line
    clock.cancel()
    code = process.wait()
    if late.is_set():
        rest = [mode for mode in job["modes"] if mode != "compiled"]
        timed_out = {"compiled": {"failed": f"timed out after {compile_limit:.0f} s"}}
        return timed_out | (in_process(job | {"modes": rest}, compile_limit) if rest else {})
    if code or not last.startswith("{"):
        words.seek(0)
        said = words.read().strip().splitlines() or ["nothing"]
        why = "out of memory" if code == -signal.SIGKILL else f"ended with {code}, saying: {said[-1][:200]}"
        return {mode: {"failed": why} for mode in job["modes"]}
    return json.loads(last)


def measure(model: str, size: Size, options: argparse.Namespace) -> dict[str, object]:
    """One network at one size: every mode's time, speed against eager, memory and deviation."""
    job = {
        "kind": "time",
        "model": model,
        "size": size,
        "modes": options.modes,
        "device": options.device,
        "threads": options.threads,
        "repeats": options.repeats,
        "limit": options.limit,
        "clock": options.clock,
        "memory": not options.no_memory,
    }
    results = in_process(job, options.compile_limit)
    if options.device == "cpu" and not options.no_memory and Path("/proc/self/clear_refs").exists():
        for mode in options.modes:
            if "failed" not in results[mode]:
                peak = in_process(job | {"kind": "peak", "modes": [mode]}, options.compile_limit)[mode]
                results[mode]["peak_mib"] = peak.get("peak_mib")
    return {"model": model, "size": list(size), "modes": {mode: results[mode] for mode in options.modes}}


def rows(case: dict) -> list[str]:
    """The lines of the table for one network at one size."""
    height, width = case["size"]
    lines = []
    for mode, result in case["modes"].items():
        head = f"{case['model']:30}{f'{height}x{width}':>11}  {mode:14}"
        if "failed" in result:
            lines.append(f"{head}  {result['failed']}")
            continue
        values = [
            (f"{result['median_ms']:.1f}", 10),
            (f"{result['iqr_ms']:.1f}", 9),
            (f"{result['images_per_second']:.2f}", 10),
            (f"{result['speed']:.2f}x" if "speed" in result else "-", 9),
            (f"{result['speed_iqr']:.2f}" if "speed" in result else "-", 7),
            ("-" if result.get("peak_mib") is None else f"{result['peak_mib']:.0f} MiB", 11),
            (f"{result['differs']:.1e}" if "differs" in result else "-", 10),
        ]
        lines.append(head + "".join(f"{text:>{width}}" for text, width in values))
    return lines


HEAD = (
    f"{'model':30}{'size':>11}  {'mode':14}{'median ms':>10}{'IQR ms':>9}{'images/s':>10}{'speed':>9}{'IQR':>7}"
    f"{'memory':>11}{'differs':>10}"
)


def processor() -> str:
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    found = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return found or platform.processor() or platform.machine()


def metadata(options: argparse.Namespace) -> dict[str, object]:
    """What measurements depend on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip() or None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "clock": options.clock,
        "repeats": options.repeats,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
    }


def size_of(text: str) -> Size:
    """Read ``HEIGHTxWIDTH``."""
    height, _, width = text.partition("x")
    return int(height), int(width)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models",
        nargs="+",
        default=list(names()),
        metavar="NAME",
        help="catalog names or package.module:callable (default: the catalog)",
    )
    parser.add_argument("--sizes", nargs="+", type=size_of, default=[(1024, 2048), (360, 480)], metavar="HxW")
    parser.add_argument("--modes", nargs="+", choices=MODES, help="default: all that the device has")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--repeats", type=int, default=7, help="timed turns per network and size")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what a second is")
    parser.add_argument("--limit", type=float, default=300, help="seconds after which no further turn begins")
    parser.add_argument("--compile-limit", type=float, default=600, help="seconds that compiling may take")
    parser.add_argument("--no-memory", action="store_true", help="skip the measurement of memory")
    parser.add_argument("--out", type=Path, help="write the measurements to this file as JSON")
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.modes is None:
        options.modes = [mode for mode in MODES if mode != "half" or options.device == "cuda"]
    try:
        for name in options.models:
            if ":" not in name:
                row(name)
    except RecipeError as error:
        parser.error(str(error))
    if "half" in options.modes and options.device != "cuda":
        parser.error("half precision is measured on CUDA only")
    if options.clock == "cpu" and options.device != "cpu":
        parser.error("--clock cpu does not see what CUDA does")
    if "eager" not in options.modes:
        options.modes.insert(0, "eager")
    return options


def main() -> None:
    """Measure and report."""
    options = parse()
    if options.job:
        torch.set_num_threads(options.job["threads"])
        if options.job["device"] == "cpu":
            limit_memory()
        {"time": worker, "peak": peak_worker}[options.job["kind"]](options.job)
        return
    print(HEAD)
    cases = []
    for model in options.models:
        for size in options.sizes:
            cases.append(measure(model, size, options))
            print("\n".join(rows(cases[-1])), flush=True)
            if options.out:  # after every network: a run over the whole catalog takes hours
                report = {"benchmark": "forward", **metadata(options), "cases": cases}
                options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
