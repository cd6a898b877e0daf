"""The pipeline's settings, graph, cache keys, local runner, servers and command line."""
