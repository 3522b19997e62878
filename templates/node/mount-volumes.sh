# Mounts the further disk on which this node keeps the volumes of its pods.
set -eu
export LC_ALL=C
folder={folder} device=/dev/disk/by-uuid/{uuid}
if mountpoint -q "$folder"; then exit 0; fi
mkdir -m 0700 -p "$folder"
# Below the disk they would be hidden from the pods that have them.
if [ -n "$(ls -A "$folder")" ]; then
    echo "there are volumes on the disk of the micro OS already: $(ls -A "$folder" | head -n 3 | tr '\n' ' ')" >&2
    exit 1
fi
if ! udevadm wait --timeout=60 "$device"; then
    echo "the disk for volumes is not there ($device)" >&2
    exit 1
fi
# Pods may still have a part of it mounted: then it is whole, and can't be checked.
if ! grep -q "^$(readlink -f "$device") " /proc/mounts; then
    checked=0
    e2fsck -p "$device" || checked=$?
    # 1: errors were corrected.
    if [ "$checked" -gt 1 ]; then
        echo "the file system for volumes has errors that e2fsck -p does not correct: e2fsck $device, on the node" >&2
        exit 1
    fi
fi
mount -t ext4 -o noatime,nodev,prjquota "$device" "$folder"
chmod 0700 "$folder"
