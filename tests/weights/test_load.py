"""Reading, writing and converting files: what works, and what must be refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetam.config import VARIANTS, ModelConfig, RepViTConfig, get_config
from edgetam.errors import OutputError, WeightsError
from edgetam.model import build_model, fold_
from edgetam.weights import (
    LoadedWeights,
    convert,
    load_into,
    load_network,
    load_state,
    load_weights,
    save_native,
)
from edgetam.weights.files import read, write_safetensors
from edgetam.weights.variant import config_from_json, config_to_json

from .conftest import assert_same, random_state


@pytest.fixture(scope="module")
def loaded(official_file: Path) -> LoadedWeights:
    return load_state(official_file)


def write(path: Path, state: object) -> Path:
    torch.save({"model": state}, path)
    return path


# What works


def test_official_to_native_to_official_is_bit_identical(official, official_file, loaded, tmp_path):
    assert (loaded.layout, loaded.config, loaded.image_only) == ("official", VARIANTS["edgetam"], False)
    native = convert(official_file, tmp_path / "native.safetensors")
    again = load_state(native)
    assert again.layout == "native"
    assert again.config == VARIANTS["edgetam"]
    assert_same(again.state, loaded.state)
    back = convert(native, tmp_path / "back.pt", layout="official")
    content = torch.load(back, weights_only=True)
    assert list(content) == ["model"]
    assert_same(content["model"], official)


def test_hugging_face_to_native_to_hugging_face_is_bit_identical(hf_video, hf_file, tmp_path):
    native = convert(hf_file, tmp_path / "native.safetensors")
    back = convert(native, tmp_path / "back.safetensors", layout="hf")
    assert_same(read(back).state, hf_video)


def test_both_published_layouts_of_the_same_weights_load_the_same(official_file, loaded, tmp_path):
    hf = load_state(convert(official_file, tmp_path / "hf.safetensors", layout="hf"))
    assert hf.layout == "hf"
    assert_same(hf.state, loaded.state)


def test_a_hugging_face_file_may_leave_out_the_tied_copy(hf_video, tmp_path):
    state = dict(hf_video)
    del state["prompt_encoder.shared_embedding.positional_embedding"]
    path = tmp_path / "model.safetensors"
    write_safetensors(path, state, {})
    assert len(load_state(path).state) == 979


def test_sam2_is_recognised_and_survives(tmp_path):
    state = random_state("official_sam2.1-t")
    path = write(tmp_path / "any-name.bin", state)
    assert load_state(path).config.name == "sam2.1-t"
    native = convert(path, tmp_path / "n.safetensors")
    back = convert(native, tmp_path / "b.pt", layout="official")
    assert_same(torch.load(back, weights_only=True)["model"], state)
    with pytest.raises(WeightsError, match="choose another layout"):
        convert(native, tmp_path / "hf.safetensors", layout="hf")
    assert not (tmp_path / "hf.safetensors").exists()


def test_official_names_are_read_from_safetensors_and_bare_dictionaries_too(official, loaded, tmp_path):
    write_safetensors(tmp_path / "o.safetensors", official, {})
    torch.save(official, tmp_path / "bare.pt")
    for name in ("o.safetensors", "bare.pt"):
        assert_same(load_state(tmp_path / name).state, loaded.state)


def test_the_same_tensors_and_notes_are_the_same_bytes(tmp_path):
    state = {"z": torch.ones(2), "a": torch.zeros(3, dtype=torch.int64), "ä": torch.zeros(0)}
    notes = {f"note {i}": f'"{i}"\n\x01\x7f ü \\' for i in range(8)}
    for i in range(4):
        given = dict(reversed(notes.items())) if i % 2 else notes
        write_safetensors(tmp_path / f"{i}.safetensors", state, given)
    assert len({(tmp_path / f"{i}.safetensors").read_bytes() for i in range(4)}) == 1
    again = read(tmp_path / "0.safetensors")
    assert_same(again.state, state)
    assert again.metadata == notes


def test_a_model_takes_the_weights_and_saves_them_again(official_file, loaded, tmp_path):
    model = build_model(VARIANTS["edgetam"])
    load_weights(model, official_file)
    assert_same(dict(model.state_dict()), loaded.state)
    assert_same(load_state(save_native(tmp_path / "m.safetensors", model)).state, loaded.state)


def test_a_changed_configuration_travels_with_the_file(tmp_path):
    config = ModelConfig(
        "mine",
        RepViTConfig(widths=(16, 32, 48, 64), depths=(1, 1, 2, 1)),
        attention_layers=1,
        perceiver=VARIANTS["edgetam"].perceiver,
        image_size=512,
    )
    model = build_model(config)
    notes = {"licence": "MIT", "provenance": "trained on nothing"}
    loaded = load_state(save_native(tmp_path / "m.safetensors", model, metadata=notes))
    assert loaded.config == config
    assert notes.items() <= loaded.metadata.items()
    load_into(build_model(config), loaded)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_storage_loads_as_float32(dtype, official_file, loaded, tmp_path):
    path = convert(official_file, tmp_path / "half.safetensors", dtype=dtype)
    assert path.stat().st_size < 0.55 * official_file.stat().st_size
    half = load_state(path)
    assert half.metadata["dtype"] == dtype
    for name, tensor in loaded.state.items():
        expected = tensor.to(getattr(torch, dtype)).float() if tensor.is_floating_point() else tensor
        assert torch.equal(half.state[name], expected)


@pytest.mark.parametrize("config", [*VARIANTS.values(), get_config("edgetam", 512)], ids=lambda c: c.name)
def test_configurations_survive_json(config):
    assert config_from_json(config_to_json(config)) == config


@pytest.mark.parametrize("change", [{"colour": True}, {"encoder": {"kind": "novel", "width": 8}}])
def test_a_configuration_of_a_newer_version_says_so(change: dict[str, object]) -> None:
    fields = json.loads(config_to_json(get_config("edgetam"))) | change
    with pytest.raises(WeightsError, match=r"'(colour|novel)', which this version.*pip install -U edgetam"):
        config_from_json(json.dumps(fields))


# Image-only files


def test_image_only_files_are_refused_for_video_and_accepted_for_images(hf_image, loaded, tmp_path):
    assert len(hf_image) == 831
    path = tmp_path / "model.safetensors"
    write_safetensors(path, hf_image, {})
    with pytest.raises(WeightsError, match=r"cannot track.*partial=\"image\""):
        load_state(path)
    image = load_state(path, partial="image")
    assert image.image_only
    assert image.config.name == "edgetam"
    model = build_model(image.config)
    load_into(model, image)
    state = model.state_dict()
    assert torch.equal(
        state["memory_attention.no_memory_embed"], image.state["memory_attention.no_memory_embed"]
    )
    assert state["memory_encoder.out_proj.weight"].isnan().all()
    assert torch.isfinite(state["mask_decoder.mask_tokens"]).all()
    with pytest.raises(WeightsError, match="partial"):
        load_state(path, partial="half")


# Wrong tensors


def broken(official, **changes):
    state = dict(official)
    for name, value in changes.items():
        if value is None:
            del state[name]
        else:
            state[name] = value
    return state


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"no_obj_ptr": None}, r"edgetam.*missing 1 \(no_obj_ptr\)"),
        ({"surprise": torch.zeros(1)}, r"unexpected 1 \(surprise\)"),
        ({"no_mem_embed": torch.zeros(1, 1, 128)}, r"no_mem_embed \(1, 1, 128\) instead of \(1, 1, 256\)"),
        ({"no_obj_ptr": torch.full((1, 256), float("nan"))}, "NaN"),
        ({"no_obj_ptr": torch.zeros(1, 256, dtype=torch.int64)}, "int64"),
        ({"sam_prompt_encoder.point_embeddings.1.weight": None}, r"missing 1 .*point_embeddings\.1"),
        ({"sam_mask_decoder.iou_token.weight": None}, r"missing 1 .*iou_token"),
    ],
    ids=["missing", "extra", "shape", "nan", "type", "piece", "mark"],
)
def test_faulty_state_dicts_are_named(changes, message, official, tmp_path):
    path = write(tmp_path / "x.pt", broken(official, **changes))
    with pytest.raises(WeightsError, match=message) as caught:
        load_state(path)
    assert str(path) in str(caught.value)


def test_many_missing_tensors_are_counted_and_not_listed(official, tmp_path):
    state = {name: tensor for name, tensor in official.items() if "memory_encoder" not in name}
    with pytest.raises(WeightsError, match=r"missing 40 \(") as caught:
        load_state(write(tmp_path / "x.pt", state))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("names", "guess"),
    [
        (
            ["image_encoder.patch_embed.proj.weight", "mask_decoder.iou_token.weight"],
            "first Segment Anything",
        ),
        (
            ["vision_encoder.backbone.embeddings.x", "mask_decoder.iou_token.weight"],
            "another Hugging Face SAM",
        ),
        (["conv1.weight", "layer1.0.conv1.weight"], "another model"),
    ],
)
def test_other_models_are_recognised(names, guess, tmp_path):
    path = write(tmp_path / "x.pt", {name: torch.zeros(1) for name in names})
    with pytest.raises(WeightsError, match=guess):
        load_state(path)


def test_an_unknown_encoder_without_configuration_is_refused(official, tmp_path):
    state = {name: tensor for name, tensor in official.items() if ".stages_3.blocks.1." not in name}
    with pytest.raises(WeightsError, match="RepViT of sizes"):
        load_state(write(tmp_path / "x.pt", state))


def test_weights_of_another_variant_do_not_go_into_a_model(loaded):
    other = replace(loaded, config=VARIANTS["sam2.1-t"])
    with pytest.raises(WeightsError, match=r"weights of sam2\.1-t and the model is edgetam"):
        load_into(build_model(VARIANTS["edgetam"]), other)


def test_a_network_comes_with_its_weights_and_works_alone(official, loaded, tmp_path):
    path = write(tmp_path / "x.pt", official)
    network = load_network("edgetam", path, image_size=256)
    os.truncate(path, 0)
    assert network.config == get_config("edgetam", 256)
    assert not network.training
    tensors = [*network.parameters(), *network.buffers()]
    assert not any(tensor.is_meta for tensor in tensors)
    assert all(tensor.requires_grad for tensor in network.parameters())
    assert_same(dict(network.state_dict()), loaded.state)
    fresh = dict(build_model(network.config).named_buffers())
    for name, buffer in network.named_buffers():
        if name not in loaded.state:
            assert torch.equal(buffer, fresh[name]), name


def test_a_folded_model_takes_no_weights_any_more(loaded):
    model = build_model(VARIANTS["edgetam"])
    fold_(model)
    with pytest.raises(WeightsError, match="before folding"):
        load_into(model, loaded)


def test_a_network_refuses_weights_of_another_variant(official_file):
    with pytest.raises(WeightsError, match=r"holds weights of edgetam, expected sam2\.1-t"):
        load_network("sam2.1-t", official_file)


def test_saving_is_as_strict_as_loading(loaded, tmp_path):
    state = dict(loaded.state)
    del state["object_pointer.absent"]
    with pytest.raises(WeightsError, match=r"object_pointer\.absent"):
        save_native(tmp_path / "x.safetensors", state, loaded.config)
    with pytest.raises(WeightsError, match="config"):
        save_native(tmp_path / "x.safetensors", state)
    state = loaded.state | {"object_pointer.absent": torch.full((256,), 1e5)}
    with pytest.raises(WeightsError, match="float16"):
        save_native(tmp_path / "x.safetensors", state, loaded.config, dtype="float16")
    with pytest.raises(WeightsError, match="dtype"):
        save_native(tmp_path / "x.safetensors", loaded.state, loaded.config, dtype="int8")
    assert list(tmp_path.iterdir()) == []


# Wrong files


class Evil:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def _zip_pickle(path, evil, official):
    torch.save({"model": official, "extra": evil}, path)


def _old_pickle(path, evil, official):
    torch.save({"model": evil}, path, _use_new_zipfile_serialization=False)


def _bare_pickle(path, evil, official):
    path.write_bytes(pickle.dumps({"model": evil}))


def _text_pickle(path, evil, official):
    path.write_bytes(pickle.dumps({"model": evil}, protocol=0))


def _tar(path, evil, official):
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            data = pickle.dumps(evil)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def _hand_made_zip(path, evil, official):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(evil, protocol=2))
        archive.writestr("archive/version", "3")


@pytest.mark.parametrize("make", [_zip_pickle, _old_pickle, _bare_pickle, _text_pickle, _tar, _hand_made_zip])
def test_code_in_a_pickle_is_refused_and_never_run(make, tmp_path):
    flag = tmp_path / "ran"
    evil = Evil(f"touch {flag}")
    pickle.loads(pickle.dumps(evil))
    assert flag.exists(), "the attack itself must work, or the test shows nothing"
    flag.unlink()
    path = tmp_path / "x.pt"
    make(path, evil, {"no_obj_ptr": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"safetensors"):
        load_state(path)
    assert not flag.exists()


@pytest.mark.parametrize("kept", [3, 100, 5_000, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["official_file", "hf_file"])
def test_truncated_files_are_refused(kind, kept, request, tmp_path):
    whole = request.getfixturevalue(kind).read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(len(whole) * kept)])
    with pytest.raises(WeightsError, match=r"truncated|damaged|not a checkpoint"):
        load_state(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "not a checkpoint"),
        (b"\x08\0\0\0\0\0\0\0{notjson", "damaged"),
        (b"\xff\xff\xff\0\0\0\0\0{", "truncated"),
    ],
)
def test_files_that_are_something_else_are_named(content, message, tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_state(path)


@settings(max_examples=60)
@given(st.binary(max_size=64), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x10\0\0\0\0\0\0\0{"]))
def test_any_bytes_end_in_our_error(tmp_path_factory, tail, head):
    path = tmp_path_factory.mktemp("junk") / "x"
    path.write_bytes(head + tail)
    with pytest.raises(WeightsError):
        load_state(path)


def test_other_contents_of_a_pt_are_named(tmp_path):
    for content, message in (
        ([1, 2], "holds list"),
        ({"epoch": 3, "optimizer": {}}, "epoch"),
        ({"model": {}}, "model"),
    ):
        torch.save(content, tmp_path / "x.pt")
        with pytest.raises(WeightsError, match=message):
            load_state(tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("script/constants.pkl", "")
    with pytest.raises(WeightsError, match="TorchScript"):
        load_state(tmp_path / "script.pt")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme", "hello")
    with pytest.raises(WeightsError, match="without weights"):
        load_state(tmp_path / "a.zip")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        load_state(tmp_path / "nothing.pt")
    with pytest.raises(WeightsError, match="folder"):
        load_state(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"depths": [10**9] * 4},
        {"depths": [2, 2, "x", 2]},
        {"kind": "vit"},
        {"widths": [10**12] * 4},
        {"widths": [1.5] * 4},
    ],
)
def test_hostile_configurations_in_a_header_are_refused(change, tmp_path):
    fields = json.loads(config_to_json(VARIANTS["edgetam"]))
    fields["encoder"] |= change
    path = tmp_path / "x.safetensors"
    header = {"edgetam_format": "1", "config": json.dumps(fields)}
    write_safetensors(path, {"prompt_encoder.label_embed": torch.zeros(4, 256)}, header)
    with pytest.raises(WeightsError, match="configuration"):
        load_state(path)


def test_a_newer_format_asks_for_an_upgrade(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": torch.zeros(1)}, {"edgetam_format": "99", "config": "{}"})
    with pytest.raises(WeightsError, match="upgrade"):
        load_state(path)


def test_a_full_disk_leaves_the_old_file_and_no_scraps(official_file, tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"old")

    def full(*_args, **_kwargs):
        raise safetensors.SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OutputError, match="No space left"):
        convert(official_file, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
