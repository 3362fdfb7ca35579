"""Runs as SLURM jobs: submission through Submitit, what the queue says, and the process that a job consists of."""
