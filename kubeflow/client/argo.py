"""Finds a task's pods in the Argo Workflow of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def executor_pods(workflow: Mapping[str, Any], task: str) -> list[tuple[str, str]]:
    """Finds the pods that executed a task.

    Args:
      workflow: an Argo Workflow. The node `<workflow>.root.<task>.executor` runs the container. If
        the task has retries, each attempt has a node with the suffix `(0)`, `(1)`, and so on.
      task: the task's name.

    Returns:
      The name and the Argo message of each pod, oldest first.
    """
    name = workflow.get("metadata", {}).get("name", "")
    prefix = f"{name}.root.{task}.executor"
    nodes = [
        node
        for node in workflow.get("status", {}).get("nodes", {}).values()
        if node.get("type") == "Pod" and node.get("name", "").startswith(prefix)
    ]
    nodes.sort(key=lambda node: node.get("startedAt") or "")
    return [(_pod_name(name, node), node.get("message", "")) for node in nodes]


def _pod_name(workflow: str, node: Mapping[str, Any]) -> str:
    """Builds the name as Argo does: workflow name, template name, hash from the node id."""
    return f"{workflow}-{node.get('templateName', '')}-{node['id'].rsplit('-', 1)[-1]}"
