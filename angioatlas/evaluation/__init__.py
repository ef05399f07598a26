"""How good retrieval is: an index, rankings that were judged, one encoder beside another."""
