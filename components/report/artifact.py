"""The type of the report's artifact."""

from __future__ import annotations

from tfx.types.artifact import Artifact


class HtmlReport(Artifact):
    """A directory with `report.html`, its images and `report.json`.

    Its type name is one that Kubeflow Pipelines' UI displays as a page
    (`getVertifiedHtmlArtifacts` in frontend/src/components/viewers/MetricsVisualizations.tsx).
    """

    TYPE_NAME = "system.HTML"
