"""OPC UA source: subscriptions, read columnar, acknowledged after the commit."""
