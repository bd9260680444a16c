#!/bin/sh
. "$(dirname "$0")/../common.sh"
open_network
close_network
