"""Study of many runs: jobs, runner, results, page."""
