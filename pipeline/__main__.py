"""Runs the `mnist-pipeline` command with `python -m pipeline`."""

from pipeline.cli.main import main

if __name__ == "__main__":
    main()
