"""Streamed responses: `EventStream` and its batches, and `FileDownload`."""

from ._asyncio.downloads import FileDownload
from ._asyncio.events import EventBatches, EventStream

__all__ = ["EventBatches", "EventStream", "FileDownload"]
