"""Figures for a paper's column: each function draws one, and a file writes them as PNG and PDF."""
