"""The log: the hub's own lines as JSON on standard error, without secrets."""

import logging
import sys

import structlog

from app.security.scrubbing import scrub_json


def configure_logging(level: str) -> None:
    """Log from `level` on to standard error, the hub's own lines as JSON."""
    number = logging.getLevelNamesMapping()[level]
    logging.basicConfig(level=number, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    structlog.configure(
        # plain tracebacks: a rich one would show local variables, among them secrets and what is to be sealed
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            # the words of an exception may carry an address with its password
            lambda _logger, _method, event: scrub_json(event).value,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
