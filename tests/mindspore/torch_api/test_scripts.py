"""Whole training scripts from a seed, without copied weights: start values, the order of examples, losses and results
are torch's."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch as theirs

from mindspore_impl import torch_api as ours
from tests.tolerances import STEP_LOSS


def classifier(torch) -> list[float]:
    """Epochs over a shuffled loader with warm-up, clipping, accumulated gradients, evaluation and the best state."""
    nn, data = torch.nn, torch.utils.data
    torch.manual_seed(3)
    x = torch.rand(60, 6)
    y = (x.sum(1) > 3).long() + (x[:, 0] > 0.5).long()
    training, held_out = data.random_split(data.TensorDataset(x, y), [48, 12])
    loader = data.DataLoader(training, batch_size=8, shuffle=True)
    model = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.SiLU(), nn.Linear(16, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=2),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4),
        ],
        [2],
    )
    found, best = [], (0.0, None)
    for _ in range(4):
        model.train()
        for number, (inputs, targets) in enumerate(loader):
            loss = nn.functional.cross_entropy(model(inputs), targets) / 2
            loss.backward()
            if number % 2:
                found.append(nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
                optimizer.step()
                optimizer.zero_grad()
            found.append(loss.item())
        schedule.step()
        model.eval()
        with torch.no_grad():
            right = sum((model(a).argmax(dim=-1) == b).sum().item() for a, b in data.DataLoader(held_out, batch_size=5))
        if right > best[0]:
            best = (right, copy.deepcopy(model.state_dict()))
        found += [float(right), optimizer.param_groups[0]["lr"]]
    model.load_state_dict(best[1])
    return [*found, model(x).std().item()]


def gan(torch) -> list[float]:
    """A generator against a discriminator, each with an optimizer of its own."""
    nn = torch.nn
    torch.manual_seed(5)
    generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(True), nn.Linear(16, 2))
    discriminator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2, inplace=True), nn.Linear(16, 1))
    g, d = (torch.optim.Adam(net.parameters(), lr=1e-2, betas=(0.5, 0.999)) for net in (generator, discriminator))
    criterion, found = nn.BCEWithLogitsLoss(), []
    real, fake = torch.ones(32, 1), torch.zeros(32, 1)
    for _ in range(5):
        x = torch.rand(32, 2) * 0.5 + 1
        made = generator(torch.rand(32, 4))
        d.zero_grad()
        on_real, on_fake = criterion(discriminator(x), real), criterion(discriminator(made.detach()), fake)
        on_real.backward()
        on_fake.backward()
        d.step()
        g.zero_grad()
        loss = criterion(discriminator(made), real)
        loss.backward()
        g.step()
        found += [on_real.item(), on_fake.item(), loss.item(), made.mean().item()]
    return found


def moving_average(torch) -> list[float]:
    """A slow copy of the weights, frozen layers, and a state that is saved and loaded in the middle."""
    nn = torch.nn
    torch.manual_seed(9)
    model = nn.Sequential(nn.Embedding(10, 6), nn.Flatten(), nn.Linear(18, 4, bias=False), nn.Softplus())
    for parameter in model[0].parameters():
        parameter.requires_grad = False
    slow = copy.deepcopy(model)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, found = torch.optim.SGD(trained, lr=0.1, momentum=0.9), []
    ids = torch.randint(0, 10, (7, 3))
    for step in range(4):
        loss = model(ids).pow(2).sum(-1).mean()
        optimizer.zero_grad(set_to_none=step % 2 == 0)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for kept, new in zip(slow.parameters(), model.parameters(), strict=True):
                kept.mul_(0.9).add_(new, alpha=0.1)
        if step == 1:
            state = optimizer.state_dict()
            optimizer = torch.optim.SGD(trained, lr=0.5, momentum=0.1)
            optimizer.load_state_dict(state)
        found += [loss.item(), slow(ids).sum().item()]
    return found


@pytest.mark.parametrize("script", [classifier, gan, moving_average])
def test_a_script_gives_torchs_numbers_from_a_seed(script):
    np.testing.assert_allclose(script(ours), script(theirs), rtol=STEP_LOSS, atol=1e-6)
