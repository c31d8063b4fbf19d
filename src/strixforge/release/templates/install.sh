#!/bin/sh
# Installs this wheelhouse into a folder, without network:  ./install.sh PREFIX
# Needs python3 alone. Everything else is in install.py.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" > /dev/null && pwd -P)
wanted=$(sed -n 's/^ "python": "\([0-9.]*\)",*$/\1/p' "$here/manifest.json")
for python in "${STRIXFORGE_PYTHON:-}" "python$wanted" python3; do
    [ -n "$python" ] || continue
    if "$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$wanted')" 2> /dev/null
    then
        exec "$python" -I "$here/install.py" "$@"
    fi
done
cat >&2 << EOF
install.sh: these wheels need Python $wanted, and none was found on PATH.
  next:  Debian, Ubuntu: apt install python$wanted    Fedora: dnf install python$wanted
         anywhere: uv python install $wanted
         or name it: STRIXFORGE_PYTHON=/path/to/python$wanted $0 $*
EOF
exit 3
