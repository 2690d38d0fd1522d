"""The command line. Verbs import what they need when they run: `edgetwin run` loads no more than the daemon does."""

from gateway.cli.root import app as app
