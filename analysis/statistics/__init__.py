"""What a set of seeds can and cannot say about a variant: pairing, intervals, tests, verdicts, power."""
