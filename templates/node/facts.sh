# What this machine is, in lines of fields between tabs. Needs a POSIX shell, /proc and /sys; takes what else is there.
# Standard input: lines of "file PATH", "unit NAME" and "range NAME OFFSET SIZE" (of each disk that holds something; bytes,
# multiples of 64 KiB) that are asked for, and "disks" where the disks of an installed machine are asked for as well.
export LC_ALL=C
tab='	'
newline='
'
# No program is started where the shell can do it: on a small machine each costs more than all the rest. What is said is
# kept and printed once: each line of its own would wake sshd.
told=
say() {
    line=
    for field; do
        # What a disk or a label says of itself may be anything: no control character of it gets into a line.
        case $field in *[[:cntrl:]]*) field=$(printf '%s' "$field" | tr '\t\n' '  ' | tr -d '\001-\037\177') ;; esac
        line="$line$tab$field"
    done
    told="$told${line#"$tab"}$newline"
}
has() { command -v "$1" >/dev/null 2>&1; }
first_line() { [ -r "$1" ] && head -n 1 "$1" 2>/dev/null | tr -d '\0' | sed 's/^ *//; s/ *$//'; }
# word NAME FILE: a fact that is the first word of a file, "" where there is none.
word() {
    found=
    [ ! -r "$2" ] || read -r found _ <"$2"
    say "$1" "$found"
}
# hash_ranges DEVICE [NAME OFFSET SIZE]...
hash_ranges() {
    device=$1
    shift
    while [ $# -gt 0 ]; do
        hash=$(dd if="$device" bs=65536 skip=$(($2 / 65536)) count=$(($3 / 65536)) 2>/dev/null | sha256sum)
        say range "$device" "$1" "${hash%% *}"
        shift 3
    done
}
# Whether anything but zeros is in COUNT blocks of 64 KiB from block SKIP of DEVICE on.
read_of() { dd if="$1" of=/dev/null bs=65536 skip="$2" count="$3" 2>/dev/null; }
filled() { [ "$(dd if="$1" bs=65536 skip="$2" count="$3" 2>/dev/null | tr -d '\0' | head -c 1 | wc -c)" != 0 ]; }

word hostname /proc/sys/kernel/hostname
word machine_id /etc/machine-id
word boot_id /proc/sys/kernel/random/boot_id
say clock "$(date +%s)"
while read -r name value _; do
    [ "$name" != MemTotal: ] || { say memory "$value"; break; }
done </proc/meminfo
say cpus "$(grep -c '^processor' /proc/cpuinfo)"
if [ -r /proc/sys/kernel/arch ]; then word architecture /proc/sys/kernel/arch; else say architecture "$(uname -m)"; fi
[ -d /sys/firmware/efi ] && say uefi yes
IMAGE_ID= VARIANT_ID=
for release in /etc/os-release /usr/lib/os-release; do
    [ -r $release ] || continue
    IMAGE_ID= VARIANT_ID= IMAGE_VERSION=
    . $release
    say image "$IMAGE_ID" "$VARIANT_ID" "$IMAGE_VERSION"
    break
done
if [ -r /etc/clusterup/cluster.json ]; then
    read -r cluster </etc/clusterup/cluster.json
    say cluster "$cluster"
fi
[ ! -r /run/clusterup/configuration ] || word configuration /run/clusterup/configuration
[ -d /var/lib/etcd/member ] && say etcd_data yes
if [ "$IMAGE_ID:$VARIANT_ID" = clusterup:os ]; then
    # None of these is there after an installation; those below /etc are gone after a restart.
    for trace in /var/lib/clusterup/* /var/lib/extensions/clusterup.raw /var/lib/etcd /var/lib/kubelet /var/lib/containerd \
        /etc/containerd /etc/kubernetes; do
        if [ -e "$trace" ] || [ -L "$trace" ]; then say trace "$trace"; fi
    done
fi
# The link alone says what the next boot merges into /usr, not what is there.
if [ -L /var/lib/extensions/clusterup.raw ] && [ -e /usr/lib/extension-release.d/extension-release.clusterup ] &&
    [ ! -e /run/clusterup/merging ]; then
    payload=$(readlink /var/lib/extensions/clusterup.raw)
    payload=${payload##*/}
    say payload "${payload%.raw}"
fi

listed=
has ip && listed=$(ip -o -4 address show)
for card in /sys/class/net/*; do
    [ -e "$card/device" ] || continue
    name=${card##*/}
    mac=
    read -r mac <"$card/address"
    addresses=
    IFS=$newline
    for line in $listed; do
        # NUMBER: NAME inet ADDRESS/PREFIX ...; a card that belongs to another one is NAME@OTHER.
        IFS=' '
        # shellcheck disable=SC2086 # it is to be split
        set -- $line
        [ "${2%@*}" != "$name" ] || addresses="$addresses$4 "
    done
    unset IFS
    say interface "$name" "$mac" "$addresses"
done

set --
units= ranges= further=
while read -r kind value; do
    case $kind in
    file) [ -f "$value" ] && set -- "$@" "$value" ;;
    unit) units="$units $value" ;;
    range) ranges="$ranges $value" ;;
    disks) further=yes ;;
    esac
done

# Only a machine that may be installed has to be asked for its disks, or one that has a further one for volumes.
disks=/sys/block/*
[ "$IMAGE_ID:$VARIANT_ID" != clusterup:os ] || [ -n "$further" ] || disks=
for disk in $disks; do
    name=${disk##*/}
    case $name in loop* | ram* | zram* | sr* | fd* | dm-* | md* | nbd* | mtd*) continue ;; esac
    size=$(($(cat "$disk/size") * 512))
    [ "$size" -gt 0 ] || continue
    device=/dev/$name
    serial=$(first_line "$disk/serial")
    [ -n "$serial" ] || serial=$(first_line "$disk/device/serial")
    if [ -z "$serial" ] && has lsblk; then serial=$(lsblk -dno SERIAL "$device" 2>/dev/null); fi
    contents=
    for part in "$disk/$name"*; do
        [ -e "$part/partition" ] || continue
        what="${part##*/}"
        label=$(sed -n 's/^PARTNAME=//p' "$part/uevent" 2>/dev/null)
        [ -z "$label" ] || say partition "$device" "$label"
        if has blkid; then
            what="$what $(blkid -p -s TYPE -o value "/dev/${part##*/}" 2>/dev/null) $(blkid -p -s LABEL -o value "/dev/${part##*/}" 2>/dev/null)"
        fi
        contents="$contents${contents:+, }$(echo "$what" | sed 's/ *$//')"
    done
    [ -z "$contents" ] || contents="partitions: $contents"
    if [ -z "$contents" ] && has blkid; then
        kind=$(blkid -p -s TYPE -o value "$device" 2>/dev/null)
        [ -z "$kind" ] || contents="a file system: $kind"
        label=$(blkid -p -s LABEL -o value "$device" 2>/dev/null)
        [ "$label" != clusterup-volume ] || contents="$contents $label $(blkid -p -s UUID -o value "$device" 2>/dev/null)"
    fi
    if [ -z "$contents" ]; then
        if filled "$device" 0 16 || filled "$device" $((size / 65536 - 1)) 2; then contents="data without a partition table"; fi
    fi
    # A disk that can't be read is not an empty one.
    if [ -z "$contents" ] && ! { read_of "$device" 0 16 && read_of "$device" $((size / 65536 - 1)) 2; }; then
        contents="what can not be read"
    fi
    use=
    grep -q "^$device" /proc/mounts && use=mounted
    grep -q "^$device" /proc/swaps && use=swap
    for holder in "$disk"/holders/* "$disk/$name"*/holders/*; do [ -e "$holder" ] && use=held; done
    aliases=
    for link in /dev/disk/by-id/*; do
        [ "$(readlink -f "$link")" = "$device" ] && aliases="$aliases $link"
    done
    say disk "$device" "$size" "$serial" "$(first_line "$disk/device/model")" "$(cat "$disk/ro")" "$use" "$contents" "$aliases"
    # shellcheck disable=SC2086 # names and numbers
    if [ -n "$contents" ] && [ -z "$use" ]; then hash_ranges "$device" $ranges; fi
done

[ $# = 0 ] || sha256sum -- "$@" 2>/dev/null | sed "s/^\([0-9a-f]*\)  /file$tab\1$tab/"
[ $# = 0 ] || stat -c "mode$tab%a$tab%n" -- "$@" 2>/dev/null
if [ -n "$units" ] && has systemctl; then
    # `systemctl show` asks for all properties of each unit, which takes seconds on a small machine.
    # shellcheck disable=SC2086 # names of units hold no spaces
    states=$(systemctl is-active $units 2>/dev/null)
    # When each was started with what it runs with.
    starts=$newline$(stat -c '%n %Y' /run/clusterup/applied/*.service 2>/dev/null)$newline
    # shellcheck disable=SC2086 # a word for each unit, in their order
    set -- $states
    for unit in $units; do
        [ $# != 0 ] || break
        applied= since=
        if [ -r "/run/clusterup/applied/$unit" ]; then
            read -r applied rest <"/run/clusterup/applied/$unit"
            since=${starts#*"$newline/run/clusterup/applied/$unit "}
            since=${since%%"$newline"*}
        fi
        say unit "$unit" "$1" "$since" "$applied"
        shift
    done
fi
printf '%send\n' "$told"
