"""transformers' own model files, unmodified, on the surface: what torch computes, a placeholder, or an error."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")
pytest.importorskip("peft")

from common.errors import InputError
from mindspore_impl import torch_api
from mindspore_impl.torch_api.absent import Absent, absent_module
from tests.mindspore.porting.transformers_compared import compared, run_program
from tests.mindspore.porting.transformers_program import MODELS
from tests.tolerances import SURFACE, SURFACE_TRAINING

IN_TIME = ("bert", "gpt2")


def _holds(folder, name: str) -> None:
    found = compared(folder, name)
    training = found.pop("training")
    assert training <= SURFACE_TRAINING, (name, training)
    assert all(value <= SURFACE for value in found.values()), (name, found)


@pytest.mark.nightly
def test_bert_and_gpt2_load_compute_train_and_generate_as_with_torch(tmp_path):
    for framework in ("torch", "surface"):
        run_program(framework, tmp_path, "--models", *IN_TIME, "--steps", "3", timeout=600)
    for name in IN_TIME:
        _holds(tmp_path, name)


@pytest.mark.nightly
@pytest.mark.parametrize("name", MODELS)
def test_every_family_also_compiled_and_trained_for_fifty_steps(name, tmp_path):
    for framework in ("torch", "surface"):
        run_program(framework, tmp_path, "--models", name, "--compile")
    _holds(tmp_path, name)


def test_install_is_refused_where_torch_was_imported():
    with pytest.raises(InputError, match="must come before anything imports torch"):
        torch_api.install()


def test_a_placeholder_can_be_named_and_inherited_from_and_is_refused_when_called():
    mesh = absent_module("torch.distributed").device_mesh.DeviceMesh
    assert not isinstance(3, mesh)
    assert (mesh | None) is None
    assert mesh["x"] is mesh
    assert mesh == Absent("torch.distributed.device_mesh.DeviceMesh")

    class Model(dict, mesh):
        def both(self, other: mesh | None = None):
            return super().get("a")

    assert Model.__mro__ == (Model, dict, object)
    assert Model(a=1).both() == 1
    with pytest.raises(NotImplementedError, match=r"torch\.distributed\.device_mesh\.DeviceMesh is not available"):
        mesh("cpu", (1,))
