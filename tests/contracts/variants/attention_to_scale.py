from roadseg.models.attention_to_scale import ExplicitAttention, PairedAttention
from tests.contracts.variants.deeplab import resnet

VARIANTS = {
    "attnscale": lambda classes: ExplicitAttention(classes, resnet(), width=16, attention_width=8),
    "attnscale-paired": lambda classes: PairedAttention(classes, resnet(16), width=16, attention_width=8),
}
