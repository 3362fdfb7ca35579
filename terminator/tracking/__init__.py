"""Brings MLflow up to date with the ledger. Importing this package does not import mlflow; syncing does."""

from terminator.tracking.live import LiveSync, follow
from terminator.tracking.sync import SyncReport, sync

__all__ = ["LiveSync", "SyncReport", "follow", "sync"]
