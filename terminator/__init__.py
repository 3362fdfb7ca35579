"""Terminator (arXiv 2401.17948) and the suite that ablates it."""
