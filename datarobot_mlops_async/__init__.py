"""The asyncio client for DataRobot's deployment management API."""
