"""The mirror rule, read off the source: it holds on a machine that has neither framework."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import common

ROOT = Path(common.__file__).resolve().parents[1]
#: Folders and modules without a counterpart: shims, and what converted programs call, of which torch needs none; programs
#: that are measured against, each in the backend of its framework; the blocks of native networks; what touches the insides
#: of transformers, reads the databases of torch's own tests, rounds the float64 reference at random, or fills the memory
#: of MindSpore's allocator.
ALONE = (
    *("shims/", "torch_api/", "porting/", "blocks/", "peers/", "hf_bridge/"),
    *("mapping_peer.py", "mapping_memory.py", "random_rounding.py"),
)
ONE_SIDED = {"Group.shard"}  #: what a backend may lack, as its capabilities say
CLASSES_OF_TORCH = "layers/modules.py"  #: whose names are torch's own classes on one side


def files(backend: str) -> list[str]:
    """The modules of a backend that have a counterpart in the other."""
    found = sorted(path.relative_to(ROOT / backend).as_posix() for path in (ROOT / backend).rglob("*.py"))
    return [file for file in found if not file.startswith(ALONE)]


FILES = files("pytorch_impl")
FUNCTIONAL = ("activation", "convolution", "loss", "network", "normalization", "softmax")
ADAPTERS = [f"shims/{name}.py" for name in FUNCTIONAL if (ROOT / f"mindspore_impl/shims/{name}.py").exists()]
TWIN_METHODS = {"construct": "forward"}  # what a module's call runs


def parse(backend: str, file: str) -> ast.Module:
    return ast.parse((ROOT / backend / file).read_text(encoding="utf-8"))


def exported(tree: ast.Module) -> list[str]:
    """``__all__``, in order; a package that only extends its path for plugins exports its modules."""
    assigned = {
        getattr(t, "id", ""): node.value for node in tree.body if isinstance(node, ast.Assign) for t in node.targets
    }
    if "__all__" not in assigned and "__path__" in assigned:
        return ["__path__"]
    # starred: names that come from the registry
    return [name.value if isinstance(name, ast.Constant) else ast.unparse(name) for name in assigned["__all__"].elts]


def arguments(function: ast.FunctionDef) -> tuple:
    """Argument names in order, how each may be given, and which have a default."""
    given = function.args
    return (
        [a.arg for a in given.posonlyargs + given.args],
        given.vararg and given.vararg.arg,
        [a.arg for a in given.kwonlyargs],
        given.kwarg and given.kwarg.arg,
        [ast.unparse(value) for value in given.defaults],
        [value and ast.unparse(value) for value in given.kw_defaults],
        [
            ast.unparse(decorator)
            for decorator in function.decorator_list
            if not ast.unparse(decorator).startswith("torch.")
        ],
    )


def is_property(method: ast.FunctionDef) -> bool:
    return any(
        ast.unparse(decorator) == "property" or ast.unparse(decorator).endswith(".setter")
        for decorator in method.decorator_list
    )


def signatures(tree: ast.Module) -> dict[str, tuple]:
    """Signatures of public functions, and of the public methods and constructors of public classes, written here."""
    found = {}
    public = set(exported(tree))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in public:
            found[node.name] = arguments(node)
        elif isinstance(node, ast.ClassDef) and node.name in public:
            for method in node.body:
                if (
                    isinstance(method, ast.FunctionDef)
                    and (method.name == "__init__" or not method.name.startswith("_"))
                    and not is_property(method)
                ):
                    found[f"{node.name}.{TWIN_METHODS.get(method.name, method.name)}"] = arguments(method)
    return found


def members(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Of the public classes written here: public methods and properties; and these with the attributes that
    ``__init__`` sets."""
    offered, known = set(), set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in exported(tree):
            methods = [method for method in node.body if isinstance(method, ast.FunctionDef)]
            offered |= {
                f"{node.name}.{TWIN_METHODS.get(method.name, method.name)}"
                for method in methods
                if not method.name.startswith("_")
            }
            targets = [
                t
                for method in methods
                if method.name == "__init__"
                for t in ast.walk(method)
                if isinstance(t, ast.Attribute)
            ]
            known |= {f"{node.name}.{t.attr}" for t in targets if isinstance(t.ctx, ast.Store)}
    return offered, known | offered


def differences(first: dict, second: dict) -> list[str]:
    """Signatures that stand on both sides and differ; what one side imports under the name stands on that side only."""
    return [
        f"{name}: {first[name]} / {second[name]}"
        for name in sorted(first.keys() & second.keys())
        if first[name] != second[name]
    ]


def test_both_backends_have_the_same_files():
    """Only MindSpore needs shims, functions that do what torch's own do; a peer uses the framework that it was made
    for."""
    assert files("mindspore_impl") == FILES
    assert len(FILES) >= 12


@pytest.mark.parametrize("file", FILES)
def test_twins_export_the_same_names_in_the_same_order(file):
    names = exported(parse("pytorch_impl", file))
    assert names == exported(parse("mindspore_impl", file))
    assert names, "a module without public names has no contract"


@pytest.mark.parametrize("file", [file for file in FILES if file != CLASSES_OF_TORCH])
def test_twins_take_the_same_arguments(file):
    assert differences(*(signatures(parse(backend, file)) for backend in ("pytorch_impl", "mindspore_impl"))) == []


@pytest.mark.parametrize("file", [file for file in FILES if file != CLASSES_OF_TORCH])
def test_what_a_public_class_offers_its_twin_has(file):
    (first, first_known), (second, second_known) = (
        members(parse(backend, file)) for backend in ("pytorch_impl", "mindspore_impl")
    )
    assert first - second_known - ONE_SIDED == set()
    assert second - first_known == set()


@pytest.mark.parametrize("file", FILES)
def test_the_twin_says_whose_mirror_it_is(file):
    module = ".".join(["pytorch_impl", *Path(file).with_suffix("").parts]).removesuffix(".__init__")
    docstring = ast.get_docstring(parse("mindspore_impl", file)) or ""
    assert docstring.startswith(f"Mirrors {module}"), docstring[:80]
    assert docstring.removeprefix(f"Mirrors {module}")[0] in ";."
    assert ast.get_docstring(parse("pytorch_impl", file))


def test_the_operators_written_on_one_side_follow_the_arguments_of_torch():
    """Where the PyTorch backend re-exports torch's function, the counterpart's leading arguments carry torch's
    names."""
    functional = pytest.importorskip("torch.nn.functional")
    import inspect

    compared = 0
    for node in [node for file in ADAPTERS for node in parse("mindspore_impl", file).body]:
        theirs = getattr(functional, getattr(node, "name", ""), None)
        if isinstance(node, ast.FunctionDef) and theirs is not None:
            try:
                names = list(inspect.signature(theirs).parameters)
            except ValueError:  # built in: its text signature starts the docstring
                names = [
                    part.split("=")[0].strip(" *\n")
                    for part in theirs.__doc__.strip().split("(", 1)[1].split(")")[0].split(",")
                ]
            ours = arguments(node)[0]
            known = [name for name in names if name in ours]
            assert known == ours, f"{node.name}: {ours}, torch has {names}"
            compared += 1
    assert compared >= 6


def test_a_planted_difference_is_seen():
    ours = ast.parse(
        '__all__ = ["C", "f"]\ndef f(a, b=1): ...\nclass C:\n    def forward(self, x): ...\n    def _hidden(self): ...'
    )
    twin = ast.parse(
        '__all__ = ["C", "f"]\ndef f(b, a=1): ...\nclass C:\n    def construct(self, y): ...\n    def _other(self): ...'
    )
    assert len(differences(signatures(ours), signatures(twin))) == 2
    assert differences(signatures(ours), signatures(ours)) == []
    assert set(signatures(twin)) == {"f", "C.forward"}
