"""Maps of a store: drawn, saved, followed as the store grows."""
