from typing import Any

from roadseg.models.layouts import Detected
from tests.golden.entry import Entry, Golden


def _output_stride(found: Detected, golden: Golden) -> dict[str, Any]:
    """The output stride leaves no trace in the weights; the reference, which calls 16 "D16", keeps the rates of 8."""
    return {"output_stride": 16, "rates": (12, 24, 36)} if "variant=D16" in golden["source"] else {}


TABLE = {
    "nvidia-main/deeplabv3-resnet": Entry(),
    "nvidia-main/deeplabv3plus-resnet": Entry(),
    "nvidia-main/deeplabv3plus-wrn38": Entry(),
    "nvidia-main/deeplabv3plus-xception71": Entry(),
    "nvidia-main/deeper-wrn38": Entry(),
    "nvidia-main/deeper-xception71": Entry(),
    "nvidia-sdcnet/deeplabv3plus-resnet": Entry(options=_output_stride),
    "nvidia-sdcnet/deeplabv3plus-seresnext": Entry(),
    "nvidia-sdcnet/deeplabv3plus-wrn38": Entry(),
}
