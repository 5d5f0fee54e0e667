"""The engine behind `datarobot_mlops_async.artifacts`: fast, verified, resumable, atomic downloads."""
