# SPDX-License-Identifier: Apache-2.0
"""Names of pods as a cluster's DNS has them, in a file of hosts: there is no DNS here."""

from __future__ import annotations

from typing import Any

from tests.integration.cluster.container_spec import hostname

Object = dict[str, Any]
HEAD = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


def hosts_file(pod: Object, address: str, pods: list[Object], services: list[Object]) -> str:
    """Return the file of a pod: its own name, and the names of pods that headless Services publish."""
    namespace, domain = pod["metadata"]["namespace"], pod["spec"].get("subdomain")
    full = f"{hostname(pod)}.{domain}.{namespace}.svc.cluster.local\t" if domain else ""
    lines = [f"{address}\t{full}{hostname(pod)}\n"]
    for service in services:
        if service["metadata"]["namespace"] == namespace and service["spec"].get("clusterIP") == "None":
            lines += [_line(service, other) for other in pods if _is_published(service, other)]
    return HEAD + "".join(lines)


def _is_published(service: Object, pod: Object) -> bool:
    spec, meta, state = service["spec"], pod["metadata"], pod.get("status", {})
    selector = spec.get("selector") or {}
    is_selected = bool(selector) and selector.items() <= (meta.get("labels") or {}).items()
    is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in state.get("conditions") or ())
    is_meant = meta["namespace"] == service["metadata"]["namespace"] and state.get("podIP")
    is_alive = state.get("phase") not in ("Succeeded", "Failed")
    return bool(is_selected and is_meant and is_alive and (is_ready or spec.get("publishNotReadyAddresses")))


def _line(service: Object, pod: Object) -> str:
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    has_own = pod["spec"].get("hostname") and pod["spec"].get("subdomain") == name
    names = [f"{pod['spec']['hostname']}.{name}"] if has_own else []
    words = [
        f"{one}{end}"
        for one in (*names, name)
        for end in ("", f".{namespace}.svc.cluster.local", f".{namespace}.svc", f".{namespace}")
    ]
    return f"{pod['status']['podIP']}\t{' '.join(words)}\n"
