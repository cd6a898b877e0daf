"""The type of the report's artifact."""

from __future__ import annotations

from tfx.types.artifact import Artifact


class HtmlReport(Artifact):
    """A directory with `report.html`, its pictures and `report.json`.

    Named as Kubeflow Pipelines names the artifacts that its UI shows as pages
    (`getVertifiedHtmlArtifacts` in frontend/src/components/viewers/MetricsVisualizations.tsx).
    """

    TYPE_NAME = "system.HTML"
