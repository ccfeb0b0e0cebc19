from tests.golden.entry import Entry
from tests.golden.families.hierarchical import joint_and_single_scales

TABLE = {
    f"nvidia-main/deeplabv3plus-{trunk}-hms": Entry(outputs=joint_and_single_scales)
    for trunk in ("resnet", "wrn38", "xception71")
}
