#!/bin/sh
set -euo pipefail
rm -rf sample-website
# Stands in for `git clone` of a site: a repository made here, and cloned.
mkdir -p sample-website/origin/content
echo "$EVENT_DATA" | jq -r '.title // "Untitled"' > sample-website/origin/content/index.md
export HOME=/tmp GIT_AUTHOR_NAME=example GIT_AUTHOR_EMAIL=example@example.com
export GIT_COMMITTER_NAME="$GIT_AUTHOR_NAME" GIT_COMMITTER_EMAIL="$GIT_AUTHOR_EMAIL"
git -C sample-website/origin init --quiet --initial-branch=main
git -C sample-website/origin add .
git -C sample-website/origin commit --quiet --message "A site"
git clone --quiet sample-website/origin sample-website/clone
target_dir="sample-website/clone"
/tmp/hugo -s "$target_dir"
cat "$target_dir/public/index.html"
