"""Reports a run on a self-contained HTML page without scripts.

`content` defines `report.json`. `inference` runs the model on the test images, `predictions` and
`intervals` evaluate the results, and `pictures` writes images. `page` renders the page, `charts`
computes the layout of its charts, and `run_index` renders the index of all runs. `rendering`
renders their templates. `component` and `executor` implement the TFX component. `facts` defines
the facts that `pipeline.runs.page` adds after the run.
"""
