"""The `phantom-mini` encoder: a compact model trained on phantom angiograms alone.

Invented data throughout: its vectors and findings have no clinical meaning.
"""
