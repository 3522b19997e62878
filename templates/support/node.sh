# What a node says of itself to somebody who looks for a fault. A POSIX shell, and whatever of the programs is there.
# Nothing is written. Each part begins with a line that the caller knows.
part() {
    name=$1 most=$2
    shift 2
    printf '%s %s\n' "$MARK" "$name"
    "$@" 2>&1 </dev/null | tail -c "$most"
    echo
}
part system.txt 20000 sh -c 'uname -a; cat /etc/os-release; uptime; date -u; cat /proc/cmdline; cat /proc/loadavg /proc/meminfo'
part pressure.txt 5000 sh -c 'for each in cpu io memory; do echo "$each"; cat /proc/pressure/$each; done'
part disks.txt 50000 sh -c 'lsblk -o NAME,SIZE,TYPE,FSTYPE,LABEL,MOUNTPOINT,MODEL; df -h; df -i; cat /proc/mounts'
part network.txt 50000 sh -c 'ip -details address; ip route show table all; ip -6 route; ip neighbour; ss -tlnp; cat /etc/resolv.conf'
part firewall.txt 100000 sh -c 'nft list ruleset 2>/dev/null || iptables-save'
part units.txt 50000 sh -c 'systemctl --failed --no-pager; systemctl list-units --all --no-pager --plain; systemd-sysext status --no-pager'
part times.txt 20000 sh -c 'timedatectl --no-pager; chronyc tracking 2>/dev/null; systemd-analyze --no-pager 2>/dev/null'
part kernel.log 200000 sh -c 'dmesg || journalctl --dmesg --no-pager --lines=1000'
part errors.log 200000 journalctl --no-pager --output=short-iso --priority=warning --boot --lines=1000
for unit in containerd etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy clusterup-network \
    clusterup-dns clusterup-volumes clusterup-balancer clusterup-images clusterup-approver clusterup-artifacts; do
    systemctl cat "$unit" >/dev/null 2>&1 || continue
    part "$unit.log" 300000 journalctl --no-pager --output=short-iso --unit="$unit" --lines=2000
    part "$unit.txt" 20000 sh -c 'systemctl status --no-pager --lines=0 "$1"; systemctl cat --no-pager "$1"' sh "$unit"
done
part containers.txt 100000 sh -c 'ctr --namespace k8s.io containers list; ctr --namespace k8s.io tasks list; ctr --namespace k8s.io images list'
part etcd.txt 5000 sh -c 'ls -la /var/lib/etcd/member /var/lib/etcd/member/snap /var/lib/etcd/member/wal; du -sh /var/lib/etcd'
part certificates.txt 20000 sh -c 'for each in /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt /var/lib/kubelet/pki/*.pem; do
    [ -e "$each" ] || continue
    echo "$each"; openssl x509 -noout -subject -issuer -dates -in "$each"
done'
part names.txt 100000 sh -c 'cat /run/systemd/resolve/resolv.conf /etc/clusterup/unbound.conf; for each in status list_forwards stats_noreset
do unbound-control -c /etc/clusterup/unbound-control.conf "$each"; done'
# What lies in a volume is nobody's business.
part volumes.txt 50000 sh -c 'ls -la /var/lib/clusterup/volumes; findmnt -T /var/lib/clusterup/volumes
repquota -P "$(findmnt -no TARGET -T /var/lib/clusterup/volumes)"'
part files.txt 20000 sh -c 'ls -laR /etc/kubernetes /etc/clusterup /etc/cni
find /var/lib/clusterup -path /var/lib/clusterup/volumes -prune -o -ls'
