#!/bin/busybox sh
# The first program of a stock Linux guest. It loads the block front end; with `root=` on the command line it goes on from that disk,
# else to a shell. There is no udev: devtmpfs makes the devices, and nobody else mounts it.
export PATH=/sbin:/bin
/bin/busybox mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

root='' init=/sbin/init access=ro kind='' options=''
for word in $(cat /proc/cmdline); do
    case $word in
        root=*) root=${word#*=} ;;
        init=*) init=${word#*=} ;;
        rootfstype=*) kind=${word#*=} ;;
        rootflags=*) options=,${word#*=} ;;
        ro | rw) access=$word ;;
    esac
done

# The front end waits for its back ends itself, for minutes if need be. A prompt should not, so this is in the background; but a disk that
# is there at the start should be there at the prompt as well. A root is waited for longer.
modprobe -q xen-blkfront &
tries=100
[ -n "$root" ] && tries=1000
for disk in /sys/bus/xen/devices/vbd-*; do
    while [ -e "$disk" ] && [ ! -e "$disk/block" ] && [ $((tries -= 1)) -gt 0 ]; do
        usleep 20000
    done
done

if [ -n "$root" ]; then
    case $root in LABEL=* | UUID=*) device=$(findfs "$root") ;; *) device=$root ;; esac
    if mount -o "$access$options" ${kind:+-t "$kind"} "$device" /sysroot; then
        for folder in dev proc sys; do
            mount -o move /$folder /sysroot/$folder
        done
        exec switch_root -c /dev/console /sysroot "$init" "$@"
    fi
    echo "init: cannot mount root=$root; this is the ramdisk's own shell" >/dev/console
fi
exec init </dev/console >/dev/console 2>&1
