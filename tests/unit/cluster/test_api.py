# SPDX-License-Identifier: Apache-2.0
"""The parts of the stand-in for an API server: objects, versions, watches, selectors, patches."""

import json

import pytest

from tests.integration.cluster import patches, requests, selectors, tables
from tests.integration.cluster.rights import Rights
from tests.integration.cluster.status import KINDS, StatusError
from tests.integration.cluster.store import Store


def pod(name, labels=None, **more):
    return {"metadata": {"name": name, "namespace": "n", "labels": labels or {}}, "spec": {}, "status": {}, **more}


@pytest.fixture
def store():
    return Store()


def events(store, since, matches=lambda _: True):
    """Return what a watch says until there is nothing more to say."""
    found = []
    for event in store.watch("pods", "n", matches, since, 0):
        if not event:
            return found
        found.append((event["type"], event["object"]["metadata"]["name"]))
    return found


def test_every_change_has_a_higher_version(store):
    first = store.create("pods", pod("a"))["metadata"]["resourceVersion"]
    second = store.change("pods", "n", "a", lambda value: value["metadata"]["labels"].update(a="b"))["metadata"][
        "resourceVersion"
    ]
    same = store.change("pods", "n", "a", lambda value: value["metadata"]["labels"].update(a="b"))["metadata"][
        "resourceVersion"
    ]

    assert int(first) < int(second) == int(same)


def test_a_name_is_taken_once(store):
    store.create("pods", pod("a"))

    with pytest.raises(StatusError, match='pods "a" already exists'):
        store.create("pods", pod("a"))


def test_a_watch_tells_what_happened_since_a_version(store):
    since = store.version
    store.create("pods", pod("a"))
    store.change("pods", "n", "a", lambda value: value["metadata"]["labels"].update(a="b"))
    store.delete("pods", "n", "a")

    assert events(store, since) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert events(store, store.version) == []


def test_a_watch_with_a_selector_sees_objects_come_and_go(store):
    matches = selectors.of({"labelSelector": "a=b"})
    since = store.version
    store.create("pods", pod("one"))
    store.change("pods", "n", "one", lambda value: value["metadata"]["labels"].update(a="b"))
    store.change("pods", "n", "one", lambda value: value["metadata"]["labels"].update(a="c"))

    assert events(store, since, matches) == [("ADDED", "one"), ("DELETED", "one")]


def test_a_version_that_is_forgotten_is_410(store):
    since = store.version
    store.create("pods", pod("a"))
    store.forget_history()

    with pytest.raises(StatusError, match="too old resource version") as refusal:
        events(store, since)
    assert refusal.value.code == 410
    assert events(store, store.version) == []


def test_an_object_goes_once_its_finalizers_and_its_grace_are_over(store):
    held = pod("a")
    held["metadata"]["finalizers"] = ["f"]
    store.create("pods", held)
    store.delete("pods", "n", "a", grace=5)
    store.change("pods", "n", "a", lambda value: value["metadata"].pop("finalizers") and None)
    assert store.get("pods", "n", "a")["metadata"]["deletionGracePeriodSeconds"] == 5
    store.delete("pods", "n", "a", grace=0)

    assert store.find("pods", "n", "a") is None


def test_an_edit_of_another_object_of_the_same_name_does_nothing(store):
    old = store.create("pods", pod("a"))
    store.delete("pods", "n", "a")
    store.create("pods", pod("a"))

    assert store.edit("pods", old, lambda value: value.update(status={"phase": "Failed"})) is None
    assert store.get("pods", "n", "a")["status"] == {}


@pytest.mark.parametrize(
    ("selector", "is_met"),
    [
        ("a=b", True),
        ("a==b", True),
        ("a!=b", False),
        ("c!=b", True),
        ("a", True),
        ("!a", False),
        ("!c", True),
        ("a in (x, b)", True),
        ("a notin (x, b)", False),
        ("c notin (x)", True),
        ("a=b,d=e", True),
        ("a=b,d=f", False),
        ("a in (b,c),d", True),
        ("", True),
    ],
)
def test_labels_meet_a_selector(selector, is_met):
    assert selectors.labels_match(selector, {"a": "b", "d": "e"}) is is_met


def test_only_known_fields_select():
    assert selectors.of({"fieldSelector": "metadata.name=a,status.phase!=Failed"})(pod("a"))
    with pytest.raises(StatusError, match="field label not supported: spec.x"):
        selectors.of({"fieldSelector": "spec.x=a"})


def patched(kind, value, patch):
    return patches.reader(kind, json.dumps(patch).encode())(value)


def test_a_merge_patch_puts_in_and_takes_out():
    assert patched(patches.MERGE, {"a": {"b": 1, "c": 2}, "l": [1]}, {"a": {"b": None, "d": 3}, "l": [2]}) == {
        "a": {"c": 2, "d": 3},
        "l": [2],
    }


def test_a_strategic_patch_merges_lists_by_key_and_knows_its_directives():
    value = {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}
    patch = {
        "$setElementOrder/containers": [],
        "containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}],
    }

    assert patched(patches.STRATEGIC, value, patch) == {"containers": [{"name": "a", "image": "2"}]}
    assert patched(
        patches.STRATEGIC, {"emptyDir": {}, "name": "v"}, {"$retainKeys": ["name", "secret"], "secret": {}}
    ) == {
        "name": "v",
        "secret": {},
    }


def test_a_json_patch_is_done_step_by_step_or_refused():
    value = {"metadata": {"annotations": {"a/b": "1"}}, "l": [1]}
    steps = [
        {"op": "replace", "path": "/metadata/annotations/a~1b", "value": "2"},
        {"op": "add", "path": "/l/-", "value": 2},
        {"op": "remove", "path": "/l/0"},
    ]
    assert patched(patches.JSON, value, steps) == {"metadata": {"annotations": {"a/b": "2"}}, "l": [2]}
    with pytest.raises(StatusError) as refusal:
        patched(patches.JSON, value, [{"op": "test", "path": "/l/0", "value": 9}])
    assert refusal.value.code == 422


def test_another_kind_of_patch_is_415():
    with pytest.raises(StatusError) as refusal:
        patches.reader("text/plain", b"")
    assert refusal.value.code == 415


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/v1/namespaces/n/pods", ("pods", "n", "", "")),
        ("/api/v1/namespaces/n/pods/a/log", ("pods", "n", "a", "log")),
        ("/apis/batch/v1/namespaces/n/jobs/j", ("jobs", "n", "j", "")),
        ("/apis/batch/v1/jobs", ("jobs", "", "", "")),
        ("/api/v1/namespaces/n", ("namespaces", "", "n", "")),
    ],
)
def test_a_path_names_a_kind_and_an_object(path, found):
    target = requests.parse(path)

    assert (target.kind.plural, *target[1:]) == found


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/nodes", "/api/v1/namespaces/n/jobs", "/apis/apps/v1/deployments", "/api/v2/pods"]
)
def test_what_is_not_served_is_404(path):
    with pytest.raises(StatusError) as refusal:
        requests.parse(path)
    assert refusal.value.code == 404


def test_a_role_allows_what_it_names():
    rules = [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["*"]},
    ]
    rights = Rights("u", {"rules": rules})

    assert rights.may("list", "batch", "jobs") and rights.may("get", "", "pods/log")
    assert not (rights.may("create", "batch", "jobs") or rights.may("get", "", "pods") or rights.may("get", "", "jobs"))
    with pytest.raises(
        StatusError, match='pods "a" is forbidden: User "u" cannot delete resource "pods" in API group ""'
    ):
        rights.require("delete", KINDS["pods"], "n", "a", "")


@pytest.mark.parametrize(("seconds", "text"), [(5, "5s"), (119, "119s"), (150, "2m30s"), (700, "11m"), (20_000, "5h")])
def test_ages_are_written_as_kubectl_shows_them(seconds, text):
    assert tables.duration(seconds) == text
