"""The pipeline: its settings, its graph, the local runner and the command line."""
