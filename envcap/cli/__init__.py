"""The command line: parse, call the verbs, render. The only place that knows of environment variables and the clock."""
