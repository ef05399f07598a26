"""The HTTP face of AngioAtlas: parse a request, call the Atlas once, render what it answers."""
