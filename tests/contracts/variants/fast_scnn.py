from roadseg.models.fast_scnn import fast_scnn

VARIANTS = {
    "fast-scnn": fast_scnn,
    "fast-scnn-aux": lambda classes: fast_scnn(classes, aux=("stem", "context")),
    "fast-scnn-centers": lambda classes: fast_scnn(classes, align_corners=False),
}
