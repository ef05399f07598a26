"""Maps: embeddings drawn on a plane, how far to trust that, and what its islands are made of."""
