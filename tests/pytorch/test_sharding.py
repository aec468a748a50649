"""Frozen weights divided between two processes: each holds its half, and they compute what they compute with the whole,
to the bit."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os

import numpy as np
import pytest

from common.generation.options import GenerationOptions
from common.generation.run import continue_tokens
from common.generation.stopping import Stopping
from common.launch.topology import find_topology
from common.tasks import TASKS
from tests.support import (
    TARGETS,
    assert_identical,
    free_port,
    make_batch,
    nonzero_values,
    plan_for,
    settings,
    tiny_spec,
)

backend = pytest.importorskip("pytorch_impl")
dist = pytest.importorskip("torch.distributed")
adapters = pytest.importorskip("pytorch_impl.rewrite").adapters
pytestmark = pytest.mark.needs_pytorch
FOUR_LAYERS = {"bert": {"num_hidden_layers": 4}, "gpt2": {"n_layer": 4}}


def build(kind, group, shard, **given):
    """An engine, and the bytes of its frozen parameters in this process when it is asked."""
    family = "gpt2" if kind == "other" else kind  # GPT-2 the way of any other network of `transformers`
    spec = tiny_spec(family, dropout=0.1, **FOUR_LAYERS["bert" if family == "bert" else "gpt2"])
    plan = plan_for(spec, TARGETS[family], dropout=0.1, bias="lora_only", **given)
    model = backend.build_model(dataclasses.replace(spec, layout=None) if kind == "other" else spec, "cpu")
    backend.rewrite(model, plan, nonzero_values(plan))
    engine = backend.Engine(model, plan, settings(shard=shard), group)

    def held():
        frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
        return sum(getattr(parameter, "to_local", lambda p=parameter: p)().nbytes for parameter in frozen)

    return engine, held


def work(rank, port, kind):
    """One of the two processes."""
    os.environ.update({"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"})
    os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
    group = backend.distributed.join(find_topology(os.environ), "cpu")
    (whole, held_whole), (shared, held) = (build(kind, group, shard) for shard in (False, True))
    batches = [
        make_batch("gpt2" if kind == "other" else kind, [7, 3, 9], seed) for seed in range(3)
    ]  # the second process is without work in round two
    sizes, meanwhile = [held()], []
    for layer in adapters(shared.model).values():
        layer.register_forward_pre_hook(lambda *_: meanwhile.append(held()))
    for micro_batches in (batches, batches[:1], batches[:2]):
        steps = [engine.fetch([engine.train_step(micro_batches, 1e-2)]) for engine in (whole, shared)]
        assert steps[0] == steps[1]
        sizes.append(held())
    assert_identical(shared.trainable(), whole.trainable())
    for batch in (*batches, TASKS.get(whole.model.task).ignored(batches[0])):
        results = [engine.eval_step(batch) for engine in (whole, shared)]
        assert results[0].loss_sum == results[1].loss_sum
        assert results[0].outputs.keys() == results[1].outputs.keys()
        assert all(np.array_equal(output, results[1].outputs[name]) for name, output in results[0].outputs.items())
        sizes.append(held())
    assert_identical(shared.gradients(batches), whole.gradients(batches))
    if kind == "gpt2":
        options = GenerationOptions(max_new_tokens=5, do_sample=True, use_cache=False)
        given = ([[3, 4], [5]], options, Stopping(frozenset({0})), 16, 4)
        texts = [continue_tokens(engine, *given) for engine in (whole, shared)]
        assert shared.decoder(16) is None
        assert texts[0] == texts[1]
    assert len(set(sizes)) == 1
    assert held() < max(meanwhile) < 0.9 * held_whole()  # one layer of four, and what is outside of the layers
    assert 0.45 < held() / held_whole() < 0.55, (held(), held_whole())
    assert {name for name, parameter in shared.model.named_parameters() if hasattr(parameter, "to_local")} == {
        name for name, parameter in shared.model.named_parameters() if not parameter.requires_grad
    }
    dist.destroy_process_group()  # at the end of a process that multiprocessing started, nothing registered with atexit runs


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["bert", "gpt2", "gpt2-classifier", "other"])
def test_each_of_two_processes_holds_half_and_they_compute_the_same(kind):
    """Through training steps of one to three micro-batches, evaluation, gradients and generation."""
    context, port = multiprocessing.get_context("spawn"), free_port()
    processes = [context.Process(target=work, args=(rank, port, kind)) for rank in "01"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]


def test_a_single_process_keeps_everything():
    engine, held = build("bert", backend.engine.ALONE, True)
    whole, held_whole = build("bert", backend.engine.ALONE, False)
    batch = make_batch("bert", [7, 3, 9])
    assert held() == held_whole()
    assert engine.eval_step(batch).loss_sum == whole.eval_step(batch).loss_sum
