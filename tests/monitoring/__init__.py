"""What an analyst sees: rules tried by promtool, a dashboard built anew, a real Prometheus that scrapes a real run."""
