#!/bin/sh
# The last touches to Debian's tree, run by mmdebstrap outside of it. $1 is the tree.
set -eu
root=$1

echo debian >"$root/etc/hostname"
printf '127.0.0.1 localhost debian\n' >"$root/etc/hosts"
printf 'LABEL=debian / ext4 errors=remount-ro 0 1\n' >"$root/etc/fstab"
# root has no password: whoever is at a guest's console owns the guest.
chroot "$root" passwd -q -d root
# Empty, not absent: each guest makes up its own, and systemd asks no questions as it would at a first boot.
: >"$root/etc/machine-id"
# Escapes that readline sends around the prompt are noise to whoever reads the console by program.
printf 'set enable-bracketed-paste off\n' >"$root/root/.inputrc"
# Timers that wake up, some of them to look for a network that is not there.
for timer in apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim; do
    ln -sf /dev/null "$root/etc/systemd/system/$timer.timer"
done
# How this machine reaches its mirror is not the guest's business.
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/resolv.conf"
