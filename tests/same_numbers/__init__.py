"""Whether training still gives the recorded numbers, to the bit."""
