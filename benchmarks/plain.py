"""Networks of this package against the same networks written plainly, or by others, with the same weights.

Usage::

    python benchmarks/plain.py --size 360x480 --repeats 9 --threads 1 --out plain.json

Nothing here may cost speed: the speed, which is the median over the turns of the plain network's time over ours in the
same turn, should be 1 within the noise of the machine. ``differs`` is the largest deviation of an output, relative to
the largest value of that output, and shows that both compute the same. Some of the plain ones need timm.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
import torchvision
from forward import metadata, size_of, summary, take_turns  # from this folder
from torch import Tensor, nn

from roadseg.models import build
from roadseg.models.hrnet import HRNet
from roadseg.models.pspnet import PyramidPooling
from roadseg.models.resnet import ResNet

CLASSES = 19
SLOWER = 0.95  # the speed below which a network counts as slower than the plain one


class Stages(nn.Module):
    """The trunk of a torchvision ResNet."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the four stages."""
        network = self.network
        x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
        outputs = []
        for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
            x = stage(x)
            outputs.append(x)
        return outputs


class Branches(nn.Module):
    """The trunk of timm's HRNet, whose resampling is made bilinear as in segmentation."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        for module in network.modules():
            if isinstance(module, nn.Upsample):
                module.mode = "bilinear"

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the four branches."""
        network = self.network
        x = network.act1(network.bn1(network.conv1(x)))
        return network.stages(network.act2(network.bn2(network.conv2(x))))


class Pyramid(nn.Module):
    """Pyramid pooling with torch's own pooling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(bins),
                nn.Conv2d(channels, channels // 4, 1, bias=False),
                nn.BatchNorm2d(channels // 4),
                nn.ReLU(inplace=True),
            )
            for bins in (1, 2, 3, 6)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to ``[B, 2C, h, w]``."""
        size = x.shape[-2:]
        levels = [
            F.interpolate(level(x), size=size, mode="bilinear", align_corners=True) for level in self.levels
        ]
        return torch.cat([x, *levels], 1)


class DeepLab(nn.Module):
    """DeepLabV3+ on torchvision's ResNet-50, in the order of parameters of `roadseg.models.deeplab`."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Stages(dilated(torchvision.models.resnet50()))
        self.branches = nn.ModuleList([block(2048, 256, 1)])
        self.branches.extend(block(2048, 256, 3, padding=rate, dilation=rate) for rate in (12, 24, 36))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), *block(2048, 256, 1))
        self.detail = nn.Conv2d(256, 48, 1, bias=False)
        self.context = nn.Conv2d(1280, 256, 1, bias=False)
        self.head = nn.Sequential(
            *block(304, 256, 3, padding=1),
            *block(256, 256, 3, padding=1),
            nn.Conv2d(256, CLASSES, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits at 1/4 of the image."""
        detail, _, _, x = self.trunk(x)
        mean = F.interpolate(self.pool(x), size=x.shape[-2:], mode="nearest")
        x = self.context(torch.cat([mean, *(branch(x) for branch in self.branches)], 1))
        x = F.interpolate(x, size=detail.shape[-2:], mode="bilinear", align_corners=False)
        return self.head(torch.cat([self.detail(detail), x], 1))


class BuiltInPooling(nn.Module):
    """A network of ours whose pyramid pooling is torch's own."""

    def __init__(self, network: nn.Module, module: str) -> None:
        super().__init__()
        self.network = network
        self.name = f"roadseg.models.{module}.adaptive_avg_pool"

    def forward(self, x: Tensor) -> object:
        """Run the network."""
        with mock.patch(self.name, F.adaptive_avg_pool2d):
            return self.network(x)


def block(in_channels: int, out_channels: int, kernel: int, **options: int) -> nn.Sequential:
    """Convolution, batch normalization, ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def dilated(network: nn.Module) -> nn.Module:
    """Give a torchvision bottleneck ResNet output stride 8, its stages dilated from their first block on."""
    for stage, rate in ((network.layer3, 2), (network.layer4, 4)):
        for module in stage:
            module.conv2.stride, module.conv2.dilation, module.conv2.padding = (
                (1, 1),
                (rate, rate),
                (rate, rate),
            )
        stage[0].downsample[0].stride = (1, 1)
    network.fc = nn.Identity()
    return network


def timm_network(name: str) -> nn.Module:
    """A network of timm's."""
    import timm

    return timm.create_model(name, num_classes=0)


def copy_weights(ours: nn.Module, plain: nn.Module) -> None:
    """Give the plain network our weights: both list them in the same order, up to a classifier at its end."""
    source, target = (list(network.state_dict().values()) for network in (ours, plain))
    for a, b in zip(source, target, strict=False):
        if a.shape != b.shape:
            raise ValueError(f"a weight {list(a.shape)} has a place for {list(b.shape)}")
        b.copy_(a)


Pair = tuple[nn.Module, nn.Module]


def resnet(plain: Callable[[], nn.Module], **options: object) -> Pair:
    """Our residual trunk beside another's."""
    return ResNet(**options), Stages(plain())


def resnet_dilated() -> Pair:
    """The trunk of output stride 8."""
    return ResNet(50, output_stride=8), Stages(dilated(torchvision.models.resnet50()))


def hrnet() -> Pair:
    """Our HRNet trunk beside timm's."""
    return HRNet(48), Branches(timm_network("hrnet_w48"))


def deeplab() -> Pair:
    """Our DeepLabV3+ beside the one above."""
    return build("deeplabv3plus-resnet50", CLASSES, align_corners=False, skip=1), DeepLab()


def own_pooling(name: str, module: str) -> Pair:
    """A network of ours beside itself with torch's pooling."""
    return build(name, CLASSES), BuiltInPooling(build(name, CLASSES), module)


PAIRS: dict[str, Callable[[], Pair]] = {
    "ResNet-18 trunk / torchvision": partial(resnet, torchvision.models.resnet18, depth=18),
    "ResNet-50 trunk / torchvision": partial(resnet, torchvision.models.resnet50, depth=50),
    "ResNet-50 dilated / torchvision": resnet_dilated,
    "ResNeXt-50 trunk / torchvision": partial(
        resnet, torchvision.models.resnext50_32x4d, depth=50, groups=32, group_width=4
    ),
    "HRNet-W48 trunk / timm": hrnet,
    "pyramid pooling / AdaptiveAvgPool2d": lambda: (PyramidPooling(2048), Pyramid(2048)),
    "Fast-SCNN / AdaptiveAvgPool2d": lambda: own_pooling("fast-scnn", "fast_scnn"),
    "DeepLabV3+ ResNet-50 / torchvision": deeplab,
}


def flat(output: object) -> list[Tensor]:
    """The tensors of a network's result."""
    return [output] if isinstance(output, Tensor) else [x for x in output if isinstance(x, Tensor)]


def deviation(ours: object, plain: object) -> float:
    """The largest difference of an output, relative to its largest value."""
    pairs = zip(flat(ours), flat(plain), strict=True)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def calibrate(network: nn.Module, channels: int) -> None:
    """Give normalizations statistics as if trained: deep activations neither vanish, which is slow, nor explode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(torch.randn(2, channels, 64, 128))


@torch.inference_mode()
def measure(name: str, options: argparse.Namespace) -> dict[str, object]:
    """One pair: both times in turns, and how far the outputs are apart."""
    torch.manual_seed(0)
    ours, plain = PAIRS[name]()
    height, width = options.size
    shape = (2048, -(-height // 8), -(-width // 8)) if isinstance(plain, Pyramid) else (3, height, width)
    calibrate(ours, shape[0])
    copy_weights(ours, plain)
    layout = torch.contiguous_format if options.contiguous else torch.channels_last
    ours, plain = (x.eval().to(options.device).to(memory_format=layout) for x in (ours, plain))
    x = torch.randn(1, *shape).to(options.device).to(memory_format=layout)
    differs = deviation(ours(x), plain(x))
    runs = {"ours": lambda: ours(x), "plain": lambda: plain(x)}
    seconds = take_turns(runs, options.device, options.repeats, options.limit, options.clock)
    times = {run: summary(seconds[run], seconds["plain"]) for run in runs}
    return {"pair": name, "differs": differs, **times}


def row(result: dict) -> str:
    """The line of the table for one pair."""
    if "failed" in result:
        return f"{result['pair']:40}  {result['failed']}"
    ours, plain = result["ours"], result["plain"]
    # Slower only if most turns say so: on a busy machine the median alone errs by more than the bound.
    verdict = "slower" if ours["speed"] + ours["speed_iqr"] / 2 < SLOWER else ""
    return (
        f"{result['pair']:40}{ours['median_ms']:>10.1f}{plain['median_ms']:>10.1f}{ours['speed']:>8.2f}x"
        f"{ours['speed_iqr']:>7.2f}{result['differs']:>10.1e}  {verdict}"
    )


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS), metavar="PAIR")
    parser.add_argument("--size", type=size_of, default=(360, 480), metavar="HxW", help="of the image")
    parser.add_argument(
        "--contiguous", action="store_true", help="in place of the memory layout channels_last"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--repeats", type=int, default=9, help="timed turns per pair")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what a second is")
    parser.add_argument("--limit", type=float, default=300, help="seconds after which no further turn begins")
    parser.add_argument("--out", type=Path, help="write the measurements to this file as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{'pair':40}{'ours ms':>10}{'plain ms':>10}{'speed':>9}{'IQR':>7}{'differs':>10}")
    results = []
    for name in options.pairs:
        try:
            results.append(measure(name, options))
        except ImportError as error:
            results.append({"pair": name, "failed": f"needs {error.name}"})
        print(row(results[-1]), flush=True)
    if options.out:
        conditions = {
            "size": list(options.size),
            "layout": "contiguous" if options.contiguous else "channels_last",
        }
        report = {"benchmark": "plain", **metadata(options), **conditions}
        options.out.write_text(json.dumps(report | {"pairs": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
