#!/bin/sh
# The port that it is told, or the package's 80.
[ -n "$PORT" ] && sed -i "s/listen 80 /listen $PORT /; s/listen \[::\]:80 .*//" /etc/nginx/sites-available/default
exec nginx -g 'daemon off;'
