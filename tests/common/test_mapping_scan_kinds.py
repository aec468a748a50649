"""What the scanner takes the objects of methods for: names that are bound several times, layers, arrays, classes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.api_mapping.convert.files import convert
from common.api_mapping.scan.calls import Use, uses
from common.api_mapping.scan.sources import Source, Unit, parse


def found(code: str) -> list[Use]:
    """The uses in a piece of code."""
    unit = parse(code)
    assert isinstance(unit, Unit), unit
    return uses(Source("code.py", [unit]))


def methods(code: str) -> list[tuple[str, bool]]:
    """Names of the methods found, and whether only the name speaks for them."""
    return [(use.name.removeprefix("torch."), use.by_name) for use in found(code) if use.kind == "method"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x = torch.abs(a)\nx = x + 1\nx.view(1)", [("Tensor.view", False)]),
        (
            "net = nn.Linear(1, 2)\nnet = net.eval()\nnet.train()",
            [("nn.Module.eval", False), ("nn.Module.train", False)],
        ),
        ("text = ''\ntext = text + 'a'\ntext.index(b)\ntext.expand(3)", []),
        ("count = 0\ncount = count + 1\ncount.mean()", []),
        ("def f(x: np.ndarray):\n    x = x.view(np.uint8) ^ 1\n    return x.sum()", []),
        ("y = x + 1\nx = y.abs()\nx.view(1)", [("Tensor.abs", False), ("Tensor.view", False)]),
        ("for i in a:\n    x.view(1)\n    x = torch.abs(i)", [("Tensor.view", False)]),
    ],
)
def test_a_name_is_what_its_bindings_agree_on(body, expected):
    assert methods(f"import torch\nimport numpy as np\nfrom torch import nn\n{body}\n") == expected


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(6)))
def test_kinds_do_not_depend_on_the_order_of_bindings(order):
    lines = ["a = torch.abs(q)", "b = a + 1", "c = b", "d = c[0]", "e = [d, 1]", "a = d * 2"]
    code = "import torch\n" + "\n".join(lines[number] for number in order) + "\n"
    tail = "a.view(1)\nb.view(1)\nc.view(1)\nd.view(1)\ne.index(1)\n"
    assert methods(code + tail) == [("Tensor.view", False)] * 4


@pytest.mark.parametrize("name", ["to", "cuda", "cpu", "half", "float", "double", "bfloat16", "requires_grad_"])
def test_a_layer_that_is_moved_or_cast_is_found(name):
    code = f"import torch\nfrom torch import nn\nnet = nn.Sequential(nn.ReLU()).{name}(d)\nnet.{name}(d)\n"
    assert methods(code) == [(f"nn.Module.{name}", False)] * 2


def test_a_layer_that_is_moved_or_cast_is_converted(tmp_path):
    (tmp_path / "old.py").write_text(
        "import torch\nfrom torch import nn\nnet = nn.Sequential(nn.Linear(2, 3)).to('cuda')\nnet = net.to(device)\n"
        "net.cuda()\nnet.half()\nnet.requires_grad_(False)\nnet.eval()\n"
    )
    convert(tmp_path / "old.py", tmp_path / "new.py", style="native")
    text = (tmp_path / "new.py").read_text()
    assert "cuda" not in text
    assert "to(device)" not in text
    assert "net.to_float(ms.float16)" in text
    assert "TODO(torch->mindspore): .requires_grad_" in text
    assert "net.set_train(False)" in text


@pytest.mark.parametrize(
    "body",
    [
        "class Helper:\n    pass\nw = Helper.weight(m)\nw.float()",
        "class Helper:\n    pass\nw = Helper.parts.weight(m)\nw.float()",
        "def make(): ...\nw = make.cached(m)\nw.float()",
    ],
)
def test_what_a_class_or_function_of_the_file_returns_is_unknown(body):
    assert methods(f"import torch\n{body}\n") == [("Tensor.float", True)]


@pytest.mark.parametrize(
    "line",
    [
        "np.load(path)['x'].sum()",
        "frame = pd.read_csv(path)\nframe['a'].mean()",
        "frame = pd.read_csv(path)\nframe.a.mean()",
        "a = np.zeros(3)\n(a == 1).mean()",
        "a = np.zeros(3)\na[0].reshape(1)",
        "a = np.zeros(3)\n(a + b)[0].reshape(1)",
        "jnp.zeros(3).sum()",
        "tf.zeros(3).sum()",
        "(np.argmax(x) == y).mean()",
        "def f(x: np.ndarray):\n    return x[0].mean()",
        "def f(x: 'pd.DataFrame'):\n    return x['a'].mean()",
    ],
)
def test_parts_of_arrays_and_tables_are_no_tensors(line):
    head = "import torch\nimport numpy as np\nimport pandas as pd\nimport jax.numpy as jnp\nimport tensorflow as tf\n"
    assert methods(f"{head}{line}\n") == []


@pytest.mark.parametrize(
    ("line", "by_name"),
    [
        ("(torch.abs(x) == y).sum()", False),
        ("(a > torch.abs(x)).sum()", False),
        ("(np.zeros(3) + torch.abs(x)).sum()", False),
        ("(a == b).sum()", True),
        ("[a, b][0].sum()", True),
        ("collections.defaultdict(list)['a'].sum()", True),
        ("(a or torch.abs(x)).sum()", False),
    ],
)
def test_tensors_in_comparisons_and_containers_stay(line, by_name):
    code = f"import collections\nimport torch\nimport numpy as np\ny = {line}\n"
    assert methods(code)[-1] == ("Tensor.sum", by_name)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("from torch import *\ncat([x])", "torch.cat"),
        ("from torch.optim import *\nAdam([x])", "torch.optim.Adam"),
        ("from torch.linalg import *\nsvdvals(x)", "torch.linalg.svdvals"),
        ("from torch import *\nabs(x)", "torch.abs"),
        ("from torch import *\nno_grad()", "torch.no_grad"),
    ],
)
def test_an_import_of_everything_is_known_from_the_rows(code, name):
    [use] = found(code)
    assert (use.name, use.guessed) == (name, True)


def test_nonlocal_binds_in_the_function_around():
    code = (
        "import torch\ndef f():\n    act = None\n    def g():\n        nonlocal act\n        act = torch.relu\n"
        "    def h(x):\n        return act(x)\n"
    )
    assert [use.name for use in found(code) if use.kind == "call"] == ["torch.relu"]


@pytest.mark.parametrize(
    "body",
    [
        "def f(a, xp):\n    return xp.reshape(a, (-1,)), xp.linalg.norm(a)",
        "def f(a):\n    ns = array_namespace(a)\n    return ns.any(a), ns.linalg.diag(a)",
        "def f(a, xp=None):\n    xp = array_namespace(a) if xp is None else xp\n    return xp.transpose(a, 0, 1)",
    ],
)
def test_functions_of_an_array_namespace_are_no_methods(body):
    assert methods(f"import torch\n{body}\n") == []


def test_what_an_array_namespace_returns_may_be_a_tensor():
    assert methods("import torch\ndef f(a, xp):\n    return xp.flip(a).flatten()\n") == [("Tensor.flatten", True)]


@pytest.mark.parametrize(
    ("bases", "expected"), [("nn.Module", "nn.Module.to"), ("Parent", "nn.Module.to"), ("object", "Tensor.to")]
)
def test_an_instance_of_a_layer_class_of_the_file_is_a_layer(bases, expected):
    code = f"from torch import nn\nclass Parent(nn.Linear): pass\nclass Net({bases}): pass\nnet1 = Net().to(d)\nnet1.to(d)\n"
    found = methods(code)
    assert [name for name, _ in found] == [expected] * 2
    assert all(by_name == (bases == "object") for _, by_name in found)


def test_a_class_that_is_its_own_base_ends():
    assert methods("from torch import nn\nclass A(A): pass\nA().to(d)\n") == [("Tensor.to", True)]


@pytest.mark.parametrize("owner", ["model", "tmodel", "self.model", "new_module", "net", "self.g_net", "a.layer"])
@pytest.mark.parametrize("call", ["to(d)", "half()", "cuda()", "modules()", "children()", "train(mode)"])
def test_what_is_named_like_a_layer_is_one_by_name(owner, call):
    name = f"nn.Module.{call.partition('(')[0]}"
    assert methods(f"import torch\ndef f(self, a):\n    {owner}.{call}\n") == [(name, True)]


def test_a_tensor_named_like_a_layer_is_a_tensor():
    assert methods("import torch\nlayer = torch.ones(2)\nlayer.to(d)\n") == [("Tensor.to", False)]
    assert methods("import torch\ndef f(model):\n    model.sum()\n") == [("Tensor.sum", True)]
    assert methods("import torch\ndef f(magnet, trainer):\n    magnet.to(d)\n    trainer.train(d)\n") == [
        ("Tensor.to", True)
    ]


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("opt", "optim.Optimizer"),
        ("self.d_opt", "optim.Optimizer"),
        ("self.optimizer", "optim.Optimizer"),
        ("sched", "optim.lr_scheduler.LRScheduler"),
        ("self.lr_scheduler", "optim.lr_scheduler.LRScheduler"),
        ("adopt", "nn.Module"),
    ],
)
@pytest.mark.parametrize("name", ["state_dict", "load_state_dict"])
def test_states_of_optimizers_and_schedulers_are_not_those_of_layers(owner, expected, name):
    assert methods(f"import torch\ndef f(self, a):\n    {owner}.{name}(a)\n") == [(f"{expected}.{name}", True)]


def test_a_submodule_that_is_set_is_found():
    assert methods("import torch\ndef f(model):\n    model.set_submodule('a.b', c)\n") == [
        ("nn.Module.set_submodule", True)
    ]
