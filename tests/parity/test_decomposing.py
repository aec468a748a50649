"""Decomposed convolutions in networks of either framework: they compute what their kernels say, alike, and are trained."""

from __future__ import annotations

import numpy as np
import pytest

import twinlora
from common.decomposition import DecompositionOptions, decomposed
from common.decomposition.chain import multiplied
from common.errors import InputError
from tests.support import assert_near

CASES = {
    "strided": {"size": (3, 3), "stride": (2, 1), "padding": (1, 2), "dilation": (1, 1)},
    "dilated": {"size": (3, 5), "stride": (1, 1), "padding": (2, 2), "dilation": (2, 1)},
    "flat": {"size": (1, 3), "stride": (2, 2), "padding": (1, 1), "dilation": (1, 1)},
    "text": {"size": (5,), "stride": (2,), "padding": (2,), "dilation": (1,)},
}


def torch_network(case):
    torch = pytest.importorskip("torch")
    given = CASES[case]
    kind = torch.nn.Conv2d if len(given["size"]) == 2 else torch.nn.Conv1d
    conv = kind(8, 12, given["size"], given["stride"], given["padding"], given["dilation"])
    return torch.nn.Sequential(conv, torch.nn.ReLU())


def mindspore_network(case):
    nn = pytest.importorskip("mindspore").nn
    given = CASES[case]
    if len(given["size"]) == 1:
        size, stride, padding, dilation = (given[name][0] for name in ("size", "stride", "padding", "dilation"))
        conv = nn.Conv1d(8, 12, size, stride, "pad", padding, dilation, has_bias=True)
    else:
        padding = tuple(value for value in given["padding"] for _ in range(2))
        conv = nn.Conv2d(8, 12, given["size"], given["stride"], "pad", padding, given["dilation"], has_bias=True)
    return nn.SequentialCell(conv, nn.ReLU())


def arrays(case):
    random = np.random.default_rng(0)
    size = CASES[case]["size"]
    shape = (9, 11) if len(size) == 2 else (17,)
    return {
        "weight": random.standard_normal((12, 8, *size)).astype(np.float32),
        "bias": random.standard_normal(12).astype(np.float32),
        "x": random.standard_normal((2, 8, *shape)).astype(np.float32),
    }


def outputs_torch(case, method, share, dense=False):
    import torch

    given, net = arrays(case), torch_network(case)
    kernel = given["weight"]
    if dense:
        kernel = chain_of(case, method, share)
    net[0].weight.data, net[0].bias.data = torch.tensor(kernel), torch.tensor(given["bias"])
    found = [] if dense else twinlora.decompose(net, method, share=share)
    return net(torch.tensor(given["x"])).detach().numpy(), found, net


def chain_of(case, method, share):
    options = DecompositionOptions(method, share=share)
    return multiplied(decomposed("0", arrays(case)["weight"], 1, options).stages).astype(np.float32)


def outputs_mindspore(case, method, share):
    import mindspore as ms

    given, net = arrays(case), mindspore_network(case)
    net[0].weight.set_data(ms.Tensor(given["weight"].reshape(net[0].weight.shape)))
    net[0].bias.set_data(ms.Tensor(given["bias"]))
    found = twinlora.decompose(net, method, share=share)
    return net(ms.Tensor(given["x"])).asnumpy(), found, net


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("method", ["cp", "tucker"])
@pytest.mark.parametrize("case", CASES)
def test_a_chain_computes_what_the_convolution_with_its_kernel_computes(case, method):
    expected, _, _ = outputs_torch(case, method, 0.6, dense=True)
    actual, [one], net = outputs_torch(case, method, 0.6)
    assert_near(actual, expected, 1e-5)
    assert one.path == "0"
    assert one.after == sum(p.numel() for name, p in net[0].named_parameters() if p.dim() > 1) < one.before
    assert 0 < one.error < 1


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("method", ["cp", "tucker"])
@pytest.mark.parametrize("case", CASES)
def test_both_frameworks_compute_the_same(case, method):
    theirs, found, _ = outputs_torch(case, method, 0.6)
    ours, same, net = outputs_mindspore(case, method, 0.6)
    assert found == same
    assert_near(ours, theirs, 1e-5)
    names = [parameter.name for parameter in net.get_parameters()]
    assert len(names) == len(set(names))


@pytest.mark.needs_pytorch
def test_what_a_decomposition_lost_is_won_back_by_training():
    import torch

    target, _, _ = outputs_torch("strided", "cp", 0.6, dense=True)
    _, _, net = outputs_torch("strided", "cp", 0.4)
    x, y = torch.tensor(arrays("strided")["x"]), torch.tensor(target)
    optimizer, losses = torch.optim.Adam(net.parameters(), 1e-2), []
    for _ in range(60):
        optimizer.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.needs_pytorch
def test_what_does_not_fit_is_refused_and_nothing_is_changed():
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(8, 12, 3), torch.nn.Conv2d(12, 12, 3, groups=2))
    for arguments, message in [
        ({"share": 0.5}, "in 2 groups is not decomposed"),
        ({"share": 0.5, "targets": ["features.*"]}, "'features.*' matches none of 0, 1"),
        ({}, "exactly one of ranks and share"),
    ]:
        with pytest.raises(InputError, match=message):
            twinlora.decompose(net, "cp", **arguments)
    assert [type(module) for module in net] == [torch.nn.Conv2d] * 2
    with pytest.raises(InputError, match=r"A torch.nn.Module or a mindspore.nn.Cell is decomposed; received int"):
        twinlora.decompose(3, "cp", share=0.5)


def shared_torch():
    """A network that calls one convolution twice."""
    import torch

    conv = torch.nn.Conv2d(8, 8, 3)
    return torch.nn.Sequential(conv, torch.nn.ReLU(), conv), torch.nn.Conv2d


def shared_mindspore():
    from mindspore import nn

    conv = nn.Conv2d(8, 8, 3)
    return nn.SequentialCell(conv, nn.ReLU(), conv), nn.Conv2d


def tied_torch():
    net, kind = shared_torch()
    net[2] = kind(8, 8, 3)
    net[2].weight = net[0].weight
    return net, kind


def tied_mindspore():
    net, kind = shared_mindspore()
    other = kind(8, 8, 3)
    other.weight = net[0].weight
    from mindspore import nn

    return nn.SequentialCell(net[0], nn.ReLU(), other), kind


IN_BOTH = [
    pytest.param("torch", marks=pytest.mark.needs_pytorch),
    pytest.param("mindspore", marks=pytest.mark.needs_mindspore),
]


@pytest.mark.parametrize("framework", IN_BOTH)
@pytest.mark.parametrize("which", ["shared", "tied"])
def test_a_convolution_that_shares_its_weight_is_refused_and_stays(which, framework):
    net, kind = globals()[f"{which}_{framework}"]()
    with pytest.raises(InputError, match=r"0 shares its weight: it is 0\.weight, 2\.weight"):
        twinlora.decompose(net, "cp", share=0.5)
    assert [type(net[0]), type(net[2])] == [kind, kind]


@pytest.mark.parametrize("framework", IN_BOTH)
def test_a_convolution_itself_is_refused(framework):
    net, _ = globals()[f"shared_{framework}"]()
    with pytest.raises(InputError, match="The model is a convolution itself"):
        twinlora.decompose(net[0], "cp", share=0.5)


@pytest.mark.parametrize("framework", IN_BOTH)
def test_a_convolution_with_hooks_is_refused(framework):
    net = globals()[f"{framework}_network"]("strided")
    net[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.raises(InputError, match="0 has hooks"):
        twinlora.decompose(net, "cp", share=0.5)


@pytest.mark.parametrize("framework", IN_BOTH)
def test_a_frozen_convolution_becomes_a_frozen_chain(framework):
    net = globals()[f"{framework}_network"]("text")
    net[0].weight.requires_grad = False
    twinlora.decompose(net, "cp", share=0.5)
    assert [stage.weight.requires_grad for stage in net[0]] == [False] * len(list(net[0]))
    assert net[0][-1].bias.requires_grad


@pytest.mark.needs_pytorch
def test_one_pattern_one_rank_and_no_pattern():
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3), torch.nn.Conv2d(8, 8, 3))
    with pytest.raises(InputError, match="'feature\\*' matches none of 0, 1"):
        twinlora.decompose(net, "cp", ranks=3, targets="feature*")
    with pytest.raises(InputError, match="targets must name at least one"):
        twinlora.decompose(net, "cp", ranks=3, targets=[])
    for ranks in (3.5, [3.5], [True]):
        with pytest.raises(InputError, match="ranks are a list of integers"):
            twinlora.decompose(net, "cp", ranks=ranks)
    assert [one.ranks for one in twinlora.decompose(net, "cp", ranks=3, targets="0")] == [(3,)]


@pytest.mark.needs_pytorch
def test_a_network_in_float64_keeps_its_precision():
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3).double())
    kernel = net[0].weight.detach().numpy()
    chain = decomposed("0", kernel, 1, DecompositionOptions("tucker", (4, 4)))
    twinlora.decompose(net, "tucker", ranks=[4, 4])
    assert [
        np.array_equal(stage.weight.detach().numpy(), kept.kernel)
        for stage, kept in zip(net[0], chain.stages, strict=True)
    ] == [True] * 3
