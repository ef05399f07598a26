"""The backbone laid out for a CPU: the same function and weights, computed for inference alone."""
