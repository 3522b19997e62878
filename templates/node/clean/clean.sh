# Takes everything off /var that came to it after the installation. /var began empty: what is there was made by a boot, and
# is made again by the next one, or it came with the cluster. So what stays is named, and nothing else is. What is in the
# kernel and in /etc (mounts, networks, filters; files) is left to the restart that follows.
set -eu
export LC_ALL=C
IMAGE_ID=
VARIANT_ID=
. /etc/os-release
if [ "$IMAGE_ID:$VARIANT_ID" != clusterup:os ]; then
    echo "this is not the installed micro OS: nothing was touched" >&2
    exit 1
fi
ours=/var/lib/clusterup
# There for as long as the cleaning goes on, and the last thing to go: whoever looks sees that it has to go on.
going=$ours/cleaning
# Nothing but systemd writes there: its journal, the seed of its random numbers, the clock of machines that have none.
stays="/var/lib /var/log /var/run /var/lock /var/lost+found $ours $going /var/lib/systemd /var/log/journal"

# A name is taken away at once, where removing takes long: what is half removed is no one's data any more.
go() {
    for path; do
        case " $stays " in *" $path "*) continue ;; esac
        [ -e "$path" ] || [ -L "$path" ] || continue
        number=$((number + 1))
        mv -T -- "$path" "$into/$number"
    done
}
mounted() { sed -n 's|^[^ ]* \(/var/[^ ]*\) .*|\1|p' /proc/mounts | sort -r; }
# Processes of pods, of their shims and of our units, whichever of them outlived the stop of its unit.
left_over() {
    for process in /proc/[0-9]*; do
        while read -r line; do
            for part in kubepods $units; do
                case $line in */"$part"*) echo "${process#/proc/}" && break 2 ;; esac
            done
        done <"$process/cgroup" || continue
    done 2>/dev/null
}

# A disk on which nothing fits any more has room for a folder without the images that came with the bundle.
if ! into=$(mkdir -p "$going" && mktemp -d "$going/XXXXXX") 2>/dev/null; then
    rm -f "$ours"/images/*
    into=$(mkdir -p "$going" && mktemp -d "$going/XXXXXX")
fi
number=0
sync
# First what the next boot would start: when the power goes from here on, no half of Kubernetes comes up.
go "$ours/etc" /var/lib/extensions/clusterup.raw
sync

units=$(sed -n 's/^Wants=//p' /etc/systemd/system/multi-user.target.d/10-clusterup.conf 2>/dev/null || :)
# shellcheck disable=SC2086 # names of units hold no spaces
[ -z "$units" ] || systemctl stop $units >&2 || :
tries=0
while processes=$(left_over) && [ -n "$processes" ] && [ $tries -lt 50 ]; do
    # shellcheck disable=SC2086 # numbers
    kill -s KILL $processes 2>/dev/null || :
    tries=$((tries + 1))
    sleep 0.2
done

# What pods have mounted is not the node's: it must be out of the way before anything is removed.
mounted | while IFS= read -r place; do
    # The kernel writes a space as \040, which is what a format takes.
    # shellcheck disable=SC2059
    place=$(printf "$(printf %s "$place" | sed 's/%/%%/g')")
    timeout -k 5 20 umount "$place" 2>/dev/null || umount -l "$place" 2>/dev/null || :
done
places=$(mounted)
if [ -n "$places" ]; then
    echo "nothing is removed as long as something is mounted below /var: $(echo "$places" | tr '\n' ' ')" >&2
    exit 1
fi

for folder in /var /var/lib /var/log "$ours"; do
    go "$folder"/* "$folder"/.[!.]* "$folder"/..?*
done
sync
rm -rf --one-file-system -- "$going"
sync
