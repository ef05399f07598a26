"""Training of a compact encoder on phantoms: dense truth first, then studies and sentences.

The models come in as arguments; this package knows pictures, truth and words, not architectures.
"""
