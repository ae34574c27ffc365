"""The subcommands: one file each, with a `main(argv)`; `arguments` and `files` are what they share."""
