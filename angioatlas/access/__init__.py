"""Who calls, what they may do, and a trail of what they did."""
