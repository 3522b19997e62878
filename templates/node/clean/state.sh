# What is on this node, a line each, sorted: path, kind, mode, owner, and the SHA-256 or the target of a link. Two nodes
# after the same installation say the same, but for what each boot writes again:
# - /var/log/journal: the journal. /var/log/{btmp,wtmp,lastlog}: who logged in and when.
# - /var/lib/systemd: the seed of random numbers, the clock's last time, and what else is systemd's alone.
# - /var/tmp/systemd-private-*: folders of running services, named after the boot.
# - /etc/.updated, /var/.updated, /etc/ld.so.cache, /var/cache/ldconfig: notes and caches that systemd makes, with times in them.
# - lost+found is the file system's own.
set -eu
export LC_ALL=C
find /etc /var -xdev \( -path /var/log/journal -o -path /var/lib/systemd -o -path '/var/tmp/systemd-private-*' \
    -o -path /var/cache/ldconfig -o -path /var/lost+found \) -prune -o \
    ! -path /var/log/btmp ! -path /var/log/wtmp ! -path /var/log/lastlog ! -path /etc/.updated ! -path /var/.updated \
    ! -path /etc/ld.so.cache -printf '%p\t%y\t%m\t%U:%G\t%l\n' | sort | while IFS= read -r line; do
    path=${line%%"	"*}
    hash=
    if [ -f "$path" ] && [ ! -L "$path" ]; then hash=$(sha256sum <"$path") && hash=${hash%% *}; fi
    printf '%s%s\n' "$line" "$hash"
done
