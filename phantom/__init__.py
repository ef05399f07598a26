"""Phantom coronary angiograms with known truth: anatomy, disease, pictures, patients over time.

Invented throughout: no picture, number or patient of it comes from anybody.  Research use only.
"""
