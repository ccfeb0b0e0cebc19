"""Losses against their definitions written straight down: time and memory of forward and backward.

Usage::

    python benchmarks/losses.py --repeats 9 --clock cpu --json losses.json --table docs/benchmarks/losses.md

Every loss is run on float32 logits and a uint8 mask of image size, 19 classes in blocks, some of them ignored; forward,
then backward to the logits. The two ways take turns, so that a busy machine slows both alike: the ratio is the median of
the turns' ratios, and is what to read. Values and gradients of both are compared before anything is timed. Memory is what
a fresh process grows by beyond its inputs (Linux), the gradient itself (one float32 per logit) included; on a GPU, the
allocator's peak. ``--clock cpu`` counts the process's own time, for machines that are busy with other work.

- RMI: the definition in float64 with every region written out (``tests/losses/direct.py``).
- OHEM: a softmax for the probabilities, all of them sorted, then cross entropy on what is kept. "most are hard" is an
  untrained network, where more pixels are below the threshold than must be kept; "few are hard" a trained one, where the
  k-th value has to be found. "selection" is finding the hard pixels alone, once the probabilities are known.
- Cross entropy: logits at an eighth of the mask's size are interpolated, then compared.
- Relaxed: a table of the classes around every pixel as floats, a softmax, the logarithm of their product's sum.

"plain cross entropy" is no definition of OHEM, but what hard example mining can be had for.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from delivery import deliver  # from this folder
from forward import memory_status, metadata, peak_on_cuda, size_of, spread, wait  # from this folder
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the oracles of the tests are the baselines

from tests.losses.direct import rmi_direct

from roadseg.losses import Criterion, CrossEntropyLoss, OhemLoss, OutputLoss, RelaxedLoss, RMILoss

CLASSES, IGNORE, KEPT, THRESHOLD = 19, 255, 100_000, 0.7
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """A loss and its baseline.

    ``clear`` is how much the true class's logit stands out in the inputs, ``stride`` how coarse the logits are.
    """

    name: str
    ours: Criterion | OutputLoss
    baseline: Loss
    against: str
    clear: float = 2.0
    same: bool = True
    stride: int = 1


def ohem_sorted(logits: Tensor, mask: Tensor) -> Tensor:
    """Mining by its definition: ignored pixels count as probability 1, and all are sorted."""
    valid = mask != IGNORE
    target = mask.long()
    with torch.no_grad():
        probability = logits.softmax(1).gather(1, target.masked_fill(~valid, 0)[:, None])[:, 0]
        probability = probability.masked_fill(~valid, 1.0)
        if int(valid.sum()) >= KEPT:
            target = target.masked_fill(probability > select_sorted(probability), IGNORE)
    # As the value of a criterion: the mean over kept pixels.
    return F.cross_entropy(logits, target, ignore_index=IGNORE)


def select_sorted(probability: Tensor) -> Tensor:
    """The probability up to which pixels are hard."""
    return probability.flatten().sort().values[min(KEPT, probability.numel()) - 1].clamp(min=THRESHOLD)


def cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """What every training does at least."""
    return F.cross_entropy(logits, mask.long(), ignore_index=IGNORE)


def upsampled(logits: Tensor, mask: Tensor) -> Tensor:
    """Cross entropy as every code base has it: logits are brought to the size of the mask first."""
    return cross_entropy(F.interpolate(logits, size=mask.shape[-2:], mode="bilinear"), mask)


def relaxed_written_out(logits: Tensor, mask: Tensor) -> Tensor:
    """Boundary label relaxation, one image after the other, with the multi-hot table as floats."""
    losses = []
    for scores, labels in zip(logits, mask.long(), strict=True):
        valid = labels != IGNORE
        padded = F.pad(labels.masked_fill(~valid, CLASSES), [1] * 4, value=CLASSES)
        hot = F.one_hot(padded, CLASSES + 1).permute(2, 0, 1).float()
        height, width = labels.shape
        near = torch.stack([hot[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]).amax(
            0
        )
        counts = near.flatten(1).sum(1)
        weights = 1 + (1 - counts / counts.sum()) * (counts > 0)
        near, weights = near[:-1], weights[:-1]
        number = near.sum(0)
        probability = (scores.softmax(0) * near).sum(0).masked_fill(number == 0, 1.0)
        weight = (near * weights[:, None, None]).sum(0) / number.clamp(min=1)
        losses.append((-probability.log() * weight).sum() / (1 + (number > 0).sum()))
    return torch.stack(losses).mean()


def rmi_written_out(logits: Tensor, mask: Tensor) -> Tensor:
    """Region mutual information as the tests define it."""
    return rmi_direct(logits, mask, IGNORE)


CASES = (
    Case("RMI", RMILoss(IGNORE), rmi_written_out, "written out"),
    Case("OHEM, most are hard", OhemLoss(IGNORE, min_kept=KEPT), ohem_sorted, "full sort", clear=2.0),
    Case("OHEM, few are hard", OhemLoss(IGNORE, min_kept=KEPT), ohem_sorted, "full sort", clear=11.0),
    Case(
        "OHEM, few are hard",
        OhemLoss(IGNORE, min_kept=KEPT),
        cross_entropy,
        "plain cross entropy",
        11.0,
        False,
    ),
    Case(
        "cross entropy of logits at 1/8",
        OutputLoss(CrossEntropyLoss(IGNORE), align_corners=False),
        upsampled,
        "upsampled first",
        stride=8,
    ),
    Case("relaxed", RelaxedLoss(IGNORE, num_classes=CLASSES), relaxed_written_out, "multi-hot floats"),
)


def inputs(case: Case, options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Logits ``[B, C, H, W]`` and a mask ``[B, H, W]`` of blocks."""
    torch.manual_seed(0)
    batch, (height, width) = options.batch, options.size
    blocks = torch.randint(0, CLASSES, (batch, -(-height // 48), -(-width // 48)), dtype=torch.uint8)
    blocks[torch.rand(blocks.shape) < 0.05] = IGNORE
    mask = blocks.repeat_interleave(48, 1).repeat_interleave(48, 2)[:, :height, :width].contiguous()
    logits = torch.randn(batch, CLASSES, height, width).mul_(2)
    true = torch.where(mask == IGNORE, 0, mask).long()[:, None]
    logits.scatter_add_(1, true, torch.full((), case.clear).expand(true.shape))
    logits = F.avg_pool2d(logits, case.stride)
    return logits.to(options.device).requires_grad_(), mask.to(options.device)


def passes(loss: Loss, logits: Tensor, mask: Tensor) -> float:
    """Forward and backward; return the value."""
    logits.grad = None
    value = loss(logits, mask)
    value.backward()
    return float(value.detach())


def seconds(run: Callable[[], object], options: argparse.Namespace) -> float:
    """The time of one call."""
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    wait(options.device)
    begin = clock()
    run()
    wait(options.device)
    return clock() - begin


def compare(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], options: argparse.Namespace
) -> dict:
    """Time two ways in turns."""
    for run in (ours, theirs):
        run()
    pairs = [(seconds(ours, options), seconds(theirs, options)) for _ in range(options.repeats)]
    ratios = [slow / fast for fast, slow in pairs]
    columns = {"ours": [pair[0] for pair in pairs], "baseline": [pair[1] for pair in pairs]}
    row: dict[str, object] = {
        "case": name,
        "speedup": statistics.median(ratios),
        "speedup_iqr": spread(ratios),
    }
    for key, values in columns.items():
        row[f"{key}_ms"] = 1e3 * statistics.median(values)
        row[f"{key}_iqr_ms"] = 1e3 * spread(values)
    return row


def check(case: Case, logits: Tensor, mask: Tensor) -> dict[str, float]:
    """Return how far value and gradient are apart, the gradient as a vector: of two equals, either may be the k-th."""
    values, gradients = [], []
    for loss in (case.ours, case.baseline):
        values.append(passes(loss, logits, mask))
        gradients.append(logits.grad)
    slope = float((gradients[0] - gradients[1]).norm() / gradients[1].norm())
    value = abs(values[0] / values[1] - 1)
    if value > 1e-4 or slope > 1e-3:
        raise SystemExit(f"{case.name}: values differ by {value:.1e}, gradients by {slope:.1e}")
    return {"value_difference": value, "gradient_difference": slope}


def measure(index: int, options: argparse.Namespace) -> dict:
    """One case: time, memory, agreement."""
    case = CASES[index]
    logits, mask = inputs(case, options)
    facts = check(case, logits, mask) if case.same else {}
    row = compare(
        case.name,
        lambda: passes(case.ours, logits, mask),
        lambda: passes(case.baseline, logits, mask),
        options,
    )
    logits.grad = None
    memory = {f"{way}_mib": peak(index, way, options) for way in ("ours", "baseline")}
    return {**row, "against": case.against, **facts, **memory}


def selection(options: argparse.Namespace) -> list[dict]:
    """Finding the hard pixels alone."""
    rows = []
    for case in (CASES[1], CASES[2]):
        logits, mask = inputs(case, options)
        loss = F.cross_entropy(logits.detach(), mask.long(), ignore_index=IGNORE, reduction="none")
        valid, probability = mask != IGNORE, (-loss).exp()
        criterion = case.ours
        rows.append(
            {
                **compare(
                    case.name.replace("OHEM", "selection"),
                    lambda: criterion.kept(loss, valid),  # noqa: B023 - called at once
                    lambda: probability <= select_sorted(probability),  # noqa: B023
                    options,
                ),
                "against": case.against,
                "hard": float((probability <= THRESHOLD)[valid].float().mean()),
            }
        )
    return rows


def peak(index: int, way: str, options: argparse.Namespace) -> float:
    """MiB that one pass needs beyond its inputs, in a process of its own."""
    height, width = options.size
    chosen = {
        "size": f"{height}x{width}",
        "batch": options.batch,
        "threads": options.threads,
        "device": options.device,
    }
    command = [sys.executable, __file__, "--peak", str(index), way]
    command += [part for key, value in chosen.items() for part in (f"--{key}", str(value))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 2**20


def grown(index: int, way: str, options: argparse.Namespace) -> int:
    """Bytes that one pass needs beyond its inputs."""
    case = CASES[index]
    loss = case.ours if way == "ours" else case.baseline
    few = argparse.Namespace(**{**vars(options), "size": (64, 64), "batch": 1})
    passes(loss, *inputs(case, few))  # what is loaded on first use must not count
    logits, mask = inputs(case, options)
    if options.device == "cuda":
        return peak_on_cuda(lambda: passes(loss, logits, mask))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = memory_status("VmRSS")
    passes(loss, logits, mask)
    return memory_status("VmHWM") - before


def table(report: dict) -> str:
    """The report for people, in Markdown."""
    facts = report["metadata"]
    lines = [
        f"Batch {report['batch']}, {CLASSES} x {report['size'][0]} x {report['size'][1]} logits "
        f"({report['logits_mib']:.0f} MiB), {facts['device']} ({facts['processor']}, {facts['cores']} cores), "
        f"{facts['threads']} threads of torch, {facts['repeats']} turns, {facts['clock']} time, torch {facts['torch']}, {facts['date']}. "
        "Median, and the distance between the quartiles.",
        "",
        "| loss | against | ours | baseline | times faster | memory, ours | memory, baseline | of its memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        memory = "| | | |"
        if "ours_mib" in row:
            memory = (
                f"| {row['ours_mib']:.0f} MiB | {row['baseline_mib']:.0f} MiB "
                f"| {row['ours_mib'] / row['baseline_mib']:.2f} |"
            )
        lines.append(
            f"| {row['case']} | {row['against']} | {row['ours_ms']:.1f} ± {row['ours_iqr_ms']:.1f} ms "
            f"| {row['baseline_ms']:.1f} ± {row['baseline_iqr_ms']:.1f} ms "
            f"| {row['speedup']:.1f} ± {row['speedup_iqr']:.1f} {memory}"
        )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=size_of, default=(768, 768), metavar="HEIGHTxWIDTH")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9, help="turns")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--clock", default="wall", choices=("wall", "cpu"), help="cpu: time of this process alone"
    )
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    parser.add_argument("--peak", nargs=2, metavar=("CASE", "WAY"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure all and report."""
    options = parse()
    torch.set_num_threads(options.threads)
    if options.peak:
        print(grown(int(options.peak[0]), options.peak[1], options))
        return
    rows = [measure(index, options) for index in range(len(CASES))] + selection(options)
    report = {
        "benchmark": "losses",
        "metadata": metadata(options),
        "size": list(options.size),
        "batch": options.batch,
        "logits_mib": options.batch * CLASSES * options.size[0] * options.size[1] * 4 / 2**20,
        "rows": rows,
    }
    deliver(
        report,
        table(report),
        json_file=options.json,
        table_file=options.table,
        title="# Losses\n\nWritten by `benchmarks/losses.py`, which says what is measured.",
    )


if __name__ == "__main__":
    main()
