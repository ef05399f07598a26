"""Time to an event: curves, hazards, and how good a prediction of them is."""
