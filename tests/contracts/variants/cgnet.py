from roadseg.models.cgnet import CGNet

VARIANTS = {
    "cgnet": lambda classes: CGNet(classes, m=2, n=3, widths=(8, 16, 32)),
    "cgnet-shallow": lambda classes: CGNet(classes, m=3, n=2, widths=(4, 8, 16)),
}
