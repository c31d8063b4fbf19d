#!/bin/sh
# Installs this wheelhouse into a folder, without network:  ./install.sh PREFIX
# Checks what does the checking, and finds a Python that fits. Everything else is in install.py.
set -eu

usage() {
    echo "use: install.sh PREFIX     installs into PREFIX: a new or empty folder,"
    echo "                           or an earlier installation, which is replaced"
    echo "     install.sh --check    looks at every byte, and installs nothing"
}
if [ $# -ne 1 ]; then set -- ''; fi
case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --check) ;;
    '' | -*)
        usage >&2
        exit 2
        ;;
esac
here=$(CDPATH='' cd -- "$(dirname -- "$0")" > /dev/null && pwd -P)

changed() {
    echo "install.sh: $1" >&2
    echo "  next: copy the wheelhouse again" >&2
    exit 4
}

# Prints the sha256 of a file.
digest() {
    if command -v sha256sum > /dev/null; then
        sha256sum < "$1"
    else
        python3 -I -c 'import hashlib, sys
print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())' < "$1"
    fi 2> /dev/null
}

# manifest.json and the code beside it say whether all else is whole: they come first.
if [ ! -r "$here/SHA256SUMS" ]; then changed "SHA256SUMS is missing."; fi
if command -v sha256sum > /dev/null || command -v python3 > /dev/null; then
    whole=
    while read -r wanted name; do
        case $name in
            */*) continue ;;
            '' | *[!A-Za-z0-9._+-]*) changed "SHA256SUMS was changed: a line of it names no file." ;;
        esac
        found=
        if [ -r "$here/$name" ]; then found=$(digest "$here/$name") || found=; fi
        if [ "${found%% *}" != "$wanted" ]; then
            changed "$name is not as SHA256SUMS says: one of the two was changed."
        fi
        whole="$whole $name "
    done < "$here/SHA256SUMS"
    for name in install.py manifest.json verify.py; do
        case $whole in
            *" $name "*) ;;
            *) changed "SHA256SUMS was changed: it does not name $name." ;;
        esac
    done
fi

# Prints a field of the manifest, which has one on each line; nothing when it is not there.
of_manifest() {
    [ ! -r "$here/manifest.json" ] ||
        sed -n "s/^ \"$1\": \"\{0,1\}\([^\"]*[^\",]\)\"\{0,1\},\{0,1\}\$/\1/p" "$here/manifest.json"
}
minimum=$(of_manifest python)
exact=$(of_manifest python_exact)
requires=$(of_manifest python_requires)
if [ -z "$minimum" ]; then
    echo "install.sh: $here/manifest.json is missing, or names no Python." >&2
    echo "  next: copy the wheelhouse again" >&2
    exit 4
fi

# Runs under a candidate, which may be any Python. Prints `fits` or `not`, then what it is.
# Of Requires-Python it heeds the upper bounds; install.py checks all of it.
probe='
import os, platform, sys
if sys.path[0] == "":
    del sys.path[0]  # the current folder may hold a venv/
minimum, exact, requires = sys.argv[1:]
def numbers(text):
    return tuple(int(part) for part in text.split("."))
def over(bound):
    try:
        limit = (numbers(bound.lstrip("<=")) + (0, 0))[:3]
    except ValueError:
        return False
    found = sys.version_info[:3]
    return bound[:1] == "<" and (found > limit or found == limit and bound[:2] != "<=")
kind = platform.python_implementation()
low, found = numbers(minimum), sys.version_info[:2]
why = [" is not " + bound for bound in requires.split(",") if over(bound)]
if exact == "true" and found != low:
    why = [" is not " + minimum]
elif found < low:
    why = [" is older than " + minimum]
elif kind != "CPython":
    why = [" is not CPython"]
elif "t" in sys.abiflags:
    why = [" is free-threaded"]
elif sys.maxsize < 2**32:
    why = [" has 32 bits"]
elif not why:
    try:
        import venv
    except ImportError:
        why = [" has no module venv"]
me = "%s %s (%s)" % (kind, platform.python_version(), os.path.realpath(sys.executable))
print("%s %s%s" % ("not" if why else "fits", me, "".join(why)))
'
unfit=
broken=

# Says whether a candidate fits. `python` is then the candidate, and `said` what it is.
fits() {
    python=$1
    said=$("$1" -E -s -c "$probe" "$minimum" "$exact" "$requires" 2> /dev/null < /dev/null) || said=
    case $said in
        fits\ *)
            said=${said#fits }
            return 0
            ;;
        not\ *)
            said="  ${said#not }
"
            case $unfit in
                *"$said"*) ;; # the same one under another name
                *) unfit=$unfit$said ;;
            esac
            ;;
        *)
            case ", $broken, " in
                *", $1, "*) ;;
                *) broken=$broken${broken:+, }$1 ;;
            esac
            ;;
    esac
    return 1
}

# Finds the first candidate that fits: that of the system, if any version will do.
find_python() {
    set -- python3 "python$minimum"
    if [ "$exact" = true ]; then set -- "python$minimum" python3; fi
    for name do
        if place=$(command -v "$name") && fits "$place"; then return 0; fi
    done
    set -f
    IFS=:
    # shellcheck disable=SC2086 # split at colons
    set -- ${PATH:-}
    set +f
    unset IFS
    for folder do
        for place in "$folder"/python3.[0-9] "$folder"/python3.[0-9][0-9]; do
            if [ -x "$place" ] && fits "$place"; then return 0; fi
        done
    done
    home=${HOME:-/nonexistent}
    uv=${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-$home/.local/share}/uv/python}
    pyenv=${PYENV_ROOT:-$home/.pyenv}
    for place in "$uv"/cpython-*/bin/python3 "$pyenv"/versions/*/bin/python3; do
        if [ -x "$place" ] && fits "$place"; then return 0; fi
    done
    return 1
}

# Prints a field of this system's description, such as ID.
of_system() {
    for release in /etc/os-release /usr/lib/os-release; do
        if [ -r "$release" ]; then
            sed -n "s/^$1=//p" "$release" | tr -d "\"'"
            return
        fi
    done
}

# Prints how a Python that fits is got here, a line each.
ways() {
    package=python3 joined=python3
    if [ "$exact" = true ]; then package=python$minimum joined=python3${minimum#3.}; fi
    for id in $(of_system ID) $(of_system ID_LIKE); do
        case $id in
            debian) echo "apt install $package    (if your release has $wanted)" ;;
            ubuntu)
                echo "apt install $package    (if your release has $wanted;" \
                    "else python$minimum is in the PPA deadsnakes)"
                ;;
            fedora | rhel) echo "dnf install $package    (if your release has $wanted)" ;;
            opensuse* | suse) echo "zypper install $joined    (if your release has $wanted)" ;;
            nixos) echo "nix-shell -p $joined, and start install.sh in it" ;;
            arch)
                if [ "$exact" = true ]; then
                    echo "with uv: pacman has only the newest Python"
                else
                    echo "pacman -S python"
                fi
                ;;
            *) continue ;;
        esac
        break
    done
    echo "uv python install $minimum    (on any system; install.sh finds it)"
    echo "or name one: STRIXFORGE_PYTHON=/path/to/python$minimum$again"
}

quoted() {
    case $1 in
        '' | *[!A-Za-z0-9_./=+-]*) printf " '%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")" ;;
        *) printf ' %s' "$1" ;;
    esac
}

if [ -n "${STRIXFORGE_PYTHON:-}" ]; then
    missing="that of STRIXFORGE_PYTHON does not fit"
    if fits "$STRIXFORGE_PYTHON"; then missing=; fi
else
    missing="none that fits was found"
    if find_python; then missing=; fi
fi
if [ -z "$missing" ]; then
    echo "install.sh: using $said"
    exec "$python" -I -B "$here/install.py" "$@"
fi

case $exact,$requires in
    true,*) wanted=$minimum ;;
    *\<*) wanted=$requires ;;
    *) wanted="$minimum or newer" ;;
esac
again=$(for word in "$0" "$@"; do quoted "$word"; done)
{
    echo "install.sh: these wheels need CPython $wanted, and $missing."
    printf '%s' "$unfit"
    if [ -n "$broken" ]; then echo "  cannot be run: $broken"; fi
    ways | sed '1s/^/  next:  /; 1!s/^/         /'
} >&2
exit 3
