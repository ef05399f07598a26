"""Survival studies on a store."""
