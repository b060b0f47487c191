# Makes the ramdisk of Linux as Xen's first domain. $1: the archive of Xen's tools, $2: busybox, $3: a folder with what is ours (init, guests,
# modules), $4: the ramdisk.
set -eu
tree=$(mktemp -d "$3.XXXXXX")
trap 'rm -rf "$tree"' EXIT
tar -x --exclude='./dev/*' --no-same-owner -f "$1" -C "$tree"
mkdir -p "$tree/dev" "$tree/proc" "$tree/sys" "$tree/run"
cp "$2" "$tree/bin/busybox"
for applet in $("$2" --list-full); do
    applet=${applet#usr/}
    if [ ! -e "$tree/$applet" ] && [ ! -e "$tree/usr/$applet" ]; then
        mkdir -p "$tree/$(dirname "$applet")"
        ln -s /bin/busybox "$tree/$applet"
    fi
done
cp -r "$3/." "$tree"
cd "$tree" && find . | "$2" cpio -o -H newc 2>/dev/null | gzip -1 >"$4"
