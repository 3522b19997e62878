# The router of a lab, in a network namespace of its own: it has a card on the switch of each segment. Its arguments say
# which, as in switch=10.77.0.1/24=52:54:00:00:00:01 switch-2=10.77.1.1/24=52:54:00:00:00:02: the hardware address is the
# same each time, for machines that go on while the router is another one. With a file router.cfg beside it, HAProxy leads to the registry
# from the address that the file names. It ends when anything in it ends.
set -eu
cd /run/lab
here=
for segment; do
    IFS='=' read -r switch address hardware <<<"$segment"
    ip tuntap add "$switch" mode tap
    ip link set "$switch" address "$hardware"
    ip address add "$address" dev "$switch"
    ip link set "$switch" up
    # A port of its own, behind those of all machines: the switch makes a socket of that name when it is plugged in.
    vde_plug2tap --port 60 --sock "/run/lab/$switch" "$switch" &
    until compgen -G "$switch/060.*" >/dev/null; do
        kill -0 "$!"
        sleep 0.05
    done
    here=${here:-$switch}
done
echo 1 >/proc/sys/net/ipv4/ip_forward
if [ -e router.cfg ]; then
    registry=$(sed -n 's/^ *bind \([0-9.]*\):.*/\1/p' router.cfg) port=$(sed -n 's/^ *bind .*:\([0-9]*\)$/\1/p' router.cfg)
    ip address add "$registry/24" dev "$here"
    haproxy -db -f router.cfg &
    until (: <"/dev/tcp/$registry/$port") 2>/dev/null; do
        kill -0 "$!"
        sleep 0.05
    done
fi
: >router.ready
wait -n
exit 1
