"""Decompression of response bodies, for transports over HTTP clients that lack it or do not detect truncated bodies."""

from . import StreamedResponse
from ._decompression import ACCEPT_ENCODING, DecompressedResponse

__all__ = ["ACCEPT_ENCODING", "decode_body"]


def decode_body(response: StreamedResponse) -> StreamedResponse:
    """Return a response whose body is decompressed while it is read.

    Args:
        response: The response as received. Send ``ACCEPT_ENCODING`` with its request, as ``Accept-Encoding``.

    Returns:
        The response with its body decompressed chunk by chunk, in bounded memory. Reading the body raises an
        APIConnectionError if it is truncated, malformed, or in another coding.
    """
    encoding = response.headers.get("content-encoding")
    return DecompressedResponse(response, encoding) if encoding else response
