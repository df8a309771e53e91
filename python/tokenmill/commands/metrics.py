"""`tokenmill metrics`: what a house tells Prometheus, as a picture for Grafana."""

import json

import click


@click.group()
def metrics() -> None:
    """What Prometheus is told, for whoever looks at it."""


@metrics.command()
def grafana() -> None:
    """Print a Grafana dashboard: requests, errors, latency, tokens, money, limits, engines.

    \b
    Import it in Grafana (Dashboards, New, Import), or put it where Grafana's provisioning looks:
      tokenmill metrics grafana > tokenmill.json
    """
    from tokenmill.commands.grafana import dashboard

    click.echo(json.dumps(dashboard(), indent=2))
