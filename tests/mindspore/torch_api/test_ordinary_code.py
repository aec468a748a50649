"""Short programs as people write them for torch: each gives torch's numbers on the surface."""

from __future__ import annotations

import copy
import io
import math
import os
import tempfile
from collections import OrderedDict

import numpy as np
import pytest
import torch as theirs

from mindspore_impl import torch_api as ours


def scaler_that_is_off(torch):
    torch.manual_seed(0)
    m = torch.nn.Linear(4, 2)
    o = torch.optim.SGD(m.parameters(), 0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cuda", enabled=torch.cuda.is_available())
    out = []
    for _ in range(3):
        with torch.autocast("cpu", enabled=False):
            loss = (m(torch.rand(5, 4)) ** 2).mean()
        o.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(o)
        torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        scaler.step(o)
        scaler.update()
        out.append(loss.item())
    return out


def a_saved_state(torch):
    torch.manual_seed(0)
    m = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    m(torch.rand(5, 3)).pow(3).sum().backward()
    o = torch.optim.Adam(m.parameters())
    o.step()
    p = os.path.join(tempfile.mkdtemp(), "c.pt")
    torch.save({"model": m.state_dict(), "opt": o.state_dict(), "epoch": 3}, p)
    c = torch.load(p, map_location="cpu")
    n = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    n.load_state_dict(c["model"])
    q = torch.optim.Adam(n.parameters())
    q.load_state_dict(c["opt"])
    n.eval()
    return [n(torch.ones(1, 3)).sum().item(), c["epoch"], q.state_dict()["state"][0]["exp_avg"].sum().item()]


def a_state_in_memory(torch):
    b = io.BytesIO()
    torch.save({"a": torch.ones(2)}, b)
    b.seek(0)
    return [torch.load(b)["a"].sum().item()]


def hooks(torch):
    torch.manual_seed(0)
    m = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    acts = {}
    h = [
        layer.register_forward_hook(lambda mod, i, o, n=n: acts.__setitem__(n, o.detach()))
        for n, layer in m.named_modules()
        if n
    ]
    g = []
    m[0].weight.register_hook(lambda grad: grad * 2)
    m[0].weight.register_hook(lambda grad: g.append(grad.norm().item()))
    m(torch.rand(2, 3)).sum().backward()
    [x.remove() for x in h]
    return [*[v.sum().item() for v in acts.values()], *g, m[0].weight.grad.sum().item(), len(acts)]


def buffers_and_copies(torch):
    class M(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("a", torch.arange(3.0), persistent=False)
            self.register_buffer("b", torch.ones(2))
            self.register_buffer("c", None)
            self.scale = torch.nn.Parameter(torch.tensor(2.0))
            self.list = [1]

        def forward(self, x):
            self.b += 1
            return x * self.a * self.scale + self.b.sum()

    m = M()
    y = m(torch.ones(3))
    y.sum().backward()
    m2 = copy.deepcopy(m)
    return [
        *y.tolist(),
        m.scale.grad.item(),
        len(m.state_dict()),
        len(list(m.buffers())),
        m2.b.sum().item(),
        float("a" in dict(m.named_buffers())),
    ]


def dictionaries_and_lists_of_parameters(torch):
    torch.manual_seed(0)
    d = torch.nn.ParameterDict({"w": torch.nn.Parameter(torch.rand(2, 2)), "v": torch.rand(2)})
    d["z"] = torch.ones(2)
    m = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2)})
    m.update({"b": torch.nn.Identity()})
    several = torch.nn.ParameterList([torch.rand(2) for _ in range(2)])
    y = (d["w"] @ d["v"] + m["b"](m["a"](d["z"])) + several[0] * several[1]).sum()
    y.backward()
    return [
        y.item(),
        d["v"].grad.sum().item(),
        len(d),
        len(list(d.parameters())),
        "w" in d,
        several[0].grad.sum().item(),
    ]


def a_function_with_its_own_gradient(torch):
    class Exp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            y = torch.exp(x * k)
            ctx.save_for_backward(y)
            ctx.k = k
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y * ctx.k, None

    x = torch.tensor([0.1, 0.2], requires_grad=True)
    Exp.apply(x, 3.0).sum().backward()
    return x.grad.tolist()


def a_straight_through_estimator(torch):
    class R(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, g):
            return g

    x = torch.tensor([0.4, 1.6], requires_grad=True)
    y = R.apply(x) * x
    y.sum().backward()
    z = x - x.detach() + x.round().detach()
    return [*x.grad.tolist(), *z.tolist()]


def loaders_samplers_and_splits(torch):
    from_ = torch.utils.data

    class D(from_.Dataset):
        def __len__(self):
            return 11

        def __getitem__(self, i):
            return {"x": torch.tensor([i, i * 2.0]), "y": i, "n": str(i)}

    torch.manual_seed(5)
    out = []
    for b in from_.DataLoader(
        D(), batch_size=4, shuffle=True, drop_last=False, num_workers=0, generator=torch.Generator().manual_seed(3)
    ):
        out += [*b["x"][:, 1].tolist(), *b["y"].tolist(), *map(float, b["n"])]
    for b in from_.DataLoader(D(), batch_size=4, sampler=from_.WeightedRandomSampler([1.0] * 11, 8)):
        out += b["y"].tolist()
    a, b = from_.random_split(range(10), [0.7, 0.3])
    out += [*a, *b]
    return out


def start_values(torch):
    torch.manual_seed(0)
    nn = torch.nn
    out = []
    for f in (
        nn.init.xavier_uniform_,
        nn.init.kaiming_normal_,
        nn.init.orthogonal_,
        lambda t: nn.init.trunc_normal_(t, std=0.02),
        lambda t: nn.init.kaiming_uniform_(t, a=math.sqrt(5), mode="fan_out", nonlinearity="leaky_relu"),
        lambda t: nn.init.normal_(t, 0, 0.1),
        lambda t: nn.init.sparse_(t, 0.3),
        nn.init.eye_,
        lambda t: nn.init.constant_(t, 0.3),
    ):
        t = torch.empty(4, 6)
        f(t)
        out += [t.sum().item(), t[0, 0].item()]
    t = torch.empty(3, 3, 3, 3)
    nn.init.dirac_(t)
    out.append(t.sum().item())
    out.append(nn.init.calculate_gain("relu"))
    return out


def chained_schedules(torch):
    m = torch.nn.Linear(2, 2)
    o = torch.optim.SGD([{"params": [m.weight], "lr": 0.1}, {"params": [m.bias]}], lr=0.01)
    L = torch.optim.lr_scheduler
    s = L.SequentialLR(o, [L.LinearLR(o, 0.1, total_iters=3), L.CosineAnnealingWarmRestarts(o, 4)], [3])
    out = []
    for _ in range(9):
        o.step()
        s.step()
        out += s.get_last_lr()
    c = L.ChainedScheduler([L.ExponentialLR(o, 0.9), L.StepLR(o, 2)])
    for _ in range(4):
        o.step()
        c.step()
        out.append(o.param_groups[0]["lr"])
    r = L.ReduceLROnPlateau(o, patience=1)
    for v in (1.0, 2.0, 3.0, 4.0):
        r.step(v)
        out.append(o.param_groups[1]["lr"])
    k = L.OneCycleLR(o, 0.5, total_steps=5)
    for _ in range(4):
        o.step()
        k.step()
        out.append(o.param_groups[1]["lr"])
    z = L.LambdaLR(o, lambda e: 0.5**e)
    o.step()
    z.step()
    out.append(o.param_groups[0]["lr"])
    return out


def apply_to_every_module(torch):
    torch.manual_seed(0)

    def f(m):
        if isinstance(m, torch.nn.Linear):
            torch.nn.init.ones_(m.weight)
            m.bias.data.fill_(0.1)
        elif isinstance(m, torch.nn.LayerNorm):
            m.weight.data.zero_()

    m = torch.nn.Sequential(OrderedDict(a=torch.nn.Linear(2, 3), b=torch.nn.LayerNorm(3)))
    m.apply(f)
    c = copy.deepcopy(m)
    c.a.weight.data.mul_(2)
    return [
        m(torch.ones(1, 2)).sum().item(),
        m.a(torch.ones(1, 2)).sum().item(),
        c.a(torch.ones(1, 2)).sum().item(),
        len(list(m.named_modules())),
        sum(p.numel() for p in m.parameters() if p.requires_grad),
    ]


def a_wrapper_that_forwards_attributes(torch):
    class W(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def __getattr__(self, n):
            try:
                return super().__getattr__(n)
            except AttributeError:
                return getattr(self.inner, n)

        def forward(self, x):
            return self.inner(x)

    torch.manual_seed(0)
    w = W(torch.nn.Linear(3, 2))
    return [w(torch.ones(1, 3)).sum().item(), w.in_features, w.weight.sum().item(), float(hasattr(w, "nope"))]


def writes_into_slices(torch):
    x = torch.zeros(4, 5)
    x[1] = 1
    x[:, 2] += 3
    x[0, 1:3] *= 2
    x[2][1] = 7
    x[-1, ::2] = torch.tensor([1.0, 2.0, 3.0])
    x[:2].add_(1)
    x[x > 6] = 0
    x[torch.tensor([0, 3]), torch.tensor([1, 1])] = 9
    x[..., 0].fill_(5)
    x.view(-1)[3] = -1
    x.t()[4, 3] = 8
    x[1:3, 1:3] = torch.eye(2)
    x[[0, 2]] -= 1
    x.masked_fill_(x < 0, 0.5)
    y = x.clone()
    y[y.sum(1) > 20] = 0
    return x.flatten().tolist() + y.flatten().tolist()


def gradients_through_written_slices(torch):
    a = torch.arange(6.0).view(2, 3).requires_grad_()
    b = torch.zeros(2, 3)
    b[0] = a[1] * 2
    b[:, 1] = a[:, 0] ** 2
    b[1, 2:] += a[0, :1]
    (b * torch.arange(1.0, 7.0).view(2, 3)).sum().backward()
    return a.grad.flatten().tolist() + b.detach().flatten().tolist()


def forms_of_where(torch):
    x = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    y = (
        torch.where(x > 0, x, 0.1 * x)
        + torch.where(x > 1, 1.0, 0.0)
        + torch.where(x.detach() > 1, torch.tensor(2), torch.tensor(0.5))
    )
    y.sum().backward()
    i = torch.where(torch.tensor([[1, 0], [0, 1]]) > 0)
    z = torch.where(torch.tensor([True, False, True]), 1, 2)
    return [
        *y.tolist(),
        *x.grad.tolist(),
        *i[0].tolist(),
        *i[1].tolist(),
        *z.tolist(),
        float(z.dtype == torch.int64),
        *x.where(x > 0, torch.zeros(())).tolist(),
    ]


def boolean_masks(torch):
    x = torch.arange(12.0).view(3, 4)
    m = x % 2 == 0
    v = x[m]
    x[m] = v * 10
    x[~m] += 0.5
    k = torch.tensor([True, False, True])
    r = x[k]
    x[k] = torch.zeros(4)
    x[k, 1] = 3
    return [
        *v.tolist(),
        *x.flatten().tolist(),
        *r.flatten().tolist(),
        *x[:, torch.tensor([True, False, False, True])].flatten().tolist(),
        *m.nonzero().flatten().tolist(),
    ]


def forms_of_einsum(torch):
    torch.manual_seed(0)
    a, b = torch.rand(2, 3, 4, requires_grad=True), torch.rand(2, 5, 4)
    y = torch.einsum("bqd,bkd->bqk", a, b)
    z = torch.einsum("...i,...i->...", a, a)
    t = torch.einsum("ij->ji", b[0]).sum()
    u = torch.einsum("i,j->ij", b[0, 0], b[0, 1])
    v = torch.einsum(a, [0, 1, 2], [0, 2]) if True else 0
    (y.sum() + z.sum()).backward()
    return [
        y.sum().item(),
        z.sum().item(),
        t.item(),
        u.sum().item(),
        a.grad.sum().item(),
        v.sum().item(),
        torch.einsum("bii->b", torch.ones(2, 3, 3)).sum().item(),
    ]


def methods_of_tensors(torch):
    torch.manual_seed(0)
    y = torch.stack([torch.rand(2) for _ in range(3)])
    o = [
        y.chunk(3)[1].sum(),
        y.unbind(1)[0].sum(),
        torch.cat([y, y], -1).sum(),
        y.repeat(2, 1).sum(),
        y.repeat_interleave(2, 0).sum(),
        y.expand(2, 3, 2).sum(),
        y.roll(1, 0)[0].sum(),
        y.flip(0)[0].sum(),
        torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")[1].sum(),
        y.topk(1, -1)[0].sum(),
        y.argsort(-1).sum(),
        y.cumsum(0)[-1].sum(),
        torch.tril(y @ y.T).sum(),
        y.norm(),
        y.var(0).sum(),
        y.std().sum(),
        torch.cdist(y, y).sum(),
        y.logsumexp(-1).sum(),
        (y > 0.5).any(),
        y.clamp(0.2, 0.5).sum(),
        torch.lerp(y, y * 2, 0.3).sum(),
        y.nanmean(),
        y.quantile(0.3),
        y.median(),
        torch.bucketize(y, torch.tensor([0.2, 0.6])).sum(),
        torch.unique(torch.tensor([3, 1, 3])).sum(),
        torch.bincount(torch.tensor([1, 1, 2])).sum(),
        y.unfold(0, 2, 1).sum(),
        torch.outer(y[0], y[1]).sum(),
        torch.isclose(y, y).all(),
        torch.allclose(y, y),
        y.amax(),
        y.prod(),
        torch.linalg.norm(y),
        y.softmax(0).sum(),
        torch.combinations(torch.arange(3)).sum(),
    ]
    return [float(v) for v in o]


def shapes_without_elements(torch):
    x = torch.zeros(0, 3)
    out = []
    for f in (
        lambda: x.reshape(0, -1),
        lambda: x.view(-1, 0),
        lambda: x.reshape(-1),
        lambda: x.reshape(-1, 3),
        lambda: torch.zeros(0).reshape(0, -1),
        lambda: torch.zeros(2, 0).reshape(-1, 0),
        lambda: torch.zeros(0, 3).flatten(),
        lambda: x.reshape(0, 5),
        lambda: x.view(3, -1),
        lambda: x.reshape(4, 0),
        lambda: torch.zeros(6).reshape(4, -1),
        lambda: torch.zeros(6).view(-1, -1),
        lambda: torch.zeros(2, 3).unflatten(1, (-1, 1)),
        lambda: torch.zeros(0, 3).unflatten(0, (0, -1)),
        lambda: torch.reshape(x, (0, -1)),
        lambda: torch.nn.Flatten()(torch.zeros(0, 2, 3)),
        lambda: torch.nn.Unflatten(0, (0, -1))(x),
        lambda: x.flatten(0),
    ):
        try:
            out += [*f().shape, -5]
        except Exception:
            out.append(-99)
    return out


def frozen_layers_and_later_groups(torch):
    torch.manual_seed(0)
    m = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 1))
    for p in m[0].parameters():
        p.requires_grad = False
    o = torch.optim.Adam(filter(lambda p: p.requires_grad, m.parameters()), lr=0.1)
    out = []
    for i in range(3):
        loss = m(torch.rand(4, 3)).pow(2).mean()
        o.zero_grad(set_to_none=True)
        loss.backward()
        o.step()
        out.append(loss.item())
        if i == 1:
            m[0].requires_grad_(True)
            o.add_param_group({"params": m[0].parameters(), "lr": 0.01})
    return [*out, m[0].weight.sum().item()]


def truncated_backpropagation(torch):
    torch.manual_seed(0)
    m = torch.nn.GRU(3, 4, batch_first=True)
    x = torch.rand(2, 5, 3)
    h = None
    for t in range(5):
        y, h = m(x[:, t : t + 1], h)
        h = h.detach()
        (y.sum() / 5).backward()
    return [m.weight_hh_l0.grad.sum().item(), y.sum().item()]


def extra_state(torch):
    class M(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.n = 3

        def get_extra_state(self):
            return {"n": self.n}

        def set_extra_state(self, v):
            self.n = v["n"]

    m = M()
    m.n = 7
    k = M()
    k.load_state_dict(m.state_dict())
    return [k.n, len(m.state_dict())]


def hooks_of_states(torch):
    m = torch.nn.Linear(2, 2)
    m._register_load_state_dict_pre_hook(lambda sd, prefix, *a: sd.pop("extra", None))
    s = dict(m.state_dict())
    s["extra"] = torch.ones(1)
    m.load_state_dict(s)
    return [1.0]


def a_class_that_loads_in_its_own_way(torch):
    class M(torch.nn.Linear):
        def _load_from_state_dict(self, sd, prefix, *a, **k):
            if prefix + "w" in sd:
                sd[prefix + "weight"] = sd.pop(prefix + "w")
            super()._load_from_state_dict(sd, prefix, *a, **k)

    m = M(2, 2)
    m.load_state_dict({"w": torch.ones(2, 2), "bias": torch.zeros(2)})
    return [m.weight.sum().item()]


def questions_about_tensors(torch):
    x = torch.tensor([1, 2, 3])
    return [
        float(torch.is_tensor(x)),
        float(x.is_floating_point()),
        x.float().mean().item(),
        float(x.dtype == torch.long),
        float(torch.tensor(3) == 3),
        float(isinstance(x, torch.Tensor)),
        float(isinstance(torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter)),
        torch.finfo(torch.float32).eps,
        float(x.new_zeros(2).dtype == torch.int64),
        float(torch.get_default_dtype() == torch.float32),
        float((x / 2).dtype == torch.float32),
        float((x // 2).sum()),
        float(5 // torch.tensor(2)),
        float(torch.tensor([True]).sum()),
    ]


PROGRAMS = [
    scaler_that_is_off,
    a_saved_state,
    a_state_in_memory,
    hooks,
    buffers_and_copies,
    dictionaries_and_lists_of_parameters,
    a_function_with_its_own_gradient,
    a_straight_through_estimator,
    loaders_samplers_and_splits,
    start_values,
    chained_schedules,
    apply_to_every_module,
    a_wrapper_that_forwards_attributes,
    writes_into_slices,
    gradients_through_written_slices,
    forms_of_where,
    boolean_masks,
    forms_of_einsum,
    methods_of_tensors,
    shapes_without_elements,
    frozen_layers_and_later_groups,
    truncated_backpropagation,
    extra_state,
    hooks_of_states,
    a_class_that_loads_in_its_own_way,
    questions_about_tensors,
]
REFUSED = {
    "torch.nn.utils.parametrizations": lambda torch: torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2)),
    "torch.nn.utils.weight_norm": lambda torch: torch.nn.utils.weight_norm(torch.nn.Linear(2, 2)),
    "torch.optim.SparseAdam": lambda torch: torch.optim.SparseAdam([torch.nn.Parameter(torch.ones(2))]),
    "torch.optim.swa_utils": lambda torch: torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 2)),
    "register_full_backward_hook": lambda torch: torch.nn.Linear(2, 2).register_full_backward_hook(print),
    "torch.autocast": lambda torch: torch.autocast("cpu"),
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_ordinary_code_gives_torchs_numbers(program):
    expected, found = program(theirs), program(ours)
    assert len(expected) == len(found)
    np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_missing_is_refused_by_its_name(name):
    REFUSED[name](theirs)
    with pytest.raises((AttributeError, NotImplementedError), match=name):
        REFUSED[name](ours)
