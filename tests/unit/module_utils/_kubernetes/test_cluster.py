# SPDX-License-Identifier: Apache-2.0
"""One namespace through the real client: what a server answers, and what keeps it from answering, in one line."""

import json
import socket
import ssl
import subprocess
import sys
import threading

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from tests.unit.http_answers import ITEMS, kubeconfig, served, status
from tests.unit.ports import unheard

SELECTOR = "madctl.dev/run=x"


@pytest.fixture
def serving(tmp_path):
    """Return a function that serves, and the cluster that is reached there."""
    open_servers = []

    def serve(answer):
        manager = served(answer if callable(answer) else lambda _: answer)
        server = manager.__enter__()
        open_servers.append(manager)
        config = kubeconfig(tmp_path / f"config-{len(open_servers)}", f"http://127.0.0.1:{server.server_port}")
        return server, Cluster(config)

    yield serve
    for manager in open_servers:
        manager.__exit__(None, None, None)


def refusal(call):
    with pytest.raises(Refused) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    return caught.value


# -- answers ------------------------------------------------------------------------------------------

SAID = [
    (401, "Unauthorized", "SCHEDULER_REFUSED", "log in to the cluster again"),
    (403, 'jobs.batch is forbidden: User "x" cannot list resource', "SCHEDULER_REFUSED", "ask for the rights"),
    (404, "the server could not find the requested resource", "SCHEDULER_REFUSED", ""),
    (409, 'jobs.batch "madctl-x" already exists', "SCHEDULER_REFUSED", ""),
    (422, "Job.batch is invalid:\nspec.completions: Required value", "SCHEDULER_REFUSED", ""),
    (429, "too many requests", "SCHEDULER_UNREACHABLE", ""),
    (500, "etcdserver: request timed out", "SCHEDULER_UNREACHABLE", ""),
    (503, "apiserver is shutting down " + "x" * 5000, "SCHEDULER_UNREACHABLE", ""),
]


@pytest.mark.parametrize(("number", "said", "code", "remedy"), SAID)
def test_a_refusal_has_the_sentence_of_the_server(serving, number, said, code, remedy):
    _, cluster = serving(status(number, said))
    refused = refusal(lambda: cluster.list(clusters.POD, SELECTOR))

    assert refused.problem["message"] == "Kubernetes: " + " ".join(said.split())[:600]
    assert (refused.problem["code"], refused.status) == (code, number) and remedy in (refused.problem["remedy"] or "")
    assert refused.is_unreachable is (code == "SCHEDULER_UNREACHABLE")


GARBAGE = [b"", b"<html>gateway</html>", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 50000, b'{"items": ']


@pytest.mark.parametrize("body", GARBAGE, ids=lambda body: repr(body[:12]))
@pytest.mark.parametrize("number", [200, 403, 502])
def test_an_answer_that_is_no_object_is_said_to_be_none(serving, number, body):
    _, cluster = serving((number, body))
    refused = refusal(lambda: cluster.list(clusters.JOB, SELECTOR))

    assert "Kubernetes" in refused.problem["message"] and refused.is_unreachable is (number != 403)


ODD_LISTS = [
    *(
        {},
        {"items": None},
        {"items": 7},
        {"items": {"a": 1}},
        {"items": [None, [], 1, "x"]},
        {"metadata": None},
        {"metadata": []},
    ),
    {"metadata": {"resourceVersion": None}},
]


@pytest.mark.parametrize("answer", ODD_LISTS)
def test_an_odd_list_is_an_empty_one(serving, answer):
    _, cluster = serving((200, json.dumps(answer).encode()))

    assert cluster.list(clusters.POD, SELECTOR) == ([], "") and cluster.events("x") == []


def test_what_is_not_there_is_none(serving):
    _, cluster = serving(status(404, "not found"))

    assert cluster.get(clusters.JOB, "x") is None and cluster.delete(clusters.JOB, "x") is False


def test_each_question_is_asked_as_a_server_takes_it(serving):
    server, cluster = serving((200, json.dumps(ITEMS).encode()))
    assert cluster.list(clusters.POD, SELECTOR) == ([], "7")
    cluster.create({"kind": "Job", "metadata": {"name": "x"}}, dry_run=True)
    cluster.annotate("p", "madctl.dev/order", "stop")
    cluster.delete(clusters.CONFIG_MAP, "x")
    list(cluster.log("p", "run", 5, True, 9))
    list(cluster.watch(clusters.JOB, SELECTOR, "7"))
    asked = [(verb, path.partition("?")[0]) for verb, path, _ in server.asked]

    assert asked == [
        ("GET", "/api/v1/namespaces/train/pods"),
        ("POST", "/apis/batch/v1/namespaces/train/jobs"),
        ("PATCH", "/api/v1/namespaces/train/pods/p"),
        ("DELETE", "/api/v1/namespaces/train/configmaps/x"),
        ("GET", "/api/v1/namespaces/train/pods/p/log"),
        ("GET", "/apis/batch/v1/namespaces/train/jobs"),
    ]
    said = [set(path.partition("?")[2].replace("=True", "=true").split("&")) for _, path, _ in server.asked]
    assert {"fieldValidation=Strict", "dryRun=All"} <= said[1]
    assert json.loads(server.asked[2][2]) == [
        {"op": "add", "path": "/metadata/annotations/madctl.dev~1order", "value": "stop"}
    ]
    assert "propagationPolicy=Foreground" in said[3]
    assert said[4] == {"container=run", "follow=true", "timestamps=true", "sinceSeconds=5", "tailLines=9"}
    assert {"watch=true", "resourceVersion=7", "allowWatchBookmarks=true"} <= said[5]


# -- no answer ----------------------------------------------------------------------------------------


def test_nobody_listens(tmp_path):
    with unheard() as port:
        cluster = Cluster(kubeconfig(tmp_path / "config", f"http://127.0.0.1:{port}"))
        refused = refusal(lambda: cluster.list(clusters.POD, SELECTOR))

    assert refused.is_unreachable and "cannot be reached" in str(refused) and "Connection refused" in str(refused)
    assert "object at 0x" not in str(refused)


def test_what_listens_speaks_no_tls(tmp_path):
    with served(lambda _: (200, b"{}")) as server:
        cluster = Cluster(kubeconfig(tmp_path / "config", f"https://127.0.0.1:{server.server_port}"))
        refused = refusal(lambda: cluster.list(clusters.POD, SELECTOR))

    assert refused.is_unreachable and ("SSL" in str(refused) or "TLS" in str(refused))


def test_the_server_hangs_up(serving):
    def hang_up(request):
        request.connection.shutdown(socket.SHUT_RDWR)
        request.close_connection = True

    _, cluster = serving(hang_up)

    assert refusal(lambda: cluster.list(clusters.POD, SELECTOR)).is_unreachable


def test_the_server_never_answers(serving):
    over = threading.Event()
    _, cluster = serving(lambda _: over.wait(120) and None)
    refused = refusal(lambda: cluster.list(clusters.POD, SELECTOR, seconds=0.05))
    over.set()

    assert refused.is_unreachable and "timed out" in str(refused)


# -- streams ------------------------------------------------------------------------------------------


def test_a_stream_has_whole_lines_however_they_arrive(serving):
    def answer(request):
        request.begin()
        for data in (b"a\nb", b"c\n\nd\r\n", b"e"):
            request.more(data)
        request.finish()

    _, cluster = serving(answer)
    stream = cluster.log("p", "run", None, True)

    assert list(stream) == [b"a", b"bc", b"", b"d\r"] and stream.rest == b"e"


def test_a_stream_that_breaks_is_no_end(serving):
    def answer(request):
        request.begin()
        request.more(b"a\nb")
        request.connection.shutdown(socket.SHUT_RDWR)
        request.close_connection = True

    _, cluster = serving(answer)
    lines = []

    assert refusal(lambda: lines.extend(cluster.log("p", "run", None, True))).is_unreachable
    assert lines == [] or lines == [b"a"]


def test_a_stream_that_is_silent_for_long_has_ended_and_nothing_is_wrong(serving, monkeypatch):
    monkeypatch.setattr(clusters, "STREAM_SECONDS", 3.0)  # The first line must come earlier, also on a busy machine.
    over = threading.Event()

    def answer(request):
        request.begin()
        request.more(b"a\n")
        over.wait(120)

    _, cluster = serving(answer)
    lines = list(cluster.log("p", "run", None, True))
    over.set()

    assert lines == [b"a"]


def test_a_stream_is_closed_while_another_thread_waits_for_a_line(serving):
    over, has_begun = threading.Event(), threading.Event()

    def answer(request):
        request.begin()
        request.more(b"a\n")
        over.wait(120)

    def read():
        try:
            for _ in stream:
                has_begun.set()
        except Refused:
            pass

    _, cluster = serving(answer)
    stream = cluster.log("p", "run", None, True)
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert has_begun.wait(60)
    stream.close()
    thread.join(60)
    is_over = not thread.is_alive()
    over.set()

    assert is_over


def test_a_line_without_an_end_takes_no_more_than_so_much_memory(serving, monkeypatch):
    monkeypatch.setattr(clusters, "_LINE_BYTES", 1000)

    def answer(request):
        request.begin()
        for _ in range(50):
            request.more(b"x" * 5000)
        request.more(b"\nb\n")
        request.finish()

    _, cluster = serving(answer)
    long, short = cluster.log("p", "run", None, False)

    assert len(long) < 100_000 and short == b"b"


def test_a_version_that_the_server_has_forgotten_is_no_refusal(serving):
    """It says so with a status, or with a change, depending on how far it has come."""
    _, cluster = serving(status(410, "too old resource version: 1 (9)"))
    with pytest.raises(clusters.Expired):
        cluster.watch(clusters.POD, SELECTOR, "1")
    with pytest.raises(clusters.Expired):
        clusters.change(b'{"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}')


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"type": 1, "object": {}}',
        b'{"type": "ADDED", "object": []}',
        b'{"type": "ERROR", "object": {"code": 500, "message": "a\\nb"}}',
    ],
)
def test_what_is_no_change_is_asked_for_again(line):
    assert refusal(lambda: clusters.change(line)).is_unreachable


# -- which cluster ------------------------------------------------------------------------------------


def test_the_namespace_is_that_of_the_context_or_the_one_that_is_named(tmp_path):
    config = kubeconfig(tmp_path / "config", current="b", a="train", b="test", c=None)

    found = [Cluster(config), Cluster(config, "a"), Cluster(config, "c"), Cluster(config, "c", "mine")]
    assert [one.namespace for one in found] == ["test", "train", "default", "mine"]
    assert [one.context for one in found] == ["b", "a", "c", "c"]


MALFORMED = {
    "missing": None,
    "empty": "",
    "no YAML": "{",
    "a list": "[]",
    "a text": "x",
    "without clusters": "apiVersion: v1\nkind: Config\ncurrent-context: a\n",
    "odd contexts": "contexts: 7\ncurrent-context: a\n",
    "a context of nothing": "contexts: [{name: a}]\ncurrent-context: a\nclusters: []\nusers: []\n",
    "binary": "\0\1",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_kubeconfig_that_cannot_be_used(tmp_path, case):
    path = tmp_path / "config"
    if MALFORMED[case] is not None:
        path.write_text(MALFORMED[case])
    refused = refusal(lambda: Cluster(str(path)))

    assert refused.problem["code"] == "SCHEDULER_MISSING" and "kubeconfig" in str(refused)


def test_a_context_that_is_not_in_it(tmp_path):
    config = kubeconfig(tmp_path / "config", a="train")

    assert refusal(lambda: Cluster(config, "b")).problem["code"] == "SCHEDULER_MISSING"


def test_there_is_no_kubeconfig(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / ".kube/config"))

    assert "--kubeconfig PATH" in str(refusal(Cluster))


def test_the_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    refused = refusal(Cluster)

    assert refused.problem["code"] == "SCHEDULER_MISSING" and "pip install" in str(refused)


def test_an_unknown_certificate_is_not_trusted(tmp_path):
    """The certificate is one that the server made itself; nothing of what it says is read."""
    made = tmp_path / "made.pem"
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(made),
        "-out",
        str(tmp_path / "c"),
        "-subj",
        "/CN=x",
    ]
    subprocess.run(argv, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c", made)
    with served(lambda _: (200, json.dumps(ITEMS).encode()), context) as server:
        cluster = Cluster(kubeconfig(tmp_path / "config", f"https://127.0.0.1:{server.server_port}"))
        refused = refusal(lambda: cluster.list(clusters.POD, SELECTOR))

    assert refused.is_unreachable and "certificate" in str(refused).lower()
