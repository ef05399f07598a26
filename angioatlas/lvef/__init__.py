"""Studies of LVEF on a store: asked for, gathered, done, saved and applied."""
