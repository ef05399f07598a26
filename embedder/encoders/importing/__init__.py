"""Original checkpoints in, encoder folders out."""
