"""Shows what a run made, in one page that needs neither network nor scripts.

`content` is what a report says, as `report.json` has it; `predictions` computes it, `figures` and
`page` draw it, all free of TFX; `asking` reads examples and asks the model; `component` and
`executor` are the stage. What only a finished run knows is added by `pipeline.runs.page`.
"""
