"""Brings MLflow up to date with the ledger. Importing this package does not import mlflow; syncing does."""

from terminator.tracking.live import LiveSync, follow, sync_beside_job
from terminator.tracking.sync import SyncReport, sync
from terminator.tracking.uri import checked_uri, default_uri

__all__ = ["LiveSync", "SyncReport", "checked_uri", "default_uri", "follow", "sync", "sync_beside_job"]
