#!/bin/busybox sh
# First program of the test machine: loads the modules, mounts the host's files read-only under a layer that forgets,
# and goes on with the script that the kernel command line names.
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /mod/order); do
    /bin/busybox insmod /mod/$module.ko || echo "cannot load $module"
done
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /lower
/bin/busybox mount -t tmpfs upper /upper
/bin/busybox mkdir /upper/data /upper/work
/bin/busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /newroot
script=$(/bin/busybox sed 's/.*lab_script=\([^ ]*\).*/\1/' /proc/cmdline)
for place in proc sys dev; do /bin/busybox mount --move /$place /newroot/$place; done
exec /bin/busybox switch_root /newroot $script
