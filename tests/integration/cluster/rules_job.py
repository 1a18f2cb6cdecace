# SPDX-License-Identifier: Apache-2.0
"""What the API server refuses in Jobs, with its sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.integration.cluster import rules_pod
from tests.integration.cluster.rules_meta import invalid, label_problems, qualified_name_problems, required, unsupported

Object = dict[str, Any]
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_MODES = ("NonIndexed", "Indexed")
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_MOST_PARALLEL = 100_000
_MOST_RULES, _MOST_VALUES = 20, 255
# What may not change, even while a Job waits.
_FIXED = ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "successPolicy")
# What Kueue and its like may set in the template of a Job that has not started.
_SCHEDULING = ("affinity", "nodeSelector", "schedulingGates", "tolerations")


def job(value: Object) -> Iterator[str]:
    """Yield the problems of a Job with its defaults."""
    spec, name = value["spec"], value["metadata"].get("name") or ""
    yield from _spec(spec)
    if spec["completionMode"] == "Indexed" and (spec.get("completions") or 0) > 0:
        longest = f"{name}-{spec['completions'] - 1}"
        if label_problems(longest):
            yield invalid("metadata.name", name, f"will not able to create pod with invalid DNS label: {longest}")


def _spec(spec: Object) -> Iterator[str]:
    for field in _COUNTS:
        if spec.get(field, 0) < 0:
            yield invalid(f"spec.{field}", spec[field], "must be greater than or equal to 0")
    if spec["completionMode"] not in _MODES:
        yield unsupported("spec.completionMode", spec["completionMode"], _MODES)
    elif spec["completionMode"] == "Indexed":
        if "completions" not in spec:
            yield required("spec.completions", "when completion mode is Indexed")
        if spec["parallelism"] > _MOST_PARALLEL:
            why = f"must be less than or equal to {_MOST_PARALLEL} when completion mode is Indexed"
            yield invalid("spec.parallelism", spec["parallelism"], why)
    elif "backoffLimitPerIndex" in spec:
        yield invalid("spec.backoffLimitPerIndex", spec["backoffLimitPerIndex"], "requires indexed completion mode")
    policy = spec.get("podFailurePolicy")
    if policy is not None:
        yield from _policy(policy, spec)
    replaced, known = spec["podReplacementPolicy"], ("Failed", "TerminatingOrFailed")
    if replaced not in (known[:1] if policy is not None else known):
        yield unsupported("spec.podReplacementPolicy", replaced, known[:1] if policy is not None else known)
    yield from rules_pod.template(spec["template"], "spec.template")
    yield from _restarts(spec["template"]["spec"]["restartPolicy"], policy is not None)


def _restarts(policy: str, has_rules: bool) -> Iterator[str]:
    path, known = "spec.template.spec.restartPolicy", ("OnFailure", "Never")
    if policy == "Always":
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in known:
        yield unsupported(path, policy, known)
    elif has_rules and policy != "Never":
        yield invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _policy(policy: Object, spec: Object) -> Iterator[str]:
    path, rules = "spec.podFailurePolicy.rules", policy.get("rules") or []
    if len(rules) > _MOST_RULES:
        yield f"{path}: Too many: {len(rules)}: must have at most {_MOST_RULES} items"
    pod = spec["template"]["spec"]
    names = {one.get("name") for one in [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]}
    for at, rule in enumerate(rules):
        yield from _rule(rule, names, "backoffLimitPerIndex" in spec, f"{path}[{at}]")


def _rule(rule: Object, names: set[Any], is_per_index: bool, path: str) -> Iterator[str]:
    action, codes, conditions = rule.get("action") or "", rule.get("onExitCodes"), rule.get("onPodConditions") or []
    if not action:
        yield required(f"{path}.action", 'valid values: ["Count" "FailIndex" "FailJob" "Ignore"]')
    elif action == "FailIndex" and not is_per_index:
        yield invalid(f"{path}.action", action, "requires the backoffLimitPerIndex to be set")
    elif action not in _ACTIONS:
        yield unsupported(f"{path}.action", action, _ACTIONS)
    if codes is not None:
        yield from _codes(codes, names, f"{path}.onExitCodes")
    for at, one in enumerate(conditions):
        where = f"{path}.onPodConditions[{at}]"
        yield from (invalid(f"{where}.type", one["type"], why) for why in qualified_name_problems(one.get("type", "")))
        if one.get("status") not in ("False", "True", "Unknown"):
            yield unsupported(f"{where}.status", one.get("status"), ("False", "True", "Unknown"))
    if codes is not None and conditions:
        yield f"{path}: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"
    if codes is None and not conditions:
        yield f"{path}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"


def _codes(codes: Object, names: set[Any], path: str) -> Iterator[str]:
    operator, values = codes.get("operator") or "", codes.get("values") or []
    listed = "[]int32{%s}" % ", ".join(map(str, values))
    if not operator:
        yield required(f"{path}.operator", 'valid values: ["In" "NotIn"]')
    elif operator not in _OPERATORS:
        yield unsupported(f"{path}.operator", operator, _OPERATORS)
    if codes.get("containerName") is not None and codes["containerName"] not in names:
        why = "must be one of the container or initContainer names in the pod template"
        yield invalid(f"{path}.containerName", codes["containerName"], why)
    if not values:
        yield f"{path}.values: Invalid value: {listed}: at least one value is required"
    elif len(values) > _MOST_VALUES:
        yield f"{path}.values: Too many: {len(values)}: must have at most {_MOST_VALUES} items"
    for at, one in enumerate(values):
        if operator == "In" and one == 0:
            yield invalid(f"{path}.values[{at}]", one, "must not be 0 for the In operator")
        if one in values[:at]:
            yield f"{path}.values[{at}]: Duplicate value: {one}"
    if any(one > after for one, after in zip(values, values[1:])):
        yield f"{path}.values: Invalid value: {listed}: must be ordered"


def update(before: Object, after: Object) -> Iterator[str]:
    """Yield the problems of a change of a Job."""
    old, new = before["spec"], after["spec"]
    is_elastic = new["completionMode"] == "Indexed" and new.get("completions") == new["parallelism"]
    if old.get("completions") != new.get("completions") and not is_elastic:
        yield invalid("spec.completions", new.get("completions"), "field is immutable")
    for field in _FIXED:
        if old.get(field) != new.get(field):
            yield f"spec.{field}: Invalid value: {new.get(field)}: field is immutable"
    may_schedule = old["suspend"] and "startTime" not in (before.get("status") or {})
    if _fixed_template(old["template"], may_schedule) != _fixed_template(new["template"], may_schedule):
        yield "spec.template: Invalid value: core.PodTemplateSpec{...}: field is immutable"


def _fixed_template(template: Object, may_schedule: bool) -> Object:
    if not may_schedule:
        return template
    return {"spec": {name: part for name, part in template["spec"].items() if name not in _SCHEDULING}}
