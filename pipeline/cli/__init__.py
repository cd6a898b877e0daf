"""The command line, `mnist-pipeline`: one module for each command."""
