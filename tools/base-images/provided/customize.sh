#!/bin/sh
. "$(dirname "$0")/../common.sh"
open_network
lambda_layout
close_network
