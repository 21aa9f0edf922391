"""What surrounds the routes: settings, schemas, problems, sessions, and the programs that start the shop."""
