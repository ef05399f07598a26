"""Hearts: their arteries, how they beat, and what is wrong with them."""
