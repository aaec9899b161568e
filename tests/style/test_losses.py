import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.style.losses import (
    STYLE_BALANCE,
    ContentLoss,
    NormalizedWeighting,
    PaperWeighting,
    StyleLoss,
    StyleTransferLoss,
    blend,
    gram,
)
from app.style.options import STYLE_LAYERS
from app.style.vgg import VGG19


def random_features(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(1, 6, 5, 7, dtype=dtype, generator=torch.Generator().manual_seed(1))


def numpy_gram(features: Tensor) -> NDArray[np.float64]:
    maps = features.double().numpy()[0].reshape(features.shape[1], -1)
    result: NDArray[np.float64] = np.einsum("in,jn->ij", maps, maps) / maps.shape[1]
    return result


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_gram_matches_the_direct_computation(dtype: torch.dtype) -> None:
    features = random_features(dtype)
    np.testing.assert_allclose(gram(features).numpy(), numpy_gram(features), rtol=1e-5)


def test_gram_of_many_pixels_matches_the_direct_computation() -> None:
    features = torch.rand(1, 2, 190, 200, dtype=torch.float64)
    np.testing.assert_allclose(gram(features).numpy(), numpy_gram(features), rtol=1e-9)


def test_gram_restores_the_matmul_precision() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]
    gram(random_features(torch.bfloat16))
    assert torch.backends.mkldnn.matmul.fp32_precision == before  # type: ignore[attr-defined]


def test_paper_weighting_gives_the_loss_of_the_paper() -> None:
    features, content, style = random_features(), random_features() + 0.3, random_features() * 2
    target = gram(style)
    weights = PaperWeighting(alpha=0.01, beta=10)
    expected_content = 0.01 * np.mean((features - content).numpy() ** 2)
    expected_style = 10 / 6**2 * np.mean((numpy_gram(features) - numpy_gram(style)) ** 2)
    content_loss = ContentLoss(content, weights.content(content))(features)
    style_loss = StyleLoss(target, weights.style(target))(features)
    assert content_loss.item() == pytest.approx(expected_content)
    assert style_loss.item() == pytest.approx(expected_style)


def test_normalized_loss_does_not_depend_on_the_scale_of_the_features() -> None:
    weights = NormalizedWeighting(strength=0.25)
    for scale in (1.0, 37.0):
        content, style = scale * random_features(), gram(scale * random_features())
        content_loss = ContentLoss(content, weights.content(content))(torch.zeros_like(content))
        style_loss = StyleLoss(style, weights.style(style))(torch.zeros_like(content))
        assert content_loss.item() == pytest.approx(0.75)
        assert style_loss.item() == pytest.approx(0.25 * STYLE_BALANCE / 5)


def test_gradient_of_the_terms_matches_finite_differences() -> None:
    features = random_features().requires_grad_()
    for term in (
        ContentLoss(random_features() + 0.2, 0.7),
        StyleLoss(gram(random_features() * 1.5), 3.0),
    ):
        assert torch.autograd.gradcheck(term, (features,))


def test_gradient_through_the_network_matches_finite_differences(network: VGG19) -> None:
    network = VGG19(
        {
            name: (network.get_buffer(f"{name}.kernel"), network.get_buffer(f"{name}.bias"))
            for name, _ in network.named_children()
        }
    ).double()
    network.dtype = torch.float64
    generator = torch.Generator().manual_seed(3)
    picture, other = torch.rand(2, 1, 3, 32, 32, dtype=torch.float64, generator=generator)
    content = network(other, {"conv4_2": Tensor.detach})["conv4_2"]
    styles = network(other, dict.fromkeys(STYLE_LAYERS, gram))
    weights = NormalizedWeighting(0.5)
    loss = StyleTransferLoss(
        ContentLoss(content, weights.content(content)),
        {name: StyleLoss(target, weights.style(target)) for name, target in styles.items()},
    )
    variable = picture.requires_grad_()
    (gradient,) = torch.autograd.grad(torch.stack(loss(variable, network)).sum(), variable)
    direction = torch.randn(picture.shape, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        step = 1e-6 * direction
        above, below = (torch.stack(loss(picture + s, network)).sum() for s in (step, -step))
    assert (gradient * direction).sum().item() == pytest.approx(
        float((above - below) / 2e-6), rel=1e-4
    )


def test_blend_averages_each_layer() -> None:
    one, two = [torch.ones(2, 2), torch.zeros(3, 3)], [torch.zeros(2, 2), torch.ones(3, 3)]
    mixed = blend([one, two], [0.25, 0.75])
    assert mixed[0].tolist() == [[0.25, 0.25], [0.25, 0.25]]
    assert mixed[1].eq(0.75).all()


def test_terms_of_weight_zero_are_omitted() -> None:
    content = ContentLoss(random_features(), 0.0)
    style = {"conv1_1": StyleLoss(torch.eye(6), 1.0), "conv5_1": StyleLoss(torch.eye(6), 0.0)}
    assert set(StyleTransferLoss(content, style).terms) == {"conv1_1"}
