#!/bin/sh
# Upstream fills in templates here; the farm's image only starts the program.
exec "$@"
