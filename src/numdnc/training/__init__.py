"""Training: yields events and prints nothing."""
