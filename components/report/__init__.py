"""Reports a run in one page that needs neither network nor scripts.

`content` is the content of `report.json`. `inference` runs the model on the test images,
`predictions` and `intervals` evaluate the result, and `pictures` writes images. `page` renders the
page, `charts` places the marks of its charts, and `run_index` renders the index of all runs.
`rendering` renders their templates. `component` and `executor` are the TFX component. `facts` are
known only after the run; `pipeline.runs.page` adds them.
"""
