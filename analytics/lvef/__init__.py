"""LVEF from embeddings: regression with prediction intervals, and what judges it."""
