"""Brings MLflow up to date with the ledger. Importing this package does not import mlflow; syncing does."""

from terminator.tracking.live import LiveSync, follow, sync_beside_job
from terminator.tracking.store import checked_uri, default_uri
from terminator.tracking.sync import SyncReport, sync

__all__ = ["LiveSync", "SyncReport", "checked_uri", "default_uri", "follow", "sync", "sync_beside_job"]
