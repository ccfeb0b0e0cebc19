"""A network that takes its time and keeps a diary, for tests that stop a run in the middle."""

import os
import time
import zlib
from pathlib import Path

import torch

from roadseg.models.output import Output
from tests.tiny import TinyNet

DIARY, PAUSE = "ROADSEG_TEST_DIARY", "ROADSEG_TEST_PAUSE"
SIZE = (96, 160)


class SlowNet(TinyNet):
    """Notes every picture of one size that it sees: loaders try networks on others."""

    def forward(self, images: torch.Tensor) -> Output:
        if DIARY in os.environ and tuple(images.shape[-2:]) == SIZE:
            with Path(os.environ[DIARY]).open("a") as file:
                file.writelines(f"{zlib.crc32(image.numpy().tobytes())}\n" for image in images.contiguous())
            time.sleep(float(os.environ[PAUSE]))
        output = super().forward(images)
        return Output(output.logits, output.aux, output.logits[:, :1].sigmoid())


def slow(num_classes: int) -> SlowNet:
    return SlowNet(num_classes)
