from roadseg.models.espnet import espnet, espnet_c

VARIANTS = {
    "espnet": espnet,
    "espnet-c": espnet_c,
    "espnet-features": lambda classes: espnet(classes, skip="features", alpha3=1),
}
