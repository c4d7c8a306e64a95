"""Broken transports over h11: each differs from `H11Transport` in one step, and fails one clause alone."""

from . import bodies, closing, compression, connecting, requests, responses, reuse, uploads
from .registry import BROKEN_H11

__all__ = ["BROKEN_H11", "bodies", "closing", "compression", "connecting", "requests", "responses", "reuse", "uploads"]
