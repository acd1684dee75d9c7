#!/bin/sh
# Makes sure of Debian packages: present, or installed now, or a clear message.
set -eu
missing=""
for package in "$@"; do
	case $package in
	git) command -v git >/dev/null && [ -x "$(git --exec-path)/git-http-backend" ] || missing="$missing git" ;;
	openssh-server) [ -x /usr/sbin/sshd ] || missing="$missing openssh-server" ;;
	*) dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "these are needed and can't be installed from here:$missing" >&2
	echo "on Debian or Ubuntu: sudo apt-get install$missing" >&2
	exit 1
fi
echo "== install Debian packages:$missing"
# shellcheck disable=SC2086
{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } >/dev/null
