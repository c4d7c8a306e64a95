"""Decoding of response bodies, for transports over HTTP clients that lack it or do not detect truncated bodies."""

from ._decompression import ACCEPT_ENCODING, decode_body

__all__ = ["ACCEPT_ENCODING", "decode_body"]
