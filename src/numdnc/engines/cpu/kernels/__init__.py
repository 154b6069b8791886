"""The compiled part: every equation of a step, forward and backward, as loops over the arrays of one sequence."""
