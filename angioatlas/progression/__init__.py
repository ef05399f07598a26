"""Studies of serial exams on a store: gathered, done, told patient by patient."""
