"""Thin plugin classes; Hydra instantiates them only from this namespace."""
