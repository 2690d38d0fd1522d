"""The OPC UA server: the twin for SCADA clients."""
