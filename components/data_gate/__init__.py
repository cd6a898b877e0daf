"""DataGate: stops the run when the data does not satisfy the reviewed schema."""
