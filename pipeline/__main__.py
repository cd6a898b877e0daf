"""`python -m pipeline`: the same as the console script `mnist-pipeline`."""

from pipeline.cli.main import main

if __name__ == "__main__":
    main()
