from roadseg.models.torchvision_nets import torchvision_net

VARIANTS = {
    "torchvision-lraspp": lambda classes: torchvision_net(classes, "lraspp_mobilenet_v3_large"),
    "torchvision-deeplabv3-aux": lambda classes: torchvision_net(
        classes, "deeplabv3_mobilenet_v3_large", aux_loss=True
    ),
}
