from roadseg.models.smp import smp

VARIANTS = {
    "smp-unet-resnet18": lambda classes: smp(
        classes, "unet", "resnet18", decoder_channels=(32, 32, 16, 8, 8)
    ),
    "smp-deeplabv3plus-mobilenetv3": lambda classes: smp(
        classes, "deeplabv3plus", "tu-mobilenetv3_small_050", decoder_channels=32
    ),
    "smp-pan-mobilenetv3": lambda classes: smp(classes, "pan", "tu-mobilenetv3_small_050"),
    "smp-segformer-mit": lambda classes: smp(
        classes, "segformer", "mit_b0", decoder_segmentation_channels=32
    ),
    "smp-upernet-convnext": lambda classes: smp(classes, "upernet", "tu-convnext_atto", decoder_channels=16),
}
