"""DataGate: stops the run if the data doesn't satisfy the reviewed schema."""
