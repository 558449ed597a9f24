"""Tables of positions, windows and the choice of masks, against statements that leave nothing to chance."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgetam.config import get_config
from edgetam.model import EdgeTAM
from edgetam.model.layers import LayerNorm2d, fold_norms, to_map, to_tokens
from edgetam.model.mask_decoder import Candidates, several, single, single_if_stable
from edgetam.model.mask_downsampler import FoldedMaskDownsampler, MaskDownsampler
from edgetam.model.memory_attention import MemoryAttention
from edgetam.model.memory_encoder import ConvNeXtBlock
from edgetam.model.positions import FourierPositions, Rotary, sine_grid, sine_of
from edgetam.structs import DecoderPrompt
from tests.model.lively import OWN, context_of, lively


def wave(position: float, channel: int, channels: int) -> float:
    """The sine code: even channels are sines, odd ones cosines."""
    angle = position / 10000 ** (2 * (channel // 2) / channels)
    return math.sin(angle) if channel % 2 == 0 else math.cos(angle)


@pytest.mark.parametrize(("channels", "side"), [(64, 16), (256, 5)])
def test_sine_grid_has_rows_first(channels: int, side: int) -> None:
    table = sine_grid(channels, side)
    half = channels // 2
    assert table.shape == (side * side, channels)
    for cell in (0, 1, side, side * side - 1):
        row, column = divmod(cell, side)
        y, x = ((n + 1) / (side + 1e-6) * 2 * math.pi for n in (row, column))
        expected = [wave(y, c, half) for c in range(half)] + [wave(x, c, half) for c in range(half)]
        assert torch.allclose(table[cell], torch.tensor(expected), atol=2e-6)


def test_sine_of_distances_has_halves() -> None:
    """Sines of all frequencies, then their cosines; unlike the grid's, which alternate."""
    values = torch.tensor([[-0.4, 0.0, 1.0]])
    codes = sine_of(values, 8)
    for i, value in enumerate(values[0].tolist()):
        angles = [value / 10000 ** (2 * (j // 2) / 4) for j in range(4)]
        expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        assert torch.allclose(codes[0, i], torch.tensor(expected), atol=1e-6)


def test_fourier_codes_put_x_first() -> None:
    fourier = FourierPositions(8)
    fourier.frequencies = torch.arange(8.0).reshape(2, 4) / 7
    x, y = 0.25, 0.75
    angles = [2 * math.pi * ((2 * x - 1) * j / 7 + (2 * y - 1) * (4 + j) / 7) for j in range(4)]
    expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    assert torch.allclose(fourier(torch.tensor([x, y])), torch.tensor(expected), atol=1e-6)
    grid = fourier.grid(4)
    assert grid.shape == (1, 8, 4, 4)
    centre = fourier(torch.tensor([(1 + 0.5) / 4, (2 + 0.5) / 4]))
    assert torch.allclose(grid[0, :, 2, 1], centre, atol=1e-6)


def test_rotary_turns_pairs_by_whole_cells() -> None:
    channels, side = 16, 3
    rotary = Rotary(channels, side)
    x = torch.randn(2, side * side, channels, generator=torch.Generator().manual_seed(0))
    turned = rotary(x)
    for cell in range(side * side):
        row, column = divmod(cell, side)
        for pair in range(channels // 2):
            j = pair % (channels // 4)
            steps = column if pair < channels // 4 else row
            angle = steps * 10000 ** (-4 * j / channels)
            value = torch.view_as_complex(x[:, cell, 2 * pair : 2 * pair + 2].contiguous())
            expected = torch.view_as_real(value * complex(math.cos(angle), math.sin(angle)))
            assert torch.allclose(turned[:, cell, 2 * pair : 2 * pair + 2], expected, atol=1e-5)


def test_aligned_grids_have_the_same_place_at_the_same_spot() -> None:
    """What lies at the centre of a coarse cell turns as that cell does, however fine the other grid is."""
    coarse, fine = Rotary(16, 3), Rotary(16, 9, like=3)
    middles = [9 * (3 * row + 1) + 3 * column + 1 for row in range(3) for column in range(3)]
    assert torch.allclose(fine.cos[middles], coarse.cos, atol=1e-6)
    assert torch.allclose(fine.sin[middles], coarse.sin, atol=1e-6)
    assert torch.equal(Rotary(16, 9, like=9).cos, Rotary(16, 9).cos)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("size", [256, 512])
def test_memory_attention_counts_as_configured(size: int, aligned: bool) -> None:
    config = replace(get_config("edgetam", size), aligned_places=aligned)
    layer = MemoryAttention(config).layers[0]
    image, memory = layer.cross_attn.rotary, layer.cross_attn.memory_rotary
    assert torch.equal(layer.self_attn.rotary.cos, Rotary(256, config.grid).cos), "among themselves as ever"
    last = image.sin[-1, 1], memory.sin[-1, 1]  # the fastest pair turns by one radian per cell
    expected = 15 + (0.25 if size == 512 else 0) if aligned else config.grid - 1
    assert last[0] == pytest.approx(math.sin(expected), abs=1e-5)
    assert last[1] == pytest.approx(math.sin(15), abs=1e-5)


def test_keys_without_a_place_carry_a_vector_of_their_own() -> None:
    model = lively(OWN)
    context = context_of(model, batch=2, frames=2, pointers=3)
    attention = model.memory_attention
    own = attention.arrange(context)
    embed, attention.unplaced_embed = attention.unplaced_embed, None
    plain = attention.arrange(context)
    assert embed is not None and embed.abs().min() > 0
    assert torch.equal(own.values, plain.values)
    added = own.positions - plain.positions
    latents, pointers, placed = added.split([2 * 32, 3 * 4, 2 * 64], dim=1)
    torch.testing.assert_close(latents, embed[0].expand_as(latents))
    torch.testing.assert_close(pointers, embed[1].expand_as(pointers))
    assert not placed.any()


def test_tables_do_not_travel_with_the_weights(model: EdgeTAM) -> None:
    """They follow from the size of the image, so one file serves all sizes."""
    names = set(model.state_dict())
    constants = {name for name, _ in model.named_buffers()} - names
    assert {name.rpartition(".")[2] for name in constants} == {"cos", "sin", "position", "memory_position"}
    assert {n for n, _ in model.named_parameters()} <= names


def test_tokens_and_maps_are_row_major() -> None:
    image = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    tokens = to_tokens(image)
    assert torch.equal(tokens[1, 4 * 2 + 3], image[1, :, 2, 3])
    assert torch.equal(to_map(tokens), image)


def test_layer_norm_2d_looks_at_channels() -> None:
    norm = LayerNorm2d(5)
    norm.weight.data.uniform_(0.5, 1.5)
    norm.bias.data.normal_()
    x = torch.randn(2, 5, 3, 4) * 3 + 1
    mean, variance = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
    expected = (x - mean) / (variance + 1e-6).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
    assert torch.allclose(norm(x), expected, atol=1e-5)


@torch.inference_mode()
def test_each_window_latent_sees_its_window_alone(model: EdgeTAM) -> None:
    perceiver = model.perceiver
    assert perceiver is not None
    memory = torch.randn(2, 64, 32, 32, generator=torch.Generator().manual_seed(0))  # windows of 2 x 2
    together = perceiver.look_in_windows(memory)
    assert together.shape == (2, 256, 64)
    for batch, window in ((0, 0), (0, 1), (0, 16), (1, 255), (1, 137)):
        row, column = divmod(window, 16)
        cells = memory[batch, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten(1).T[None]
        latent = perceiver.latents_2d[window][None, None]
        alone = perceiver.run(latent, cells, None)
        assert torch.allclose(together[batch, window], alone[0, 0], atol=1e-5)


@torch.inference_mode()
def test_global_latents_come_first_and_depend_on_place(model: EdgeTAM) -> None:
    perceiver = model.perceiver
    assert perceiver is not None
    memory = torch.randn(1, 64, 16, 16, generator=torch.Generator().manual_seed(0))
    tokens = perceiver(memory)
    assert torch.equal(tokens[:, :256], perceiver.look_everywhere(memory))
    assert torch.equal(tokens[:, 256:], perceiver.look_in_windows(memory))
    shifted = perceiver(memory.roll(3, dims=3))
    assert (shifted[:, :256] - tokens[:, :256]).abs().max() > 1e-4
    assert (shifted[:, 256:] - tokens[:, 256:]).abs().max() > 1e-4


def candidates(first: list[float], scores: list[float]) -> Candidates:
    """One object on a map of 1 x len(first); the other masks are 1, 2 and 3 everywhere."""
    masks = torch.stack([torch.tensor(first), *(torch.full((len(first),), float(i)) for i in (1, 2, 3))])
    tokens = torch.arange(4.0)[None, :, None].expand(1, 4, 2)
    return Candidates(masks[None, :, None], torch.tensor([scores]), tokens, torch.tensor([[7.0]]))


SCORES = [0.5, 0.1, 0.9, 0.3]


@pytest.mark.parametrize(
    ("first", "kept"),
    [
        ([1.0] * 98 + [0.0] * 2, True),  # 98 of 100 is just enough
        ([1.0] * 97 + [0.0] * 3, False),
        ([-1.0] * 100, True),  # an empty mask counts as stable
        ([0.0] * 100, False),  # 0 of 100
        ([0.05] * 100, False),  # the limits themselves are outside
        ([-0.05] * 100, True),
        ([5.0] * 100, True),
    ],
)
def test_an_uncertain_outline_hands_over_to_the_best_of_three(first: list[float], kept: bool) -> None:
    found = candidates(first, SCORES)
    chosen = single_if_stable(found)
    assert chosen.masks.shape == (1, 1, 1, len(first))
    if kept:
        assert torch.equal(chosen.masks, found.masks[:, :1])
        assert torch.allclose(chosen.scores, torch.tensor([[0.5]]))
    else:
        assert (chosen.masks == 2).all()
        assert torch.allclose(chosen.scores, torch.tensor([[0.9]]))
    assert torch.equal(chosen.tokens, found.tokens[:, :1]), "as published: the pointer stays the single one's"
    assert torch.equal(chosen.presence, found.presence)


def test_stability_is_judged_per_object_and_ties_go_to_the_first() -> None:
    stable, unstable = candidates([5.0] * 10, SCORES), candidates([0.0] * 10, [0.5, 0.9, 0.9, 0.9])
    both = Candidates(*(torch.cat(pair) for pair in zip(stable, unstable, strict=True)))
    chosen = single_if_stable(both)
    assert (chosen.masks[0] == 5).all()
    assert (chosen.masks[1] == 1).all()


def test_several_and_single_share_the_four_candidates() -> None:
    found = candidates([0.0], SCORES)
    assert torch.equal(several(found).masks, found.masks[:, 1:])
    assert torch.equal(several(found).tokens, found.tokens[:, 1:])
    assert torch.equal(single(found).scores, found.scores[:, :1])


def points(labels: list[int], xy: tuple[float, float] = (10.0, 20.0)) -> DecoderPrompt[Tensor]:
    return DecoderPrompt(torch.tensor([[xy] * len(labels)]), torch.tensor([labels]))


@torch.inference_mode()
def test_points_become_tokens_by_label(model: EdgeTAM) -> None:
    encoder = model.prompt_encoder
    labels = [0, 1, 2, 3, -1]
    sparse, dense = encoder(points(labels))
    assert sparse.shape == (1, 6, 256), "one not-a-point closes the list"
    place = encoder.fourier(torch.tensor([10.5, 20.5]) / 256)
    for i, label in enumerate(labels[:4]):
        assert torch.allclose(sparse[0, i], place + encoder.label_embed[label], atol=1e-6)
    assert torch.equal(sparse[0, 4], encoder.no_point_embed)
    assert torch.equal(sparse[0, 5], encoder.no_point_embed)
    assert torch.equal(dense.flatten(), encoder.no_mask_embed)


@torch.inference_mode()
def test_no_points_give_no_tokens(model: EdgeTAM) -> None:
    prompt = DecoderPrompt(torch.zeros(2, 0, 2), torch.zeros(2, 0, dtype=torch.int64))
    assert model.prompt_encoder(prompt)[0].shape == (2, 0, 256)


def test_training_mode_drops_only_in_memory_attention(model: EdgeTAM) -> None:
    """Dropout is the only part whose answers depend on the mode, batch norms aside."""
    owners = {n.partition(".")[0] for n, m in model.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert owners == {"memory_attention"}


@pytest.mark.parametrize("groups", [1, 4])
def test_folded_norms_equal_layer_norms(groups: int) -> None:
    """After a convolution that takes the mean off, and after one that cannot; channels far from zero."""
    generator = torch.Generator().manual_seed(4)
    conv = nn.Conv2d(4, 8, 3, groups=groups)
    layers = nn.Sequential(conv, LayerNorm2d(8), nn.GELU(), nn.Conv2d(8, 4, 1), LayerNorm2d(4))
    for parameter in layers.parameters():
        nn.init.normal_(parameter, 0.5, generator=generator)
    x = 5 + torch.randn(2, 4, 9, 7, generator=generator)
    folded = fold_norms(layers)
    with torch.no_grad():
        assert torch.allclose(folded(x), layers(x), atol=1e-5)
        nn.init.zeros_(folded[0].weight)
        assert torch.isfinite(folded[:2](x)).all()  # no deviation at all


@pytest.mark.parametrize("groups", [1, 256])
def test_folded_norms_hold_in_half_precision(groups: int) -> None:
    """Channels as long as those of real maps, of which half precision knows no square."""
    generator = torch.Generator().manual_seed(6)
    layers = nn.Sequential(nn.Conv2d(256, 256, 1, groups=groups), LayerNorm2d(256))
    for parameter in layers.parameters():
        nn.init.normal_(parameter, 0.5, 0.3, generator=generator)
    x = torch.randn(1, 256, 4, 4, generator=generator)
    with torch.no_grad():
        length = torch.linalg.vector_norm(layers[0](x), dim=1, keepdim=True)
        x *= 1000 / length.mean()
        conv, norm = fold_norms(layers)
        half = norm.half()(conv(x).half())
        assert conv(x).square().sum(1).max() < torch.finfo(half.dtype).max, "runtimes may add up in half"
        assert torch.allclose(half.float(), layers(x), atol=0.02)


def test_a_folded_block_equals_its_training_form() -> None:
    block = ConvNeXtBlock(16)
    generator = torch.Generator().manual_seed(5)
    for parameter in block.parameters():
        nn.init.normal_(parameter, 0.1, 0.3, generator=generator)
    x = torch.randn(2, 16, 8, 8, generator=generator)
    with torch.no_grad():
        assert torch.allclose(block.folded()(x), block(x), atol=1e-5)


def test_pixels_within_a_logit_as_channels_give_the_same_map() -> None:
    """Up to the rim, where enlarging repeats logits and convolutions see zeros."""
    full = MaskDownsampler()
    generator = torch.Generator().manual_seed(7)
    for parameter in full.parameters():
        nn.init.normal_(parameter, 0.1, 0.3, generator=generator)
    logits = 4 * torch.randn(2, 1, 16, 16, generator=generator)
    folded = full.folded()
    with torch.no_grad():
        plain, pixels = full.enlarge(logits), folded.enlarge(logits)
        assert plain.shape == (2, 1, 64, 64)
        assert torch.allclose(pixels, F.pixel_unshuffle(plain, 4), atol=1e-5)
        expected = full(torch.sigmoid(plain) - 0.5)
        assert torch.allclose(folded(torch.sigmoid(pixels) - 0.5), expected, atol=1e-4 * expected.abs().max())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_pixels_as_channels_keep_their_type(dtype: torch.dtype) -> None:
    folded: FoldedMaskDownsampler = MaskDownsampler().to(dtype).folded()
    assert {tensor.dtype for tensor in folded.state_dict().values()} == {dtype}
