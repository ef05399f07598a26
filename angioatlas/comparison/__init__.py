"""Comparing cohorts of a store."""
