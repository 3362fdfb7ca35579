"""Training: objective, optimizers, schedule, checkpoints and the loop."""
