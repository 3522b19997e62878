# The far side of a serial line: sh far.sh FOLDER, with the line's terminal as standard input and output.
# Runs commands and takes in files for bootstrap/transport/serial; words.py there says what a line of it means.
# No program is started where the shell can do it: on a small machine each one costs more than all the rest.
# Comments stay behind when this is sent, so each has a line to itself.
d=$1
cd "$d" || exit 1
mask=$(umask)
# What is left of those whose operator never came back.
for x in "${d%/*}"/clusterup-serial.*; do
    p= job=0
    [ "$x" = "$d" ] || read -r p <"$x/alive"
    [ -n "$p" ] || continue
    read -r n n job <"$x/seq"
    if [ "$job" != 0 ] && kill -0 "$job"; then continue; fi
    kill -0 "$p" || rm -rf "$x"
done
echo $$ >alive
set -f
umask 077
unset TMOUT
LC_ALL=C
IFS=' '
read -r in out <marks
etx=$(printf '\003') cr=$(printf '\015')
lines='
'
# Programs get a handled signal as they would without us; an ignored one they would ignore as well.
trap : HUP INT QUIT TSTP
has() { command -v "$1" >/dev/null 2>&1; }

# What this machine has, as bits of a number.
can=0 sum=
for tool in sha256sum md5sum cksum; do if $tool </dev/null >/dev/null; then sum=$tool; fi; done
case $sum in cksum) can=1 ;; md5sum) can=2 ;; sha256sum) can=3 ;; esac
case $(printf 'QQ==\n' | base64 -d) in A) can=$((can + 8)) ;; esac
encode=none
if has base64; then encode=base64 can=$((can + 16)); elif has od; then encode=od can=$((can + 32)); fi
take=none
if has dd; then take=single can=$((can | 64)); fi
case $(printf 'abcdef' | dd bs=3 count=1 iflag=fullblock) in abc) take=whole can=$((can | 64)) ;; esac
# Some head(1) reads more than it was told to, and with it the request behind a chunk. The others are best: they hand on
# at once what they read.
case $(printf 'abcdef' | { head -c 3 >/dev/null; read -r x; echo "$x"; }) in def) take=head can=$((can | 64)) ;; esac
if has gzip; then can=$((can + 128)); fi
if has zstd; then can=$((can + 256)); fi
if has tr; then can=$((can + 512)); fi
if has mkfifo; then can=$((can + 1024)); fi
limit=own
if has timeout; then limit=timeout; fi
if saved=$(stty -g) && stty raw -echo min 0 time 10; then can=$((can + 2048)); fi

# say REQUEST KIND SEQUENCE SIX-NUMBERS: an answer, its check last.
say() {
    k=0
    for n; do k=$(((k * 31 + n) % 2147483629)); done
    printf '\n%s %s %s\n' "$out" "$*" $k
}
# measure FILE [FILE]: sums and sizes into s1 n1 s2 n2. A sum in hexadecimal counts with its first 15 digits.
sums=sums
measure() {
    s1=0 n1=0 s2=0 n2=0
    $sum "$@" >$sums
    if [ $sum = cksum ]; then
        { read -r s1 n1 x && read -r s2 n2 x; } <$sums
    else
        { read -r s1 x && read -r s2 x; } <$sums
        s1=$((0x${s1%"${s1#???????????????}"}))
        wc -c "$@" >$sums
        { read -r n1 x && read -r n2 x; } <$sums
    fi
    if [ $# = 1 ]; then
        s2=0 n2=0
    elif [ $sum != cksum ]; then
        s2=$((0x${s2%"${s2#???????????????}"}))
    fi
}
encoded() {
    case $encode in
    base64) base64 <"$1" ;;
    od) od -An -v -tx1 <"$1" ;;
    esac
}
# result REQUEST STATUS INLINE: what a command gave back, with outputs that have up to INLINE bytes together.
result() {
    s1=0 n1=0 s2=0 n2=0
    if [ -s out ] || [ -s err ]; then measure out err; fi
    if [ $((n1 + n2)) -gt $3 ]; then
        say $1 2 $cur $2 $n1 $s1 $n2 $s2 0
        return
    fi
    say $1 2 $cur $2 $n1 $s1 $n2 $s2 1
    [ $n1 = 0 ] || encoded out
    [ $n2 = 0 ] || encoded err
    [ $((n1 + n2)) = 0 ] || say $1 3 $cur 0 0 0 0 0 0
}
# state REQUEST VERDICT: 1 for a good chunk, 2 for a damaged one, 3 for a damaged command, 0 where there was none.
state() {
    phase=0
    if [ $cur != 0 ]; then
        phase=1
        if [ -s ended ]; then
            phase=2
        elif [ "$feed" != file ]; then
            jobs >/dev/null
            kill -0 $job || [ -s ended ] || phase=3
        fi
    fi
    flags=$((busy + 2 * broken))
    [ -z "$feed" ] || flags=$((flags + 4))
    say $1 1 $cur $phase $at $held_at $held_size $flags $2
}
# answer REQUEST INLINE: the result once there is one, the state until then.
answer() {
    x= status=
    if [ $cur != 0 ]; then read -r x status <ended; fi
    if [ -n "$status" ]; then result $1 $status $2; else state $1 0; fi
}
# bounded SECONDS COMMAND...: runs it, and ends it when its time is up.
bounded() {
    time=$1
    shift
    if [ $limit = timeout ]; then set -- timeout -k 5 "$time" "$@"; fi
    here=$d/$round
    cd "${HOME:-/}" || cd /
    umask $mask
    # What is put in the background would have nothing as its standard input.
    exec 3<&0
    "$@" <&3 3<&- >"$here/out" 2>"$here/err" &
    child=$!
    exec 3<&- </dev/null
    umask 077
    cd "$here"
    echo $child >pid
    watch=
    if [ $limit = own ]; then
        (trap - HUP; sleep "$time"; kill -TERM $child; sleep 5; kill -KILL $child) >/dev/null &
        watch=$!
    fi
    wait $child
    status=$?
    while [ $status -gt 128 ] && kill -0 $child; do wait $child; status=$?; done
    [ -z "$watch" ] || kill $watch
}
# The end of a command: its secrets go at once; its result stays until the next one begins.
finish() {
    sums=sums.job
    : >script
    : >stdin
    : >pid
    echo 1 >told
    result $r $status $inline
    echo "$cur $status" >ended
}
# A new sequence number has come: what an earlier command, given up by the other side, still writes is not mixed with it.
fresh() {
    if [ $cur = 0 ] || [ -s ended ]; then return 0; fi
    if [ -s told ]; then wait $job; fi
    [ ! -s ended ] || return 0
    unfeed
    round=$((round + 1))
    mkdir -p "$d/$round"
    cd "$d/$round"
}
# From here on the sequence number is used up, whatever happens.
begin() {
    unfeed
    cur=$seq at=0 held= held_at=0 held_size=0 busy=0 broken=0 passing=- using= job=0
    : >ended
    : >told
    : >pid
    : >passed
    echo "$cur $round 0" >"$d/seq"
}
execute() {
    if [ $seq -le $cur ]; then
        answer $r $g
        return
    fi
    fresh
    [ "$data" = - ] || printf "$data" >script
    [ "$more" = - ] || printf "$more" >stdin
    measure script stdin
    if [ "$n1 $s1 $n2 $s2" != "$b $c $e $f" ]; then
        state $r 3
        return
    fi
    begin
    inline=$g
    (
        trap : HUP
        exec <stdin
        bounded $a sh "$d/$round/script"
        finish
    ) &
    job=$!
    echo "$cur $round $job" >"$d/seq"
    state $r 0
}
