"""AngioAtlas: embedding search for coronary angiography.  Research use only."""
