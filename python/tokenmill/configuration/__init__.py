"""Where settings come from (defaults, a TOML file, environment, flags), and how they are shown."""
