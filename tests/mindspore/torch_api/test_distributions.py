"""Distributions: values, gradients, samples and refusals are torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindspore_impl import torch_api

torch = pytest.importorskip("torch")

WIDE = [-30.0, -1.0, 0.0, 0.3, 2.0, 1e4]
LOGITS = [[-1e4, 0.0, 3.0], [100.0, 100.0, -100.0], [0.1, 0.2, 0.3], [-np.inf, 0.0, 1.0]]
PROBS = [[0.0, 1.0, 0.0], [0.2, 0.3, 0.5], [1e-30, 1.0, 1e-8], [3.0, 1.0, 4.0]]
CHANCES = [0.0, 1e-9, 0.25, 0.5, 1.0 - 1e-7, 1.0]

#: parameters, and what is computed of the distribution ``p`` of them
CASES = {
    "Normal": [
        ({"loc": WIDE, "scale": [1e-6, 0.5, 1.0, 3.0, 1e4, 1e-2]}, "p.log_prob(x)", {"x": [-30.0, 0.0, 1e-3, 5.0, -1e4, 1e4]}),
        ({"loc": WIDE, "scale": [1e-6, 0.5, 1.0, 3.0, 1e4, 1e-2]}, "p.entropy()", {}),
        ({"loc": [[0.0], [2.0]], "scale": [1.0, 2.0, 3.0]}, "p.log_prob(x)", {"x": 1.5}),
        ({"loc": [0.0, 1.0], "scale": [1.0, 2.0]}, "p.cdf(x) + p.variance + p.perplexity()", {"x": [-8.0, 3.0]}),
        ({"loc": [0.0, 1.0], "scale": [1.0, 2.0]}, "p.icdf(x)", {"x": [0.01, 0.7]}),
        ({"loc": [0.0, 1.0], "scale": [1.0, 2.0]}, "D.kl_divergence(p, D.Normal(x, 0.3))", {"x": [0.0, 5.0]}),
        ({"loc": [0.0, 1.0], "scale": [1e-3, 1e3]}, "D.kl_divergence(D.Normal(x, 1.0), p)", {"x": [0.0, 5.0]}),
        ({"loc": [0.0, 1.0], "scale": [1.0, 2.0]}, "p.rsample((3,)) * x", {"x": [2.0, 5.0]}),
        ({"loc": [0.0, 1.0], "scale": [1.0, 2.0]}, "p.rsample((20, 2)).exp()", {}),
        ({"loc": [[0.0, 1.0]] * 3, "scale": [[1.0, 2.0]] * 3}, "D.Independent(p, 1).log_prob(x)", {"x": [1.0, 2.0]}),
        ({"loc": [[0.0, 1.0]] * 3, "scale": [[1.0, 2.0]] * 3}, "D.Independent(p, 2).entropy()", {}),
        (
            {"loc": [[0.0, 1.0]] * 3, "scale": [[1.0, 2.0]] * 3},
            "D.kl_divergence(D.Independent(p, 1), D.Independent(D.Normal(x, 2.0), 1))",
            {"x": [[1.0, 2.0]] * 3},
        ),
        ({"loc": [1.0], "scale": [2.0]}, "p.expand((2, 3)).log_prob(x)", {"x": [1.0, 2.0, 3.0]}),
    ],
    "Bernoulli": [
        ({"logits": WIDE}, "p.log_prob(x)", {"x": [1.0, 0.0, 1.0, 0.0, 1.0, 1.0]}),
        ({"logits": WIDE}, "p.entropy()", {}),
        ({"probs": CHANCES}, "p.log_prob(x)", {"x": [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]}),
        ({"probs": CHANCES}, "p.entropy()", {}),
        ({"probs": CHANCES}, "p.mean + p.variance", {}),
        ({"probs": CHANCES}, "p.mode", {}),
        ({"logits": WIDE}, "D.kl_divergence(p, D.Bernoulli(logits=x))", {"x": [0.5, -2.0, 30.0, 0.0, 9.0, -1.0]}),
        ({"probs": [0.0, 0.3, 1.0]}, "D.kl_divergence(p, D.Bernoulli(x))", {"x": [0.5, 0.2, 0.9]}),
        ({"probs": [0.2, 0.3, 0.5]}, "D.kl_divergence(p, D.Bernoulli(x))", {"x": [0.0, 1.0, 0.5]}),
        ({"probs": [0.2, 0.3]}, "p.enumerate_support() + p.expand((4, 2)).probs.sum()", {}),
    ],
    "Categorical": [
        ({"logits": LOGITS}, "p.log_prob(x)", {"x": [2, 0, 1, 1]}),
        ({"logits": LOGITS[:3]}, "p.entropy()", {}),
        ({"probs": PROBS}, "p.log_prob(x)", {"x": [0, 1, 0, 2]}),
        ({"probs": PROBS}, "p.entropy()", {}),
        ({"probs": PROBS}, "p.probs + p.logits", {}),
        ({"logits": LOGITS[2]}, "p.log_prob(x)", {"x": [0, 1, 2, 2, 0]}),
        ({"logits": LOGITS}, "p.mode", {}),
        ({"logits": LOGITS[:3]}, "D.kl_divergence(p, D.Categorical(logits=x))", {"x": [[1.0, 0.0, -3.0]] * 3}),
        ({"probs": PROBS[1:]}, "D.kl_divergence(p, D.Categorical(x))", {"x": [[0.0, 0.5, 0.5], [1.0, 1.0, 2.0], [0.1, 0.2, 0.7]]}),
        ({"logits": LOGITS[:3]}, "p.enumerate_support() + p.expand((2, 3)).probs.sum()", {}),
    ],
}  # fmt: skip


def computed(
    library: Any, name: str, parameters: dict[str, Any], text: str, values: dict[str, Any]
) -> list[np.ndarray]:
    """The value, and its gradients with respect to everything that is no integer."""
    library.manual_seed(3)
    given = {key: library.tensor(value, dtype=library.float32) for key, value in parameters.items()}
    others = {key: library.tensor(value) for key, value in values.items()}
    leaves = [value.requires_grad_() for value in (*given.values(), *others.values()) if value.dtype == library.float32]
    names = {"D": library.distributions, "p": getattr(library.distributions, name)(**given), **others}
    if text == "p.log_prob(x)" and name == "Bernoulli":
        leaves = leaves[:1]
    found = eval(text, names)
    arrays = [found.detach().numpy()]
    if found.requires_grad:
        weights = library.tensor(np.linspace(0.5, 1.5, arrays[0].size, dtype=np.float32).reshape(arrays[0].shape))
        gradients = library.autograd.grad((found * weights).sum(), leaves, allow_unused=True)
        arrays += [np.zeros(1) if gradient is None else gradient.numpy() for gradient in gradients]
    return arrays


@pytest.mark.parametrize(
    ("name", "parameters", "text", "values"), [(name, *case) for name, cases in CASES.items() for case in cases]
)
def test_values_and_gradients_are_torchs(name, parameters, text, values):
    expected = computed(torch, name, parameters, text, values)
    found = computed(torch_api, name, parameters, text, values)
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_allclose(one, two, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("D.Normal(torch.tensor([0.0, 5.0]), torch.tensor([1.0, 1e-3])).sample((50,))", False),
        ("D.Normal(torch.tensor([0.0, 5.0]).double(), 2.0).sample((3,))", False),
        ("D.Normal(0.0, 1.0).sample()", False),
        ("D.Bernoulli(torch.tensor([0.0, 0.3, 1.0])).sample((40,))", True),
        ("D.Bernoulli(logits=torch.tensor([[0.0], [3.0]])).sample()", True),
        ("D.Categorical(torch.tensor([[0.1, 0.0, 0.9], [2.0, 3.0, 5.0]])).sample((200,))", True),
        ("D.Categorical(logits=torch.tensor([0.5, 1.0, -2.0, 3.0])).sample((30, 2))", True),
        ("D.Independent(D.Normal(torch.zeros(2, 3), torch.ones(2, 3)), 1).sample((4,))", False),
    ],
)
def test_samples_are_torchs_for_the_same_seed(text, exact):
    made = []
    for library in (torch, torch_api):
        library.manual_seed(11)
        found = eval(text, {"D": library.distributions, "torch": library})
        assert not found.requires_grad
        made.append(found.numpy())
    assert made[0].shape == made[1].shape
    assert made[0].dtype == made[1].dtype
    np.testing.assert_allclose(made[1], made[0], rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)


def test_single_classes_come_as_often_as_their_chances_say():
    torch_api.manual_seed(0)
    probs = np.array([0.05, 0.15, 0.0, 0.8])
    drawn = torch_api.distributions.Categorical(torch_api.tensor(probs).expand(4000, 4)).sample().numpy()
    assert drawn.shape == (4000,)
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4000, probs, atol=0.02)
    assert (drawn != 2).all()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("D.Normal(0.0, -1.0)", ValueError),
        ("D.Normal(torch.tensor([0.0, float('nan')]), 1.0)", ValueError),
        ("D.Normal(0.0, 1.0).log_prob(torch.tensor(float('nan')))", ValueError),
        ("D.Normal(0.0, 1.0).log_prob(1.0)", ValueError),
        ("D.Normal(torch.zeros(3), 1.0).log_prob(torch.zeros(2))", ValueError),
        ("D.Normal([0.0], 1.0)", ValueError),
        ("D.Bernoulli(1.5)", ValueError),
        ("D.Bernoulli()", ValueError),
        ("D.Bernoulli(0.5, 0.5)", ValueError),
        ("D.Bernoulli(0.5).log_prob(torch.tensor(0.5))", ValueError),
        ("D.Categorical(torch.tensor([-0.5, 1.5]))", ValueError),
        ("D.Categorical(torch.tensor(1.0))", ValueError),
        ("D.Categorical(torch.tensor([0.5, 0.5])).log_prob(torch.tensor(2))", ValueError),
        ("D.Categorical(torch.tensor([0.5, 0.5])).log_prob(torch.tensor(0.5))", ValueError),
        ("D.Categorical(torch.tensor([0.5, 0.5])).rsample()", NotImplementedError),
        ("D.Independent(D.Normal(torch.zeros(3), 1.0), 2)", ValueError),
        ("D.kl_divergence(D.Normal(0.0, 1.0), D.Bernoulli(0.5))", NotImplementedError),
    ],
)
def test_what_torch_refuses_is_refused(text, kind):
    for library in (torch, torch_api):
        with pytest.raises(kind):
            eval(text, {"D": library.distributions, "torch": library})


def test_other_distributions_are_named_as_missing():
    with pytest.raises(AttributeError, match=r"torch\.distributions\.StudentT is not available"):
        torch_api.distributions.StudentT  # noqa: B018


def test_a_compiled_loss_of_distributions_is_that_without():
    def loss(library: Any, mean: Any, scale: Any, noise: Any) -> Any:
        posterior = library.distributions.Normal(mean, scale.exp())
        sample = posterior.mean + posterior.stddev * noise
        prior = library.distributions.Normal(library.zeros_like(mean), library.ones_like(mean))
        return (library.distributions.kl_divergence(posterior, prior) - prior.log_prob(sample)).sum()

    random, found = np.random.RandomState(0), []
    arrays = [random.randn(4, 3).astype(np.float32) for _ in range(3)]
    for library, compiled in ((torch, False), (torch_api, True)):
        given = [library.tensor(array).requires_grad_() for array in arrays]

        def call(mean: Any, scale: Any, noise: Any, library: Any = library) -> Any:
            return loss(library, mean, scale, noise)

        value = (library.compile(call) if compiled else call)(*given)
        value.backward()
        found.append([value.detach().numpy(), *[leaf.grad.numpy() for leaf in given]])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
