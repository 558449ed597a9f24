"""The CPU forms of the torch engine equal the plain modules, block by block and object by object."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgetam.engine import cpu
from edgetam.engine.cpu import BLOCK, BlockAttention, OneDnnLinear, onednn_product, speed_up_
from edgetam.engine.torch import TorchEngine
from edgetam.model import EdgeTAM, inference_form
from edgetam.model.layers import attend
from edgetam.structs import ImageFeatures, MemoryContext
from tests.model.lively import shared_model

needs_onednn = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")),
    reason="this PyTorch was built without oneDNN",
)


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    """The inference form as every engine has it."""
    return inference_form(shared_model("edgetam", 512))


@needs_onednn
@pytest.mark.parametrize("shape", [(6, 256), (2, 700, 256), (1, 1, 256)])
def test_a_product_by_onednn_is_a_linear_layer(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=generator)
    linear = nn.Linear(256, 40)
    with torch.inference_mode():
        assert torch.allclose(OneDnnLinear(linear)(x), linear(x), atol=1e-5)


@pytest.mark.parametrize("product", [F.linear, pytest.param(onednn_product, marks=needs_onednn)])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_in_blocks_is_attention(product: object, shared: bool, padded: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    queries = 2 * BLOCK + 3
    q = torch.randn(1 if shared else 2, 1, queries, 32, generator=generator)
    k, v = torch.randn(2, 1, 50, 32, generator=generator), torch.randn(2, 1, 50, 8, generator=generator)
    valid = (torch.arange(50) < torch.tensor([[50], [20]]))[:, None, None] if padded else None
    with torch.inference_mode():
        found = BlockAttention(product)(q, k, v, valid)  # type: ignore[arg-type]
    assert torch.allclose(found, attend(q, k, v, valid), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("available", [pytest.param(True, marks=needs_onednn), False])
def test_the_sped_up_network_reads_and_remembers_as_the_plain_one(
    plain: nn.Module, available: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two objects whose memories differ in number; more tokens than one block."""
    if available and not cpu.has_onednn(dtype):
        pytest.skip("this CPU has no bfloat16")
    monkeypatch.setattr(cpu, "has_onednn", lambda dtype: available)
    fast = inference_form(shared_model("edgetam", 512))
    speed_up_(fast, dtype)
    assert any(isinstance(m, OneDnnLinear) for m in fast.modules()) == available

    generator = torch.Generator().manual_seed(3)
    maps = [torch.randn(1, c, s, s, generator=generator) for c, s in ((32, 128), (64, 64), (256, 32))]
    features = ImageFeatures(*maps)
    tokens = torch.randn(2, 3, 512, 64, generator=generator)
    context = MemoryContext(
        tokens,
        torch.tensor([[0, 2, 1], [0, 0, 0]]),
        torch.randn(2, 4, 256, generator=generator),
        torch.zeros(2, 4),
        torch.tensor([[True] * 3, [True, False, False]]),
        torch.tensor([[True] * 4, [True, True, False, False]]),
    )
    masks, presence = 4 * torch.randn(2, 1, 128, 128, generator=generator), torch.ones(2, 1)
    low = dtype != torch.float32
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=low):
        read = [network.attend(features, context) for network in (plain, fast)]
        kept = [
            network.remember(features, masks, presence, torch.zeros(2, 256), binarize=False).tokens
            for network in (plain, fast)
        ]
    for expected, found in (read, kept):
        error = (found - expected).float().abs()
        scale = expected.float().abs().max()
        assert (error.mean() <= 1e-2 * scale) if low else (error.max() <= 1e-5 * scale)


def test_bf16_without_bf16_is_slow_and_said(
    model: EdgeTAM, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edgetam.engine.torch.has_onednn", lambda dtype: False)
    TorchEngine(model, precision="bf16")
    TorchEngine(model)
    assert [record.getMessage() for record in caplog.records] == [
        "This CPU does not compute in bfloat16, so fp32 would be faster."
    ]
