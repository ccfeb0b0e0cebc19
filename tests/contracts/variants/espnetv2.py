from roadseg.models.espnetv2 import ESPNetv2

VARIANTS = {
    "espnetv2": lambda classes: ESPNetv2(classes, (16, 32, 48, 64), depths=(1, 2), decoder_width=4),
    "espnetv2-shallow": lambda classes: ESPNetv2(classes, (16, 48, 64, 96), depths=(0, 1), decoder_width=8),
}
