"""Entry point of `edgetwin` and `python -m gateway`."""

import typer


def main() -> None:
    """Run the command line."""
    commands()()


def commands() -> typer.Typer:
    """All verbs: the command line's own, and those that the roof's other rooms bring."""
    from gateway.bench import verb as bench
    from gateway.cli import app
    from gateway.demo import verb as demo

    demo.register(app)
    bench.register(app)
    return app


if __name__ == "__main__":
    main()
