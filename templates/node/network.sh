# Gives a machine that was reached over its console the network that the inventory wants, and lets a key in. What calls
# these functions is added behind them. Needs a POSIX shell and ip; networkd, where the machine has it, does the rest.
set -eu
export LC_ALL=C
has() { command -v "$1" >/dev/null 2>&1; }
fail() {
    echo "$1" >&2
    exit 1
}

# let_in USER KEY: have the SSH server accept a public key.
let_in() {
    if [ -d /etc/ssh/authorized_keys.d ]; then
        keys=/etc/ssh/authorized_keys.d/$1
    else
        home=$(sed -n "s/^$1:[^:]*:[^:]*:[^:]*:[^:]*:\([^:]*\):.*/\1/p" /etc/passwd)
        [ -n "$home" ] || fail "there is no user $1"
        keys=$home/.ssh/authorized_keys
        [ -d "$home/.ssh" ] || { mkdir -m 700 "$home/.ssh" && chown "$1" "$home/.ssh"; }
    fi
    [ -e "$keys" ] || { (umask 077 && : >"$keys") && chown "$1" "$keys"; }
    grep -qxF "$2" "$keys" || printf '%s\n' "$2" >>"$keys"
}

# card MAC DHCP GATEWAY CONTENT [ADDRESS...]: set up the card with that hardware address. CONTENT is what networkd is told.
card() {
    name=$(card_named "$1")
    [ -n "$name" ] || fail "there is no network card $1; there are: $(cat /sys/class/net/*/address | tr '\n' ' ')"
    mac=$1 dhcp=$2 gateway=$3 content=$4
    shift 4
    if networkd; then
        mkdir -p /run/systemd/network
        printf '%s\n' "$content" >"/run/systemd/network/10-$(printf %s "$mac" | tr -d :).network"
    else
        ip link set "$name" up
        for address; do ip address replace "$address" dev "$name"; done
        [ -z "$gateway" ] || later "default $gateway $name"
        [ "$dhcp" = no ] || ask_for_address "$name"
    fi
    [ "$dhcp" = no ] || waiting="$waiting $name"
}
# route MAC NETWORK ROUTER: have the card, which was set up, reach a network through a router. networkd was told already.
route() {
    networkd || later "$2 $3 $(card_named "$1")"
}
# later "NETWORK ROUTER CARD": a card that asks for its address reaches no router before it has one.
later() {
    routes="$routes$1
"
}
set_routes() {
    printf %s "$routes" | while read -r network router card; do
        ip route replace "$network" via "$router" dev "$card" || fail "there is no way to $network through $router"
    done
}
# every_card CONTENT: an address by DHCP on each wired card, where the inventory says nothing of cards.
every_card() {
    if networkd; then
        mkdir -p /run/systemd/network
        printf '%s\n' "$1" >/run/systemd/network/20-wired.network
    fi
    for device in /sys/class/net/*; do
        [ -e "$device/device" ] || continue
        networkd || { ip link set "${device##*/}" up && ask_for_address "${device##*/}"; }
        any="$any ${device##*/}"
    done
    [ -n "$any" ] || fail "the machine has no network card"
}
card_named() {
    for device in /sys/class/net/*; do
        [ "$(cat "$device/address")" != "$1" ] || { echo "${device##*/}" && return; }
    done
}
networkd() { has networkctl && systemctl is-active --quiet systemd-networkd; }
ask_for_address() {
    if has dhcpcd; then
        dhcpcd -b -q "$1" >/dev/null 2>&1 || fail "dhcpcd does not start on $1"
    elif has dhclient; then
        dhclient -nw "$1" >/dev/null 2>&1 || fail "dhclient does not start on $1"
    elif has udhcpc; then
        udhcpc -b -i "$1" >/dev/null 2>&1 || fail "udhcpc does not start on $1"
    else
        fail "$1 is to get its address by DHCP, and there is no dhcpcd, dhclient, udhcpc or networkd"
    fi
}
addressed() { [ -n "$(ip -o -4 address show dev "$1" scope global dynamic)" ]; }
waiting= any= routes=

# settle SECONDS: wait until the cards that ask for an address have one, then say what SSH clients have to know.
settle() {
    ! networkd || networkctl reload
    [ -e /run/sshd ] || mkdir -p /run/sshd
    { systemctl start ssh || systemctl start sshd || service ssh start || "$(command -v sshd || echo /usr/sbin/sshd)"; } \
        >/dev/null 2>&1 ||
        fail "no SSH server starts there"
    left=$1
    while [ "$left" -gt 0 ] && ! all_addressed; do
        sleep 1
        left=$((left - 1))
    done
    set_routes
    for key in /etc/ssh/ssh_host_*_key.pub; do
        [ ! -e "$key" ] || printf 'host_key %s\n' "$(cut -d ' ' -f 1,2 "$key")"
    done
    ip -o -4 address show scope global | sed 's/^[0-9]*: *\([^ ]*\) *inet \([0-9./]*\).*/address \1 \2/'
}
all_addressed() {
    for name in $waiting; do addressed "$name" || return 1; done
    [ -n "$any" ] || return 0
    for name in $any; do ! addressed "$name" || return 0; done
    return 1
}
