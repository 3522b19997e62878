# The disk that the running installed system is on, in lines: "disk DEVICE BYTES", then "start BYTES LABEL" for each partition, the
# one that the system runs from last. The argument is where sysfs is.
set -eu
export LC_ALL=C
sys={}
IMAGE_ID=
VARIANT_ID=
. /etc/os-release
if [ "$IMAGE_ID:$VARIANT_ID" != clusterup:os ]; then
    echo "this is not the installed micro OS" >&2
    exit 1
fi
# From / down through dm-verity, which has what it is made of below "slaves".
device=$(readlink -f "$sys/dev/block/$(mountpoint -d /)")
runs=
while :; do
    below=
    for each in "$device"/slaves/*; do
        [ ! -e "$each" ] || below=$(readlink -f "$each")
        runs="$runs $(basename "${{below:-none}}")"
    done
    [ -n "$below" ] || break
    device=$below
done
runs="$runs $(basename "$device")"
[ ! -e "$device/partition" ] || device=$(dirname "$device")
name=$(basename "$device")
echo "disk /dev/$name $(($(cat "$device/size") * 512))"
last=
for part in "$device"/*; do
    [ -e "$part/partition" ] || continue
    # In sectors of 512 bytes, whatever the disk's are.
    start="start $(($(cat "$part/start") * 512)) $(sed -n 's/^PARTNAME=//p' "$part/uevent" 2>/dev/null)"
    case "$runs " in *" $(basename "$part") "*) last="$last$start
" ;; *) echo "$start" ;; esac
done
printf %s "$last"
