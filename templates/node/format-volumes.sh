# Makes a file system for volumes on a disk that has nothing on it.
set -eu
export LC_ALL=C
wanted={disk} uuid={uuid} folder={folder}
# The disk would hide them from the pods that have them.
if ! mountpoint -q "$folder" && [ -n "$(ls -A "$folder" 2>/dev/null)" ]; then
    echo "there are volumes on the disk of the micro OS already: delete their claims first" >&2
    exit 1
fi
case $wanted in
serial:*)
    device=$(lsblk -dnro PATH,SERIAL | while read -r path serial; do
        [ "$serial" != "${{wanted#serial:}}" ] || echo "$path"
    done | head -n 1)
    ;;
*) device=$(readlink -f "$wanted") ;;
esac
[ -b "$device" ] || {{ echo "there is no disk $wanted" >&2; exit 1; }}
# What came to it since somebody looked is not erased. 2: nothing is there that it knows.
found=0
there=$(blkid -p "$device") || found=$?
if [ "$found" != 2 ] || [ "$(head -c 1048576 "$device" | tr -d '\0' | head -c 1 | wc -c)" != 0 ]; then
    echo "there is something on it: $there" >&2
    exit 1
fi
mke2fs -q -t ext4 -L {label} -U "$uuid" -m 0 -O quota,project -E nodiscard,lazy_itable_init=1,quotatype=prjquota "$device" >&2
sync
udevadm settle --timeout=30
