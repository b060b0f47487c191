#!/bin/busybox sh
# The first program of Linux as Xen's first domain, for one measurement: what `xl` needs, then one guest with the disk, then the end.
export PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/lib/xen-4.17/bin
/bin/busybox mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts && mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
rm -rf /var/run && ln -s /run /var/run
mkdir -p /run/xen /run/xenstored /run/lock /var/lock /var/lib/xenstored /var/lib/xen /var/log/xen
for module in xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs xen-blkback virtio_pci virtio_blk; do
    modprobe $module || echo "dom0: no module $module"
done
mount -t xenfs xenfs /proc/xen
xenstored --pid-file /run/xenstored.pid
until xenstore-exists /; do usleep 20000; done
xen-init-dom0
xenconsoled --pid-file=/run/xenconsoled.pid
xl create -c /guests/load.cfg </dev/null
poweroff -f
