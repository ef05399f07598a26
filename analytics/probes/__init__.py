"""What embeddings tell of findings: linear probes, beside text and the encoder's own heads."""
