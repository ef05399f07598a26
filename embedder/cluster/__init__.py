"""Embedding on several devices or machines: portions out, shards back, over Ray."""
