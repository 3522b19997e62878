# Makes the disk bare that the running system is on, and restarts the machine. Arguments: the device, the starts of its
# partitions in bytes (the running system's last), and what restarts the machine when "b" is written to it.
set -eu
export LC_ALL=C
disk={} starts={} restart={}
zero() {{ dd if=/dev/zero of="$disk" bs=512 seek=$(($1 / 512)) count=2048 conv=notrunc,fsync 2>/dev/null; }}
size=$(blockdev --getsize64 "$disk" 2>/dev/null || wc -c <"$disk")
# Both partition tables first: however this ends, nothing starts from a disk without them.
zero 0
zero $((size - 1048576))
# What its file systems begin with must not come back with partitions at the same places.
for start in $starts; do zero "$start" || echo "could not write at $start" >&2; done
# There may be nothing left to read programs from: `echo` is the shell's own, and without `sleep` it only comes earlier.
(
    sleep 1 || :
    echo b >"$restart"
) >/dev/null 2>&1 </dev/null &
