"""Invented people over time: who they are, how their disease goes on, what is measured of it."""
