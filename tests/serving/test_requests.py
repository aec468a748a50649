"""What a server answers and refuses, over real connections, with models that need no framework."""

from __future__ import annotations

import gc
import http.client
import json
import threading

import pytest

from tests.serving.models import Echo, serving, until

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def server():
    with serving(Echo(), max_body=2000, max_queue=8) as running:
        yield running


def test_texts_and_objects_are_answered_in_their_order(server):
    status, found = server.predict("ab", {"text": "abc"}, "a")
    assert (status, found["model"]) == (200, "echo")
    assert [answer["length"] for answer in found["answers"]] == [2, 3, 1]


def test_one_artifact_needs_no_name(server):
    assert server.ask("POST", "/predict", {"inputs": ["ab"]})[:2] == server.predict("ab")


@pytest.mark.parametrize("text", ["é", "你好", "🙂" * 20, "a\u0000b", "\u202eabc", "line\nline", '"\\', "ﷺ"])
def test_text_of_any_script_comes_back_as_it_was_sent(server, text):
    status, found = server.predict(text)
    assert status == 200
    assert found["answers"] == [{"text": text.strip(), "length": len(text.strip())}]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "must be JSON"),
        (b"{", "must be JSON"),
        (b"\xff\xfe", "must be UTF-8"),
        (b'{"inputs": [NaN]}', "NaN is no number in JSON"),
        (b'{"inputs": ["a"], "inputs": ["b"]}', "given twice"),
        (b'{"inputs": ["\\ud800"]}', "incomplete Unicode character"),
        (b"[" * 300 + b"]" * 300, "nested more than 100 levels"),
        (b"[]", "must be an object"),
        (b"{}", "lacks 'inputs'"),
        (b'{"inputs": "a"}', "inputs must be a list"),
        (b'{"inputs": []}', "must hold 1 to 8 texts; received 0"),
        (b'{"inputs": ["a", 1]}', "inputs[1]: a text or an object was expected; received int"),
        (b'{"inputs": [null]}', "inputs[0]: a text or an object was expected; received NoneType"),
        (b'{"inputs": ["a", " "]}', "inputs[1]: a text was expected"),
        (b'{"inputs": [""]}', "inputs[0]: a text was expected"),
        (b'{"inputs": [{"text": 3}]}', "inputs[0]: a text was expected"),
        (b'{"inputs": [{"txt": "a"}]}', "an object with text was expected; found one with txt. Nearest: txt."),
        (b'{"inputs": ["a"], "input": 1}', "no entry 'input'"),
        (b'{"inputs": ["a"], "options": []}', "options must be an object"),
        (b'{"inputs": ["a"], "options": {"seed": 1}}', "options are of models that write texts"),
        (json.dumps({"inputs": ["a"] * 9}).encode(), "must hold 1 to 8 texts; received 9"),
    ],
)
def test_a_request_of_another_form_is_refused_with_what_to_correct(server, body, said):
    status, found, headers = server.ask("POST", "/predict/echo", body)
    assert (status, headers["content-type"]) == (400, "application/json")
    assert said in found["error"]
    assert server.predict("ab")[0] == 200


def test_an_input_that_the_model_refuses_is_named(server):
    status, found = server.predict("a", "refused")
    assert (status, found) == (400, {"error": "the request, inputs[1]: This text cannot be read. Send another."})


def test_a_model_that_raises_leaves_the_server_and_the_others_alone(server, capfd):
    status, found = server.predict("fails")
    assert status == 500
    assert "The model failed with ValueError" in found["error"]
    assert "a fault of the model" not in found["error"]
    assert "a fault of the model" in capfd.readouterr().err
    assert server.predict("ab")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("POST", "/predict/ehco", 404, "Nearest: echo"),
        ("GET", "/predict/echo", 405, "received GET /predict/echo"),
        ("GET", "/nowhere", 404, "received GET /nowhere"),
        ("POST", "/health", 405, "received POST /health"),
        ("POST", "/predict/a/b", 404, "received POST"),
    ],
)
def test_an_address_that_is_not_there_is_answered_with_those_that_are(server, method, path, status, said):
    found = server.ask(method, path, {"inputs": ["a"]} if method == "POST" else None)
    assert (found[0], found[2]["content-type"]) == (status, "application/json")
    assert said in found[1]["error"]


def test_another_content_type_is_refused():
    """A page in a browser can send a form to this machine without asking, and JSON not."""
    with serving(Echo()) as server:
        found = server.ask("POST", "/predict/echo", {"inputs": ["a"]}, Content_Type="text/plain")
        assert found[0] == 415
        assert "application/json" in found[1]["error"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
def test_a_name_of_another_machine_is_refused(server, host):
    assert server.ask("GET", "/health", Host=host)[0] == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_the_names_of_this_machine_are_answered(server, host):
    assert server.ask("GET", "/health", Host=host)[:2] == (200, {"status": "ok"})


def test_a_body_that_says_to_be_too_long_is_refused_before_it_is_sent(server):
    with server.connect() as connection:
        head = "POST /predict/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {10**12}\r\n\r\n".encode())
        found = http.client.HTTPResponse(connection)
        found.begin()
        assert (found.status, found.getheader("connection")) == (413, "close")
        assert "at most 2,000 bytes" in json.loads(found.read())["error"]


def test_a_body_that_grows_too_long_is_refused(server):
    with server.connect() as connection:
        head = "POST /predict/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        connection.sendall(b"7d1\r\n" + b" " * 2001 + b"\r\n")
        found = http.client.HTTPResponse(connection)
        found.begin()
        assert found.status == 413
    assert server.predict("ab")[0] == 200


def test_a_slow_client_is_given_up_and_keeps_nobody_waiting():
    with serving(Echo(), read_timeout=0.5) as server, server.connect() as slow:
        head = "POST /predict/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        slow.sendall(f'{head}Content-Length: 100\r\n\r\n{{"inputs"'.encode())
        assert server.predict("ab")[0] == 200
        found = http.client.HTTPResponse(slow)
        found.begin()
        assert found.status == 408
        assert "within 0.5 s" in json.loads(found.read())["error"]


def test_a_client_that_leaves_is_not_computed_for(caplog):
    model = Echo()
    with serving(model, max_wait=0.0) as server:
        model.go.clear()
        first = threading.Thread(target=server.predict, args=("first",))
        first.start()
        until(lambda: server.application._batchers["echo"].waiting == 1)
        with server.connect() as leaving:
            body = b'{"inputs": ["leaving"]}'
            head = "POST /predict/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            leaving.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            until(lambda: server.application._batchers["echo"].waiting == 2)
        until(lambda: server.application.responses[499] == 1)
        model.go.set()
        first.join()
        assert server.predict("last")[0] == 200
        assert ["leaving"] not in model.batches
        assert server.ask("GET", "/metrics")[1]["models"]["echo"]["gone"] == 1
    gc.collect()
    assert "never retrieved" not in caplog.text, "asyncio writes so of an exception that nobody asked for"


def test_a_full_queue_is_refused_with_when_to_come_again():
    model = Echo(rows=1)
    with serving(model, max_queue=3) as server:
        model.go.clear()
        waiting = [threading.Thread(target=server.predict, args=(f"text {i}",)) for i in range(3)]
        for one in waiting:
            one.start()
        until(lambda: server.application._batchers["echo"].waiting == 3)
        status, found, headers = server.ask("POST", "/predict/echo", {"inputs": ["more"]})
        assert (status, headers["retry-after"]) == (503, "1")
        assert "At most 3 texts may wait for echo" in found["error"]
        assert server.ask("GET", "/ready")[:2] == (503, {"status": "queue full"})
        assert server.ask("GET", "/health")[0] == 200
        model.go.set()
        for one in waiting:
            one.join()
        assert server.ask("GET", "/ready")[:2] == (200, {"status": "ready"})
        assert server.predict("more")[0] == 200


def test_texts_whose_clients_have_left_make_room():
    model = Echo(rows=1)
    with serving(model, max_queue=3) as server:
        model.go.clear()
        first = threading.Thread(target=server.predict, args=("first",))
        first.start()
        batcher = server.application._batchers["echo"]
        until(lambda: batcher._computing == 1)
        for number in (2, 3):
            body = json.dumps({"inputs": [f"text {number}"]}).encode()
            head = "POST /predict/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            with server.connect() as leaving:
                leaving.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                until(lambda number=number: len(batcher._queue) == number - 1)
            until(lambda number=number: sum(one.answer.cancelled() for one in batcher._queue) == number - 1)
        assert server.ask("GET", "/ready")[:2] == (200, {"status": "ready"})
        later = threading.Thread(target=server.predict, args=("later",))
        later.start()
        until(lambda: len(batcher._queue) == 1)
        model.go.set()
        for one in (first, later):
            one.join()
        assert model.batches == [["first"], ["later"]]
        assert server.ask("GET", "/metrics")[1]["models"]["echo"]["gone"] == 2


def test_texts_that_wait_together_are_computed_together_and_answered_apart():
    model = Echo(rows=4)
    with serving(model, max_wait=0.0) as server:
        model.go.clear()
        found = {}
        threads = [
            threading.Thread(target=lambda i=i: found.update({i: server.predict("x" * i)})) for i in range(1, 10)
        ]
        for thread in threads:
            thread.start()
        until(lambda: server.application._batchers["echo"].waiting == 9)
        model.go.set()
        for thread in threads:
            thread.join()
        assert all(found[i][1]["answers"] == [{"text": "x" * i, "length": i}] for i in found)
        assert len(found) == 9
        assert len(model.batches) < 9
        assert max(map(len, model.batches)) > 1


def test_two_artifacts_of_different_tasks_are_asked_by_name():
    with serving(Echo("films"), Echo("books", task="language-modeling")) as server:
        assert server.predict("ab", name="films")[1]["model"] == "films"
        assert server.predict("ab", name="books", options={"max_new_tokens": 3})[1]["model"] == "books"
        status, found, _ = server.ask("POST", "/predict", {"inputs": ["a"]})
        assert (status, "one of films, books" in found["error"]) == (404, True)
        status, found = server.predict("ab", name="books", options={"num_beams": 1000})
        assert (status, "num_beams must be at most 64" in found["error"]) == (400, True)
        for endless in ({"max_new_tokens": 10**9}, {"min_new_tokens": 10**9}):
            status, found = server.predict("ab", name="books", options={"slide": True, **endless})
            assert (status, "with slide a text has at most 4096 tokens" in found["error"]) == (400, True)
        status, found = server.predict("ab", name="books", options={"tempreature": 1})
        assert (status, "Nearest: temperature" in found["error"]) == (400, True)
        listed = server.ask("GET", "/models")[1]["models"]
        assert [listed[name]["task"] for name in ("films", "books")] == ["sequence-classification", "language-modeling"]


def test_metrics_count_what_was_answered():
    with serving(Echo()) as server:
        before = server.ask("GET", "/metrics")[1]
        assert before["models"]["echo"]["latency_seconds"]["median"] is None
        server.predict("a", "b")
        server.predict("fails")
        server.predict("")
        found = server.ask("GET", "/metrics")[1]
        assert {name: found["responses"][name] for name in ("400", "500")} == {"400": 1, "500": 1}
        counted = found["models"]["echo"]
        assert (counted["texts"], counted["failed"], counted["waiting"]) == (3, 1, 0)
        latency = counted["latency_seconds"]
        assert 0 < latency["median"] <= latency["p95"] <= latency["p99"] <= latency["largest"]


def test_what_was_accepted_is_answered_when_the_server_ends_and_what_comes_later_is_refused():
    model = Echo(rows=2)
    with serving(model) as server:
        model.go.clear()
        found = []
        accepted = [threading.Thread(target=lambda i=i: found.append(server.predict("x" * i))) for i in range(1, 8)]
        for one in accepted:
            one.start()
        until(lambda: server.application._batchers["echo"].waiting == 7)
        server.stop()
        until(lambda: server.application.ending)
        with pytest.raises(ConnectionError):
            until(lambda: server.predict("late") is None)
        model.go.set()
        for one in accepted:
            one.join()
        server.wait()
    assert sorted(status for status, _ in found) == [200] * 7
    assert sorted(answer["answers"][0]["length"] for _, answer in found) == [1, 2, 3, 4, 5, 6, 7]


def test_a_server_does_not_wait_longer_than_its_grace():
    model = Echo()
    with serving(model, grace=1.0) as server:
        model.go.clear()
        found = []
        late = threading.Thread(target=lambda: found.append(server.predict("a")))
        late.start()
        until(lambda: server.application._batchers["echo"].waiting == 1)
        server.stop()
        late.join()
        assert (found[0][0], "waited no longer than 1 s" in found[0][1]["error"]) == (503, True)
        model.go.set()
