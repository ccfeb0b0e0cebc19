from roadseg.models.hierarchical_deeplab import DeepLabV3PlusHierarchical
from tests.contracts.variants.deeplab import resnet, wide_resnet

VARIANTS = {
    "deeplabv3plus-hms": lambda classes: DeepLabV3PlusHierarchical(
        classes, resnet(), width=16, attention_width=8
    ),
    "deeplabv3plus-wide-hms": lambda classes: DeepLabV3PlusHierarchical(
        classes, wide_resnet(16), skip=2, width=16, attention_width=8
    ),
}
