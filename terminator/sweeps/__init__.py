"""Coming back to sweeps, from any shell: `python -m terminator.sweeps`."""
