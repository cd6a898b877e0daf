"""Finds the pods of a task in the Argo Workflow of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def executor_pods(workflow: Mapping[str, Any], task: str) -> list[tuple[str, str]]:
    """Finds the pods that executed a task: their names and Argo's messages, oldest first.

    Args:
      workflow: an Argo Workflow. Its node `<workflow>.root.<task>.executor` runs the container; a
        task that may be retried has `(0)`, `(1)` … at the end.
      task: the task's name.
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
    """Argo's rule: the workflow's name, the template's, and the hash that ends the node's id."""
    return f"{workflow}-{node.get('templateName', '')}-{node['id'].rsplit('-', 1)[-1]}"
