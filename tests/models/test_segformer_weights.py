import pytest
import torch

from roadseg.models import catalog, load_weights
from roadseg.models.layouts import detect, layout_of
from roadseg.models.segformer_hf import is_hugging_face, original_names

pytest.importorskip("segmentation_models_pytorch")


@pytest.mark.parametrize(
    ("trunk", "options"), [("mit_b0", {}), ("mit_b2", {"decoder_segmentation_channels": 768})]
)
def test_is_recognized_in_its_own_names_and_in_the_published_ones(
    trunk: str, options: dict[str, int]
) -> None:
    with torch.device("meta"):
        state = catalog.build(f"smp:segformer/{trunk}", 19, **options).state_dict()
    found = detect(state)
    assert found is not None
    assert (found.model, found.num_classes, dict(found.options)) == (f"smp:segformer/{trunk}", 19, options)
    published = _published(state)
    layout, again = layout_of(published)
    assert layout.name == "nvlabs/segformer"
    assert again == found
    assert set(layout.to_ours(published).values()) == set(state)


def _published(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename to what the repository of SegFormer's authors saves, with the classifier it never runs."""
    renamed = {}
    for key, value in state.items():
        name = key.replace("encoder.", "backbone.").replace(
            "segmentation_head.0.", "decode_head.linear_pred."
        )
        name = name.replace("decoder.fuse_stage.0.", "decode_head.linear_fuse.conv.")
        name = name.replace("decoder.fuse_stage.1.", "decode_head.linear_fuse.bn.")
        for index in range(4):
            name = name.replace(
                f"decoder.mlp_stage.{index}.linear.", f"decode_head.linear_c{4 - index}.proj."
            )
        renamed[name] = value
    return renamed | {"decode_head.conv_seg.weight": torch.empty(19, 128, 1, 1)}


def test_hugging_face_names_lead_to_the_same_weights() -> None:
    model = catalog.build("smp:segformer/mit_b0", 19)
    state = _published(model.state_dict())
    del state["decode_head.conv_seg.weight"]
    theirs = _hugging_face(state)
    assert is_hugging_face(theirs)
    assert not is_hugging_face(state)
    again = original_names(theirs)
    assert set(again) == set(state)
    assert all(torch.equal(value, state[key]) for key, value in again.items())
    other = catalog.build("smp:segformer/mit_b0", 19)
    load_weights(other, again)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())


def _hugging_face(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename from the authors' names to transformers', one tensor at a time, and halve keys and values."""
    head = {
        "linear_fuse.conv.weight": "linear_fuse.weight",
        **{f"linear_pred.{kind}": f"classifier.{kind}" for kind in ("weight", "bias")},
    }
    inner = {
        "attn.q": "attention.self.query",
        "attn.sr": "attention.self.sr",
        "attn.norm": "attention.self.layer_norm",
        "attn.proj": "attention.output.dense",
        "norm1": "layer_norm_1",
        "norm2": "layer_norm_2",
        "mlp.fc1": "mlp.dense1",
        "mlp.fc2": "mlp.dense2",
        "mlp.dwconv.dwconv": "mlp.dwconv.dwconv",
    }
    renamed = {}
    for key, value in state.items():
        place, rest = key.split(".", 1)
        if place == "decode_head":
            if rest.startswith("linear_c"):
                rest = f"linear_c.{int(rest[8]) - 1}.{rest[10:]}"
            rest = head.get(rest, rest.replace("linear_fuse.bn", "batch_norm"))
            renamed[f"decode_head.{rest}"] = value
            continue
        stage, rest = rest.split(".", 1)
        kind, number = stage[:-1], int(stage[-1]) - 1
        start = f"segformer.encoder.{'layer_norm' if kind == 'norm' else kind.replace('embed', 'embeddings')}.{number}"
        part, _, leaf = rest.rpartition(".")
        if kind == "block":
            block, _, part = part.partition(".")
            start = f"{start}.{block}"
            if part == "attn.kv":
                (
                    renamed[f"{start}.attention.self.key.{leaf}"],
                    renamed[f"{start}.attention.self.value.{leaf}"],
                ) = value.chunk(2)
                continue
            part = inner[part]
        elif kind == "patch_embed":
            part = "layer_norm" if part == "norm" else part
        renamed[".".join(filter(None, (start, part, leaf)))] = value
    return renamed
