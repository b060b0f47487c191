#!/bin/sh
# libxl runs it for each disk: tells xen-blkback which device it is. Xen's own script wants more tools than are here.
export PATH=/sbin:/bin:/usr/sbin:/usr/bin
[ "$1" = add ] || exit 0
device=$(stat -Lc %t:%T "$(xenstore-read "$XENBUS_PATH/params")")
xenstore-write "$XENBUS_PATH/physical-device" "$device"
xenstore-write "$XENBUS_PATH/hotplug-status" connected
