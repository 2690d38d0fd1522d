"""Logging: JSON lines under systemd or in a file, readable on a terminal. The level comes from `log.level`, else from LOG_LEVEL."""

import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field

_ROTATE_BYTES = 10 * 1024 * 1024
_KEPT = 5
_NOISY = ("asyncua", "aiomqtt", "amqtt", "uvicorn", "transitions", "mqtt")


class LogConfig(BaseModel):
    """The section `log` of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["debug", "info", "warning", "error"] | None = Field(None, description="how much is said; default LOG_LEVEL or info")
    format: Literal["auto", "json", "console"] = Field("auto", description="auto: JSON unless the output is a terminal")
    file: Path | None = Field(None, description="also to this file, rotated at 10 MB, five kept")


def configure(config: LogConfig) -> None:
    """Set up structlog and the standard library's logging, both to stderr (and to the file)."""
    level = (config.level or os.environ.get("LOG_LEVEL", "info")).upper()
    number = logging.getLevelNamesMapping().get(level, logging.INFO)
    as_json = config.format == "json" or (config.format == "auto" and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(_formatter(shared, as_json=as_json))
    if config.file is not None:
        config.file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(RotatingFileHandler(config.file, maxBytes=_ROTATE_BYTES, backupCount=_KEPT, encoding="utf-8"))
        handlers[1].setFormatter(_formatter(shared, as_json=True))
    logging.basicConfig(level=number, handlers=handlers, force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(number, logging.CRITICAL if name in {"asyncua", "amqtt", "transitions"} else logging.WARNING))


def _formatter(shared: list[structlog.typing.Processor], *, as_json: bool) -> structlog.stdlib.ProcessorFormatter:
    last: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=True)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
