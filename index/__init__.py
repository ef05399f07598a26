"""Exact and fresh nearest-neighbour search over arrays, by FAISS."""
