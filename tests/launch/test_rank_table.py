"""Rank tables of both templates, complete or still being written."""

import json
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError, RunError
from common.launch.rank_table import Device, parse_rank_table, wait_for_rank_table
from tests.mutations import EXAMPLES, mutated
from tests.support import HANGS

SERVERS = {
    "version": "1.0",
    "server_count": "2",
    "server_list": [
        {
            "server_id": "10.0.0.2",
            "device": [
                {"device_id": "4", "device_ip": "192.0.2.3", "rank_id": "2"},
                {"device_id": "5", "rank_id": "3"},
            ],
        },
        {
            "server_id": "10.0.0.1",
            "device": [
                {"device_id": "0", "device_ip": "192.0.2.1", "rank_id": "0"},
                {"device_id": "1", "rank_id": "1"},
            ],
        },
    ],
    "status": "completed",
}
GROUPS = {
    "group_count": "1",
    "group_list": [
        {
            "group_name": "job-trainjob",
            "device_count": "4",
            "instance_count": "2",
            "instance_list": [
                {
                    "pod_name": "job-0",
                    "server_id": "10.0.0.1",
                    "devices": [{"device_id": "0", "device_ip": "192.0.2.1"}, {"device_id": "1"}],
                },
                {
                    "pod_name": "job-1",
                    "server_id": "10.0.0.2",
                    "devices": [{"device_id": "4", "device_ip": "192.0.2.3"}, {"device_id": "5"}],
                },
            ],
        }
    ],
    "status": "completed",
}
DEVICES = (
    Device(0, "10.0.0.1", 0, "192.0.2.1"),
    Device(1, "10.0.0.1", 1, None),
    Device(2, "10.0.0.2", 4, "192.0.2.3"),
    Device(3, "10.0.0.2", 5, None),
)


@pytest.mark.parametrize(("table", "template"), [(SERVERS, "server_list"), (GROUPS, "group_list")])
def test_both_templates_describe_the_same_cards(table, template):
    read = parse_rank_table(table, "table")
    assert (read.template, read.devices, read.servers) == (template, DEVICES, ("10.0.0.1", "10.0.0.2"))


def test_the_older_template_becomes_the_newer_one():
    converted = json.loads(parse_rank_table(GROUPS, "table").to_json())
    assert converted["server_count"] == "2"
    assert converted["server_list"][1] == SERVERS["server_list"][0]
    assert parse_rank_table(converted, "table").devices == DEVICES


@pytest.mark.parametrize(
    ("table", "mentioned"),
    [
        ({"status": "completed"}, "group_list"),
        ({"server_list": [{"server_id": "a", "device": []}]}, "0, 1, 2"),
        ({"server_list": [{"server_id": "a", "device": [{"device_id": "x", "rank_id": "0"}]}]}, "must be integers"),
        ({"server_list": [{"server_id": "a", "device": [{"device_id": "0", "rank_id": "1"}]}]}, r"\[1\]"),
        ({"group_list": [{"instance_list": [{"devices": [{"device_id": "0"}]}]}]}, "server_id"),
    ],
)
def test_a_table_that_is_none_is_refused(table, mentioned):
    with pytest.raises(InputError, match=mentioned):
        parse_rank_table(table, "table")


def test_the_table_is_waited_for_while_the_platform_writes_it(tmp_path):
    """The variable names a folder in custom images; the file appears empty, then half, then initializing, then
    complete."""
    file, text = tmp_path / "jobstart_hccl.json", json.dumps(SERVERS)

    def write():
        for content in ("", text[:40], "[]", json.dumps({"status": "initializing"}), text):
            time.sleep(0.05)
            file.write_text(content)

    writer = threading.Thread(target=write)
    writer.start()
    read = wait_for_rank_table(tmp_path, patience=HANGS, interval=0.01)
    writer.join()
    assert read.devices == DEVICES


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (None, "no file"),
        ('{"status": "comp', "half a file"),
        ('{"status": "initializing"}', "'initializing'"),
        ("[]", "no JSON object"),
    ],
)
def test_waiting_ends_and_says_what_was_seen(tmp_path, content, seen):
    file = tmp_path / "table.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(RunError, match=seen):
        wait_for_rank_table(file, patience=0.05, interval=0.01)


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data(), table=st.sampled_from([SERVERS, GROUPS]))
def test_a_mutated_table_is_read_or_refused(tmp_path_factory, data, table):
    file = tmp_path_factory.mktemp("table") / "table.json"
    file.write_text(json.dumps(data.draw(mutated(table))))
    try:
        read = wait_for_rank_table(file, patience=0, interval=0)
    except (InputError, RunError) as error:
        assert str(file) in str(error)  # noqa: PT017  (both outcomes are right)
    else:
        json.loads(read.to_json())
