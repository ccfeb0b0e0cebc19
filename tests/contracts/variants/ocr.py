from roadseg.models.ocr import HRNetOCR
from tests.contracts.variants.hrnet import awake, trunk

VARIANTS = {"hrnet-ocr": lambda classes: awake(HRNetOCR(classes, backbone=trunk(), width=16))}
