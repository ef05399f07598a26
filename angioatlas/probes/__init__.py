"""Probes of findings on a store: what embeddings, text and heads tell of what was measured."""
