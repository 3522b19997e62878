# Makes a file system for volumes on a disk that has nothing on it.
set -eu
export LC_ALL=C
wanted={disk} uuid={uuid}
case $wanted in
serial:*)
    device=$(lsblk -dnro PATH,SERIAL | while read -r path serial; do
        [ "$serial" != "${{wanted#serial:}}" ] || echo "$path"
    done | head -n 1)
    ;;
*) device=$(readlink -f "$wanted") ;;
esac
[ -b "$device" ] || {{ echo "there is no disk $wanted" >&2; exit 1; }}
# What came to it since somebody looked is not erased. 2: nothing is there.
found=0
there=$(blkid -p "$device") || found=$?
if [ "$found" != 2 ]; then
    echo "there is something on it: $there" >&2
    exit 1
fi
mke2fs -q -t ext4 -L {label} -U "$uuid" -m 0 -O quota,project -E lazy_itable_init=1,quotatype=prjquota "$device" >&2
sync
udevadm settle --timeout=30
