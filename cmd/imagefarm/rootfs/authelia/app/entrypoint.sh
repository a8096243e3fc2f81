#!/bin/sh
# As in Authelia's image: options go to authelia, anything else is a command.
case "${1:-}" in
"" | --config*) exec authelia "$@" ;;
*) exec "$@" ;;
esac
