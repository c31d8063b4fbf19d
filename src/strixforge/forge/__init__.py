"""From sources to artifacts: prepare, sandbox, runner, jobs."""
