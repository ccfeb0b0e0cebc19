from roadseg.models.hierarchical import HRNetOCRHierarchical
from tests.contracts.variants.hrnet import awake, trunk

VARIANTS = {
    "hrnet-ocr-hms": lambda classes: awake(
        HRNetOCRHierarchical(classes, backbone=trunk(), width=16, attention_width=8)
    )
}
