"""Schedules, samplers, loaders and random numbers against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch as theirs

from common.porting.generator import Generator
from mindspore_impl import torch_api as ours

SCHEDULES = {
    "StepLR": lambda s, o: s.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 5, 5], 0.3),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.25, 4),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.1, 0.8, 6),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 8, 2.0),
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.9 if epoch % 2 else 1.1),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 5, 0.01),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.001),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.5, total_steps=15),
    "OneCycleLR in three phases": lambda s, o: s.OneCycleLR(o, 0.5, total_steps=15, three_phase=True, pct_start=0.4, anneal_strategy="linear"),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 3, 2),
    "CyclicLR triangular2": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 2, mode="triangular2", cycle_momentum=False),
    "CyclicLR exp_range": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 3, mode="exp_range", gamma=0.9),
    "SequentialLR": lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, total_iters=4), s.CosineAnnealingLR(o, 8)], [4]),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.5, 3), s.ExponentialLR(o, 0.9)], o),
}  # fmt: skip


def optimizer(torch):
    parameters = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))]
    groups = [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.02}]
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def rates(torch, make, resume: bool = False) -> list:
    held = optimizer(torch)
    schedule, found = make(torch.optim.lr_scheduler, held), []
    for step in range(14):
        found.append([(group["lr"], group["momentum"]) for group in held.param_groups])
        if resume and step == 6:
            state, options = schedule.state_dict(), held.state_dict()
            held = optimizer(torch)
            schedule = make(torch.optim.lr_scheduler, held)
            held.load_state_dict(options)
            schedule.load_state_dict(state)
        for group in held.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        held.step()
        schedule.step()
    return found


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("resume", [False, True])
def test_rates_are_those_of_torch(name, resume):
    np.testing.assert_allclose(rates(ours, SCHEDULES[name], resume), rates(theirs, SCHEDULES[name], resume), rtol=1e-12)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_a_plateau_lowers_the_rate_as_in_torch(mode, threshold_mode):
    metrics, found = np.random.RandomState(1).rand(30), []
    for torch in (ours, theirs):
        held = optimizer(torch)
        make = torch.optim.lr_scheduler.ReduceLROnPlateau
        schedule = make(held, mode, 0.5, 2, 0.01, threshold_mode, cooldown=1, min_lr=[1e-3, 1e-4])
        found.append([])
        for metric in metrics:
            schedule.step(float(metric))
            found[-1].append([group["lr"] for group in held.param_groups])
    assert found[0] == found[1]


@pytest.mark.parametrize("seed", [0, 7, -3, 2**40 + 7])
def test_random_numbers_are_those_of_torch(seed):
    theirs.manual_seed(seed)
    ours.manual_seed(seed)
    for torch_draw, our_draw in (
        (theirs.rand(7), ours.rand(7)),
        (theirs.randint(-5, 9, (20,)), ours.randint(-5, 9, (20,))),
        (theirs.randint(0, 2**40, (5,)), ours.randint(0, 2**40, (5,))),
        (theirs.randperm(100), ours.randperm(100)),
        (theirs.randn(5), ours.randn(5)),
        (theirs.empty(5, 7).uniform_(-0.3, 0.4), ours.empty(5, 7).uniform_(-0.3, 0.4)),
        (theirs.rand(3, dtype=theirs.float64), ours.rand(3, dtype=ours.float64)),
        (theirs.bernoulli(theirs.full((20,), 0.3)), ours.bernoulli(ours.full((20,), 0.3))),
    ):
        np.testing.assert_array_equal(our_draw.numpy(), torch_draw.numpy())
    for shape in ((4, 8), (37,), (100, 7)):  # whole blocks, whose logarithm and cosine are rounded otherwise
        np.testing.assert_allclose(ours.randn(*shape).numpy(), theirs.randn(*shape).numpy(), rtol=0, atol=1e-6)


def test_a_generator_continues_where_its_state_was_taken():
    generator = Generator().manual_seed(3)
    generator.normal(3)
    state, first = generator.get_state(), generator.normal(20)
    np.testing.assert_array_equal(Generator().set_state(state).normal(20), first)


def batches(torch, **options) -> list:
    torch.manual_seed(11)
    data = torch.utils.data
    full = data.TensorDataset(torch.arange(23), torch.arange(46.0).view(23, 2))
    part, _ = data.random_split(full, [17, 6], generator=torch.Generator().manual_seed(5))
    chosen = {name: option(torch, part) for name, option in options.items()}
    loader = data.DataLoader(part, **chosen)
    return [[part.tolist() for part in batch] for _ in range(2) for batch in loader]


LOADERS = {
    "in order": {"batch_size": lambda t, d: 4},
    "shuffled": {"batch_size": lambda t, d: 4, "shuffle": lambda t, d: True},
    "own generator": {"batch_size": lambda t, d: 5, "shuffle": lambda t, d: True, "generator": lambda t, d: t.Generator().manual_seed(1)},
    "drop last": {"batch_size": lambda t, d: 4, "drop_last": lambda t, d: True},
    "with replacement": {"batch_size": lambda t, d: 4, "sampler": lambda t, d: t.utils.data.RandomSampler(d, True, 40)},
    "more than once": {"batch_size": lambda t, d: 4, "sampler": lambda t, d: t.utils.data.RandomSampler(d, num_samples=40)},
    "subset": {"batch_size": lambda t, d: 3, "sampler": lambda t, d: t.utils.data.SubsetRandomSampler([1, 3, 5, 7, 9])},
    "batch sampler": {"batch_sampler": lambda t, d: t.utils.data.BatchSampler(t.utils.data.SequentialSampler(d), 6, False)},
}  # fmt: skip


@pytest.mark.parametrize("name", LOADERS)
def test_batches_come_in_the_order_of_torch(name):
    assert batches(ours, **LOADERS[name]) == batches(theirs, **LOADERS[name])


def test_examples_are_collated_as_in_torch():
    def collated(torch):
        examples = [{"x": torch.ones(2) * i, "y": i, "z": (0.5 * i, np.float32(i)), "name": f"n{i}"} for i in range(3)]
        return torch.utils.data.default_collate(examples)

    one, two = collated(theirs), collated(ours)
    assert list(one) == list(two)
    assert one["name"] == two["name"]
    for a, b in ((one["x"], two["x"]), (one["y"], two["y"]), *zip(one["z"], two["z"], strict=True)):
        assert (str(a.dtype), a.tolist()) == (str(b.dtype), b.tolist())


def test_weighted_samples_follow_the_weights():
    ours.manual_seed(0)
    drawn = list(ours.utils.data.WeightedRandomSampler([1.0, 0.0, 3.0], 4000))
    assert 1 not in drawn
    assert drawn.count(2) / 4000 == pytest.approx(0.75, abs=0.03)
    assert sorted(ours.utils.data.WeightedRandomSampler([1.0, 2.0, 0.0, 3.0], 3, replacement=False)) == [0, 1, 3]
