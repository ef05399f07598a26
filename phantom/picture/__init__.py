"""Angiograms of a heart: the C-arm, contrast medium, the chest round it, grey."""
