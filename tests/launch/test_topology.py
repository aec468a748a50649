"""Environments of every launcher, and what they mean. The address of a host name is its length, so that a name that was
not resolved is seen."""

import dataclasses

import pytest

from common.errors import InputError
from common.launch.topology import READ, Topology, find_topology, resolve_host

RTF = {"RANK_TABLE_FILE": "/user/config/jobstart_hccl.json"}
MODELARTS = {
    "MA_NUM_HOSTS": "1",
    "MA_NUM_GPUS": "1",
    "MA_TASK_NAME": "worker",
    "VC_TASK_INDEX": "0",
    "VC_WORKER_HOSTS": "job-worker-0",
    "VC_WORKER_NUM": "1",
}
TWO_NODES = {"MA_NUM_HOSTS": "2", "MA_NUM_GPUS": "8", "VC_WORKER_HOSTS": "first,second.svc", "VC_WORKER_NUM": "2"}
MSRUN = {
    "MS_ROLE": "MS_WORKER",
    "MS_WORKER_NUM": "8",
    "RANK_SIZE": "8",
    "MS_SCHED_HOST": "127.0.0.1",
    "MS_SCHED_PORT": "8118",
}
TORCHRUN = {
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "8",
    "GROUP_RANK": "0",
    "MASTER_ADDR": "node-a",
    "MASTER_PORT": "29500",
}
UNSET = ("RANK_TABLE_FILE",)


def resolve(host):
    if host.startswith("nowhere"):
        raise OSError("unknown")
    return host if host[0].isdigit() else f"10.0.0.{len(host)}"


def table(rank, size):
    return {**RTF, "RANK_ID": str(rank), "RANK_SIZE": str(size)}


RIGHT = {
    "nothing at all": ({}, Topology("local")),
    "a stray rank table": (RTF, Topology("local", unset=UNSET)),
    "empty variables count as unset": ({"RANK_ID": "", "MA_NUM_HOSTS": " "}, Topology("local")),
    "rank table, 1 x 1": (MODELARTS | table(0, 1) | {"ASCEND_DEVICE_ID": "0"}, Topology("rank_table", unset=UNSET)),
    "rank id without a table, one card": ({"RANK_ID": "0", "RANK_SIZE": "1"}, Topology("rank_table")),
    "rank table, 1 x 8, rank 3": (
        MODELARTS | {"MA_NUM_GPUS": "8"} | table(3, 8) | {"ASCEND_DEVICE_ID": "3", "DEVICE_ID": "3"},
        Topology("rank_table", 1, 0, 8, 3, 3, 8),
    ),
    "rank table, 2 x 8, rank 11, no device id": (
        TWO_NODES | table(11, 16) | {"VC_TASK_INDEX": "1"},
        Topology("rank_table", 2, 1, 8, 11, 3, 16),
    ),
    "rank table, cards not counted by the platform": (
        table(1, 2) | {"MA_NUM_GPUS": "0"},
        Topology("rank_table", 1, 0, 2, 1, 1, 2),
    ),
    "custom image, 1 x 1": (
        MODELARTS | {"RANK_TABLE_FILE": "/user/config"},
        Topology("custom_image", master_address="127.0.0.1", master_port=8118, unset=UNSET),
    ),
    "custom image, MA_NUM_GPUS=0: the CPU": (
        MODELARTS | {"MA_NUM_GPUS": "0"},
        Topology("custom_image", master_address="127.0.0.1", master_port=8118),
    ),
    "custom image, 1 x 8": (
        MODELARTS | {"MA_NUM_GPUS": "8"},
        Topology("custom_image", 1, 0, 8, 0, 0, 8, "127.0.0.1", 8118),
    ),
    "custom image, one node has no index": (
        {"MA_NUM_GPUS": "2", "VC_TASK_INDEX": "7"},
        Topology("custom_image", 1, 0, 2, 0, 0, 2, "127.0.0.1", 8118),
    ),
    "custom image, 2 x 8, node 1, host name": (
        TWO_NODES | {"VC_TASK_INDEX": "1", "RANK_TABLE_FILE": "/user/config"},
        Topology("custom_image", 2, 1, 8, 8, 0, 16, "10.0.0.5", 8118, unset=UNSET),
    ),
    "custom image, hosts with ports and spaces, port chosen": (
        TWO_NODES | {"VC_TASK_INDEX": "0", "VC_WORKER_HOSTS": " 1.2.3.4:6666, second:6666", "MASTER_PORT": "9000"},
        Topology("custom_image", 2, 0, 8, 0, 0, 16, "1.2.3.4", 9000),
    ),
    "msrun, worker 3 of 8": (
        MSRUN | {"MS_NODE_ID": "3", "RANK_ID": "3", "DEVICE_ID": "3"},
        Topology("msrun", 1, 0, 8, 3, 3, 8, "127.0.0.1", 8118),
    ),
    "msrun, node 1 of 2, a rank table lying about": (
        MSRUN
        | TWO_NODES
        | RTF
        | {"MS_WORKER_NUM": "16", "RANK_SIZE": "16", "MS_NODE_ID": "9", "RANK_ID": "9", "DEVICE_ID": "1"},
        Topology("msrun", 2, 1, 8, 9, 1, 16, "127.0.0.1", 8118, unset=UNSET),
    ),
    "msrun, started by the platform": (
        MSRUN
        | MODELARTS
        | {"MA_RUN_METHOD": "msrun", "MA_NUM_GPUS": "8", "MS_NODE_ID": "0", "RANK_ID": "0", "DEVICE_ID": "0"},
        Topology("msrun", 1, 0, 8, 0, 0, 8, "127.0.0.1", 8118),
    ),
    "msrun, one worker": (
        MSRUN | {"MS_WORKER_NUM": "1", "RANK_SIZE": "1", "MS_SCHED_HOST": "node-a"},
        Topology("msrun", 1, 0, 1, 0, 0, 1, "10.0.0.6", 8118),
    ),
    "msrun, scheduler": (
        MSRUN | {"MS_ROLE": "MS_SCHED", "RANK_ID": "0"},
        Topology("msrun", 1, 0, 8, 0, 0, 8, "127.0.0.1", 8118, scheduler=True),
    ),
    "torchrun, rank 5 of 8": (
        TORCHRUN | {"RANK": "5", "LOCAL_RANK": "5"},
        Topology("torchrun", 1, 0, 8, 5, 5, 8, "10.0.0.6", 29500),
    ),
    "torchrun, 2 x 4 on ModelArts, rank 6": (
        TORCHRUN
        | TWO_NODES
        | RTF
        | {"RANK": "6", "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "4", "GROUP_RANK": "1", "MA_RUN_METHOD": "torchrun"},
        Topology("torchrun", 2, 1, 4, 6, 2, 8, "10.0.0.6", 29500, unset=UNSET),
    ),
}

WRONG = {
    "hosts missing": (
        {**TWO_NODES, "VC_TASK_INDEX": "1", "VC_WORKER_HOSTS": ""},
        ["MA_NUM_HOSTS=2", "VC_WORKER_HOSTS is not set"],
    ),
    "too few hosts": (TWO_NODES | {"VC_TASK_INDEX": "1", "VC_WORKER_HOSTS": "first"}, ["VC_WORKER_HOSTS=first"]),
    "unknown host": (
        TWO_NODES | {"VC_TASK_INDEX": "1", "VC_WORKER_HOSTS": "nowhere,second"},
        ["VC_WORKER_HOSTS", "nowhere: unknown"],
    ),
    "no index among several nodes": (TWO_NODES, ["VC_TASK_INDEX is not set"]),
    "an index beyond the nodes": (TWO_NODES | {"VC_TASK_INDEX": "2"}, ["VC_TASK_INDEX=2", "MA_NUM_HOSTS=2"]),
    "two counts of nodes": (
        TWO_NODES | {"VC_TASK_INDEX": "0", "VC_WORKER_NUM": "3"},
        ["MA_NUM_HOSTS=2", "VC_WORKER_NUM=3"],
    ),
    "no number": ({"MA_NUM_GPUS": "eight"}, ["MA_NUM_GPUS=eight"]),
    "no node": ({"MA_NUM_HOSTS": "0"}, ["MA_NUM_HOSTS=0"]),
    "a parameter server": ({"MA_TASK_NAME": "ps"}, ["MA_TASK_NAME=ps"]),
    "promised processes that were not started": (
        MODELARTS | {"MA_RUN_METHOD": "msrun"},
        ["MA_RUN_METHOD=msrun", "MS_ROLE is not set"],
    ),
    "rank beyond the size": (table(8, 8), ["RANK_ID=8", "RANK_SIZE=8"]),
    "size without rank": (RTF | {"RANK_SIZE": "8"}, ["RANK_ID is not set"]),
    "device id without rank: a process per card, but which?": (
        MODELARTS | {"MA_NUM_GPUS": "8", "ASCEND_DEVICE_ID": "3"},
        ["RANK_ID is not set"],
    ),
    "several ranks, no table": ({"RANK_ID": "0", "RANK_SIZE": "8"}, ["RANK_SIZE=8", "RANK_TABLE_FILE is not set"]),
    "fewer processes than cards": (MODELARTS | {"MA_NUM_GPUS": "8"} | table(0, 4), ["RANK_SIZE=4", "MA_NUM_GPUS=8"]),
    "cards that nodes cannot share": (table(0, 7) | {"MA_NUM_HOSTS": "2"}, ["RANK_SIZE=7", "MA_NUM_HOSTS=2"]),
    "a card of another node": (TWO_NODES | table(11, 16) | {"ASCEND_DEVICE_ID": "11"}, ["ASCEND_DEVICE_ID=11"]),
    "two launchers": (MSRUN | TORCHRUN | {"RANK": "0", "LOCAL_RANK": "0"}, ["MS_ROLE=MS_WORKER", "LOCAL_RANK=0"]),
    "msrun without --node_rank": (MSRUN | {"RANK_ID": "0", "DEVICE_ID": "3"}, ["MS_NODE_ID is not set"]),
    "msrun, two ranks": (MSRUN | {"MS_NODE_ID": "3", "RANK_ID": "5", "DEVICE_ID": "3"}, ["MS_NODE_ID=3", "RANK_ID=5"]),
    "msrun, two sizes": (MSRUN | {"RANK_SIZE": "4", "MS_NODE_ID": "0"}, ["RANK_SIZE=4", "MS_WORKER_NUM=8"]),
    "msrun, several nodes not declared": (
        MSRUN | {"MS_WORKER_NUM": "16", "RANK_SIZE": "16", "MS_NODE_ID": "9", "DEVICE_ID": "1"},
        ["DEVICE_ID=1", "MA_NUM_HOSTS is not set"],
    ),
    "msrun, a parameter server": (MSRUN | {"MS_ROLE": "MS_PSERVER"}, ["MS_ROLE=MS_PSERVER"]),
    "torchrun, wrong place on its node": (TORCHRUN | {"RANK": "5", "LOCAL_RANK": "4"}, ["RANK=5", "LOCAL_RANK=4"]),
    "torchrun, wrong group": (TORCHRUN | {"RANK": "5", "LOCAL_RANK": "5", "GROUP_RANK": "1"}, ["GROUP_RANK=1"]),
    "torchrun, another rank in the rank table": (
        TORCHRUN | {"RANK": "5", "LOCAL_RANK": "5", "RANK_ID": "4"},
        ["RANK=5", "RANK_ID=4"],
    ),
    "torchrun, another number of nodes": (
        TORCHRUN | {"RANK": "5", "LOCAL_RANK": "5", "MA_NUM_HOSTS": "2"},
        ["MA_NUM_HOSTS=2", "WORLD_SIZE=8"],
    ),
    "torchrun without its size": ({"RANK": "0", "LOCAL_RANK": "0"}, ["WORLD_SIZE is not set"]),
    "torchrun without its local rank": ({"RANK": "1", "WORLD_SIZE": "2"}, ["RANK=1", "LOCAL_RANK is not set"]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_an_environment_has_one_meaning(name):
    environ, expected = RIGHT[name]
    assert find_topology(environ, resolve) == expected


@pytest.mark.parametrize("name", WRONG)
def test_a_contradiction_names_its_variables(name):
    environ, mentioned = WRONG[name]
    with pytest.raises(InputError) as caught:
        find_topology(environ, resolve)
    assert [text for text in (*mentioned, "What to do:") if text not in str(caught.value)] == []


def test_only_a_custom_image_with_several_processes_starts_any():
    spawning = {name for name, (environ, _) in RIGHT.items() if find_topology(environ, resolve).spawns}
    assert spawning == {
        name for name, (_, expected) in RIGHT.items() if expected.mode == "custom_image" and expected.world_size > 1
    }
    assert len(spawning) == 4


def test_every_rank_of_a_job_is_somebody():
    found = [find_topology(TWO_NODES | table(rank, 16), resolve) for rank in range(16)]
    assert [(topology.node_rank, topology.local_rank) for topology in found] == [
        (node, card) for node in range(2) for card in range(8)
    ]


def test_what_is_read_is_declared():
    """``env.json`` shows the variables of READ and no others, so that no secret gets there."""

    class Watched(dict):
        def items(self):
            return [(name, value) for name, value in super().items() if name in READ]

    for environ, expected in RIGHT.values():
        assert find_topology(Watched(environ), resolve) == expected
    with pytest.raises(dataclasses.FrozenInstanceError):
        expected.rank = 1


def test_addresses_and_this_machine_are_resolved():
    assert resolve_host("192.0.2.7") == "192.0.2.7"
    assert resolve_host("[::1]") == "::1"
    assert resolve_host("localhost").startswith("127.")


def test_a_host_that_is_still_starting_is_asked_for_again(monkeypatch):
    answers = iter([OSError("not yet"), OSError("not yet"), "10.1.1.1"])

    def answer(host):
        value = next(answers)
        if isinstance(value, OSError):
            raise value
        return value

    monkeypatch.setattr("common.launch.topology.socket.gethostbyname", answer)
    monkeypatch.setattr("common.launch.topology.time.sleep", lambda seconds: None)
    assert resolve_host("late") == "10.1.1.1"
    answers = iter([OSError("never")] * 3)
    with pytest.raises(OSError, match="never"):
        resolve_host("never", patience=-1)
