"""From an ablation file to a plan, and from a plan to finished runs."""
