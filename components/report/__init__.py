"""Reports a run in one page that needs neither network nor scripts.

`content` is the content of `report.json`. `inference` runs the model on the test images,
`predictions` evaluates the result, `pictures` and `figures` draw it, and `page` renders the page.
`component` and `executor` are the TFX component. Facts that are known only after the run are added
by `pipeline.runs.page`.
"""
