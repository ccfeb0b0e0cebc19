"""What a run that learns motion starts from."""

from typing import Any

from roadseg.inference import find_weights
from roadseg.inference.motion_weights import MotionCard, build_motion
from roadseg.models.sdcnet import SDCNet2D
from roadseg.models.weights import load_weights, read_state
from roadseg.recipes import FrameNetwork

__all__ = ["fresh_network", "motion_card"]


def fresh_network(spec: FrameNetwork) -> tuple[SDCNet2D, str | None]:
    """Return the network that a run starts with, and in a sentence what was loaded into it.

    The FlowNet2 inside is not trained: its parameters want no gradients.

    Raises:
        InputError: There is no such file of weights.
        WeightsError: It does not fit.
    """
    network = build_motion(motion_card(spec))
    flownet, note = network.flownet2, None
    if spec.starts_at == "flow":
        network.start_at_latest_flow()
    if spec.weights is not None:
        checkpoint = read_state(find_weights(spec.weights))
        is_flownet = flownet is not None and not network.state_dict().keys() & checkpoint.state.keys()
        report = load_weights(flownet if flownet is not None and is_flownet else network, checkpoint)
        what = "its FlowNet2" if is_flownet else "the network"
        note = f"{what} starts from {spec.weights}: {report.loaded} tensors copied"
    elif flownet is not None:
        note = "FlowNet2 has random weights, and keeps them: give trained ones with --network.weights"
    if flownet is not None:
        flownet.requires_grad_(False)
    return network, note


def motion_card(spec: FrameNetwork, **more: Any) -> MotionCard:  # noqa: ANN401 - further fields of the card
    """Return what the weights of such a network say about themselves."""
    return MotionCard(reconstruction=spec.reconstruction, width=spec.width, flow=spec.flow, **more)
